//! History: classes in cell files, the store in the server file.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::Deadband;
use crate::config::at::At;
use crate::model::{Period, Size};

/// History class: how much history of a tag is kept. `history:` at a tag names one of these, or one of the built-in
/// `fast`, `process` and `events`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct HistoryClass {
    /// Retention: how long samples are kept.
    #[schemars(extend("x-also" = ["retention", "retain", "ttl", "max_age"]))]
    pub keep: At<Period>,
    /// Samples that are recorded: each change, or every sample (default on-change).
    #[schemars(extend("x-also" = ["mode", "store", "sampling"]))]
    pub record: Option<Record>,
    /// Smallest change that is recorded, in the unit of the tag or in percent of its `range` (default 0). Examples:
    /// 0.5, 2%.
    #[schemars(extend("x-also" = ["dead_band", "tolerance", "exception_deviation"]))]
    pub deadband: Option<At<Deadband>>,
    /// Longest time between two records (default 1h). After this time an unchanged value is recorded again.
    #[schemars(extend("x-also" = ["max_time_interval", "heartbeat", "at_least_every"]))]
    pub max_interval: Option<At<Period>>,
    /// Largest size of this class on disk (default: only the limit of the server). Above it the oldest samples of the
    /// class are removed.
    #[schemars(extend("x-also" = ["size", "limit"]))]
    pub max_size: Option<Size>,
    /// Whether a value holds until the next sample (default true for Boolean, enumerations and text, else false).
    /// With false, values between two samples are on a straight line.
    #[schemars(extend("x-also" = ["step", "interpolate"]))]
    pub stepped: Option<bool>,
}

/// Samples that are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Record {
    OnChange,
    EverySample,
}

/// The history store. It is used when at least one tag has a history class.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct HistoryStore {
    /// Folder of the store (default: history in state_dir).
    #[schemars(extend("x-also" = ["dir", "folder", "directory"]))]
    pub path: Option<String>,
    /// Time between two writes to disk (default 1s). A power failure loses at most the samples of this time.
    #[schemars(extend("x-also" = ["flush", "sync"]))]
    pub commit: Option<At<Period>>,
    /// Largest size of the store on disk (default 20GiB).
    #[schemars(extend("x-also" = ["size", "limit"]))]
    pub max_size: Option<Size>,
    /// Action at `max_size`: remove the oldest samples, or stop recording (default drop-oldest).
    pub on_full: Option<OnFull>,
    /// Smallest free disk space (default 1GiB). While less is free, nothing is recorded, and the log says so.
    pub min_free: Option<Size>,
    /// Time that one file covers (default: month for classes above `keep: 90d`, else day).
    pub partition: Option<Partition>,
}

/// Action when the store has reached its largest size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnFull {
    DropOldest,
    Stop,
}

/// Time that one file covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Partition {
    Day,
    Month,
}
