//! A connection's place, as the listener sees it: whether somebody works there, and the word that it must be given up.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub struct Seat {
    is_taken: AtomicBool,
    leave: Notify,
}

impl Seat {
    /// Whether a session was activated over the connection and still uses it.
    pub fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Relaxed)
    }

    pub fn set_taken(&self, is_taken: bool) {
        self.is_taken.store(is_taken, Ordering::Relaxed);
    }

    /// Tells the connection to end.
    pub fn give_up(&self) {
        self.leave.notify_one();
    }

    pub(super) async fn must_leave(&self) {
        self.leave.notified().await;
    }
}
