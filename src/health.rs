//! How the links to devices are doing; the supervisor writes it, the engine's diagnostics and the console read it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::value::UaTime;

/// What a link is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Never connected yet.
    Connecting,
    Connected,
    /// Lost; the next attempt comes after the back-off.
    Waiting,
    Stopped,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Connecting => "Connecting",
            State::Connected => "Connected",
            State::Waiting => "Waiting",
            State::Stopped => "Stopped",
        }
    }
}

/// One link, maybe of several connections.
#[derive(Debug)]
pub struct Link {
    /// `press/plc1`, or the names of all connections that share the link.
    pub name: String,
    /// The connections on this link.
    pub connections: Vec<crate::model::ConnectionIx>,
    trouble: Mutex<Trouble>,
    pub requests: AtomicU64,
    /// Requests that were answered by an exception, garbage or nothing.
    pub errors: AtomicU64,
    pub timeouts: AtomicU64,
    /// Scans that were skipped because the one before was late.
    pub overruns: AtomicU64,
    pub reconnects: AtomicU64,
    scan_last_us: AtomicU64,
    scan_max_us: AtomicU64,
    /// Units that are asked less often because they don't answer.
    pub demoted: AtomicU32,
    healthy: AtomicBool,
}

#[derive(Debug, Clone)]
struct Trouble {
    state: State,
    connected_since: Option<UaTime>,
    last_error: String,
    last_error_at: Option<UaTime>,
}

/// A link at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub state: State,
    pub connected_since: Option<UaTime>,
    /// Empty: none yet.
    pub last_error: String,
    pub last_error_at: Option<UaTime>,
    pub requests: u64,
    pub errors: u64,
    pub timeouts: u64,
    pub overruns: u64,
    pub reconnects: u64,
    pub scan_last: Duration,
    pub scan_max: Duration,
    pub demoted: u32,
}

impl Link {
    pub fn new(name: String, connections: Vec<crate::model::ConnectionIx>) -> Link {
        Link {
            name,
            connections,
            trouble: Mutex::new(Trouble {
                state: State::Connecting,
                connected_since: None,
                last_error: String::new(),
                last_error_at: None,
            }),
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            overruns: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            scan_last_us: AtomicU64::new(0),
            scan_max_us: AtomicU64::new(0),
            demoted: AtomicU32::new(0),
            healthy: AtomicBool::new(false),
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        let trouble = self.trouble.lock().clone();
        Snapshot {
            state: trouble.state,
            connected_since: trouble.connected_since,
            last_error: trouble.last_error,
            last_error_at: trouble.last_error_at,
            requests: self.requests.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            timeouts: self.timeouts.load(Ordering::Relaxed),
            overruns: self.overruns.load(Ordering::Relaxed),
            reconnects: self.reconnects.load(Ordering::Relaxed),
            scan_last: Duration::from_micros(self.scan_last_us.load(Ordering::Relaxed)),
            scan_max: Duration::from_micros(self.scan_max_us.load(Ordering::Relaxed)),
            demoted: self.demoted.load(Ordering::Relaxed),
        }
    }

    pub fn is_connected(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    pub fn connected(&self, at: UaTime) {
        let mut trouble = self.trouble.lock();
        trouble.state = State::Connected;
        trouble.connected_since = Some(at);
        self.healthy.store(true, Ordering::Relaxed);
    }

    pub fn lost(&self, state: State) {
        let mut trouble = self.trouble.lock();
        trouble.state = state;
        trouble.connected_since = None;
        self.healthy.store(false, Ordering::Relaxed);
    }

    pub fn error(&self, text: String, at: UaTime) {
        let mut trouble = self.trouble.lock();
        trouble.last_error = text;
        trouble.last_error_at = Some(at);
    }

    pub fn scanned(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.scan_last_us.store(micros, Ordering::Relaxed);
        self.scan_max_us.fetch_max(micros, Ordering::Relaxed);
    }
}
