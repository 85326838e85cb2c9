//! What a protocol must do for the supervisor, and how it says that something went wrong.
//!
//! "The device said no" and "the link broke" are two results: the first is about some points, the second about all.

use opcua::StatusCode;

use super::batch::Block;
use crate::model::TagId;
use crate::tags::RawSample;
use crate::value::Value;

/// What one reply gave, ready to be committed as one batch.
pub type Samples = Vec<(TagId, RawSample)>;

/// One physical link: a socket or a serial line, maybe with several devices. One task owns it, so there are no
/// locks. Nothing here retries or reconnects, and nothing logs.
#[async_trait::async_trait]
pub trait Protocol: Send {
    /// Groups points into requests. Pure, and the same each time. The points are indices into those the link was
    /// made with; `Span::id` is such an index times two, plus one for what only accompanies the point.
    fn plan(&self, points: &[u32]) -> Vec<Block>;

    /// The device a block belongs to, as an index into the link's connections.
    fn device(&self, block: &Block) -> usize;

    /// Opens the link. Dropping the future leaves it closed.
    async fn connect(&mut self) -> Result<(), LinkError>;

    /// One request and its reply. When the future is dropped, the caller must disconnect: a late reply must never
    /// be taken for the next one's.
    async fn read(&mut self, block: &Block, out: &mut Samples) -> Result<Answer, LinkError>;

    /// Writes one point from element `first` on; the answer is the device's. Never repeated after it was sent, but a
    /// driver may try another function of the protocol while it doesn't know which one the device has.
    async fn write(&mut self, point: u32, value: &Value, first: u32) -> Result<StatusCode, LinkError>;

    /// Writes again exactly what was last read from a point with `write_every` or written to it, in the device's own form;
    /// GoodNoData when nothing is known that may be written.
    async fn rewrite(&mut self, _point: u32) -> Result<StatusCode, LinkError> {
        Ok(StatusCode::GoodNoData)
    }

    /// The power of ten by which the device scales the point at this moment; asked right before a write.
    async fn exponent(&mut self, _point: u32) -> Result<Result<i8, StatusCode>, LinkError> {
        Ok(Err(StatusCode::BadConfigurationError))
    }

    /// Closes the link; the caller bounds it.
    async fn disconnect(&mut self);

    /// Something about the link that the log should say once, if there is news.
    fn remark(&mut self) -> Option<String> {
        None
    }
}

/// What a device answered to a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The samples are in `out`.
    Samples,
    Refused {
        why: Refusal,
        text: String,
    },
}

/// Why a device refuses a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No such address, or too much at once: a smaller block may do.
    Block,
    /// Never: the device lacks the function.
    Unsupported,
    Failure,
    Busy,
    /// A gateway cannot reach the device.
    Unreachable,
}

/// What broke a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("no reply within {waited_ms} ms")]
    Timeout { waited_ms: u128, usable: bool },
    #[error("{text}")]
    Garbage { text: String, usable: bool },
    /// The peer closed the connection, and nothing of a reply came. Without `sent` it did so before the request.
    #[error("the peer closed the connection")]
    Closed { sent: bool },
    #[error("{0}")]
    Lost(String),
}

impl LinkError {
    /// The link may go on being used: what comes late cannot be mistaken.
    pub fn is_usable(&self) -> bool {
        match self {
            LinkError::Timeout { usable, .. } | LinkError::Garbage { usable, .. } => *usable,
            LinkError::Closed { .. } | LinkError::Lost(_) => false,
        }
    }
}
