//! Live values: one slot for each tag, each with its own lock, found by `TagId` without a search.
//!
//! Drivers commit whole replies here; services read, subscriptions watch. A value that a tag does not have is Bad
//! and null, never zero (Part 4 §7.11.1, 1.05).

mod convert;
mod derive;
mod lapse;
mod miss;
mod raw;
mod reasons;
mod roster;
mod segments;
mod slot;
mod structure;
mod turn;
mod write;

pub(crate) use convert::{leaves_deadband, to_raw, together};
pub(crate) use miss::Lapse;
pub use miss::Miss;
pub use raw::{RawSample, Stamp};
pub(crate) use reasons::Reason;
pub(crate) use roster::{Member, Roster};
pub(crate) use segments::Segments;
pub(crate) use structure::part_of;
pub(crate) use turn::{Kept, Turn};
pub(crate) use write::check_recorded;

use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::model::{ConnectionIx, DataType, Number, Origin, Plant, Tag, TagId};
use crate::value::{Moment, Sample, Value};
use derive::Derived;
use reasons::{Bad, Reasons};
use slot::Slot;

/// Write requests that may wait for one link.
pub(crate) const QUEUE: usize = 256;

/// Receiver of the changes of tags: a monitored item's queue, history, alarms.
pub trait Watcher: Send + Sync {
    /// Called under the tag's lock, in the order of the changes: take what is needed and return. `now` is the moment
    /// of the change.
    fn offer(&self, key: u32, sample: &Sample, now: Moment);

    /// Called under the tag's lock with a sample of the past: its time is older than the present one's, which stays.
    fn recall(&self, _key: u32, _sample: &Sample) {}

    /// Called under the tag's lock when unit, range or texts of the tag changed, with its present sample.
    fn announce(&self, _key: u32, _sample: &Sample) {}
}

/// One watcher at one tag.
#[derive(Clone)]
pub struct Watch {
    pub watcher: Arc<dyn Watcher>,
    /// The watcher's own name for the tag.
    pub key: u32,
    /// Offer every sample, also those in which only the times are new.
    pub every: bool,
}

/// A checked write, on its way to a device: a value in the tag's own unit and type.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    pub tag: TagId,
    pub value: Value,
    /// First element that is written when `value` is a part of an array; `None` for the whole value.
    pub first: Option<u32>,
    /// The revision of the plant that it was checked against.
    pub revision: u32,
}

/// Outcome of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// Done or refused at once.
    Done(StatusCode),
    /// To be sent: `enqueue` it, with others for the same connection.
    Device { connection: ConnectionIx, write: Write },
}

/// Writes of one request to one link, in its queue.
#[derive(Debug)]
pub(crate) struct WriteRequest {
    pub writes: Vec<Write>,
    /// Not sent any more after this.
    pub expires: Instant,
    /// One status a write, in order.
    pub reply: oneshot::Sender<Vec<StatusCode>>,
}

/// Both ends of a link's queue of writes.
#[derive(Debug)]
pub(crate) struct Queue {
    pub sender: mpsc::Sender<WriteRequest>,
    pub receiver: mpsc::Receiver<WriteRequest>,
}

impl Member for Watch {
    fn owner(&self) -> usize {
        owner(&self.watcher)
    }

    fn key(&self) -> u32 {
        self.key
    }
}

fn owner(watcher: &Arc<dyn Watcher>) -> usize {
    Arc::as_ptr(watcher).addr()
}

/// It holds values and no plant: who reads or writes says by which revision of the plant. A slot takes nothing by a revision
/// that is older than its source.
pub struct TagStore {
    /// Indexed by `TagId`.
    slots: Segments<Mutex<Slot>>,
    /// Indexed by `ConnectionIx`; connections of one link share a queue.
    queues: RwLock<Vec<Option<mpsc::Sender<WriteRequest>>>>,
    /// Memory tags that were written since `take_changed`.
    changed: Mutex<Vec<TagId>>,
    reasons: Reasons,
    derived: Derived,
    /// Sees each sample as the device gave it.
    tap: Option<Tap>,
}

/// Receiver of samples before scale and type.
pub(crate) type Tap = Box<dyn Fn(TagId, &RawSample) + Send + Sync>;

impl TagStore {
    /// Slots for this number of tags, which are vacant.
    pub(crate) fn with_room(count: usize) -> TagStore {
        let stamp = Stamp::now();
        TagStore {
            slots: Segments::new((0..count).map(|_| Mutex::new(Slot::vacant(stamp)))),
            queues: RwLock::default(),
            changed: Mutex::new(Vec::new()),
            reasons: Reasons::default(),
            derived: Derived::of(&Plant::default()),
            tap: None,
        }
    }

    /// Device tags wait for their first value, constants and memory tags are Good, disabled ones out of service.
    pub fn new(plant: &Plant) -> TagStore {
        let stamp = Stamp::now();
        let slot = |place| match plant.tags.get(TagId::of(place)) {
            Some(tag) => first_slot(plant, tag, stamp),
            None => Slot::vacant(stamp),
        };
        let store = TagStore {
            slots: Segments::new((0..plant.tags.bound()).map(|place| Mutex::new(slot(place)))),
            queues: RwLock::default(),
            changed: Mutex::new(Vec::new()),
            reasons: Reasons::default(),
            derived: Derived::of(plant),
            tap: None,
        };
        store.first(stamp);
        store
    }

    /// The store with a receiver of all samples as devices give them.
    #[must_use]
    pub(crate) fn with_tap(self, tap: Tap) -> TagStore {
        TagStore { tap: Some(tap), ..self }
    }

    /// Reads the present sample under the tag's lock.
    pub fn with<R>(&self, tag: TagId, read: impl FnOnce(&Sample) -> R) -> R {
        read(&self.slot(tag).lock().sample)
    }

    /// Takes samples of a device: scale and type conversion, deadband, change detection. A sample without a time of its own
    /// gets the batch's. A value that did not change only renews the times. A sample of the past is for watchers that want it, and
    /// changes nothing.
    pub fn commit(&self, plant: &Plant, samples: &[(TagId, RawSample)], stamp: Stamp) {
        let mut batch = self.batch();
        let of_batch = stamp;
        for (id, raw) in samples {
            if let Some(tap) = &self.tap {
                tap(*id, raw);
            }
            let tag = plant.tag(*id);
            let value = raw.value().and_then(|value| tag_value(plant, tag, value, raw.exponent()));
            let Some(mut slot) = self.in_service(plant, *id) else { continue };
            if raw.is_past() {
                if let Ok(value) = &value {
                    self.recall_parts(plant, *id, value, raw, stamp);
                }
                let past = slot.recall(value, raw, stamp);
                drop(slot);
                if let Some(sample) = past {
                    self.recall_derived(&mut batch, *id, sample, stamp);
                }
                continue;
            }
            slot.answered = Some(stamp.now);
            let stamp = match raw.source_time() {
                None => stamp,
                Some(source) if !raw.is_ahead(stamp.server) => Stamp { source, ..stamp },
                Some(_) => {
                    if !std::mem::replace(&mut slot.warned_of_time, true) {
                        let name = plant.tag_name(*id);
                        log::warn!("{name}: the device's clock is more than 1 h ahead; using the time of arrival");
                    }
                    stamp
                }
            };
            let is_new = match value.map(|value| (value.fault(), value)) {
                Ok((None, value)) => slot.take(value, raw.status(), tag.deadband, stamp),
                Ok((Some(code), value)) => {
                    let (why, value) = (value.fault_text(), value.with_rest(raw.status()));
                    self.turn_bad(plant, *id, &mut slot, Bad { code, value, why: why.as_ref(), stamp })
                }
                Err(code) => {
                    let of_value = raw.value().ok().map(reasons::of_value);
                    let why = of_value.as_ref().or(raw.reason());
                    self.turn_bad(plant, *id, &mut slot, Bad { code, value: Value::Null, why, stamp })
                }
            };
            self.hand_on(plant, *id, &slot, stamp.moment(), &mut batch);
            drop(slot);
            batch.note(*id, is_new);
        }
        self.settle(batch, of_batch);
    }

    /// The slot of a tag that is in service and has its source by this revision, or an older one.
    fn in_service(&self, plant: &Plant, id: TagId) -> Option<MutexGuard<'_, Slot>> {
        if matches!(plant.tag(id).origin, Origin::Part { .. }) {
            // It follows its structure.
            return None;
        }
        let slot = self.slot(id).lock();
        (slot.since <= plant.revision && !slot.is_out_of_service()).then_some(slot)
    }

    /// Shows the value that was written to a tag that is not polled: the last value, Uncertain.
    pub fn show_written(&self, plant: &Plant, tag: TagId, value: &Value, stamp: Stamp) {
        let mut batch = self.batch();
        if let Some(mut slot) = self.in_service(plant, tag) {
            let is_new = slot.take(value.clone(), StatusCode::UncertainLastUsableValue, 0.0, stamp);
            self.hand_on(plant, tag, &slot, stamp.moment(), &mut batch);
            drop(slot);
            batch.note(tag, is_new);
        }
        self.settle(batch, stamp);
    }

    /// Offers the present sample before it returns, then each change.
    pub fn watch(&self, tag: TagId, watch: Watch) {
        let mut slot = self.slot(tag).lock();
        watch.watcher.offer(watch.key, &slot.sample, Moment::now());
        slot.watches.add(watch);
    }

    pub fn unwatch(&self, tag: TagId, watcher: &Arc<dyn Watcher>, key: u32) {
        let gone = self.slot(tag).lock().watches.remove(owner(watcher), key);
        // A watcher whose last reference this is ends without the tag's lock.
        drop(gone);
    }

    pub fn watchers(&self, tag: TagId) -> usize {
        self.slot(tag).lock().watches.len()
    }

    /// Watches of one watcher on one tag.
    pub fn watch_count(&self, tag: TagId, watcher: &Arc<dyn Watcher>) -> usize {
        self.slot(tag).lock().watches.count_of(owner(watcher))
    }

    /// Whether the tag has another source or type than when the write was checked: it must not be sent.
    pub fn is_outdated(&self, write: &Write) -> bool {
        self.began_after(write.tag, write.revision)
    }

    /// Whether a plant that is newer than this revision made the tag begin again: it takes nothing by that one any more.
    pub(crate) fn began_after(&self, tag: TagId, revision: u32) -> bool {
        self.slot(tag).lock().since > revision
    }

    /// Hands writes to a connection's link; the device's answers come through the receiver. They take one of its
    /// 256 places, however many they are; when all are taken the answer is BadResourceUnavailable at once.
    pub fn enqueue(
        &self,
        connection: ConnectionIx,
        writes: Vec<Write>,
        deadline: Duration,
    ) -> Result<oneshot::Receiver<Vec<StatusCode>>, StatusCode> {
        let queues = self.queues.read();
        let queue = queues.get(connection.place()).and_then(Option::as_ref).ok_or(StatusCode::BadNotConnected)?;
        let (reply, answer) = oneshot::channel();
        let request = WriteRequest { writes, expires: Instant::now() + deadline, reply };
        queue.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StatusCode::BadResourceUnavailable,
            mpsc::error::TrySendError::Closed(_) => StatusCode::BadShutdown,
        })?;
        Ok(answer)
    }

    /// A queue of writes for a link.
    pub(crate) fn queue() -> Queue {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Queue { sender, receiver }
    }

    /// Gives a connection the queue of its link. It may have it already.
    pub(crate) fn attach(&self, connection: ConnectionIx, queue: &mpsc::Sender<WriteRequest>) {
        let mut queues = self.queues.write();
        if queues.len() <= connection.place() {
            queues.resize(connection.place() + 1, None);
        }
        let place = &mut queues[connection.place()];
        if !place.as_ref().is_some_and(|present| present.same_channel(queue)) {
            *place = Some(queue.clone());
        }
    }

    /// Takes the queue from a connection: a write to it is BadNotConnected from now on.
    pub(crate) fn detach(&self, connection: ConnectionIx) {
        if let Some(place) = self.queues.write().get_mut(connection.place()) {
            *place = None;
        }
    }

    /// Notes that a link has these tags among its points: a removed one keeps its number until the link has dropped it.
    pub fn claim(&self, tags: &[TagId]) {
        for tag in tags {
            let mut slot = self.slot(*tag).lock();
            slot.claims = slot.claims.saturating_add(1);
        }
    }

    /// Ends a claim of a link.
    pub fn give_up(&self, tags: &[TagId]) {
        for tag in tags {
            let mut slot = self.slot(*tag).lock();
            // Claims that were too many to count are never given up.
            if slot.claims < u8::MAX {
                slot.claims = slot.claims.saturating_sub(1);
            }
        }
    }

    /// Whether a link has the tag among its points, also one that is about to drop it.
    pub fn is_claimed(&self, tag: TagId) -> bool {
        self.slot(tag).lock().claims > 0
    }

    /// Memory tags that were written since the last call, each once, with what they hold now.
    pub fn take_changed(&self) -> Vec<(TagId, Sample)> {
        let tags = std::mem::take(&mut *self.changed.lock());
        let take = |id: TagId| {
            let mut slot = self.slot(id).lock();
            slot.dirty = false;
            (id, slot.sample.clone())
        };
        tags.into_iter().map(take).collect()
    }

    fn slot(&self, tag: TagId) -> &Mutex<Slot> {
        &self.slots[tag.place()]
    }
}

/// The tag's value of a raw one, which its type and its enumeration must have.
fn tag_value(plant: &Plant, tag: &Tag, raw: &Value, exponent: Option<i8>) -> Result<Value, StatusCode> {
    if let DataType::Struct(ix) = tag.shape.data_type {
        return structure::to_tag(plant, tag, ix, raw);
    }
    let value = convert::to_tag(&tag.shape, tag.scale, raw, exponent)?;
    write::check_enum(plant, tag, &value).map_err(|_| StatusCode::BadDataEncodingInvalid)?;
    Ok(value)
}

/// The raw value of a tag's value, with the power of ten that the device has now.
pub(crate) fn raw_of(plant: &Plant, tag: &Tag, value: &Value, exponent: Option<i8>) -> Result<Value, StatusCode> {
    match tag.shape.data_type {
        DataType::Struct(ix) => structure::to_raw(plant, tag.cell, ix, value),
        _ => convert::to_raw(tag.scale, value, exponent),
    }
}

fn first_slot(plant: &Plant, tag: &Tag, stamp: Stamp) -> Slot {
    let connected = tag.connection().is_none_or(|ix| plant.connections[ix].enabled);
    if !tag.enabled || !connected {
        return Slot::new(Value::Null, StatusCode::BadOutOfService, stamp);
    }
    match &tag.origin {
        Origin::Device { .. } | Origin::Derived(_) => {
            Slot::new(Value::Null, StatusCode::BadWaitingForInitialData, stamp)
        }
        Origin::Memory { initial, .. } => Slot::new(initial.clone(), StatusCode::Good, stamp),
        Origin::Part { of, part, .. } => {
            let whole = first_slot(plant, plant.tag(*of), stamp);
            let number = plant.structure_of(plant.tag(*of)).map_or(0, |structure| structure.kind.number);
            let sample = part_of(&whole.sample, number, *part);
            Slot::new(sample.value, sample.status, stamp)
        }
    }
}

#[cfg(test)]
mod tests;
