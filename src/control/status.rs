//! The content of `opcell status`, as the socket carries it. Times are seconds since 1970, UTC.

use serde::{Deserialize, Serialize};

use super::LastReload;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub process: u32,
    pub started: i64,
    pub now: i64,
    /// No device is connected: a simulator makes all values of connections.
    pub simulated: bool,
    /// Where it listens.
    pub listens: Vec<String>,
    pub sessions: Vec<SessionStatus>,
    pub subscriptions: usize,
    pub monitored_items: u32,
    /// The server's own, as it is told to who asks.
    pub certificate: Option<CertificateStatus>,
    pub links: Vec<LinkStatus>,
    #[serde(default)]
    pub publishers: Vec<PublisherStatus>,
    /// `None`: no tag has a history class.
    pub history: Option<HistoryStatus>,
    /// Counts what the files have said since the start, from 1.
    pub revision: u32,
    /// The last reload; `None` before the first.
    pub reload: Option<LastReload>,
    /// Keys of the server file that changed and take effect at the next start.
    pub needs_restart: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CertificateStatus {
    pub thumbprint: String,
    pub name: String,
    pub until: i64,
    pub is_self_signed: bool,
}

/// How the history store fares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryStatus {
    pub archives: u64,
    pub samples: u64,
    /// On disk.
    pub bytes: u64,
    pub partitions: u64,
    pub oldest: Option<i64>,
    pub newest: Option<i64>,
    /// Samples that wait for the next group commit.
    pub queued: u64,
    /// Samples that were pushed out of a full queue.
    pub dropped: u64,
    /// Samples that were older than is kept.
    pub too_old: u64,
    pub damaged_blocks: u64,
    /// Why nothing is recorded at present.
    pub stopped: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionStatus {
    pub name: String,
    /// Empty: without login.
    pub user: String,
    pub application: String,
    pub from: String,
    pub since: i64,
    pub secured: bool,
    pub subscriptions: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    pub name: String,
    pub state: String,
    pub since: Option<i64>,
    pub requests: u64,
    pub errors: u64,
    /// Units that are asked less often because they don't answer.
    pub demoted: u32,
    /// Percent of the link's time that the poll plan needs; above 100 scans are skipped.
    #[serde(default)]
    pub load: f64,
    /// Samples that a device sent faster than they could be taken.
    #[serde(default)]
    pub dropped: u64,
    /// Empty: none yet.
    pub last_error: String,
    pub last_error_at: Option<i64>,
    /// Why there are no values, since when, and what comes next; empty while the device answers.
    #[serde(default)]
    pub why: String,
}

/// A publisher and its counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublisherStatus {
    /// `press/@publish.up`.
    pub name: String,
    pub state: String,
    pub since: Option<i64>,
    /// Messages to the broker, and those that it acknowledged.
    pub sent: u64,
    pub acknowledged: u64,
    /// Messages on disk.
    pub buffered: u64,
    pub buffered_bytes: u64,
    /// Samples that were lost.
    pub dropped: u64,
    /// Messages that the broker does not take.
    pub refused: u64,
    /// Commands that were obeyed, and those that were not.
    pub written: u64,
    pub not_written: u64,
    pub reconnects: u64,
    /// Empty: none yet.
    pub last_error: String,
    pub last_error_at: Option<i64>,
    pub next_attempt: Option<i64>,
}
