//! The deadlines of all subscriptions in one list.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Subscription;

/// Deadlines in order; a subscription is listed once, and not at all after it ended.
#[derive(Debug, Default)]
pub struct Timer {
    due: Mutex<BTreeMap<(Instant, u32), Weak<Subscription>>>,
    sooner: Notify,
}

impl Timer {
    /// Sets the next cycle of a subscription, and replaces the one before.
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

    pub fn next(&self) -> Option<Instant> {
        self.due.lock().first_key_value().map(|((at, _), _)| *at)
    }

    pub fn pop_due(&self, now: Instant) -> Option<Weak<Subscription>> {
        let mut due = self.due.lock();
        let first = due.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// Resolves when a deadline was set that comes before all others.
    pub async fn sooner(&self) {
        self.sooner.notified().await;
    }
}
