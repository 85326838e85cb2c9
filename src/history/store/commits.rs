//! The numbers of commits: which of them readers see, and how long a read that takes several pages stays valid.
//!
//! Each sample carries the number of the commit that made it durable. A read takes the newest visible number with its
//! first page and sees exactly the commits up to it on every page. Three things can take away what such a read has yet
//! to see, and each leaves a trace here that makes the next page `Fault::Expired` instead of wrong:
//! - maintenance merges blocks, which drops old versions of samples: before it starts, `expire_before` sets a floor;
//! - retention removes a partition: `note_removed` keeps the last instant that is gone;
//! - a client deletes modified values: `note_forgotten` keeps the commit at which an archive's log lost some.
//!
//! So that ordinary reads never expire, maintenance leaves commits alone that were flushed less than `pin` ago.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::settings::Effort;
use crate::history::{ArchiveId, Cursor, Fault};
use crate::value::UaTime;

pub(crate) struct Commits {
    /// The newest commit that readers see.
    visible: AtomicU64,
    /// Everything up to this commit is in blocks; its journal rows may go.
    in_blocks: AtomicU64,
    /// The newest commit that was in blocks when the store was opened.
    found: AtomicU64,
    /// Reads that began before this commit have expired.
    floor: AtomicU64,
    /// The last instant, in ticks, that retention has removed.
    removed: AtomicI64,
    /// When the head was flushed, and up to which commit.
    flushes: Mutex<VecDeque<(Instant, u64)>>,
    /// The commit at which an archive's log of modified values was deleted in part.
    forgotten: Mutex<HashMap<ArchiveId, u64>>,
    /// Wall clock of the newest commit in ticks; 0 for none.
    last_time: AtomicI64,
    /// The same as it was found when the store was opened.
    found_time: AtomicI64,
    /// How long a read that takes several pages stays valid.
    pin: Duration,
    /// Another process writes the files.
    is_reader: bool,
}

impl Commits {
    pub(crate) fn new(pin: Duration, is_reader: bool) -> Commits {
        Commits {
            visible: AtomicU64::new(0),
            in_blocks: AtomicU64::new(0),
            found: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            removed: AtomicI64::new(i64::MIN),
            flushes: Mutex::default(),
            forgotten: Mutex::default(),
            last_time: AtomicI64::new(0),
            found_time: AtomicI64::new(0),
            pin,
            is_reader,
        }
    }

    /// Starts with the newest commit that was found on the disk, and its time.
    pub(crate) fn start(&self, last: u64, time: Option<UaTime>) {
        self.visible.store(last, Ordering::Release);
        let time = time.map_or(0, |time| time.0);
        self.found_time.store(time, Ordering::Relaxed);
        self.last_time.store(time, Ordering::Relaxed);
    }

    pub(crate) fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// Lets readers see everything up to this commit; the number never falls.
    pub(crate) fn show(&self, seq: u64) {
        self.visible.fetch_max(seq, Ordering::AcqRel);
    }

    pub(crate) fn in_blocks(&self) -> u64 {
        self.in_blocks.load(Ordering::Acquire)
    }

    pub(crate) fn found(&self) -> u64 {
        self.found.load(Ordering::Acquire)
    }

    /// Notes a commit that a partition says it has.
    pub(crate) fn note_found(&self, seq: u64) {
        self.found.fetch_max(seq, Ordering::AcqRel);
    }

    pub(crate) fn note_time(&self, now: UaTime) {
        self.last_time.store(now.0, Ordering::Release);
    }

    pub(crate) fn last_time(&self) -> Option<UaTime> {
        some_time(self.last_time.load(Ordering::Relaxed))
    }

    pub(crate) fn found_time(&self) -> Option<UaTime> {
        some_time(self.found_time.load(Ordering::Relaxed))
    }

    /// Notes that everything up to this commit is in blocks.
    pub(crate) fn note_flush(&self, seq: u64) {
        let mut flushes = self.flushes.lock();
        flushes.push_back((Instant::now(), seq));
        // Only the newest flush that is at least `pin` old is ever asked for.
        while flushes.len() > 1 && flushes[1].0.elapsed() >= self.pin {
            flushes.pop_front();
        }
        drop(flushes);
        self.in_blocks.store(seq, Ordering::Release);
    }

    /// The newest commit whose older versions no valid read can still need. `Effort::All` does not spare reads.
    pub(crate) fn horizon(&self, effort: Effort) -> u64 {
        let flushes = self.flushes.lock();
        let is_due = |(at, _): &&(Instant, u64)| effort == Effort::All || at.elapsed() >= self.pin;
        let flushed = flushes.iter().filter(is_due).map(|(_, seq)| *seq).max().unwrap_or(0);
        flushed.max(self.found())
    }

    /// Expires the reads that began before this commit.
    pub(crate) fn expire_before(&self, horizon: u64) {
        self.floor.fetch_max(horizon, Ordering::AcqRel);
    }

    /// Notes that retention removed samples up to this instant.
    pub(crate) fn note_removed(&self, last: i64) {
        self.removed.fetch_max(last, Ordering::AcqRel);
    }

    pub(crate) fn note_forgotten(&self, archive: ArchiveId, seq: u64) {
        self.forgotten.lock().insert(archive, seq);
    }

    /// The commit up to which a read sees: the newest one for a first page, the first page's for the others. A store
    /// that reads next to a running server sees everything: the server's merges do not know of this reader, and give
    /// merged samples later commits.
    pub(crate) fn pinned(&self, archive: ArchiveId, resume: Option<Cursor>) -> Result<u64, Fault> {
        if self.is_reader {
            return Ok(i64::MAX.cast_unsigned());
        }
        let Some(cursor) = resume else { return Ok(self.visible()) };
        let forgotten = self.forgotten.lock().get(&archive).copied().unwrap_or(0);
        let is_removed = cursor.time.0 <= self.removed.load(Ordering::Acquire);
        let is_expired = forgotten > cursor.as_of || self.has_expired(cursor.as_of) || is_removed;
        if is_expired { Err(Fault::Expired) } else { Ok(cursor.as_of) }
    }

    /// Maintenance that started meanwhile may have dropped versions that a read of this commit has yet to see.
    pub(crate) fn has_expired(&self, as_of: u64) -> bool {
        as_of < self.floor.load(Ordering::Acquire)
    }
}

fn some_time(ticks: i64) -> Option<UaTime> {
    (ticks != 0).then_some(UaTime(ticks))
}
