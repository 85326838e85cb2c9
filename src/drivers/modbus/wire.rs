//! The socket or serial line, and one exchange on it.
//!
//! RTU and ASCII frames carry no id. So the line is drained before each request; after a time-out or garbage a socket
//! is given up, and a serial line must be quiet for as long as a reply may take and then answer a question of its own
//! (`suspects`) before anything is asked that a late reply could be taken for.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_serial::SerialPortBuilderExt;

use super::frame::{self, Asked, Found, Framing, MAX_FRAME};
use super::pdu::{Reply, Request};
use super::settings::Parity;
use super::suspects::Suspects;
use crate::drivers::LinkError;

/// Where the frames go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    Tcp { host: String, port: u16 },
    Serial { path: String, baud: u32, data_bits: u8, parity: Parity, stop_bits: u8 },
}

const MISFIT: &str = "a reply that does not fit the request: wrong unit, function, length or sum";

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// What came of an exchange; `Data` is in `Wire::reply`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Data,
    Written,
    Exception(u8),
}

pub struct Wire {
    target: Target,
    framing: Framing,
    stream: Option<Box<dyn Stream>>,
    transaction: u16,
    sent: Vec<u8>,
    received: Vec<u8>,
    scratch: Vec<u8>,
    /// Data of the last read.
    pub reply: Vec<u8>,
    /// When the last byte went or came.
    quiet_since: Instant,
    /// What a serial line may still answer late.
    suspects: Suspects,
}

/// How one exchange is made.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    pub unit: u8,
    pub timeout: Duration,
    /// Rest since the exchange before.
    pub pause: Duration,
}

impl Wire {
    pub fn new(target: Target, framing: Framing) -> Wire {
        Wire {
            target,
            framing,
            stream: None,
            transaction: 0,
            sent: Vec::with_capacity(MAX_FRAME),
            received: Vec::with_capacity(2 * MAX_FRAME),
            scratch: Vec::with_capacity(MAX_FRAME),
            reply: Vec::with_capacity(256),
            quiet_since: Instant::now(),
            suspects: Suspects::default(),
        }
    }

    pub async fn connect(&mut self) -> Result<(), LinkError> {
        self.stream = None;
        self.received.clear();
        self.stream = Some(open(&self.target).await?);
        self.quiet_since = Instant::now();
        Ok(())
    }

    pub async fn disconnect(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            // The link is given up whatever the peer says to it.
            drop(stream.shutdown().await);
        }
    }

    /// One request and its reply.
    pub async fn exchange(&mut self, manner: Manner, request: Request<'_>) -> Result<Outcome, LinkError> {
        let Some(mut stream) = self.stream.take() else {
            return Err(LinkError::Lost("the link is closed".to_owned()));
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
        if self.suspects.is_ambiguous(manner.unit, &request) {
            let question = self.suspects.question(manner.unit, &request);
            self.exchange_once(stream, manner, question).await?;
        }
        self.exchange_once(stream, manner, request).await
    }

    async fn exchange_once(
        &mut self,
        stream: &mut dyn Stream,
        manner: Manner,
        request: Request<'_>,
    ) -> Result<Outcome, LinkError> {
        sleep_until(self.quiet_since + manner.pause).await;
        if self.framing != Framing::Tcp {
            self.drain(stream)?;
        }
        self.transaction = self.transaction.wrapping_add(1);
        let asked = Asked { transaction: self.transaction, unit: manner.unit, request };
        frame::encode(self.framing, &asked, &mut self.sent);
        let deadline = Instant::now() + manner.timeout + self.on_the_line(&request);
        let outcome = match timeout_at(deadline, stream.write_all(&self.sent)).await {
            Ok(Ok(())) => self.receive(stream, manner, &asked, deadline).await,
            Ok(Err(error)) => Err(LinkError::Lost(format!("sending: {error}"))),
            Err(_) => Err(LinkError::Lost("the peer takes no data".to_owned())),
        };
        self.quiet_since = Instant::now();
        if matches!(self.target, Target::Serial { .. }) {
            match &outcome {
                Ok(Outcome::Exception(_)) => self.suspects.settle_by_exception(manner.unit, &request),
                Ok(Outcome::Data | Outcome::Written) => self.suspects.settle(manner.unit),
                Err(_) => {
                    self.suspects.add(manner.unit, &request);
                    self.wait_until_quiet(stream, manner.timeout).await?;
                }
            }
        }
        outcome
    }

    /// Reads until the reply is there; what is no reply to this request is dropped.
    async fn receive(
        &mut self,
        stream: &mut dyn Stream,
        manner: Manner,
        asked: &Asked<'_>,
        deadline: Instant,
    ) -> Result<Outcome, LinkError> {
        let mut seen_garbage = false;
        loop {
            match frame::find(self.framing, asked, &self.received, &mut self.scratch) {
                Found::Reply { pdu, used } => return self.take(asked, pdu, used),
                Found::Misfit { used } => {
                    self.received.drain(..used);
                    return Err(garbage(MISFIT, true));
                }
                Found::Broken => return Err(garbage("bytes that are no Modbus TCP frame", false)),
                Found::More { used, garbage } => {
                    seen_garbage |= garbage;
                    self.received.drain(..used);
                }
            }
            match timeout_at(deadline, self.more(stream)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) if seen_garbage || !self.received.is_empty() => {
                    return Err(garbage(MISFIT, self.is_usable_late()));
                }
                Err(_) => {
                    let waited_ms = manner.timeout.as_millis();
                    return Err(LinkError::Timeout { waited_ms, usable: self.is_usable_late() });
                }
            }
        }
    }

    async fn more(&mut self, stream: &mut dyn Stream) -> Result<(), LinkError> {
        let mut bytes = [0; 512];
        match stream.read(&mut bytes).await {
            Ok(0) => Err(LinkError::Lost("the peer closed the connection".to_owned())),
            Ok(count) => {
                self.received.extend_from_slice(&bytes[..count]);
                Ok(())
            }
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

    /// A reply that comes late is told by its transaction, or the line was quiet before anybody asks again.
    fn is_usable_late(&self) -> bool {
        self.framing == Framing::Tcp || matches!(self.target, Target::Serial { .. })
    }

    /// Drops what came unasked.
    fn drain(&mut self, stream: &mut dyn Stream) -> Result<(), LinkError> {
        self.received.clear();
        let mut bytes = [0; 512];
        let mut dropped = 0;
        while let Some(read) = stream.read(&mut bytes).now_or_never() {
            match read {
                Ok(0) => return Err(LinkError::Lost("the peer closed the connection".to_owned())),
                Ok(count) if dropped + count > 64 * 1024 => {
                    return Err(LinkError::Lost("the peer sends without being asked".to_owned()));
                }
                Ok(count) => dropped += count,
                Err(error) => return Err(LinkError::Lost(format!("receiving: {error}"))),
            }
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

    /// Time that the request and its reply take on a serial line.
    fn on_the_line(&self, request: &Request<'_>) -> Duration {
        self.target.line_time(self.sent.len() + reply_size(self.framing, request))
    }
}

/// Bytes of the reply's frame.
pub fn reply_size(framing: Framing, request: &Request<'_>) -> usize {
    let pdu = request.reply_length();
    match framing {
        Framing::Tcp => pdu + 7,
        Framing::Rtu => pdu + 3,
        Framing::Ascii => pdu * 2 + 7,
    }
}

impl Target {
    /// Time that so many bytes take on a serial line; none over TCP.
    pub fn line_time(&self, bytes: usize) -> Duration {
        match self {
            Target::Tcp { .. } => Duration::ZERO,
            Target::Serial { baud, data_bits, parity, stop_bits, .. } => {
                let bits = 1 + u32::from(*data_bits) + u32::from(*stop_bits) + u32::from(*parity != Parity::None);
                let count = u32::try_from(bytes).unwrap_or(u32::MAX);
                Duration::from_secs(1) * bits.saturating_mul(count) / (*baud).max(1)
            }
        }
    }
}

fn garbage(text: &str, usable: bool) -> LinkError {
    LinkError::Garbage { text: text.to_owned(), usable }
}

async fn open(target: &Target) -> Result<Box<dyn Stream>, LinkError> {
    match target {
        Target::Tcp { host, port } => {
            let stream = tokio::net::TcpStream::connect((host.as_str(), *port))
                .await
                .map_err(|error| LinkError::Lost(format!("{host}:{port}: {error}")))?;
            stream.set_nodelay(true).map_err(|error| LinkError::Lost(format!("{host}:{port}: {error}")))?;
            Ok(Box::new(stream))
        }
        Target::Serial { path, baud, data_bits, parity, stop_bits } => {
            let port = tokio_serial::new(path, *baud)
                .data_bits(if *data_bits == 7 { tokio_serial::DataBits::Seven } else { tokio_serial::DataBits::Eight })
                .stop_bits(if *stop_bits == 2 { tokio_serial::StopBits::Two } else { tokio_serial::StopBits::One })
                .parity(match parity {
                    Parity::None => tokio_serial::Parity::None,
                    Parity::Even => tokio_serial::Parity::Even,
                    Parity::Odd => tokio_serial::Parity::Odd,
                })
                .open_native_async()
                .map_err(|error| LinkError::Lost(format!("{path}: {error}; {}", known_ports())))?;
            Ok(Box::new(port))
        }
    }
}

fn known_ports() -> String {
    let names: Vec<String> = match tokio_serial::available_ports() {
        Ok(ports) => ports.into_iter().map(|port| port.port_name).collect(),
        Err(error) => return format!("the serial devices of this host cannot be listed: {error}"),
    };
    if names.is_empty() { "this host has no serial device".to_owned() } else { format!("known: {}", names.join(", ")) }
}
