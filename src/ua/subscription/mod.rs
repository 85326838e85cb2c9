//! A subscription: its items, the list of items with new samples, and the counters of Part 4 §5.14.1 (1.05).
//!
//! It is a state machine that takes the time as `now`. It knows its dirty items and never scans all of them; an item of a
//! tag costs nothing between two changes.

pub(crate) mod aggregate;
mod denial;
pub(crate) mod filter;
pub(crate) mod grid;
mod item;
mod items;
mod links;
mod message;
mod owner;
mod parameters;
pub(crate) mod queue;
mod registry;
pub(crate) mod timer;

pub(crate) use item::{Accepted, WatchedKind};
pub use item::{Item, Mode, Watched};
use links::Links;
pub(crate) use message::LastStatusChange;
pub use message::MESSAGE_BYTES;
pub(crate) use owner::Owner;
pub(crate) use parameters::{Client, Counters};
pub use parameters::{NewSubscription, Parameters};
pub(crate) use registry::Registry;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hashbrown::HashSet;
use opcua::StatusCode;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::tags::Watcher;
use crate::ua::budget::Budget;
use crate::ua::space::{LIVE_INTERVAL, Live};
use crate::value::{Moment, Sample};

#[derive(Debug)]
pub struct Subscription {
    pub id: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
pub struct State {
    pub parameters: Parameters,
    pub publishing_enabled: bool,
    pub owner: Weak<dyn Owner>,
    /// Its client: decides which session may take it over when its own has ended.
    pub client: Client,
    items: Vec<Option<Box<Item>>>,
    free: Vec<u32>,
    by_id: hashbrown::HashMap<u32, u32>,
    next_item: u32,
    /// Keys of items with new samples; an entry whose item is not dirty any more is stale and skipped.
    dirty: VecDeque<u32>,
    waiting: Vec<u32>,
    polled: HashSet<u32>,
    /// Items whose results come with time.
    aggregated: HashSet<u32>,
    disabled: usize,
    links: Links,
    next_sequence: u32,
    /// Sent and not acknowledged, oldest first.
    sent: VecDeque<(u32, Arc<[u8]>)>,
    sent_bytes: usize,
    /// Of the session that made it: what messages and links take is booked there.
    memory: Arc<Budget>,
    retransmission_queue: usize,
    keep_alive_counter: u32,
    lifetime_counter: u32,
    has_sent: bool,
    is_ready: bool,
    is_closed: bool,
    /// Reported once before the end (Part 4 §7.25.4, 1.05).
    status_change: Option<StatusCode>,
    pub next_tick: Instant,
    /// Its deadline in the timer.
    scheduled: Option<Instant>,
    pub counters: Counters,
}

/// The outcome of a tick, for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    Idle,
    /// A message waits for a Publish request.
    Ready,
    /// The client has not asked within the lifetime: the subscription ends.
    Expired,
}

impl Subscription {
    pub fn new(new: NewSubscription, now: Instant) -> Subscription {
        let state = State {
            parameters: new.parameters,
            publishing_enabled: new.publishing_enabled,
            owner: new.owner,
            client: new.client,
            items: Vec::new(),
            free: Vec::new(),
            by_id: hashbrown::HashMap::new(),
            next_item: 1,
            dirty: VecDeque::new(),
            waiting: Vec::new(),
            polled: HashSet::new(),
            aggregated: HashSet::new(),
            disabled: 0,
            links: Links::default(),
            next_sequence: 1,
            sent: VecDeque::new(),
            sent_bytes: 0,
            memory: new.memory,
            retransmission_queue: new.retransmission_queue,
            keep_alive_counter: 0,
            lifetime_counter: 0,
            has_sent: false,
            is_ready: false,
            is_closed: false,
            status_change: None,
            next_tick: now + new.parameters.publishing_interval,
            scheduled: None,
            counters: Counters::default(),
        };
        Subscription { id: new.id, state: Mutex::new(state) }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The server's own variables whose sampling interval is over; they are read without the lock.
    pub fn due_live(&self, now: Instant, into: &mut Vec<(u32, Live)>) {
        let mut state = self.lock();
        let State { polled, items, .. } = &mut *state;
        for key in polled.iter() {
            let Some(item) = items[*key as usize].as_mut() else { continue };
            if let Watched::Live(live) = item.watched
                && !item.is_silent()
                && item.begins_cell(now, item.sampling.max(LIVE_INTERVAL))
            {
                into.push((*key, live));
            }
        }
    }

    /// One publishing cycle; missed cycles are not made up for. Samples that come meanwhile wait for a slice at most.
    pub fn tick(&self, now: Moment, has_publish_requests: bool) -> Tick {
        let (waiting, aggregated) = {
            let mut state = self.lock();
            let interval = state.parameters.publishing_interval;
            state.next_tick += interval;
            if state.next_tick <= now.mono {
                state.next_tick = now.mono + interval;
            }
            (std::mem::take(&mut state.waiting), state.aggregated.iter().copied().collect::<Vec<u32>>())
        };
        for keys in waiting.chunks(SLICE) {
            self.lock().flush_waiting(keys, now);
        }
        for keys in aggregated.chunks(SLICE) {
            self.lock().pass_time(keys, now);
        }
        self.lock().cycle(has_publish_requests)
    }

    /// Whether a tick takes so much time that other cycles would wait for it.
    pub fn is_heavy(&self) -> bool {
        let state = self.lock();
        state.waiting.len() + state.aggregated.len() + state.polled.len() > SLICE
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.memory.give_back(self.sent_bytes + self.links.count() * LINK_BYTES);
    }
}

/// Memory of a triggering link at both of its ends.
const LINK_BYTES: usize = 64;
/// Items that are looked at without a pause.
pub(crate) const SLICE: usize = 500;

/// Stale entries that a list may have, in addition to twice its items, before it is tidied up.
const STALE: usize = 64;

/// Keeps of a list of keys the first entry of each item whose flag is set.
fn compact<'k>(
    keys: impl Iterator<Item = &'k u32>,
    items: &mut [Option<Box<Item>>],
    flag: impl Fn(&mut Item) -> &mut bool,
) -> Vec<u32> {
    let mut kept = Vec::new();
    for &key in keys {
        let Some(Some(item)) = items.get_mut(key as usize) else { continue };
        if std::mem::take(flag(item)) {
            kept.push(key);
        }
    }
    for key in &kept {
        let Some(Some(item)) = items.get_mut(*key as usize) else { continue };
        *flag(item) = true;
    }
    kept
}

impl Watcher for Subscription {
    fn offer(&self, key: u32, sample: &Sample, now: Moment) {
        self.lock().offer(key, sample, now);
    }

    fn announce(&self, key: u32, sample: &Sample) {
        self.lock().announce(key, sample);
    }
}

impl State {
    fn cycle(&mut self, has_publish_requests: bool) -> Tick {
        if has_publish_requests {
            self.lifetime_counter = 0;
        } else {
            self.lifetime_counter += 1;
            if self.lifetime_counter >= self.parameters.lifetime_count {
                self.is_closed = true;
                return Tick::Expired;
            }
        }
        self.drop_stale();
        let has_news = self.publishing_enabled && !self.dirty.is_empty();
        self.keep_alive_counter += 1;
        let keep_alive = self.keep_alive_counter >= self.parameters.keep_alive_count;
        if has_news || keep_alive || !self.has_sent || self.status_change.is_some() || self.is_ready {
            if !has_publish_requests {
                self.counters.late_publish += 1;
            }
            self.is_ready = true;
            return Tick::Ready;
        }
        Tick::Idle
    }

    fn drop_stale(&mut self) {
        while let Some(key) = self.dirty.front() {
            if matches!(self.items.get(*key as usize), Some(Some(item)) if item.is_dirty) {
                return;
            }
            self.dirty.pop_front();
        }
    }

    /// Whether samples or a message wait, and the interval is not longer than this.
    pub(super) fn has_news(&mut self, interval: Duration) -> bool {
        self.drop_stale();
        let is_soon = self.parameters.publishing_interval <= interval && self.publishing_enabled;
        is_soon && !self.is_closed && (self.is_ready || !self.dirty.is_empty() || !self.waiting.is_empty())
    }

    /// Whether a message waits for a Publish request.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// Another session takes over: its requests are answered from now on.
    pub fn adopt(&mut self, owner: Weak<dyn Owner>, client: Client) {
        self.owner = owner;
        self.client = client;
        self.lifetime_counter = 0;
        self.is_ready = true;
    }

    /// Sends the present value of every reporting item once more (Part 4 §5.14.7.2, 1.05: SendInitialValues).
    pub fn resend_data(&mut self) {
        let mut resent = Vec::new();
        for (key, item) in self.items.iter_mut().enumerate() {
            let Some(item) = item else { continue };
            if item.mode != Mode::Reporting || !item.queue.is_empty() {
                continue;
            }
            let Some(last) = item.last.clone() else { continue };
            item.queue.push(last);
            resent.push(u32::try_from(key).expect("items are limited far below 2^32"));
        }
        resent.into_iter().for_each(|key| self.push_dirty(key));
    }

    /// A sign of life of the client: the lifetime starts again.
    pub fn touch(&mut self) {
        self.lifetime_counter = 0;
    }

    pub fn end_with(&mut self, status: StatusCode) {
        self.status_change = Some(status);
        self.is_ready = true;
    }

    fn offer(&mut self, key: u32, sample: &Sample, now: Moment) {
        let publishing = self.parameters.publishing_interval;
        let Some(Some(item)) = self.items.get_mut(key as usize) else { return };
        // Of a subscription that has ended the items are only not taken away yet.
        if item.is_silent() || self.is_closed {
            return;
        }
        let accepted = item.offer(sample, publishing, now);
        self.note(key, accepted);
    }

    fn announce(&mut self, key: u32, sample: &Sample) {
        let Some(Some(item)) = self.items.get_mut(key as usize) else { return };
        if !self.is_closed {
            let accepted = item.announce(sample);
            self.note(key, accepted);
        }
    }

    /// A sample that was taken for the item, not offered by a tag.
    pub fn accept(&mut self, key: u32, sample: Sample, now: Moment) {
        let Some(Some(item)) = self.items.get_mut(key as usize) else { return };
        if item.is_silent() {
            return;
        }
        let accepted = item.accept(sample, now);
        self.note(key, accepted);
    }

    fn note(&mut self, key: u32, accepted: Accepted) {
        let Some(Some(item)) = self.items.get_mut(key as usize) else { return };
        match accepted {
            Accepted::No => return,
            Accepted::Held => {}
            Accepted::Queued { lost } => {
                if lost {
                    self.counters.queue_overflow += 1;
                }
                if item.mode == Mode::Reporting {
                    self.push_dirty(key);
                }
            }
        }
        let Some(Some(item)) = self.items.get_mut(key as usize) else { return };
        if item.held.is_some() && !item.is_waiting {
            item.is_waiting = true;
            self.waiting.push(key);
            if self.waiting.len() > 2 * self.items.len() + STALE {
                self.waiting = compact(self.waiting.iter(), &mut self.items, |item| &mut item.is_waiting);
            }
        }
    }

    /// Lists an item as one with new samples, once. Stale entries (of deleted or silent items) are removed when they
    /// are more than the items, so that a client that never asks for a message can't make the list grow.
    fn push_dirty(&mut self, key: u32) {
        let Some(Some(item)) = self.items.get_mut(key as usize) else { return };
        if std::mem::replace(&mut item.is_dirty, true) {
            return;
        }
        self.dirty.push_back(key);
        if self.dirty.len() > 2 * self.items.len() + STALE {
            self.dirty = compact(self.dirty.iter(), &mut self.items, |item| &mut item.is_dirty).into();
        }
    }

    fn flush_waiting(&mut self, keys: &[u32], now: Moment) {
        for &key in keys {
            let Some(Some(item)) = self.items.get_mut(key as usize) else { continue };
            if !std::mem::take(&mut item.is_waiting) {
                continue;
            }
            let accepted = item.flush_due(now);
            self.note(key, accepted);
        }
    }

    /// Takes the results of aggregates whose processing interval is over.
    fn pass_time(&mut self, keys: &[u32], now: Moment) {
        for &key in keys {
            let Some(Some(item)) = self.items.get_mut(key as usize) else { continue };
            if !item.is_silent() {
                let accepted = item.pass_time(now);
                self.note(key, accepted);
            }
        }
    }

    /// Marks an item whose event queue has new events.
    pub fn mark_dirty(&mut self, key: u32) {
        self.note(key, Accepted::Queued { lost: false });
    }

    pub fn next_sequence(&self) -> u32 {
        self.next_sequence
    }

    pub fn lifetime_counter(&self) -> u32 {
        self.lifetime_counter
    }

    pub fn keep_alive_counter(&self) -> u32 {
        self.keep_alive_counter
    }
}

#[cfg(test)]
mod tests;
