//! Connections and points as a checked cell gives them to drivers, and the drivers' answers about them. Plain data.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::settings::{PointSettings, Settings};
use crate::model::{ConnectionIx, TagId};
use crate::value::BuiltIn;

/// One tag of a connection, as its driver sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct PointPlan {
    pub tag: TagId,
    pub address: String,
    /// The words of one value where `address` is a list, most significant first; `address` is then the first of them.
    pub words: Vec<String>,
    /// `scale.exponent`: the address of a power of ten.
    pub exponent: Option<String>,
    /// Keys that the driver has next to the address.
    pub settings: PointSettings,
    /// The tag's type on the wire of OPC UA.
    pub kind: BuiltIn,
    /// 1 for a scalar.
    pub elements: usize,
    pub is_array: bool,
    /// Longest text in bytes.
    pub length: Option<u32>,
    pub poll: Duration,
    pub read: bool,
    pub write: bool,
    /// How often the present value is written again, for devices with a watchdog.
    pub write_every: Option<Duration>,
    /// The lowest and the highest value of the enumeration that the tag is of.
    pub enumeration: Option<(i32, i32)>,
    /// The tag calculates: its type and the type on the device's wire may differ.
    pub has_scale: bool,
}

/// One connection with its points; points of disabled tags are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionPlan {
    pub ix: ConnectionIx,
    pub name: String,
    /// The driver and its own keys.
    pub settings: Settings,
    pub timeout: Duration,
    pub retries: u32,
    pub reconnect_max: Duration,
    pub enabled: bool,
    pub points: Vec<PointPlan>,
}

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
    /// Something that is allowed and rarely meant.
    pub warning: Option<PointError>,
    /// Places in the device, to be compared with those of other points.
    pub claims: Vec<Claim>,
    /// Entries of the connection's `invalid` that this point can have.
    pub invalid: Vec<usize>,
    /// Bits of its whole numbers without a sign; 0 for what is no whole number.
    pub integer_bits: u32,
}

/// Registers of a device that a point reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    pub space: u8,
    pub start: u32,
    pub count: u32,
    /// Registers of one element.
    pub step: u32,
    /// Bits or bytes of the registers, or their bytes as they are: others may read the same.
    pub is_part: bool,
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
    /// Share of the link's time that polling takes at the wanted periods; above 1 scans come late.
    pub load: f64,
}

impl PollPlan {
    /// The plan of a driver that sends no requests, or none that can be known.
    pub fn without_requests(connection: &ConnectionPlan) -> PollPlan {
        let tags = connection.points.iter().filter(|point| point.read).count();
        PollPlan { connection: connection.ix, tags, requests: Vec::new(), worst_scan: Duration::ZERO, load: 0.0 }
    }
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

/// Places of the points that are read, by their period; a period of nothing counts as 1 ms.
pub(super) fn by_period(points: &[PointPlan]) -> BTreeMap<Duration, Vec<u32>> {
    let mut classes: BTreeMap<Duration, Vec<u32>> = BTreeMap::new();
    for (at, point) in (0..).zip(points).filter(|(_, point)| point.read) {
        classes.entry(point.poll.max(Duration::from_millis(1))).or_default().push(at);
    }
    classes
}
