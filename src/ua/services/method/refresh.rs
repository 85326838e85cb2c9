//! The refresh of conditions (Part 9 §5.5.7, 1.05): the present event of each retained condition, between a begin and an
//! end.

use opcua::{ObjectId, ObjectTypeId, StatusCode};

use crate::ua::events::{Event, Fields};
use crate::ua::services::Context;
use crate::ua::space::NodeIx;
use crate::ua::subscription::{Subscription, Watched};
use crate::value::UaTime;

/// Queues the events for the items of a subscription that take events, or for the one with the key `only`. Where-clauses
/// do not apply to the begin and the end (Part 9 §4.5, 1.05). Without such an item Bad_NothingToDo.
pub(super) fn refresh(context: &Context<'_>, subscription: &Subscription, only: Option<u32>) -> Result<(), StatusCode> {
    let (server, world, viewer) = (context.server, &context.world, context.viewer());
    let space = &world.space;
    let source = space.standard_node(ObjectId::Server as u32).ok_or(StatusCode::BadInternalError)?;
    let begin = edge(context, source, ObjectTypeId::RefreshStartEventType, "refresh of conditions begins")?;
    let end = edge(context, source, ObjectTypeId::RefreshEndEventType, "refresh of conditions is complete")?;
    // Held to the end, so that a newer event comes after it.
    let alarms = server.conditions.lock();
    let mut retained = server.retained(world, &alarms, context.now);
    retained.retain(|event| viewer.hears(space, event.kind, event.source));
    let mut state = subscription.lock();
    let found = state
        .items()
        .filter(|(key, item)| matches!(item.watched, Watched::Events(..)) && only.is_none_or(|only| only == *key));
    let keys: Vec<u32> = found.map(|(key, _)| key).collect();
    if keys.is_empty() {
        return Err(StatusCode::BadNothingToDo);
    }
    for key in keys {
        let Some(item) = state.item_mut(key).filter(|item| !item.is_silent()) else { continue };
        let notifier = space.resolve(&item.node);
        let Watched::Events(filter, queue) = &mut item.watched else { continue };
        filter.resolve(space);
        let mut lost = u32::from(queue.push(filter.fields(&begin, space)));
        for event in &retained {
            let is_here =
                notifier.is_some_and(|at| at == source || space.notifiers_of(event.source).any(|one| one == at));
            if is_here && filter.passes(event, space) {
                lost += u32::from(queue.push(filter.fields(event, space)));
            }
        }
        lost += u32::from(queue.push(filter.fields(&end, space)));
        state.mark_dirty(key);
        state.counters.queue_overflow += lost;
    }
    Ok(())
}

/// Each item gets a copy with the same EventId.
fn edge(context: &Context<'_>, source: NodeIx, kind: ObjectTypeId, message: &str) -> Result<Event, StatusCode> {
    Ok(Event {
        id: context.server.next_event_id(),
        kind: context.world.space.standard_node(kind as u32).ok_or(StatusCode::BadInternalError)?,
        source,
        source_name: "Server".to_owned(),
        time: UaTime::now(),
        message: message.to_owned(),
        severity: 1,
        fields: Fields::default(),
        per_viewer: None,
    })
}
