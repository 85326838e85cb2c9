//! `write_every`: present values that are written again and again, for devices with a watchdog.
//!
//! The driver writes exactly the value that it last read or wrote. A value that is read is written soon after it was read,
//! so that a change at the device itself is not overwritten with an older value; a value that is only written is written
//! again when it is due. There is at most one such write between two reads, and a silent device gets none.

use std::collections::HashSet;
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::Instant;

use super::exchange::{Ask, Reply};
use super::{Stopped, Supervisor};
use crate::drivers::contract::{LinkError, Samples};
use crate::drivers::plan::PointPlan;
use crate::model::TagId;

/// A value that was read longer ago waits for its next read.
const FRESH: Duration = Duration::from_millis(500);
/// Longest pause after writes without an answer.
const PAUSE_LONGEST: Duration = Duration::from_secs(10);

/// A point that is written again.
pub(super) struct Refresh {
    tag: TagId,
    point: u32,
    every: Duration,
    due: Instant,
    /// Only written, never read: its value is the last one written, Uncertain.
    is_only_written: bool,
    /// When the last sample came.
    read: Option<Instant>,
    /// Pause after a write without an answer.
    pause: Duration,
    /// The last write failed, and the log says so.
    has_failed: bool,
}

pub(super) fn of(points: &[PointPlan], now: Instant) -> Vec<Refresh> {
    let refresh = |(at, point): (u32, &PointPlan)| {
        let every = point.write_every.filter(|_| point.write)?;
        Some(Refresh {
            tag: point.tag,
            point: at,
            every,
            due: now + every,
            is_only_written: !point.read,
            read: None,
            pause: every,
            has_failed: false,
        })
    };
    (0..).zip(points).filter_map(refresh).collect()
}

/// The new ones, of which those whose point is the same are due as before.
pub(super) fn continued(old: &[Refresh], mut new: Vec<Refresh>, same: &HashSet<TagId>) -> Vec<Refresh> {
    for refresh in new.iter_mut().filter(|refresh| same.contains(&refresh.tag)) {
        let Some(before) = old.iter().find(|before| before.tag == refresh.tag) else { continue };
        (refresh.due, refresh.read) = (before.due, before.read);
        (refresh.pause, refresh.has_failed) = (before.pause, before.has_failed);
    }
    new
}

/// Notes which points were read just now.
pub(super) fn note(refreshes: &mut [Refresh], samples: &Samples, now: Instant) {
    for refresh in refreshes {
        if samples.iter().any(|(tag, _)| *tag == refresh.tag) {
            refresh.read = Some(now);
        }
    }
}

impl Refresh {
    /// Its value is new enough to be written at this time.
    fn is_known(&self, then: Instant) -> bool {
        self.is_only_written || self.read.is_some_and(|at| then.saturating_duration_since(at) <= FRESH)
    }
}

impl Supervisor {
    /// When the next point is due; those whose last read is too old wait for their next one.
    pub(super) fn next_refresh(&self) -> Option<Instant> {
        let known = self.refreshes.iter().filter(|refresh| refresh.is_known(refresh.due.max(Instant::now())));
        known.map(|refresh| refresh.due).min()
    }

    /// The point that is due for the longest time, with its place; points that have to wait get a later time.
    fn due_refresh(&mut self, now: Instant) -> Option<usize> {
        let mut found: Option<(Instant, usize)> = None;
        for (at, refresh) in self.refreshes.iter_mut().enumerate() {
            if now < refresh.due || !refresh.is_known(now) {
                continue;
            }
            let device = self.state.device_of(refresh.tag);
            let is_present = self.state.tags.with(refresh.tag, |sample| {
                sample.status.is_good() || refresh.is_only_written && sample.status.is_uncertain()
            });
            match is_present && !self.state.schedule.is_silent(device) {
                false => refresh.due = now + refresh.every,
                true if found.is_none_or(|(due, _)| refresh.due < due) => found = Some((refresh.due, at)),
                true => {}
            }
        }
        found.map(|(_, at)| at)
    }

    /// Writes one of the points that are due. Returns the error that ends the link.
    pub(super) async fn refresh(&mut self) -> Result<Option<LinkError>, Stopped> {
        let Some(at) = self.due_refresh(Instant::now()) else { return Ok(None) };
        let refresh = &mut self.refreshes[at];
        refresh.due = Instant::now() + refresh.every;
        let point = refresh.point;
        let written = match self.exchange(point, Ask::Again).await? {
            Reply::Written(written) => written,
            Reply::Exponent(_) => StatusCode::BadInternalError.into(),
        };
        self.refreshed(at, written.status);
        Ok(written.error)
    }

    /// A write that failed is logged once, and so is the first good one after it. A device without an answer gets
    /// longer and longer pauses, with all of its points.
    fn refreshed(&mut self, at: usize, status: StatusCode) {
        let (now, refresh) = (Instant::now(), &mut self.refreshes[at]);
        let (tag, every) = (refresh.tag, refresh.every);
        let had_failed = std::mem::replace(&mut refresh.has_failed, !status.is_good());
        let name = self.state.plant.tag_name(tag);
        if status.is_good() {
            refresh.pause = every;
            if had_failed {
                log::info!("{name}: `write_every` writes its value again");
            }
            return;
        }
        if !had_failed {
            let text = format!("{name}: `write_every` could not write its value: {status}; trying again");
            if let Some(line) = self.state.notes.limited(&text, now) {
                log::warn!("{line}");
            }
        }
        if status != StatusCode::BadTimeout {
            return;
        }
        let device = self.state.device_of(tag);
        let pause = (refresh.pause * 2).min(PAUSE_LONGEST.max(every));
        for refresh in self.refreshes.iter_mut().filter(|refresh| self.state.device_of(refresh.tag) == device) {
            refresh.pause = pause.max(refresh.every);
            refresh.due = refresh.due.max(now + refresh.pause);
        }
    }
}
