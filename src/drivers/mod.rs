//! Drivers: the contract between a cell file, a device's protocol and the tags.
//!
//! A driver never retries, sleeps or reconnects; the supervisor does that for all of them. What a driver can know
//! without a device, it says in `check_point` and `poll_plan`, which do no I/O, so that `opcell check` can ask.

mod batch;
mod contract;
pub mod modbus;
mod schedule;
pub mod simulator;
mod supervisor;

pub use contract::{Answer, LinkError, Protocol, Refusal, Samples};
pub use modbus::probe;
pub use supervisor::{Output, STOP_WITHIN, Spawn, start};

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::model::{ConnectionIx, Scale, TagId};
use crate::tags;
use crate::value::{BuiltIn, Value};

/// What a connection needs beside the keys that all drivers share.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Settings {
    Simulator(simulator::Settings),
    ModbusTcp(modbus::TcpSettings),
    ModbusRtu(modbus::RtuSettings),
}

impl Settings {
    /// Names the device's place by this text in logs and for clients.
    pub fn show_as(&mut self, text: String) {
        match self {
            Settings::Simulator(_) => {}
            Settings::ModbusTcp(settings) => settings.shown = Some(text),
            Settings::ModbusRtu(settings) => settings.shown = Some(text),
        }
    }
}

/// A driver as `driver:` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Simulator,
    ModbusTcp,
    ModbusRtu,
}

#[derive(Debug)]
pub struct Driver {
    pub name: &'static str,
    pub kind: Kind,
    pub about: &'static str,
}

/// Every driver there is.
#[rustfmt::skip]
pub const DRIVERS: &[Driver] = &[
    Driver { name: "simulator", kind: Kind::Simulator, about: "signals without a device: sine, ramp, counter and more" },
    Driver { name: "modbus-tcp", kind: Kind::ModbusTcp, about: "Modbus TCP, and RTU or ASCII frames over TCP" },
    Driver { name: "modbus-rtu", kind: Kind::ModbusRtu, about: "Modbus RTU or ASCII on a serial line" },
];

/// The driver of this name.
pub fn driver(name: &str) -> Option<&'static Driver> {
    DRIVERS.iter().find(|driver| driver.name == name)
}

/// What a point needs beside the keys that all drivers share.
#[derive(Debug, Clone, PartialEq)]
pub enum PointSettings {
    Simulator,
    Modbus(modbus::RegisterPoint),
}

/// One tag of a connection, as its driver sees it.
#[derive(Debug, Clone)]
pub struct PointPlan {
    pub tag: TagId,
    pub address: String,
    /// The words of one value where `address` is a list, most significant first; `address` is then the first of them.
    pub words: Vec<String>,
    /// `scale.exponent`: the address of a power of ten.
    pub exponent: Option<String>,
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
#[derive(Debug, Clone)]
pub struct ConnectionPlan {
    pub ix: ConnectionIx,
    pub name: String,
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
    /// The address in each spelling that it has: `holding/70 = 40071`; for a signal the address itself.
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

/// Reads a point's address and compares it with its type. No I/O.
pub fn check_point(settings: &Settings, point: &PointPlan) -> Result<Reading, PointError> {
    match settings {
        Settings::Simulator(settings) => simulator::check_point(settings, point),
        Settings::ModbusTcp(settings) => modbus::check_point(&settings.defaults(), point),
        Settings::ModbusRtu(settings) => modbus::check_point(&settings.defaults(), point),
    }
}

/// Whether a device could hold this value of a point, whatever it is doing; the text says why not. The exponent of a device
/// is not known here, so a value that depends on it passes. No I/O.
pub fn check_output(settings: &Settings, point: &PointPlan, scale: Option<Scale>, value: &Value) -> Result<(), String> {
    let raw = |power| tags::to_raw(scale, value, power);
    if point.exponent.is_some() && raw(Some(0)) != raw(Some(1)) {
        return Ok(());
    }
    let raw = raw(None).map_err(|_| "it lies outside the scale".to_owned())?;
    match settings {
        Settings::Simulator(_) => Ok(()),
        Settings::ModbusTcp(settings) => modbus::check_output(&settings.defaults(), point, &raw),
        Settings::ModbusRtu(settings) => modbus::check_output(&settings.defaults(), point, &raw),
    }
}

/// Reads an address alone, for a point whose type is not known. No I/O.
pub fn check_address(settings: &Settings, text: &str) -> Result<(), PointError> {
    match settings {
        Settings::Simulator(_) => simulator::check_address(text),
        Settings::ModbusTcp(_) | Settings::ModbusRtu(_) => modbus::check_address(text),
    }
}

/// Puts something that fits in place of a part that was refused, so that the other parts can be judged; false when there
/// is nothing that fits.
pub fn without(point: &mut PointPlan, part: Part) -> bool {
    match (&mut point.settings, part) {
        (PointSettings::Modbus(_), Part::Address | Part::Entry("address", _)) => {
            modbus::STAND_IN.clone_into(&mut point.address);
            point.words.clear();
        }
        (PointSettings::Modbus(settings), Part::Entry("invalid", at)) => return settings.leave_out_invalid(at),
        (_, Part::Key("scale")) => point.has_scale = false,
        (_, Part::Exponent) => point.exponent = None,
        (PointSettings::Modbus(settings), Part::Key(key)) => return settings.leave_out(key),
        _ => return false,
    }
    true
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

/// One read of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRequest {
    /// The table and its first and last address, as `holding/100..131`.
    pub place: String,
    /// Tags that get their value, or the exponent of one, from it.
    pub tags: usize,
    pub period: Duration,
}

/// The poll plan of each connection, in their order; points that `check_point` refuses are left out. No I/O.
pub fn poll_plan(connections: &[ConnectionPlan]) -> Vec<PollPlan> {
    connections
        .iter()
        .map(|connection| match &connection.settings {
            Settings::Simulator(_) => simulator::poll_plan(connection),
            Settings::ModbusTcp(_) | Settings::ModbusRtu(_) => modbus::poll_plan(connection),
        })
        .collect()
}

/// Places of the points that are read, by their period; a period of nothing counts as 1 ms.
fn by_period(points: &[PointPlan]) -> BTreeMap<Duration, Vec<u32>> {
    let mut classes: BTreeMap<Duration, Vec<u32>> = BTreeMap::new();
    for (at, point) in (0..).zip(points).filter(|(_, point)| point.read) {
        classes.entry(point.poll.max(Duration::from_millis(1))).or_default().push(at);
    }
    classes
}
