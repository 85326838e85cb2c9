//! All subscriptions of the server by id, and those that have ended and still hold items.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Subscription;

#[derive(Debug)]
pub struct Registry {
    all: Mutex<HashMap<u32, Arc<Subscription>>>,
    next_id: AtomicU32,
    /// Ended, with items that are still to be taken away.
    ended: Mutex<Vec<Arc<Subscription>>>,
    has_ended: Notify,
    /// Held while one subscription is moved from session to session.
    pub transferring: Mutex<()>,
}

impl Default for Registry {
    fn default() -> Registry {
        Registry {
            all: Mutex::default(),
            // Ids of an earlier run must not name a subscription of this one.
            next_id: AtomicU32::new(fastrand::u32(1..1 << 30)),
            ended: Mutex::default(),
            has_ended: Notify::new(),
            transferring: Mutex::default(),
        }
    }
}

impl Registry {
    pub fn next_id(&self) -> u32 {
        self.next_id.fetch_add(1, Ordering::Relaxed).max(1)
    }

    pub fn len(&self) -> usize {
        self.all.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.lock().is_empty()
    }

    /// By id.
    pub fn all(&self) -> Vec<Arc<Subscription>> {
        let mut all: Vec<_> = self.all.lock().values().cloned().collect();
        all.sort_by_key(|subscription| subscription.id);
        all
    }

    pub fn get(&self, id: u32) -> Option<Arc<Subscription>> {
        self.all.lock().get(&id).cloned()
    }

    /// Whether one that publishes at least this often has something that its client has not got, and has a Publish request for it.
    pub fn has_news(&self, at_least: Duration) -> bool {
        self.all().iter().any(|subscription| {
            let (is_asked, owner) = {
                let mut state = subscription.lock();
                (state.has_news(at_least), state.owner.upgrade())
            };
            is_asked && owner.is_some_and(|owner| owner.has_publish_requests())
        })
    }

    pub fn add(&self, subscription: Arc<Subscription>) {
        self.all.lock().insert(subscription.id, subscription);
    }

    pub fn remove(&self, id: u32) {
        self.all.lock().remove(&id);
    }

    /// Keeps an ended subscription until its items are taken away.
    pub fn put_ended(&self, subscription: &Arc<Subscription>) {
        self.ended.lock().push(Arc::clone(subscription));
        self.has_ended.notify_one();
    }

    pub fn take_ended(&self) -> Option<Arc<Subscription>> {
        self.ended.lock().pop()
    }

    /// Resolves when a subscription has ended since the last call.
    pub async fn some_ended(&self) {
        self.has_ended.notified().await;
    }
}
