//! Lists of a subscription whose client never asks for a message stay bounded.

mod sampling;

use std::time::Duration;

use super::queue::Queue;
use super::*;
use crate::model::Roles;
use crate::stack::codec::Timestamps;
use crate::ua::budget::Budget;
use crate::ua::identity::{Identity, Standing};
use crate::ua::limits::Limits;
use crate::ua::space::{Attribute, NodeIdentity};
use crate::value::{UaTime, Value};

/// The session of a subscription that has none.
#[derive(Debug)]
struct Absent;

impl Owner for Absent {
    fn id(&self) -> u32 {
        0
    }

    fn wake(&self) {}

    fn has_publish_requests(&self) -> bool {
        false
    }

    fn alone_since(&self) -> Option<Instant> {
        None
    }

    fn lose(&self, _: u32, _: Option<LastStatusChange>, _: &Limits) {}
}

fn at(mono: Instant) -> Moment {
    Moment { mono, wall: UaTime(1) }
}

fn subscription() -> Subscription {
    let parameters = Parameters {
        publishing_interval: Duration::from_secs(3600),
        lifetime_count: 3,
        keep_alive_count: 1,
        max_notifications: 0,
        priority: 0,
    };
    let new = NewSubscription {
        id: 1,
        parameters,
        publishing_enabled: true,
        owner: Weak::<Absent>::new(),
        client: Client {
            identity: Identity::Anonymous,
            application_uri: String::new(),
            is_secured: false,
            is_encrypted: false,
            roles: Roles::NONE,
            standing: Standing::default(),
        },
        memory: Budget::new(1 << 20),
        retransmission_queue: 64,
    };
    Subscription::new(new, Instant::now())
}

fn item(sampling: Duration) -> Box<Item> {
    Box::new(Item {
        id: 0,
        client_handle: 1,
        mode: Mode::Reporting,
        node: NodeIdentity::Standard(0),
        attribute: Attribute::Value,
        watched: Watched::Fixed,
        sampling,
        period: Duration::ZERO,
        timestamps: Timestamps::Neither,
        range: None,
        filter: filter::DataFilter::default(),
        aggregate: None,
        queue: Queue::new(2, true, &Budget::new(1 << 20)),
        queue_size: 2,
        last: None,
        held: None,
        grid: grid::Grid::default(),
        is_dirty: false,
        is_waiting: false,
        denied: None,
    })
}

fn number(n: i32) -> Sample {
    Sample { value: Value::Int32(n), status: StatusCode::Good, source_time: UaTime(1), server_time: UaTime(1) }
}

#[test]
fn lists_of_items_do_not_grow_between_two_messages() {
    let subscription = subscription();
    let mut state = subscription.lock();
    let (_, steady) = state.insert(item(Duration::ZERO));
    state.offer(steady, &number(0), at(Instant::now()));
    for n in 0..2_000 {
        // Silenced and heard again, made and deleted, and held back by a long sampling interval.
        state.set_mode(steady, Mode::Sampling, at(Instant::now()));
        state.set_mode(steady, Mode::Reporting, at(Instant::now()));
        let (id, key) = state.insert(item(Duration::from_secs(60)));
        state.offer(key, &number(n), at(Instant::now()));
        state.offer(key, &number(n + 1), at(Instant::now()));
        let (key, _) = state.remove(id).expect("it is there");
        state.release(key);
    }
    assert!(state.dirty.len() < 100, "{} entries of items with news", state.dirty.len());
    assert!(state.waiting.len() < 100, "{} entries of items that wait", state.waiting.len());
    // The item with news is still in the list, once.
    state.drop_stale();
    let live = state.dirty.iter().filter(|key| **key == steady).count();
    assert!(live >= 1, "the steady item is forgotten");
}

#[test]
fn a_shorter_sampling_interval_does_not_turn_the_order_around() {
    let subscription = subscription();
    let mut state = subscription.lock();
    let (_, key) = state.insert(item(Duration::from_secs(60)));
    state.offer(key, &number(1), at(Instant::now()));
    state.offer(key, &number(2), at(Instant::now()));
    state.item_mut(key).expect("it is there").sampling = Duration::ZERO;
    state.offer(key, &number(3), at(Instant::now()));
    let item = state.item_mut(key).expect("it is there");
    let left: Vec<Value> = std::iter::from_fn(|| item.queue.pop()).map(|sample| sample.value).collect();
    // Of three in a queue of two the oldest goes.
    assert_eq!(left, [Value::Int32(2), Value::Int32(3)]);
    assert!(item.held.is_none());
}
