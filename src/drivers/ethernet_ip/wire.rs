//! The socket, its session, and one exchange on it.
//!
//! Each request has a number of its own, and a reply with another one is dropped: after a time-out the connection stays usable,
//! and a late reply is never taken for that of the next request. In a connection of CIP the number is the sequence count, outside
//! of one it is the sender context.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::cip::{self, Code, Opening, Reply};
use super::frame::{self, Frame, Head, Sequenced};
use super::route::Route;
use super::settings::EthernetIp;
use super::words;
use crate::drivers::contract::LinkError;
use crate::drivers::host::plain_host;

/// Bytes that may come without having been asked for, before the link is given up.
const MOST_UNASKED: usize = 64 * 1024;
/// A message outside of a connection has at most about 500 bytes in Logix, with the router's envelope.
pub(crate) const LEAST_SIZE: u16 = 500;
/// Sizes of a connection that are asked for, one after the other, with the sequence count.
const SIZES: [u16; 2] = [4_000, 500];
/// Version of the encapsulation, and its options.
const VERSION: [u8; 4] = [1, 0, 0, 0];

/// The PLC, and the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    host: String,
    port: u16,
    shown: Option<String>,
    route: Route,
}

/// The text that logs and clients may see.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shown {
            Some(shown) => f.write_str(shown),
            None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Target {
    pub(crate) fn new(settings: &EthernetIp) -> Target {
        let EthernetIp { host, port, shown, .. } = settings;
        Target { host: host.clone(), port: *port, shown: shown.clone(), route: settings.route() }
    }

    /// Connections with the same key share a link.
    pub(crate) fn key(&self) -> String {
        format!("{}:{} {}", plain_host(&self.host), self.port, self.route)
    }
}

/// Longest messages of CIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub request: usize,
    pub reply: usize,
}

/// A connection of CIP that is open.
#[derive(Debug, Clone, Copy)]
struct Connection {
    of: Opening,
    /// The PLC's number of it.
    theirs: u32,
}

pub(crate) struct Wire {
    target: Target,
    stream: Option<TcpStream>,
    session: u32,
    context: u64,
    sequence: u16,
    connection: Option<Connection>,
    /// A connection in which a reply did not come: it may be gone in the PLC, and another one is opened before the next request.
    silent: Option<Connection>,
    /// The last attempt to open a connection of CIP was never answered; the next one does without.
    is_unanswered: bool,
    room: Room,
    has_new_room: bool,
    sent: Vec<u8>,
    received: Vec<u8>,
    /// The frame with the last reply.
    reply: Vec<u8>,
}

/// How a request travels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In the connection of CIP if there is one, else by the route.
    Usual,
    /// To the network module itself.
    Module,
}

impl Wire {
    pub(crate) fn new(target: Target) -> Wire {
        let room = room_without(&target.route);
        Wire {
            target,
            stream: None,
            session: 0,
            context: fastrand::u64(..),
            sequence: fastrand::u16(..),
            connection: None,
            silent: None,
            is_unanswered: false,
            room,
            has_new_room: false,
            sent: Vec::with_capacity(1_024),
            received: Vec::with_capacity(4_096),
            reply: Vec::with_capacity(4_096),
        }
    }

    pub(crate) fn room(&self) -> Room {
        self.room
    }

    /// True once after the length of messages has changed.
    pub(crate) fn takes_new_room(&mut self) -> bool {
        std::mem::take(&mut self.has_new_room)
    }

    /// The bytes of the last reply, in which ranges of replies count.
    pub(crate) fn reply(&self) -> &[u8] {
        &self.reply
    }

    pub(crate) async fn connect(&mut self) -> Result<(), LinkError> {
        self.stream = None;
        self.connection = None;
        self.silent = None;
        self.session = 0;
        self.received.clear();
        let lost = |error: std::io::Error| LinkError::Lost(format!("{}: {error}", self.target));
        let mut stream = TcpStream::connect((self.target.host.as_str(), self.target.port)).await.map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        // The caller bounds the time of the whole.
        let far = Instant::now() + Duration::from_secs(3_600);
        self.register(&mut stream, far).await?;
        self.open(&mut stream, far).await?;
        let room = self.present_room();
        self.has_new_room |= self.room != room;
        self.room = room;
        self.stream = Some(stream);
        Ok(())
    }

    fn present_room(&self) -> Room {
        match self.connection {
            Some(Connection { of, .. }) => {
                let most = usize::from(of.size) - 2;
                Room { request: most, reply: most }
            }
            None => room_without(&self.target.route),
        }
    }

    /// Opens another connection of CIP in place of one that was silent, on the same socket.
    async fn reopen(&mut self, stream: &mut TcpStream, deadline: Instant) -> Result<(), LinkError> {
        let Some(silent) = self.silent else { return Ok(()) };
        self.close(stream, silent, deadline).await?;
        self.is_unanswered = false;
        let opened = self.open(stream, deadline).await;
        self.is_unanswered = false;
        opened?;
        self.silent = None;
        if self.present_room() == self.room {
            return Ok(());
        }
        Err(LinkError::Lost("the PLC gives connections of another length than before".to_owned()))
    }

    /// Closes a connection of CIP without waiting for the answer, which is dropped with its number.
    async fn close(&mut self, stream: &mut TcpStream, of: Connection, deadline: Instant) -> Result<(), LinkError> {
        let route = self.target.route.bytes();
        self.context = self.context.wrapping_add(1);
        frame::begin(&mut self.sent, frame::UNCONNECTED, self.session, self.context);
        frame::put_unconnected(&mut self.sent, |out| cip::close(out, of.of, &route));
        frame::finish(&mut self.sent);
        send(stream, &self.sent, deadline).await
    }

    async fn register(&mut self, stream: &mut TcpStream, deadline: Instant) -> Result<(), LinkError> {
        self.context = self.context.wrapping_add(1);
        frame::begin(&mut self.sent, frame::REGISTER, 0, self.context);
        self.sent.extend(VERSION);
        frame::finish(&mut self.sent);
        let target = self.target.clone();
        let strange = || LinkError::Lost(format!("{target} does not speak EtherNet/IP; check `host` and `port`"));
        match send(stream, &self.sent, deadline).await {
            Ok(()) => {}
            Err(LinkError::Closed { .. }) => return Err(strange()),
            Err(error) => return Err(error),
        }
        loop {
            match self.take_frame() {
                Some(Ok(head)) if head.command == frame::REGISTER && head.context == self.context => {
                    if head.status != 0 || head.session == 0 {
                        let text = format!("{} refuses a session (status {:#x})", self.target, head.status);
                        return Err(LinkError::Lost(text));
                    }
                    self.session = head.session;
                    return Ok(());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) => return Err(strange()),
                None => match more(stream, &mut self.received).await {
                    Err(LinkError::Closed { .. }) => return Err(strange()),
                    ended => drop(ended?),
                },
            }
        }
    }

    /// Opens a connection of CIP, where the PLC has one: its messages may be longer.
    async fn open(&mut self, stream: &mut TcpStream, deadline: Instant) -> Result<(), LinkError> {
        if std::mem::take(&mut self.is_unanswered) {
            return Ok(());
        }
        let route = self.target.route.bytes();
        for size in SIZES {
            let serial = fastrand::u16(1..);
            let of = Opening { own: fastrand::u32(1..), serial, originator: fastrand::u32(..), size };
            let service = if size == SIZES[0] { cip::OPEN_LARGE } else { cip::OPEN };
            // Until the answer comes, or the connection ends, or this future is dropped.
            self.is_unanswered = true;
            let reply =
                self.exchange_on(stream, deadline, Way::Module, service, |out| cip::open(out, of, &route)).await?;
            self.is_unanswered = false;
            if reply.code.is_of_route() {
                return Err(self.no_cpu(reply.code));
            }
            if reply.code.general == cip::DONE
                && let Some(theirs) = cip::opened(&self.reply[reply.data], of)
            {
                self.connection = Some(Connection { of, theirs });
                return Ok(());
            }
        }
        Ok(())
    }

    fn no_cpu(&self, code: Code) -> LinkError {
        let Target { route, .. } = &self.target;
        let code = words::number(code);
        LinkError::Lost(format!("{}: no CPU by path {route} ({code}); check `slot` or `path`", self.target))
    }

    /// One request and its reply, whose bytes are in `reply`. A reply is that to the service.
    pub(crate) async fn exchange(
        &mut self,
        within: Duration,
        service: u8,
        build: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Reply, LinkError> {
        let Some(mut stream) = self.stream.take() else {
            return Err(LinkError::Closed { sent: false });
        };
        // While the stream is out of `self`, dropping this future closes it.
        let outcome = match self.drain(&mut stream) {
            Ok(()) => {
                let deadline = Instant::now() + within;
                match self.reopen(&mut stream, deadline).await {
                    Ok(()) => self.exchange_on(&mut stream, deadline, Way::Usual, service, build).await,
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        match outcome {
            Err(LinkError::Timeout { usable, .. }) => {
                self.silent = self.connection.take().or(self.silent);
                self.stream = Some(stream);
                Err(LinkError::Timeout { waited_ms: within.as_millis(), usable })
            }
            Err(error) if !error.is_usable() => Err(error),
            Ok(reply) if reply.code.is_of_route() && self.connection.is_none() => Err(self.no_cpu(reply.code)),
            outcome => {
                self.stream = Some(stream);
                outcome
            }
        }
    }

    async fn exchange_on(
        &mut self,
        stream: &mut TcpStream,
        deadline: Instant,
        way: Way,
        service: u8,
        build: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Reply, LinkError> {
        self.context = self.context.wrapping_add(1);
        let connection = self.connection.filter(|_| way == Way::Usual);
        let command = if connection.is_some() { frame::CONNECTED } else { frame::UNCONNECTED };
        frame::begin(&mut self.sent, command, self.session, self.context);
        match connection {
            Some(connection) => {
                self.sequence = self.sequence.wrapping_add(1);
                let of = Sequenced { connection: connection.theirs, sequence: self.sequence };
                frame::put_connected(&mut self.sent, of, build);
            }
            None if way == Way::Module || self.target.route.is_direct() => {
                frame::put_unconnected(&mut self.sent, build);
            }
            None => {
                let route = self.target.route.bytes();
                frame::put_unconnected(&mut self.sent, |out| cip::send_by(out, &route, build));
            }
        }
        frame::finish(&mut self.sent);
        send(stream, &self.sent, deadline).await?;
        self.receive(stream, deadline, command, service).await
    }

    /// Reads until the reply is there; frames of other requests are dropped.
    async fn receive(
        &mut self,
        stream: &mut TcpStream,
        deadline: Instant,
        command: u16,
        service: u8,
    ) -> Result<Reply, LinkError> {
        let mut came = 0;
        loop {
            while let Some(head) = self.take_frame() {
                if let Some(reply) = self.match_reply(head?, command, service)? {
                    return Ok(reply);
                }
            }
            if came > MOST_UNASKED {
                return Err(LinkError::Lost("the peer sends without end".to_owned()));
            }
            match timeout_at(deadline, more(stream, &mut self.received)).await {
                Ok(Ok(count)) => came += count,
                Ok(Err(LinkError::Closed { .. })) if came == 0 => return Err(LinkError::Closed { sent: true }),
                Ok(Err(LinkError::Closed { .. })) => {
                    return Err(LinkError::Lost("the peer closed the connection in the middle of a reply".to_owned()));
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(LinkError::Timeout { waited_ms: 0, usable: true }),
            }
        }
    }

    /// The reply to the present request, if the last frame is it.
    fn match_reply(&self, head: Head, command: u16, service: u8) -> Result<Option<Reply>, LinkError> {
        let is_ours = head.command == command && head.session == self.session;
        // In a connection the sender context is not the request's in all devices; the sequence count is.
        let has_context = head.context == self.context;
        if !is_ours || (command == frame::UNCONNECTED && !has_context) {
            return Ok(None);
        }
        if head.status != 0 {
            let text = format!("the peer refuses the request (status {:#x} of the encapsulation)", head.status);
            return if has_context { Err(LinkError::Lost(text)) } else { Ok(None) };
        }
        let Some(message) = frame::message(&self.reply, frame::HEADER..self.reply.len()) else {
            return if has_context { Err(garbage("answers with items that are no reply", true)) } else { Ok(None) };
        };
        let connection = self.connection.filter(|_| command == frame::CONNECTED);
        // cpppo 5.2.5 answers with the number of its own end.
        let is_of = |of: Sequenced, connection: Connection| {
            of.sequence == self.sequence && [connection.of.own, connection.theirs].contains(&of.connection)
        };
        let is_mine = match (message.connected, connection) {
            (Some(of), Some(connection)) => is_of(of, connection),
            (None, None) => true,
            _ => false,
        };
        if !is_mine {
            return Ok(None);
        }
        let reply = cip::reply(&self.reply, message.data)
            .ok_or_else(|| garbage("answers with bytes that are no reply of CIP", true))?;
        let is_of_router = reply.service == cip::SEND && reply.code.is_of_route();
        if reply.service != service && !is_of_router {
            return Err(garbage("answers to another service than it was asked for", true));
        }
        Ok(Some(reply))
    }

    /// Takes the next whole frame out of what was received into `reply`; `None` when there is none.
    fn take_frame(&mut self) -> Option<Result<Head, LinkError>> {
        match frame::next(&self.received) {
            Frame::More => None,
            Frame::Broken => Some(Err(garbage("answers with bytes that are no frame of EtherNet/IP", false))),
            Frame::Whole { head, payload } => {
                self.reply.clear();
                self.reply.extend_from_slice(&self.received[..payload.end]);
                self.received.drain(..payload.end);
                Some(Ok(head))
            }
        }
    }

    /// Drops what came without a request. Half a frame stays, so that the stream keeps its step.
    fn drain(&mut self, stream: &mut TcpStream) -> Result<(), LinkError> {
        let mut came = 0;
        loop {
            while let Some(head) = self.take_frame() {
                head?;
            }
            if came > MOST_UNASKED {
                return Err(LinkError::Lost("the peer sends without being asked".to_owned()));
            }
            match more(stream, &mut self.received).now_or_never() {
                None => return Ok(()),
                Some(Ok(count)) => came += count,
                Some(Err(LinkError::Closed { .. })) => return Err(LinkError::Closed { sent: false }),
                Some(Err(error)) => return Err(error),
            }
        }
    }

    /// Takes over the open connection of another wire to the same place.
    pub(crate) fn adopt(&mut self, old: &mut Wire) -> bool {
        let is_same = self.target.key() == old.target.key();
        if is_same {
            std::mem::swap(self, old);
            std::mem::swap(&mut self.target, &mut old.target);
        }
        is_same
    }

    /// Closes the connection of CIP, the session and the socket, without waiting for an answer.
    pub(crate) async fn disconnect(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        let deadline = Instant::now() + Duration::from_millis(500);
        if let Some(connection) = self.connection.take() {
            // The link is given up whatever the peer says to it.
            drop(self.close(&mut stream, connection, deadline).await);
        }
        frame::begin(&mut self.sent, frame::UNREGISTER, self.session, self.context.wrapping_add(1));
        drop(send(&mut stream, &self.sent, deadline).await);
        drop(stream.shutdown().await);
    }
}

/// Longest messages without a connection of CIP.
fn room_without(route: &Route) -> Room {
    let most = usize::from(LEAST_SIZE);
    let envelope = if route.is_direct() { 0 } else { cip::envelope(&route.bytes()) };
    Room { request: most.saturating_sub(envelope), reply: most }
}

async fn send(stream: &mut TcpStream, bytes: &[u8], deadline: Instant) -> Result<(), LinkError> {
    match timeout_at(deadline, stream.write_all(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if is_closed(&error) => Err(LinkError::Closed { sent: true }),
        Ok(Err(error)) => Err(LinkError::Lost(format!("sending: {error}"))),
        Err(_) => Err(LinkError::Lost("the peer takes no data".to_owned())),
    }
}

/// Returns the number of bytes that came.
async fn more(stream: &mut TcpStream, received: &mut Vec<u8>) -> Result<usize, LinkError> {
    match stream.read_buf(received).await {
        Ok(0) => Err(LinkError::Closed { sent: true }),
        Ok(count) => Ok(count),
        Err(error) if is_closed(&error) => Err(LinkError::Closed { sent: true }),
        Err(error) => Err(LinkError::Lost(format!("receiving: {error}"))),
    }
}

fn garbage(text: &str, usable: bool) -> LinkError {
    LinkError::Garbage { text: text.to_owned(), usable }
}

/// The peer is gone, in good order or not.
fn is_closed(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}
