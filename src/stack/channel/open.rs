//! OpenSecureChannel on the wire: the asymmetric chunk (Part 6 §6.7.2 to §6.7.4, 1.05), and the server's job that
//! takes a request apart and seals the answer, off the connection's task.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::StatusCode;

use super::opn::{OpenRequest, OpenResponse};
use super::sequence::{Sequence, Sequences};
use super::token::Token;
use super::{Peer, Security};
use crate::stack::codec::{Reader, Writer};
use crate::stack::crypto::{Identity, MessageSecurityMode, Policy, PublicKey, derive_keys, fill_random};
use crate::stack::transport::{Fatal, Limits};
use crate::value::{Hidden, UaTime};

/// An open request has one to four blocks. Each costs a private-key operation, so more are not decrypted.
const MAX_BLOCKS: usize = 16;
/// A policy's URI is shorter (Part 6 §6.7.2.3, 1.05).
const MAX_URI: usize = 255;

/// The security header of an asymmetric chunk, unverified.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AsymmetricHeader<'a> {
    pub channel: u32,
    pub policy: Policy,
    pub sender: &'a [u8],
    pub receiver_thumbprint: &'a [u8],
    /// The part after the header, counted from the chunk's first byte.
    pub sealed: Range<usize>,
}

impl<'a> AsymmetricHeader<'a> {
    pub(crate) fn read(chunk: &'a [u8]) -> Result<AsymmetricHeader<'a>, Fatal> {
        let malformed = |_| Fatal::new(StatusCode::BadDecodingError, "a malformed security header");
        let mut reader = Reader::new(chunk);
        reader.take(crate::stack::transport::HEADER).map_err(malformed)?;
        let channel = reader.u32().map_err(malformed)?;
        let uri = reader.text().map_err(malformed)?;
        let policy = Some(uri)
            .filter(|uri| uri.len() <= MAX_URI)
            .and_then(Policy::from_uri)
            .ok_or(Fatal::new(StatusCode::BadSecurityPolicyRejected, "this security policy is not offered"))?;
        let sender = reader.bytes().map_err(malformed)?.unwrap_or_default();
        let receiver_thumbprint = reader.bytes().map_err(malformed)?.unwrap_or_default();
        Ok(AsymmetricHeader { channel, policy, sender, receiver_thumbprint, sealed: reader.position()..chunk.len() })
    }
}

/// The content of an asymmetric chunk.
#[derive(Debug)]
pub(super) struct OpenBody {
    pub sequence: u32,
    pub request: u32,
    pub body: Vec<u8>,
}

/// Decrypts with our key and verifies with the peer's. Every failure is the same to the peer.
pub(super) fn unseal_open(
    chunk: &[u8],
    sealed: Range<usize>,
    policy: Policy,
    keys: Option<(&Identity, &PublicKey)>,
) -> Result<OpenBody, Fatal> {
    let mut plain = match keys {
        None => chunk[sealed].to_vec(),
        Some((identity, peer)) => decrypt_and_verify(chunk, sealed, policy, identity, peer)?,
    };
    let (Some(sequence), Some(request)) = (number(&plain, 0), number(&plain, 4)) else {
        return Err(Fatal::new(StatusCode::BadTcpMessageTypeInvalid, "a chunk without its headers"));
    };
    plain.drain(..8);
    Ok(OpenBody { sequence, request, body: plain })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().expect("four bytes")))
}

fn decrypt_and_verify(
    chunk: &[u8],
    sealed: Range<usize>,
    policy: Policy,
    identity: &Identity,
    peer: &PublicKey,
) -> Result<Vec<u8>, Fatal> {
    let refused = || Fatal::security("the open request does not decrypt or its signature is not the sender's");
    if sealed.len() > MAX_BLOCKS * identity.key().size() {
        return Err(refused());
    }
    let header = &chunk[..sealed.start];
    // What does not decrypt is verified all the same, as bytes that are no signature: a wrong padding takes as long as a
    // wrong signature. Ones, for a signature of zeros would be refused before any work.
    let decoy = || vec![1; sealed.len() / identity.key().size() * identity.key().plain_block(policy)];
    let opened = identity.key().decrypt(policy, &chunk[sealed.clone()]);
    let is_open = opened.is_ok();
    let mut plain = opened.unwrap_or_else(|_| decoy());
    let signed = plain.len().checked_sub(peer.size()).ok_or_else(refused)?;
    let is_signed = peer.verify(policy, &[header, &plain[..signed]], &plain[signed..]).is_ok();
    let end = unpad(&plain[..signed], identity.key().bits());
    match end {
        Some(end) if is_open && is_signed => plain.truncate(end),
        _ => return Err(refused()),
    }
    Ok(plain)
}

/// Where the body ends. Keys of more than 2048 bits have a second size byte at the padding's end (Part 6 §6.7.2.5, 1.05).
fn unpad(plain: &[u8], receiver_bits: usize) -> Option<usize> {
    let (extra, rest) = if receiver_bits > 2048 {
        let (last, rest) = plain.split_last()?;
        (usize::from(*last) << 8, rest)
    } else {
        (0, plain)
    };
    let low = *rest.last()?;
    let count = extra | usize::from(low);
    let end = rest.len().checked_sub(count + 1)?;
    rest[end..].iter().all(|byte| *byte == low).then_some(end)
}

/// `unpad` for any bytes and both kinds of key.
pub(super) fn fuzz_unpad(bytes: &[u8]) {
    for bits in [2048, 4096] {
        assert!(unpad(bytes, bits).is_none_or(|end| end < bytes.len()));
    }
}

/// The sequence header of a chunk (Part 6 §6.7.2.4, 1.05).
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub sequence: u32,
    pub request: u32,
}

/// One asymmetric chunk, signed with our key and encrypted with the peer's; `keys` are `None` with policy None.
pub(super) fn seal_open(
    channel: u32,
    policy: Policy,
    keys: Option<(&Identity, &Peer)>,
    numbers: Numbers,
    body: impl FnOnce(&mut Writer),
) -> Result<Vec<u8>, Fatal> {
    let mut out = Writer::new();
    out.raw(b"OPNF");
    out.u32(0);
    out.u32(channel);
    out.text(policy.uri());
    out.bytes(keys.map(|(identity, _)| identity.chain()));
    out.bytes(keys.map(|(_, peer)| peer.thumbprint.as_slice()));
    let header = out.mark();
    out.u32(numbers.sequence);
    out.u32(numbers.request);
    body(&mut out);
    let Some((identity, peer)) = keys else {
        let size = out.mark();
        out.set_count(4, size);
        return Ok(out.buf);
    };
    pad(&mut out, header, identity.key().size(), &peer.key, policy);
    let plain = out.mark() - header + identity.key().size();
    // The signature covers the size of the encrypted message.
    out.set_count(4, header + plain / peer.key.plain_block(policy) * peer.key.size());
    let signature = identity.key().sign(policy, &[&out.buf]);
    out.raw(&signature);
    let cipher_text = peer.key.encrypt(policy, &out.buf[header..]).map_err(|_| Fatal::security("encryption"))?;
    out.rewind(header);
    out.raw(&cipher_text);
    Ok(out.buf)
}

/// Fills up to whole blocks, the signature that follows included.
fn pad(out: &mut Writer, header: usize, signature: usize, receiver: &PublicKey, policy: Policy) {
    let block = receiver.plain_block(policy);
    let sizes = if receiver.bits() > 2048 { 2 } else { 1 };
    let unpadded = out.mark() - header + sizes + signature;
    let count = unpadded.next_multiple_of(block) - unpadded;
    let [low, high, ..] = count.to_le_bytes();
    out.buf.resize(out.mark() + 1 + count, low);
    if sizes == 2 {
        out.u8(high);
    }
}

/// An open request that passed the cheap checks. `run` takes milliseconds: give it to the `CryptoPool`.
#[derive(Debug)]
pub struct OpenJob {
    pub(super) chunk: Vec<u8>,
    pub(super) sealed: Range<usize>,
    pub(super) policy: Policy,
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) peer: Option<Arc<Peer>>,
    pub(super) limits: Limits,
    pub(super) channel: u32,
    pub(super) token: u32,
    /// The mode of the channel that is renewed; `None` for a new one.
    pub(super) renewed: Option<MessageSecurityMode>,
    pub(super) received: Sequence,
    pub(super) sent: Sequence,
}

/// The outcome of an `OpenJob`, for `ServerChannel::opened`.
#[derive(Debug)]
pub struct Opened {
    pub(super) response: Vec<u8>,
    pub(super) security: Security,
    pub(super) token: Token,
    pub(super) numbers: Sequences,
    /// The lifetime that the client asked for, in milliseconds.
    pub(super) asked_lifetime: u32,
}

impl Opened {
    pub fn security(&self) -> &Security {
        &self.security
    }

    /// Milliseconds that the client asked for.
    pub fn asked_lifetime(&self) -> u32 {
        self.asked_lifetime
    }
}

impl OpenJob {
    pub fn policy(&self) -> Policy {
        self.policy
    }

    pub fn peer(&self) -> Option<&Arc<Peer>> {
        self.peer.as_ref()
    }

    pub fn is_renewal(&self) -> bool {
        self.renewed.is_some()
    }

    /// Whether a private key is needed; without one `run` is cheap enough for the connection's own task.
    pub fn needs_key(&self) -> bool {
        self.policy != Policy::None
    }

    /// `now` becomes the token's beginning.
    pub fn run(mut self, now: Instant) -> Result<Opened, Fatal> {
        let keys = match (&self.identity, &self.peer) {
            (Some(identity), Some(peer)) if self.needs_key() => Some((&**identity, &**peer)),
            _ => None,
        };
        let unseal_keys = keys.map(|(identity, peer)| (identity, &peer.key));
        let open = unseal_open(&self.chunk, self.sealed.clone(), self.policy, unseal_keys)?;
        if !self.received.accept(open.sequence) {
            return Err(Fatal::security(format!("sequence number {} does not follow", open.sequence)));
        }
        let request = OpenRequest::read(&open.body)
            .map_err(|status| Fatal::new(status, "this is not a well-formed OpenSecureChannel request"))?;
        let mode = self.check(&request)?;
        let lifetime = self.lifetime(request.lifetime);
        let mut nonce = vec![0; self.policy.nonce_length()];
        fill_random(&mut nonce);
        let response = OpenResponse {
            handle: request.handle,
            channel: self.channel,
            token: self.token,
            created: UaTime::now(),
            lifetime: u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX),
            nonce: Hidden(&nonce),
        };
        let numbers = Numbers { sequence: self.sent.next(), request: open.request };
        let response = seal_open(self.channel, self.policy, keys, numbers, |out| response.write(out))?;
        let token = Token {
            id: self.token,
            lifetime,
            created: now,
            keys: derive_keys(self.policy, mode, &nonce, request.nonce.0),
        };
        let security = Security { policy: self.policy, mode, peer: self.peer, own: self.identity };
        Ok(Opened {
            response,
            security,
            token,
            numbers: Sequences { received: self.received, sent: self.sent },
            asked_lifetime: request.lifetime,
        })
    }

    /// A mode other than None needs a policy other than None and the other way round.
    fn check(&self, request: &OpenRequest<'_>) -> Result<MessageSecurityMode, Fatal> {
        let rejected = |reason| Fatal::new(StatusCode::BadSecurityModeRejected, reason);
        let mode = MessageSecurityMode::from_wire(request.mode).ok_or(rejected("unknown security mode"))?;
        if (mode == MessageSecurityMode::None) != (self.policy == Policy::None) {
            return Err(rejected("the security mode does not fit the policy"));
        }
        if request.renew != self.renewed.is_some() {
            return Err(Fatal::new(StatusCode::BadRequestTypeInvalid, "issue opens a channel, renew an open one"));
        }
        if self.renewed.is_some_and(|renewed| renewed != mode) {
            return Err(rejected("a renewal keeps the security mode"));
        }
        if self.policy != Policy::None && request.nonce.0.len() != self.policy.nonce_length() {
            return Err(Fatal::new(StatusCode::BadNonceInvalid, "the nonce has another length"));
        }
        Ok(mode)
    }

    /// As asked, within our limits; a client that asks for nothing gets the longest.
    fn lifetime(&self, requested: u32) -> Duration {
        let (least, most) = (*self.limits.channel_lifetime.start(), *self.limits.channel_lifetime.end());
        if requested == 0 { most } else { Duration::from_millis(u64::from(requested)).clamp(least, most) }
    }
}
