//! The refresh of conditions (Part 9 §5.5.7, 1.05). There are no conditions, so its begin and its end are all of it.

use opcua::{ObjectId, ObjectTypeId, StatusCode};

use crate::ua::events::{Event, Fields};
use crate::ua::services::Context;
use crate::ua::subscription::{Subscription, Watched};
use crate::value::UaTime;

const BEGIN_AND_END: [(ObjectTypeId, &str); 2] = [
    (ObjectTypeId::RefreshStartEventType, "refresh of conditions begins"),
    (ObjectTypeId::RefreshEndEventType, "refresh of conditions is complete"),
];

/// Queues both events for the items of a subscription that take events, or for the one with the key `only`. Where-clauses
/// do not apply to them (Part 9 §4.5, 1.05). Without such an item Bad_NothingToDo.
pub(super) fn refresh(context: &Context<'_>, subscription: &Subscription, only: Option<u32>) -> Result<(), StatusCode> {
    let space = &context.world.space;
    let source = space.standard_node(ObjectId::Server as u32).ok_or(StatusCode::BadInternalError)?;
    let mut state = subscription.lock();
    let found = state
        .items()
        .filter(|(key, item)| matches!(item.watched, Watched::Events(..)) && only.is_none_or(|only| only == *key));
    let keys: Vec<u32> = found.map(|(key, _)| key).collect();
    if keys.is_empty() {
        return Err(StatusCode::BadNothingToDo);
    }
    for (kind, message) in BEGIN_AND_END {
        let kind = space.standard_node(kind as u32).ok_or(StatusCode::BadInternalError)?;
        // Each item gets a copy with the same EventId.
        let event = Event {
            id: context.server.next_event_id(),
            kind,
            source,
            source_name: "Server".to_owned(),
            time: UaTime::now(),
            message: message.to_owned(),
            severity: 1,
            fields: Fields::default(),
            per_viewer: None,
        };
        for key in &keys {
            let Some(item) = state.item_mut(*key).filter(|item| !item.is_silent()) else { continue };
            let Watched::Events(filter, queue) = &mut item.watched else { continue };
            filter.resolve(space);
            let lost = queue.push(filter.fields(&event, space));
            state.mark_dirty(*key);
            state.counters.queue_overflow += u32::from(lost);
        }
    }
    Ok(())
}
