//! The audit's thread: takes what waits, tells the log, appends a batch, confirms it with the head.
//!
//! While the disk refuses, records are held in bounded memory and tried again each second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::line::{Fields, json, text};
use super::queue::{Item, Lost, Queue};
use super::record::Record;
use super::trail::Trail;
use super::{Shared, limited, lost};
use crate::model::AuditLog;
use crate::value::UaTime;

/// Records come in groups; one sync is for all that come in this time.
const GATHER: Duration = Duration::from_millis(50);
/// Where they don't end, syncs are so far apart: each costs a thousand times what a record does.
const APART: Duration = Duration::from_millis(250);
/// Records and bytes of one batch.
pub const BATCH: usize = 4_000;
const BATCH_BYTES: usize = 4 << 20;
/// After a failed attempt.
const AGAIN: Duration = Duration::from_secs(1);
/// A fault that stays is told so often.
const REMIND: Duration = Duration::from_secs(600);
/// Retention is looked at so often.
const RETAIN: Duration = Duration::from_secs(3_600);
/// Without news the thread looks so often whether something was left out.
const IDLE: Duration = Duration::from_secs(10);
/// What is lost is told so often at most: a flood that causes it is no reason to flood the log.
const TELL_LOST: Duration = Duration::from_secs(1);
/// With more records waiting the log gets no line of a write.
const BEHIND: usize = 8_000;

pub struct Writer {
    shared: Arc<Shared>,
    trail: Option<Trail>,
    /// Taken from the queue and told to the log, not yet in the file.
    held: Queue,
    /// Lines of writes that the log did not get.
    unlogged: u64,
    retry_at: Option<Instant>,
    reminded: Option<Instant>,
    retained: Option<Instant>,
    /// When it was last told that something was lost.
    lost_told: Option<Instant>,
    /// When there was last something for the files.
    kept: Option<Instant>,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, trail: Option<Trail>) -> Writer {
        Writer {
            shared,
            trail,
            held: Queue::default(),
            unlogged: 0,
            retry_at: None,
            reminded: None,
            retained: None,
            lost_told: None,
            kept: None,
        }
    }

    pub fn run(mut self) {
        loop {
            let is_closed = self.wait();
            loop {
                self.take();
                self.report(is_closed);
                let now = Instant::now();
                if is_closed || self.retry_at.is_none_or(|at| now >= at) {
                    self.keep(now);
                }
                // Less than a batch has time to become more: each sync costs the same.
                let least = if is_closed { 1 } else { BATCH };
                if self.retry_at.is_some() || self.shared.state.lock().queue.size().records < least {
                    break;
                }
            }
            if is_closed {
                self.end();
                return;
            }
        }
    }

    /// Until there is news, or something to be tried again; then a moment longer, for more to come.
    fn wait(&self) -> bool {
        let mut state = self.shared.state.lock();
        if state.queue.is_empty() && !state.is_closed {
            let span = self.retry_at.map_or(IDLE, |at| at.saturating_duration_since(Instant::now()));
            self.shared.wake.wait_for(&mut state, span.min(IDLE));
        }
        let soon = Instant::now() + GATHER;
        let until = self.kept.map_or(soon, |kept| soon.max(kept + APART));
        while !state.is_closed && state.queue.size().records < BATCH {
            if self.shared.wake.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.is_closed
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
            if self.held.size().records >= BATCH && self.retry_at.is_none() {
                return;
            }
        }
    }

    fn hold(&mut self, item: Item) {
        if self.trail.is_some() {
            // Without room it is counted.
            self.held.push(item);
        }
    }

    fn log(&mut self, item: &Item, is_behind: bool) {
        if self.shared.log == AuditLog::Off || !log::log_enabled!(target: "audit", log::Level::Info) {
            return;
        }
        if item.is_writes() && is_behind {
            self.unlogged += item.size().records as u64;
            return;
        }
        if self.unlogged > 0 && !is_behind {
            let count = std::mem::take(&mut self.unlogged);
            log::warn!(target: "audit", "{count} lines of writes were left out of the log: they came too fast");
        }
        let is_json = self.shared.log == AuditLog::Json;
        item.each(&mut |fields: &dyn Fields| {
            // JSON is for programs, which want all of it.
            let level = if is_json { log::Level::Info } else { fields.kind().log_level() };
            if log::log_enabled!(target: "audit", level) {
                let line = if is_json { json(fields) } else { text(fields) };
                log::log!(target: "audit", level, "{line}");
            }
        });
    }

    /// Tells what was left out and what was lost, once there is room to tell it.
    fn report(&mut self, is_last: bool) {
        let left_out = self.shared.limiter.lock().take_left_out(Instant::now(), is_last);
        if let Some(left_out) = left_out {
            self.own(limited(left_out));
        }
        // While the disk refuses, more may be lost: it is told when it takes again.
        if self.retry_at.is_some() && !is_last {
            return;
        }
        let now = Instant::now();
        if !is_last && self.lost_told.is_some_and(|told| now.saturating_duration_since(told) < TELL_LOST) {
            return;
        }
        let (a, b) = (self.shared.state.lock().queue.take_lost(), self.held.take_lost());
        let all = Lost { writes: a.writes + b.writes, others: a.others + b.others };
        if all != Lost::default() {
            self.lost_told = Some(now);
            log::error!("audit: {} writes and {} other records were lost: there was no room", all.writes, all.others);
            let item = Item::Record(Box::new(lost(all)));
            self.log(&item, false);
            if self.trail.is_some() && !self.held.push(item) {
                // Told with the next ones; `take_lost` counts the record itself, too.
                self.held.take_lost();
                self.held.count_lost(all);
            }
        }
    }

    fn own(&mut self, record: Record) {
        let item = Item::Record(Box::new(record));
        self.log(&item, false);
        self.hold(item);
    }

    /// Appends what is held, batch after batch, and confirms it.
    fn keep(&mut self, now: Instant) {
        let Some(trail) = &mut self.trail else { return };
        if !self.held.is_empty() {
            self.kept = Some(now);
        }
        let mut done = Ok(());
        while done.is_ok() && !self.held.is_empty() {
            let mut batch = Vec::new();
            let (mut records, mut bytes) = (0, 0);
            while records < BATCH && bytes < BATCH_BYTES {
                let Some(item) = self.held.pop() else { break };
                records += item.size().records;
                bytes += item.size().bytes;
                batch.push(item);
            }
            done = trail.append(&batch);
            if done.is_err() {
                batch.into_iter().rev().for_each(|item| self.held.unpop(item));
            }
        }
        let done = done.and_then(|()| trail.confirm());
        let is_due = self.retained.is_none_or(|at| now.saturating_duration_since(at) >= RETAIN);
        let rotated = trail.take_rotated();
        if (is_due || rotated) && done.is_ok() {
            self.retained = Some(now);
            if let Err(error) = trail.retain(UaTime::now()) {
                log::warn!("audit: old files are not removed: {error}");
            }
        }
        match done {
            Ok(()) => self.is_well(),
            Err(error) => self.is_troubled(&error.to_string(), now),
        }
    }

    fn is_well(&mut self) {
        self.retry_at = None;
        if self.shared.trouble.lock().take().is_some() {
            self.reminded = None;
            log::info!("audit: the files are written again");
        }
    }

    fn is_troubled(&mut self, what: &str, now: Instant) {
        self.retry_at = Some(now + AGAIN);
        *self.shared.trouble.lock() = Some(what.to_owned());
        if self.reminded.is_none_or(|at| now.saturating_duration_since(at) >= REMIND) {
            self.reminded = Some(now);
            let waiting = self.held.size().records;
            log::error!(
                "audit: nothing is written to its files: {what}; {waiting} records wait in memory, make room on the disk"
            );
        }
    }

    /// What could not be written is gone with the process.
    fn end(&mut self) {
        let left = self.held.size().records;
        if left > 0 {
            log::error!("audit: {left} records were not written before the end");
        }
    }
}
