//! The audit trail: one path to the log, the files and, while a permitted client listens, the audit
//! events of Part 5 §6.4 (1.05).
//!
//! Only sessions with the role SecurityAdmin get audit events; Part 2 §4.14 wants them restricted, and the standard's
//! own nodeset lets no other role receive them.

mod call;
mod channel;
mod claim;
mod condition;
mod folded;
mod session;
mod writes;

pub(crate) use call::{CallAudit, Called};
pub(crate) use channel::{Channel, Facts, Opening};
pub(crate) use claim::ClaimedIdentity;
pub(crate) use condition::{ConditionAct, audit_condition};
pub(crate) use writes::{Done, WriteAudit};

use std::sync::Arc;
use std::time::Instant;

use opcua::StatusCode;

use crate::audit::{Kind, Record, Who};
use crate::model::Role;
use crate::stack::codec::{NodeIdRef, Writer};
use crate::ua::events::{Event, Fields};
use crate::ua::server::Server;
use crate::ua::session::{Identity, Session};
use crate::ua::space::{Field, OwnedNodeId};
use crate::value::{BuiltIn, UaTime, Value};

/// Event types (Part 6 annex A, 1.05).
mod kinds {
    pub(crate) const SECURITY: u32 = opcua::ObjectTypeId::AuditSecurityEventType as u32;
    pub(crate) const CHANNEL: u32 = opcua::ObjectTypeId::AuditChannelEventType as u32;
    pub(crate) const OPEN_SECURE_CHANNEL: u32 = opcua::ObjectTypeId::AuditOpenSecureChannelEventType as u32;
    pub(crate) const SESSION: u32 = opcua::ObjectTypeId::AuditSessionEventType as u32;
    pub(crate) const CREATE_SESSION: u32 = opcua::ObjectTypeId::AuditCreateSessionEventType as u32;
    pub(crate) const ACTIVATE_SESSION: u32 = opcua::ObjectTypeId::AuditActivateSessionEventType as u32;
    pub(crate) const CANCEL: u32 = opcua::ObjectTypeId::AuditCancelEventType as u32;
    pub(crate) const DATA_MISMATCH: u32 = opcua::ObjectTypeId::AuditCertificateDataMismatchEventType as u32;
    pub(crate) const EXPIRED: u32 = opcua::ObjectTypeId::AuditCertificateExpiredEventType as u32;
    pub(crate) const INVALID: u32 = opcua::ObjectTypeId::AuditCertificateInvalidEventType as u32;
    pub(crate) const UNTRUSTED: u32 = opcua::ObjectTypeId::AuditCertificateUntrustedEventType as u32;
    pub(crate) const REVOKED: u32 = opcua::ObjectTypeId::AuditCertificateRevokedEventType as u32;
    pub(crate) const MISMATCH: u32 = opcua::ObjectTypeId::AuditCertificateMismatchEventType as u32;
    pub(crate) const WRITE_UPDATE: u32 = opcua::ObjectTypeId::AuditWriteUpdateEventType as u32;
    pub(crate) const UPDATE_METHOD: u32 = opcua::ObjectTypeId::AuditUpdateMethodEventType as u32;
    pub(crate) const CONDITION_ENABLE: u32 = opcua::ObjectTypeId::AuditConditionEnableEventType as u32;
    pub(crate) const CONDITION_COMMENT: u32 = opcua::ObjectTypeId::AuditConditionCommentEventType as u32;
    pub(crate) const CONDITION_ACKNOWLEDGE: u32 = opcua::ObjectTypeId::AuditConditionAcknowledgeEventType as u32;
    pub(crate) const CONDITION_CONFIRM: u32 = opcua::ObjectTypeId::AuditConditionConfirmEventType as u32;
    pub(crate) const CONDITION_SHELVING: u32 = opcua::ObjectTypeId::AuditConditionShelvingEventType as u32;
    pub(crate) const CONDITION_RESET: u32 = opcua::ObjectTypeId::AuditConditionResetEventType as u32;
}

const SERVER_OBJECT: u32 = opcua::ObjectId::Server as u32;
/// Characters that are kept of a client's name for an action.
const LONGEST_ENTRY: usize = 1_024;
/// Success is for information; a refusal may be an attack.
const SEVERITY_DONE: u16 = 100;
const SEVERITY_REFUSED: u16 = 500;

/// The fields of an audit event that its record does not have.
#[derive(Debug, Default)]
pub struct AuditFields {
    /// Number of the event type in namespace 0.
    pub kind: u32,
    /// `None`: the Server object.
    pub source: Option<OwnedNodeId>,
    pub source_name: &'static str,
    /// The specification's text in place of an unknown user.
    pub system: &'static str,
    /// The name by which the client finds this action in its own audit log.
    pub entry: String,
    /// Fields of the type itself.
    pub fields: Fields,
}

impl Server {
    /// Records an action; `told` makes its event and is called only while a client may receive it. Not to be called with the
    /// lock of a session or a subscription.
    pub fn audit(&self, record: Record, told: impl FnOnce() -> Option<AuditFields>) {
        let Some(before) = self.trail.admit(&record, Instant::now()) else { return };
        before.into_iter().for_each(|record| self.audit_by_kind(record));
        if self.is_audit_heard()
            && let Some(told) = told()
        {
            self.raise_audit(&record, told);
        }
        self.trail.tell(record);
    }

    /// Records what was folded or limited in the last minute; to be called each second, and in the end with `is_last`.
    pub fn audit_folded(&self, is_last: bool) {
        self.trail.take_folded(Instant::now(), is_last).into_iter().for_each(|record| self.audit_by_kind(record));
    }

    /// Records something of which no more is known than the record, with an event of its kind.
    fn audit_by_kind(&self, record: Record) {
        if self.is_audit_heard() {
            self.raise_audit(&record, folded::told(&record));
        }
        self.trail.tell(record);
    }

    /// Records an act of the server's own, which has no event type.
    pub fn audit_own(&self, kind: Kind, message: impl Into<std::borrow::Cow<'static, str>>) {
        self.audit(Record::new(kind, StatusCode::Good, Who::default()).with(message), || None);
    }

    fn raise_audit(&self, record: &Record, told: AuditFields) {
        let AuditFields { kind, source, source_name, system, entry, fields } = told;
        let world = self.world();
        let space = &world.space;
        let standard = |number| space.standard_node(number).expect("namespace 0 has the Server object and all types");
        // A source that has gone meanwhile is the server's affair.
        let source = source.and_then(|source| space.find(source.borrow())).unwrap_or_else(|| standard(SERVER_OBJECT));
        let entry: String = entry.chars().take(LONGEST_ENTRY).collect();
        let fields = fields
            .with(Field::ActionTimeStamp, Value::DateTime(record.time))
            .with(Field::Status, Value::Boolean(!record.status.is_bad()))
            .with(Field::ServerId, Value::text(&self.application.uri))
            .with(Field::ClientAuditEntryId, Value::text(&entry))
            .with(Field::ClientUserId, client_user(&record.who, system))
            .with(Field::StatusCodeId, status_value(record.status));
        let message = match record.message.as_ref() {
            "" => format!("{}: {}", record.kind.name(), record.status),
            message => message.to_owned(),
        };
        let event = Event {
            id: self.next_event_id(),
            kind: standard(kind),
            source,
            source_name: source_name.to_owned(),
            time: UaTime::now(),
            message,
            severity: if record.status.is_bad() { SEVERITY_REFUSED } else { SEVERITY_DONE },
            fields,
            per_viewer: None,
        };
        self.raise(&world, &event);
    }

    /// Whether a session that may hear audit events listens for any.
    pub fn is_audit_heard(&self) -> bool {
        self.listeners
            .subscriptions()
            .iter()
            .any(|subscription| subscription.lock().client.roles.contains(Role::SECURITY_ADMIN))
    }
}

/// The acting user and client of a session. Takes its lock.
pub(crate) fn who(session: &Session) -> Who {
    let state = session.lock();
    Who {
        user: state.identity.name().to_owned(),
        application: session.client.application_uri.clone(),
        session: session.id,
        channel: state.channel,
        peer: Some(session.peer),
        port: 0,
        thumbprint: session.client.thumbprint,
        certificate: match &state.identity {
            Identity::Certificate { der, .. } => Some(Arc::clone(der)),
            Identity::Anonymous | Identity::User(_) => None,
        },
    }
}

/// Of a user with a certificate its subject (Part 5 §6.4.3, 1.05), of others the name.
fn client_user(who: &Who, system: &str) -> Value {
    let certificate = who.certificate.as_deref().and_then(crate::pki::Certificate::parse);
    match certificate {
        Some(certificate) => Value::text(&certificate.subject),
        None if who.user.is_empty() => Value::text(system),
        None => Value::text(&who.user),
    }
}

fn status_value(status: StatusCode) -> Value {
    let mut w = Writer::new();
    w.variant_head(BuiltIn::StatusCode);
    w.status(status);
    Value::Wire(w.buf.into())
}

/// The SessionId as a value; null for none.
fn session_id(number: u32) -> Value {
    let mut w = Writer::new();
    w.variant_head(BuiltIn::NodeId);
    w.node_id(if number == 0 { NodeIdRef::NULL } else { NodeIdRef::numeric(1, number) });
    Value::Wire(w.buf.into())
}

/// The same in all events of a channel and of its sessions.
fn channel_id(number: u32) -> Value {
    Value::text(&number.to_string())
}

fn thumbprint_value(thumbprint: Option<&[u8; 20]>) -> Value {
    thumbprint
        .map_or(Value::Null, |bytes| Value::text(&bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>()))
}
