//! State and counts of publishers, written by their tasks and read by the command line.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::health::State;
use crate::value::UaTime;

/// The state of one publisher.
#[derive(Debug)]
pub(crate) struct Status {
    /// `press/@publish.up`.
    pub name: String,
    trouble: Mutex<Trouble>,
    /// Messages with values that were handed to the broker.
    pub sent: AtomicU64,
    /// Those of them that the broker has acknowledged; none at QoS 0.
    pub acknowledged: AtomicU64,
    /// Records in the buffer.
    pub buffered: AtomicU64,
    pub buffered_bytes: AtomicU64,
    /// Samples that were lost: pushed out of a full queue or buffer, or without any.
    pub dropped: AtomicU64,
    /// Messages that the broker refuses.
    pub refused: AtomicU64,
    /// Commands that were obeyed, and those that were not.
    pub written: AtomicU64,
    pub not_written: AtomicU64,
    pub reconnects: AtomicU64,
}

/// The session of a publisher, and its last error.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub state: State,
    /// The session is open since then.
    pub since: Option<UaTime>,
    /// Empty: none yet.
    pub error: String,
    pub error_at: Option<UaTime>,
    /// The next attempt to open a session.
    pub next: Option<UaTime>,
}

impl Status {
    pub(super) fn new(name: String) -> Status {
        let trouble =
            Trouble { state: State::Connecting, since: None, error: String::new(), error_at: None, next: None };
        Status {
            name,
            trouble: Mutex::new(trouble),
            sent: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            buffered: AtomicU64::new(0),
            buffered_bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            written: AtomicU64::new(0),
            not_written: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        }
    }

    pub(super) fn up(&self, now: UaTime) {
        let mut trouble = self.trouble.lock();
        (trouble.state, trouble.since, trouble.next) = (State::Connected, Some(now), None);
    }

    /// The session has ended or was not opened; whether the reason is another than before.
    pub(super) fn down(&self, error: &str, now: UaTime) -> bool {
        let mut trouble = self.trouble.lock();
        let is_new = trouble.error != error || trouble.state == State::Connected;
        (trouble.state, trouble.since) = (State::Waiting, None);
        error.clone_into(&mut trouble.error);
        trouble.error_at = Some(now);
        is_new
    }

    pub(super) fn waits(&self, until: UaTime) {
        self.trouble.lock().next = Some(until);
    }

    pub(super) fn tries(&self) {
        self.trouble.lock().next = None;
    }

    pub(super) fn set(&self, state: State) {
        let mut trouble = self.trouble.lock();
        (trouble.state, trouble.next) = (state, None);
    }

    pub(crate) fn trouble(&self) -> Trouble {
        self.trouble.lock().clone()
    }
}

pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
