//! Checks of a cell's points without a PLC: their faults, their readings and their poll plan.

use std::time::Duration;

use super::EthernetIpDriver;
use super::client::{Client, Request};
use super::plc_type::PlcType;
use super::point::Variable;
use super::value::Layout;
use super::wire::LEAST_SIZE;
use crate::drivers::driver::{ConnectionOf, NoKeys, PointOf};
use crate::drivers::number::Number;
use crate::drivers::plan::by_period;
use crate::drivers::poll::Poll;
use crate::drivers::reading::{PlannedRequest, PointError, PollPlan, Reading};
use crate::value::{BuiltIn, Value};

/// Bytes of a message in the connection that most CPUs give.
const MOST_BYTES: usize = 3_990;

pub(super) fn check_point(point: PointOf<'_, NoKeys>) -> Result<Reading, PointError> {
    let variable = Variable::new(point)?;
    Ok(Reading { warning: too_long(&variable).or_else(|| variable.doubt()), ..Reading::default() })
}

/// A value that no packet takes whole.
fn too_long(variable: &Variable) -> Option<PointError> {
    let bytes = variable.likely_size();
    if bytes <= MOST_BYTES {
        return None;
    }
    let message = format!("about {bytes} bytes don't fit a packet of 4000: its parts may be of two moments");
    let help = "shorten it, or make several tags where the parts need not belong together";
    Some(PointError::new(0..variable.address.text.len(), message, help))
}

/// Whether the widest type of the kind takes the value: the PLC's own is not known.
pub(super) fn check_output(point: PointOf<'_, NoKeys>, raw: &Value) -> Result<(), String> {
    // A point that is refused has findings of its own.
    let Ok(variable) = Variable::new(point) else { return Ok(()) };
    let of = match variable.kind {
        BuiltIn::String => PlcType::String,
        BuiltIn::Boolean if variable.address.bit.is_none() => PlcType::Bool,
        _ if raw.as_integer().is_none() && raw.as_f64().is_some() => PlcType::Number(Number::Float64),
        _ => PlcType::Number(Number::Int64),
    };
    let takes = |of| {
        let form = super::change::Form { of, layout: Layout::Plain, size: 0 };
        variable.encode(form, raw, 0).is_ok()
    };
    if takes(of) || takes(PlcType::Number(Number::Uint64)) || takes(PlcType::Number(Number::Float64)) {
        return Ok(());
    }
    Err("no type of the PLC can hold it".to_owned())
}

/// A round trip over TCP, for estimates.
const ROUND_TRIP: Duration = Duration::from_millis(5);

/// The poll plan of one connection, with the packets that every PLC takes.
pub(super) fn poll_plan(connection: ConnectionOf<'_, EthernetIpDriver>) -> PollPlan {
    let mut plan = PollPlan::without_requests(connection.plan);
    let client = Client::new(&[connection]);
    for (period, points) in by_period(&connection.plan.points) {
        for ask in client.plan(&points) {
            let scan = ROUND_TRIP * u32::try_from(client.exchanges(&ask.request)).unwrap_or(u32::MAX);
            plan.worst_scan += scan;
            plan.load += scan.as_secs_f64() / period.as_secs_f64().max(0.001);
            plan.requests.push(PlannedRequest {
                place: place(connection, &ask.request),
                tags: ask.points.len(),
                period,
            });
        }
    }
    if !plan.requests.is_empty() {
        plan.basis = format!("packets of {LEAST_SIZE} bytes, 5 ms a request");
    }
    plan
}

/// Tags that are named in a line of the plan.
const NAMED: usize = 3;

fn place(connection: ConnectionOf<'_, EthernetIpDriver>, request: &Request) -> String {
    let name = |id: &u32| connection.plan.points.get(*id as usize).map(|point| point.address.clone());
    let mut names: Vec<String> = request.points.iter().take(NAMED).filter_map(name).collect();
    let more = request.points.len().saturating_sub(NAMED);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}
