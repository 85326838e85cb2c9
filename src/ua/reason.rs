//! Why a tag has no good value, in words: StatusReason of each tag that comes from a device or is
//! calculated.

use std::sync::Arc;

use opcua::StatusCode;

use crate::health;
use crate::model::{Origin, Plant, Tag, TagId};
use crate::tags::{Reason, TagStore};
use crate::value::{UaTime, time_to_text};

/// Derived tags that are followed to the cause, each to its input.
const LONGEST_CHAIN: usize = 1_000;

/// One sentence with the connection, the cause, since when, and the next attempt; empty while the tag is Good.
pub(crate) fn of_tag(plant: &Plant, tags: &TagStore, links: &[Arc<health::Link>], id: TagId) -> String {
    let Some(tag) = plant.tags.get(id) else { return String::new() };
    let status = tags.with(id, |sample| sample.status);
    if status.is_good() {
        return String::new();
    }
    let connection = match tag.origin {
        Origin::Device { connection, .. } => connection,
        Origin::Derived(_) if status == StatusCode::BadOutOfService && !tag.enabled => return switched_off(plant, tag),
        Origin::Derived(_) => return of_derived(plant, tags, links, id),
        Origin::Part { of, .. } => return of_tag(plant, tags, links, of),
        Origin::Memory { .. } => return String::new(),
    };
    let link = || links.iter().find_map(|link| link.of(connection)).map(|now| now.why());
    let why = match tags.dated_reason(id) {
        Some(Reason { why, since }) => {
            format!("{why}, since {}", time_to_text(UaTime(since.0 - since.0.rem_euclid(10_000_000))))
        }
        None if status == StatusCode::BadOutOfService => switched_off(plant, tag),
        None => link().filter(|why| !why.is_empty()).unwrap_or_else(|| of_status(status)),
    };
    let name = plant.connections.get(connection).map_or("", |connection| connection.name.as_str());
    format!("{name}: {why}")
}

/// The cause, and where that is an input, the reason of the tag at the end of the chain.
fn of_derived(plant: &Plant, tags: &TagStore, links: &[Arc<health::Link>], id: TagId) -> String {
    let Some(first) = tags.derived_reason(id) else { return String::new() };
    let since = time_to_text(UaTime(first.since.0 - first.since.0.rem_euclid(10_000_000)));
    let (mut last, mut source) = (first.why.clone(), first.input);
    // The tags change meanwhile, so the end of the chain is not certain.
    for _ in 0..LONGEST_CHAIN {
        let Some(reason) = source.and_then(|input| tags.derived_reason(input)) else { break };
        (last, source) = (reason.why, reason.input);
    }
    let root = source.map(|input| of_tag(plant, tags, links, input)).unwrap_or_default();
    let end = if root.is_empty() { last } else { root };
    match end == first.why {
        true => format!("{}, since {since}", first.why),
        false => format!("{}, since {since}; {end}", first.why),
    }
}

fn switched_off(plant: &Plant, tag: &Tag) -> String {
    let is_connection = tag.connection().is_some_and(|ix| plant.connections.get(ix).is_some_and(|of| !of.enabled));
    let what = match is_connection {
        true => "the connection is switched off, by `enabled: false` or by its node Enabled",
        false => "the tag is switched off by `enabled: false`",
    };
    what.to_owned()
}

/// A cause that the status alone tells, while the link works.
fn of_status(status: StatusCode) -> String {
    if status == StatusCode::BadWaitingForInitialData {
        return "the device has not sent a value yet".to_owned();
    }
    if status.is_uncertain() {
        return format!("the device or its link says that the value is {status}");
    }
    format!("the device gives no value ({status})")
}
