//! The connection below the secure channel (Part 6 §7.1, 1.05): frames out of a stream of bytes, and Hello,
//! Acknowledge, Error and ReverseHello. It owns no socket: the caller fills `Input` and drains a `Writer`.

mod hello;
mod input;

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use opcua::StatusCode;

pub(crate) use hello::PeerError;
pub use hello::{Acknowledge, Hello, ReverseHello};
pub(crate) use input::Frame;
pub use input::Input;

use crate::stack::codec::Writer;

/// Bytes of the header that every frame has.
pub(crate) const HEADER: usize = 8;
/// The least buffer that a peer may offer (Part 6 §7.1.2.3, 1.05).
pub(crate) const LEAST_BUFFER: u32 = 8192;

/// A rate: events a second in the long run, and events at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_second: u32,
    pub at_once: u32,
}

/// Limits of a connection. Hello and Acknowledge carry the same numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest chunk that we receive, in bytes.
    pub receive_buffer: u32,
    /// The largest chunk that we send, in bytes.
    pub send_buffer: u32,
    /// The largest message that we take, in bytes of its body.
    pub max_message: u32,
    pub max_chunks: u32,
    /// The same before `ServerChannel::set_authenticated`.
    pub max_unauthenticated_message: u32,
    /// From the connection's beginning to Hello, and from there to the channel.
    pub open_timeout: Duration,
    /// From the first byte of a message to its last.
    pub message_timeout: Duration,
    /// Handshakes that need the private key, of one address. Clients with an active session are not counted.
    pub handshakes: Rate,
    /// Lifetimes of a token that a client may ask for.
    pub channel_lifetime: RangeInclusive<Duration>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            receive_buffer: 65_536,
            send_buffer: 65_536,
            max_message: 64 << 20,
            // 64 MiB in chunks of 64 KiB, each of which has headers, a signature and padding too.
            max_chunks: 1_100,
            max_unauthenticated_message: 64 << 10,
            open_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(60),
            handshakes: Rate { per_second: 50, at_once: 100 },
            channel_lifetime: Duration::from_secs(60)..=Duration::from_secs(3600),
        }
    }
}

/// The type of a frame (Part 6 §6.7.2.2 and §7.1.2.2, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    Hello,
    Acknowledge,
    Error,
    ReverseHello,
    Open,
    Close,
    Message,
}

impl FrameKind {
    const ALL: [FrameKind; 7] = [
        FrameKind::Hello,
        FrameKind::Acknowledge,
        FrameKind::Error,
        FrameKind::ReverseHello,
        FrameKind::Open,
        FrameKind::Close,
        FrameKind::Message,
    ];

    pub fn code(self) -> [u8; 3] {
        *match self {
            FrameKind::Hello => b"HEL",
            FrameKind::Acknowledge => b"ACK",
            FrameKind::Error => b"ERR",
            FrameKind::ReverseHello => b"RHE",
            FrameKind::Open => b"OPN",
            FrameKind::Close => b"CLO",
            FrameKind::Message => b"MSG",
        }
    }
}

/// Position of a chunk in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkKind {
    Intermediate,
    Final,
    Abort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: FrameKind,
    pub chunk: ChunkKind,
    /// Bytes of the frame, these eight included.
    pub size: usize,
}

impl Header {
    /// Only a Message has chunks that are not final.
    pub fn parse(bytes: &[u8; HEADER]) -> Result<Header, Fatal> {
        let [a, b, c, chunk, size @ ..] = *bytes;
        let kind = FrameKind::ALL
            .into_iter()
            .find(|kind| kind.code() == [a, b, c])
            .ok_or(Fatal::new(StatusCode::BadTcpMessageTypeInvalid, "unknown message type"))?;
        let chunk = match (chunk, kind) {
            (b'F', _) => ChunkKind::Final,
            (b'C', FrameKind::Message) => ChunkKind::Intermediate,
            (b'A', FrameKind::Message) => ChunkKind::Abort,
            _ => return Err(Fatal::new(StatusCode::BadTcpMessageTypeInvalid, "unknown chunk type")),
        };
        let size = u32::from_le_bytes(size) as usize;
        if size < HEADER {
            return Err(Fatal::new(StatusCode::BadTcpMessageTypeInvalid, "a message smaller than its header"));
        }
        Ok(Header { kind, chunk, size })
    }
}

/// The connection ends. `status` and `reason` are told to the peer; `detail` is for our log alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fatal {
    pub status: StatusCode,
    pub reason: Cow<'static, str>,
    pub detail: Option<String>,
    /// Set when a certificate was the reason: what is really wrong, for the audit.
    pub refused: Option<Box<RefusedCertificate>>,
}

/// A certificate that opened no channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCertificate {
    pub code: StatusCode,
    /// As the peer sent it.
    pub chain: Vec<u8>,
}

impl Fatal {
    pub fn new(status: StatusCode, reason: &'static str) -> Fatal {
        Fatal { status, reason: Cow::Borrowed(reason), detail: None, refused: None }
    }

    /// The one answer to whatever is wrong with security.
    pub fn security(detail: impl Into<String>) -> Fatal {
        Fatal {
            status: StatusCode::BadSecurityChecksFailed,
            reason: Cow::Borrowed("security checks failed; the server's log says why"),
            detail: Some(detail.into()),
            refused: None,
        }
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> Fatal {
        self.detail = Some(detail.into());
        self
    }

    /// Appends the Error message, after which the connection is closed.
    pub fn write(&self, out: &mut Writer) {
        PeerError { status: self.status, reason: &self.reason }.write(out);
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.detail.as_deref().unwrap_or(&self.reason))
    }
}

impl std::error::Error for Fatal {}

/// Feeds any bytes, cut anywhere, to the frame reader and to the readers of the four messages.
pub fn fuzz(bytes: &[u8]) {
    let mut input = Input::default();
    let (cut, bytes) = bytes.split_first().map_or((1, bytes), |(cut, rest)| (usize::from(*cut).max(1), rest));
    for part in bytes.chunks(cut) {
        input.room().extend_from_slice(part);
        loop {
            match input.next_frame(LEAST_BUFFER as usize) {
                Ok(Some(frame)) => {
                    let body = &input.bytes(&frame)[HEADER..];
                    drop((Hello::read(body), Acknowledge::read(body), PeerError::read(body), ReverseHello::read(body)));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(input.waiting() < LEAST_BUFFER as usize, "an incomplete frame is smaller than the buffer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_message_that_we_promise_fits_the_chunks_that_we_promise() {
        let limits = Limits::default();
        let most_overhead = 24 + 32 + 16;
        assert!(limits.max_chunks * (limits.receive_buffer - most_overhead) >= limits.max_message);
    }
}
