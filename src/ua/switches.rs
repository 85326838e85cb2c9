//! Connections that clients switch on and off for maintenance: requests on their way to the owner of the links.

use opcua::StatusCode;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::model::ConnectionIx;

/// Requests that may wait.
const QUEUE: usize = 16;

/// A client wants a connection on or off.
pub(crate) struct Switch {
    pub connection: ConnectionIx,
    pub on: bool,
    /// The outcome: one status.
    pub reply: oneshot::Sender<Vec<StatusCode>>,
}

/// The way of the requests.
pub(crate) struct Switches {
    sender: mpsc::Sender<Switch>,
    receiver: Mutex<Option<mpsc::Receiver<Switch>>>,
}

impl Default for Switches {
    fn default() -> Switches {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Switches { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl Switches {
    /// Hands a request over; its outcome comes through the receiver.
    pub(crate) fn ask(
        &self,
        connection: ConnectionIx,
        on: bool,
    ) -> Result<oneshot::Receiver<Vec<StatusCode>>, StatusCode> {
        let (reply, outcome) = oneshot::channel();
        self.sender.try_send(Switch { connection, on, reply }).map_err(|_| StatusCode::BadResourceUnavailable)?;
        Ok(outcome)
    }

    /// The receiver, for the one who has the links; `None` after the first call.
    pub(crate) fn take(&self) -> Option<mpsc::Receiver<Switch>> {
        self.receiver.lock().take()
    }
}
