//! One look at a tag of a PLC: its type and value, for commissioning.

use std::sync::Arc;
use std::time::Duration;

use super::EthernetIpDriver;
use super::address::Address;
use super::browse::connect;
use super::client::Client;
use super::plc_type::PlcType;
use crate::drivers::driver::{ConnectionOf, NoKeys};
use crate::drivers::plan::{ConnectionPlan, PointPlan, PointSettings};
use crate::drivers::poll::Poll;
use crate::drivers::reading::{ProbeError, ProbeLine};
use crate::model::TagId;
use crate::value::BuiltIn;

/// Reads a tag, and returns the keys to write and its value.
pub(super) async fn probe(
    connection: ConnectionOf<'_, EthernetIpDriver>,
    address: &str,
) -> Result<Vec<ProbeLine>, ProbeError> {
    let parsed = Address::parse(address);
    let place = parsed.map_err(|error| ProbeError::Failed(format!("{}; {}", error.message, error.help)))?;
    let mut lines = vec![line("address", place.text.clone())];
    let kinds: &[BuiltIn] = match place.bit {
        Some(_) => &[BuiltIn::Boolean],
        None => &[BuiltIn::String, BuiltIn::Double, BuiltIn::Boolean],
    };
    let points = kinds.iter().zip(0..).map(|(kind, tag)| point(address, *kind, TagId(tag))).collect();
    let plan = ConnectionPlan { points: Arc::new(points), ..connection.plan.clone() };
    let mut client = Client::new(&[ConnectionOf { plan: &plan, ..connection }]);
    connect(&mut client, connection.plan).await?;
    let looked = client.look(u32::try_from(kinds.len()).unwrap_or(1)).await;
    client.disconnect().await;
    let looked = looked.map_err(|error| ProbeError::Failed(format!("{address}: {error}")))?;
    let found = looked.first().cloned().ok_or_else(|| ProbeError::Failed(format!("{address}: no answer")))?;
    let found = found.map_err(ProbeError::Failed)?;
    lines.push(line("in the PLC", found.of.name()));
    let data_type = if place.bit.is_some() { "Boolean" } else { data_type(found.of) };
    lines.push(line(&format!("type: {data_type}"), found.shown));
    Ok(lines)
}

fn data_type(of: PlcType) -> &'static str {
    match of {
        // An array of BOOL, of which the address names an element.
        PlcType::Dword => "Boolean",
        PlcType::Structure(_) => "String",
        of => of.data_type(),
    }
}

fn line(keys: &str, value: String) -> ProbeLine {
    ProbeLine { keys: keys.to_owned(), value }
}

fn point(address: &str, kind: BuiltIn, tag: TagId) -> PointPlan {
    PointPlan {
        tag,
        address: address.to_owned(),
        words: Vec::new(),
        exponent: None,
        settings: PointSettings::of(NoKeys {}),
        kind,
        elements: 1,
        is_array: false,
        length: None,
        poll: Duration::from_secs(1),
        read: true,
        write: false,
        write_every: None,
        enumeration: None,
        has_scale: false,
        is_gone: false,
        structure: None,
    }
}
