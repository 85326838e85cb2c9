//! The requests of a scan class, and where its scan is.

use std::time::Duration;

use tokio::time::Instant;

use super::{At, Scan};
use crate::drivers::poll::{RequestIx, Round};
use crate::model::TagId;

/// The check of a class comes at least this long after its period.
const SWEEP_SHORTEST: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Item {
    /// The schedule's own name for it.
    pub(super) key: u32,
    pub request: RequestIx,
    /// Set when it is due.
    pub round: Round,
    pub device: usize,
    pub tags: Vec<TagId>,
    /// It was asked at least once.
    pub(super) asked: bool,
    /// The last answer, also a refusal.
    pub(super) answered: Option<Instant>,
    pub(super) not_before: Option<Instant>,
    /// Replies in a row that made no sense.
    pub(super) garbage: u32,
    /// To be read before anything else: something wrote to it, or its device is back.
    pub(super) again: bool,
    /// Its tags grew old while its device was silent.
    pub(super) lapsed: bool,
    /// The round of its class in which an older plan has read all of it already.
    pub(super) passed: u64,
    /// A part of a request that the device refuses as a whole.
    pub(super) is_cut: bool,
}

#[derive(Debug)]
pub(super) struct Class {
    pub(super) period: Duration,
    /// Start of the present or next scan.
    pub(super) due: Instant,
    /// Began, when a scan is under way.
    pub(super) began: Option<Instant>,
    /// The round of the present or last scan.
    pub(super) round: u64,
    pub(super) next: usize,
    pub(super) items: Vec<Item>,
    pub(super) sweep: Instant,
    /// Shortest `stale_after` of its tags.
    pub(super) stale_after: Duration,
}

impl Item {
    /// `tags` get a value, or a part of one, from the request.
    pub(crate) fn new(request: RequestIx, device: usize, tags: Vec<TagId>) -> Item {
        Item {
            key: 0,
            request,
            round: Round::default(),
            device,
            tags,
            asked: false,
            answered: None,
            not_before: None,
            garbage: 0,
            again: false,
            lapsed: false,
            passed: 0,
            is_cut: false,
        }
    }

    /// The last replies made no sense.
    pub(crate) fn is_garbled(&self) -> bool {
        self.garbage > 0
    }

    /// Nothing was ever asked for here, so no device failed to answer.
    pub(crate) fn is_unasked(&self) -> bool {
        !self.asked
    }

    pub(super) fn is_refused(&self, now: Instant) -> bool {
        self.garbage == 0 && self.not_before.is_some_and(|until| now < until)
    }
}

impl Class {
    /// A class without items, due at once.
    pub(super) fn new(period: Duration, stale_after: Duration, now: Instant) -> Class {
        let items = Vec::new();
        let mut class = Class { period, due: now, began: None, round: 0, next: 0, items, sweep: now, stale_after };
        class.sweep = now + class.sweep_period();
        class
    }

    /// Often enough that a tag turns Bad soon after its `stale_after`, also with a long poll period.
    pub(super) fn sweep_period(&self) -> Duration {
        self.period.min((self.stale_after / 4).max(SWEEP_SHORTEST))
    }

    /// The scan continues after the item, unless the item was read out of turn.
    pub(super) fn pass(&mut self, at: At) {
        if !at.again {
            self.next = at.item + 1;
        }
    }

    pub(super) fn end(&mut self, now: Instant) -> Option<Scan> {
        let began = self.began.take()?;
        self.next = 0;
        let (due, skipped) = next_after(self.due, self.period, now);
        self.due = due;
        Some(Scan { took: now.saturating_duration_since(began), skipped })
    }
}

/// The first time of the row `last + n * period` after `now`, and how many of the row it passes over.
pub(super) fn next_after(last: Instant, period: Duration, now: Instant) -> (Instant, u32) {
    let next = last + period;
    if next > now {
        return (next, 0);
    }
    let late = now.saturating_duration_since(next).as_nanos() / period.as_nanos().max(1);
    let skipped = u32::try_from(late).unwrap_or(u32::MAX - 1) + 1;
    (next + period * skipped, skipped)
}
