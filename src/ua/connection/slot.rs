//! A connection's place, as the listener sees it: whether a session uses it, and the order to give it up.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub struct ConnectionSlot {
    is_in_use: AtomicBool,
    leave: Notify,
}

impl ConnectionSlot {
    /// Whether a session was activated over the connection and still uses it.
    pub fn is_in_use(&self) -> bool {
        self.is_in_use.load(Ordering::Relaxed)
    }

    pub fn set_in_use(&self, is_in_use: bool) {
        self.is_in_use.store(is_in_use, Ordering::Relaxed);
    }

    /// Requests the end of the connection.
    pub fn give_up(&self) {
        self.leave.notify_one();
    }

    pub(super) async fn must_leave(&self) {
        self.leave.notified().await;
    }
}
