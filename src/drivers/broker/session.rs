//! An open session with a broker.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::{Duplex, Options, Will, lost, plain};
use super::inbox::{Frame, Inbox};
use super::packet::Packet;
use super::wire::Malformed;
use super::write::{LONGEST, Outgoing, Writer};
use crate::drivers::contract::LinkError;

/// While more than this waits to be sent, nothing is read.
const MOST_UNSENT: usize = 64 << 10;
/// Shortest time after which a broker that takes no data is given up.
const STUCK: Duration = Duration::from_secs(5);

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

pub(crate) struct Session {
    reader: ReadHalf<Box<dyn Duplex>>,
    writer: WriteHalf<Box<dyn Duplex>>,
    inbox: Inbox,
    outbox: Vec<u8>,
    /// Bytes of the outbox that are sent.
    sent: usize,
    is_flushed: bool,
    write: Writer,
    last_id: u16,
    /// Messages at QoS 2 that are not released: their copies are not new.
    unreleased: HashSet<u16>,
    /// Subscriptions and their ends without an answer, the oldest first.
    owed: VecDeque<Owed>,
    clock: Clock,
    max_message: usize,
    facts: Facts,
}

#[derive(Debug, Clone, Copy)]
struct Owed {
    id: u16,
    since: Instant,
}

/// Limits of the broker, as it gives them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub max_qos: u8,
    pub has_retain: bool,
    pub max_packet: usize,
}

/// Times of a session.
#[derive(Debug)]
struct Clock {
    /// A ping is sent when nothing came, or nothing was sent, for this time.
    interval: Duration,
    timeout: Duration,
    last_sent: Instant,
    last_received: Instant,
    ping: Option<Instant>,
    /// Since when the broker takes no data.
    stuck: Option<Instant>,
}

/// A packet for the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Incoming<'s> {
    Message {
        topic: &'s str,
        payload: &'s [u8],
        is_retained: bool,
    },
    /// A message that is too large, and was not kept.
    Oversized {
        topic: &'s str,
        size: usize,
    },
    Answer(Answer<'s>),
}

/// The broker's answer to a packet of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer<'s> {
    pub id: u16,
    /// One code for a message, one for each filter of a subscription, none for an end of subscriptions.
    pub codes: &'s [u8],
}

/// A packet for the driver, as places in the inbox.
enum Taken {
    Message { topic: Range<usize>, payload: Range<usize>, is_retained: bool },
    Oversized { topic: Range<usize>, size: usize },
    Answer { id: u16, codes: Range<usize> },
    Code { id: u16, code: [u8; 1] },
}

fn broken(Malformed(why): Malformed) -> LinkError {
    LinkError::Garbage { text: format!("the broker breaks the protocol: {why}"), usable: false }
}

impl Session {
    /// Connects and logs in. The caller bounds the time.
    pub(crate) async fn open(options: &Options, will: Option<&Will>) -> Result<Session, LinkError> {
        let (reader, writer) = tokio::io::split(options.open().await?);
        let now = Instant::now();
        let mut session = Session {
            reader,
            writer,
            inbox: Inbox::new(options.max_message),
            outbox: Vec::new(),
            sent: 0,
            is_flushed: true,
            write: Writer(options.version),
            last_id: 0,
            unreleased: HashSet::new(),
            owed: VecDeque::new(),
            clock: Clock {
                interval: options.keep_alive * 3 / 4,
                timeout: options.timeout,
                last_sent: now,
                last_received: now,
                ping: None,
                stuck: None,
            },
            max_message: options.max_message,
            facts: Facts { max_qos: 2, has_retain: true, max_packet: LONGEST },
        };
        session.write.connect(&mut session.outbox, options, will);
        loop {
            if let Some(frame) = session.inbox.next().map_err(broken)? {
                session.logged_in(options, frame)?;
                return Ok(session);
            }
            session.turn().await?;
        }
    }

    fn logged_in(&mut self, options: &Options, frame: Frame) -> Result<(), LinkError> {
        let Frame::Whole { first, body } = frame else {
            return Err(broken(Malformed("a message comes before the answer to CONNECT")));
        };
        match Packet::read(first, self.inbox.get(body), options.version).map_err(broken)? {
            Packet::ConnAck { code: 0, properties } => {
                self.facts = Facts {
                    max_qos: properties.max_qos.unwrap_or(2).min(2),
                    has_retain: !properties.has_no_retain,
                    max_packet: properties.max_packet.map_or(LONGEST, |most| most as usize).min(LONGEST),
                };
                if let Some(seconds) = properties.keep_alive.filter(|seconds| *seconds > 0) {
                    let own = Duration::from_secs(seconds.into()) * 3 / 4;
                    self.clock.interval = self.clock.interval.min(own);
                }
                Ok(())
            }
            Packet::ConnAck { code, properties } => Err(options.refused(code, properties.reason)),
            _ => Err(broken(Malformed("the answer to CONNECT is another packet"))),
        }
    }

    pub(crate) fn facts(&self) -> Facts {
        self.facts
    }

    /// The next packet for the driver. A future that is dropped loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Incoming<'_>, LinkError> {
        let taken = loop {
            match self.next_taken()? {
                Some(taken) => break taken,
                None => self.turn().await?,
            }
        };
        Ok(self.incoming(taken))
    }

    /// The same; nothing when all of what waited has left.
    pub(crate) async fn next_or_sent(&mut self) -> Result<Option<Incoming<'_>>, LinkError> {
        let taken = loop {
            match self.next_taken()? {
                Some(taken) => break taken,
                None if self.is_idle() => return Ok(None),
                None => self.turn().await?,
            }
        };
        Ok(Some(self.incoming(taken)))
    }

    /// A packet that was received already.
    fn next_taken(&mut self) -> Result<Option<Taken>, LinkError> {
        while self.unsent() <= MOST_UNSENT
            && let Some(frame) = self.inbox.next().map_err(broken)?
        {
            if let Some(taken) = self.take(frame)? {
                return Ok(Some(taken));
            }
        }
        Ok(None)
    }

    fn incoming(&self, taken: Taken) -> Incoming<'_> {
        match taken {
            Taken::Message { topic, payload, is_retained } => {
                Incoming::Message { topic: self.topic(topic), payload: self.inbox.get(payload), is_retained }
            }
            Taken::Oversized { topic, size } => Incoming::Oversized { topic: self.topic(topic), size },
            Taken::Answer { id, codes } => Incoming::Answer(Answer { id, codes: self.inbox.get(codes) }),
            Taken::Code { id, code } => Incoming::Answer(Answer { id, codes: code_of(code) }),
        }
    }

    /// The text of a topic, which was checked when its packet was read.
    fn topic(&self, range: Range<usize>) -> &str {
        std::str::from_utf8(self.inbox.get(range)).unwrap_or_default()
    }

    /// Takes a packet: acknowledges it, and finds the driver's part in it.
    fn take(&mut self, frame: Frame) -> Result<Option<Taken>, LinkError> {
        let (first, body) = match frame {
            Frame::Whole { first, body } => (first, body),
            Frame::Oversized { topic, qos, id, size } => {
                let is_new = self.acknowledge(qos, id);
                return Ok(is_new.then_some(Taken::Oversized { topic, size }));
            }
        };
        let packet = Packet::read(first, self.inbox.get(body.clone()), self.write.0).map_err(broken)?;
        Ok(match packet {
            Packet::Publish(message) => {
                let (topic, size) = (body.start + 2..body.start + 2 + message.topic.len(), message.payload.len());
                let (qos, id, is_retained) = (message.qos, message.id, message.retained);
                let payload = body.end - size..body.end;
                match self.acknowledge(qos, id) {
                    false => None,
                    true if size > self.max_message => Some(Taken::Oversized { topic, size }),
                    true => Some(Taken::Message { topic, payload, is_retained }),
                }
            }
            Packet::PubAck { id, code } | Packet::PubComp { id, code } => Some(Taken::Code { id, code: [code] }),
            Packet::PubRec { id, code } if code >= 0x80 => Some(Taken::Code { id, code: [code] }),
            Packet::PubRec { id, .. } => {
                self.write.acknowledge(&mut self.outbox, PUBREL, id);
                None
            }
            Packet::PubRel { id } => {
                self.unreleased.remove(&id);
                self.write.acknowledge(&mut self.outbox, PUBCOMP, id);
                None
            }
            Packet::SubAck { id, codes } => {
                let codes = body.end - codes.len()..body.end;
                self.owed.retain(|owed| owed.id != id);
                Some(Taken::Answer { id, codes })
            }
            Packet::UnsubAck { id } => {
                self.owed.retain(|owed| owed.id != id);
                Some(Taken::Answer { id, codes: 0..0 })
            }
            Packet::PingResp => None,
            Packet::Disconnect { code, properties } => return Err(self.disconnected(code, properties.reason)),
            Packet::ConnAck { .. } => return Err(broken(Malformed("a second answer to CONNECT"))),
        })
    }

    /// Acknowledges a message; false for a copy of one that was taken before.
    fn acknowledge(&mut self, qos: u8, id: u16) -> bool {
        match qos {
            1 => self.write.acknowledge(&mut self.outbox, PUBACK, id),
            2 => {
                self.write.acknowledge(&mut self.outbox, PUBREC, id);
                return self.unreleased.insert(id);
            }
            _ => {}
        }
        true
    }

    fn disconnected(&self, code: u8, reason: Option<&str>) -> LinkError {
        let why = match code {
            0x8e => "another client with the same client id has connected".to_owned(),
            0x87 => "not authorized".to_owned(),
            0x8b => "it shuts down".to_owned(),
            0x8d => "nothing was sent within the keep-alive".to_owned(),
            0x95 => "a packet of this client is too large".to_owned(),
            0x97 | 0x96 | 0x93 => "this client sends too much".to_owned(),
            0x98 => "by an administrator".to_owned(),
            code => format!("code {code:#04x}"),
        };
        let reason = reason.map_or_else(String::new, |reason| format!(": {}", plain(reason)));
        let text = format!("the broker ends the connection ({why}){reason}");
        if code == 0x87 { LinkError::Denied(text) } else { LinkError::Lost(text) }
    }

    /// Asks for messages; the answer has one code for each filter.
    pub(crate) fn subscribe<'f>(&mut self, filters: impl Iterator<Item = (&'f str, u8)>) -> u16 {
        let id = self.new_id();
        self.write.subscribe(&mut self.outbox, id, filters);
        self.owed.push_back(Owed { id, since: Instant::now() });
        id
    }

    pub(crate) fn unsubscribe<'f>(&mut self, filters: impl Iterator<Item = &'f str>) -> u16 {
        let id = self.new_id();
        self.write.unsubscribe(&mut self.outbox, id, filters);
        self.owed.push_back(Owed { id, since: Instant::now() });
        id
    }

    /// Sends a message; above QoS 0 the answer has the id.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8], qos: u8, retain: bool) -> u16 {
        let id = if qos > 0 { self.new_id() } else { 0 };
        self.write.publish(&mut self.outbox, Outgoing { topic, payload, qos, retain, id });
        id
    }

    /// Waits until all is sent. Messages that come meanwhile wait.
    pub(crate) async fn flush(&mut self) -> Result<(), LinkError> {
        while !self.is_idle() {
            let written = send(&mut self.writer, &self.outbox[self.sent..]).await;
            self.wrote(written)?;
        }
        Ok(())
    }

    /// Says goodbye, so that the broker does not publish the will. The caller bounds the time.
    pub(crate) async fn close(mut self) {
        self.write.disconnect(&mut self.outbox);
        // The socket is closed in either case.
        if self.flush().await.is_ok() {
            drop(timeout(self.clock.timeout, self.writer.shutdown()).await);
        }
    }

    /// An id that nothing under way has: a write ends before the next one, and few subscriptions are under way.
    fn new_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.owed.iter().all(|owed| owed.id != self.last_id) {
                return self.last_id;
            }
        }
    }

    /// Bytes that are to be sent.
    pub(crate) fn unsent(&self) -> usize {
        self.outbox.len() - self.sent
    }

    /// Whether all of what is to be sent has left.
    pub(crate) fn is_sent(&self) -> bool {
        self.is_idle()
    }

    fn is_idle(&self) -> bool {
        self.unsent() == 0 && self.is_flushed
    }

    /// Sends and receives once, or does what is due.
    async fn turn(&mut self) -> Result<(), LinkError> {
        if self.unsent() == 0 {
            self.clock.stuck = None;
        } else {
            self.clock.stuck.get_or_insert_with(Instant::now);
            self.is_flushed = false;
        }
        let (may_read, has_more) = (self.unsent() <= MOST_UNSENT, !self.is_idle());
        let due = self.clock.next(self.owed.front().map(|owed| owed.since));
        let done = timeout_at(due, async {
            tokio::select! {
                written = send(&mut self.writer, &self.outbox[self.sent..]), if has_more => Done::Sent(written),
                read = self.reader.read_buf(self.inbox.space()), if may_read => Done::Received(read),
            }
        });
        match done.await {
            Ok(Done::Sent(written)) => self.wrote(written),
            Ok(Done::Received(read)) => match read.map_err(lost)? {
                0 => Err(LinkError::Closed { sent: true }),
                _ => {
                    self.clock.last_received = Instant::now();
                    self.clock.ping = None;
                    Ok(())
                }
            },
            Err(_) => self.on_time(),
        }
    }

    fn wrote(&mut self, written: std::io::Result<usize>) -> Result<(), LinkError> {
        let (now, count) = (Instant::now(), written.map_err(lost)?);
        if count == 0 {
            self.is_flushed = true;
            return Ok(());
        }
        self.sent += count;
        (self.clock.last_sent, self.clock.stuck) = (now, None);
        if self.sent == self.outbox.len() {
            self.outbox.clear();
            self.sent = 0;
            if self.outbox.capacity() > MOST_UNSENT {
                self.outbox.shrink_to(MOST_UNSENT);
            }
        }
        self.is_flushed = false;
        Ok(())
    }

    fn on_time(&mut self) -> Result<(), LinkError> {
        let now = Instant::now();
        let clock = &mut self.clock;
        if let Some(since) = clock.stuck.filter(|since| now >= *since + clock.timeout.max(STUCK)) {
            let seconds = now.duration_since(since).as_secs();
            return Err(LinkError::Lost(format!("the broker has taken no data for {seconds} s")));
        }
        let owed = self.owed.front().map(|owed| owed.since);
        let is_silent = |since: Instant| now >= since.max(clock.last_received) + clock.timeout;
        if clock.ping.is_some_and(is_silent) || owed.is_some_and(is_silent) {
            return Err(LinkError::Timeout { waited_ms: clock.timeout.as_millis(), usable: false });
        }
        if clock.ping.is_none() && now >= clock.last_sent.min(clock.last_received) + clock.interval {
            clock.ping = Some(now);
            self.write.ping(&mut self.outbox);
        }
        Ok(())
    }
}

/// One step of the socket.
enum Done {
    Sent(std::io::Result<usize>),
    Received(std::io::Result<usize>),
}

impl Clock {
    /// The time of the next look.
    fn next(&self, owed: Option<Instant>) -> Instant {
        let answer = |since: Instant| since.max(self.last_received) + self.timeout;
        let ping = match self.ping {
            Some(since) => answer(since),
            None => self.last_sent.min(self.last_received) + self.interval,
        };
        let stuck = self.stuck.map(|since| since + self.timeout.max(STUCK));
        [Some(ping), stuck, owed.map(answer)].into_iter().flatten().min().unwrap_or(ping)
    }
}

/// Sends once, or flushes when all is sent; 0 for a flush.
async fn send(writer: &mut WriteHalf<Box<dyn Duplex>>, bytes: &[u8]) -> std::io::Result<usize> {
    if bytes.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write(bytes).await? {
        0 => Err(std::io::ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
}

/// A code that lives as long as the program.
fn code_of([code]: [u8; 1]) -> &'static [u8] {
    const CODES: [u8; 256] = {
        let mut codes = [0; 256];
        let mut at = 0;
        while at < 256 {
            #[expect(clippy::cast_possible_truncation, reason = "below 256")]
            {
                codes[at] = at as u8;
            }
            at += 1;
        }
        codes
    };
    static ALL: [u8; 256] = CODES;
    std::slice::from_ref(&ALL[usize::from(code)])
}
