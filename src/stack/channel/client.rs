//! The client's end: the same channel with the keys swapped. For the client driver, the benchmarks and the tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::StatusCode;

use super::conversation::{Complete, Conversation, Negotiated};
use super::open::{AsymmetricHeader, Numbers, seal_open, unseal_open};
use super::opn::{OpenRequest, OpenResponse, write_close_request};
use super::sequence::{Sequence, Sequences};
use super::token::{Role, Token};
use super::{Peer, Security};
use crate::stack::codec::Writer;
use crate::stack::crypto::{Identity, MessageSecurityMode, Policy, derive_keys, fill_random};
use crate::stack::transport::{Acknowledge, Fatal, FrameKind, HEADER, Hello, Input, Limits, PeerError};
use crate::value::Hidden;

pub struct ClientSettings {
    pub limits: Limits,
    pub policy: Policy,
    pub mode: MessageSecurityMode,
    /// Needed with every policy but None.
    pub identity: Option<Arc<Identity>>,
    /// The server's certificate, which the caller trusts; needed with every policy but None.
    pub server: Option<Arc<Peer>>,
    /// Of a token, as asked for.
    pub lifetime: Duration,
}

#[derive(Debug)]
pub enum ClientEvent<'i> {
    /// The server answered Hello; `open` is next.
    Acknowledged,
    /// The channel is open or renewed.
    Opened,
    Response {
        request_id: u32,
        body: &'i [u8],
    },
    /// The server gave up on a response.
    Aborted {
        request_id: u32,
        status: StatusCode,
    },
}

#[derive(Debug)]
enum State {
    New,
    Acknowledged(Negotiated),
    Open(Box<Conversation>),
    Closed,
}

/// An open request that waits for its response.
#[derive(Debug)]
struct Pending {
    request: u32,
    nonce: Hidden<Vec<u8>>,
}

pub struct ClientChannel {
    settings: ClientSettings,
    state: State,
    pending: Option<Pending>,
    next_request: u32,
    /// Numbers of the first open request and its response, until there is a conversation.
    numbers: Sequences,
}

impl ClientChannel {
    pub fn new(settings: ClientSettings) -> ClientChannel {
        let new = Sequence::new(settings.policy.legacy_sequence_numbers());
        ClientChannel {
            settings,
            state: State::New,
            pending: None,
            next_request: 1,
            numbers: Sequences { received: new, sent: new },
        }
    }

    /// `None` before the channel is open.
    pub fn security(&self) -> Option<Security> {
        let ClientSettings { policy, mode, server, identity, .. } = &self.settings;
        matches!(self.state, State::Open(_)).then(|| Security {
            policy: *policy,
            mode: *mode,
            peer: server.clone(),
            own: identity.clone(),
        })
    }

    pub fn channel_id(&self) -> u32 {
        match &self.state {
            State::Open(conversation) => conversation.channel,
            _ => 0,
        }
    }

    /// When to call `open` again.
    pub fn renew_at(&self) -> Option<Instant> {
        match &self.state {
            State::Open(conversation) => Some(conversation.renew_at()),
            _ => None,
        }
    }

    /// An open request waits for its response.
    pub fn is_opening(&self) -> bool {
        self.pending.is_some()
    }

    pub fn hello(&self, endpoint_url: &str, out: &mut Writer) {
        let limits = &self.settings.limits;
        Hello {
            version: 0,
            receive_buffer: limits.receive_buffer,
            send_buffer: limits.send_buffer,
            max_message: limits.max_message,
            max_chunks: limits.max_chunks,
            endpoint_url,
        }
        .write(out);
    }

    fn keys(&self) -> Option<(&Identity, &Peer)> {
        if self.settings.policy == Policy::None {
            return None;
        }
        self.settings.identity.as_deref().zip(self.settings.server.as_deref())
    }

    /// Asks for a channel, or for a new token of the open one. With a policy other than None this takes milliseconds.
    pub fn open(&mut self, out: &mut Writer) -> Result<(), Fatal> {
        let policy = self.settings.policy;
        if policy != Policy::None && self.keys().is_none() {
            return Err(Fatal::new(StatusCode::BadConfigurationError, "this policy needs both certificates"));
        }
        let (channel, sequence) = match &mut self.state {
            State::Open(conversation) => (conversation.channel, conversation.sent.next()),
            _ => (0, self.numbers.sent.next()),
        };
        let request = self.take_request();
        let mut nonce = vec![0; policy.nonce_length()];
        fill_random(&mut nonce);
        let message = OpenRequest {
            handle: request,
            renew: channel != 0,
            mode: self.settings.mode as i32,
            nonce: Hidden(&nonce),
            lifetime: u32::try_from(self.settings.lifetime.as_millis()).unwrap_or(u32::MAX),
        };
        let chunk = seal_open(channel, policy, self.keys(), Numbers { sequence, request }, |out| message.write(out))?;
        out.raw(&chunk);
        self.pending = Some(Pending { request, nonce: Hidden(nonce) });
        Ok(())
    }

    fn take_request(&mut self) -> u32 {
        let request = self.next_request;
        self.next_request = self.next_request.wrapping_add(1).max(1);
        request
    }

    /// Sends a request and tells its id. Several may be under way.
    pub fn request(
        &mut self,
        now: Instant,
        out: &mut Writer,
        body: impl FnOnce(&mut Writer) -> Result<(), StatusCode>,
    ) -> Result<u32, StatusCode> {
        let request = self.take_request();
        let State::Open(conversation) = &mut self.state else { return Err(StatusCode::BadSecureChannelClosed) };
        conversation.send(now, out, FrameKind::Message, request, body).map(|()| request).map_err(|status| {
            if status == StatusCode::BadResponseTooLarge { StatusCode::BadRequestTooLarge } else { status }
        })
    }

    pub fn close(&mut self, now: Instant, out: &mut Writer) -> Result<(), StatusCode> {
        let request = self.take_request();
        let State::Open(mut conversation) = std::mem::replace(&mut self.state, State::Closed) else { return Ok(()) };
        conversation.send(now, out, FrameKind::Close, request, |out| {
            write_close_request(out, request);
            Ok(())
        })
    }

    /// Takes the next step out of the input; `None` when more bytes are needed. An Error of the server is a `Fatal`
    /// with its status.
    pub fn receive<'i>(&mut self, now: Instant, input: &'i mut Input) -> Result<Option<ClientEvent<'i>>, Fatal> {
        loop {
            let limit = match &self.state {
                State::Open(conversation) => conversation.sizes.receive_buffer,
                _ => self.settings.limits.receive_buffer as usize,
            };
            let Some(frame) = input.next_frame(limit)? else { return Ok(None) };
            match (&mut self.state, frame.header.kind) {
                (_, FrameKind::Error) => return Err(peer_error(&input.bytes(&frame)[HEADER..])),
                (State::New, FrameKind::Acknowledge) => {
                    self.acknowledged(&input.bytes(&frame)[HEADER..])?;
                    return Ok(Some(ClientEvent::Acknowledged));
                }
                (State::Acknowledged(_) | State::Open(_), FrameKind::Open) => {
                    self.opened(now, input.bytes(&frame))?;
                    return Ok(Some(ClientEvent::Opened));
                }
                (State::Open(conversation), FrameKind::Message) => {
                    let limit = match conversation.sizes.max_message {
                        0 => u32::MAX,
                        limit => limit,
                    };
                    return Ok(match conversation.take(now, input, &frame, limit)? {
                        None => continue,
                        Some(Complete::InPlace { request, part }) => {
                            Some(ClientEvent::Response { request_id: request, body: input.part(&frame, part) })
                        }
                        Some(Complete::Assembled { request }) => {
                            Some(ClientEvent::Response { request_id: request, body: input.assembled() })
                        }
                        Some(Complete::Aborted { request, status }) => {
                            Some(ClientEvent::Aborted { request_id: request, status })
                        }
                    });
                }
                _ => return Err(Fatal::new(StatusCode::BadTcpMessageTypeInvalid, "not the message that is due")),
            }
        }
    }

    fn acknowledged(&mut self, body: &[u8]) -> Result<(), Fatal> {
        let acknowledge =
            Acknowledge::read(body).map_err(|status| Fatal::new(status, "this Acknowledge is malformed"))?;
        let limits = &self.settings.limits;
        self.state = State::Acknowledged(Negotiated {
            receive_buffer: limits.receive_buffer.min(acknowledge.send_buffer) as usize,
            send_buffer: limits.send_buffer.min(acknowledge.receive_buffer) as usize,
            max_message: limits.max_message,
            max_chunks: if limits.max_chunks == 0 { u32::MAX } else { limits.max_chunks },
            peer_max_message: acknowledge.max_message,
            peer_max_chunks: acknowledge.max_chunks,
        });
        Ok(())
    }

    fn opened(&mut self, now: Instant, chunk: &[u8]) -> Result<(), Fatal> {
        let unasked = || Fatal::security("an open response that nobody asked for");
        let pending = self.pending.take().ok_or_else(unasked)?;
        let policy = self.settings.policy;
        let header = AsymmetricHeader::read(chunk)?;
        self.check_header(&header)?;
        let keys = self.keys().map(|(identity, server)| (identity, &server.key));
        let open = unseal_open(chunk, header.sealed, policy, keys)?;
        if open.request != pending.request {
            return Err(unasked());
        }
        let response = OpenResponse::read(&open.body)
            .map_err(|status| Fatal::new(status, "the server refused to open a channel, or its answer is malformed"))?;
        if policy != Policy::None && response.nonce.0.len() != policy.nonce_length() {
            return Err(Fatal::new(StatusCode::BadNonceInvalid, "the nonce has another length"));
        }
        let token = Token {
            id: response.token,
            lifetime: Duration::from_millis(u64::from(response.lifetime)),
            created: now,
            keys: derive_keys(policy, self.settings.mode, &pending.nonce.0, response.nonce.0),
        };
        let sequence = open.sequence;
        let follows = match std::mem::replace(&mut self.state, State::Closed) {
            State::Acknowledged(sizes) => {
                let follows = self.numbers.received.accept(sequence);
                let conversation = Conversation::new(Role::Client, response.channel, sizes, token, self.numbers);
                self.state = State::Open(Box::new(conversation));
                follows
            }
            State::Open(mut conversation) => {
                let follows = conversation.received.accept(sequence);
                conversation.renew(token);
                self.state = State::Open(conversation);
                follows
            }
            State::New | State::Closed => false,
        };
        if follows { Ok(()) } else { Err(Fatal::security(format!("sequence number {sequence} does not follow"))) }
    }

    /// The answer must come from the server that was asked, with the policy that was asked for.
    fn check_header(&self, header: &AsymmetricHeader<'_>) -> Result<(), Fatal> {
        let is_expected = header.policy == self.settings.policy
            && self.keys().is_none_or(|(identity, server)| {
                header.receiver_thumbprint == identity.thumbprint()
                    && crate::stack::crypto::certificate::leaf(header.sender) == Some(server.leaf())
            });
        if is_expected { Ok(()) } else { Err(Fatal::security("the answer is secured with another certificate")) }
    }
}

fn peer_error(body: &[u8]) -> Fatal {
    match PeerError::read(body) {
        Ok(error) => {
            Fatal { status: error.status, reason: error.reason.to_owned().into(), detail: None, refused: None }
        }
        Err(status) => Fatal::new(status, "a malformed Error message"),
    }
}
