//! Random lives of a subscription, held against a model that is plain enough to be believed: nothing is lost or
//! doubled within the queues' bounds, numbers follow each other, keep-alive and lifetime come when they are due.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use opcell::testing::stack::codec::{Reader, Timestamps, Writer};
use opcell::testing::stack::crypto::{MessageSecurityMode, Policy};
use opcell::testing::tags::Watcher;
use opcell::testing::ua::budget::Budget;
use opcell::testing::ua::session::{NewSession, Session, SessionSecurity};
use opcell::testing::ua::space::{Attribute, NodeIdentity};
use opcell::testing::ua::subscription::filter::DataFilter;
use opcell::testing::ua::subscription::grid::Grid;
use opcell::testing::ua::subscription::queue::Queue;
use opcell::testing::ua::subscription::{
    Item, MESSAGE_BYTES, Mode, NewSubscription, Parameters, Subscription, Tick, Watched,
};
use opcell::value::{Moment, Sample, UaTime, Value};
use opcua::StatusCode;
use proptest::prelude::*;
use tokio::time::Instant;

const OVERFLOW: u32 = 0x480;
/// Messages that are kept for Republish.
const KEPT: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    Create { size: u32, discard_oldest: bool },
    Offer { item: usize, value: u8 },
    SetMode { item: usize, mode: u8 },
    Resize { item: usize, size: u32, discard_oldest: bool },
    Delete { item: usize },
    Modify { lifetime: u32, keep_alive: u32, most: u32 },
    Enable(bool),
    Tick { has_request: bool },
    Publish,
    Acknowledge { back: u32 },
    Republish { back: u32 },
    Transfer { send_initial: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let item = 0..6usize;
    prop_oneof![
        2 => (1..4u32, any::<bool>()).prop_map(|(size, discard_oldest)| Step::Create { size, discard_oldest }),
        12 => (item.clone(), 0..5u8).prop_map(|(item, value)| Step::Offer { item, value }),
        2 => (item.clone(), 0..3u8).prop_map(|(item, mode)| Step::SetMode { item, mode }),
        1 => (item.clone(), 1..4u32, any::<bool>())
            .prop_map(|(item, size, discard_oldest)| Step::Resize { item, size, discard_oldest }),
        1 => item.prop_map(|item| Step::Delete { item }),
        1 => (3..9u32, 1..4u32, 0..4u32)
            .prop_map(|(lifetime, keep_alive, most)| Step::Modify { lifetime, keep_alive, most }),
        1 => any::<bool>().prop_map(Step::Enable),
        6 => any::<bool>().prop_map(|has_request| Step::Tick { has_request }),
        6 => Just(Step::Publish),
        2 => (0..5u32).prop_map(|back| Step::Acknowledge { back }),
        2 => (0..5u32).prop_map(|back| Step::Republish { back }),
        1 => any::<bool>().prop_map(|send_initial| Step::Transfer { send_initial }),
    ]
}

/// A value and its status, overflow bits apart.
type Seen = (Option<i32>, u32);
/// Client handle, value, and whether it is marked with an overflow.
type Told = (u32, Seen, bool);

#[derive(Debug)]
struct ModelItem {
    key: u32,
    id: u32,
    handle: u32,
    mode: Mode,
    size: usize,
    discard_oldest: bool,
    queue: VecDeque<(Seen, bool)>,
    last: Option<Seen>,
}

impl ModelItem {
    fn offer(&mut self, seen: Seen) {
        if self.mode == Mode::Disabled || self.last == Some(seen) {
            return;
        }
        self.last = Some(seen);
        self.push(seen);
    }

    fn push(&mut self, seen: Seen) {
        if self.queue.len() < self.size {
            self.queue.push_back((seen, false));
        } else if self.size == 1 {
            self.queue = [(seen, false)].into();
        } else if self.discard_oldest {
            self.queue.pop_front();
            self.queue.push_back((seen, false));
            self.queue[0].1 = true;
        } else {
            self.queue.pop_back();
            self.queue.push_back((seen, true));
        }
    }

    fn resize(&mut self, size: usize, discard_oldest: bool) {
        (self.size, self.discard_oldest) = (size, discard_oldest);
        let gone = self.queue.len().saturating_sub(size);
        for _ in 0..gone {
            if discard_oldest {
                self.queue.pop_front()
            } else {
                self.queue.pop_back()
            };
        }
        if size == 1 {
            self.queue.iter_mut().for_each(|held| held.1 = false);
        } else if gone > 0 {
            let at = if discard_oldest { 0 } else { self.queue.len() - 1 };
            self.queue[at].1 = true;
        }
    }
}

#[derive(Debug)]
struct Model {
    items: Vec<ModelItem>,
    parameters: Parameters,
    is_enabled: bool,
    is_ready: bool,
    has_sent: bool,
    cycles_without_message: u32,
    cycles_without_client: u32,
    next: u32,
    sent: VecDeque<(u32, Vec<Told>)>,
}

impl Model {
    fn pending(&self) -> usize {
        let reporting = self.items.iter().filter(|item| item.mode == Mode::Reporting);
        reporting.map(|item| item.queue.len()).sum()
    }

    fn tick(&mut self, has_request: bool) -> Tick {
        self.cycles_without_client = if has_request { 0 } else { self.cycles_without_client + 1 };
        if self.cycles_without_client >= self.parameters.lifetime_count {
            return Tick::Expired;
        }
        self.cycles_without_message += 1;
        self.is_ready |= self.is_enabled && self.pending() > 0;
        self.is_ready |= self.cycles_without_message >= self.parameters.keep_alive_count || !self.has_sent;
        if self.is_ready { Tick::Ready } else { Tick::Idle }
    }

    /// Holds a message against what may be in it, and takes that out of the queues.
    fn publish(&mut self, message: &Message) {
        let pending = if self.is_enabled { self.pending() } else { 0 };
        let most = match self.parameters.max_notifications {
            0 => usize::MAX,
            most => most as usize,
        };
        assert_eq!(message.told.len(), pending.min(most), "as much as there is and fits");
        assert_eq!(message.sequence, self.next);
        for (handle, seen, overflow) in &message.told {
            let item = self.items.iter_mut().find(|item| item.handle == *handle).expect("an item that there is");
            assert_eq!(item.mode, Mode::Reporting);
            assert_eq!(item.queue.pop_front(), Some((*seen, *overflow)), "in order");
        }
        if !message.told.is_empty() {
            if self.sent.len() == KEPT {
                self.sent.pop_front();
            }
            self.sent.push_back((self.next, message.told.clone()));
            self.next += 1;
        }
        assert_eq!(message.available, self.sent.iter().map(|(number, _)| *number).collect::<Vec<_>>());
        assert_eq!(message.more, pending > message.told.len());
        self.is_ready = message.more;
        self.has_sent = true;
        (self.cycles_without_message, self.cycles_without_client) = (0, 0);
    }
}

#[derive(Debug, PartialEq)]
struct Message {
    available: Vec<u32>,
    more: bool,
    sequence: u32,
    told: Vec<Told>,
}

/// SequenceNumber, PublishTime and the notifications.
fn read_notifications(reader: &mut Reader<'_>) -> (u32, Vec<Told>) {
    let sequence = reader.u32().expect("a number");
    reader.time().expect("a time");
    let mut told = Vec::new();
    for _ in 0..reader.count(1).expect("parts") {
        let part = reader.extension_object().expect("a part");
        assert_eq!(part.type_id.standard(), Some(811));
        let mut body = Reader::new(part.body.expect("a body"));
        for _ in 0..body.count(1).expect("items") {
            let handle = body.u32().expect("a handle");
            let value = body.data_value().expect("a value");
            let status = value.status.unwrap_or(StatusCode::Good).bits();
            let number = match value.value {
                Some(Value::Int32(number)) => Some(number),
                _ => None,
            };
            told.push((handle, (number, status & !OVERFLOW), status & OVERFLOW == OVERFLOW));
        }
    }
    (sequence, told)
}

fn read_message(bytes: &[u8]) -> Message {
    let mut reader = Reader::new(bytes);
    assert_eq!(reader.u32(), Ok(ID));
    let count = reader.count(4).expect("numbers");
    let available = (0..count).map(|_| reader.u32().expect("a number")).collect();
    let more = reader.bool().expect("more");
    let (sequence, told) = read_notifications(&mut reader);
    assert!(reader.is_at_end());
    Message { available, more, sequence, told }
}

const ID: u32 = 42;

fn session(id: u32) -> Arc<Session> {
    let new = NewSession {
        id,
        token: opcell::value::Hidden([0; 32]),
        name: String::new(),
        client: Default::default(),
        timeout: Duration::from_secs(60),
        max_response: 0,
        peer: Ipv4Addr::LOCALHOST.into(),
        channel: 1,
        security: SessionSecurity { mode: MessageSecurityMode::None, policy: Policy::None },
        server_nonce: opcell::value::Hidden::default(),
        history_points: 1,
        continuation_points: 1,
        memory: Budget::new(1 << 20),
    };
    Arc::new(Session::new(new, Moment::now()))
}

/// Five things that a tag may show; the last one is Bad and without a value.
fn sample(value: u8) -> (Sample, Seen) {
    let is_bad = value == 4;
    let status = if is_bad { StatusCode::BadTimeout } else { StatusCode::Good };
    let shown = if is_bad { Value::Null } else { Value::Int32(i32::from(value)) };
    let sample = Sample { value: shown, status, source_time: UaTime(1), server_time: UaTime(1) };
    (sample, ((!is_bad).then_some(i32::from(value)), status.bits()))
}

struct Life {
    subscription: Subscription,
    model: Model,
    now: Instant,
    budget: Arc<Budget>,
    owner: Arc<Session>,
    next_handle: u32,
    is_over: bool,
}

impl Life {
    fn begin() -> Life {
        let parameters = Parameters {
            publishing_interval: Duration::from_millis(100),
            lifetime_count: 6,
            keep_alive_count: 2,
            max_notifications: 0,
            priority: 0,
        };
        let (now, owner) = (Instant::now(), session(1));
        let model = Model {
            items: Vec::new(),
            parameters,
            is_enabled: true,
            is_ready: false,
            has_sent: false,
            cycles_without_message: 0,
            cycles_without_client: 0,
            next: 1,
            sent: VecDeque::new(),
        };
        let new = NewSubscription {
            id: ID,
            parameters,
            publishing_enabled: true,
            owner: owner.as_owner(),
            client: owner.as_client(),
            memory: Arc::clone(&owner.queues),
            retransmission_queue: KEPT,
        };
        let subscription = Subscription::new(new, now);
        Life { subscription, model, now, budget: Budget::new(1 << 20), owner, next_handle: 0, is_over: false }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Create { size, discard_oldest } => self.create(size, discard_oldest),
            Step::Tick { has_request } => {
                self.now += self.model.parameters.publishing_interval;
                let tick = self.model.tick(has_request);
                assert_eq!(self.subscription.tick(Moment { mono: self.now, wall: UaTime(1) }, has_request), tick);
                self.is_over = tick == Tick::Expired;
            }
            Step::Publish => {
                assert_eq!(self.subscription.lock().is_ready(), self.model.is_ready);
                if self.model.is_ready {
                    let mut w = Writer::new();
                    self.subscription.lock().write_message(ID, UaTime(7), MESSAGE_BYTES, &mut w);
                    self.model.publish(&read_message(&w.buf));
                }
            }
            Step::Modify { lifetime, keep_alive, most } => {
                let (lifetime_count, keep_alive_count) = (lifetime, keep_alive);
                let old = self.model.parameters;
                let new = Parameters { lifetime_count, keep_alive_count, max_notifications: most, ..old };
                self.model.parameters = new;
                self.model.cycles_without_client = 0;
                let mut state = self.subscription.lock();
                state.parameters = new;
                state.touch();
            }
            Step::Enable(enabled) => {
                self.model.is_enabled = enabled;
                self.subscription.lock().publishing_enabled = enabled;
            }
            Step::Acknowledge { back } => {
                let number = self.model.next.saturating_sub(back);
                let place = self.model.sent.iter().position(|(sent, _)| *sent == number);
                let status = if place.is_some() { StatusCode::Good } else { StatusCode::BadSequenceNumberUnknown };
                place.map(|place| self.model.sent.remove(place));
                assert_eq!(self.subscription.lock().acknowledge(number), status);
            }
            Step::Republish { back } => {
                let number = self.model.next.saturating_sub(back);
                let expected = self.model.sent.iter().find(|(sent, _)| *sent == number).cloned();
                let got = self.subscription.lock().resend(number);
                assert_eq!(got.map(|bytes| read_notifications(&mut Reader::new(&bytes))), expected);
            }
            Step::Transfer { send_initial } => self.transfer(send_initial),
            Step::Offer { item, .. }
            | Step::SetMode { item, .. }
            | Step::Resize { item, .. }
            | Step::Delete { item } => {
                if item < self.model.items.len() {
                    self.touch_item(item, step);
                }
            }
        }
        assert_eq!(self.subscription.lock().item_count(), self.model.items.len());
    }

    fn create(&mut self, size: u32, discard_oldest: bool) {
        self.next_handle += 1;
        let item = Item {
            id: 0,
            client_handle: self.next_handle,
            mode: Mode::Reporting,
            node: NodeIdentity::Standard(0),
            attribute: Attribute::Value,
            watched: Watched::Fixed,
            sampling: Duration::ZERO,
            period: Duration::ZERO,
            timestamps: Timestamps::Neither,
            range: None,
            filter: DataFilter::default(),
            aggregate: None,
            queue: Queue::new(size, discard_oldest, &self.budget),
            queue_size: size,
            last: None,
            held: None,
            grid: Grid::default(),
            is_dirty: false,
            is_waiting: false,
            denied: None,
        };
        let (id, key) = self.subscription.lock().insert(Box::new(item));
        self.model.items.push(ModelItem {
            key,
            id,
            handle: self.next_handle,
            mode: Mode::Reporting,
            size: size as usize,
            discard_oldest,
            queue: VecDeque::new(),
            last: None,
        });
    }

    fn touch_item(&mut self, at: usize, step: Step) {
        let item = &mut self.model.items[at];
        match step {
            Step::Offer { value, .. } => {
                let (sample, seen) = sample(value);
                item.offer(seen);
                self.subscription.offer(item.key, &sample, Moment::now());
            }
            Step::SetMode { mode, .. } => {
                item.mode = Mode::from_wire(i32::from(mode)).expect("a mode");
                if item.mode == Mode::Disabled {
                    item.queue.clear();
                    item.last = None;
                }
                self.subscription.lock().set_mode(item.key, item.mode, Moment::now());
            }
            Step::Resize { size, discard_oldest, .. } => {
                item.resize(size as usize, discard_oldest);
                let mut state = self.subscription.lock();
                state.item_mut(item.key).expect("it is there").queue.resize(size, discard_oldest);
            }
            _ => {
                let mut state = self.subscription.lock();
                let (key, _) = state.remove(item.id).expect("it is there");
                state.release(key);
                drop(state);
                self.model.items.remove(at);
            }
        }
    }

    fn transfer(&mut self, send_initial: bool) {
        self.owner = session(2);
        let client = self.owner.as_client();
        let mut state = self.subscription.lock();
        state.adopt(self.owner.as_owner(), client);
        self.model.cycles_without_client = 0;
        self.model.is_ready = true;
        if send_initial {
            state.resend_data();
            for item in self.model.items.iter_mut().filter(|item| item.mode == Mode::Reporting) {
                if let (Some(last), true) = (item.last, item.queue.is_empty()) {
                    item.push(last);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_subscription_lives_as_its_model(steps in prop::collection::vec(step(), 1..120)) {
        let mut life = Life::begin();
        for step in steps {
            life.take(step);
            if life.is_over {
                break;
            }
        }
    }
}
