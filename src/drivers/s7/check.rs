//! Checks of a cell's points without a PLC: their faults, their readings and their poll plan.

use std::collections::BTreeSet;
use std::time::Duration;

use super::S7;
use super::address::Area;
use super::client::{Client, Request, bytes_of, place_of};
use super::pdu::longest_read;
use super::point::Variable;
use super::raw_type::RawType;
use super::settings::{S7Point, S7Settings};
use super::structure::Structure;
use super::wire::LEAST_PDU;
use crate::drivers::batch::Block;
use crate::drivers::driver::{ConnectionOf, PointOf};
use crate::drivers::invalid::Invalid;
use crate::drivers::plan::by_period;
use crate::drivers::poll::Poll;
use crate::drivers::reading::{PlannedRequest, PointError, PollPlan, Reading};
use crate::model::count;
use crate::value::{BuiltIn, Value};

pub(super) fn check_point(settings: &S7Settings, point: PointOf<'_, S7Point>) -> Result<Reading, PointError> {
    if point.structure.is_some() {
        return Ok(Structure::new(settings, point)?.reading(settings, point.plan));
    }
    let variable = Variable::new(settings, point)?;
    Ok(Reading {
        spellings: variable.spelling(point.kind),
        wants_quotes: false,
        warning: too_long(settings, point, &variable).or_else(|| guesses(point, &variable)),
        claims: variable.claims(),
        invalid: Vec::new(),
        integer_bits: variable.integer_bits(),
    })
}

/// A value that no PDU takes whole.
fn too_long(settings: &S7Settings, point: PointOf<'_, S7Point>, variable: &Variable) -> Option<PointError> {
    let bytes = variable.count() as usize * if variable.address.area.has_elements() { 2 } else { 1 };
    let longest = |pdu: u16| longest_read(pdu);
    let pdu = [settings.pdu, LEAST_PDU].into_iter().find(|pdu| bytes > longest(*pdu))?;
    let which = if bytes > longest(settings.pdu) { "" } else { ", as most CPUs but the 1500 give" };
    let message = format!(
        "{bytes} bytes don't fit a PDU of {pdu}{which} (at most {}): its parts may be of two moments",
        longest(pdu)
    );
    let help = "shorten it, or make several tags where the parts need not belong together";
    Some(PointError::new(0..point.address.len(), message, help))
}

/// A scale on a REAL that the cell does not ask for in words: most that is scaled is an integer.
fn guesses(point: PointOf<'_, S7Point>, variable: &Variable) -> Option<PointError> {
    if point.keys.raw_type.is_some() || !point.has_scale || !variable.raw.is_float() {
        return None;
    }
    let (name, integer) = match variable.raw {
        RawType::Float32 => ("float32", "int32"),
        _ => ("float64", "int64"),
    };
    let message = format!("`scale` without `raw_type`: this reads a {name} from {}", variable.address);
    let help = format!(
        "write `raw_type: {integer}` where the PLC has a {}, or `raw_type: {name}`",
        match integer {
            "int32" => "DINT",
            _ => "LINT",
        }
    );
    Some(PointError::key("scale", message, &help))
}

pub(super) fn check_output(settings: &S7Settings, point: PointOf<'_, S7Point>, raw: &Value) -> Result<(), String> {
    // A point that is refused has findings of its own.
    let Ok(mut variable) = Variable::new(settings, point) else { return Ok(()) };
    if variable.encode(raw, 0).is_ok() {
        return Ok(());
    }
    variable.invalid = Invalid::default();
    if variable.encode(raw, 0).is_ok() {
        return Err("it means no value there, by `invalid`".to_owned());
    }
    Err(match point.kind {
        BuiltIn::String => format!("a {} of {} characters cannot hold it", variable.raw.iec(), variable.length),
        _ => format!("raw_type {} cannot hold it", variable.raw.name()),
    })
}

/// A round trip over TCP, for estimates.
const ROUND_TRIP: Duration = Duration::from_millis(5);

/// The poll plan of one connection, with the PDU that every PLC gives.
pub(super) fn poll_plan(connection: ConnectionOf<'_, S7>) -> PollPlan {
    let mut plan = PollPlan::without_requests(connection.plan);
    let client = Client::new(&[connection]);
    let mut dbs = BTreeSet::new();
    for (period, points) in by_period(&connection.plan.points) {
        for ask in client.plan(&points) {
            let scan = ROUND_TRIP * u32::try_from(exchanges(&ask.request, client.pdu())).unwrap_or(u32::MAX);
            let places = ask.request.blocks.iter().map(place_of);
            dbs.extend(places.filter(|place| place.area == Area::Db).map(|place| place.db));
            plan.worst_scan += scan;
            plan.load += scan.as_secs_f64() / period.as_secs_f64().max(0.001);
            plan.requests.push(PlannedRequest { place: places_of(&ask.request), tags: ask.points.len(), period });
        }
    }
    if !plan.requests.is_empty() {
        plan.basis = format!("{}, PDU {}, 5 ms a request", count(dbs.len(), "DB"), client.pdu());
    }
    plan
}

/// Requests on the wire: several for a value that is longer than a PDU.
fn exchanges(request: &Request, pdu: u16) -> usize {
    let bytes = request.blocks.iter().map(bytes_of).max().unwrap_or(0);
    bytes.div_ceil(longest_read(pdu)).max(1)
}

/// Blocks that are named in a line of the plan.
const NAMED: usize = 3;

fn places_of(request: &Request) -> String {
    let name = |block: &Block| {
        let place = place_of(block);
        let last = block.start + block.count - 1;
        let end = if block.count > 1 { format!("..{last}") } else { String::new() };
        match place.area {
            Area::Db => format!("DB{}.DBB{}{end}", place.db, place.start),
            area if area.has_elements() => format!("{}{}{end}", area.name(), place.start),
            area => format!("{}B{}{end}", area.name(), place.start),
        }
    };
    let blocks = &request.blocks;
    let mut names: Vec<String> = blocks.iter().take(NAMED).map(name).collect();
    let more = blocks.len().saturating_sub(NAMED);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}
