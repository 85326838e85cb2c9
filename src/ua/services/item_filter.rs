//! Filters of monitored items: of changes, of aggregates and of events, held against what the item watches.

use std::time::Duration;

use opcua::StatusCode;

use super::Context;
use crate::history::ArchiveId;
use crate::history::aggregate::RunningRequest;
use crate::model::TagId;
use crate::stack::codec::{ExtensionRef, Writer};
use crate::ua::events::EventFilter;
use crate::ua::space::{Detail, NodeIx, Space};
use crate::ua::subscription::WatchedKind;
use crate::ua::subscription::aggregate::{self, Clocks};
use crate::ua::subscription::filter::{DataFilter, FilterSubject, Trigger};

pub(crate) fn event_filter(
    context: &Context<'_>,
    space: &Space,
    node: NodeIx,
    filter: ExtensionRef<'_>,
    result: &mut Vec<u8>,
) -> Result<EventFilter, StatusCode> {
    // Only the Server object notifies (Part 3 §5.5.1, 1.05: the SubscribeToEvents bit).
    match space.node(node).detail {
        Detail::Object { event_notifier } if event_notifier & 1 == 1 => {}
        Detail::Object { .. } => return Err(StatusCode::BadNotSupported),
        _ => return Err(StatusCode::BadAttributeIdInvalid),
    }
    let parsed = EventFilter::read(filter, space, &context.world.limits)?;
    let mut w = Writer::new();
    parsed.write_result(&mut w);
    *result = w.buf;
    if parsed.status.is_bad() { Err(parsed.status) } else { Ok(parsed.filter) }
}

/// The filters that samples have to pass on their way into the queue.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filters {
    pub changes: DataFilter,
    pub aggregate: Option<RunningRequest>,
}

impl Filters {
    pub(crate) fn want_every_sample(&self) -> bool {
        self.changes.trigger == Trigger::StatusValueTimestamp || self.aggregate.is_some()
    }

    pub(crate) fn write_result(&self, encoded: &mut Vec<u8>) {
        if let Some(request) = &self.aggregate {
            let mut w = Writer::new();
            aggregate::write_result(request, &mut w);
            *encoded = w.buf;
        }
    }
}

/// The filter of a tag's item: of changes, or of an aggregate.
pub(crate) fn tag_filters(
    context: &Context<'_>,
    tag: TagId,
    filter: ExtensionRef<'_>,
    publishing: Duration,
) -> Result<Filters, StatusCode> {
    let plant = context.plant();
    let shape = &plant.tag(tag).shape;
    // The value of an item is calculated from what is polled, not from what is kept.
    let source = aggregate::source(plant, tag, ArchiveId(0));
    let clocks = Clocks { now: context.now.wall, publishing };
    if let Some(request) = aggregate::read(filter, source, clocks)? {
        return Ok(Filters { changes: DataFilter::default(), aggregate: Some(request) });
    }
    let subject = FilterSubject { is_number: shape.data_type.wire().is_number(), range: shape.range };
    Ok(Filters { changes: DataFilter::read(filter, subject)?, aggregate: None })
}

pub(crate) fn modified_filter(
    context: &Context<'_>,
    kind: WatchedKind,
    filter: ExtensionRef<'_>,
    publishing: Duration,
) -> Result<Filters, StatusCode> {
    if let WatchedKind::Tag(tag) = kind {
        return tag_filters(context, tag, filter, publishing);
    }
    let subject = FilterSubject { is_number: false, range: None };
    Ok(Filters { changes: DataFilter::read(filter, subject)?, aggregate: None })
}
