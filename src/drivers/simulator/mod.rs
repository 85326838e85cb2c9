//! Signals without a device, for demonstrations, tests and `--simulate`.

use std::time::Duration;

use super::{ConnectionPlan, PointError, PointPlan, PollPlan, Reading};

/// A source of made-up signals.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct Settings {
    /// Same seed, same signals.
    #[serde(default = "default_seed")]
    pub seed: u64,
}

fn default_seed() -> u64 {
    1
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: default_seed() }
    }
}

pub(super) fn check_point(_: &Settings, point: &PointPlan) -> Result<Reading, PointError> {
    Ok(Reading { spellings: point.address.clone(), wants_quotes: false })
}

pub(super) fn poll_plan(connection: &ConnectionPlan) -> PollPlan {
    let tags = connection.points.iter().filter(|point| point.read).count();
    PollPlan { connection: connection.ix, tags, requests: 0, worst_scan: Duration::ZERO, load: 0.0 }
}
