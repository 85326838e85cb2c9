//! The keys of a recording; their doc comments are the user's reference.

use std::sync::{Arc, OnceLock};

use super::table::{Fault, Table};
use crate::drivers::file_text::FileText;

/// A recording that is played.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Settings {
    /// CSV file, from the cell file: one column of time and one for each signal, or an export of `opcell history export`.
    #[schemars(extend("x-also" = ["path", "csv", "filename"], "x-file" = "csv"))]
    pub file: FileText,
    /// Column of the time: RFC 3339, or seconds.
    #[serde(default = "default_time")]
    #[schemars(extend("x-also" = ["timestamp", "time_column"]))]
    pub time: String,
    /// How many times faster than it was recorded.
    #[serde(default = "default_speed")]
    #[schemars(range(min = 0.001, max = 1000.0), extend("x-also" = ["rate", "factor"]))]
    pub speed: f64,
    /// Continuation after the last row: the first one again (`loop`), the last values (`hold`), or no values (`bad`) (default loop).
    #[serde(default)]
    #[schemars(extend("x-also" = ["repeat", "on_end"]))]
    pub at_end: AtEnd,
    #[serde(skip)]
    #[schemars(skip)]
    pub parsed: Parsed,
}

fn default_time() -> String {
    "time".to_owned()
}

fn default_speed() -> f64 {
    1.0
}

/// Continuation after the last row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AtEnd {
    /// The first row again; the last row lasts as long as the one before it.
    #[default]
    Loop,
    /// The last values remain.
    Hold,
    /// All tags are BadNoData.
    Bad,
}

/// The rows of the file, found once; the file and the other keys say all that counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parsed(OnceLock<Arc<Result<Table, Fault>>>);

impl PartialEq for Parsed {
    fn eq(&self, _: &Parsed) -> bool {
        true
    }
}

impl Settings {
    /// The rows of the file, or what is wrong with them.
    pub(super) fn table(&self) -> &Result<Table, Fault> {
        self.parsed.0.get_or_init(|| Arc::new(Table::parse(&self.file, &self.time)))
    }

    /// The same to be kept.
    pub(super) fn shared_table(&self) -> Arc<Result<Table, Fault>> {
        self.parsed.0.get_or_init(|| Arc::new(Table::parse(&self.file, &self.time))).clone()
    }
}
