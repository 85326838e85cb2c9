//! The answer to a reload, as the socket and the command line carry it.

use serde::{Deserialize, Serialize};

/// How a reload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReloadResult {
    Applied,
    /// The files say what the server does already.
    Unchanged,
    /// The files have mistakes; nothing was changed.
    Refused,
    /// Nothing was changed because nothing was to be changed.
    DryRun,
}

impl ReloadResult {
    pub fn name(self) -> &'static str {
        match self {
            ReloadResult::Applied => "applied",
            ReloadResult::Unchanged => "unchanged",
            ReloadResult::Refused => "refused",
            ReloadResult::DryRun => "dry-run",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReloadReport {
    pub result: ReloadResult,
    /// The revision that is in use now.
    pub revision: u32,
    /// Time that reading and checking took, in milliseconds.
    pub check_ms: u64,
    /// Time that the change took, in milliseconds.
    pub apply_ms: u64,
    pub nodes: NodeCounts,
    pub connections: ConnectionNames,
    /// At most 1,000.
    pub changes: Vec<NodeReport>,
    /// Changes beyond those.
    pub left_off: usize,
    /// Keys of the server file that changed and take effect at the next start.
    pub needs_restart: Vec<String>,
    /// As `check --json` prints them.
    pub findings: serde_json::Value,
}

/// Number of nodes by what happens to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeCounts {
    pub added: usize,
    pub removed: usize,
    pub changed: usize,
    pub untouched: usize,
}

/// Connections as `CELL:NAME`, by what happens to them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConnectionNames {
    pub kept: Vec<String>,
    pub reopened: Vec<String>,
    pub added: Vec<String>,
    pub removed: Vec<String>,
}

/// A node that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    pub cell: String,
    pub node: String,
    /// `added`, `removed` or `changed`.
    pub change: String,
    /// Keys of schema 1 whose value differs.
    pub keys: Vec<String>,
    /// `live`, `semantics`, `fresh`, `type`, `added` or `removed`.
    pub effect: String,
}

/// The last reload, for `opcell status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReload {
    pub result: ReloadResult,
    /// RFC 3339, UTC.
    pub at: String,
    /// The revision that was in use after it.
    pub revision: u32,
}
