//! Monitored items that listen for events, by the Object that they subscribed to, and how an event reaches them.
//!
//! The Object is kept by its id, which remains valid when the address space is replaced.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::model::Plant;
use crate::tags::{Member, Roster};
use crate::ua::events::{Event, Seen};
use crate::ua::space::{OwnedNodeId, Space, Viewer};
use crate::ua::subscription::{Mode, Subscription, Watched};

/// The Object that reports every event (Part 5 §6.3.1, 1.05).
const SERVER: OwnedNodeId = OwnedNodeId::numeric(0, opcua::ObjectId::Server as u32);

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

/// An item by its subscription's address and its key there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ItemPlace {
    owner: usize,
    key: u32,
}

#[derive(Debug, Default)]
pub struct Listeners {
    /// Those of all Objects: read without a lock for each event.
    count: AtomicUsize,
    at: Mutex<ByNotifier>,
}

#[derive(Debug, Default)]
struct ByNotifier {
    /// Those of the Server object.
    server: Roster<Listener>,
    others: HashMap<OwnedNodeId, Roster<Listener>>,
    /// The Objects of the items in `others`.
    notifier_of: HashMap<ItemPlace, OwnedNodeId>,
}

impl Listeners {
    pub fn add(&self, notifier: OwnedNodeId, subscription: &Arc<Subscription>, key: u32) {
        let listener = Listener { subscription: Arc::downgrade(subscription), key };
        self.at.lock().add(notifier, listener);
        self.count.fetch_add(1, Ordering::Release);
    }

    pub fn remove(&self, subscription: &Arc<Subscription>, key: u32) {
        let owner = Arc::as_ptr(subscription).addr();
        if self.at.lock().remove(owner, key) {
            self.count.fetch_sub(1, Ordering::Release);
        }
    }

    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Items of one subscription.
    pub fn count_of(&self, subscription: &Arc<Subscription>) -> usize {
        let owner = Arc::as_ptr(subscription).addr();
        self.at.lock().rosters().map(|roster| roster.count_of(owner)).sum()
    }

    /// Subscriptions with an item that listens.
    pub fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        if self.is_empty() {
            return Vec::new();
        }
        let at = self.at.lock();
        at.rosters().flat_map(Roster::iter).filter_map(|listener| listener.subscription.upgrade()).collect()
    }

    /// Offers an event to every item whose client may have it: those of the Server object, and those of the Objects
    /// that report events of its source.
    pub fn raise(&self, event: &Event, space: &Space, plant: &Plant) {
        if self.is_empty() {
            return;
        }
        // Offered without the lock: an item takes its subscription's.
        let listeners = self.at.lock().of(event, space);
        let mut seen = Seen::new(event);
        for listener in listeners {
            let Some(subscription) = listener.subscription.upgrade() else { continue };
            let (roles, is_encrypted) = {
                // A subscription whose session has ended keeps its roles.
                let state = subscription.lock();
                (state.client.roles, state.client.is_encrypted)
            };
            let viewer = Viewer { roles, is_encrypted, locales: &[], plant };
            if viewer.hears(space, event.kind, event.source)
                && let Some(event) = seen.by(&viewer)
            {
                offer(&subscription, listener.key, event, space);
            }
        }
    }
}

impl ByNotifier {
    fn add(&mut self, notifier: OwnedNodeId, listener: Listener) {
        if notifier == SERVER {
            self.server.add(listener);
            return;
        }
        let place = ItemPlace { owner: listener.owner(), key: listener.key };
        self.notifier_of.insert(place, notifier.clone());
        self.others.entry(notifier).or_default().add(listener);
    }

    fn rosters(&self) -> impl Iterator<Item = &Roster<Listener>> {
        std::iter::once(&self.server).chain(self.others.values())
    }

    fn remove(&mut self, owner: usize, key: u32) -> bool {
        let Some(notifier) = self.notifier_of.remove(&ItemPlace { owner, key }) else {
            return self.server.remove(owner, key).is_some();
        };
        let Some(roster) = self.others.get_mut(&notifier) else { return false };
        let is_removed = roster.remove(owner, key).is_some();
        if roster.is_empty() {
            self.others.remove(&notifier);
        }
        is_removed
    }

    /// The items that an event is offered to.
    fn of(&self, event: &Event, space: &Space) -> Vec<Listener> {
        let mut found: Vec<Listener> = self.server.iter().cloned().collect();
        if !self.others.is_empty() {
            let notifiers = space.notifiers_of(event.source).map(|at| space.owned_id(at));
            let rosters = notifiers.filter_map(|notifier| self.others.get(&notifier));
            found.extend(rosters.flat_map(Roster::iter).cloned());
        }
        found
    }
}

fn offer(subscription: &Subscription, key: u32, event: &Event, space: &Space) {
    let mut state = subscription.lock();
    let Some(item) = state.item_mut(key) else { return };
    if item.mode == Mode::Disabled {
        return;
    }
    let Watched::Events(filter, queue) = &mut item.watched else { return };
    filter.resolve(space);
    if !filter.passes(event, space) {
        return;
    }
    let lost = queue.push(filter.fields(event, space));
    state.mark_dirty(key);
    if lost {
        state.counters.queue_overflow += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ua::events::Fields;
    use crate::ua::space::{Class, Detail, NewNode, NodeIx, compose};
    use crate::value::UaTime;

    fn event(source: NodeIx) -> Event {
        Event {
            id: [0; 16],
            kind: NodeIx(0),
            source,
            source_name: String::new(),
            time: UaTime(1),
            message: String::new(),
            severity: 1,
            fields: Fields::default(),
            per_viewer: None,
        }
    }

    /// A line with two pumps that notify, one with a source below it.
    #[test]
    fn an_event_is_for_the_items_of_the_server_object_and_of_the_notifiers_of_its_source() {
        let mut draft = compose(&Plant::default(), "urn:test", &[], &Default::default());
        let mut object = |name: &str, event_notifier| {
            draft.add(NewNode::of_cell(Class::Object, name, Detail::Object { event_notifier }))
        };
        let (line, one, two) = (object("Line", 1), object("One", 1), object("Two", 1));
        let motor = object("Motor", 0);
        draft.refer(line, opcua::ReferenceTypeId::HasNotifier as u32, one);
        draft.refer(line, opcua::ReferenceTypeId::HasNotifier as u32, two);
        draft.refer(one, opcua::ReferenceTypeId::HasEventSource as u32, motor);
        let space = draft.finish();
        let server = space.standard_node(opcua::ObjectId::Server as u32).expect("the Server object");

        let mut listeners = ByNotifier::default();
        for (key, notifier) in (0..).zip([server, line, one, two, one]) {
            listeners.add(space.owned_id(notifier), Listener { subscription: Weak::new(), key });
        }
        let heard = |listeners: &ByNotifier, source| {
            let mut keys: Vec<u32> = listeners.of(&event(source), &space).iter().map(|one| one.key).collect();
            keys.sort_unstable();
            keys
        };
        for (name, source, keys) in [
            ("Motor", motor, &[0, 1, 2, 4][..]),
            ("Two", two, &[0, 1, 3]),
            ("Line", line, &[0, 1]),
            ("Server", server, &[0]),
        ] {
            assert_eq!(heard(&listeners, source), keys, "{name}");
        }
        let owner = Weak::<Subscription>::new().as_ptr().addr();
        for key in [1, 2, 4] {
            assert!(listeners.remove(owner, key));
        }
        assert!(!listeners.remove(owner, 2), "it is gone already");
        assert_eq!(heard(&listeners, motor), [0]);
        assert_eq!((listeners.others.len(), listeners.notifier_of.len()), (1, 1), "only Two is still listened to");
        assert!(listeners.remove(owner, 0));
        assert!(heard(&listeners, motor).is_empty());
    }
}
