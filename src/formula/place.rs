//! Functions with memory, as a program has them.

use tokio::time::Instant;

use super::functions::Function;

/// A function with memory in a formula.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    Previous,
    /// Of this input.
    Age(u16),
    Window(Window),
    Total {
        /// In seconds.
        per: f64,
        is_sloped: bool,
    },
    Rises,
    OnTime,
    OnDelay,
    OffDelay,
}

/// A function over the last part of the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub function: Function,
    pub seconds: f64,
    /// Values go in straight lines, and not in steps.
    pub is_sloped: bool,
    /// See `Found::wraps_at`.
    pub wraps_at: Option<f64>,
}

/// From one moment to another.
pub(super) fn seconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64()
}
