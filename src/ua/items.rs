//! Attaches monitored items to their nodes and takes them away, one way for all ends.
//!
//! A client no longer sees a subscription that ends. Its items are removed in slices, so that no other work
//! waits for them; each one leaves in constant time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use opcua::StatusCode;

use super::server::Server;
use super::session::Session;
use super::space::OwnedNodeId;
use super::subscription::{Item, Subscription, Watched, WatchedKind};
use crate::logging;
use crate::tags::Watcher;

/// Items that are taken away without a pause: well below a millisecond.
const SLICE: usize = 1_000;
/// Items of one session that one tag, or all events, have to be offered to one by one.
const PER_SESSION_AND_NODE: usize = 1_000;
/// Items of one session on variables of the server itself, and items that calculate: each costs time at every tick.
const LIVE_PER_SESSION: usize = 1_000;
const AGGREGATES_PER_SESSION: usize = 10_000;
/// With less memory left for all sessions, subscriptions of clients without a connection end.
const LOW: usize = 1 << 20;

/// Takes away the items of subscriptions that have ended; it ends when it is dropped.
pub(crate) async fn sweep(server: Arc<Server>) {
    loop {
        server.subscriptions.some_ended().await;
        while let Some(subscription) = server.subscriptions.take_ended() {
            while server.remove_some_items(&subscription) {
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Server {
    /// Deletes a subscription; its session must not list it any more. Many items are removed later.
    pub fn remove_subscription(&self, subscription: &Arc<Subscription>) {
        self.subscriptions.remove(subscription.id);
        subscription.lock().close();
        if self.remove_some_items(subscription) {
            self.subscriptions.put_ended(subscription);
        }
        // It is closed, so this only takes it out.
        self.timer.schedule(subscription);
    }

    /// Takes a slice of the items away; true while there are more.
    fn remove_some_items(&self, subscription: &Arc<Subscription>) -> bool {
        let ids = subscription.lock().last_ids(SLICE);
        for id in &ids {
            self.remove_item(subscription, *id);
        }
        ids.len() == SLICE
    }

    /// Lets an item hear of its node. Called without the subscription's lock: a tag offers at once.
    pub fn attach(&self, subscription: &Arc<Subscription>, key: u32, watched: WatchedKind, every: bool) {
        match watched {
            WatchedKind::Tag(tag) => {
                self.tags.watch(tag, crate::tags::Watch { watcher: watcher(subscription), key, every });
            }
            WatchedKind::Events | WatchedKind::Other => {}
        }
    }

    /// Lets an item hear the events that an Object reports.
    pub fn attach_to_events(&self, subscription: &Arc<Subscription>, key: u32, notifier: OwnedNodeId) {
        self.listeners.add(notifier, subscription, key);
    }

    /// Takes an item away: first from the subscription, then from its tag, so that no late offer meets another item.
    pub fn remove_item(&self, subscription: &Arc<Subscription>, id: u32) -> Option<Box<Item>> {
        let (key, item) = subscription.lock().remove(id)?;
        match item.watched {
            Watched::Tag(tag) => self.tags.unwatch(tag, &watcher(subscription), key),
            Watched::Events(..) => {
                self.listeners.remove(subscription, key);
            }
            Watched::Live(_) | Watched::Fixed => {}
        }
        subscription.lock().release(key);
        self.totals.monitored_items.fetch_sub(1, Ordering::Relaxed);
        Some(item)
    }

    /// Ends the subscription that has been without a connection for the longest time, for the sake of clients that have
    /// one; false when there is none.
    pub fn end_one_alone(&self) -> bool {
        let alone = self.subscriptions.all().into_iter().filter_map(|subscription| {
            let owner = subscription.lock().owner.upgrade();
            let since = match &owner {
                // It has no session any more: it only waits for a transfer.
                None => None,
                Some(session) => Some(session.alone_since()?),
            };
            Some((since, subscription, owner))
        });
        let Some((_, subscription, owner)) = alone.min_by_key(|(since, ..)| *since) else { return false };
        let id = subscription.id;
        let line = format_args!(
            "subscription {id} is deleted: memory or subscriptions are short, and its client has no connection"
        );
        logging::limited(log::Level::Warn, "subscription ended", None, line);
        if let Some(session) = owner {
            session.lose(subscription.id, None, &self.world().limits);
        }
        self.remove_subscription(&subscription);
        true
    }

    /// Makes room when all sessions together hold too much; false when the session's own share is used up, or when no
    /// client without a connection is left.
    pub fn reclaim_memory(&self) -> bool {
        self.memory.left() < LOW && self.end_one_alone()
    }

    /// Whether a session may have one more item of this kind: each of them is offered every change, or looked at with
    /// every tick, so that many of them on one node would stop the others.
    pub fn check_share(&self, session: &Session, watched: &Watched, calculates: bool) -> Result<(), StatusCode> {
        let subscriptions = || session.lock().subscriptions.clone();
        let count = |of: &dyn Fn(&Arc<Subscription>) -> usize| subscriptions().iter().map(of).sum::<usize>();
        let is_full = match watched {
            Watched::Tag(tag) => {
                self.tags.watchers(*tag) >= PER_SESSION_AND_NODE
                    && count(&|of| self.tags.watch_count(*tag, &watcher(of))) >= PER_SESSION_AND_NODE
            }
            Watched::Events(..) => {
                self.listeners.len() >= PER_SESSION_AND_NODE
                    && count(&|of| self.listeners.count_of(of)) >= PER_SESSION_AND_NODE
            }
            Watched::Live(_) => count(&|of| of.lock().live_count()) >= LIVE_PER_SESSION,
            Watched::Fixed => false,
        };
        let is_full = is_full || calculates && count(&|of| of.lock().aggregate_count()) >= AGGREGATES_PER_SESSION;
        if is_full { Err(StatusCode::BadTooManyMonitoredItems) } else { Ok(()) }
    }
}

fn watcher(subscription: &Arc<Subscription>) -> Arc<dyn Watcher> {
    Arc::clone(subscription) as Arc<dyn Watcher>
}
