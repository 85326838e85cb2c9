//! The way of responses: the channel and its buffer, and requests whose response is not there yet.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use opcua::StatusCode;
use tokio::time::Instant;

use crate::stack::channel::ServerChannel;
use crate::stack::codec::Writer;
use crate::ua::services::{Response, ResponseHead};
use crate::ua::session::Session;
use crate::ua::totals::Totals;

/// A request by what its response is sent with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub request_id: u32,
    pub handle: u32,
}

/// A request whose response was made in the background.
pub(super) struct Done {
    pub call: Call,
    pub response: Response,
    /// The session in which it counts, and as what.
    pub session: Arc<Session>,
    pub counter: Option<usize>,
    pub was_at_disk: bool,
}

/// The channel, and the buffer that it writes to.
pub(super) struct Responder<'c> {
    pub channel: &'c mut ServerChannel,
    pub out: &'c mut Writer,
    pub peer: SocketAddr,
    pub totals: &'c Totals,
}

impl Responder<'_> {
    /// Sends a response, or its fault; false for a fault.
    pub(crate) fn answer(&mut self, call: Call, body: impl FnOnce(&mut Writer) -> Result<(), StatusCode>) -> bool {
        match self.respond(call, body) {
            Ok(()) => true,
            Err(status) => {
                self.refuse(call, status);
                false
            }
        }
    }

    /// Sends a response; where there is none, nothing is sent.
    pub(crate) fn respond(
        &mut self,
        call: Call,
        body: impl FnOnce(&mut Writer) -> Result<(), StatusCode>,
    ) -> Result<(), StatusCode> {
        self.channel.respond(Instant::now().into_std(), self.out, call.request_id, body)
    }

    /// Sends a ServiceFault.
    pub(crate) fn refuse(&mut self, call: Call, status: StatusCode) {
        let fault = self.respond(call, |w| {
            ResponseHead::fault(call.handle).write_with(status, w);
            Ok(())
        });
        if let Err(status) = fault {
            log::debug!("{}: no answer to request {}: {status}", self.peer, call.request_id);
        }
        self.totals.rejected_requests.fetch_add(1, Ordering::Relaxed);
    }
}
