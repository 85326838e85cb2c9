//! The server's end of one connection.
//!
//! ```text
//! Hello ──HEL──► Opening ──OPN──► (job) ──opened──► Open ──CLO, a fault, a deadline──► Closed
//!                                   ▲                 │
//!                                   └────OPN renew────┘
//! ```

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use opcua::StatusCode;

use super::conversation::{Complete, Conversation, Negotiated};
use super::open::{AsymmetricHeader, OpenJob, Opened};
use super::pace::Bucket;
use super::sequence::{Sequence, Sequences};
use super::token::Role;
use super::{Caller, CertificateCheck, Pace, Peer, Refusal, Security, neighbourhood};
use crate::stack::codec::Writer;
use crate::stack::crypto::{Identities, Identity, Policy};
use crate::stack::transport::{
    Acknowledge, Fatal, Frame, FrameKind, HEADER, Hello, Input, LEAST_BUFFER, Limits, Rate, RefusedCertificate,
};

/// Settings of all channels of a server.
pub struct ServerSettings {
    pub limits: Limits,
    pub identities: Arc<Identities>,
    /// In addition to None, which is always there: discovery is open to all.
    pub policies: ArcSwap<Vec<Policy>>,
    pub check: Arc<dyn CertificateCheck>,
    /// Handshakes that need the private key, by address.
    pub handshakes: Pace,
}

/// Next action of the connection's task. Bodies borrow from the input, so the channel may answer meanwhile.
#[derive(Debug)]
pub enum Event<'i> {
    /// The Acknowledge is in `out`.
    Hello { endpoint_url: &'i str },
    /// Run the job and hand its outcome to `opened`, before anything else is received or answered.
    Open(OpenJob),
    /// A whole request, decrypted; its body begins with the type id.
    Request { request_id: u32, body: &'i [u8] },
    /// The client closed the channel; so does the server, without an answer.
    Closed,
}

#[derive(Debug)]
enum State {
    Hello,
    Opening(Negotiated),
    Open { conversation: Box<Conversation>, security: Security },
    Closed,
}

/// How often a channel with a session may be renewed.
const RENEWALS: Rate = Rate { per_second: 1, at_once: 20 };

pub struct ServerChannel {
    settings: Arc<ServerSettings>,
    id: u32,
    caller: Caller,
    state: State,
    next_token: u32,
    /// A job is out.
    opening: bool,
    authenticated: bool,
    /// The unused part of `RENEWALS`.
    renewals: Bucket,
    /// Until when the step that is under way must be done: Hello, open, or a half-sent message.
    step_deadline: Option<Instant>,
}

/// A whole message or step, as positions in the input.
enum Found {
    Hello(Frame),
    Open(OpenJob),
    InPlace(Frame, u32, std::ops::Range<usize>),
    Assembled(u32),
    Closed,
}

impl ServerChannel {
    /// `id`: unique among the server's channels and not 0.
    pub fn new(
        settings: Arc<ServerSettings>,
        id: u32,
        address: Option<std::net::SocketAddr>,
        now: Instant,
    ) -> ServerChannel {
        ServerChannel {
            step_deadline: Some(now + settings.limits.open_timeout),
            settings,
            id,
            caller: Caller { address, policy: Policy::None },
            state: State::Hello,
            next_token: 1,
            opening: false,
            authenticated: false,
            renewals: Bucket::full(RENEWALS, now),
        }
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    /// `None` before the channel is open.
    pub fn security(&self) -> Option<&Security> {
        match &self.state {
            State::Open { security, .. } => Some(security),
            _ => None,
        }
    }

    /// Whether a session is active on this channel: until then a message has at most
    /// `max_unauthenticated_message` bytes.
    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
    }

    /// The largest response body and number of chunks that the client takes; 0 is no limit.
    pub fn response_limits(&self) -> (u32, u32) {
        match &self.state {
            State::Open { conversation, .. } => {
                (conversation.sizes.peer_max_message, conversation.sizes.peer_max_chunks)
            }
            _ => (0, 0),
        }
    }

    /// When `check_deadline` must be called at the latest; `None` once closed.
    pub fn next_deadline(&self) -> Option<Instant> {
        let token = match &self.state {
            State::Open { conversation, .. } => Some(conversation.deadline()),
            _ => None,
        };
        self.step_deadline.into_iter().chain(token).min()
    }

    /// Ends a connection that did not say Hello, open a channel, finish a message or renew its token in time. The
    /// Error message is in `out`.
    pub fn check_deadline(&mut self, now: Instant, out: &mut Writer) -> Result<(), Fatal> {
        let late = match &self.state {
            _ if self.step_deadline.is_some_and(|deadline| now >= deadline) => {
                Fatal::new(StatusCode::BadTimeout, "the channel was not opened or a message not completed in time")
            }
            State::Open { conversation, .. } if now > conversation.deadline() => {
                Fatal::new(StatusCode::BadSecureChannelTokenUnknown, "the token was not renewed in time")
            }
            _ => return Ok(()),
        };
        Err(self.end(late, out))
    }

    /// Takes the next step out of the input: `None` when more bytes are needed, or while a job is out. On `Fatal` the
    /// Error message is in `out` and the connection closes.
    pub fn receive<'i>(
        &mut self,
        now: Instant,
        input: &'i mut Input,
        out: &mut Writer,
    ) -> Result<Option<Event<'i>>, Fatal> {
        if self.opening || matches!(self.state, State::Closed) {
            return Ok(None);
        }
        match self.find(now, input) {
            Ok(None) => {
                self.note_waiting(now, input);
                Ok(None)
            }
            Ok(Some(found)) => self.event(now, found, input, out).map(Some).map_err(|fatal| self.end(fatal, out)),
            Err(fatal) => Err(self.end(fatal, out)),
        }
    }

    fn end(&mut self, fatal: Fatal, out: &mut Writer) -> Fatal {
        fatal.write(out);
        self.state = State::Closed;
        self.step_deadline = None;
        fatal
    }

    /// A message that has begun must end in time.
    fn note_waiting(&mut self, now: Instant, input: &Input) {
        if let State::Open { conversation, .. } = &self.state {
            let is_waiting = input.waiting() > 0 || conversation.is_assembling();
            let deadline = now + self.settings.limits.message_timeout;
            self.step_deadline = is_waiting.then(|| self.step_deadline.unwrap_or(deadline));
        }
    }

    fn receive_limit(&self) -> usize {
        match &self.state {
            State::Hello => LEAST_BUFFER as usize,
            State::Opening(sizes) => sizes.receive_buffer,
            State::Open { conversation, .. } => conversation.sizes.receive_buffer,
            State::Closed => 0,
        }
    }

    fn find(&mut self, now: Instant, input: &mut Input) -> Result<Option<Found>, Fatal> {
        while let Some(frame) = input.next_frame(self.receive_limit())? {
            let found = match (&mut self.state, frame.header.kind) {
                (State::Hello, FrameKind::Hello) => Some(Found::Hello(frame)),
                (State::Opening(_) | State::Open { .. }, FrameKind::Open) => {
                    Some(Found::Open(self.open(now, input.bytes(&frame))?))
                }
                (State::Open { conversation, .. }, kind @ (FrameKind::Message | FrameKind::Close)) => {
                    let limit = match self.authenticated {
                        true => conversation.sizes.max_message,
                        false => self.settings.limits.max_unauthenticated_message,
                    };
                    let complete = conversation.take(now, input, &frame, limit)?;
                    // What came was whole; a message that is still in assembly keeps its deadline.
                    if complete.is_some() {
                        self.step_deadline = None;
                    }
                    found(complete, kind, frame)
                }
                _ => return Err(Fatal::new(StatusCode::BadTcpMessageTypeInvalid, "not the message that is due")),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn event<'i>(
        &mut self,
        now: Instant,
        found: Found,
        input: &'i Input,
        out: &mut Writer,
    ) -> Result<Event<'i>, Fatal> {
        Ok(match found {
            Found::Hello(frame) => {
                let hello = Hello::read(&input.bytes(&frame)[HEADER..])
                    .map_err(|status| Fatal::new(status, "this Hello is malformed or offers too small a buffer"))?;
                self.acknowledge(now, &hello, out);
                Event::Hello { endpoint_url: hello.endpoint_url }
            }
            Found::Open(job) => {
                self.opening = true;
                Event::Open(job)
            }
            Found::InPlace(frame, request_id, part) => Event::Request { request_id, body: input.part(&frame, part) },
            Found::Assembled(request_id) => Event::Request { request_id, body: input.assembled() },
            Found::Closed => {
                self.state = State::Closed;
                self.step_deadline = None;
                Event::Closed
            }
        })
    }

    fn acknowledge(&mut self, now: Instant, hello: &Hello<'_>, out: &mut Writer) {
        let limits = &self.settings.limits;
        let acknowledge = Acknowledge::to(hello, limits);
        acknowledge.write(out);
        self.step_deadline = Some(now + limits.open_timeout);
        self.state = State::Opening(Negotiated {
            receive_buffer: acknowledge.receive_buffer as usize,
            send_buffer: acknowledge.send_buffer as usize,
            max_message: limits.max_message,
            max_chunks: limits.max_chunks,
            peer_max_message: hello.max_message,
            peer_max_chunks: hello.max_chunks,
        });
    }

    /// The checks of an open request that cost little, before any private key is touched.
    fn open(&mut self, now: Instant, chunk: &[u8]) -> Result<OpenJob, Fatal> {
        let header = AsymmetricHeader::read(chunk)?;
        let may_renew = header.policy == Policy::None || self.renewals.take(RENEWALS, now);
        let (current, numbers) = match &self.state {
            State::Open { security, conversation } => {
                (Some(security), Some(Sequences { received: conversation.received, sent: conversation.sent }))
            }
            _ => (None, None),
        };
        if header.channel != if current.is_some() { self.id } else { 0 } {
            return Err(Fatal::new(StatusCode::BadTcpSecureChannelUnknown, "not this connection's channel"));
        }
        let (identity, peer) = match header.policy {
            Policy::None => {
                (current.map_or_else(|| self.settings.identities.newest(), |current| current.own.clone()), None)
            }
            _ => {
                let identity = self.addressed(&header, current)?;
                self.check_pace(may_renew, now)?;
                (Some(identity), Some(self.peer(&header, current)?))
            }
        };
        if current.is_some_and(|current| current.policy != header.policy) {
            return Err(Fatal::new(StatusCode::BadSecurityPolicyRejected, "a renewal keeps the security policy"));
        }
        let new = Sequence::new(header.policy.legacy_sequence_numbers());
        let Sequences { received, sent } = numbers.unwrap_or(Sequences { received: new, sent: new });
        let token = self.next_token;
        self.next_token = self.next_token.checked_add(1).ok_or(Fatal::security("token ids are used up"))?;
        Ok(OpenJob {
            sealed: header.sealed,
            policy: header.policy,
            identity,
            peer,
            limits: self.settings.limits.clone(),
            channel: self.id,
            token,
            renewed: current.map(|current| current.mode),
            received,
            sent,
            chunk: chunk.to_vec(),
        })
    }

    /// Before anything is computed: looking at a certificate costs as much as a tenth of the private key's work.
    fn check_pace(&self, may_renew: bool, now: Instant) -> Result<(), Fatal> {
        let Some(address) = self.caller.address else { return Ok(()) };
        if self.authenticated {
            // Not from its address's share: no neighbour keeps a session from its next token.
            let refused = Fatal::new(StatusCode::BadTcpServerTooBusy, "this channel is renewed too often");
            return if may_renew { Ok(()) } else { Err(refused) };
        }
        match self.settings.handshakes.take(neighbourhood(address.ip()), now) {
            true => Ok(()),
            false => Err(Fatal::new(
                StatusCode::BadTcpServerTooBusy,
                "too many channels are opened from this address; try again in a second",
            )),
        }
    }

    /// The own certificate that the client encrypted for: a renewal keeps the channel's, a new channel may use any that
    /// is still good, for a client can't know of a newer one yet.
    fn addressed(&self, header: &AsymmetricHeader<'_>, current: Option<&Security>) -> Result<Arc<Identity>, Fatal> {
        let ServerSettings { identities, policies, .. } = &*self.settings;
        if !policies.load().contains(&header.policy) || identities.newest().is_none() {
            return Err(Fatal::new(StatusCode::BadSecurityPolicyRejected, "this security policy is not offered"));
        }
        let identity = match current {
            Some(current) => current.own.clone().filter(|own| own.thumbprint() == header.receiver_thumbprint),
            None => identities.of_thumbprint(header.receiver_thumbprint),
        };
        identity.ok_or(Fatal::new(StatusCode::BadCertificateInvalid, "this was encrypted for another certificate"))
    }

    /// The client's certificate, after its check (Part 6 §6.7.4, 1.05: both thumbprint and certificate are needed).
    fn peer(&self, header: &AsymmetricHeader<'_>, current: Option<&Security>) -> Result<Arc<Peer>, Fatal> {
        let refused = |detail: &str| Fatal::security(detail);
        let known = current.and_then(|current| current.peer.as_ref());
        if known.is_some_and(|known| known.chain != header.sender) {
            return Err(refused("a renewal with another certificate"));
        }
        let caller = Caller { policy: header.policy, ..self.caller };
        let check = &self.settings.check;
        let seen = check.check_client(header.sender, &caller).map_err(|refusal| told(refusal, header.sender))?;
        match known {
            Some(known) => Ok(Arc::clone(known)),
            None => Peer::from_seen(header.policy, header.sender, seen)
                .map(Arc::new)
                .ok_or_else(|| refused("the certificate has no RSA key of 2048 to 4096 bits")),
        }
    }

    /// Applies what the job found out: the response is in `out` and the channel is open or renewed.
    pub fn opened(&mut self, now: Instant, outcome: Result<Opened, Fatal>, out: &mut Writer) -> Result<(), Fatal> {
        self.opening = false;
        let opened = match outcome {
            Ok(opened) => opened,
            Err(fatal) => return Err(self.end(fatal, out)),
        };
        let mut is_assembling = false;
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Opening(sizes) => {
                let conversation =
                    Box::new(Conversation::new(Role::Server, self.id, sizes, opened.token, opened.numbers));
                self.state = State::Open { conversation, security: opened.security };
            }
            State::Open { mut conversation, security } => {
                conversation.received = opened.numbers.received;
                conversation.sent = opened.numbers.sent;
                conversation.renew(opened.token);
                is_assembling = conversation.is_assembling();
                self.state = State::Open { conversation, security };
            }
            // Nobody is there any more to be answered.
            State::Hello | State::Closed => return Ok(()),
        }
        // A renewal gives a half-sent message no more time.
        if !is_assembling {
            self.step_deadline = None;
        }
        out.raw(&opened.response);
        debug_assert!(self.next_deadline().is_some_and(|deadline| deadline > now));
        Ok(())
    }

    /// Answers a request: `body` writes the response, type id first, straight into `out`, where it becomes chunks.
    /// On an error, the body's own or `BadResponseTooLarge` for a response that the client would not take, `out` is as
    /// it was: answer with a fault then.
    pub fn respond(
        &mut self,
        now: Instant,
        out: &mut Writer,
        request_id: u32,
        body: impl FnOnce(&mut Writer) -> Result<(), StatusCode>,
    ) -> Result<(), StatusCode> {
        match &mut self.state {
            State::Open { conversation, .. } if !self.opening => {
                conversation.send(now, out, FrameKind::Message, request_id, body)
            }
            _ => Err(StatusCode::BadSecureChannelClosed),
        }
    }
}

/// The error for a refused client. Bad_SecurityChecksFailed must have no reason (Part 6 §6.7.3, 1.05), so its text is
/// that of a wrong signature; any other code comes with the clause of the rule.
fn told(refusal: Refusal, chain: &[u8]) -> Fatal {
    let refused = Some(Box::new(RefusedCertificate { code: refusal.code, chain: chain.to_vec() }));
    match refusal.status {
        StatusCode::BadSecurityChecksFailed => Fatal { refused, ..Fatal::security(refusal.rule) },
        status => Fatal {
            status,
            refused,
            reason: "the certificate is refused; the server's log says by which rule, and what mends it".into(),
            detail: Some(refusal.rule),
        },
    }
}

/// A whole Close is the end whatever it says; an aborted request was never there.
fn found(complete: Option<Complete>, kind: FrameKind, frame: Frame) -> Option<Found> {
    match (complete?, kind) {
        (_, FrameKind::Close) => Some(Found::Closed),
        (Complete::InPlace { request, part }, _) => Some(Found::InPlace(frame, request, part)),
        (Complete::Assembled { request }, _) => Some(Found::Assembled(request)),
        (Complete::Aborted { .. }, _) => None,
    }
}
