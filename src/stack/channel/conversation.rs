//! State of an open channel, for both roles: tokens, sequence numbers, sizes, and the message in assembly.

use std::ops::Range;
use std::time::Instant;

use opcua::StatusCode;

use super::chunk::{BEFORE_BODY, Envelope, Unsealed, Whole, abort_reason, channel_and_token, is_final, unseal};
use super::sequence::{Sequence, Sequences};
use super::token::{Role, Token, Tokens};
use crate::stack::codec::Writer;
use crate::stack::transport::{ChunkKind, Fatal, Frame, FrameKind, Input};

/// Sizes of each direction after Hello and Acknowledge.
#[derive(Debug, Clone)]
pub(super) struct Negotiated {
    pub receive_buffer: usize,
    pub send_buffer: usize,
    /// Of what we receive.
    pub max_message: u32,
    pub max_chunks: u32,
    /// Of what we send; 0: the peer has no limit.
    pub peer_max_message: u32,
    pub peer_max_chunks: u32,
}

/// A message that is being put together.
#[derive(Debug, Clone, Copy)]
struct Assembly {
    request: u32,
    chunks: u32,
}

/// A whole message in the input.
#[derive(Debug)]
pub(super) enum Complete {
    InPlace { request: u32, part: Range<usize> },
    Assembled { request: u32 },
    Aborted { request: u32, status: StatusCode },
}

#[derive(Debug)]
pub(super) struct Conversation {
    pub channel: u32,
    pub sizes: Negotiated,
    tokens: Tokens,
    pub received: Sequence,
    pub sent: Sequence,
    assembly: Option<Assembly>,
}

impl Conversation {
    pub(crate) fn new(role: Role, channel: u32, sizes: Negotiated, token: Token, numbers: Sequences) -> Self {
        let Sequences { received, sent } = numbers;
        Conversation { channel, sizes, tokens: Tokens::new(role, token), received, sent, assembly: None }
    }

    pub(crate) fn renew(&mut self, token: Token) {
        self.tokens.renew(token);
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.tokens.deadline()
    }

    pub(crate) fn renew_at(&self) -> Instant {
        self.tokens.renew_at()
    }

    pub(crate) fn is_assembling(&self) -> bool {
        self.assembly.is_some()
    }

    /// Appends a message to `out`: `body` writes it, then it becomes chunks in place. On an error nothing was added.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        out: &mut Writer,
        kind: FrameKind,
        request: u32,
        body: impl FnOnce(&mut Writer) -> Result<(), StatusCode>,
    ) -> Result<(), StatusCode> {
        let mark = out.mark();
        out.raw(&[0; BEFORE_BODY]);
        let envelope = Envelope {
            kind,
            channel: self.channel,
            request,
            token: self.tokens.sending(now),
            send_buffer: self.sizes.send_buffer,
            max_chunks: self.sizes.peer_max_chunks,
            max_message: self.sizes.peer_max_message,
        };
        let sent = body(out).and_then(|()| envelope.seal(&mut out.buf, mark, &mut self.sent));
        if sent.is_err() {
            out.rewind(mark);
        }
        sent
    }

    /// Takes a Message or Close chunk: checks it, and adds it to the message in assembly. `limit`: bytes of body of
    /// the whole message.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        input: &mut Input,
        frame: &Frame,
        limit: u32,
    ) -> Result<Option<Complete>, Fatal> {
        let (channel, token_id) = channel_and_token(input.bytes(frame))?;
        if channel != self.channel {
            return Err(Fatal::new(StatusCode::BadTcpSecureChannelUnknown, "not this connection's channel"));
        }
        let token = self
            .tokens
            .receiving(token_id, now)
            .ok_or(Fatal::new(StatusCode::BadSecureChannelTokenUnknown, "the token is unknown or has ended"))?;
        let chunk = unseal(token, input.bytes_mut(frame))?;
        if !self.received.accept(chunk.sequence) {
            return Err(Fatal::security(format!("sequence number {} does not follow", chunk.sequence)));
        }
        self.tokens.used(token_id);
        let request = chunk.request;
        Ok(match self.assemble(input, frame, &chunk, limit)? {
            Whole::No => None,
            Whole::InPlace => Some(Complete::InPlace { request, part: chunk.body }),
            Whole::Assembled => Some(Complete::Assembled { request }),
            Whole::Aborted => {
                let status = abort_reason(input.part(frame, chunk.body));
                Some(Complete::Aborted { request, status })
            }
        })
    }

    fn assemble(&mut self, input: &mut Input, frame: &Frame, chunk: &Unsealed, limit: u32) -> Result<Whole, Fatal> {
        let (request, body) = (chunk.request, chunk.body.clone());
        let assembly = self.assembly.take();
        if assembly.is_some_and(|assembly| assembly.request != request) {
            return Err(Fatal::new(StatusCode::BadTcpMessageTypeInvalid, "chunks of two messages are mixed"));
        }
        if frame.header.chunk == ChunkKind::Abort {
            input.clear_assembly();
            return Ok(Whole::Aborted);
        }
        let chunks = assembly.map_or(0, |assembly| assembly.chunks) + 1;
        let before = if assembly.is_some() { input.assembled().len() } else { 0 };
        if chunks > self.sizes.max_chunks || before + body.len() > limit as usize {
            return Err(Fatal::new(StatusCode::BadTcpMessageTooLarge, "a message of too many bytes or chunks"));
        }
        if assembly.is_none() {
            input.clear_assembly();
            if is_final(frame.header.chunk) {
                return Ok(Whole::InPlace);
            }
        }
        input.assemble(frame, body);
        if is_final(frame.header.chunk) {
            return Ok(Whole::Assembled);
        }
        self.assembly = Some(Assembly { request, chunks });
        Ok(Whole::No)
    }
}
