//! What `opcell status` shows, as it goes over the socket. Times are seconds since 1970, UTC.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub process: u32,
    pub started: i64,
    pub now: i64,
    /// Where it listens.
    pub listens: Vec<String>,
    pub sessions: Vec<SessionStatus>,
    pub subscriptions: usize,
    pub monitored_items: u32,
    pub links: Vec<LinkStatus>,
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
    /// Empty: none yet.
    pub last_error: String,
    pub last_error_at: Option<i64>,
}
