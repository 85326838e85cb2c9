//! Counters of the whole server since its start.

use std::sync::atomic::{AtomicU32, AtomicU64};

#[derive(Debug, Default)]
pub struct Totals {
    pub sessions: AtomicU32,
    pub security_rejected_sessions: AtomicU32,
    pub rejected_sessions: AtomicU32,
    pub session_timeouts: AtomicU32,
    pub session_aborts: AtomicU32,
    pub subscriptions: AtomicU32,
    pub transfers: AtomicU32,
    pub security_rejected_requests: AtomicU32,
    pub rejected_requests: AtomicU32,
    pub notifications: AtomicU64,
    /// Monitored items that there are now.
    pub monitored_items: AtomicU32,
}
