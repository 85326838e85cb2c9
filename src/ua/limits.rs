//! Every limit of the server in one struct: what is advertised, what is enforced, and what a test may shrink.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::model;
use crate::stack::transport::Rate;

/// The limits of one revision; those that the server file does not decide are the same in all.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the server file.
    pub configured: model::Limits,
    /// Bytes that all sessions together may hold: items, queues, messages, links; and one of them.
    pub session_memory: usize,
    pub queue_bytes: usize,
    /// Connections in all, and from one address: as many as sessions may use, and some more for new clients.
    pub connections: usize,
    pub connections_per_address: usize,
    pub fixed: FixedLimits,
}

/// Limits that no file decides.
#[derive(Debug, Clone)]
pub struct FixedLimits {
    /// Operations of one Read, Write, Browse, RegisterNodes, TranslateBrowsePaths or CreateMonitoredItems.
    pub operations: u32,
    /// Methods of one Call. Each may look at all items of a subscription.
    pub method_calls: u32,
    pub references_per_browse: u32,
    pub browse_continuation_points: usize,
    pub publish_requests: usize,
    /// Nodes of one HistoryRead or HistoryUpdate.
    pub history_nodes: u32,
    /// Values of one node in one response, and times that one request may name.
    pub history_values: u32,
    /// At least as many as nodes of a request: each of them may need one.
    pub history_continuation_points: usize,
    /// Bytes of one response.
    pub history_bytes: usize,
    /// Requests for history that wait.
    pub history_requests: HistoryQueue,
    /// NotificationMessages that are kept for Republish, a subscription.
    pub retransmission_queue: usize,
    pub session_timeout: TimeoutRange,
    /// A session that is not activated ends after this time.
    pub activation_timeout: Duration,
    /// Interval x count of a lifetime or keep-alive, at most.
    pub longest_lifetime: Duration,
    /// Sessions that one address, and one client certificate, may have without being activated.
    pub pending_sessions: usize,
    pub string_length: u32,
    pub array_length: u32,
    pub select_clauses: u32,
    pub where_elements: u32,
    /// Bytes that may wait for a client that does not read; beyond that it is disconnected.
    pub send_buffer: usize,
    pub send_stall: Duration,
    /// Time after which a connection without an activated session is closed.
    pub without_session: Duration,
    /// New connections of one address.
    pub new_connections: Rate,
}

/// Requests for history that wait: of one session, and of all sessions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQueue {
    pub per_session: usize,
    pub total: usize,
}

/// The range that a client's timeout is revised to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutRange {
    pub least: Duration,
    pub most: Duration,
}

/// For all sessions, where nothing is configured and the machine's memory isn't known.
const LEAST_SESSION_MEMORY: u64 = 256 << 20;

impl Limits {
    pub fn new(configured: model::Limits) -> Limits {
        Limits::with(configured, FixedLimits::default())
    }

    /// The limits that follow from another server file.
    #[must_use]
    pub fn reconfigured(&self, configured: model::Limits) -> Limits {
        Limits::with(configured, self.fixed.clone())
    }

    fn with(configured: model::Limits, fixed: FixedLimits) -> Limits {
        let sessions = configured.max_sessions as usize;
        let memory = configured.session_memory.unwrap_or(LEAST_SESSION_MEMORY);
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        Limits {
            configured,
            session_memory: memory,
            queue_bytes: memory / 8,
            connections: (sessions + sessions / 2).max(150),
            connections_per_address: (sessions + sessions / 10).max(100),
            fixed,
        }
    }
}

impl Deref for Limits {
    type Target = FixedLimits;

    fn deref(&self) -> &FixedLimits {
        &self.fixed
    }
}

impl DerefMut for Limits {
    fn deref_mut(&mut self) -> &mut FixedLimits {
        &mut self.fixed
    }
}

impl Default for FixedLimits {
    fn default() -> FixedLimits {
        FixedLimits {
            operations: 10_000,
            method_calls: 1_000,
            references_per_browse: 10_000,
            browse_continuation_points: 100,
            history_nodes: 1_000,
            history_values: 10_000,
            history_continuation_points: 1_000,
            history_bytes: 16 * 1024 * 1024,
            history_requests: HistoryQueue { per_session: 16, total: 256 },
            publish_requests: 20,
            retransmission_queue: 64,
            session_timeout: TimeoutRange { least: Duration::from_secs(10), most: Duration::from_hours(1) },
            activation_timeout: Duration::from_secs(10),
            longest_lifetime: Duration::from_hours(1),
            pending_sessions: 20,
            string_length: 16 * 1024 * 1024,
            array_length: 1_000_000,
            // asyncua selects every field of a type, and alarm types have some 150.
            select_clauses: 400,
            where_elements: 100,
            send_buffer: 4 * 1024 * 1024,
            send_stall: Duration::from_secs(30),
            without_session: Duration::from_mins(2),
            new_connections: Rate { per_second: 200, at_once: 1_000 },
        }
    }
}
