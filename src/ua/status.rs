//! ServerStatus as it moves (Part 5 §12.10, 1.05): state, and the announced end.

use std::sync::atomic::{AtomicI32, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::value::UaTime;

#[derive(Debug)]
pub struct Status {
    pub started: UaTime,
    state: AtomicI32,
    shutdown_at: Mutex<Option<(Instant, String)>>,
}

/// ServerState (Part 5 §12.6, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerState {
    Running = 0,
    Shutdown = 4,
    /// The outputs are not connected to hardware, and inputs are simulated.
    Test = 5,
}

impl Status {
    pub fn new(started: UaTime, simulated: bool) -> Status {
        let state = if simulated { ServerState::Test } else { ServerState::Running };
        Status { started, state: AtomicI32::new(state as i32), shutdown_at: Mutex::new(None) }
    }

    pub fn state(&self) -> i32 {
        self.state.load(Ordering::Acquire)
    }

    /// Whole seconds, rounded up; 0 while no end is announced.
    pub fn seconds_till_shutdown(&self, now: Instant) -> u32 {
        let left = self.shutdown_at.lock().as_ref().map(|(at, _)| at.saturating_duration_since(now));
        left.map_or(0, |left| u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX))
    }

    pub fn shutdown_reason(&self) -> Option<String> {
        self.shutdown_at.lock().as_ref().map(|(_, reason)| reason.clone())
    }

    pub fn announce_shutdown(&self, at: Instant, reason: &str) {
        *self.shutdown_at.lock() = Some((at, reason.to_owned()));
        self.state.store(ServerState::Shutdown as i32, Ordering::Release);
    }
}
