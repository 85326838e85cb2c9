//! What a client says of itself in ActivateSession, read for the audit: never the password.

use std::sync::Arc;

use crate::stack::codec::{ExtensionRef, Reader, Writer};
use crate::value::Value;

/// Encoding ids of the identity tokens (Part 6 annex A, 1.05).
const ANONYMOUS_TOKEN: u32 = 321;
const USER_NAME_TOKEN: u32 = 324;
const X509_TOKEN: u32 = 327;

/// An identity token without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim<'a> {
    Anonymous {
        policy: &'a str,
    },
    UserName {
        policy: &'a str,
        name: &'a str,
    },
    Certificate {
        policy: &'a str,
        der: &'a [u8],
    },
    /// Of another kind, or not well-formed.
    Unknown,
}

impl<'a> Claim<'a> {
    /// Out of the body of an ActivateSession request, behind its RequestHeader.
    pub fn read(body: &'a [u8]) -> Claim<'a> {
        Claim::try_read(body).unwrap_or(Claim::Unknown)
    }

    fn try_read(body: &'a [u8]) -> Option<Claim<'a>> {
        let reader = &mut Reader::new(body);
        reader.string().ok()?;
        reader.bytes().ok()?;
        for _ in 0..reader.count(8).ok()? {
            reader.bytes().ok()?;
            reader.bytes().ok()?;
        }
        for _ in 0..reader.count(4).ok()? {
            reader.text().ok()?;
        }
        Claim::of_token(reader.extension_object().ok()?)
    }

    fn of_token(token: ExtensionRef<'a>) -> Option<Claim<'a>> {
        if token.type_id.is_null() {
            return Some(Claim::Anonymous { policy: "" });
        }
        let reader = &mut Reader::new(token.body?);
        let kind = token.type_id.standard()?;
        let policy = reader.text().ok()?;
        match kind {
            ANONYMOUS_TOKEN => Some(Claim::Anonymous { policy }),
            USER_NAME_TOKEN => Some(Claim::UserName { policy, name: reader.text().ok()? }),
            X509_TOKEN => Some(Claim::Certificate { policy, der: reader.bytes().ok()?.unwrap_or_default() }),
            _ => None,
        }
    }

    /// Whom it names.
    pub fn name(&self) -> &'a str {
        match self {
            Claim::UserName { name, .. } => name,
            Claim::Anonymous { .. } | Claim::Certificate { .. } | Claim::Unknown => "",
        }
    }

    /// With which somebody wants to log in.
    pub fn certificate(&self) -> Option<Arc<[u8]>> {
        match self {
            Claim::Certificate { der, .. } => Some((*der).into()),
            Claim::Anonymous { .. } | Claim::UserName { .. } | Claim::Unknown => None,
        }
    }

    /// UserIdentityToken of the event: without the password (Part 5 §6.4.10, 1.05).
    pub fn token(&self) -> Value {
        let mut w = Writer::new();
        w.u8(22);
        match self {
            Claim::Anonymous { policy } => w.extension_object(ANONYMOUS_TOKEN, |w| w.text(policy)),
            Claim::UserName { policy, name } => w.extension_object(USER_NAME_TOKEN, |w| {
                w.text(policy);
                w.text(name);
                w.bytes(None);
                w.string(None);
            }),
            Claim::Certificate { policy, der } => w.extension_object(X509_TOKEN, |w| {
                w.text(policy);
                w.bytes(Some(der));
            }),
            Claim::Unknown => return Value::Null,
        }
        Value::Wire(w.buf.into())
    }
}
