//! The words of both contracts: samples, answers, and what goes wrong.
//!
//! "The device said no" and "the link broke" are two results: the first is about some points, the second about all.

use opcua::StatusCode;

use crate::model::TagId;
use crate::tags::RawSample;

/// Samples of one reply, ready to be committed as one batch.
pub(crate) type Samples = Vec<(TagId, RawSample)>;

/// The device's answer to a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The samples are in `out`.
    Samples,
    Refused {
        why: Refusal,
        text: String,
    },
}

/// Power of ten of a point at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exponent {
    Power(i8),
    Unknown(StatusCode),
}

/// Why a device refuses a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No such address, or too much at once: a smaller request may do.
    Block,
    /// Never: the device lacks the function.
    Unsupported,
    Failure,
    Busy,
    /// A gateway cannot reach the device.
    Unreachable,
}

/// Failure of a request or of the link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("no reply within {waited_ms} ms")]
    Timeout { waited_ms: u128, usable: bool },
    #[error("{text}")]
    Garbage { text: String, usable: bool },
    /// The peer closed the connection, and nothing of a reply came. Without `sent` it did so before the request.
    #[error("the peer closed the connection")]
    Closed { sent: bool },
    /// The peer refuses the credentials; the next attempt comes after the longest back-off.
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Lost(String),
}

impl LinkError {
    /// The link stays usable: a late reply cannot be taken for another request's.
    pub fn is_usable(&self) -> bool {
        match self {
            LinkError::Timeout { usable, .. } | LinkError::Garbage { usable, .. } => *usable,
            LinkError::Closed { .. } | LinkError::Denied(_) | LinkError::Lost(_) => false,
        }
    }
}
