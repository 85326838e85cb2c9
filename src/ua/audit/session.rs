//! Sessions: created, activated, ended, cancelled (Part 4 §6.5.6 and Part 5 §6.4.7 to §6.4.11, 1.05).
//!
//! There is no AuditUrlMismatchEvent: the type is deprecated, and under `advertise: [auto]` every name that a client
//! dials is the server's.

use opcua::StatusCode;

use super::{AuditFields, Channel, ClaimedIdentity, channel_id, kinds, session_id, thumbprint_value, who};
use crate::audit::{Kind, Record, Who};
use crate::stack::channel::Peer;
use crate::stack::transport::RefusedCertificate;
use crate::ua::events::Fields;
use crate::ua::server::Server;
use crate::ua::session::{Caller, Ending, EndingText, LoginRefused, Session};
use crate::ua::space::Field;
use crate::ua::users::Turn;
use crate::value::Value;

/// Characters that are kept of the name of an unknown user.
const LONGEST_NAME: usize = 300;

impl Caller {
    fn channel(&self) -> Channel {
        Channel { id: self.channel, peer: self.peer }
    }

    fn who(&self) -> Who {
        Who {
            channel: self.channel,
            peer: Some(self.peer.ip()),
            port: self.peer.port(),
            thumbprint: self.security.peer.as_ref().map(|peer| peer.thumbprint),
            ..Who::default()
        }
    }
}

impl Server {
    /// `application`: what the client says it is.
    pub fn audit_created(
        &self,
        caller: &Caller,
        entry: &str,
        application: &str,
        outcome: Result<&Session, StatusCode>,
    ) {
        let peer = caller.security.peer.as_deref();
        let status = outcome.err().unwrap_or(StatusCode::Good);
        if let (StatusCode::BadCertificateUriInvalid, Some(peer)) = (status, peer) {
            let refused = RefusedCertificate { code: status, chain: peer.leaf().to_vec() };
            let message = "the ApplicationUri of CreateSession is not the certificate's";
            caller.channel().refused_certificate(self, &refused, message, Some(application));
        }
        let (kind, session) = match outcome {
            Ok(session) => (Kind::SessionCreated, session.id),
            Err(_) => (Kind::SessionRefused, 0),
        };
        let who = Who { application: application.to_owned(), session, ..caller.who() };
        let message = outcome.map_or_else(|_| String::new(), |session| session.name.clone());
        self.audit(Record::new(kind, status, who).with(message), || {
            let timeout = outcome.map_or(0.0, |session| session.timeout.as_secs_f64() * 1000.0);
            let fields = of_channel(caller.channel, peer)
                .with(Field::SessionId, session_id(session))
                .with(Field::RevisedSessionTimeout, Value::Double(timeout));
            Some(AuditFields {
                kind: kinds::CREATE_SESSION,
                source_name: "Session/CreateSession",
                system: "System/CreateSession",
                entry: entry.to_owned(),
                fields,
                ..AuditFields::default()
            })
        });
    }

    pub fn audit_activated(
        &self,
        caller: &Caller,
        entry: &str,
        claim: &ClaimedIdentity<'_>,
        session: Option<&Session>,
        outcome: Result<(), &LoginRefused>,
    ) {
        let known = session.map(who).unwrap_or_default();
        let who = match outcome {
            Ok(()) => Who { port: caller.peer.port(), peer: Some(caller.peer.ip()), ..known },
            Err(_) => {
                let (application, session) = (known.application, known.session);
                let user = claim.name().chars().take(LONGEST_NAME).collect();
                Who { user, application, session, certificate: claim.certificate(), ..caller.who() }
            }
        };
        let (kind, status, message) = match outcome {
            Ok(()) => (Kind::SessionActivated, StatusCode::Good, String::new()),
            Err(refused) => {
                let why = refused.why.map_or_else(String::new, |why| why.to_string());
                (Kind::SessionActivationRefused, refused.status, why)
            }
        };
        let id = who.session;
        self.audit(Record::new(kind, status, who).with(message), || {
            let fields = of_session(id)
                .with(Field::SecureChannelId, channel_id(caller.channel))
                .with(Field::UserIdentityToken, claim.token());
            Some(AuditFields {
                kind: kinds::ACTIVATE_SESSION,
                source_name: "Session/ActivateSession",
                entry: entry.to_owned(),
                fields,
                ..AuditFields::default()
            })
        });
    }

    /// A lockout is recorded each time, also when the origin caused many records before.
    pub(in crate::ua) fn audit_lockout(&self, caller: &Caller, name: &str, turn: Turn) {
        let (kind, status, message) = match turn {
            Turn::Begins => {
                let message = "too many wrong passwords for this name from this address: further attempts have to wait"
                    .to_owned();
                (Kind::LoginBlocked, StatusCode::BadUserAccessDenied, message)
            }
            Turn::Ends { wrong } => {
                let message = format!("the right password came after {wrong} wrong ones");
                (Kind::LoginUnblocked, StatusCode::Good, message)
            }
        };
        let who = Who { user: name.chars().take(LONGEST_NAME).collect(), ..caller.who() };
        self.audit_by_kind(Record::new(kind, status, who).with(message));
    }

    pub(in crate::ua) fn audit_ended(&self, session: &Session, why: &Ending) {
        let EndingText { source_name, message } = why.text();
        let who = who(session);
        self.audit(Record::new(Kind::SessionClosed, StatusCode::Good, who).with(message), || {
            let entry = if let Ending::Client(entry) = why { entry.clone() } else { String::new() };
            let fields = of_session(session.id);
            Some(AuditFields { kind: kinds::SESSION, source_name, entry, fields, ..AuditFields::default() })
        });
    }

    /// TransferSubscriptions (Part 4 §6.5.10, 1.05). There are no SessionDiagnostics objects to be its source, so it is the
    /// Server object, as for the others.
    pub fn audit_transferred(&self, session: &Session, entry: &str, status: StatusCode) {
        self.audit(Record::new(Kind::SessionTransfer, status, who(session)), || {
            let (kind, source_name) = (kinds::SESSION, "Session/TransferSubscriptions");
            let fields = of_session(session.id);
            Some(AuditFields { kind, source_name, entry: entry.to_owned(), fields, ..AuditFields::default() })
        });
    }

    pub fn audit_cancelled(&self, session: &Session, entry: &str, handle: u32) {
        let record = Record::new(Kind::SessionCancel, StatusCode::Good, who(session));
        self.audit(record.with(format!("request handle {handle}")), || {
            let fields = of_session(session.id).with(Field::RequestHandle, Value::UInt32(handle));
            let (kind, source_name) = (kinds::CANCEL, "Session/Cancel");
            Some(AuditFields { kind, source_name, entry: entry.to_owned(), fields, ..AuditFields::default() })
        });
    }
}

fn of_session(session: u32) -> Fields {
    Fields::default().with(Field::SessionId, session_id(session))
}

fn of_channel(channel: u32, peer: Option<&Peer>) -> Fields {
    Fields::default()
        .with(Field::SecureChannelId, channel_id(channel))
        .with(Field::ClientCertificate, peer.map_or(Value::Null, |peer| Value::ByteString(peer.leaf().into())))
        .with(Field::ClientCertificateThumbprint, thumbprint_value(peer.map(|peer| &peer.thumbprint)))
}
