//! The socket or serial line, and one exchange on it.
//!
//! `belief` decides which request a reply belongs to; here its rules are kept: the line is drained before each
//! request, an echo is cut off, and a serial line must be quiet after a time-out for as long as a reply may take.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::belief::{Belief, Echo, Longer, Next, is_of_gateway};
use super::choices::EchoSetting;
use super::frame::{self, Asked, Found, Framing, MAX_FRAME, Misfit};
use super::pdu::{Reply, Request};
use super::target::{Stream, Target};
use crate::drivers::contract::LinkError;

/// Bytes that may come without having been asked for, before the link is given up.
const MOST_UNASKED: usize = 64 * 1024;
/// Transactions without a reply that are remembered.
const MOST_UNANSWERED: usize = 64;

/// Result of an exchange; `Data` is in `Wire::reply`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Data,
    Written,
    Exception(u8),
}

pub(crate) struct Wire {
    target: Target,
    framing: Framing,
    echo: EchoSetting,
    stream: Option<Box<dyn Stream>>,
    transaction: u16,
    /// Transactions that were never answered: their replies may come late (Modbus TCP).
    unanswered: Vec<u16>,
    /// Each request of this connection was answered.
    all_answered: bool,
    belief: Belief,
    sent: Vec<u8>,
    received: Vec<u8>,
    /// Bytes of this exchange that were no reply to its request.
    dropped: Vec<u8>,
    scratch: Vec<u8>,
    /// Data of the last read.
    pub reply: Vec<u8>,
    /// When the last byte went or came.
    quiet_since: Instant,
    last_reply: Option<Instant>,
    /// The last reply that did not fit had less than was asked for.
    was_short: bool,
    /// A line to be logged once.
    pub remark: Option<String>,
}

/// How one exchange is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub unit: u8,
    pub timeout: Duration,
    /// Rest since the exchange before.
    pub pause: Duration,
    /// How many registers longer than wanted a read may be.
    pub grow: u16,
}

impl Wire {
    pub(crate) fn new(target: Target, framing: Framing, echo: EchoSetting) -> Wire {
        Wire {
            target,
            framing,
            echo,
            stream: None,
            transaction: 0,
            unanswered: Vec::new(),
            all_answered: true,
            belief: Belief::new(echo, framing == Framing::Tcp),
            sent: Vec::with_capacity(MAX_FRAME),
            received: Vec::with_capacity(2 * MAX_FRAME),
            dropped: Vec::new(),
            scratch: Vec::with_capacity(MAX_FRAME),
            reply: Vec::with_capacity(256),
            quiet_since: Instant::now(),
            last_reply: None,
            was_short: false,
            remark: None,
        }
    }

    pub(crate) async fn connect(&mut self) -> Result<(), LinkError> {
        self.stream = None;
        self.received.clear();
        self.stream = Some(self.target.open().await?);
        self.belief.connected(self.last_reply);
        self.all_answered = true;
        self.quiet_since = Instant::now();
        Ok(())
    }

    /// Takes over the open connection of another wire to the same target, with all that is known about its replies.
    pub(crate) fn adopt(&mut self, old: &mut Wire) -> bool {
        let is_same = self.target.is_same(&old.target) && self.framing == old.framing && self.echo == old.echo;
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

    /// One request and its reply.
    pub(crate) async fn exchange(&mut self, manner: Manner, request: Request<'_>) -> Result<Outcome, LinkError> {
        let Some(mut stream) = self.stream.take() else {
            return Err(LinkError::Closed { sent: false });
        };
        // While the stream is out of `self`, dropping this future closes it.
        let outcome = self.exchange_on(&mut *stream, manner, request).await;
        if !matches!(&outcome, Err(error) if !error.is_usable()) {
            self.stream = Some(stream);
        }
        outcome
    }

    async fn exchange_on(
        &mut self,
        stream: &mut dyn Stream,
        manner: Manner,
        request: Request<'_>,
    ) -> Result<Outcome, LinkError> {
        for _ in 0..4 {
            match self.belief.next(manner.unit, &request, manner.grow, Instant::now()) {
                Next::Ask { more: 0 } => return self.exchange_once(stream, manner, request).await,
                Next::Ask { more } => match self.exchange_longer(stream, manner, request, more).await {
                    Ok(Outcome::Exception(2 | 3)) => {}
                    outcome => return outcome,
                },
                Next::Question(question) => match self.exchange_once(stream, manner, question).await {
                    Ok(Outcome::Exception(code)) if is_of_gateway(code) => return Ok(Outcome::Exception(code)),
                    Ok(_) => {}
                    // A gateway that echoed would have done so at once: this one does not, and its device answers no read.
                    Err(LinkError::Timeout { .. }) if self.learned_by_silence() => {}
                    // Nothing of the request itself was sent.
                    Err(LinkError::Closed { .. }) => return Err(LinkError::Closed { sent: false }),
                    Err(error) => {
                        self.belief.tried_longer(manner.unit, &request, Longer::Failed, Instant::now());
                        return Err(error);
                    }
                },
                Next::Rest(until) => {
                    sleep_until(until).await;
                    return self.exchange_once(stream, manner, request).await;
                }
            }
        }
        Err(garbage("answers only with exceptions, so that a new reply cannot be told apart from an older one", true))
    }

    /// A read of more than is wanted, so that its reply looks like no other; the extra data is dropped.
    async fn exchange_longer(
        &mut self,
        stream: &mut dyn Stream,
        manner: Manner,
        request: Request<'_>,
        more: u16,
    ) -> Result<Outcome, LinkError> {
        let Request::Read { area, start, count } = request else {
            return self.exchange_once(stream, manner, request).await;
        };
        let longer = Request::Read { area, start, count: count + more };
        let outcome = self.exchange_once(stream, manner, longer).await;
        let ended = match &outcome {
            Ok(Outcome::Data | Outcome::Written) => Longer::Answered,
            Ok(Outcome::Exception(2 | 3)) => Longer::Refused,
            Ok(Outcome::Exception(_)) => return outcome,
            Err(_) if self.was_short => Longer::Short,
            Err(_) => Longer::Failed,
        };
        self.belief.tried_longer(manner.unit, &request, ended, Instant::now());
        self.reply.truncate(request.reply_length() - 2);
        outcome
    }

    async fn exchange_once(
        &mut self,
        stream: &mut dyn Stream,
        manner: Manner,
        request: Request<'_>,
    ) -> Result<Outcome, LinkError> {
        sleep_until(self.quiet_since + manner.pause).await;
        self.drain(stream)?;
        // 0 is what a device says that keeps no ids.
        self.transaction = self.transaction.checked_add(1).unwrap_or(1);
        let lenient = self.all_answered;
        let asked = Asked { transaction: self.transaction, unit: manner.unit, lenient, request };
        frame::encode(self.framing, &asked, &mut self.sent);
        let on_the_line = self.target.line_time(self.sent.len() + reply_size(self.framing, &request));
        let deadline = Instant::now() + manner.timeout + on_the_line;
        self.belief.sent(manner.unit, &request, Instant::now());
        self.expect_reply();
        self.dropped.clear();
        self.was_short = false;
        let outcome = match timeout_at(deadline, stream.write_all(&self.sent)).await {
            Ok(Ok(())) => self.receive(stream, manner, &asked, deadline).await,
            Ok(Err(error)) if is_closed(&error) => Err(LinkError::Closed { sent: true }),
            Ok(Err(error)) => Err(LinkError::Lost(format!("sending: {error}"))),
            Err(_) => Err(LinkError::Lost("the peer takes no data".to_owned())),
        };
        self.quiet_since = Instant::now();
        match &outcome {
            Ok(outcome) => {
                self.unanswered.pop();
                self.last_reply = Some(self.quiet_since);
                self.all_answered = lenient;
                let line_time = self.target.line_time(reply_size(self.framing, &request));
                match outcome {
                    Outcome::Exception(code) => {
                        self.belief.refused(manner.unit, &request, *code, line_time, self.quiet_since);
                    }
                    _ => self.belief.replied(manner.unit, &request, line_time, self.quiet_since),
                }
            }
            Err(error) if error.is_usable() && matches!(self.target, Target::Serial { .. }) => {
                self.wait_until_quiet(stream, manner.timeout).await?;
            }
            Err(_) => {}
        }
        outcome
    }

    /// Until its reply is there, the transaction is one without.
    fn expect_reply(&mut self) {
        self.all_answered = false;
        if self.unanswered.len() >= MOST_UNANSWERED {
            self.unanswered.remove(0);
        }
        self.unanswered.push(self.transaction);
    }

    /// Reads until the reply is there; other bytes are dropped.
    async fn receive(
        &mut self,
        stream: &mut dyn Stream,
        manner: Manner,
        asked: &Asked<'_>,
        deadline: Instant,
    ) -> Result<Outcome, LinkError> {
        let mut is_cut = !self.belief.cuts_echo_of(&asked.request);
        let mut has_come = false;
        loop {
            is_cut = is_cut || self.cut_echo();
            if is_cut || self.belief.echo != Echo::Present && !self.sent.starts_with(&self.received) {
                match frame::find(self.framing, asked, &self.received, &mut self.scratch) {
                    Found::Reply { pdu, used } => {
                        self.accept(asked, &pdu, used)?;
                        return self.take(asked, pdu, used);
                    }
                    Found::Misfit { used, why } => {
                        self.received.drain(..used);
                        self.was_short = why.is_short();
                        // On a new connection one request can be meant again.
                        let is_nameless = matches!(why, Misfit::Unit { came: 0, .. }) && !asked.lenient;
                        return Err(garbage(&why.to_string(), !is_nameless));
                    }
                    Found::Broken => return Err(garbage("answers with bytes that are no Modbus TCP frame", false)),
                    Found::More { used, .. } => self.dropped.extend(self.received.drain(..used)),
                }
            }
            if self.received.len() + self.dropped.len() > MOST_UNASKED {
                return Err(LinkError::Lost("the peer sends without end".to_owned()));
            }
            match timeout_at(deadline, self.more(stream)).await {
                Ok(Ok(())) => has_come = true,
                Ok(Err(LinkError::Closed { .. })) if !has_come => return Err(LinkError::Closed { sent: true }),
                Ok(Err(LinkError::Closed { .. })) => {
                    return Err(LinkError::Lost("the peer closed the connection in the middle of a reply".to_owned()));
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(self.nothing_fits(manner, asked, is_cut)),
            }
        }
    }

    /// Cuts off the bytes of the request where the line sends them back; true when they were there.
    fn cut_echo(&mut self) -> bool {
        let length = self.sent.len();
        let Some(at) = self.received.windows(length).position(|bytes| bytes == self.sent) else { return false };
        self.dropped.extend(self.received.drain(..at));
        self.received.drain(..length);
        if self.belief.echo == Echo::Unknown {
            self.remark = Some("the line sends back each request (echo); it is cut off".to_owned());
        }
        self.belief.learn(Echo::Present);
        true
    }

    /// Learns from the reply about the line.
    fn accept(&mut self, asked: &Asked<'_>, pdu: &std::ops::Range<usize>, used: usize) -> Result<(), LinkError> {
        let is_first = match self.framing {
            Framing::Tcp => pdu.start == 7,
            Framing::Rtu => pdu.start == 1,
            Framing::Ascii => !self.received[1..used].contains(&b':'),
        };
        if self.belief.echo == Echo::Unknown && self.dropped.is_empty() && is_first {
            self.belief.learn(Echo::Absent);
        }
        if self.framing != Framing::Tcp {
            return Ok(());
        }
        let header = &self.received[pdu.start - 7..pdu.start];
        let (transaction, unit) = (u16::from_be_bytes([header[0], header[1]]), header[6]);
        if transaction != asked.transaction && self.belief.has_ids {
            self.belief.has_ids = false;
            let why = Misfit::Transaction { came: transaction, asked: asked.transaction }.to_string();
            if self.belief.is_outstanding_twice(asked.unit, &asked.request) {
                return Err(garbage(&why, false));
            }
            self.remark = Some(format!("{why}; it is taken, since only one request is under way"));
        } else if unit != asked.unit && self.remark.is_none() {
            let why = Misfit::Unit { came: unit, asked: asked.unit };
            self.remark = Some(format!("{why}; it is taken, since only one request is under way"));
        }
        Ok(())
    }

    /// On Modbus TCP silence shows that there is no echo. An adaptor at the end of a line may be off and come back.
    fn learned_by_silence(&mut self) -> bool {
        let is_news = self.framing == Framing::Tcp && self.belief.echo == Echo::Unknown;
        if is_news {
            self.belief.learn(Echo::Absent);
        }
        is_news
    }

    /// The error after the time-out: silence, or the difference between the bytes and the request.
    fn nothing_fits(&mut self, manner: Manner, asked: &Asked<'_>, is_cut: bool) -> LinkError {
        if self.framing == Framing::Tcp {
            let came = frame::ids(&self.dropped).find(|(transaction, _)| !self.unanswered.contains(transaction));
            if let Some((transaction, _)) = came {
                let why = Misfit::Transaction { came: transaction, asked: asked.transaction }.to_string();
                // On a new connection one request can be meant again.
                return garbage(&why, transaction != 0);
            }
        }
        self.dropped.append(&mut self.received);
        if !is_cut && self.belief.echo == Echo::Present && !self.dropped.is_empty() {
            self.belief.learn(Echo::Unknown);
            return garbage("answers without the echo that the line gave before", true);
        }
        let is_stale = self.framing == Framing::Tcp && frame::ids(&self.dropped).next().is_some();
        if self.dropped.is_empty() || is_stale {
            return LinkError::Timeout { waited_ms: manner.timeout.as_millis(), usable: true };
        }
        let why = frame::misfit(self.framing, asked, &self.dropped);
        self.was_short = why.is_short();
        garbage(&why.to_string(), true)
    }

    async fn more(&mut self, stream: &mut dyn Stream) -> Result<(), LinkError> {
        let mut bytes = [0; 512];
        match stream.read(&mut bytes).await {
            Ok(0) => Err(LinkError::Closed { sent: true }),
            Ok(count) => {
                self.received.extend_from_slice(&bytes[..count]);
                Ok(())
            }
            Err(error) if is_closed(&error) => Err(LinkError::Closed { sent: true }),
            Err(error) => Err(LinkError::Lost(format!("receiving: {error}"))),
        }
    }

    fn take(&mut self, asked: &Asked<'_>, pdu: std::ops::Range<usize>, used: usize) -> Result<Outcome, LinkError> {
        let bytes = if self.framing == Framing::Ascii { &self.scratch } else { &self.received };
        let outcome = match asked.request.reply(&bytes[pdu]).expect("`find` checked it") {
            Reply::Data(data) => {
                self.reply.clear();
                self.reply.extend_from_slice(data);
                Outcome::Data
            }
            Reply::Written => Outcome::Written,
            Reply::Exception(code) => Outcome::Exception(code),
        };
        self.received.drain(..used);
        Ok(outcome)
    }

    /// Drops bytes that came without a request. Half a frame of Modbus TCP stays, so that the stream keeps its step.
    fn drain(&mut self, stream: &mut dyn Stream) -> Result<(), LinkError> {
        let mut bytes = [0; 512];
        while let Some(read) = stream.read(&mut bytes).now_or_never() {
            match read {
                Ok(0) => return Err(LinkError::Closed { sent: false }),
                Ok(_) if self.received.len() > MOST_UNASKED => {
                    return Err(LinkError::Lost("the peer sends without being asked".to_owned()));
                }
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
                Err(error) if is_closed(&error) => return Err(LinkError::Closed { sent: false }),
                Err(error) => return Err(LinkError::Lost(format!("receiving: {error}"))),
            }
        }
        match self.framing {
            Framing::Tcp => frame::skip_whole(&mut self.received),
            Framing::Rtu | Framing::Ascii => self.received.clear(),
        }
        Ok(())
    }

    async fn wait_until_quiet(&mut self, stream: &mut dyn Stream, quiet: Duration) -> Result<(), LinkError> {
        self.received.clear();
        let deadline = Instant::now() + 10 * quiet;
        let mut bytes = [0; 512];
        while let Ok(read) = timeout(quiet, stream.read(&mut bytes)).await {
            match read {
                Ok(0) => return Err(LinkError::Lost("the serial line was closed".to_owned())),
                Ok(_) if Instant::now() > deadline => {
                    return Err(LinkError::Lost("the line never becomes quiet".to_owned()));
                }
                Ok(_) => {}
                Err(error) => return Err(LinkError::Lost(format!("receiving: {error}"))),
            }
        }
        Ok(())
    }
}

/// Bytes of the reply's frame.
pub(crate) fn reply_size(framing: Framing, request: &Request<'_>) -> usize {
    let pdu = request.reply_length();
    match framing {
        Framing::Tcp => pdu + 7,
        Framing::Rtu => pdu + 3,
        Framing::Ascii => pdu * 2 + 7,
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
