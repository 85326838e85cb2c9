//! CreateSession, ActivateSession and CloseSession (Part 4 §5.7, 1.05), and the tokens of users (§7.41).

use std::time::Duration;

use opcua::StatusCode;

use super::discovery::{ANONYMOUS, CERTIFICATE, Endpoint, TokenPolicy, USER_NAME, read_endpoints};
use super::message::{ACTIVATE_SESSION, CLOSE_SESSION, CREATE_SESSION, Fault, Head, Response};
use crate::stack::codec::{LocalizedTextRef, Reader, Writer};
use crate::stack::crypto::{Identity, MessageSecurityMode, Policy, PublicKey, encrypt_secret};
use crate::value::Hidden;

/// Timeout asked for: a dead session leaves the server's table soon, for some servers have 10 places.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an AuthenticationToken, at most.
const MOST_TOKEN: usize = 4096;
/// Bytes of a nonce of a server, at most.
const MOST_NONCE: usize = 1024;
/// UserIdentityTokens' encodings.
const ANONYMOUS_TOKEN: u32 = 321;
const USER_NAME_TOKEN: u32 = 324;
const CERTIFICATE_TOKEN: u32 = 327;

/// The client that opens a session.
#[derive(Debug)]
pub(super) struct Opener<'a> {
    pub application_uri: &'a str,
    pub application_name: &'a str,
    pub session_name: &'a str,
    pub url: &'a str,
    pub nonce: Hidden<&'a [u8]>,
    /// With a secured channel.
    pub identity: Option<&'a Identity>,
    /// Bytes of a response, at most.
    pub max_response: u32,
}

pub(super) fn write_create(out: &mut Writer, head: Head<'_>, opener: &Opener<'_>) {
    head.write(CREATE_SESSION, out);
    out.text(opener.application_uri);
    out.text("urn:opcell");
    out.localized_text(LocalizedTextRef { locale: None, text: Some(opener.application_name) });
    out.i32(1);
    out.string(None);
    out.string(None);
    out.null_array();
    out.string(None);
    out.text(opener.url);
    out.text(opener.session_name);
    out.bytes(Some(opener.nonce.0));
    out.bytes(opener.identity.map(Identity::chain));
    #[expect(clippy::cast_precision_loss, reason = "a constant of 30,000")]
    out.f64(TIMEOUT.as_millis() as f64);
    out.u32(opener.max_response);
}

/// A session as the server made it.
#[derive(Debug)]
pub(super) struct Created {
    /// The AuthenticationToken as it is encoded.
    pub token: Hidden<Vec<u8>>,
    pub timeout: Duration,
    pub server_nonce: Hidden<Vec<u8>>,
    pub certificate: Vec<u8>,
    pub endpoints: Vec<Endpoint>,
    pub signature: Vec<u8>,
}

pub(super) fn read_created(body: &[u8]) -> Result<Created, Fault> {
    let mut reader = Response::read(body)?.body(CREATE_SESSION)?;
    reader.node_id()?;
    let start = reader.position();
    reader.node_id()?;
    let token = limited(reader.since(start), MOST_TOKEN)?;
    let timeout = millis(reader.f64()?);
    let nonce = limited(reader.bytes()?.unwrap_or_default(), MOST_NONCE)?;
    let certificate = reader.bytes()?.unwrap_or_default().to_vec();
    let endpoints = read_endpoints(&mut reader)?;
    for _ in 0..reader.count(8)? {
        reader.bytes()?;
        reader.bytes()?;
    }
    reader.string()?;
    let signature = reader.bytes()?.unwrap_or_default().to_vec();
    Ok(Created { token: Hidden(token), timeout, server_nonce: Hidden(nonce), certificate, endpoints, signature })
}

/// A duration of the protocol: milliseconds as a Double. Nonsense counts as nothing.
pub(super) fn millis(number: f64) -> Duration {
    const MOST: f64 = 86_400.0 * 365.0;
    if number.is_finite() && number > 0.0 {
        Duration::from_secs_f64((number / 1000.0).min(MOST))
    } else {
        Duration::ZERO
    }
}

fn limited(bytes: &[u8], most: usize) -> Result<Vec<u8>, StatusCode> {
    if bytes.len() <= most { Ok(bytes.to_vec()) } else { Err(StatusCode::BadEncodingLimitsExceeded) }
}

/// The user of a connection.
#[derive(Debug)]
pub(super) enum User<'a> {
    Anonymous,
    Name { name: &'a str, password: &'a Hidden<String> },
    Certificate(&'a Identity),
}

/// The facts on which a login rests.
#[derive(Debug)]
pub(super) struct Login<'a> {
    pub policy: Policy,
    pub mode: MessageSecurityMode,
    pub identity: Option<&'a Identity>,
    /// DER of the server's certificate alone; empty without one.
    pub server: &'a [u8],
    /// The server's certificate was found to be trusted.
    pub is_trusted: bool,
    pub server_nonce: &'a Hidden<Vec<u8>>,
    pub tokens: &'a [TokenPolicy],
    /// A password may go over the network as it is.
    pub allow_unsecured: bool,
}

impl Login<'_> {
    /// Writes ActivateSession, or says why there is no way to log in.
    pub(super) fn write(&self, out: &mut Writer, head: Head<'_>, user: &User<'_>) -> Result<(), String> {
        head.write(ACTIVATE_SESSION, out);
        let signed = [self.server, &self.server_nonce.0].concat();
        let own = self.identity.filter(|_| self.policy != Policy::None);
        signature(out, self.policy, own, &signed);
        out.null_array();
        out.null_array();
        match user {
            User::Anonymous => {
                let token = self.token(ANONYMOUS).ok_or("the server takes no anonymous users; write `user`")?;
                out.extension_object(ANONYMOUS_TOKEN, |out| out.text(&token.id));
                signature(out, Policy::None, None, &[]);
            }
            User::Name { name, password } => self.write_name(out, name, password)?,
            User::Certificate(identity) => {
                let token = self.token(CERTIFICATE).ok_or("the server takes no certificates of users")?;
                let policy = self.policy_of(token);
                if policy == Policy::None || self.server.is_empty() {
                    return Err("the server asks for no proof of a user's certificate".to_owned());
                }
                out.extension_object(CERTIFICATE_TOKEN, |out| {
                    out.text(&token.id);
                    out.bytes(Some(identity.leaf()));
                });
                signature(out, policy, Some(identity), &signed);
            }
        }
        Ok(())
    }

    fn write_name(&self, out: &mut Writer, name: &str, password: &Hidden<String>) -> Result<(), String> {
        let token = self.token(USER_NAME).ok_or("the server takes no user names")?;
        let policy = self.policy_of(token);
        let secret = password.0.as_bytes();
        let is_hidden = self.mode == MessageSecurityMode::SignAndEncrypt;
        let password = if policy == Policy::None {
            if !is_hidden && !self.allow_unsecured {
                return Err("the server wants the password without encryption".to_owned());
            }
            secret.to_vec()
        } else {
            if !self.is_trusted {
                return Err("the password is not encrypted for a certificate that is not trusted".to_owned());
            }
            let key = PublicKey::of_certificate(self.server).ok_or("the server's certificate has no RSA key")?;
            encrypt_secret(&key, policy, secret, &self.server_nonce.0)
                .map_err(|code| format!("the password cannot be encrypted ({code})"))?
        };
        out.extension_object(USER_NAME_TOKEN, |out| {
            out.text(&token.id);
            out.text(name);
            out.bytes(Some(&password));
            out.string(policy.encryption_uri());
        });
        signature(out, Policy::None, None, &[]);
        Ok(())
    }

    /// The strongest policy for a kind of token that is known here.
    fn token(&self, kind: i32) -> Option<&TokenPolicy> {
        let known = |token: &&TokenPolicy| {
            token.kind == kind && (token.policy_uri.is_empty() || Policy::from_uri(&token.policy_uri).is_some())
        };
        self.tokens.iter().filter(known).max_by_key(|token| self.policy_of(token) != Policy::None)
    }

    fn policy_of(&self, token: &TokenPolicy) -> Policy {
        Policy::from_uri(&token.policy_uri).unwrap_or(self.policy)
    }
}

/// A SignatureData (Part 4 §7.36, 1.05).
fn signature(out: &mut Writer, policy: Policy, identity: Option<&Identity>, signed: &[u8]) {
    match identity {
        Some(identity) => {
            out.string(policy.signature_uri());
            out.bytes(Some(&identity.key().sign(policy, &[signed])));
        }
        None => {
            out.string(None);
            out.bytes(None);
        }
    }
}

/// The server's nonce for the next ActivateSession.
pub(super) fn read_activated(body: &[u8]) -> Result<Hidden<Vec<u8>>, Fault> {
    let mut reader: Reader<'_> = Response::read(body)?.body(ACTIVATE_SESSION)?;
    Ok(Hidden(limited(reader.bytes()?.unwrap_or_default(), MOST_NONCE)?))
}

/// The server removes the session's subscriptions too.
pub(super) fn write_close(out: &mut Writer, head: Head<'_>) {
    head.write(CLOSE_SESSION, out);
    out.bool(true);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::crypto::decrypt_secret;
    use crate::stack::crypto::testing::identity;

    fn token(kind: i32, policy: Policy) -> TokenPolicy {
        TokenPolicy { id: format!("{kind}"), kind, policy_uri: policy.uri().to_owned() }
    }

    #[test]
    fn a_password_is_encrypted_or_goes_over_an_encrypted_channel_or_is_not_sent() {
        use MessageSecurityMode::{None as Open, Sign, SignAndEncrypt};
        let server = identity(2048);
        let (password, nonce) = (Hidden("secret".to_owned()), Hidden(vec![7; 32]));
        let (plain, encrypted) = (Policy::None, Policy::Basic256Sha256);
        for (offered, mode, is_trusted, allow_unsecured, sent) in [
            (encrypted, Open, true, false, Ok("encrypted")),
            (encrypted, Open, false, true, Err("not trusted")),
            (encrypted, SignAndEncrypt, true, false, Ok("encrypted")),
            (plain, SignAndEncrypt, true, false, Ok("plain")),
            (plain, Sign, true, false, Err("without encryption")),
            (plain, Open, false, false, Err("without encryption")),
            (plain, Open, false, true, Ok("plain")),
        ] {
            let login = Login {
                policy: if mode == Open { Policy::None } else { Policy::Aes256_Sha256_RsaPss },
                mode,
                identity: None,
                server: server.leaf(),
                is_trusted,
                server_nonce: &nonce,
                tokens: &[token(ANONYMOUS, plain), token(USER_NAME, offered)],
                allow_unsecured,
            };
            let head = Head { token: &Hidden(Vec::new()), handle: 1, hint: Duration::ZERO };
            let mut out = Writer::new();
            let written = login.write(&mut out, head, &User::Name { name: "opal", password: &password });
            let is_there = out.buf.windows(6).any(|part| part == b"secret");
            match sent {
                Err(word) => {
                    assert!(written.expect_err("refused").contains(word) && !is_there, "{offered:?} {mode:?}");
                }
                Ok(kind) => {
                    assert_eq!((written, is_there), (Ok(()), kind == "plain"), "{offered:?} {mode:?}");
                    // A ByteString of one block.
                    let length = u32::try_from(server.key().size()).expect("small").to_le_bytes();
                    let starts = out.buf.windows(4).enumerate().filter(|(_, part)| *part == length);
                    let found = starts.map(|(at, _)| at + 4).any(|at| {
                        let cipher_text = out.buf.get(at..at + server.key().size()).unwrap_or_default();
                        decrypt_secret(server.key(), encrypted, cipher_text, &nonce.0) == Ok(b"secret".to_vec())
                    });
                    assert_eq!(found, kind == "encrypted", "{offered:?} {mode:?}");
                }
            }
        }
    }
}
