//! A schedule for other points: the grid of each class stays, and so does all that is known about the points that are the
//! same.
//!
//! A request that an old plan has sent in the present scan is not sent again, also when its points are now in another
//! request.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::item::Class;
use super::{Device, Item, ScanId, Schedule};
use crate::drivers::poll::RequestIx;
use crate::model::TagId;

/// A scan class as it is planned.
#[derive(Debug)]
pub(crate) struct ClassPlan {
    pub period: Duration,
    /// The shortest `stale_after` of its tags.
    pub stale_after: Duration,
    pub items: Vec<Item>,
}

/// The parts of the old points that stay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    /// The old place of each device; `None` for one that begins again.
    pub devices: &'a [Option<usize>],
    /// Tags whose points are the same.
    pub tags: &'a HashSet<TagId>,
}

/// An item of the old plan.
struct Old {
    item: Item,
    /// The present scan has passed it.
    is_passed: bool,
}

/// The old items, by the tags that stay.
struct Olds<'a> {
    all: Vec<Old>,
    of: HashMap<TagId, Vec<usize>>,
    kept: &'a HashSet<TagId>,
}

type Split<'a> = dyn FnMut(RequestIx) -> Option<[Item; 2]> + 'a;

impl Schedule {
    /// Replaces all classes. `split` cuts requests that the device was found to refuse.
    pub(crate) fn replan(&mut self, plans: Vec<ClassPlan>, kept: &Kept<'_>, now: Instant, split: &mut Split<'_>) {
        let classes = std::mem::take(&mut self.classes);
        let places: HashMap<Duration, usize> = plans.iter().map(|plan| plan.period).zip(0..).collect();
        let new_place = |old: usize| classes.get(old).and_then(|class| places.get(&class.period)).copied();
        let device = |old: usize| {
            let Device { misses, skips, demoted } = self.devices[old].clone();
            let skips = skips.and_then(|scan| Some(ScanId { class: new_place(scan.class)?, ..scan }));
            Device { misses, skips, demoted }
        };
        self.devices = kept.devices.iter().map(|old| old.map_or_else(Device::default, device)).collect();
        let is_any_kept = !kept.tags.is_empty();
        let mut olds = Olds { all: Vec::new(), of: HashMap::new(), kept: kept.tags };
        let mut grids: HashMap<Duration, Class> = HashMap::new();
        for mut class in classes {
            for (at, item) in std::mem::take(&mut class.items).into_iter().enumerate() {
                let is_passed = class.began.is_some() && (at < class.next || item.passed == class.round);
                olds.add(Old { item, is_passed });
            }
            class.next = 0;
            grids.insert(class.period, class);
        }
        self.keys.clear();
        let had_again = self.again > 0;
        self.again = 0;
        for ClassPlan { period, stale_after, items } in plans {
            let grid = grids.remove(&period).filter(|_| is_any_kept);
            let mut class = grid.unwrap_or_else(|| Class::new(period, stale_after, now));
            class.stale_after = stale_after;
            class.sweep = class.sweep.min(now + class.sweep_period());
            let mut pieces = Vec::new();
            items.into_iter().for_each(|item| olds.cut(item, split, &mut pieces));
            for mut item in pieces {
                olds.inherit(&mut item, &class, now);
                self.name(&mut item);
                self.again += usize::from(item.again);
                class.items.push(item);
            }
            self.classes.push(class);
        }
        if self.again > 0 && !had_again {
            self.rounds += 1;
            self.extra = self.rounds;
        }
    }

    /// Takes the limits of a newer plant; the points are the same.
    pub(crate) fn renew(&mut self, stale_after: impl Fn(TagId) -> Duration, now: Instant) {
        for class in &mut self.classes {
            let tags = class.items.iter().flat_map(|item| &item.tags);
            class.stale_after = tags.map(|tag| stale_after(*tag)).min().unwrap_or(class.period);
            class.sweep = class.sweep.min(now + class.sweep_period());
        }
    }
}

impl Olds<'_> {
    fn add(&mut self, old: Old) {
        for tag in old.item.tags.iter().filter(|tag| self.kept.contains(tag)) {
            let of = self.of.entry(*tag).or_default();
            if of.last() != Some(&self.all.len()) {
                of.push(self.all.len());
            }
        }
        self.all.push(old);
    }

    /// The old items that read one of these tags.
    fn of(&self, tags: &[TagId]) -> Vec<&Old> {
        let mut all: Vec<usize> = tags.iter().filter_map(|tag| self.of.get(tag)).flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter().map(|at| &self.all[at]).collect()
    }

    /// Cuts an item as the old ones were cut.
    fn cut(&self, item: Item, split: &mut Split<'_>, out: &mut Vec<Item>) {
        let olds = self.of(&item.tags);
        let is_cut = olds.iter().any(|old| old.item.is_cut);
        let is_one = || {
            let known = |tag: &&TagId| self.of.contains_key(tag);
            olds.iter().any(|old| item.tags.iter().filter(known).all(|tag| old.item.tags.contains(tag)))
        };
        if is_cut
            && !is_one()
            && let Some(halves) = split(item.request)
        {
            return halves.into_iter().for_each(|half| self.cut(Item { is_cut: true, ..half }, split, out));
        }
        out.push(Item { is_cut: item.is_cut || is_cut, ..item });
    }

    /// Takes over the state of the old items with these tags. New tags are read soon.
    fn inherit(&self, item: &mut Item, class: &Class, now: Instant) {
        let olds = self.of(&item.tags);
        let is_known = item.tags.iter().all(|tag| self.of.contains_key(tag));
        item.asked = olds.iter().any(|old| old.item.asked);
        item.answered = olds.iter().filter_map(|old| old.item.answered).min();
        item.lapsed = olds.iter().any(|old| old.item.lapsed);
        item.again = olds.iter().any(|old| old.item.again);
        if is_known {
            let is_equal = |old: &&&Old| old.item.tags == item.tags;
            let equal = olds.iter().find(is_equal).filter(|_| olds.len() == 1);
            item.garbage = equal.map_or(0, |old| old.item.garbage);
            item.not_before = match equal {
                Some(old) => old.item.not_before,
                None if olds.iter().all(|old| old.item.is_refused(now)) => {
                    olds.iter().filter_map(|old| old.item.not_before).min()
                }
                None => None,
            };
            if class.began.is_some() && olds.iter().all(|old| old.is_passed) {
                item.passed = class.round;
            }
        } else if class.began.is_none() && class.due > now {
            item.again = true;
        }
    }
}
