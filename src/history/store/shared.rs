//! The parts of a store that its threads share.
//!
//! Lock order: `block_writes`, `edits`, `archives`, `meta`, `heads`. The locks inside the other parts are taken last and
//! never held while another is taken. One exception: a flush holds `block_writes` and waits for `edits` for a bounded
//! time only, because an edit waits for the writer, which may need `block_writes` to read the journal again.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use super::archives::Archives;
use super::clock_watch::ClockWatch;
use super::commits::Commits;
use super::condition::Condition;
use super::heads::Heads;
use super::journal::Replay;
use super::maintenance_signal::MaintenanceSignal;
use super::meta::Meta;
use super::partition::{Key, Mark, Name};
use super::partitions::Partitions;
use super::queue::Queue;
use super::settings::{Bounds, OnFull, Settings};
use super::trouble::{fault, sql_fault, tells_of_damage};
use super::writers::{Lease, Writers};
use crate::history::{Fault, Stats};
use crate::value::UaTime;

pub(crate) struct Shared {
    /// As they were when the store was opened; `bounds` has the present ones.
    pub settings: Settings,
    bounds: RwLock<Bounds>,
    pub queue: Queue,
    pub maintenance: MaintenanceSignal,
    pub commits: Commits,
    pub archives: Archives,
    pub heads: RwLock<Heads>,
    pub partitions: Partitions,
    pub writers: Writers,
    pub meta: Mutex<Meta>,
    pub condition: Condition,
    /// Held by an edit from its first look to its end, and by a flush while it freezes the head.
    pub edits: Mutex<()>,
    /// Held while blocks are written.
    pub block_writes: Mutex<()>,
    pub clock: Mutex<ClockWatch>,
    /// Partitions from which the archives that keep for this long, in ticks, were already removed.
    pub thinned: Mutex<HashSet<(Name, i64)>>,
    /// The store takes more bytes than `max_size`.
    pub is_full: AtomicBool,
    /// The bounds have changed since the size was last judged.
    pub is_weighing_due: AtomicBool,
    /// Bytes of all files, when they were measured last.
    bytes: AtomicU64,
    is_reader: bool,
}

impl Shared {
    pub(crate) fn new(settings: Settings, meta: Meta, is_reader: bool) -> Result<Shared, Fault> {
        let shared = Shared {
            queue: Queue::new(settings.queue_rows),
            maintenance: MaintenanceSignal::default(),
            commits: Commits::new(settings.pin, is_reader),
            archives: Archives::new(settings.partition),
            heads: RwLock::default(),
            partitions: Partitions::open(&settings.path)?,
            writers: Writers::default(),
            meta: Mutex::new(meta),
            condition: Condition::default(),
            edits: Mutex::default(),
            block_writes: Mutex::default(),
            clock: Mutex::default(),
            thinned: Mutex::default(),
            is_full: AtomicBool::new(false),
            is_weighing_due: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            is_reader,
            bounds: RwLock::new(settings.bounds()),
            settings,
        };
        let archives = shared.meta.lock().archives()?;
        for id in &archives.damaged {
            log::error!("history in {}: archive {id} in meta.db is damaged", shared.settings.path.display());
        }
        shared.condition.count_damage(archives.damaged.len());
        shared.archives.note(archives.known.into_iter());
        Ok(shared)
    }

    pub(crate) fn bounds(&self) -> Bounds {
        *self.bounds.read()
    }

    /// Takes other bounds. Maintenance looks at the size at once.
    pub(crate) fn take(&self, bounds: Bounds) {
        *self.bounds.write() = bounds;
        if bounds.on_full == OnFull::DropOldest {
            self.is_full.store(false, Ordering::Release);
        }
        self.is_weighing_due.store(true, Ordering::Release);
        self.maintenance.wake();
    }

    /// Makes the store ready with the commits that the journal gave.
    pub(crate) fn start(&self, replay: &Replay) {
        self.commits.start(replay.last, replay.last_commit);
        self.measure();
    }

    /// Reads the mark of each partition.
    pub(crate) fn read_marks(&self) -> Result<(), Fault> {
        for partition in self.partitions.all() {
            let mark = match self.partitions.reader(&partition) {
                Ok(Some(reader)) => Mark::read(reader.connection()).map_err(sql_fault(&partition.path)),
                Ok(None) => Ok(None),
                Err(fault) => Err(fault),
            };
            match mark {
                Ok(mark) => {
                    let mark = mark.unwrap_or_default();
                    self.commits.note_found(mark.seq);
                    *partition.facts.lock() = mark;
                }
                Err(fault) if tells_of_damage(&fault) => {
                    self.condition.note_damage(&partition.path, -1, &fault.to_string());
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// The commit up to which a partition has everything that belongs into it; 0 when it is not known.
    pub(crate) fn mark(&self, key: Key) -> u64 {
        self.partitions.current(key).map_or(0, |partition| partition.facts.lock().seq)
    }

    /// Opens a partition for one change; its file is made when there is none.
    pub(crate) fn lease(&self, name: Name) -> Result<Lease<'_>, Fault> {
        self.writers.lease(&self.partitions, name)
    }

    fn is_overfull(&self) -> bool {
        self.heads.read().is_overfull(self.settings.head_samples)
    }

    /// Memory holds more than it should, and a flush will help.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_overfull() && self.condition.flush_fault().is_none()
    }

    /// Why memory cannot be emptied, once it holds too much.
    pub(crate) fn flush_fault(&self) -> Option<String> {
        if self.is_overfull() { self.condition.flush_fault() } else { None }
    }

    pub(crate) fn is_flush_due(&self) -> bool {
        self.heads.read().is_flush_due(self.settings.head_samples)
    }

    /// The clock runs steadily enough to judge ages by.
    pub(crate) fn trusts_clock(&self, now: UaTime) -> bool {
        self.clock.lock().is_steady(Instant::now(), now)
    }

    /// Bytes of all files, measured now.
    pub(crate) fn measure(&self) -> u64 {
        let entries = std::fs::read_dir(&self.settings.path).into_iter().flatten().flatten();
        let bytes = entries.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum();
        self.bytes.store(bytes, Ordering::Relaxed);
        bytes
    }

    /// The files belong to another process, or to none.
    pub(crate) fn is_reader(&self) -> bool {
        self.is_reader
    }

    /// Why nothing can be recorded for lack of room.
    pub(crate) fn room_needed(&self) -> Option<String> {
        let path = &self.settings.path;
        if self.is_full.load(Ordering::Acquire) {
            let most = self.bounds().max_size >> 20;
            return Some(format!("the history in {} takes more than {most} MiB", path.display()));
        }
        let free = match rustix::fs::statvfs(path) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
            Err(error) => return Some(format!("{}: {error}", path.display())),
        };
        let floor = self.bounds().min_free;
        (free < floor).then(|| {
            format!("{} MiB are free on the disk of {}, less than {} MiB", free >> 20, path.display(), floor >> 20)
        })
    }

    pub(crate) fn stopped_fault(&self) -> Fault {
        match self.condition.stopped() {
            Some(reason) => fault(&self.settings.path, &reason, "recording goes on by itself once that is mended"),
            None => Fault::Closed,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let (queued, dropped) = self.queue.counts();
        let partitions = self.partitions.all();
        let marks: Vec<Mark> = partitions.iter().map(|partition| *partition.facts.lock()).collect();
        let on_disk: i64 = marks.iter().map(|mark| mark.samples).sum();
        let extents = marks.iter().filter(|mark| mark.last != 0).map(|mark| (mark.first, mark.last));
        let (in_memory, extent) = {
            let heads = self.heads.read();
            let extent = heads.extents().chain(extents).reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
            (heads.samples(), extent)
        };
        Stats {
            archives: self.archives.count(),
            samples: in_memory as u64 + on_disk.max(0).cast_unsigned(),
            bytes_on_disk: self.bytes.load(Ordering::Relaxed),
            partitions: partitions.len() as u64,
            oldest: extent.map(|extent| UaTime(extent.0)),
            newest: extent.map(|extent| UaTime(extent.1)),
            queued,
            dropped: dropped + self.archives.unknown(),
            too_old: self.archives.too_old(),
            damaged_blocks: self.condition.damaged(),
            stopped: self.condition.stopped(),
            last_commit: self.commits.last_time(),
        }
    }
}
