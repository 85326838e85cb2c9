//! The audit trail, in the server file.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::at::At;
use crate::model::{Period, Size};

/// Audit trail: each action is a line in the log and a record in a file. The files are chained by hashes, so that a
/// later change shows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct Audit {
    /// Form of the lines in the log, which have the target `audit`: text, json or off (default text). In text,
    /// routine records and refusals that have their own warning are logged at level debug, and each kind of record at
    /// most 30 times a minute. In json, every record is logged at level info.
    pub log: Option<AuditFormat>,
    /// Whether records are written to files in the folder `audit` of state_dir (default true). `opcell audit verify`
    /// checks these files.
    pub file: Option<bool>,
    /// Whether writes of clients are recorded, with the old and the new value (default true).
    pub writes: Option<bool>,
    /// Retention of the files (default 400d): a file is removed when its last record is older.
    #[schemars(extend("x-also" = ["retention", "retain", "max_age"]))]
    pub keep: Option<At<Period>>,
    /// Largest total size of the files (default 1GiB). Above it the oldest files are removed. Writes and edits of
    /// history have one half, all other records have the other half: neither takes space from the other.
    #[schemars(extend("x-also" = ["size", "limit"]))]
    pub max_size: Option<At<Size>>,
    /// Size at which a file is closed and a new one begins: at least 1MiB, at most a quarter of `max_size` (default
    /// 64MiB).
    #[schemars(extend("x-also" = ["rotate", "file_size"]))]
    pub max_file: Option<At<Size>>,
}

/// Form of a record in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AuditFormat {
    Text,
    Json,
    Off,
}
