//! Subscription service set (Part 4 §5.14, 1.05) but for Publish and Republish.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opcua::StatusCode;

use super::{Context, each_id, operations};
use crate::stack::codec::{Reader, Writer};
use crate::ua::session::Session;
use crate::ua::subscription::{LastStatusChange, NewSubscription, Parameters, Subscription};

/// Revised parameters: as asked within wide caps, the lifetime at least three keep-alives.
fn revise(context: &Context<'_>, interval: f64, lifetime: u32, keep_alive: u32, max_notifications: u32) -> Parameters {
    let limits = &context.world.limits;
    // Without any pause a cycle would never end.
    let least = limits.configured.min_publishing_interval.max(Duration::from_millis(1));
    let most = limits.longest_lifetime;
    let publishing_interval = if interval.is_finite() && interval > 0.0 {
        Duration::from_secs_f64((interval / 1000.0).min(most.as_secs_f64())).max(least)
    } else {
        least
    };
    let most_count = (most.as_nanos() / publishing_interval.as_nanos().max(1)).clamp(3, u128::from(u32::MAX));
    let most_count = u32::try_from(most_count).unwrap_or(u32::MAX);
    let keep_alive_count = if keep_alive == 0 { 10 } else { keep_alive }.min(most_count / 3).max(1);
    let lifetime_count = lifetime.max(keep_alive_count.saturating_mul(3)).min(most_count);
    Parameters { publishing_interval, lifetime_count, keep_alive_count, max_notifications, priority: 0 }
}

fn write_revised(parameters: &Parameters, w: &mut Writer) {
    w.f64(parameters.publishing_interval.as_secs_f64() * 1000.0);
    w.u32(parameters.lifetime_count);
    w.u32(parameters.keep_alive_count);
}

pub(crate) fn create(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let (interval, lifetime, keep_alive) = (reader.f64()?, reader.u32()?, reader.u32()?);
    let (max_notifications, enabled, priority) = (reader.u32()?, reader.bool()?, reader.u8()?);
    let server = context.server;
    let configured = &context.world.limits.configured;
    let no_place = || server.subscriptions.len() >= configured.max_subscriptions as usize;
    if no_place() && !server.end_one_alone()
        || context.session.lock().subscriptions.len() >= configured.max_subscriptions_per_session as usize
    {
        return Err(StatusCode::BadTooManySubscriptions);
    }
    let parameters = Parameters { priority, ..revise(context, interval, lifetime, keep_alive, max_notifications) };
    let new = NewSubscription {
        id: server.subscriptions.next_id(),
        parameters,
        publishing_enabled: enabled,
        owner: context.session.as_owner(),
        client: context.session.as_client(),
        memory: Arc::clone(&context.session.queues),
        retransmission_queue: server.limits.retransmission_queue,
    };
    let subscription = Arc::new(Subscription::new(new, context.now.mono));
    context.session.lock().subscriptions.push(Arc::clone(&subscription));
    // The rights may have changed before the session had it.
    let client = context.session.as_client();
    subscription.lock().client = client;
    context.write_head(w);
    w.u32(subscription.id);
    write_revised(&parameters, w);
    server.add_subscription(subscription);
    Ok(())
}

pub(crate) fn modify(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let id = reader.u32()?;
    let (interval, lifetime, keep_alive) = (reader.f64()?, reader.u32()?, reader.u32()?);
    let (max_notifications, priority) = (reader.u32()?, reader.u8()?);
    let subscription = find(context.session, id)?;
    let parameters = Parameters { priority, ..revise(context, interval, lifetime, keep_alive, max_notifications) };
    {
        let mut state = subscription.lock();
        // A shorter interval begins now, not when the longer one is over.
        if parameters.publishing_interval != state.parameters.publishing_interval {
            state.next_tick = context.now.mono + parameters.publishing_interval;
        }
        state.parameters = parameters;
        state.counters.modify += 1;
        state.touch();
    }
    context.server.timer.schedule(&subscription);
    context.write_head(w);
    write_revised(&parameters, w);
    Ok(())
}

/// A subscription of this session.
pub(crate) fn find(session: &Session, id: u32) -> Result<Arc<Subscription>, StatusCode> {
    session.subscription(id).ok_or(StatusCode::BadSubscriptionIdInvalid)
}

pub(crate) fn set_publishing_mode(
    context: &Context<'_>,
    reader: &mut Reader<'_>,
    w: &mut Writer,
) -> Result<(), StatusCode> {
    let enabled = reader.bool()?;
    context.write_head(w);
    each_id(reader, w, context.server.limits.operations, |id| match find(context.session, id) {
        Err(status) => status,
        Ok(subscription) => {
            let mut state = subscription.lock();
            state.publishing_enabled = enabled;
            let counter = if enabled { &mut state.counters.enable } else { &mut state.counters.disable };
            *counter += 1;
            state.touch();
            StatusCode::Good
        }
    })?;
    w.null_array();
    Ok(())
}

pub(crate) fn delete(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    context.write_head(w);
    each_id(reader, w, context.server.limits.operations, |id| match find(context.session, id) {
        Err(status) => status,
        Ok(subscription) => {
            context.session.lock().subscriptions.retain(|other| other.id != id);
            context.server.remove_subscription(&subscription);
            StatusCode::Good
        }
    })?;
    w.null_array();
    // After the last subscription ended, nothing would ever answer the queued requests.
    context.session.wake_if_idle();
    Ok(())
}

/// Moves subscriptions of another session, or of one that has ended, to this one (Part 4 §5.14.7, 1.05).
pub(crate) fn transfer(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let done = transfer_all(context, reader, w);
    let status = done.err().unwrap_or(StatusCode::Good);
    context.server.audit_transferred(context.session, context.header.audit_entry, status);
    done
}

fn transfer_all(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let count = operations(reader, 4, context.server.limits.operations)?;
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        ids.push(reader.u32()?);
    }
    let send_initial = reader.bool()?;
    context.write_head(w);
    w.count(count);
    for id in ids {
        match transfer_one(context, id) {
            Err(status) => {
                w.status(status);
                w.null_array();
            }
            Ok(subscription) => {
                w.status(StatusCode::Good);
                let mut state = subscription.lock();
                let available: Vec<u32> = state.available().collect();
                w.count(available.len());
                available.iter().for_each(|number| w.u32(*number));
                if send_initial {
                    state.resend_data();
                }
            }
        }
    }
    w.null_array();
    context.session.wake();
    Ok(())
}

fn transfer_one(context: &Context<'_>, id: u32) -> Result<Arc<Subscription>, StatusCode> {
    // Two sessions that ask for the same subscription at once get it one after the other.
    let _one_at_a_time = context.server.subscriptions.transferring.lock();
    let subscription = context.server.subscriptions.get(id).ok_or(StatusCode::BadSubscriptionIdInvalid)?;
    let old = subscription.lock().owner.upgrade();
    if old.as_ref().is_some_and(|old| old.id() == context.session.id) {
        return Err(StatusCode::BadNothingToDo);
    }
    subscription.lock().counters.transfer_request += 1;
    if !may_take(context, &subscription) {
        return Err(StatusCode::BadUserAccessDenied);
    }
    let configured = &context.world.limits.configured;
    if context.session.lock().subscriptions.len() >= configured.max_subscriptions_per_session as usize {
        return Err(StatusCode::BadTooManySubscriptions);
    }
    if let Some(old) = old {
        let sequence = subscription.lock().next_sequence();
        let status = StatusCode::GoodSubscriptionTransferred;
        old.lose(id, Some(LastStatusChange { subscription: id, sequence, status }), &context.world.limits);
        old.wake();
    }
    let client = context.session.as_client();
    {
        let mut state = subscription.lock();
        let is_same_client = state.client.application_uri == client.application_uri;
        let counters = &mut state.counters;
        let counter = if is_same_client {
            &mut counters.transferred_to_same_client
        } else {
            &mut counters.transferred_to_alt_client
        };
        *counter += 1;
        state.adopt(context.session.as_owner(), client);
    }
    context.session.lock().subscriptions.push(Arc::clone(&subscription));
    // The same user, but maybe over another channel or with other roles, which may have changed just now.
    let client = context.session.as_client();
    subscription.lock().client = client;
    super::rights::reevaluate_items(context.server, context.session, std::slice::from_ref(&subscription));
    context.server.totals.transfers.fetch_add(1, Ordering::Relaxed);
    Ok(subscription)
}

/// The same user; or anonymous, when both sessions are of the same ApplicationUri and the channel is signed.
fn may_take(context: &Context<'_>, subscription: &Subscription) -> bool {
    let (identity, is_secured) = {
        let state = context.session.lock();
        (state.identity.clone(), state.is_secured())
    };
    let state = subscription.lock();
    if identity != state.client.identity {
        return false;
    }
    !identity.is_anonymous()
        || (is_secured
            && state.client.is_secured
            && state.client.application_uri == context.session.client.application_uri)
}
