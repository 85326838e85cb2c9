//! Checks of a cell's Modbus points without a device: their faults, their readings and their poll plan.

use std::collections::BTreeSet;
use std::time::Duration;

use super::address;
use super::frame::Framing;
use super::line::{Line, Slave};
use super::master::{Master, request_of};
use super::pdu::Request;
use super::point;
use super::settings::{Defaults, RegisterPoint};
use super::structure::Structure;
use super::target::Target;
use super::wire;
use crate::drivers::batch::Block;
use crate::drivers::driver::PointOf;
use crate::drivers::invalid::{Invalid, RawNumber};
use crate::drivers::plan::by_period;
use crate::drivers::poll::Poll;
use crate::drivers::reading::{PlannedRequest, PointError, PollPlan, Reading};
use crate::value::Value;

pub(crate) fn check_point(defaults: &Defaults, point: PointOf<'_, RegisterPoint>) -> Result<Reading, PointError> {
    if point.structure.is_some() {
        return Ok(Structure::new(defaults, point)?.reading(point.plan));
    }
    let register = point::Register::new(defaults, point)?;
    let has_own = point.keys.invalid.is_some();
    let raw = register.raw.number();
    let fits = |number: &RawNumber| !has_own && raw.is_some_and(|raw| Invalid::default().add(number, raw));
    Ok(Reading {
        spellings: register.spellings(),
        wants_quotes: point.words.is_empty() && address::wants_quotes(&point.address),
        warning: point::guesses_wide(point, &register),
        claims: register.claims(),
        invalid: (0..).zip(&defaults.invalid).filter(|(_, number)| fits(number)).map(|(at, _)| at).collect(),
        integer_bits: register.integer_bits(),
    })
}

pub(crate) fn check_output(defaults: &Defaults, point: PointOf<'_, RegisterPoint>, raw: &Value) -> Result<(), String> {
    // A point that is refused has findings of its own.
    let Ok(mut register) = point::Register::new(defaults, point) else { return Ok(()) };
    if register.encode(raw, 0).is_ok() {
        return Ok(());
    }
    register.invalid = Invalid::default();
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

/// A round trip over TCP, for estimates.
const ROUND_TRIP: Duration = Duration::from_millis(5);

/// The poll plan of one connection.
pub(crate) fn poll_plan(slave: Slave<'_>) -> PollPlan {
    let mut plan = PollPlan::without_requests(slave.plan);
    let Line { target, framing, pause, .. } = slave.line.clone();
    let time_of = |block: &Block| {
        let request = request_of(block);
        let bytes = if framing == Framing::Ascii { 17 } else { 8 } + wire::reply_size(framing, &request);
        let round_trip = if matches!(target, Target::Tcp { .. }) { ROUND_TRIP } else { Duration::ZERO };
        target.line_time(bytes) + round_trip + pause
    };
    let points = &slave.plan.points;
    let master = Master::new(vec![slave.clone()]);
    for (period, points) in by_period(points) {
        let asks = master.plan(&points);
        let scan: Duration = asks.iter().map(|ask| time_of(&ask.request)).sum();
        plan.requests.extend(asks.iter().map(|ask| planned(&ask.request, period)));
        plan.worst_scan += scan;
        plan.load += scan.as_secs_f64() / period.as_secs_f64().max(0.001);
    }
    plan
}

fn planned(block: &Block, period: Duration) -> PlannedRequest {
    let Request::Read { area, start, count } = request_of(block) else { unreachable!("blocks are read") };
    let last = u32::from(start) + u32::from(count) - 1;
    let end = if count > 1 { format!("..{last}") } else { String::new() };
    let tags: BTreeSet<u32> = block.spans.iter().map(|span| span.id >> 1).collect();
    PlannedRequest { place: format!("{}/{start}{end}", area.name()), tags: tags.len(), period }
}
