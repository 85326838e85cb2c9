//! Monitored items that listen for events, and how an event reaches them.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::model::Plant;
use crate::tags::{Member, Roster};
use crate::ua::events::Event;
use crate::ua::space::{Space, Viewer};
use crate::ua::subscription::{Mode, Subscription, Watched};

/// An item that listens for events.
#[derive(Debug, Clone)]
struct Listener {
    subscription: Weak<Subscription>,
    key: u32,
}

impl Member for Listener {
    fn owner(&self) -> usize {
        self.subscription.as_ptr().addr()
    }

    fn key(&self) -> u32 {
        self.key
    }
}

#[derive(Debug, Default)]
pub struct Listeners {
    all: Mutex<Roster<Listener>>,
}

impl Listeners {
    pub fn add(&self, subscription: &Arc<Subscription>, key: u32) {
        self.all.lock().add(Listener { subscription: Arc::downgrade(subscription), key });
    }

    pub fn remove(&self, subscription: &Arc<Subscription>, key: u32) {
        self.all.lock().remove(Arc::as_ptr(subscription).addr(), key);
    }

    pub fn len(&self) -> usize {
        self.all.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.lock().is_empty()
    }

    /// Items of one subscription.
    pub fn count_of(&self, subscription: &Arc<Subscription>) -> usize {
        self.all.lock().count_of(Arc::as_ptr(subscription).addr())
    }

    /// Subscriptions with an item that listens.
    pub fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        let all = self.all.lock();
        if all.is_empty() {
            return Vec::new();
        }
        all.iter().filter_map(|listener| listener.subscription.upgrade()).collect()
    }

    /// Offers an event to every item whose client may have it.
    pub fn raise(&self, event: &Event, space: &Space, plant: &Plant) {
        let listeners: Vec<Listener> = self.all.lock().iter().cloned().collect();
        for listener in listeners {
            let Some(subscription) = listener.subscription.upgrade() else { continue };
            if may_hear(&subscription, event, space, plant) {
                offer(&subscription, listener.key, event, space);
            }
        }
    }
}

/// A subscription whose session has ended keeps its roles.
fn may_hear(subscription: &Subscription, event: &Event, space: &Space, plant: &Plant) -> bool {
    let (roles, is_encrypted) = {
        let state = subscription.lock();
        (state.client.roles, state.client.is_encrypted)
    };
    let viewer = Viewer { roles, is_encrypted, locales: &[], plant };
    space.standard_node(event.kind).is_some_and(|kind| viewer.hears(space, kind, event.source))
}

fn offer(subscription: &Subscription, key: u32, event: &Event, space: &Space) {
    let mut state = subscription.lock();
    let Some(item) = state.item_mut(key) else { return };
    if item.mode == Mode::Disabled {
        return;
    }
    let Watched::Events(filter, queue) = &mut item.watched else { return };
    if !filter.passes(event, space) {
        return;
    }
    let lost = queue.push(filter.fields(event, space));
    state.mark_dirty(key);
    if lost {
        state.counters.queue_overflow += 1;
    }
}
