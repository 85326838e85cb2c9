//! Ticks subscriptions: one list of deadlines, one task, however many subscriptions there are.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use opcua::StatusCode;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Farewell, Subscription, Tick};
use crate::ua::diagnostics;
use crate::ua::server::Server;
use crate::ua::space::Live;
use crate::value::Sample;

/// Deadlines in order; a subscription stands here once, and not at all when it is gone.
#[derive(Debug, Default)]
pub struct Timer {
    due: Mutex<BTreeMap<(Instant, u32), Weak<Subscription>>>,
    sooner: Notify,
}

impl Timer {
    /// Sets the next cycle of a subscription, in place of the one that stood here.
    pub fn schedule(&self, subscription: &Arc<Subscription>) {
        let mut due = self.due.lock();
        let mut state = subscription.lock();
        if let Some(old) = state.scheduled.take() {
            due.remove(&(old, subscription.id));
        }
        if state.is_closed() {
            return;
        }
        let at = state.next_tick;
        state.scheduled = Some(at);
        drop(state);
        let is_next = due.first_key_value().is_none_or(|((first, _), _)| at < *first);
        due.insert((at, subscription.id), Arc::downgrade(subscription));
        drop(due);
        if is_next {
            self.sooner.notify_one();
        }
    }

    fn next(&self) -> Option<Instant> {
        self.due.lock().first_key_value().map(|((at, _), _)| *at)
    }

    fn pop_due(&self, now: Instant) -> Option<Weak<Subscription>> {
        let mut due = self.due.lock();
        let first = due.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}

/// The timer's task; it ends when it is dropped.
pub async fn run(server: Arc<Server>) {
    let idle = Duration::from_secs(3600);
    loop {
        let next = server.timer.next().unwrap_or_else(|| Instant::now() + idle);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = server.timer.sooner.notified() => continue,
        }
        let now = Instant::now();
        while let Some(subscription) = server.timer.pop_due(now) {
            let Some(subscription) = subscription.upgrade() else { continue };
            if subscription.is_heavy() {
                // On a thread of its own: nobody else's cycle waits for it. It is scheduled again when it has ended.
                let server = Arc::clone(&server);
                drop(tokio::task::spawn_blocking(move || tick(&server, &subscription, now)));
            } else {
                tick(&server, &subscription, now);
            }
        }
    }
}

/// One cycle of one subscription, and what follows from it for its session.
pub fn tick(server: &Arc<Server>, subscription: &Arc<Subscription>, now: Instant) {
    let mut live = Vec::new();
    subscription.due_live(now, &mut live);
    // Many items may look at the same variable: it is made once.
    let mut made: HashMap<Live, Sample> = HashMap::new();
    for (key, live) in live {
        let sample = made.entry(live).or_insert_with(|| diagnostics::live_sample(server, live)).clone();
        subscription.lock().accept(key, sample);
    }
    let owner = {
        let state = subscription.lock();
        if state.is_closed() {
            return;
        }
        state.owner.upgrade()
    };
    let asked = owner.as_ref().is_some_and(|session| session.has_publish_requests());
    match subscription.tick(now, asked) {
        Tick::Idle => {}
        Tick::Ready => {
            if let Some(session) = &owner {
                session.wake();
            }
        }
        Tick::Expired => {
            log::debug!("subscription {} ends: nobody asked for its messages in its lifetime", subscription.id);
            if let Some(session) = &owner {
                let sequence = subscription.lock().next_sequence();
                let farewell = Farewell { subscription: subscription.id, sequence, status: StatusCode::BadTimeout };
                let mut state = session.lock();
                state.subscriptions.retain(|other| other.id != subscription.id);
                // Told when the client asks again (Part 4 §5.14.1.1, 1.05: Bad_Timeout).
                state.tell_farewell(farewell, &server.limits);
            }
            server.remove_subscription(subscription);
            return;
        }
    }
    server.timer.schedule(subscription);
}
