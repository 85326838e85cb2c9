//! One moment on both clocks.

use tokio::time::Instant;

use super::UaTime;

/// A moment, read once when a request or a batch arrives and passed to everything with a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The clock that measures spans; it never goes back.
    pub mono: Instant,
    /// The wall clock: what goes over the wire.
    pub wall: UaTime,
}

impl Moment {
    pub fn now() -> Moment {
        Moment { mono: Instant::now(), wall: UaTime::now() }
    }
}
