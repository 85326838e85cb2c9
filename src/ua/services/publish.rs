//! Publish and Republish (Part 4 §5.14.5 and §5.14.6, 1.05).
//!
//! A Publish request waits in its session; the connection answers it as soon as one of the session's
//! subscriptions has a message, the highest priority first.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opcua::{ObjectId, StatusCode};
use tokio::time::Instant;

use super::{Context, ResponseHead};
use crate::stack::codec::{Reader, Writer};
use crate::ua::limits::FixedLimits;
use crate::ua::server::Server;
use crate::ua::session::{PublishRequest, RefusedRequest, Session, State};
use crate::ua::subscription::{LastStatusChange, Subscription};
use crate::value::UaTime;

/// Takes the acknowledgements and queues the request; a full queue gives up its oldest.
pub(crate) fn enqueue(context: &Context<'_>, reader: &mut Reader<'_>) -> Result<(), StatusCode> {
    let count = reader.count(8)?;
    if count > context.server.limits.operations as usize {
        return Err(StatusCode::BadTooManyOperations);
    }
    {
        let state = context.session.lock();
        if state.subscriptions.is_empty() && state.last_changes.is_empty() {
            return Err(StatusCode::BadNoSubscription);
        }
        // A sign of life for all of them, whichever is answered (Part 4 §5.14.1.2, 1.05).
        state.subscriptions.iter().for_each(|subscription| subscription.lock().touch());
    }
    let mut results = Vec::with_capacity(count);
    for _ in 0..count {
        let (id, sequence) = (reader.u32()?, reader.u32()?);
        results.push(match context.session.subscription(id) {
            None => StatusCode::BadSubscriptionIdInvalid,
            Some(subscription) => subscription.lock().acknowledge(sequence),
        });
    }
    let expires = match context.header.timeout_hint {
        0 => None,
        hint => Some(context.now.mono + Duration::from_millis(u64::from(hint))),
    };
    let mut state = context.session.lock();
    context.refused.borrow_mut().extend(refuse_oldest(&mut state, &context.server.limits));
    let (request_id, handle) = (context.request.id, context.header.handle);
    state.publish.push_back(PublishRequest { request_id, handle, expires, results });
    Ok(())
}

fn refuse_oldest(state: &mut State, limits: &FixedLimits) -> Option<RefusedRequest> {
    if state.publish.len() < limits.publish_requests {
        return None;
    }
    state.publish.pop_front().map(|oldest| oldest.refused(StatusCode::BadTooManyPublishRequests))
}

/// Requests that will get no message: they have expired, or the session has no subscription left.
pub(crate) fn take_refused(session: &Session, now: Instant) -> Vec<RefusedRequest> {
    let mut state = session.lock();
    let is_idle = state.subscriptions.is_empty() && state.last_changes.is_empty();
    let mut refused = Vec::new();
    state.publish.retain(|request| {
        let status = if is_idle {
            StatusCode::BadNoSubscription
        } else if request.expires.is_some_and(|expires| expires <= now) {
            StatusCode::BadTimeout
        } else {
            return true;
        };
        refused.push(request.refused(status));
        false
    });
    refused
}

/// The message for the next Publish request in the queue.
pub(crate) enum Ready {
    Message(Arc<Subscription>),
    LastStatusChange(LastStatusChange),
}

/// The next message of the session, if a request waits for one.
pub(crate) fn next(session: &Session) -> Option<(PublishRequest, Ready)> {
    let mut state = session.lock();
    if state.publish.is_empty() {
        return None;
    }
    let ready = match state.last_changes.pop_front() {
        Some(change) => Ready::LastStatusChange(change),
        None => {
            let ready = state.subscriptions.iter().enumerate().filter_map(|(at, subscription)| {
                let inner = subscription.lock();
                inner.is_ready().then_some((inner.parameters.priority, at))
            });
            // Among equals the subscription that waited longest: served ones go to the end.
            let (_, at) = ready.max_by_key(|(priority, at)| (*priority, std::cmp::Reverse(*at)))?;
            let subscription = state.subscriptions.remove(at);
            state.subscriptions.push(Arc::clone(&subscription));
            Ready::Message(subscription)
        }
    };
    state.publish.pop_front().map(|request| (request, ready))
}

/// Writes a PublishResponse. A subscription that reported its end is deleted.
pub(crate) fn write(
    server: &Server,
    session: &Session,
    request: &PublishRequest,
    ready: &Ready,
    most_bytes: usize,
    w: &mut Writer,
) {
    ResponseHead { type_id: ObjectId::PublishResponse_Encoding_DefaultBinary as u32, handle: request.handle }.write(w);
    let now = UaTime::now();
    match ready {
        Ready::Message(subscription) => {
            let published = {
                let mut state = subscription.lock();
                state.counters.publish_request += 1;
                state.write_message(subscription.id, now, most_bytes, w)
            };
            if published.is_last {
                session.lock().subscriptions.retain(|other| other.id != subscription.id);
                server.remove_subscription(subscription);
            }
        }
        Ready::LastStatusChange(change) => change.write(now, w),
    }
    w.count(request.results.len());
    request.results.iter().for_each(|status| w.status(*status));
    w.null_array();
    server.totals.notifications.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn republish(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let (id, sequence) = (reader.u32()?, reader.u32()?);
    let subscription = super::subscription::find(context.session, id)?;
    let message = {
        let mut state = subscription.lock();
        state.counters.republish_request += 1;
        state.touch();
        state.resend(sequence).ok_or(StatusCode::BadMessageNotAvailable)?
    };
    context.write_head(w);
    w.raw(&message);
    Ok(())
}
