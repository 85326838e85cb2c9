//! The socket `control` in the state folder: what a running server tells and does for the command line on its host.
//!
//! One request a connection, one line of JSON each way. The socket is 0600 in a folder that is 0700: who may write
//! there may ask. It is answered one after the other, so a slow asker costs the others its deadline at most.

mod client;
mod server;
mod status;

pub use client::{AskError, ask};
pub use server::Listener;
pub use status::{LinkStatus, SessionStatus, Status};

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    Status,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    Status(Box<Status>),
    /// The request was not understood, or not done.
    Error(String),
}

/// Longest request and longest answer, in bytes.
const MOST_ASKED: u64 = 4 << 10;
const MOST_ANSWERED: u64 = 16 << 20;
/// For a whole exchange.
const DEADLINE: Duration = Duration::from_secs(5);

fn socket_of(state_dir: &Path) -> PathBuf {
    state_dir.join("control")
}
