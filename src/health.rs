//! Health of links and of the connections on them; the supervisor writes it, the engine's diagnostics and the console
//! read it.
//!
//! A link whose connections change gets a new `Link`, which shares the counts of the old one.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::ConnectionIx;
use crate::value::{UaTime, time_to_text};

/// State of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Never connected yet.
    Connecting,
    Connected,
    /// The device does not answer, though its link can be opened. It remains so until it answers.
    Silent,
    /// Lost; the next attempt comes after the back-off.
    Waiting,
    Stopped,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Connecting => "Connecting",
            State::Connected => "Connected",
            State::Silent => "Silent",
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
    pub connections: Vec<ConnectionIx>,
    /// One a connection.
    devices: Vec<Arc<Device>>,
    counts: Arc<Counts>,
}

/// Counts of a link as a whole.
#[derive(Debug, Default)]
pub struct Counts {
    /// Scans that were skipped because the one before was late.
    pub overruns: AtomicU64,
    pub reconnects: AtomicU64,
    /// Samples of a pushing driver that were dropped because newer ones of their tags came too fast.
    pub dropped: AtomicU64,
    scan_last_us: AtomicU64,
    scan_max_us: AtomicU64,
    /// Units that are asked less often because they don't answer.
    pub demoted: AtomicU32,
    /// Time that the poll plan needs, in tenths of a percent of the link's time.
    load: AtomicU32,
}

impl Deref for Link {
    type Target = Counts;

    fn deref(&self) -> &Counts {
        &self.counts
    }
}

/// A connection's own part of a link.
#[derive(Debug, Default)]
struct Device {
    trouble: Mutex<Trouble>,
    requests: AtomicU64,
    errors: AtomicU64,
    timeouts: AtomicU64,
}

#[derive(Debug, Clone)]
struct Trouble {
    state: State,
    connected_since: Option<UaTime>,
    last_error: String,
    last_error_at: Option<UaTime>,
    /// Since when the device does not answer; none while it does.
    away_since: Option<UaTime>,
    next_attempt: Option<UaTime>,
}

/// A connection or a link at one moment. Overruns, scan times, load and reconnects are the link's in both.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub state: State,
    pub connected_since: Option<UaTime>,
    /// Empty: none yet.
    pub last_error: String,
    pub last_error_at: Option<UaTime>,
    /// Since when the device does not answer; none while it does.
    pub away_since: Option<UaTime>,
    /// Next attempt to open the link; none while it is open, or an attempt is under way.
    pub next_attempt: Option<UaTime>,
    pub requests: u64,
    /// Requests that were answered by an exception, garbage or nothing.
    pub errors: u64,
    pub timeouts: u64,
    pub overruns: u64,
    pub reconnects: u64,
    /// Samples that came faster than they could be taken.
    pub dropped: u64,
    pub scan_last: Duration,
    pub scan_max: Duration,
    pub demoted: u32,
    /// Percent of the link's time that the poll plan needs; above 100 scans are skipped.
    pub load: f64,
}

impl Snapshot {
    /// Why the device gives no values, since when, and what comes next; empty while it answers.
    pub fn why(&self) -> String {
        let cause = match (self.state, self.last_error.as_str()) {
            (State::Connected, _) => return String::new(),
            (State::Stopped, _) => "the server is stopping",
            (_, "") => "not connected yet",
            (_, error) => error,
        };
        let since = self.away_since.map(|since| format!(", since {}", second(since))).unwrap_or_default();
        let next = match self.next_attempt {
            Some(next) => format!("; next try at {}", second(next)),
            None if self.state == State::Silent => "; it is asked again, less often".to_owned(),
            None => String::new(),
        };
        format!("{cause}{since}{next}")
    }
}

/// A time to the second.
fn second(time: UaTime) -> String {
    time_to_text(UaTime(time.0 - time.0.rem_euclid(10_000_000)))
}

impl Link {
    pub fn new(name: String, connections: Vec<ConnectionIx>) -> Link {
        Link {
            name,
            devices: connections.iter().map(|_| Arc::default()).collect(),
            connections,
            counts: Arc::default(),
        }
    }

    /// The same link with other connections. One that came from another of these links keeps its counts and its last error.
    pub(crate) fn with(&self, name: String, connections: Vec<ConnectionIx>, others: &[Arc<Link>]) -> Link {
        let own = |ix: &ConnectionIx| self.device(*ix).map(Arc::clone);
        let device = |ix: &ConnectionIx| own(ix).unwrap_or_else(|| moved(*ix, others));
        let devices = connections.iter().map(device).collect();
        Link { name, devices, connections, counts: Arc::clone(&self.counts) }
    }

    /// A new link of connections that may come from others.
    pub(crate) fn from(others: &[Arc<Link>], name: String, connections: Vec<ConnectionIx>) -> Link {
        let devices = connections.iter().map(|ix| moved(*ix, others)).collect();
        Link { name, devices, connections, counts: Arc::default() }
    }

    fn device(&self, connection: ConnectionIx) -> Option<&Arc<Device>> {
        self.devices.get(self.connections.iter().position(|of| *of == connection)?)
    }

    /// The device of place `new` has joined the link, which is as for the one of place `old`.
    pub(crate) fn joined(&self, new: usize, old: usize) {
        let link = self.devices[old].trouble.lock().clone();
        let mut trouble = self.devices[new].trouble.lock();
        trouble.connected_since = link.connected_since;
        trouble.state = match (link.state, link.connected_since) {
            (State::Silent, Some(_)) => State::Connected,
            (State::Silent, None) => State::Waiting,
            (state, _) => state,
        };
    }

    /// The whole link: connected when one of its devices is; counts of all, the last error of any.
    pub fn snapshot(&self) -> Snapshot {
        let all: Vec<Snapshot> = self.devices.iter().map(|device| self.of_device(device)).collect();
        let best = all.iter().find(|one| one.state == State::Connected).or(all.first());
        let Some(best) = best.cloned() else { unreachable!("a link has a connection") };
        let latest = all.iter().filter(|one| one.last_error_at.is_some()).max_by_key(|one| one.last_error_at);
        let (last_error, last_error_at) =
            latest.map_or((String::new(), None), |one| (one.last_error.clone(), one.last_error_at));
        let sum = |count: fn(&Snapshot) -> u64| all.iter().map(count).sum();
        Snapshot {
            last_error,
            last_error_at,
            requests: sum(|one| one.requests),
            errors: sum(|one| one.errors),
            timeouts: sum(|one| one.timeouts),
            ..best
        }
    }

    /// One connection of the link.
    pub fn of(&self, connection: ConnectionIx) -> Option<Snapshot> {
        let at = self.connections.iter().position(|of| *of == connection)?;
        Some(self.of_device(self.devices.get(at)?))
    }

    fn of_device(&self, device: &Device) -> Snapshot {
        let trouble = device.trouble.lock().clone();
        Snapshot {
            state: trouble.state,
            connected_since: trouble.connected_since,
            last_error: trouble.last_error,
            last_error_at: trouble.last_error_at,
            away_since: trouble.away_since,
            next_attempt: trouble.next_attempt,
            requests: device.requests.load(Ordering::Relaxed),
            errors: device.errors.load(Ordering::Relaxed),
            timeouts: device.timeouts.load(Ordering::Relaxed),
            overruns: self.overruns.load(Ordering::Relaxed),
            reconnects: self.reconnects.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            scan_last: Duration::from_micros(self.scan_last_us.load(Ordering::Relaxed)),
            scan_max: Duration::from_micros(self.scan_max_us.load(Ordering::Relaxed)),
            demoted: self.demoted.load(Ordering::Relaxed),
            load: f64::from(self.load.load(Ordering::Relaxed)) / 10.0,
        }
    }

    /// The link is open; a silent device remains silent until it answers.
    pub fn connected(&self, at: UaTime) {
        for device in &self.devices {
            let mut trouble = device.trouble.lock();
            trouble.connected_since = Some(at);
            trouble.next_attempt = None;
            if trouble.state != State::Silent {
                trouble.state = State::Connected;
                trouble.away_since = None;
            }
        }
    }

    /// The link is closed. Devices that did not answer before remain silent.
    pub fn lost(&self, state: State, is_silence: bool, at: UaTime) {
        for device in &self.devices {
            let mut trouble = device.trouble.lock();
            trouble.connected_since = None;
            trouble.away_since.get_or_insert(at);
            if !(is_silence && trouble.state == State::Silent) {
                trouble.state = state;
            }
        }
    }

    /// The device of this place does not answer.
    pub fn silent(&self, device: usize, at: UaTime) {
        let mut trouble = self.devices[device].trouble.lock();
        trouble.state = State::Silent;
        trouble.away_since.get_or_insert(at);
    }

    /// The link waits until then before it is opened again.
    pub fn waits(&self, until: UaTime) {
        self.devices.iter().for_each(|device| device.trouble.lock().next_attempt = Some(until));
    }

    /// An attempt to open the link is under way.
    pub fn tries(&self) {
        self.devices.iter().for_each(|device| device.trouble.lock().next_attempt = None);
    }

    /// The device of this place answers.
    pub fn heard(&self, device: usize) {
        let mut trouble = self.devices[device].trouble.lock();
        if trouble.state == State::Silent {
            trouble.state = State::Connected;
            trouble.away_since = None;
        }
    }

    pub fn asked(&self, device: usize) {
        self.devices[device].requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A request of this device went wrong.
    pub fn failed(&self, device: usize, text: String, is_timeout: bool, at: UaTime) {
        let device = &self.devices[device];
        device.errors.fetch_add(1, Ordering::Relaxed);
        if is_timeout {
            device.timeouts.fetch_add(1, Ordering::Relaxed);
        }
        device.set_error(text, at);
    }

    /// An error of the whole link.
    pub fn error(&self, text: &str, at: UaTime) {
        self.devices.iter().for_each(|device| device.set_error(text.to_owned(), at));
    }

    pub fn scanned(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.scan_last_us.store(micros, Ordering::Relaxed);
        self.scan_max_us.fetch_max(micros, Ordering::Relaxed);
    }

    /// Share of the link's time that the poll plan needs; 1 is all of it.
    pub fn loaded(&self, share: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is wanted")]
        self.load.store((share * 1_000.0).round() as u32, Ordering::Relaxed);
    }
}

/// A device for a connection that may have been on another of these links, which may write to its own until it ends.
fn moved(connection: ConnectionIx, others: &[Arc<Link>]) -> Arc<Device> {
    others.iter().find_map(|link| link.device(connection)).map_or_else(Arc::default, |device| Arc::new(device.copy()))
}

impl Default for Trouble {
    fn default() -> Trouble {
        let (last_error, last_error_at) = (String::new(), None);
        let (away_since, next_attempt) = (None, None);
        Trouble { state: State::Connecting, connected_since: None, last_error, last_error_at, away_since, next_attempt }
    }
}

impl Device {
    fn copy(&self) -> Device {
        let count = |count: &AtomicU64| AtomicU64::new(count.load(Ordering::Relaxed));
        let trouble = self.trouble.lock().clone();
        let state = if trouble.state == State::Connecting { State::Connecting } else { State::Waiting };
        Device {
            trouble: Mutex::new(Trouble { state, connected_since: None, ..trouble }),
            requests: count(&self.requests),
            errors: count(&self.errors),
            timeouts: count(&self.timeouts),
        }
    }

    fn set_error(&self, text: String, at: UaTime) {
        let mut trouble = self.trouble.lock();
        trouble.last_error = text;
        trouble.last_error_at = Some(at);
    }
}
