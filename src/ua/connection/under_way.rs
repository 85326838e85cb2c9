//! Requests of a connection whose answer is not there yet.

use std::sync::Arc;

use opcua::StatusCode;
use tokio::sync::oneshot;

use crate::stack::channel::ServerChannel;
use crate::stack::codec::Writer;
use crate::ua::session::{Counted, Session};

/// A request for history that its client may still cancel.
pub(super) struct Cancellable {
    pub session: u32,
    pub handle: u32,
    pub cancel: oneshot::Sender<()>,
}

/// The channel and the buffer behind it.
pub(super) struct Line<'c> {
    pub channel: &'c mut ServerChannel,
    pub out: &'c mut Writer,
}

/// A request by what its answer is sent with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub request_id: u32,
    pub handle: u32,
}

/// A request that was under way, and its outcome.
pub(super) struct Done {
    pub call: Call,
    pub outcome: Outcome,
}

pub(super) enum Outcome {
    /// A Write that its devices have answered.
    Written(Vec<StatusCode>),
    /// The data that a request waited for is there: it is served again.
    Again(Vec<u8>),
    /// A whole response, or why there is none; it counts in the session only now.
    Encoded(Result<Vec<u8>, StatusCode>, Arc<Session>, Counted),
}
