//! The socket, and one exchange on it.
//!
//! Each request has a reference of its own, and a reply with another one is dropped: after a time-out the connection stays
//! usable, and a late reply is never taken for that of the next request.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::frame::{self, Packet};
use super::pdu::{self, Reply, Seen};
use super::settings::S7Settings;
use super::tsap::Tsap;
use super::words::PUT_GET;
use crate::drivers::contract::LinkError;
use crate::drivers::host::plain_host;

/// Bytes that may come without having been asked for, before the link is given up.
const MOST_UNASKED: usize = 64 * 1024;
/// PLCs give at least this; requests are planned for it before the first connection.
pub(crate) const LEAST_PDU: u16 = 240;
/// With less than this no value fits into a request.
const TOO_SMALL: u16 = 64;
/// Header of a packet of data without its TPKT.
const COTP: usize = 3;

/// The PLC, and the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    host: String,
    port: u16,
    shown: Option<String>,
    local: Tsap,
    remote: Tsap,
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
    pub(crate) fn new(settings: &S7Settings) -> Target {
        Target {
            host: settings.host.clone(),
            port: settings.port,
            shown: settings.shown.clone(),
            local: settings.local(),
            remote: settings.remote(),
        }
    }

    /// Connections with the same key share a link.
    pub(crate) fn key(&self) -> String {
        format!("{}:{} {} {}", plain_host(&self.host), self.port, self.local, self.remote)
    }
}

pub(crate) struct Wire {
    target: Target,
    /// Longest PDU asked for.
    wanted: u16,
    stream: Option<TcpStream>,
    reference: u16,
    /// Longest PDU that the PLC takes and gives.
    pdu: u16,
    has_new_pdu: bool,
    /// A request of this connection was answered.
    has_answered: bool,
    sent: Vec<u8>,
    received: Vec<u8>,
    /// The parts of a PDU that has not come whole.
    parts: Vec<u8>,
    /// The last PDU.
    reply: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(target: Target, wanted: u16) -> Wire {
        Wire {
            target,
            wanted,
            stream: None,
            reference: fastrand::u16(..),
            pdu: wanted.min(LEAST_PDU),
            has_new_pdu: false,
            has_answered: false,
            sent: Vec::with_capacity(1_024),
            received: Vec::with_capacity(2_048),
            parts: Vec::new(),
            reply: Vec::with_capacity(1_024),
        }
    }

    pub(crate) fn pdu(&self) -> u16 {
        self.pdu
    }

    /// True once after the length of the PDU has changed.
    pub(crate) fn takes_new_pdu(&mut self) -> bool {
        std::mem::take(&mut self.has_new_pdu)
    }

    /// The bytes of the last reply.
    pub(crate) fn reply(&self) -> &[u8] {
        &self.reply
    }

    pub(crate) async fn connect(&mut self) -> Result<(), LinkError> {
        self.stream = None;
        self.received.clear();
        self.parts.clear();
        self.has_answered = false;
        let lost = |error: std::io::Error| LinkError::Lost(format!("{}: {error}", self.target));
        let mut stream = TcpStream::connect((self.target.host.as_str(), self.target.port)).await.map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        let size = self.ask_for_connection(&mut stream).await?;
        let pdu = self.ask_for_pdu(&mut stream).await?;
        let pdu = size.map_or(pdu, |size| pdu.min(u16::try_from(size - COTP).unwrap_or(u16::MAX)));
        self.has_new_pdu |= self.pdu != pdu;
        self.pdu = pdu;
        self.stream = Some(stream);
        Ok(())
    }

    /// Returns the longest packet that the peer takes, if it says so.
    async fn ask_for_connection(&mut self, stream: &mut TcpStream) -> Result<Option<usize>, LinkError> {
        let Target { local, remote, .. } = self.target;
        let refused = |what: &str, more: &str| {
            let keys = "check `rack`, `slot`, `resource` or `remote_tsap`";
            LinkError::Lost(format!("{} {what} for TSAP {remote}; {keys}{more}", self.target))
        };
        let gone = || refused("closes the connection at once", &format!("; or {PUT_GET}"));
        if let Err(error) = stream.write_all(&frame::connect(local, remote)).await {
            return Err(if is_closed(&error) { gone() } else { LinkError::Lost(format!("sending: {error}")) });
        }
        loop {
            match frame::next(&self.received) {
                Packet::Confirmed { size, used } => {
                    self.received.drain(..used);
                    return Ok(size);
                }
                Packet::Refused { .. } => return Err(refused("refuses the connection", "")),
                Packet::Data { .. } | Packet::Broken => return Err(no_s7(&self.target)),
                Packet::More => {}
            }
            match more(stream, &mut self.received).await {
                Err(LinkError::Closed { .. }) => return Err(gone()),
                ended => drop(ended?),
            }
        }
    }

    async fn ask_for_pdu(&mut self, stream: &mut TcpStream) -> Result<u16, LinkError> {
        let wanted = self.wanted;
        let far = Instant::now() + Duration::from_secs(3_600);
        let reply = self.exchange_on(stream, far, |out, reference| pdu::setup(out, reference, wanted)).await;
        // The caller bounds the time of the whole.
        let reply = match reply {
            Err(LinkError::Closed { .. }) => {
                return Err(LinkError::Lost(format!("{} closes the connection at once: {PUT_GET}", self.target)));
            }
            reply => reply?,
        };
        self.has_answered = false;
        let given = pdu::negotiated(&self.reply[reply.parameters]).filter(|_| reply.error == 0);
        match given.map(|given| given.min(wanted)) {
            Some(given) if given >= TOO_SMALL => Ok(given),
            Some(given) => Err(LinkError::Lost(format!("{} gives PDUs of {given} bytes only", self.target))),
            None => Err(LinkError::Lost(format!("{} agrees on no length of a PDU", self.target))),
        }
    }

    /// One request and its reply, which is in `reply`.
    pub(crate) async fn exchange(
        &mut self,
        within: Duration,
        build: impl FnOnce(&mut Vec<u8>, u16),
    ) -> Result<Reply, LinkError> {
        let Some(mut stream) = self.stream.take() else {
            return Err(LinkError::Closed { sent: false });
        };
        // While the stream is out of `self`, dropping this future closes it.
        let outcome = match self.drain(&mut stream) {
            Ok(()) => self.exchange_on(&mut stream, Instant::now() + within, build).await,
            Err(error) => Err(error),
        };
        match outcome {
            Err(LinkError::Closed { sent: true }) if !self.has_answered => {
                Err(LinkError::Lost(format!("{} closes the connection at the first request: {PUT_GET}", self.target)))
            }
            Err(LinkError::Timeout { usable, .. }) => {
                self.stream = Some(stream);
                Err(LinkError::Timeout { waited_ms: within.as_millis(), usable })
            }
            Err(error) if !error.is_usable() => Err(error),
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
        build: impl FnOnce(&mut Vec<u8>, u16),
    ) -> Result<Reply, LinkError> {
        self.reference = self.reference.checked_add(1).unwrap_or(1);
        self.sent.clear();
        self.sent.extend(frame::DATA_HEADER);
        build(&mut self.sent, self.reference);
        frame::finish(&mut self.sent);
        match timeout_at(deadline, stream.write_all(&self.sent)).await {
            Ok(Ok(())) => self.receive(stream, deadline).await,
            Ok(Err(error)) if is_closed(&error) => Err(LinkError::Closed { sent: true }),
            Ok(Err(error)) => Err(LinkError::Lost(format!("sending: {error}"))),
            Err(_) => Err(LinkError::Lost("the peer takes no data".to_owned())),
        }
    }

    /// Reads until the reply is there; PDUs of other requests are dropped.
    async fn receive(&mut self, stream: &mut TcpStream, deadline: Instant) -> Result<Reply, LinkError> {
        let mut came = 0;
        loop {
            while self.take_pdu()? {
                match pdu::see(&self.reply, self.reference) {
                    Seen::Reply(reply) => {
                        self.has_answered = true;
                        return Ok(reply);
                    }
                    Seen::Other => {}
                    Seen::Broken => return Err(garbage("answers with bytes that are no PDU of S7")),
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

    /// Takes the next whole PDU out of what was received; false when there is none.
    fn take_pdu(&mut self) -> Result<bool, LinkError> {
        loop {
            match frame::next(&self.received) {
                Packet::Data { payload, is_last, used } => {
                    self.parts.extend_from_slice(&self.received[payload]);
                    self.received.drain(..used);
                    if self.parts.len() > usize::from(self.wanted) {
                        return Err(garbage("answers with a longer PDU than was agreed on"));
                    }
                    if is_last {
                        std::mem::swap(&mut self.reply, &mut self.parts);
                        self.parts.clear();
                        return Ok(true);
                    }
                }
                Packet::Refused { .. } => return Err(LinkError::Lost("the PLC ends the connection".to_owned())),
                Packet::Confirmed { .. } | Packet::Broken => {
                    return Err(garbage("answers with bytes that are no packet of S7"));
                }
                Packet::More => return Ok(false),
            }
        }
    }

    /// Drops what came without a request. Half a packet stays, so that the stream keeps its step.
    fn drain(&mut self, stream: &mut TcpStream) -> Result<(), LinkError> {
        let mut came = 0;
        loop {
            while self.take_pdu()? {}
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
        let is_same = self.target.key() == old.target.key() && self.wanted == old.wanted;
        if is_same {
            std::mem::swap(self, old);
            std::mem::swap(&mut self.target, &mut old.target);
        }
        is_same
    }

    pub(crate) async fn disconnect(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            // The link is given up whatever the peer says to it.
            drop(stream.shutdown().await);
        }
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

fn no_s7(target: &Target) -> LinkError {
    LinkError::Lost(format!("{target} does not speak S7 (ISO on TCP); check `host` and `port`"))
}

/// The stream has lost its step: the connection is opened again.
fn garbage(text: &str) -> LinkError {
    LinkError::Garbage { text: text.to_owned(), usable: false }
}

/// The peer is gone, in good order or not.
fn is_closed(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}
