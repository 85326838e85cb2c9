//! Modbus: TCP, RTU and ASCII frames, over a socket or a serial line.
//!
//! RTU and ASCII frames carry no transaction id, so a reply that is late, comes twice or is an echo looks like the
//! answer to another request; `belief` decides what may be believed.

mod address;
mod belief;
mod change;
mod exponent;
mod frame;
mod gather;
mod host;
mod invalid;
mod master;
mod pdu;
mod point;
mod probe;
mod raw;
mod settings;
mod text;
mod wire;

pub use address::{Address, Area};
pub use frame::{Asked, Found, Framing, crc, lrc};
pub use invalid::RawNumber;
pub use master::Master;
pub use pdu::{Reply, Request};
pub use probe::probe;
pub use settings::{
    Charset, Defaults, EchoSetting, MaskWrite, Parity, RawType, RegisterPoint, RtuSettings, SerialFraming, TcpFraming,
    TcpSettings, WordOrder, WriteFunction,
};

pub use wire::{Stream, Target};

use std::time::Duration;

use super::{ConnectionPlan, PointError, PointPlan, PollPlan, Reading};
use crate::value::Value;

pub(super) fn check_point(defaults: &Defaults, point: &PointPlan) -> Result<Reading, PointError> {
    let register = point::Register::new(defaults, point)?;
    let own = matches!(&point.settings, super::PointSettings::Modbus(settings) if settings.invalid.is_some());
    let fits = |number: &RawNumber| !own && invalid::Invalid::default().add(number, register.raw);
    Ok(Reading {
        spellings: register.spellings(),
        wants_quotes: point.words.is_empty() && address::wants_quotes(&point.address),
        warning: point::guesses_wide(point, &register),
        claims: register.claims(),
        invalid: (0..).zip(&defaults.invalid).filter(|(_, number)| fits(number)).map(|(at, _)| at).collect(),
        integer_bits: register.integer_bits(),
    })
}

pub(super) fn check_output(defaults: &Defaults, point: &PointPlan, raw: &Value) -> Result<(), String> {
    // A point that is refused has findings of its own.
    let Ok(mut register) = point::Register::new(defaults, point) else { return Ok(()) };
    if register.encode(raw, 0).is_ok() {
        return Ok(());
    }
    register.invalid = invalid::Invalid::default();
    if register.encode(raw, 0).is_ok() {
        return Err("it means no value there, by `invalid`".to_owned());
    }
    let name = register.raw.name();
    Err(match register.address.bits {
        Some(bits) if bits.is_number() => format!("bits {} to {} cannot hold it", bits.first, bits.last),
        Some(bits) => format!("bit {} cannot hold it", bits.first),
        None => format!("raw_type {name} cannot hold it"),
    })
}

/// An address that every point may have.
pub(super) const STAND_IN: &str = "holding/0";

pub(super) fn check_address(text: &str) -> Result<(), PointError> {
    Address::parse(text).map(drop)
}

/// A round trip over TCP, for estimates.
const ROUND_TRIP: Duration = Duration::from_millis(5);

pub(super) fn poll_plan(connection: &ConnectionPlan) -> PollPlan {
    let tags = connection.points.iter().filter(|point| point.read).count();
    let mut plan =
        PollPlan { connection: connection.ix, tags, requests: Vec::new(), worst_scan: Duration::ZERO, load: 0.0 };
    let Some((target, framing)) = master::target(&connection.settings) else { return plan };
    let pause = master::pause(&connection.settings, &target);
    let time_of = |block: &super::batch::Block| {
        let request = master::request_of(block);
        let bytes = if framing == Framing::Ascii { 17 } else { 8 } + wire::reply_size(framing, &request);
        let round_trip = if matches!(target, Target::Tcp { .. }) { ROUND_TRIP } else { Duration::ZERO };
        target.line_time(bytes) + round_trip + pause
    };
    let Some((master, _)) = Master::new(std::slice::from_ref(connection)) else { return plan };
    for (period, points) in super::by_period(&connection.points) {
        let blocks = super::Protocol::plan(&master, &points);
        let scan: Duration = blocks.iter().map(time_of).sum();
        plan.requests.extend(blocks.iter().map(|block| planned(block, period)));
        plan.worst_scan += scan;
        plan.load += scan.as_secs_f64() / period.as_secs_f64().max(0.001);
    }
    plan
}

fn planned(block: &super::batch::Block, period: Duration) -> super::PlannedRequest {
    let Request::Read { area, start, count } = master::request_of(block) else { unreachable!("blocks are read") };
    let last = u32::from(start) + u32::from(count) - 1;
    let end = if count > 1 { format!("..{last}") } else { String::new() };
    let tags: std::collections::BTreeSet<u32> = block.spans.iter().map(|span| span.id >> 1).collect();
    super::PlannedRequest { place: format!("{}/{start}{end}", area.name()), tags: tags.len(), period }
}

/// Feeds bytes to the parsers of all framings as if they were a device's reply; for fuzzing.
pub fn fuzz_reply(bytes: &[u8]) {
    let words = [1, 2];
    let bits = [true; 9];
    for request in [
        Request::Read { area: Area::Holding, start: 7, count: 3 },
        Request::Read { area: Area::Coil, start: 7, count: 11 },
        Request::WriteCoil { at: 1, on: true },
        Request::WriteRegister { at: 1, word: 2 },
        Request::WriteRegisters { start: 1, words: &words },
        Request::WriteCoils { start: 1, bits: &bits },
        Request::Mask { at: 4, and: 0xf2, or: 0x25 },
        Request::ReadWrite { start: 3, count: 6, to: 14, words: &words },
    ] {
        for framing in [Framing::Tcp, Framing::Rtu, Framing::Ascii] {
            let mut scratch = Vec::new();
            let asked = Asked { transaction: 0x0102, unit: 1, lenient: true, request };
            match frame::find(framing, &asked, bytes, &mut scratch) {
                Found::Reply { pdu, used } => {
                    assert!(used <= bytes.len(), "no more is used than came");
                    let frame = if framing == Framing::Ascii { &scratch[..] } else { bytes };
                    assert!(request.reply(&frame[pdu]).is_some(), "what was found answers the request");
                }
                Found::More { used, .. } | Found::Misfit { used, .. } => {
                    assert!(used <= bytes.len(), "no more is used than came")
                }
                Found::Broken => assert_eq!(framing, Framing::Tcp, "only Modbus TCP loses its step"),
            }
        }
    }
}

/// What connections must have in common to share a link; `None` for other drivers.
pub(super) fn link_of(settings: &super::Settings) -> Option<(String, Framing)> {
    let (target, framing) = master::target(settings)?;
    Some(match target {
        Target::Tcp { host, port, .. } => (format!("{}:{port}", plain_host(&host)), framing),
        // One port has one speed and one framing; the first connection says which.
        Target::Serial { path, .. } => (path, Framing::Rtu),
    })
}

/// The two spellings of one host, where both connections lead to the same unit by names that differ. No name is looked
/// up.
pub fn two_spellings<'a>(one: &'a super::Settings, other: &'a super::Settings) -> Option<(&'a str, &'a str)> {
    let (super::Settings::ModbusTcp(first), super::Settings::ModbusTcp(second)) = (one, other) else { return None };
    let is_same = link_of(one)?.0 == link_of(other)?.0 && first.unit_id == second.unit_id;
    // A host that must not be shown would be read off the other.
    let is_open = first.shown.is_none() && second.shown.is_none();
    (is_same && is_open && first.host != second.host).then_some((&first.host, &second.host))
}

/// Names that mean one host are one: case says nothing, and this host has three names.
fn plain_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.as_str() {
        "localhost" | "::1" | "[::1]" => "127.0.0.1".to_owned(),
        _ => host,
    }
}
