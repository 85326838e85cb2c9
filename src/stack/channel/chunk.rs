//! One message as chunks in the send buffer, and one chunk of a received one, both in place (Part 6 §6.7.2, 1.05).
//!
//! ```text
//! type chunk size | channel | token | sequence request | body | padding | signature
//!    3     1    4 |    4    |   4   |     4       4    |      |   1..   |    32
//!                                   ^ encrypted from here                         ^
//! ```

use std::ops::Range;

use opcua::StatusCode;

use super::sequence::Sequence;
use super::token::Token;
use crate::stack::crypto::{BLOCK, SIGNATURE};
use crate::stack::transport::{ChunkKind, Fatal, FrameKind};

/// Bytes before the body.
pub(super) const BEFORE_BODY: usize = 24;
/// Bytes before what is encrypted: message header, channel id and token id.
const CLEAR: usize = 16;
const SEQUENCE_HEADER: usize = 8;

/// Parameters for writing a message.
pub(super) struct Envelope<'a> {
    pub kind: FrameKind,
    pub channel: u32,
    pub request: u32,
    pub token: &'a Token,
    pub send_buffer: usize,
    /// 0: no limit.
    pub max_chunks: u32,
    /// 0: no limit.
    pub max_message: u32,
}

impl Envelope<'_> {
    fn encrypts(&self) -> bool {
        self.token.keys.as_ref().is_some_and(|(sealing, _)| sealing.encrypts())
    }

    /// Bytes of body that one chunk holds.
    fn capacity(&self) -> usize {
        match (&self.token.keys, self.encrypts()) {
            (None, _) => self.send_buffer - BEFORE_BODY,
            (Some(_), false) => self.send_buffer - BEFORE_BODY - SIGNATURE,
            (Some(_), true) => (self.send_buffer - CLEAR) / BLOCK * BLOCK - SEQUENCE_HEADER - SIGNATURE - 1,
        }
    }

    /// Bytes of a chunk with `body` bytes of body.
    fn size(&self, body: usize) -> usize {
        match (&self.token.keys, self.encrypts()) {
            (None, _) => BEFORE_BODY + body,
            (Some(_), false) => BEFORE_BODY + body + SIGNATURE,
            (Some(_), true) => CLEAR + (SEQUENCE_HEADER + body + 1 + SIGNATURE).next_multiple_of(BLOCK),
        }
    }

    /// Makes chunks of the message whose body begins `BEFORE_BODY` bytes after `mark` and goes to the end of `out`.
    /// `BadResponseTooLarge` when the peer would not take it; nothing was changed then.
    pub(crate) fn seal(&self, out: &mut Vec<u8>, mark: usize, sequence: &mut Sequence) -> Result<(), StatusCode> {
        let body = out.len() - mark - BEFORE_BODY;
        let capacity = self.capacity();
        let chunks = body.div_ceil(capacity).max(1);
        if exceeds(body, self.max_message) || exceeds(chunks, self.max_chunks) {
            return Err(StatusCode::BadResponseTooLarge);
        }
        let full = self.size(capacity);
        let last = body - (chunks - 1) * capacity;
        out.resize(mark + (chunks - 1) * full + self.size(last), 0);
        let message = &mut out[mark..];
        // From the back, so that no body is overwritten before it was moved.
        for number in (1..chunks).rev() {
            let length = if number + 1 == chunks { last } else { capacity };
            let from = BEFORE_BODY + number * capacity;
            message.copy_within(from..from + length, number * full + BEFORE_BODY);
        }
        for (number, chunk) in message.chunks_mut(full).enumerate() {
            let is_last = number + 1 == chunks;
            let length = if is_last { last } else { capacity };
            let kind = if is_last { b'F' } else { b'C' };
            self.finish(chunk, kind, length, sequence.next())?;
        }
        Ok(())
    }

    /// Headers, padding, signature and encryption of one chunk whose body is in its place.
    fn finish(&self, chunk: &mut [u8], kind: u8, body: usize, sequence: u32) -> Result<(), StatusCode> {
        let size = u32::try_from(chunk.len()).map_err(|_| StatusCode::BadEncodingLimitsExceeded)?;
        chunk[..3].copy_from_slice(&self.kind.code());
        chunk[3] = kind;
        for (at, number) in [(4, size), (8, self.channel), (12, self.token.id), (16, sequence), (20, self.request)] {
            chunk[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        let Some((sealing, _)) = &self.token.keys else { return Ok(()) };
        if sealing.encrypts() {
            let signature = chunk.len() - SIGNATURE;
            let padding = &mut chunk[BEFORE_BODY + body..signature];
            let count = u8::try_from(padding.len() - 1).expect("less than a block");
            padding.fill(count);
        }
        sealing.sign(chunk);
        sealing.encrypt(&mut chunk[CLEAR..])
    }
}

fn exceeds(count: usize, limit: u32) -> bool {
    limit != 0 && count > limit as usize
}

/// A chunk that proved to be the peer's.
#[derive(Debug)]
pub(super) struct Unsealed {
    pub sequence: u32,
    pub request: u32,
    /// Counted from the chunk's first byte.
    pub body: Range<usize>,
}

/// Channel and token of a chunk.
pub(super) fn channel_and_token(chunk: &[u8]) -> Result<(u32, u32), Fatal> {
    let number = |at: usize| chunk.get(at..at + 4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four")));
    number(8).zip(number(12)).ok_or(Fatal::new(StatusCode::BadTcpMessageTypeInvalid, "a chunk without its headers"))
}

/// Decrypts, verifies and unpads. Every failure is the same to the peer, and takes the same way: the padding is
/// looked at only after the signature proved to be genuine.
pub(super) fn unseal(token: &Token, chunk: &mut [u8]) -> Result<Unsealed, Fatal> {
    let body = match &token.keys {
        None => BEFORE_BODY..chunk.len(),
        Some((_, opening)) => {
            let refused = || Fatal::security("a chunk is not signed or encrypted with the channel's keys");
            if chunk.len() < BEFORE_BODY + SIGNATURE {
                return Err(refused());
            }
            opening.decrypt(&mut chunk[CLEAR..]).map_err(|_| refused())?;
            opening.verify(chunk).map_err(|_| refused())?;
            let signature = chunk.len() - SIGNATURE;
            let end = if opening.encrypts() { unpad(chunk, signature).ok_or_else(refused)? } else { signature };
            BEFORE_BODY..end
        }
    };
    let number = |at: usize| chunk.get(at..at + 4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four")));
    match number(16).zip(number(20)) {
        Some((sequence, request)) => Ok(Unsealed { sequence, request, body }),
        None => Err(Fatal::new(StatusCode::BadTcpMessageTypeInvalid, "a chunk without its headers")),
    }
}

/// Where the body ends: before the padding, whose bytes each hold the number of further padding bytes.
fn unpad(chunk: &[u8], signature: usize) -> Option<usize> {
    let count = usize::from(*chunk.get(signature.checked_sub(1)?)?);
    let end = signature.checked_sub(count + 1).filter(|end| *end >= BEFORE_BODY)?;
    chunk[end..signature].iter().all(|byte| usize::from(*byte) == count).then_some(end)
}

/// The status and text of an abort chunk (Part 6 §6.7.3, 1.05).
pub(super) fn abort_reason(body: &[u8]) -> StatusCode {
    body.first_chunk::<4>().map_or(StatusCode::BadDecodingError, |bytes| StatusCode::from(u32::from_le_bytes(*bytes)))
}

/// Effect of a chunk on the message in assembly.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// More chunks follow.
    No,
    /// The message is this chunk's body.
    InPlace,
    /// The message lies in the input's assembly.
    Assembled,
    Aborted,
}

pub(super) fn is_final(kind: ChunkKind) -> bool {
    kind == ChunkKind::Final
}
