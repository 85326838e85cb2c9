//! A driver's answers about the points of a cell: faults, readings, poll plans. Plain data.

use std::ops::Range;
use std::time::Duration;

use crate::model::ConnectionIx;

/// A fault in a point; `at` is the wrong part inside the text of the address (or of the exponent's address).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointError {
    pub message: String,
    pub help: String,
    pub at: Range<usize>,
    pub part: Part,
}

/// Which text `PointError::at` counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Address,
    Exponent,
    /// A key next to the address, as `raw_type` or `nan`; `at` is empty.
    Key(&'static str),
    /// One entry of a list, by its key and place.
    Entry(&'static str, usize),
}

impl PointError {
    pub(crate) fn new(at: Range<usize>, message: String, help: &str) -> PointError {
        PointError { message, help: help.to_owned(), at, part: Part::Address }
    }

    pub(crate) fn key(key: &'static str, message: String, help: &str) -> PointError {
        PointError { message, help: help.to_owned(), at: 0..0, part: Part::Key(key) }
    }
}

/// A driver's answer for a point that is right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// The address in each spelling that it has, as `holding/70 = 40071`; empty where there is only one.
    pub spellings: String,
    /// Another YAML reader would take the address for a number that reads differently: it wants quotes.
    pub wants_quotes: bool,
    /// Something that is allowed and seldom intended.
    pub warning: Option<PointError>,
    /// Places in the device, to be compared with those of other points.
    pub claims: Vec<Claim>,
    /// Entries of the connection's `invalid` that this point can have.
    pub invalid: Vec<usize>,
    /// Bits of its whole numbers without a sign; 0 for other types.
    pub integer_bits: u32,
}

/// Registers or bytes of a device that a point reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The driver's own number of a table or block of data.
    pub space: u32,
    pub start: u32,
    pub count: u32,
    /// Registers or bytes of one element.
    pub step: u32,
    /// Bits or bytes of the registers, or their bytes as they are: others may read the same.
    pub is_part: bool,
    pub unit: Unit,
}

/// Unit in which a claim counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    Register,
    Byte,
}

impl Claim {
    pub fn end(&self) -> u32 {
        self.start + self.count
    }

    /// Both read the same registers and cut them into values differently.
    pub fn contradicts(&self, other: &Claim) -> bool {
        let overlaps = self.space == other.space && self.start < other.end() && other.start < self.end();
        let is_aligned = self.step == other.step && self.start.abs_diff(other.start).is_multiple_of(self.step.max(1));
        overlaps && !self.is_part && !other.is_part && !is_aligned
    }

    /// The fault of two claims that contradict each other, and its remedy.
    pub(crate) fn contradiction(&self, other: &Claim) -> (String, &'static str) {
        match self.unit {
            Unit::Register => {
                let words = |claim: &Claim| match claim.count {
                    1 => format!("register {}", claim.start),
                    count => format!("the {count} registers from {}", claim.start),
                };
                let verb = if self.count == 1 { "overlaps" } else { "overlap" };
                let help = "correct an address, or write `raw_type: int16` or `uint16` if the value is in one register";
                (format!("{} {verb} {} of another tag", words(self), words(other)), help)
            }
            Unit::Byte => {
                let (first, last) = (self.start.max(other.start), self.end().min(other.end()) - 1);
                let bytes = match last - first {
                    0 => format!("byte {first} is"),
                    1 => format!("bytes {first} and {last} are"),
                    _ => format!("bytes {first} to {last} are"),
                };
                (format!("{bytes} in both tags"), "correct an address, an array or a length")
            }
        }
    }
}

/// How much a connection polls, before it is ever opened.
#[derive(Debug, Clone, PartialEq)]
pub struct PollPlan {
    pub connection: ConnectionIx,
    pub tags: usize,
    /// Requests of one scan of everything.
    pub requests: Vec<PlannedRequest>,
    /// Longest scan of everything when each request is answered: from the baud rate on a serial line,
    /// from 5 ms a round trip over TCP, with the pauses between requests.
    pub worst_scan: Duration,
    /// Facts on which the requests rest, as `3 DBs, PDU 240`; empty for none.
    pub basis: String,
    /// Share of the link's time that polling takes at the wanted periods; above 1 scans come late.
    pub load: f64,
}

/// One read of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRequest {
    /// The table and its first and last address, as `holding/100..131`.
    pub place: String,
    /// Tags that get their value, or the exponent of one, from it.
    pub tags: usize,
    pub period: Duration,
}

/// Key of a link: connections with the same key share it, as host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LinkKey(pub String);

/// A fault of a key of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    pub key: &'static str,
    /// Bytes of the file that the key names, where the fault is inside of it.
    pub in_file: Option<Range<usize>>,
    pub message: String,
    pub help: String,
}

/// A finding about a connection and its points together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    pub place: RemarkPlace,
    /// A warning is allowed and seldom intended.
    pub is_warning: bool,
    pub message: String,
    pub help: String,
}

/// Place of a remark in a cell file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemarkPlace {
    /// A key of the connection.
    Key(&'static str),
    /// One entry of a list of the connection, by its key and place.
    Entry(&'static str, usize),
    /// The address of a point, by its place in the plan.
    Point(usize),
}

/// Something that is allowed and seldom intended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    pub message: String,
    pub help: String,
}

/// A line of `opcell probe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeLine {
    /// Keys to write, as `raw_type: int16`, or a name of the value.
    pub keys: String,
    pub value: String,
}

/// The steps of the way to a device, and why it ends before its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Way {
    pub steps: Vec<ProbeLine>,
    /// The step that failed, why, and what to do.
    pub failure: Option<String>,
}

impl Way {
    pub(crate) fn step(&mut self, name: &str, said: impl Into<String>) {
        self.steps.push(ProbeLine { keys: name.to_owned(), value: said.into() });
    }

    /// Ends the way.
    pub(crate) fn fails(mut self, why: impl Into<String>) -> Way {
        self.failure = Some(why.into());
        self
    }
}

/// Failure of `probe`, or of a listing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    #[error("driver `{driver}` does not offer `probe`")]
    NotOffered { driver: &'static str },
    #[error("driver `{driver}` probes one address: opcell probe CONNECTION ADDRESS")]
    NeedsAddress { driver: &'static str },
    #[error("driver `{driver}` cannot list what a device has: its protocol has no listing")]
    NotListed { driver: &'static str },
    #[error("{0}")]
    Failed(String),
}
