//! Values that do not come: the quality of tags falls.

use std::time::Duration;

use super::miss::{Lapse, Miss};
use super::slot::Slot;
use super::{Stamp, TagStore};
use crate::model::{Plant, TagId};

impl TagStore {
    /// Takes a poll without a value: the quality falls by the time since the last good value.
    pub fn miss(&self, plant: &Plant, tags: &[TagId], why: Miss, stamp: Stamp) {
        self.each_in_service(plant, tags, stamp, |slot, id| slot.miss(why, plant.tag(id).stale_after, stamp));
    }

    /// Takes the loss of a link, or of a device that sends these tags by itself. Bad tags get the code at once.
    pub fn lapse(&self, plant: &Plant, tags: &[TagId], why: Miss, lapse: Lapse, stamp: Stamp) {
        self.each_in_service(plant, tags, stamp, |slot, _| slot.lapse(why, lapse, stamp));
    }

    /// Takes a poll that has not ended: only tags older than `stale_after` change.
    pub fn expire(&self, plant: &Plant, tags: &[TagId], why: Miss, stamp: Stamp) {
        self.each_in_service(plant, tags, stamp, |slot, id| {
            let stale_after = plant.tag(id).stale_after;
            !slot.is_answered(stale_after, stamp) && slot.miss(why, stale_after, stamp)
        });
    }

    /// The same for tags that are not Bad, after `at_least` where `stale_after` is shorter. A Bad tag keeps its reason.
    pub fn expire_usable(&self, plant: &Plant, tags: &[TagId], at_least: Duration, why: Miss, stamp: Stamp) {
        self.each_in_service(plant, tags, stamp, |slot, id| {
            let stale_after = plant.tag(id).stale_after;
            // A refusal of the device, also of one part, says more.
            let is_due = !slot.sample.status.is_bad() && !slot.is_answered(stale_after.max(at_least), stamp);
            is_due && slot.miss(why, stale_after, stamp)
        });
    }

    /// One batch: `change` says of each slot whether its value or status is new.
    fn each_in_service(&self, plant: &Plant, tags: &[TagId], stamp: Stamp, change: impl Fn(&mut Slot, TagId) -> bool) {
        let mut batch = self.batch();
        for id in tags {
            let Some(mut slot) = self.in_service(plant, *id) else { continue };
            let is_new = change(&mut slot, *id);
            self.hand_on(plant, *id, &slot, stamp.moment(), &mut batch);
            drop(slot);
            batch.note(*id, is_new);
        }
        self.settle(batch, stamp);
    }
}
