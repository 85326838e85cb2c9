//! Messages on their way.

use std::sync::Arc;

use tokio::time::Instant;

use crate::value::Sample;

/// A change of a tag that is to be sent.
#[derive(Debug, Clone)]
pub(super) struct Update {
    pub key: u32,
    pub sample: Sample,
    /// A birth with a newer value of the tag has gone out before it.
    pub is_past: bool,
}

/// The content of a message without an acknowledgement.
#[derive(Debug)]
pub(super) enum Load {
    Live(Update),
    /// Changes of one device in one message.
    Changes(Vec<Update>),
    /// A record of the buffer.
    Late(u64),
    /// Records of the buffer in one message.
    Records(Vec<u64>),
    /// One that makes the broker forget the value of a topic.
    Clear(Arc<str>),
    /// A message about the publisher itself.
    Own,
}

impl Load {
    /// Whether it has values, and is counted: births and deaths, `@online` and what clears a topic are not.
    pub(super) fn is_of_tags(&self) -> bool {
        match self {
            Load::Live(_) | Load::Changes(_) | Load::Late(_) | Load::Records(_) => true,
            Load::Clear(_) | Load::Own => false,
        }
    }
}

/// A message without an acknowledgement.
#[derive(Debug)]
pub(super) struct Flight {
    /// 0 at QoS 0: such a message is done when it has left.
    pub id: u16,
    pub load: Load,
    pub since: Instant,
}
