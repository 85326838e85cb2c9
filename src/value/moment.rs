//! One moment on both clocks.

use tokio::time::Instant;

use super::UaTime;

/// A moment, read once when a request or a batch arrives and passed to everything with a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic clock, for durations.
    pub mono: Instant,
    /// Wall clock, for timestamps in messages.
    pub wall: UaTime,
}

impl Moment {
    pub fn now() -> Moment {
        Moment { mono: Instant::now(), wall: UaTime::now() }
    }
}
