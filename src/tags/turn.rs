//! Slots of tags that a reload adds, changes or removes.

use std::sync::Arc;

use opcua::StatusCode;

use super::derive::Batch;
use super::reasons::Bad;
use super::slot::Slot;
use super::{Stamp, TagStore, first_slot, tag_value, write};
use crate::model::{DataType, Origin, Plant, Tag, TagId};
use crate::value::{UaTime, Value};

/// A value that was retained for a memory tag.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub value: Value,
    pub source: UaTime,
}

/// A change of a tag, as its slot sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The tag is new, or has another source: it begins from its first state.
    Begin,
    /// A memory tag with another type or shape: it keeps its value where that fits.
    Retype,
    /// The tag is removed.
    End,
}

impl TagStore {
    /// Makes the slots of a plant with new tags; to be called before any of them is used.
    pub(crate) fn grow(&self, plant: &Plant) {
        let stamp = Stamp::now();
        self.slots.grow(plant.tags.bound(), || Slot::vacant(stamp).into());
    }

    /// Changes the slot of a tag; from now on it takes nothing by an older plant. Watchers of a tag that stays get its
    /// new state; those of a removed one hear nothing here.
    pub(crate) fn turn(&self, plant: &Plant, id: TagId, turn: Turn, kept: Option<&Kept>, stamp: Stamp) {
        if turn != Turn::End && self.begin_part(plant, id, stamp) {
            return;
        }
        let mut slot = self.slot(id).lock();
        slot.since = plant.revision;
        let state = match (turn, plant.tags.get(id)) {
            (Turn::End, _) | (_, None) => Slot::vacant(stamp),
            (Turn::Begin, Some(tag)) => begun(plant, id, tag, kept, stamp),
            (Turn::Retype, Some(tag)) => retyped(plant, tag, &slot.good, stamp),
        };
        let is_told = turn != Turn::End;
        slot.begin(state, is_told, stamp);
        if is_told && plant.tags.get(id).is_some() {
            self.hand_on(plant, id, &slot, stamp.moment(), &mut Batch::none());
        }
        self.reasons.forget(id);
        // The value in its new type is to be retained.
        let is_retained = turn == Turn::Retype && !slot.is_out_of_service();
        if is_retained && !std::mem::replace(&mut slot.dirty, true) {
            drop(slot);
            self.changed.lock().push(id);
        }
    }

    /// Takes the values from tags until there is a plant newer than this one, whatever their devices send.
    pub(crate) fn hold(&self, plant: &Plant, tags: impl Iterator<Item = TagId>, stamp: Stamp) {
        let why: Arc<str> =
            "the device describes it otherwise than when this revision was made; a reload takes that".into();
        let mut batch = self.batch();
        for id in tags {
            let Some(mut slot) = self.in_service(plant, id) else { continue };
            slot.since = plant.revision + 1;
            let (code, value) = (StatusCode::BadConfigurationError, Value::Null);
            let is_new = self.turn_bad(plant, id, &mut slot, Bad { code, value, why: Some(&why), stamp });
            self.hand_on(plant, id, &slot, stamp.moment(), &mut batch);
            drop(slot);
            batch.note(id, is_new);
        }
        self.settle(batch, stamp);
    }

    /// Announces a change of a tag's unit, range or texts to its watchers.
    pub(crate) fn announce(&self, id: TagId) {
        let slot = self.slot(id).lock();
        for watch in slot.watches.iter() {
            watch.watcher.announce(watch.key, &slot.sample);
        }
    }

    /// Whether the number of a removed tag may be given to another one: nothing watches it, and no link has it.
    pub(crate) fn is_free(&self, id: TagId) -> bool {
        let slot = self.slot(id).lock();
        slot.watches.is_empty() && slot.claims == 0
    }
}

/// The first state of a tag, with the value that was retained for it where that still fits.
fn begun(plant: &Plant, id: TagId, tag: &Tag, kept: Option<&Kept>, stamp: Stamp) -> Slot {
    let first = first_slot(plant, tag, stamp);
    let Some(kept) = kept.filter(|_| !first.is_out_of_service()) else { return first };
    let fits = write::check_writable(plant, tag).and_then(|()| write::check_whole(plant, tag, &kept.value));
    match fits {
        Ok(()) => Slot::new(kept.value.clone(), StatusCode::Good, Stamp { source: kept.source, ..stamp }),
        Err(status) => {
            let name = plant.tag_name(id);
            log::warn!("{name}: the retained value no longer fits ({status}); using the start value");
            first
        }
    }
}

fn retyped(plant: &Plant, tag: &Tag, kept: &Value, stamp: Stamp) -> Slot {
    let first = first_slot(plant, tag, stamp);
    if !matches!(tag.origin, Origin::Memory { write: true, .. }) || first.is_out_of_service() {
        return first;
    }
    let fits = |value: &Value| {
        let is_same = value.as_f64().zip(kept.as_f64()).is_none_or(|(new, old)| new == old);
        is_same && write::check_whole(plant, tag, value).is_ok()
    };
    let value = match tag.shape.data_type {
        // Scales of its fields are for devices.
        DataType::Struct(_) => Some(kept.clone()),
        _ => tag_value(plant, tag, kept, None).ok(),
    };
    match value.filter(fits) {
        Some(value) => Slot::new(value, StatusCode::Good, stamp),
        None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vacant_slot_is_no_value() {
        let store = TagStore::new(&Plant::default());
        let plant = Plant { revision: 1, ..Plant::default() };
        store.grow(&plant);
        store.slots.grow(1, || Slot::vacant(Stamp::now()).into());
        let id = TagId(0);
        store.turn(&plant, id, Turn::End, None, Stamp::now());
        let sample = store.with(id, Clone::clone);
        assert_eq!((sample.value, sample.status), (Value::Null, StatusCode::BadNodeIdUnknown));
        assert!(store.is_free(id));
        // A link that moves a tag to another one claims it twice for a moment.
        store.claim(&[id]);
        store.claim(&[id]);
        store.give_up(&[id]);
        assert!(store.is_claimed(id) && !store.is_free(id));
        store.turn(&plant, id, Turn::End, None, Stamp::now());
        assert!(store.is_claimed(id), "it stays over a turn");
        store.give_up(&[id]);
        assert!(store.is_free(id));
    }
}
