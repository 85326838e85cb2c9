//! MonitoredItem service set (Part 4 §5.13, 1.05).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opcua::StatusCode;

use super::attribute::ReadOperation;
use super::item_filter::{Filters, event_filter, modified_filter, tag_filters};
use super::{Context, each_id, fixed, operations, rights, subscription};
use crate::history::aggregate::Running;
use crate::model::Plant;
use crate::stack::codec::{ExtensionRef, Reader, Timestamps, Writer};
use crate::ua::events::EventQueue;
use crate::ua::space::{Attribute, HistoricalProperty, NodeIdentity, NodeIx, Source, Space};
use crate::ua::subscription::filter::{DataFilter, FilterSubject};
use crate::ua::subscription::grid::Grid;
use crate::ua::subscription::queue::Queue;
use crate::ua::subscription::{Item, Mode, Subscription, Watched, WatchedKind};
use crate::value::Sample;

/// Memory of an item in addition to its queue: itself, its places in the lists of its subscription and of its tag.
const ITEM_BYTES: usize = size_of::<Item>() + 128;

/// MonitoringParameters (Part 4 §7.21, 1.05), unread but for the filter.
struct Parameters<'a> {
    client_handle: u32,
    sampling: f64,
    filter: ExtensionRef<'a>,
    queue_size: u32,
    discard_oldest: bool,
}

impl<'a> Parameters<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Parameters<'a>, StatusCode> {
        Ok(Parameters {
            client_handle: reader.u32()?,
            sampling: reader.f64()?,
            filter: reader.extension_object()?,
            queue_size: reader.u32()?,
            discard_oldest: reader.bool()?,
        })
    }
}

/// Revised parameters of an item, for the response.
struct Revised {
    sampling: Duration,
    queue_size: u32,
    /// An EventFilterResult or AggregateFilterResult, encoded; empty for none.
    filter_result: Vec<u8>,
}

impl Revised {
    fn write(&self, w: &mut Writer) {
        w.f64(self.sampling.as_secs_f64() * 1000.0);
        w.u32(self.queue_size);
        write_filter_result(&self.filter_result, w);
    }
}

fn write_filter_result(encoded: &[u8], w: &mut Writer) {
    if encoded.is_empty() {
        w.null_extension_object();
    } else {
        w.raw(encoded);
    }
}

pub fn create(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let subscription = subscription::find(context.session, reader.u32()?)?;
    let timestamps = Timestamps::from_wire(reader.i32()?).ok_or(StatusCode::BadTimestampsToReturnInvalid)?;
    let count = operations(reader, 33, context.server.limits.operations)?;
    context.write_head(w);
    w.count(count);
    let space = &context.world.space;
    subscription.lock().touch();
    for _ in 0..count {
        let operation = ReadOperation {
            id: reader.node_id()?,
            attribute: reader.u32()?,
            range: reader.string()?,
            encoding: reader.qualified_name()?,
        };
        let mode = reader.i32()?;
        let parameters = Parameters::read(reader)?;
        let mut filter_result = Vec::new();
        let made =
            create_one(context, space, &subscription, &operation, mode, &parameters, timestamps, &mut filter_result);
        match made {
            Ok((id, revised)) => {
                w.status(StatusCode::Good);
                w.u32(id);
                revised.write(w);
            }
            Err(status) => {
                w.status(status);
                w.u32(0);
                w.f64(0.0);
                w.u32(0);
                write_filter_result(&filter_result, w);
            }
        }
    }
    w.null_array();
    rights::reevaluate_new_items(context, &subscription);
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "one MonitoredItemCreateRequest and where it goes")]
fn create_one(
    context: &Context<'_>,
    space: &Space,
    subscription: &Arc<Subscription>,
    operation: &ReadOperation<'_>,
    mode: i32,
    parameters: &Parameters<'_>,
    timestamps: Timestamps,
    filter_result: &mut Vec<u8>,
) -> Result<(u32, Revised), StatusCode> {
    let viewer = context.viewer();
    let (node, attribute, range) = operation.resolve(space, &viewer)?;
    // A client that may not read gets an item that says so (Part 4 §5.13.2.1, 1.05); on too weak a channel it gets none.
    let denied = viewer.check_read(space, node, attribute).err();
    if let Some(status) = denied.filter(|status| *status != StatusCode::BadUserAccessDenied) {
        return Err(status);
    }
    let mode = Mode::from_wire(mode).ok_or(StatusCode::BadMonitoringModeInvalid)?;
    check_room(context, subscription)?;
    let publishing = subscription.lock().parameters.publishing_interval;
    let configured = &context.world.limits.configured;
    let queue_size = parameters.queue_size.clamp(1, configured.max_queue);
    let (watched, filters) = match attribute {
        Attribute::EventNotifier => {
            let events = event_filter(context, space, node, parameters.filter, filter_result)?;
            let mut queue = EventQueue::new(queue_size, parameters.discard_oldest, &context.session.queues);
            queue.book_filter(parameters.filter.body.map_or(0, <[u8]>::len))?;
            (Watched::Events(Box::new(events), queue), Filters::default())
        }
        _ => data_source(context, space, node, attribute, parameters.filter, publishing)?,
    };
    filters.write_result(filter_result);
    context.server.check_share(context.session, &watched, filters.aggregate.is_some())?;
    let kind = watched.kind();
    let period = poll_period(context.plant(), kind);
    let sampling = match kind {
        WatchedKind::Events => Duration::ZERO,
        _ => revise_sampling(parameters.sampling, publishing, period.max(configured.min_sampling_interval)),
    };
    let is_event = matches!(watched, Watched::Events(..));
    let every = filters.want_every_sample();
    let first = match denied {
        Some(_) => None,
        None => fixed::first_sample(context, space, node, attribute, &watched, range.as_ref())?,
    };
    let mut queue =
        Queue::new(if is_event { 1 } else { queue_size }, parameters.discard_oldest, &context.session.queues);
    let booked = queue.book_item(ITEM_BYTES) || context.server.reclaim_memory() && queue.book_item(ITEM_BYTES);
    if !booked {
        return Err(StatusCode::BadTooManyMonitoredItems);
    }
    let item = Item {
        id: 0,
        client_handle: parameters.client_handle,
        mode,
        node: match kind {
            WatchedKind::Tag(tag) => NodeIdentity::Tag(tag),
            WatchedKind::Events | WatchedKind::Other => space.identity(node),
        },
        attribute,
        watched,
        sampling,
        period,
        timestamps,
        range,
        filter: filters.changes,
        aggregate: filters.aggregate.map(|request| Box::new(Running::new(request))),
        queue,
        queue_size,
        last: None,
        held: None,
        grid: Grid::default(),
        is_dirty: false,
        is_waiting: false,
        denied: None,
    };
    let (id, key) = {
        let mut state = subscription.lock();
        // Its lifetime may have ended just now: this item would never be taken away.
        if state.is_closed() {
            return Err(StatusCode::BadSubscriptionIdInvalid);
        }
        let (id, key) = state.insert(Box::new(item));
        if denied.is_some() {
            state.deny(key, denied, context.now);
        }
        (id, key)
    };
    context.server.totals.monitored_items.fetch_add(1, Ordering::Relaxed);
    if let Some(sample) = first {
        subscription.lock().accept(key, sample, context.now);
    }
    match kind {
        WatchedKind::Events => context.server.attach_to_events(subscription, key, space.owned_id(node)),
        WatchedKind::Tag(_) | WatchedKind::Other => context.server.attach(subscription, key, kind, every),
    }
    Ok((id, Revised { sampling, queue_size, filter_result: std::mem::take(filter_result) }))
}

fn check_room(context: &Context<'_>, subscription: &Subscription) -> Result<(), StatusCode> {
    let configured = &context.world.limits.configured;
    let no_place = || context.server.totals.monitored_items.load(Ordering::Relaxed) >= configured.max_monitored_items;
    let is_full = subscription.lock().item_count() >= configured.max_items_per_subscription as usize
        || no_place() && (!context.server.end_one_alone() || no_place());
    if is_full { Err(StatusCode::BadTooManyMonitoredItems) } else { Ok(()) }
}

/// The poll period of a tag that is polled: nothing samples it more often. Zero for everything else.
fn poll_period(plant: &Plant, kind: WatchedKind) -> Duration {
    match kind {
        WatchedKind::Tag(tag) => plant.tag(tag).poll_period(),
        WatchedKind::Events | WatchedKind::Other => Duration::ZERO,
    }
}

/// -1 is the publishing interval, 0 the fastest rate there is; anything else is kept, but `least` (Part 4 §7.21, 1.05).
fn revise_sampling(asked: f64, publishing: Duration, least: Duration) -> Duration {
    if asked.is_nan() || asked < 0.0 {
        return publishing.max(least);
    }
    Duration::from_secs_f64((asked / 1000.0).min(86_400.0)).max(least)
}

/// The source of the samples, and the filter checked against the Variable.
fn data_source(
    context: &Context<'_>,
    space: &Space,
    node: NodeIx,
    attribute: Attribute,
    filter: ExtensionRef<'_>,
    publishing: Duration,
) -> Result<(Watched, Filters), StatusCode> {
    if attribute != Attribute::Value {
        if !filter.type_id.is_null() {
            return Err(StatusCode::BadFilterNotAllowed);
        }
        return Ok((Watched::Fixed, Filters::default()));
    }
    let is_variable = space.node(node).class == crate::ua::space::Class::Variable;
    let shape = space.variable(node).filter(|_| is_variable).ok_or(StatusCode::BadAttributeIdInvalid)?;
    let watched = match shape.source {
        Source::None => return Err(StatusCode::BadNotReadable),
        Source::History(HistoricalProperty::Annotations) => return Err(StatusCode::BadNotReadable),
        Source::Constant(_) | Source::History(_) | Source::Default { .. } => Watched::Fixed,
        Source::Live(live) => Watched::Live(live),
        Source::Tag(tag) | Source::Member(tag) => {
            let filters = tag_filters(context, tag, filter, publishing)?;
            return Ok((Watched::Tag(tag), filters));
        }
    };
    let subject = FilterSubject { is_number: false, range: None };
    Ok((watched, Filters { changes: DataFilter::read(filter, subject)?, aggregate: None }))
}

pub(crate) fn modify(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let subscription = subscription::find(context.session, reader.u32()?)?;
    let timestamps = Timestamps::from_wire(reader.i32()?).ok_or(StatusCode::BadTimestampsToReturnInvalid)?;
    let count = operations(reader, 23, context.server.limits.operations)?;
    context.write_head(w);
    w.count(count);
    let space = &context.world.space;
    subscription.lock().touch();
    let mut has_denied = false;
    for _ in 0..count {
        let id = reader.u32()?;
        has_denied |= subscription.lock().is_denied(id);
        let parameters = Parameters::read(reader)?;
        let mut filter_result = Vec::new();
        match modify_one(context, space, &subscription, id, &parameters, timestamps, &mut filter_result) {
            Ok(revised) => {
                w.status(StatusCode::Good);
                revised.write(w);
            }
            Err(status) => {
                w.status(status);
                w.f64(0.0);
                w.u32(0);
                write_filter_result(&filter_result, w);
            }
        }
    }
    w.null_array();
    if has_denied {
        // What they ask for may fit now.
        rights::reevaluate_items(context.server, context.session, std::slice::from_ref(&subscription));
    } else {
        rights::reevaluate_new_items(context, &subscription);
    }
    Ok(())
}

fn modify_one(
    context: &Context<'_>,
    space: &Space,
    subscription: &Arc<Subscription>,
    id: u32,
    parameters: &Parameters<'_>,
    timestamps: Timestamps,
    filter_result: &mut Vec<u8>,
) -> Result<Revised, StatusCode> {
    let (key, node, kind, before) = {
        let mut state = subscription.lock();
        let key = state.key_of(id).ok_or(StatusCode::BadMonitoredItemIdInvalid)?;
        let item = state.item_mut(key).ok_or(StatusCode::BadMonitoredItemIdInvalid)?;
        let kind = item.watched.kind();
        let before = match kind {
            WatchedKind::Tag(_) => {
                let aggregate = item.aggregate.as_ref().map(|running| *running.request());
                Filters { changes: item.filter, aggregate }
            }
            WatchedKind::Events | WatchedKind::Other => Filters::default(),
        };
        let node = space.resolve(&item.node).filter(|node| context.viewer().sees(space, *node));
        (key, node.ok_or(StatusCode::BadNodeIdUnknown)?, kind, before)
    };
    let configured = &context.world.limits.configured;
    let publishing = subscription.lock().parameters.publishing_interval;
    let queue_size = parameters.queue_size.clamp(1, configured.max_queue);
    let least = poll_period(context.plant(), kind).max(configured.min_sampling_interval);
    let mut sampling = revise_sampling(parameters.sampling, publishing, least);
    let mut events = None;
    let mut filters = Filters::default();
    if matches!(kind, WatchedKind::Events) {
        sampling = Duration::ZERO;
        events = Some(event_filter(context, space, node, parameters.filter, filter_result)?);
    } else {
        filters = modified_filter(context, kind, parameters.filter, publishing)?;
        filters.write_result(filter_result);
    }
    let goes_on = match (&filters.aggregate, &before.aggregate) {
        (Some(now), Some(earlier)) => now.continues(earlier),
        (None, None) => true,
        _ => false,
    };
    {
        let mut state = subscription.lock();
        let item = state.item_mut(key).ok_or(StatusCode::BadMonitoredItemIdInvalid)?;
        if let Watched::Events(_, queue) = &mut item.watched {
            queue.book_filter(parameters.filter.body.map_or(0, <[u8]>::len))?;
        }
        item.client_handle = parameters.client_handle;
        if sampling != item.sampling {
            // The new interval begins now; the sample that the old one held back is sent with the next cycle.
            item.begin_grid();
        }
        item.sampling = sampling;
        item.timestamps = timestamps;
        item.queue_size = queue_size;
        item.filter = filters.changes;
        match (&mut item.watched, events) {
            (Watched::Events(filter, queue), Some(new)) => {
                **filter = new;
                queue.resize(queue_size, parameters.discard_oldest);
            }
            _ => item.queue.resize(queue_size, parameters.discard_oldest),
        }
        if !goes_on {
            state.set_aggregate(key, filters.aggregate.map(|request| Box::new(Running::new(request))));
        }
    }
    let every = filters.want_every_sample();
    if let (WatchedKind::Tag(tag), true) = (kind, !goes_on || every != before.want_every_sample()) {
        let watcher: Arc<dyn crate::tags::Watcher> = Arc::clone(subscription) as Arc<dyn crate::tags::Watcher>;
        context.server.tags.unwatch(tag, &watcher, key);
        match kind {
            WatchedKind::Events => context.server.attach_to_events(subscription, key, space.owned_id(node)),
            WatchedKind::Tag(_) | WatchedKind::Other => context.server.attach(subscription, key, kind, every),
        }
    }
    Ok(Revised { sampling, queue_size, filter_result: std::mem::take(filter_result) })
}

pub(crate) fn set_mode(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let subscription = subscription::find(context.session, reader.u32()?)?;
    let mode = Mode::from_wire(reader.i32()?).ok_or(StatusCode::BadMonitoringModeInvalid)?;
    context.write_head(w);
    subscription.lock().touch();
    each_id(reader, w, context.server.limits.operations, |id| set_one_mode(context, &subscription, id, mode))?;
    rights::reevaluate_new_items(context, &subscription);
    w.null_array();
    Ok(())
}

/// An item that is enabled again gets the present value first.
fn set_one_mode(context: &Context<'_>, subscription: &Arc<Subscription>, id: u32, mode: Mode) -> StatusCode {
    let space = &context.world.space;
    let (key, tag, first) = {
        let mut state = subscription.lock();
        let Some(key) = state.key_of(id) else { return StatusCode::BadMonitoredItemIdInvalid };
        let Some(item) = state.item_mut(key) else { return StatusCode::BadMonitoredItemIdInvalid };
        let wakes = item.mode == Mode::Disabled && mode != Mode::Disabled;
        let tag = if let Watched::Tag(tag) = item.watched { Some(tag) } else { None };
        let node = space.resolve(&item.node).filter(|_| matches!(item.watched, Watched::Fixed));
        let fixed = node.map(|node| (node, item.attribute, item.range.clone()));
        state.set_mode(key, mode, context.now);
        (key, tag.filter(|_| wakes), fixed.filter(|_| wakes))
    };
    if let Some(tag) = tag {
        // Under the tag's lock, as every offer: the order of changes is kept.
        let offer = |sample: &Sample| crate::tags::Watcher::offer(&**subscription, key, sample, context.now);
        context.server.tags.with(tag, offer);
    }
    if let Some((node, attribute, range)) = first {
        let sample = fixed::fixed_or_why(context, space, node, attribute, range.as_ref());
        subscription.lock().accept(key, sample, context.now);
    }
    StatusCode::Good
}

pub(crate) fn set_triggering(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let subscription = subscription::find(context.session, reader.u32()?)?;
    let trigger = reader.u32()?;
    let most = context.server.limits.operations as usize;
    let mut lists = [Vec::new(), Vec::new()];
    for list in &mut lists {
        let count = reader.count(4)?;
        if count > most {
            return Err(StatusCode::BadTooManyOperations);
        }
        for _ in 0..count {
            list.push(reader.u32()?);
        }
    }
    let [add, remove] = lists;
    if add.is_empty() && remove.is_empty() {
        return Err(StatusCode::BadNothingToDo);
    }
    let mut state = subscription.lock();
    state.touch();
    state.key_of(trigger).ok_or(StatusCode::BadMonitoredItemIdInvalid)?;
    // Removed before added (Part 4 §5.13.5.1, 1.05).
    let removed: Vec<StatusCode> = remove.into_iter().map(|id| state.unlink(trigger, id)).collect();
    let added: Vec<StatusCode> = add.into_iter().map(|id| state.link(trigger, id)).collect();
    drop(state);
    context.write_head(w);
    for results in [&added, &removed] {
        w.count(results.len());
        results.iter().for_each(|status| w.status(*status));
        w.null_array();
    }
    Ok(())
}

pub(crate) fn delete(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let subscription = subscription::find(context.session, reader.u32()?)?;
    context.write_head(w);
    subscription.lock().touch();
    each_id(reader, w, context.server.limits.operations, |id| match context.server.remove_item(&subscription, id) {
        Some(_) => StatusCode::Good,
        None => StatusCode::BadMonitoredItemIdInvalid,
    })?;
    w.null_array();
    Ok(())
}
