//! The order of requests of a link: scan classes by deadline, blocks that were split, demoted devices. Pure: the time is an
//! argument.
//!
//! A scan that is late is skipped and counted, never queued up. A silent device is asked less and less often, so
//! that it does not delay the other devices of a gateway.

mod item;
mod replan;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::drivers::poll::{RequestIx, Round};
use crate::model::TagId;
pub(crate) use item::Item;
use item::{Class, next_after};
pub(crate) use replan::{ClassPlan, Kept};

/// Polls without an answer before a device is demoted.
const MISSES: u32 = 3;
/// A demoted device is asked first after this, then after twice as long, up to the longest.
const DEMOTED_FIRST: Duration = Duration::from_secs(10);
const DEMOTED_LONGEST: Duration = Duration::from_secs(300);
/// A single point that the device refuses is asked again after this: its program may have changed.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// An item whose tags may have grown old.
#[derive(Debug, Clone)]
pub(crate) struct Aged<'a> {
    pub item: &'a Item,
    /// Its device gave no answer to the last request.
    pub is_silent: bool,
    /// The item itself had no answer for a period.
    pub is_old: bool,
    pub period: Duration,
    /// Tags that need other items too: an answer alone brings them no sample.
    pub parts: Vec<TagId>,
}

#[derive(Debug, Default, Clone)]
struct Device {
    misses: u32,
    /// Class and start of the scan in which a request was missed: the device's other blocks are not asked in this scan.
    skips: Option<ScanId>,
    /// Until when, and how long the pause is.
    demoted: Option<(Instant, Duration)>,
}

/// One scan of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ScanId {
    class: usize,
    began: Instant,
}

impl Device {
    fn rests(&self, scan: ScanId, now: Instant) -> bool {
        self.skips == Some(scan) || self.demoted.is_some_and(|(until, _)| now < until)
    }
}

/// Next action of the link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Read(At),
    Wait(Instant),
}

/// An item's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    class: usize,
    item: usize,
    /// Out of turn: the scan of its class is where it was.
    again: bool,
}

/// A scan that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scan {
    pub took: Duration,
    /// Scans that were skipped because this one was late.
    pub skipped: u32,
}

#[derive(Debug)]
pub(crate) struct Schedule {
    classes: Vec<Class>,
    devices: Vec<Device>,
    /// Items that are to be read again.
    again: usize,
    /// The last step read one of them.
    was_again: bool,
    /// The round of the items that are read again.
    extra: u64,
    /// Rounds so far.
    rounds: u64,
    /// The items that read a tag or a part of it, by their keys.
    keys: HashMap<TagId, Vec<u32>>,
    next_key: u32,
}

impl Schedule {
    pub(crate) fn new(devices: usize) -> Schedule {
        let devices = vec![Device::default(); devices];
        let (classes, keys) = (Vec::new(), HashMap::new());
        Schedule { classes, devices, again: 0, was_again: false, extra: 0, rounds: 0, keys, next_key: 0 }
    }

    /// Adds a scan class, due at once.
    pub(crate) fn add(&mut self, plan: ClassPlan, now: Instant) {
        let mut class = Class::new(plan.period, plan.stale_after, now);
        class.items = plan.items;
        class.items.iter_mut().for_each(|item| self.name(item));
        self.classes.push(class);
    }

    pub(crate) fn item(&self, at: At) -> &Item {
        &self.classes[at.class].items[at.item]
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.classes.iter().flat_map(|class| &class.items)
    }

    /// After a loss every class is due, and refused items and demoted devices get a new chance.
    pub(crate) fn restart(&mut self, now: Instant) {
        for class in &mut self.classes {
            (class.due, class.began, class.next) = (now, None, 0);
            for item in &mut class.items {
                (item.not_before, item.again, item.lapsed) = (None, false, false);
            }
        }
        self.again = 0;
        self.devices.fill(Device::default());
    }

    /// Gives an item its key, by which its tags find it.
    fn name(&mut self, item: &mut Item) {
        item.key = self.next_key;
        self.next_key += 1;
        for tag in &item.tags {
            let keys = self.keys.entry(*tag).or_default();
            if keys.last() != Some(&item.key) {
                keys.push(item.key);
            }
        }
    }

    /// Removes the item.
    fn unname(&mut self, item: &Item) {
        for tag in &item.tags {
            self.keys.entry(*tag).or_default().retain(|key| *key != item.key);
        }
    }

    /// All blocks of these tags are read next, one request each: a value that comes in parts needs each of them.
    pub(crate) fn read_again(&mut self, tags: &HashSet<TagId>) {
        let keys: HashSet<u32> = tags.iter().filter_map(|tag| self.keys.get(tag)).flatten().copied().collect();
        self.begin_extra();
        let items = self.classes.iter_mut().flat_map(|class| &mut class.items);
        for item in items.filter(|item| !item.again && keys.contains(&item.key)) {
            item.again = true;
            self.again += 1;
        }
    }

    /// Starts a round for the reads out of turn, unless one is under way.
    fn begin_extra(&mut self) {
        if self.again == 0 {
            self.rounds += 1;
            self.extra = self.rounds;
        }
    }

    /// Requests a second that the plan needs, without items that rest.
    pub(crate) fn planned_rate(&self, now: Instant) -> f64 {
        let rests = |item: &&Item| {
            self.devices[item.device].demoted.is_some() || item.not_before.is_some_and(|until| now < until)
        };
        let rate = |class: &Class| {
            let resting = class.items.iter().filter(rests).count();
            (class.items.len() - resting) as f64 / class.period.as_secs_f64()
        };
        self.classes.iter().map(rate).sum()
    }

    /// The device's last request had no answer.
    pub(crate) fn is_silent(&self, device: usize) -> bool {
        self.devices[device].misses > 0 || self.devices[device].demoted.is_some()
    }

    /// Some device answered its last request, or was not asked yet.
    pub(crate) fn anyone_alive(&self) -> bool {
        self.devices.iter().any(|device| device.misses == 0)
    }

    /// The most urgent request, or the time until there is one. Scans that ended on the way are pushed to `ended`.
    pub(crate) fn step(&mut self, now: Instant, ended: &mut Vec<Scan>) -> Step {
        // In turns, so that a client that writes without a pause doesn't keep the scans from their turn.
        let may_wait =
            std::mem::replace(&mut self.was_again, false) && self.classes.iter().any(|class| class.due <= now);
        if !may_wait && let Some(at) = self.next_again(now) {
            self.was_again = true;
            return Step::Read(at);
        }
        loop {
            let urgent = |(_, class): &(usize, &Class)| class.due + class.period;
            let due = self.classes.iter().enumerate().filter(|(_, class)| class.due <= now).min_by_key(urgent);
            let Some((ix, _)) = due else {
                if let Some(at) = self.next_again(now) {
                    self.was_again = true;
                    return Step::Read(at);
                }
                let next = self.classes.iter().map(|class| class.due).min();
                return Step::Wait(next.unwrap_or(now + Duration::from_secs(3_600)));
            };
            let devices = &self.devices;
            let class = &mut self.classes[ix];
            if class.began.is_none() {
                self.rounds += 1;
                class.round = self.rounds;
            }
            let scan = ScanId { class: ix, began: *class.began.get_or_insert(now) };
            while let Some(item) = class.items.get_mut(class.next) {
                if item.passed != class.round
                    && !devices[item.device].rests(scan, now)
                    && item.not_before.is_none_or(|at| at <= now)
                {
                    item.asked = true;
                    item.round = Round { number: class.round, is_extra: false };
                    return Step::Read(At { class: ix, item: class.next, again: false });
                }
                class.next += 1;
            }
            ended.extend(class.end(now));
        }
    }

    /// The next item that is to be read again; one whose device rests is left to its scan.
    pub(crate) fn next_again(&mut self, now: Instant) -> Option<At> {
        if self.again == 0 {
            return None;
        }
        for (ix, class) in self.classes.iter_mut().enumerate() {
            for (at, item) in class.items.iter_mut().enumerate().filter(|(_, item)| item.again) {
                item.again = false;
                self.again -= 1;
                let rests = self.devices[item.device].demoted.is_some_and(|(until, _)| now < until);
                if !rests && item.not_before.is_none_or(|at| at <= now) {
                    item.asked = true;
                    item.round = Round { number: self.extra, is_extra: true };
                    return Some(At { class: ix, item: at, again: true });
                }
            }
        }
        None
    }

    /// The device answered; the scan continues. Tags that grew old while it was silent are read at once.
    pub(crate) fn answered(&mut self, at: At, now: Instant) -> Option<usize> {
        let class = &mut self.classes[at.class];
        class.pass(at);
        let item = &mut class.items[at.item];
        (item.answered, item.garbage, item.lapsed) = (Some(now), 0, false);
        let device = item.device;
        let was_silent = self.devices[device].misses > 0;
        let was_demoted = self.devices[device].demoted.is_some();
        self.devices[device] = Device::default();
        if was_silent {
            self.revive(device);
        }
        was_demoted.then_some(device)
    }

    fn revive(&mut self, device: usize) {
        self.begin_extra();
        let items = self.classes.iter_mut().flat_map(|class| &mut class.items);
        for item in items.filter(|item| item.device == device && item.lapsed) {
            item.lapsed = false;
            self.again += usize::from(!std::mem::replace(&mut item.again, true));
        }
    }

    /// No answer; the scan continues. Returns the device when this demotes it.
    pub(crate) fn missed(&mut self, at: At, now: Instant) -> Option<usize> {
        let class = &mut self.classes[at.class];
        class.pass(at);
        let ix = class.items[at.item].device;
        let device = &mut self.devices[ix];
        device.misses += 1;
        device.skips = class.began.map(|began| ScanId { class: at.class, began });
        if device.misses < MISSES {
            return None;
        }
        let pause = device.demoted.map_or(DEMOTED_FIRST, |(_, pause)| (pause * 2).min(DEMOTED_LONGEST));
        let first = device.demoted.is_none();
        device.demoted = Some((now + pause, pause));
        first.then_some(ix)
    }

    /// A reply that made no sense; the scan continues. Some devices answer with fewer registers than asked where their
    /// map ends (pymodbus 3.9.2 does), so a block that gets such replies again and again is split. A single place
    /// that does rests longer and longer, since without ids each such reply costs the link a time-out.
    pub(crate) fn garbled(&mut self, at: At, now: Instant, cut: impl FnOnce(RequestIx) -> Option<[Item; 2]>) {
        let class = &mut self.classes[at.class];
        class.pass(at);
        let item = &mut class.items[at.item];
        item.garbage += 1;
        let Some(rests) = item.garbage.checked_sub(MISSES) else { return };
        if self.cut(at, cut) {
            if !at.again {
                self.classes[at.class].next = at.item;
            }
            return;
        }
        let pause = DEMOTED_FIRST.saturating_mul(1 << rests.min(5)).min(DEMOTED_LONGEST);
        self.classes[at.class].items[at.item].not_before = Some(now + pause);
    }

    /// The device refuses all of a block for good: it rests for a while.
    pub(crate) fn refuse(&mut self, at: At, now: Instant) {
        let item = &mut self.classes[at.class].items[at.item];
        item.not_before = Some(now + REFUSED_FOR);
        item.garbage = 0;
    }

    /// The device refuses the request: puts two in its place that are asked next; false when `cut` has none to give.
    pub(crate) fn cut(&mut self, at: At, cut: impl FnOnce(RequestIx) -> Option<[Item; 2]>) -> bool {
        let class = &mut self.classes[at.class];
        let Some(parts) = cut(class.items[at.item].request) else { return false };
        class.next += usize::from(class.next > at.item);
        let old = class.items.remove(at.item);
        self.again -= usize::from(old.again);
        self.unname(&old);
        let mut parts = parts.map(|part| Item { answered: old.answered, asked: old.asked, is_cut: true, ..part });
        parts.iter_mut().for_each(|part| self.name(part));
        self.classes[at.class].items.splice(at.item..at.item, parts);
        true
    }

    /// Removes all classes, so that the link can be planned again; knowledge about devices stays.
    pub(crate) fn clear(&mut self) {
        self.classes.clear();
        self.keys.clear();
        self.again = 0;
    }

    pub(crate) fn demoted(&self) -> usize {
        self.devices.iter().filter(|device| device.demoted.is_some()).count()
    }

    pub(crate) fn is_demoted(&self, device: usize) -> bool {
        self.devices[device].demoted.is_some()
    }

    /// Time of the next check of a class's tags.
    pub(crate) fn next_sweep(&self, now: Instant) -> Instant {
        self.classes.iter().map(|class| class.sweep).min().unwrap_or(now + Duration::from_secs(3_600))
    }

    /// Calls `look` for each item of the classes whose check is due. Refused items keep the status of the refusal.
    pub(crate) fn sweep(&mut self, now: Instant, is_connected: bool, mut look: impl FnMut(Aged<'_>)) {
        for class in self.classes.iter_mut().filter(|class| class.sweep <= now) {
            class.sweep = next_after(class.sweep, class.sweep_period(), now).0;
            for item in class.items.iter_mut().filter(|item| !item.is_refused(now)) {
                let age = item.answered.map(|at| now.saturating_duration_since(at));
                let is_silent = !is_connected || self.devices[item.device].misses > 0;
                item.lapsed |= is_silent && age.is_some_and(|age| age >= class.stale_after);
                let in_parts = |tag: &&TagId| self.keys.get(tag).is_some_and(|keys| keys.len() > 1);
                let parts = item.tags.iter().filter(in_parts).copied().collect();
                let is_old = age.is_none_or(|age| age > class.period);
                look(Aged { item, period: class.period, is_silent, is_old, parts });
            }
        }
    }
}
