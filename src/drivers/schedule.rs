//! When which block of a link is asked: scan classes by deadline, cut blocks, demoted devices. Told the time, pure.
//!
//! A scan that is late is skipped and counted, never queued up. A device that stays silent is asked less and less
//! often, so that behind a gateway it doesn't hold up its neighbours.

use std::time::Duration;

use tokio::time::Instant;

use super::batch::{self, Block};
use crate::model::TagId;

/// Polls without an answer before a device is demoted.
const MISSES: u32 = 3;
/// A demoted device is asked first after this, then after twice as long, up to the longest.
const DEMOTED_FIRST: Duration = Duration::from_secs(10);
const DEMOTED_LONGEST: Duration = Duration::from_secs(300);
/// A single point that the device refuses is asked again after this: its program may have changed.
const REFUSED_FOR: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Item {
    pub block: Block,
    pub device: usize,
    pub tags: Vec<TagId>,
    /// The last answer, also a refusal.
    answered: Option<Instant>,
    not_before: Option<Instant>,
    /// Replies in a row that made no sense.
    garbage: u32,
}

#[derive(Debug)]
struct Class {
    period: Duration,
    /// Start of the present or next scan.
    due: Instant,
    /// Began, when a scan is under way.
    began: Option<Instant>,
    next: usize,
    items: Vec<Item>,
    sweep: Instant,
}

#[derive(Debug, Default, Clone)]
struct Device {
    misses: u32,
    /// After a miss the device's other blocks are not asked in the same scan: its class and when it began.
    skips: Option<(usize, Instant)>,
    /// Until when, and how long the pause is.
    demoted: Option<(Instant, Duration)>,
}

impl Device {
    fn rests(&self, scan: (usize, Instant), now: Instant) -> bool {
        self.skips == Some(scan) || self.demoted.is_some_and(|(until, _)| now < until)
    }
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Read(At),
    Wait(Instant),
}

/// An item's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    class: usize,
    item: usize,
}

/// A scan that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    pub took: Duration,
    /// Scans that were skipped because this one was late.
    pub skipped: u32,
}

#[derive(Debug)]
pub struct Schedule {
    classes: Vec<Class>,
    devices: Vec<Device>,
}

impl Schedule {
    pub fn new(devices: usize) -> Schedule {
        Schedule { classes: Vec::new(), devices: vec![Device::default(); devices] }
    }

    /// Adds a scan class, due at once.
    pub fn add(&mut self, period: Duration, items: Vec<Item>, now: Instant) {
        self.classes.push(Class { period, due: now, began: None, next: 0, items, sweep: now + period });
    }

    pub fn item(&self, at: At) -> &Item {
        &self.classes[at.class].items[at.item]
    }

    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.classes.iter().flat_map(|class| &class.items)
    }

    /// After a loss everything is due, and what was refused or demoted before gets a new chance.
    pub fn restart(&mut self, now: Instant) {
        for class in &mut self.classes {
            (class.due, class.began, class.next) = (now, None, 0);
            class.items.iter_mut().for_each(|item| item.not_before = None);
        }
        self.devices.fill(Device::default());
    }

    /// Some device answered its last request, or was not asked yet.
    pub fn anyone_alive(&self) -> bool {
        self.devices.iter().any(|device| device.misses == 0)
    }

    /// The most urgent request, or how long there is none. Scans that ended on the way are pushed to `ended`.
    pub fn step(&mut self, now: Instant, ended: &mut Vec<Scan>) -> Step {
        loop {
            let urgent = |(_, class): &(usize, &Class)| class.due + class.period;
            let due = self.classes.iter().enumerate().filter(|(_, class)| class.due <= now).min_by_key(urgent);
            let Some((ix, _)) = due else {
                let next = self.classes.iter().map(|class| class.due).min();
                return Step::Wait(next.unwrap_or(now + Duration::from_secs(3_600)));
            };
            let devices = &self.devices;
            let class = &mut self.classes[ix];
            let scan = (ix, *class.began.get_or_insert(now));
            while let Some(item) = class.items.get(class.next) {
                if !devices[item.device].rests(scan, now) && item.not_before.is_none_or(|at| at <= now) {
                    return Step::Read(At { class: ix, item: class.next });
                }
                class.next += 1;
            }
            ended.extend(class.end(now));
        }
    }

    /// The device answered; the scan goes on.
    pub fn answered(&mut self, at: At, now: Instant) -> Option<usize> {
        let class = &mut self.classes[at.class];
        class.next = at.item + 1;
        class.items[at.item].answered = Some(now);
        class.items[at.item].garbage = 0;
        let device = class.items[at.item].device;
        let was_demoted = self.devices[device].demoted.is_some();
        self.devices[device] = Device::default();
        was_demoted.then_some(device)
    }

    /// No answer; the scan goes on. Gives the device when this demotes it.
    pub fn missed(&mut self, at: At, now: Instant) -> Option<usize> {
        let class = &mut self.classes[at.class];
        class.next = at.item + 1;
        let ix = class.items[at.item].device;
        let device = &mut self.devices[ix];
        device.misses += 1;
        device.skips = class.began.map(|began| (at.class, began));
        if device.misses < MISSES {
            return None;
        }
        let pause = device.demoted.map_or(DEMOTED_FIRST, |(_, pause)| (pause * 2).min(DEMOTED_LONGEST));
        let first = device.demoted.is_none();
        device.demoted = Some((now + pause, pause));
        first.then_some(ix)
    }

    /// A reply that made no sense; the scan goes on. Some devices answer with fewer registers than asked where their
    /// map ends (pymodbus 3.9.2 does), so a block that is answered so again and again is cut. A single place that
    /// is rests longer and longer, since without ids each such reply costs the link a time-out.
    pub fn garbled(&mut self, at: At, now: Instant) {
        let class = &mut self.classes[at.class];
        class.next = at.item + 1;
        let item = &mut class.items[at.item];
        item.garbage += 1;
        let Some(rests) = item.garbage.checked_sub(MISSES) else { return };
        if self.cut(at) {
            self.classes[at.class].next = at.item;
            return;
        }
        let pause = DEMOTED_FIRST.saturating_mul(1 << rests.min(5)).min(DEMOTED_LONGEST);
        self.classes[at.class].items[at.item].not_before = Some(now + pause);
    }

    /// The device refuses all of a block for good: it is left alone for a while.
    pub fn refuse(&mut self, at: At, now: Instant) {
        let item = &mut self.classes[at.class].items[at.item];
        item.not_before = Some(now + REFUSED_FOR);
        item.garbage = 0;
    }

    /// The device refuses the block: cuts it in two that are asked next; false when it is one place.
    pub fn cut(&mut self, at: At) -> bool {
        let items = &mut self.classes[at.class].items;
        let Some((low, high)) = batch::halves(&items[at.item].block) else { return false };
        let old = items.remove(at.item);
        let (low_tags, high_tags) = old.tags.split_at(low.spans.len());
        let part =
            |block, tags: &[TagId]| Item { answered: old.answered, ..Item::new(block, old.device, tags.to_vec()) };
        items.insert(at.item, part(high, high_tags));
        items.insert(at.item, part(low, low_tags));
        true
    }

    pub fn demoted(&self) -> usize {
        self.devices.iter().filter(|device| device.demoted.is_some()).count()
    }

    pub fn is_demoted(&self, device: usize) -> bool {
        self.devices[device].demoted.is_some()
    }

    /// When a class's tags are next to be looked after.
    pub fn next_sweep(&self, now: Instant) -> Instant {
        self.classes.iter().map(|class| class.sweep).min().unwrap_or(now + Duration::from_secs(3_600))
    }

    /// Calls `old` for each item that got no answer for a period, once a period, and says whether its device is silent.
    /// What the device refuses stays as the refusal left it.
    pub fn sweep(&mut self, now: Instant, mut old: impl FnMut(&Item, bool)) {
        for class in self.classes.iter_mut().filter(|class| class.sweep <= now) {
            class.sweep = next_after(class.sweep, class.period, now).0;
            for item in &class.items {
                let is_old = item.answered.is_none_or(|at| now.saturating_duration_since(at) > class.period);
                if is_old && !item.is_refused(now) {
                    old(item, self.devices[item.device].misses > 0);
                }
            }
        }
    }
}

impl Item {
    /// `tags` are those of the spans, in their order.
    pub fn new(block: Block, device: usize, tags: Vec<TagId>) -> Item {
        Item { block, device, tags, answered: None, not_before: None, garbage: 0 }
    }

    /// The last replies made no sense.
    pub fn is_garbled(&self) -> bool {
        self.garbage > 0
    }

    fn is_refused(&self, now: Instant) -> bool {
        self.garbage == 0 && self.not_before.is_some_and(|until| now < until)
    }
}

impl Class {
    fn end(&mut self, now: Instant) -> Option<Scan> {
        let began = self.began.take()?;
        self.next = 0;
        let (due, skipped) = next_after(self.due, self.period, now);
        self.due = due;
        Some(Scan { took: now.saturating_duration_since(began), skipped })
    }
}

/// The first time of the row `last + n * period` after `now`, and how many of the row it passes over.
fn next_after(last: Instant, period: Duration, now: Instant) -> (Instant, u32) {
    let next = last + period;
    if next > now {
        return (next, 0);
    }
    let late = now.saturating_duration_since(next).as_nanos() / period.as_nanos().max(1);
    let skipped = u32::try_from(late).unwrap_or(u32::MAX - 1) + 1;
    (next + period * skipped, skipped)
}
