//! What is audited, in the server file.

use schemars::JsonSchema;
use serde::Deserialize;

use super::history::Size;
use crate::config::at::At;
use crate::model::Period;

/// Who did what: each act is a line in the log and a record in files that show when they were changed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct Audit {
    /// Lines in the log, target `audit`: text, json or off (default text). In text, routine and refusals that have a
    /// warning of their own are at level debug, and each kind has 30 lines a minute; in json every record is at info.
    pub log: Option<AuditFormat>,
    /// Hash-chained files in the folder `audit` of state_dir; `opcell audit verify` checks them (default true).
    pub file: Option<bool>,
    /// Record writes of clients, with the old and the new value (default true).
    pub writes: Option<bool>,
    /// Files whose last record is older are removed (default 400d).
    #[schemars(extend("x-also" = ["retention", "retain", "max_age"]))]
    pub keep: Option<At<Period>>,
    /// Upper bound of all files; beyond it the oldest are removed (default 1GiB). One half is for writes and edits of
    /// history, the other for all other records: neither takes room from the other.
    #[schemars(extend("x-also" = ["size", "limit"]))]
    pub max_size: Option<At<Size>>,
    /// A file that reaches this, at least 1MiB and at most a quarter of `max_size`, is closed and the next begins
    /// (default 64MiB).
    #[schemars(extend("x-also" = ["rotate", "file_size"]))]
    pub max_file: Option<At<Size>>,
}

/// How a record looks in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AuditFormat {
    Text,
    Json,
    Off,
}
