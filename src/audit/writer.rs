//! The audit's thread: takes the records that wait, logs them, and appends them to the chain of their class.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::change::{Change, bounds};
use super::line::{Fields, json, text};
use super::queue::{BATCH, Item, Lost};
use super::record::Record;
use super::track::Track;
use super::trail::Trail;
use super::{Shared, lost};
use crate::logging;
use crate::model::AuditLog;

/// Records come in groups; one sync is for all that come in this time.
const GATHER: Duration = Duration::from_millis(50);
/// Where they don't end, syncs are so far apart: each costs a thousand times what a record does.
const APART: Duration = Duration::from_millis(250);
/// Without news the thread looks for losses once in this time.
const IDLE: Duration = Duration::from_secs(10);
/// Shortest time between two reports of lost records: the flood that causes them must not flood the log.
const TELL_LOST: Duration = Duration::from_secs(1);
/// With more records waiting the log gets no line of a write.
const BEHIND: usize = 8_000;

pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// One for each chain; none where nothing goes to files.
    tracks: Vec<Track>,
    log: AuditLog,
    /// Lines of writes that the log did not get.
    unlogged: u64,
    /// When a loss was last recorded.
    lost_told: Option<Instant>,
    /// When there was last something for the files.
    kept: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, trails: Vec<Trail>) -> Writer {
        let tracks = trails.into_iter().map(Track::new).collect();
        let log = shared.plan.load().log;
        Writer { shared, tracks, log, unlogged: 0, lost_told: None, kept: None }
    }

    pub(crate) fn run(mut self) {
        loop {
            let is_closed = self.wait();
            loop {
                self.begin_change();
                self.take();
                self.report(is_closed);
                self.keep(Instant::now(), is_closed);
                // Less than a batch has time to become more: each sync costs the same.
                let least = if is_closed { 1 } else { BATCH };
                if self.retry_at().is_some() || self.shared.state.lock().queue.size().records < least {
                    break;
                }
            }
            self.finish_change();
            if is_closed {
                self.end();
                return;
            }
        }
    }

    /// Until there is news, or something to be tried again; then a moment longer, for more to come.
    fn wait(&self) -> bool {
        let mut state = self.shared.state.lock();
        if state.queue.is_empty() && !state.is_closed && state.change.is_none() {
            let span = self.retry_at().map_or(IDLE, |at| at.saturating_duration_since(Instant::now()));
            self.shared.wake.wait_for(&mut state, span.min(IDLE));
        }
        let soon = Instant::now() + GATHER;
        let until = self.kept.map_or(soon, |kept| soon.max(kept + APART));
        while !state.is_closed && state.change.is_none() && state.queue.size().records < BATCH {
            if self.shared.wake.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.is_closed
    }

    /// Takes what a change of the settings brings: the record of the change is for it.
    fn begin_change(&mut self) {
        let mut state = self.shared.state.lock();
        let Some(change) = &mut state.change else { return };
        if let Some(trails) = change.trails.take() {
            self.tracks = trails.into_iter().map(Track::new).collect();
        }
        if self.log == AuditLog::Off {
            self.log = change.plan.log;
        }
    }

    /// Leaves what a change of the settings takes away, once the record of the change is written or the disk refuses it.
    fn finish_change(&mut self) {
        let is_behind = self.tracks.iter().any(|track| !track.held.is_empty() && track.retry_at.is_none());
        let mut state = self.shared.state.lock();
        let is_new = state.change.as_ref().is_none_or(|change| change.trails.is_some());
        if is_new || is_behind || !state.queue.is_empty() {
            return;
        }
        let Some(Change { plan, .. }) = state.change.take() else { return };
        self.log = plan.log;
        match plan.file {
            true => self.tracks.iter_mut().for_each(|track| track.bound(bounds(&plan))),
            false => {
                drop(state);
                self.end();
                self.tracks.clear();
            }
        }
        self.shared.done.notify_all();
    }

    /// Moves what waits to what is held, by way of the log.
    fn take(&mut self) {
        loop {
            let (item, behind) = {
                let mut state = self.shared.state.lock();
                let behind = state.queue.size().records > BEHIND;
                let Some(item) = state.queue.pop() else { return };
                (item, behind)
            };
            self.log(&item, behind);
            self.hold(item);
            if self.tracks.iter().any(Track::has_batch) {
                return;
            }
        }
    }

    fn hold(&mut self, item: Item) {
        let class = item.class();
        if let Some(track) = self.tracks.iter_mut().find(|track| track.class() == class) {
            // Without room it is counted.
            track.held.push(item);
        }
    }

    /// The next attempt of a chain that the disk refuses.
    fn retry_at(&self) -> Option<Instant> {
        self.tracks.iter().filter_map(|track| track.retry_at).min()
    }

    fn log(&mut self, item: &Item, is_behind: bool) {
        if self.log == AuditLog::Off || !log::log_enabled!(target: "audit", log::Level::Info) {
            return;
        }
        if item.is_writes() && is_behind {
            self.unlogged += item.size().records as u64;
            return;
        }
        if self.unlogged > 0 && !is_behind {
            let count = std::mem::take(&mut self.unlogged);
            let line = format_args!("{count} lines of writes were left out of the log: they came too fast");
            logging::limited(log::Level::Warn, "audit lines left out", None, line);
        }
        let is_json = self.log == AuditLog::Json;
        item.each(&mut |fields: &dyn Fields| {
            // JSON is for programs, which want all of it.
            let level = if is_json { log::Level::Info } else { fields.kind().log_level() };
            if !log::log_enabled!(target: "audit", level) {
            } else if is_json {
                log::log!(target: "audit", level, "{}", json(fields));
            } else {
                logging::limited_audit(level, fields.kind().name(), format_args!("{}", text(fields)));
            }
        });
    }

    /// Records what was lost, once there is room for that; in the end what was folded as well.
    fn report(&mut self, is_last: bool) {
        if is_last {
            let folded = self.shared.limiter.lock().take_folded(Instant::now(), true);
            folded.into_iter().for_each(|record| self.own(record));
        }
        // While the disk refuses, more may be lost: it is told when it takes again.
        if self.retry_at().is_some() && !is_last {
            return;
        }
        let now = Instant::now();
        if !is_last && self.lost_told.is_some_and(|told| now.saturating_duration_since(told) < TELL_LOST) {
            return;
        }
        let mut all = self.shared.state.lock().queue.take_lost();
        for track in &mut self.tracks {
            let Lost { writes, others } = track.held.take_lost();
            (all.writes, all.others) = (all.writes + writes, all.others + others);
        }
        if all != Lost::default() {
            self.lost_told = Some(now);
            let line = format_args!(
                "audit: {} writes and {} other records were lost: there was no room",
                all.writes, all.others
            );
            logging::limited(log::Level::Error, "audit records lost", None, line);
            let item = Item::Record(Box::new(lost(all)));
            self.log(&item, false);
            self.hold_loss(item, all);
        }
    }

    /// A record of a loss that finds no room itself is made again later, with the next losses.
    fn hold_loss(&mut self, item: Item, lost: Lost) {
        let class = item.class();
        let Some(track) = self.tracks.iter_mut().find(|track| track.class() == class) else { return };
        if !track.held.push(item) {
            // It counted itself as well.
            track.held.take_lost();
            track.held.count_lost(lost);
        }
    }

    fn own(&mut self, record: Record) {
        let item = Item::Record(Box::new(record));
        self.log(&item, false);
        self.hold(item);
    }

    /// Appends what is held to each chain that takes it.
    fn keep(&mut self, now: Instant, is_closed: bool) {
        let mut trouble = None;
        for track in &mut self.tracks {
            if !track.held.is_empty() {
                self.kept = Some(now);
            }
            if is_closed || track.retry_at.is_none_or(|at| now >= at) {
                track.keep(now);
            }
            trouble = trouble.or_else(|| track.trouble.clone());
        }
        *self.shared.trouble.lock() = trouble;
    }

    /// Records that could not be written are gone with the process.
    fn end(&mut self) {
        let left: usize = self.tracks.iter().map(|track| track.held.size().records).sum();
        if left > 0 {
            log::error!("audit: {left} records were not written before the end");
        }
    }
}
