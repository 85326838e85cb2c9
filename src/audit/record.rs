//! One audited act: what happened, when, how it ended, who did it.
//!
//! A record is made on the thread that serves a client, so it carries values as they are; they become text on the
//! audit's own thread.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use opcua::StatusCode;

use crate::value::{UaTime, Value};

/// The kind of an act. The names never change: files contain them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    ServerStarted,
    ServerStopped,
    ChannelOpened,
    ChannelRenewed,
    ChannelClosed,
    ChannelRefused,
    CertificateDataMismatch,
    CertificateExpired,
    CertificateInvalid,
    CertificateUntrusted,
    CertificateRevoked,
    CertificateMismatch,
    SessionCreated,
    SessionRefused,
    SessionActivated,
    SessionActivationRefused,
    SessionClosed,
    SessionCancel,
    SessionTransfer,
    Write,
    /// A value of `on_stop`, written by the server itself.
    OutputWritten,
    HistoryUpdate,
    /// A method that changes something was called, or a call was refused for want of rights.
    MethodCalled,
    ConditionEnable,
    ConditionComment,
    ConditionAcknowledge,
    ConditionConfirm,
    ConditionShelve,
    ConditionReset,
    TrustChanged,
    UsersChanged,
    /// Wrong passwords for a name from one origin: further attempts wait.
    LoginBlocked,
    /// The right password came after them.
    LoginUnblocked,
    /// Routine of strangers that was counted instead of written, so that nobody fills the disk.
    AuditLimited,
    /// Records that could not be kept.
    AuditLost,
    /// Other settings of the audit hold.
    AuditChanged,
    /// The chain was broken before this record.
    AuditGap,
    /// The remains of a crash were put in order.
    AuditRecovered,
}

impl Kind {
    pub const ALL: [Kind; 38] = [
        Kind::ServerStarted,
        Kind::ServerStopped,
        Kind::ChannelOpened,
        Kind::ChannelRenewed,
        Kind::ChannelClosed,
        Kind::ChannelRefused,
        Kind::CertificateDataMismatch,
        Kind::CertificateExpired,
        Kind::CertificateInvalid,
        Kind::CertificateUntrusted,
        Kind::CertificateRevoked,
        Kind::CertificateMismatch,
        Kind::SessionCreated,
        Kind::SessionRefused,
        Kind::SessionActivated,
        Kind::SessionActivationRefused,
        Kind::SessionClosed,
        Kind::SessionCancel,
        Kind::SessionTransfer,
        Kind::Write,
        Kind::OutputWritten,
        Kind::HistoryUpdate,
        Kind::MethodCalled,
        Kind::ConditionEnable,
        Kind::ConditionComment,
        Kind::ConditionAcknowledge,
        Kind::ConditionConfirm,
        Kind::ConditionShelve,
        Kind::ConditionReset,
        Kind::TrustChanged,
        Kind::UsersChanged,
        Kind::LoginBlocked,
        Kind::LoginUnblocked,
        Kind::AuditLimited,
        Kind::AuditLost,
        Kind::AuditChanged,
        Kind::AuditGap,
        Kind::AuditRecovered,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::ServerStarted => "server.started",
            Kind::ServerStopped => "server.stopped",
            Kind::ChannelOpened => "channel.opened",
            Kind::ChannelRenewed => "channel.renewed",
            Kind::ChannelClosed => "channel.closed",
            Kind::ChannelRefused => "channel.refused",
            Kind::CertificateDataMismatch => "certificate.data-mismatch",
            Kind::CertificateExpired => "certificate.expired",
            Kind::CertificateInvalid => "certificate.invalid",
            Kind::CertificateUntrusted => "certificate.untrusted",
            Kind::CertificateRevoked => "certificate.revoked",
            Kind::CertificateMismatch => "certificate.mismatch",
            Kind::SessionCreated => "session.created",
            Kind::SessionRefused => "session.refused",
            Kind::SessionActivated => "session.activated",
            Kind::SessionActivationRefused => "session.activation-refused",
            Kind::SessionClosed => "session.closed",
            Kind::SessionCancel => "session.cancel",
            Kind::SessionTransfer => "session.transfer",
            Kind::Write => "write",
            Kind::OutputWritten => "output.written",
            Kind::HistoryUpdate => "history.update",
            Kind::MethodCalled => "method.called",
            Kind::ConditionEnable => "condition.enable",
            Kind::ConditionComment => "condition.comment",
            Kind::ConditionAcknowledge => "condition.acknowledge",
            Kind::ConditionConfirm => "condition.confirm",
            Kind::ConditionShelve => "condition.shelve",
            Kind::ConditionReset => "condition.reset",
            Kind::TrustChanged => "trust.changed",
            Kind::UsersChanged => "users.changed",
            Kind::LoginBlocked => "login.blocked",
            Kind::LoginUnblocked => "login.unblocked",
            Kind::AuditLimited => "audit.limited",
            Kind::AuditLost => "audit.lost",
            Kind::AuditChanged => "audit.changed",
            Kind::AuditGap => "audit.gap",
            Kind::AuditRecovered => "audit.recovered",
        }
    }
}

impl Kind {
    /// The level of its line in a log for people. Routine is at debug; so is a refusal that has a warning of its own,
    /// with the remedy.
    pub fn log_level(self) -> log::Level {
        match self {
            Kind::ChannelOpened
            | Kind::ChannelRenewed
            | Kind::ChannelClosed
            | Kind::SessionCreated
            | Kind::SessionActivationRefused
            | Kind::SessionClosed => log::Level::Debug,
            _ if self.refuses_channel() => log::Level::Debug,
            _ => log::Level::Info,
        }
    }

    /// A secure channel was refused, with or without a reason of its certificate.
    fn refuses_channel(self) -> bool {
        matches!(
            self,
            Kind::ChannelRefused
                | Kind::CertificateDataMismatch
                | Kind::CertificateExpired
                | Kind::CertificateInvalid
                | Kind::CertificateUntrusted
                | Kind::CertificateRevoked
                | Kind::CertificateMismatch
        )
    }
}

/// Decides which records are limited when there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Caused by the server, or by a client with a login or a trusted certificate. It is always written.
    Own,
    /// A refusal. It is written alone, or counted together with others.
    Evidence,
    /// A client without login that comes or goes.
    Routine,
}

/// The origin of an act, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// Empty: nobody logged in.
    pub user: String,
    pub application: String,
    /// `ns=1;i=` of the SessionId; 0 for none.
    pub session: u32,
    /// SecureChannelId; 0 for none.
    pub channel: u32,
    pub peer: Option<IpAddr>,
    /// 0 where only the address is known.
    pub port: u16,
    /// SHA-1 of the client's certificate.
    pub thumbprint: Option<[u8; 20]>,
    /// The certificate that the user logged in with (DER); no line contains it.
    pub certificate: Option<Arc<[u8]>>,
}

impl Who {
    /// There is neither a login nor a certificate: any host on the network can cause such records.
    pub fn is_stranger(&self) -> bool {
        self.user.is_empty() && self.thumbprint.is_none()
    }
}

/// One act that is not a write.
#[derive(Debug, Clone)]
pub struct Record {
    pub time: UaTime,
    pub kind: Kind,
    pub status: StatusCode,
    pub who: Who,
    /// Which node, for what concerns one.
    pub node: String,
    pub message: Cow<'static, str>,
    /// Further acts that this record counts.
    pub more: u32,
}

impl Record {
    pub fn new(kind: Kind, status: StatusCode, who: Who) -> Record {
        Record { time: UaTime::now(), kind, status, who, node: String::new(), message: Cow::Borrowed(""), more: 0 }
    }

    /// Refusals and the routine of strangers are all that a client without login can cause.
    pub fn weight(&self) -> Weight {
        match self.kind {
            Kind::Write | Kind::HistoryUpdate => Weight::Own,
            Kind::SessionRefused | Kind::SessionActivationRefused => Weight::Evidence,
            kind if kind.refuses_channel() => Weight::Evidence,
            Kind::MethodCalled if self.status.is_bad() && self.who.is_stranger() => Weight::Evidence,
            Kind::ChannelOpened
            | Kind::ChannelRenewed
            | Kind::ChannelClosed
            | Kind::SessionCreated
            | Kind::SessionActivated
            | Kind::MethodCalled
            | Kind::SessionClosed
            | Kind::SessionCancel
            | Kind::SessionTransfer
                if self.who.peer.is_some() && self.who.is_stranger() =>
            {
                Weight::Routine
            }
            _ => Weight::Own,
        }
    }

    pub fn with(self, message: impl Into<Cow<'static, str>>) -> Record {
        Record { message: message.into(), ..self }
    }
}

/// How nodes that a record names by number are called.
pub trait Names: Send + Sync {
    fn node(&self, number: u32) -> String;
}

/// The writes of one request.
pub struct Writes {
    pub time: UaTime,
    pub who: Who,
    pub names: Arc<dyn Names>,
    pub writes: Vec<Write>,
    /// Bytes that the values of all writes hold, by `Content::weight`.
    pub held: usize,
}

impl fmt::Debug for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writes").field("who", &self.who).field("writes", &self.writes).finish_non_exhaustive()
    }
}

/// One written attribute.
#[derive(Debug, Clone)]
pub struct Write {
    pub node: Node,
    pub attribute: u32,
    pub range: Option<Box<str>>,
    /// The value just before.
    pub old: Content,
    pub new: Content,
    pub status: StatusCode,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Known(u32),
    /// As the client named it; the server has no such node, or not for this client.
    Given(Box<str>),
}

/// A value on its way into a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    None,
    Value(Value),
    /// A value that is too large to be held: its text, shortened.
    Text(Box<str>),
}

impl Content {
    /// A scalar costs a copy; what is large becomes its short text at once, so that no queue holds it.
    pub fn of(value: Value) -> Content {
        match value {
            Value::Null => Content::None,
            value if super::text::weight(&value) > super::text::HELD => {
                Content::Text(super::text::value_text(&value).into())
            }
            value => Content::Value(value),
        }
    }

    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Content::None => Cow::Borrowed(""),
            Content::Value(value) => Cow::Owned(super::text::value_text(value)),
            Content::Text(text) => Cow::Borrowed(text),
        }
    }

    /// Bytes that it holds in addition to its own size.
    pub fn weight(&self) -> usize {
        match self {
            Content::None => 0,
            Content::Value(value) => super::text::weight(value),
            Content::Text(text) => text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn calls_of_strangers_are_limited_and_those_of_users_are_not() {
        let weight = |user: &str, status| {
            let who = Who { user: user.to_owned(), peer: Some([10, 0, 0, 1].into()), ..Who::default() };
            Record::new(Kind::MethodCalled, status, who).weight()
        };
        assert_eq!(weight("", StatusCode::BadUserAccessDenied), Weight::Evidence);
        assert_eq!(weight("", StatusCode::Good), Weight::Routine);
        assert_eq!(weight("opal", StatusCode::BadUserAccessDenied), Weight::Own);
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for (at, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, at, "{}", kind.name());
        }
    }
}
