//! The identity token of an ActivateSession as the audit records it: never with the password.

use std::sync::Arc;

use crate::stack::codec::{ExtensionRef, Reader, Writer};
use crate::value::{BuiltIn, Value};

/// Encoding ids of the identity tokens (Part 6 annex A, 1.05).
const ANONYMOUS_TOKEN: u32 = opcua::ObjectId::AnonymousIdentityToken_Encoding_DefaultBinary as u32;
const USER_NAME_TOKEN: u32 = opcua::ObjectId::UserNameIdentityToken_Encoding_DefaultBinary as u32;
const X509_TOKEN: u32 = opcua::ObjectId::X509IdentityToken_Encoding_DefaultBinary as u32;

/// An identity token without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimedIdentity<'a> {
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

impl<'a> ClaimedIdentity<'a> {
    /// Out of the body of an ActivateSession request, after its RequestHeader.
    pub fn read(body: &'a [u8]) -> ClaimedIdentity<'a> {
        ClaimedIdentity::try_read(body).unwrap_or(ClaimedIdentity::Unknown)
    }

    fn try_read(body: &'a [u8]) -> Option<ClaimedIdentity<'a>> {
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
        ClaimedIdentity::of_token(reader.extension_object().ok()?)
    }

    fn of_token(token: ExtensionRef<'a>) -> Option<ClaimedIdentity<'a>> {
        if token.type_id.is_null() {
            return Some(ClaimedIdentity::Anonymous { policy: "" });
        }
        let reader = &mut Reader::new(token.body?);
        let kind = token.type_id.standard()?;
        let policy = reader.text().ok()?;
        match kind {
            ANONYMOUS_TOKEN => Some(ClaimedIdentity::Anonymous { policy }),
            USER_NAME_TOKEN => Some(ClaimedIdentity::UserName { policy, name: reader.text().ok()? }),
            X509_TOKEN => Some(ClaimedIdentity::Certificate { policy, der: reader.bytes().ok()?.unwrap_or_default() }),
            _ => None,
        }
    }

    /// The user that it names.
    pub fn name(&self) -> &'a str {
        match self {
            ClaimedIdentity::UserName { name, .. } => name,
            ClaimedIdentity::Anonymous { .. } | ClaimedIdentity::Certificate { .. } | ClaimedIdentity::Unknown => "",
        }
    }

    /// The certificate that the user logs in with.
    pub fn certificate(&self) -> Option<Arc<[u8]>> {
        match self {
            ClaimedIdentity::Certificate { der, .. } => Some((*der).into()),
            ClaimedIdentity::Anonymous { .. } | ClaimedIdentity::UserName { .. } | ClaimedIdentity::Unknown => None,
        }
    }

    /// UserIdentityToken of the event: without the password (Part 5 §6.4.10, 1.05).
    pub fn token(&self) -> Value {
        let mut w = Writer::new();
        w.variant_head(BuiltIn::ExtensionObject);
        match self {
            ClaimedIdentity::Anonymous { policy } => w.extension_object(ANONYMOUS_TOKEN, |w| w.text(policy)),
            ClaimedIdentity::UserName { policy, name } => w.extension_object(USER_NAME_TOKEN, |w| {
                w.text(policy);
                w.text(name);
                w.bytes(None);
                w.string(None);
            }),
            ClaimedIdentity::Certificate { policy, der } => w.extension_object(X509_TOKEN, |w| {
                w.text(policy);
                w.bytes(Some(der));
            }),
            ClaimedIdentity::Unknown => return Value::Null,
        }
        Value::Wire(w.buf.into())
    }
}
