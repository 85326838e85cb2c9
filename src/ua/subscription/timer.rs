//! Ticks subscriptions: one heap of deadlines, one task, however many subscriptions there are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Subscription, Tick};
use crate::ua::diagnostics;
use crate::ua::server::Server;

#[derive(Debug, Default)]
pub struct Timer {
    due: Mutex<BinaryHeap<Reverse<Entry>>>,
    sooner: Notify,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    subscription: Weak<Subscription>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.at == other.at
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl Timer {
    pub fn schedule(&self, at: Instant, subscription: Weak<Subscription>) {
        let mut due = self.due.lock();
        let is_next = due.peek().is_none_or(|Reverse(first)| at < first.at);
        due.push(Reverse(Entry { at, subscription }));
        if is_next {
            self.sooner.notify_one();
        }
    }

    fn next(&self) -> Option<Instant> {
        self.due.lock().peek().map(|Reverse(entry)| entry.at)
    }

    fn pop_due(&self, now: Instant) -> Option<Weak<Subscription>> {
        let mut due = self.due.lock();
        if due.peek().is_some_and(|Reverse(entry)| entry.at <= now) {
            return due.pop().map(|Reverse(entry)| entry.subscription);
        }
        None
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
            if let Some(subscription) = subscription.upgrade() {
                tick(&server, &subscription, now);
            }
        }
    }
}

/// One cycle of one subscription, and what follows from it for its session.
pub fn tick(server: &Arc<Server>, subscription: &Arc<Subscription>, now: Instant) {
    let mut live = Vec::new();
    subscription.due_live(now, &mut live);
    for (key, live) in live {
        let sample = diagnostics::live_sample(server, live);
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
            log::info!("subscription {} ends: nobody asked for its messages in its lifetime", subscription.id);
            if let Some(session) = &owner {
                session.lock().subscriptions.retain(|other| other.id != subscription.id);
            }
            server.remove_subscription(subscription);
            return;
        }
    }
    let next = subscription.lock().next_tick;
    server.timer.schedule(next, Arc::downgrade(subscription));
}
