//! Events of records that stand for several acts, or that are written later: only the record is known of them.

use super::{AuditFields, channel_id, kinds, session_id, thumbprint_value};
use crate::audit::{Kind, Record};
use crate::ua::events::Fields;
use crate::ua::space::Field;

/// The event of a record by its kind.
pub(crate) fn told(record: &Record) -> AuditFields {
    let (kind, source_name, system) = match record.kind {
        Kind::ChannelOpened | Kind::ChannelRefused => {
            (kinds::OPEN_SECURE_CHANNEL, "SecureChannel/OpenSecureChannel", "System/OpenSecureChannel")
        }
        Kind::SessionCreated | Kind::SessionRefused => {
            (kinds::CREATE_SESSION, "Session/CreateSession", "System/CreateSession")
        }
        Kind::SessionActivated | Kind::SessionActivationRefused => {
            (kinds::ACTIVATE_SESSION, "Session/ActivateSession", "")
        }
        Kind::CertificateDataMismatch => (kinds::DATA_MISMATCH, "Security/Certificate", "System/OpenSecureChannel"),
        Kind::CertificateExpired => (kinds::EXPIRED, "Security/Certificate", "System/OpenSecureChannel"),
        Kind::CertificateInvalid => (kinds::INVALID, "Security/Certificate", "System/OpenSecureChannel"),
        Kind::CertificateUntrusted => (kinds::UNTRUSTED, "Security/Certificate", "System/OpenSecureChannel"),
        Kind::CertificateRevoked => (kinds::REVOKED, "Security/Certificate", "System/OpenSecureChannel"),
        Kind::CertificateMismatch => (kinds::MISMATCH, "Security/Certificate", "System/OpenSecureChannel"),
        Kind::MethodCalled => (kinds::UPDATE_METHOD, "Attribute/Call", ""),
        Kind::ConditionEnable => (kinds::CONDITION_ENABLE, "Method/Enable", ""),
        Kind::ConditionComment => (kinds::CONDITION_COMMENT, "Method/AddComment", ""),
        Kind::ConditionAcknowledge => (kinds::CONDITION_ACKNOWLEDGE, "Method/Acknowledge", ""),
        Kind::ConditionConfirm => (kinds::CONDITION_CONFIRM, "Method/Confirm", ""),
        Kind::ConditionShelve => (kinds::CONDITION_SHELVING, "Method/TimedShelve", ""),
        Kind::ConditionReset => (kinds::CONDITION_RESET, "Method/Reset", ""),
        _ => (kinds::SECURITY, "Server/Audit", "System/Audit"),
    };
    let who = &record.who;
    let mut fields =
        Fields::default().with(Field::ClientCertificateThumbprint, thumbprint_value(who.thumbprint.as_ref()));
    if who.channel != 0 {
        fields.set(Field::SecureChannelId, channel_id(who.channel));
    }
    if who.session != 0 {
        fields.set(Field::SessionId, session_id(who.session));
    }
    AuditFields { kind, source_name, system, fields, ..AuditFields::default() }
}
