//! The socket `control` in the state folder: what a running server tells and does for the command line on its host.
//!
//! One request a connection, one line of JSON each way. The socket is 0600 in a folder that is 0700: who may write
//! there may ask. A few are answered at a time; work on the history may take minutes, all else seconds.

mod client;
mod reload;
mod server;
mod status;

pub use client::{AskError, ask};
pub(crate) use reload::LastReload;
pub(crate) use reload::{ConnectionNames, NodeCounts, NodeReport};
pub use reload::{ReloadReport, ReloadResult};
pub(crate) use server::{Answer, Listener};
pub(crate) use status::{CertificateStatus, HistoryStatus, LinkStatus, PublisherStatus, SessionStatus, Status};

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A request to the running server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    Status,
    /// Trusts unknown clients on first use for this time; 0 closes the window.
    PkiWindow {
        seconds: u64,
        from: Option<String>,
    },
    /// Reads the users, roles and the roles of sessions without login from the server file again.
    Accounts,
    /// Inserts the rows of a CSV file, which the server reads itself.
    HistoryImport {
        file: PathBuf,
    },
    /// Merges small blocks and gives unused disk back.
    HistoryCompact,
    /// Reads the files again and takes what they say; with `dry_run` only says what that would change.
    Reload {
        dry_run: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    Status(Box<Status>),
    /// A reload, as data and as text.
    Reloaded {
        report: Box<ReloadReport>,
        text: String,
    },
    /// Done; what there is to tell.
    Done(String),
    /// The request was not understood, or not done.
    Error(String),
}

/// Longest request and longest answer, in bytes.
const MOST_ASKED: u64 = 4 << 10;
const MOST_ANSWERED: u64 = 16 << 20;
/// Timeout of a request, and of each response except those of history commands.
const DEADLINE: Duration = Duration::from_secs(5);
/// Answered at a time.
const MOST_ASKERS: usize = 8;

impl Request {
    /// Longest wait for the answer; `None`: as long as the work takes.
    fn patience(&self) -> Option<Duration> {
        matches!(self, Request::Status | Request::PkiWindow { .. }).then_some(DEADLINE * 2)
    }
}

fn socket_of(state_dir: &Path) -> PathBuf {
    state_dir.join("control")
}
