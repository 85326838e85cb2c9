//! Secure channels: opened, renewed, closed, refused; and certificates that opened none (Part 5 §6.4.5 to §6.4.18, 1.05).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;

use super::{AuditFields, channel_id, kinds, thumbprint_value};
use crate::audit::{Kind, Record, Who};
use crate::stack::channel::{OpenJob, Opened, Peer};
use crate::stack::crypto::{self, MessageSecurityMode, Policy};
use crate::stack::transport::{Fatal, RefusedCertificate};
use crate::ua::events::Fields;
use crate::ua::server::Server;
use crate::ua::space::Field;
use crate::value::Value;

/// An open request that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    policy: Policy,
    peer: Option<Arc<Peer>>,
    is_renewal: bool,
}

impl Opening {
    pub(crate) fn of(job: &OpenJob) -> Opening {
        Opening { policy: job.policy(), peer: job.peer().cloned(), is_renewal: job.is_renewal() }
    }

    pub(crate) fn peer(&self) -> Option<&Peer> {
        self.peer.as_deref()
    }

    pub(crate) fn is_renewal(&self) -> bool {
        self.is_renewal
    }
}

/// A connection and its channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Channel {
    pub id: u32,
    pub peer: SocketAddr,
}

impl Channel {
    fn who(&self, peer: Option<&Peer>) -> Who {
        Who {
            // The ApplicationUri that its certificate states.
            application: peer
                .and_then(|peer| peer.application_uri(crate::pki::application_uri))
                .unwrap_or_default()
                .to_owned(),
            channel: self.id,
            peer: Some(self.peer.ip()),
            port: self.peer.port(),
            thumbprint: peer.map(|peer| peer.thumbprint),
            ..Who::default()
        }
    }

    /// An AuditOpenSecureChannelEvent of the request, as far as it is known.
    fn open_event(
        &self,
        opening: Option<&Opening>,
        secured: Option<MessageSecurityMode>,
        lifetime: u32,
    ) -> AuditFields {
        let peer = opening.and_then(|opening| opening.peer.as_ref());
        let fields = Fields::default()
            .with(Field::SecureChannelId, channel_id(self.id))
            .with(Field::ClientCertificate, peer.map_or(Value::Null, |peer| Value::ByteString(peer.leaf().into())))
            .with(Field::ClientCertificateThumbprint, thumbprint_value(peer.map(|peer| &peer.thumbprint)))
            .with(Field::RequestType, Value::Int32(opening.is_some_and(Opening::is_renewal).into()))
            .with(Field::SecurityPolicyUri, opening.map_or(Value::Null, |opening| Value::text(opening.policy.uri())))
            .with(Field::SecurityMode, secured.map_or(Value::Null, |mode| Value::Int32(mode as i32)))
            .with(
                Field::RequestedLifetime,
                Value::Double(Duration::from_millis(lifetime.into()).as_secs_f64() * 1000.0),
            );
        AuditFields {
            kind: kinds::OPEN_SECURE_CHANNEL,
            source_name: "SecureChannel/OpenSecureChannel",
            system: "System/OpenSecureChannel",
            fields,
            ..AuditFields::default()
        }
    }

    /// A renewal that went well has no event (Part 4 §6.5.5, 1.05).
    pub(crate) fn opened(&self, server: &Server, opening: &Opening, opened: &Facts) {
        let kind = if opening.is_renewal { Kind::ChannelRenewed } else { Kind::ChannelOpened };
        let (policy, mode) = (opening.policy.name(), opened.mode);
        let record = Record::new(kind, StatusCode::Good, self.who(opening.peer.as_deref()));
        server.audit(record.with(format!("{policy}, {mode:?}")), || {
            (!opening.is_renewal).then(|| self.open_event(Some(opening), Some(opened.mode), opened.lifetime))
        });
    }

    /// An open request, or what should have been one.
    pub(crate) fn refused(&self, server: &Server, opening: Option<&Opening>, fatal: &Fatal) {
        let error = fatal.refused.as_deref();
        if let Some(refused) = error {
            let message = fatal.detail.as_deref().unwrap_or_default();
            self.refused_certificate(server, refused, message, None);
        }
        let status = error.map_or(fatal.status, |refused| refused.code);
        let mut who = self.who(opening.and_then(|opening| opening.peer.as_deref()));
        if let Some(leaf) = error.and_then(|refused| crypto::certificate::leaf(&refused.chain)) {
            who.thumbprint = Some(crypto::thumbprint(leaf));
        }
        let message = fatal.detail.clone().unwrap_or_else(|| fatal.reason.to_string());
        let record = Record::new(Kind::ChannelRefused, status, who).with(message);
        server.audit(record, || {
            let mut told = self.open_event(opening, None, 0);
            if let Some(refused) = error {
                let thumbprint = crypto::certificate::leaf(&refused.chain).map(crypto::thumbprint);
                told.fields.set(Field::ClientCertificate, Value::ByteString(refused.chain.as_slice().into()));
                told.fields.set(Field::ClientCertificateThumbprint, thumbprint_value(thumbprint.as_ref()));
            }
            Some(told)
        });
    }

    pub(crate) fn closed(&self, server: &Server, peer: Option<&Peer>, status: StatusCode, why: String) {
        let record = Record::new(Kind::ChannelClosed, status, self.who(peer)).with(why);
        server.audit(record, || {
            Some(AuditFields {
                kind: kinds::CHANNEL,
                source_name: "SecureChannel/CloseSecureChannel",
                system: "System/CloseSecureChannel",
                fields: Fields::default().with(Field::SecureChannelId, channel_id(self.id)),
                ..AuditFields::default()
            })
        });
    }

    /// A certificate that is not what it should be; `uri`: what the client says it is called, where that differs.
    pub(crate) fn refused_certificate(
        &self,
        server: &Server,
        refused: &RefusedCertificate,
        message: &str,
        uri: Option<&str>,
    ) {
        let (kind, event) = of_certificate(refused.code);
        let leaf = crypto::certificate::leaf(&refused.chain);
        let mut who = self.who(None);
        who.thumbprint = leaf.map(crypto::thumbprint);
        who.application = leaf.and_then(crate::pki::application_uri).unwrap_or_default();
        let record = Record::new(kind, refused.code, who).with(message.to_owned());
        server.audit(record, || {
            let certificate = leaf.unwrap_or(&refused.chain);
            let mut fields = Fields::default().with(Field::Certificate, Value::ByteString(certificate.into()));
            if let Some(uri) = uri {
                fields.set(Field::InvalidUri, Value::text(uri));
            }
            let system = "System/OpenSecureChannel";
            Some(AuditFields {
                kind: event,
                source_name: "Security/Certificate",
                system,
                fields,
                ..AuditFields::default()
            })
        });
    }
}

/// Mode and lifetime of a channel that was opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    mode: MessageSecurityMode,
    lifetime: u32,
}

impl Facts {
    pub(crate) fn of(opened: &Opened) -> Facts {
        Facts { mode: opened.security().mode, lifetime: opened.asked_lifetime() }
    }
}

/// The record and the event type of a step of Part 4 §6.1.3 (1.05) by its code.
fn of_certificate(code: StatusCode) -> (Kind, u32) {
    match code {
        StatusCode::BadCertificateUriInvalid | StatusCode::BadCertificateHostNameInvalid => {
            (Kind::CertificateDataMismatch, kinds::DATA_MISMATCH)
        }
        StatusCode::BadCertificateTimeInvalid | StatusCode::BadCertificateIssuerTimeInvalid => {
            (Kind::CertificateExpired, kinds::EXPIRED)
        }
        StatusCode::BadCertificateUntrusted => (Kind::CertificateUntrusted, kinds::UNTRUSTED),
        StatusCode::BadCertificateRevoked
        | StatusCode::BadCertificateIssuerRevoked
        | StatusCode::BadCertificateRevocationUnknown
        | StatusCode::BadCertificateIssuerRevocationUnknown => (Kind::CertificateRevoked, kinds::REVOKED),
        StatusCode::BadCertificateUseNotAllowed | StatusCode::BadCertificateIssuerUseNotAllowed => {
            (Kind::CertificateMismatch, kinds::MISMATCH)
        }
        _ => (Kind::CertificateInvalid, kinds::INVALID),
    }
}
