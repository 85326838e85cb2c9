//! One connection with its secure channel. Nothing that was received or half sent is lost when a future of it is dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::StatusCode;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::url::Url;
use crate::drivers::contract::LinkError;
use crate::stack::channel::{ClientChannel, ClientEvent, ClientSettings, Peer};
use crate::stack::codec::Writer;
use crate::stack::crypto::{Identity, MessageSecurityMode, Policy};
use crate::stack::transport::{Fatal, Input, Limits};
use crate::value::is_plain;

/// Bytes of a message of a server that has proved who it is.
pub(super) const MOST_MESSAGE: u32 = 16 << 20;
/// Bytes of the list of endpoints, which anybody may send.
const MOST_GREETING: u32 = 1 << 20;
/// Letters of an error of the server.
const MOST_SAID: usize = 300;
/// Bytes that one read takes.
const READ: usize = 64 * 1024;
/// Lifetime of a token that is asked for.
const LIFETIME: Duration = Duration::from_secs(3600);
/// A server that gives its tokens no time gets no renewal more often than this.
const RENEW_AT_MOST: Duration = Duration::from_secs(1);

/// How a channel is protected.
#[derive(Debug, Clone)]
pub(super) struct Protection {
    pub policy: Policy,
    pub mode: MessageSecurityMode,
    /// With every policy but None.
    pub identity: Option<Arc<Identity>>,
    pub server: Option<Arc<Peer>>,
    /// Bytes of a message, at most.
    pub most_message: u32,
}

impl Protection {
    /// For a list of endpoints.
    pub(super) fn none() -> Protection {
        let (policy, mode) = (Policy::None, MessageSecurityMode::None);
        Protection { policy, mode, identity: None, server: None, most_message: MOST_GREETING }
    }
}

/// A message of the server.
#[derive(Debug)]
pub(super) enum Came<'a> {
    Response {
        request: u32,
        body: &'a [u8],
    },
    /// The server gave up on a response.
    Aborted {
        request: u32,
        status: StatusCode,
    },
}

pub(super) struct Line {
    stream: TcpStream,
    pub address: SocketAddr,
    channel: ClientChannel,
    input: Input,
    out: Writer,
    /// Bytes of `out` that are sent.
    sent: usize,
    /// When bytes came last.
    pub heard: Instant,
    /// When the present open request was sent.
    opening: Option<Instant>,
    opened: Instant,
}

/// The end of the channel as an error. A server says little about a certificate that it does not take.
fn lost(fatal: &Fatal) -> LinkError {
    let is_refused = fatal.detail.is_none()
        && matches!(
            fatal.status,
            StatusCode::BadSecurityChecksFailed
                | StatusCode::BadCertificateUntrusted
                | StatusCode::BadCertificateInvalid
                | StatusCode::BadCertificateChainIncomplete
                | StatusCode::BadCertificateUriInvalid
                | StatusCode::BadCertificateUseNotAllowed
        );
    // A reason is the server's own text.
    let said: String = fatal.to_string().chars().filter(|letter| is_plain(*letter)).take(MOST_SAID).collect();
    match is_refused {
        true => LinkError::Lost(format!(
            "{said}; the server may not trust this one yet: export the certificate by opcell pki export, and trust it there"
        )),
        false => LinkError::Lost(said),
    }
}

fn broken(error: &std::io::Error) -> LinkError {
    LinkError::Lost(error.to_string())
}

/// Runs work with a private key, which takes milliseconds, without holding up the other tasks of the thread.
pub(super) fn heavy<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

impl Line {
    /// Connects and opens a channel. The caller limits the time.
    pub(super) async fn open(url: &Url, protection: Protection) -> Result<Line, LinkError> {
        let stream = TcpStream::connect((url.host.as_str(), url.port)).await.map_err(|error| broken(&error))?;
        stream.set_nodelay(true).map_err(|error| broken(&error))?;
        let address = stream.peer_addr().map_err(|error| broken(&error))?;
        let Protection { policy, mode, identity, server, most_message } = protection;
        let limits = Limits { max_message: most_message, ..Limits::default() };
        let channel = ClientChannel::new(ClientSettings { limits, policy, mode, identity, server, lifetime: LIFETIME });
        let now = Instant::now();
        let (input, out) = (Input::default(), Writer::new());
        let mut line = Line { stream, address, channel, input, out, sent: 0, heard: now, opening: None, opened: now };
        line.channel.hello(&url.text, &mut line.out);
        line.until(|channel| matches!(channel, Stage::Acknowledged)).await?;
        line.renew(now)?;
        line.until(|channel| matches!(channel, Stage::Opened)).await?;
        Ok(line)
    }

    async fn until(&mut self, is_due: impl Fn(&Stage) -> bool) -> Result<(), LinkError> {
        loop {
            let stage = match self.channel.receive(Instant::now(), &mut self.input).map_err(|fatal| lost(&fatal))? {
                Some(ClientEvent::Acknowledged) => Stage::Acknowledged,
                Some(ClientEvent::Opened) => {
                    (self.opening, self.opened) = (None, Instant::now());
                    Stage::Opened
                }
                Some(_) => continue,
                None => {
                    self.exchange().await?;
                    continue;
                }
            };
            if is_due(&stage) {
                return Ok(());
            }
        }
    }

    fn renew(&mut self, now: Instant) -> Result<(), LinkError> {
        let Line { channel, out, .. } = self;
        heavy(|| channel.open(out)).map_err(|fatal| lost(&fatal))?;
        self.opening = Some(now);
        Ok(())
    }

    /// Asks for a new token when it is due; gives the time of the next look.
    pub(super) fn keep_open(&mut self, now: Instant, patience: Duration) -> Result<Option<Instant>, LinkError> {
        if let Some(since) = self.opening {
            let end = since + patience;
            if now >= end {
                return Err(LinkError::Lost("the server does not renew the channel".to_owned()));
            }
            return Ok(Some(end));
        }
        let Some(due) = self.channel.renew_at() else { return Ok(None) };
        let due = due.max(self.opened + RENEW_AT_MOST);
        if now < due {
            return Ok(Some(due));
        }
        self.renew(now)?;
        Ok(Some(now + patience))
    }

    /// The certificate that the channel was opened with.
    pub(super) fn identity(&self) -> Option<Arc<Identity>> {
        self.channel.security().and_then(|security| security.own)
    }

    /// Puts a request into the send buffer. `Err` with what the server would not take: nothing is sent then.
    pub(super) fn request(
        &mut self,
        now: Instant,
        body: impl FnOnce(&mut Writer) -> Result<(), StatusCode>,
    ) -> Result<u32, StatusCode> {
        self.channel.request(now, &mut self.out, body)
    }

    fn is_sending(&self) -> bool {
        self.sent < self.out.buf.len()
    }

    fn send(&mut self) -> Result<(), LinkError> {
        while self.is_sending() {
            match self.stream.try_write(&self.out.buf[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(broken(&error)),
            }
        }
        self.out.rewind(0);
        self.sent = 0;
        Ok(())
    }

    /// Sends what waits, and receives once. May be dropped at any time.
    pub(super) async fn exchange(&mut self) -> Result<(), LinkError> {
        loop {
            self.send()?;
            let interest = if self.is_sending() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            let ready = self.stream.ready(interest).await.map_err(|error| broken(&error))?;
            if !ready.is_readable() && !ready.is_read_closed() {
                continue;
            }
            let room = self.input.room();
            room.reserve(READ);
            match self.stream.try_read_buf(room) {
                Ok(0) => return Err(LinkError::Closed { sent: true }),
                Ok(_) => {
                    self.heard = Instant::now();
                    return Ok(());
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(broken(&error)),
            }
        }
    }

    /// Sends all that waits.
    pub(super) async fn flush(&mut self) -> Result<(), LinkError> {
        loop {
            self.send()?;
            if !self.is_sending() {
                return Ok(());
            }
            self.stream.writable().await.map_err(|error| broken(&error))?;
        }
    }

    /// Hands over each whole message that was received.
    pub(super) fn take(&mut self, mut hear: impl FnMut(Came<'_>) -> Result<(), LinkError>) -> Result<(), LinkError> {
        loop {
            let now = Instant::now();
            match self.channel.receive(now, &mut self.input).map_err(|fatal| lost(&fatal))? {
                None => return Ok(()),
                Some(ClientEvent::Response { request_id, body }) => hear(Came::Response { request: request_id, body })?,
                Some(ClientEvent::Aborted { request_id, status }) => {
                    hear(Came::Aborted { request: request_id, status })?;
                }
                Some(ClientEvent::Acknowledged) => {}
                Some(ClientEvent::Opened) => (self.opening, self.opened) = (None, now),
            }
        }
    }

    /// Says goodbye; the server closes the connection.
    pub(super) async fn close(mut self) -> Result<(), LinkError> {
        match self.channel.close(Instant::now(), &mut self.out) {
            Ok(()) => self.flush().await,
            Err(code) => Err(LinkError::Lost(format!("the channel cannot be closed ({code})"))),
        }
    }
}

/// A step of opening.
enum Stage {
    Acknowledged,
    Opened,
}
