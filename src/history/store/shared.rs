//! What the store's threads share: the head, the catalogue, the counters.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::head::{Head, Tombstone};
use super::journal::{Journal, Replay, Replayed};
use super::keeper::Keeper;
use super::meta::Meta;
use super::queue::Queue;
use super::rows::Rows;
use super::settings::{LANE, Settings};
use super::trouble::fault;
use crate::history::{ArchiveId, ArchiveSpec, Cursor, Fault, Row, Span, Stats};
use crate::value::UaTime;

#[derive(Default)]
pub struct Heads {
    pub active: Head,
    /// On its way into blocks.
    pub frozen: Option<Arc<Head>>,
}

/// How long archives keep, by id, in ticks of 100 ns.
#[derive(Default)]
pub struct Floors {
    keep: Vec<Option<i64>>,
}

impl Floors {
    pub fn knows(&self, archive: ArchiveId) -> bool {
        self.keep(archive).is_some()
    }

    fn keep(&self, archive: ArchiveId) -> Option<i64> {
        self.keep.get(archive.0 as usize).copied().flatten()
    }

    /// The oldest time that is kept.
    pub fn floor(&self, archive: ArchiveId, now: UaTime) -> UaTime {
        UaTime(now.0.saturating_sub(self.keep(archive).unwrap_or(0)))
    }

    fn set(&mut self, archive: ArchiveId, spec: &ArchiveSpec) {
        let at = archive.0 as usize;
        if at >= self.keep.len() {
            self.keep.resize(at + 1, None);
        }
        self.keep[at] = Some(i64::try_from(spec.keep.as_nanos() / 100).unwrap_or(i64::MAX));
    }
}

pub struct Shared {
    pub settings: Settings,
    pub queue: Queue,
    pub keeper: Keeper,
    pub heads: RwLock<Heads>,
    pub meta: Mutex<Meta>,
    pub floors: RwLock<Floors>,
    archives: RwLock<BTreeMap<ArchiveId, ArchiveSpec>>,
    /// The newest commit that readers see.
    pub visible: AtomicU64,
    /// Journal rows up to here are in blocks.
    pub trim: AtomicU64,
    pub last_commit: AtomicI64,
    found_commit: AtomicI64,
    /// Held by an edit from its first look to its end, and by a flush while it freezes the head.
    pub edits: Mutex<()>,
    /// Commits at which the log of an archive was deleted in part.
    pub forgotten: Mutex<HashMap<ArchiveId, u64>>,
    too_old: AtomicU64,
    unknown: AtomicU64,
    pub damaged: AtomicU64,
    stopped: Mutex<Option<String>>,
}

impl Shared {
    pub fn new(settings: Settings, meta: Meta) -> Result<Shared, Fault> {
        let shared = Shared {
            queue: Queue::new(settings.queue_rows),
            keeper: Keeper::default(),
            heads: RwLock::default(),
            floors: RwLock::default(),
            archives: RwLock::default(),
            visible: AtomicU64::new(0),
            trim: AtomicU64::new(0),
            last_commit: AtomicI64::new(0),
            found_commit: AtomicI64::new(0),
            edits: Mutex::default(),
            forgotten: Mutex::default(),
            too_old: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            stopped: Mutex::default(),
            meta: Mutex::new(meta),
            settings,
        };
        let archives = shared.meta.lock().archives()?;
        for id in &archives.damaged {
            log::error!("history in {}: archive {id} in meta.db is damaged", shared.settings.path.display());
        }
        shared.damaged.store(archives.damaged.len() as u64, Ordering::Relaxed);
        shared.note_archives(archives.known.into_iter());
        Ok(shared)
    }

    /// Takes what the journal holds into the head.
    pub fn start(&self, journal: &Journal) -> Result<Replay, Fault> {
        let replay = self.replay(journal)?;
        self.visible.store(replay.last, Ordering::Release);
        let time = replay.last_commit.map_or(0, |time| time.0);
        self.found_commit.store(time, Ordering::Relaxed);
        self.last_commit.store(time, Ordering::Relaxed);
        Ok(replay)
    }

    /// Builds the head from what is on disk.
    pub fn replay(&self, journal: &Journal) -> Result<Replay, Fault> {
        let base = 0;
        let mut head = Head::after(base);
        let mut edits = Vec::new();
        let replay = journal.replay(&mut |seq, replayed| match replayed {
            Replayed::Samples(rows) => rows.into_iter().for_each(|row| {
                head.push(row.archive, row.sample, seq);
            }),
            Replayed::Edit(edit) => {
                head.apply(&edit, seq);
                edits.push((seq, edit));
            }
            Replayed::Damaged(what) => {
                log::error!("{}: commit {seq} is lost: {what}", journal.path().display());
            }
        })?;
        self.damaged.fetch_add(replay.damaged.len() as u64, Ordering::Relaxed);
        let mut meta = self.meta.lock();
        edits.iter().try_for_each(|(seq, edit)| meta.log_edit(edit, *seq))?;
        self.heads.write().active = head;
        Ok(replay)
    }

    pub fn note_archives(&self, archives: impl Iterator<Item = (ArchiveId, ArchiveSpec)>) {
        let (mut floors, mut known) = (self.floors.write(), self.archives.write());
        for (id, spec) in archives {
            floors.set(id, &spec);
            known.insert(id, spec);
        }
    }

    pub fn archives(&self) -> Vec<(ArchiveId, ArchiveSpec)> {
        self.archives.read().iter().map(|(id, spec)| (*id, spec.clone())).collect()
    }

    pub fn found_commit(&self) -> Option<UaTime> {
        some_time(self.found_commit.load(Ordering::Relaxed))
    }

    /// Takes out what is older than its archive keeps, and counts it.
    pub fn refuse_too_old(&self, batches: &mut VecDeque<Vec<Row>>, now: UaTime) {
        let floors = self.floors.read();
        let keeps = |row: &Row| {
            floors.keep(row.archive).is_some_and(|keep| row.sample.source_time.0 >= now.0.saturating_sub(keep))
        };
        for rows in batches {
            if rows.iter().all(keeps) {
                continue;
            }
            let unknown = rows.iter().filter(|row| !floors.knows(row.archive)).count();
            let before = rows.len();
            rows.retain(keeps);
            self.unknown.fetch_add(unknown as u64, Ordering::Relaxed);
            self.too_old.fetch_add((before - rows.len() - unknown) as u64, Ordering::Relaxed);
        }
    }

    /// The commit up to which a read sees; a read that goes on sees what its first page saw.
    pub fn pinned(&self, archive: ArchiveId, resume: Option<Cursor>) -> Result<u64, Fault> {
        let Some(cursor) = resume else { return Ok(self.visible.load(Ordering::Acquire)) };
        let forgotten = self.forgotten.lock().get(&archive).copied().unwrap_or(0);
        if forgotten > cursor.as_of { Err(Fault::Expired) } else { Ok(cursor.as_of) }
    }

    /// The head's samples of a span, frozen and active, and what edits cleared there.
    pub fn head_rows(&self, archive: ArchiveId, span: Span, tombstones: &mut Vec<Tombstone>) -> Vec<Rows> {
        let heads = self.heads.read();
        let mut parts = Vec::new();
        for head in heads.frozen.as_deref().into_iter().chain([&heads.active]) {
            tombstones.extend_from_slice(head.tombstones(archive));
            parts.push(head.rows(archive, span));
        }
        parts
    }

    pub fn is_flush_due(&self) -> bool {
        let heads = self.heads.read();
        let head = &heads.active;
        head.samples >= self.settings.head_samples || head.longest_lane >= LANE || head.is_full_of_commits()
    }

    /// Why nothing may be recorded for want of room.
    pub fn room_needed(&self) -> Option<String> {
        let path = &self.settings.path;
        let free = match rustix::fs::statvfs(path) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
            Err(error) => return Some(format!("{}: {error}", path.display())),
        };
        let floor = self.settings.min_free;
        (free < floor).then(|| {
            format!("{} MiB are free on the disk of {}, less than {} MiB", free >> 20, path.display(), floor >> 20)
        })
    }

    /// Tells why nothing is recorded, or that it is again; logs the change.
    pub fn stop(&self, reason: Option<String>) {
        let mut stopped = self.stopped.lock();
        match (&*stopped, &reason) {
            (None, Some(reason)) => log::error!("history is not recorded: {reason}"),
            (Some(_), None) => log::info!("history is recorded again"),
            (Some(_), Some(_)) | (None, None) => {}
        }
        *stopped = reason;
    }

    pub fn stopped_fault(&self) -> Fault {
        match &*self.stopped.lock() {
            Some(reason) => fault(&self.settings.path, reason, "recording goes on by itself once that is mended"),
            None => Fault::Closed,
        }
    }

    pub fn stats(&self) -> Stats {
        let (queued, dropped) = self.queue.counts();
        let heads = self.heads.read();
        let frozen = heads.frozen.as_deref();
        let in_memory = heads.active.samples + frozen.map_or(0, |head| head.samples);
        let extents = [heads.active.extent(), frozen.and_then(Head::extent)];
        let extent = extents.into_iter().flatten().reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
        Stats {
            archives: self.archives.read().len() as u64,
            samples: in_memory as u64,
            oldest: extent.map(|extent| UaTime(extent.0)),
            newest: extent.map(|extent| UaTime(extent.1)),
            queued,
            dropped: dropped + self.unknown.load(Ordering::Relaxed),
            too_old: self.too_old.load(Ordering::Relaxed),
            damaged_blocks: self.damaged.load(Ordering::Relaxed),
            stopped: self.stopped.lock().clone(),
            last_commit: some_time(self.last_commit.load(Ordering::Relaxed)),
            ..Stats::default()
        }
    }
}

fn some_time(ticks: i64) -> Option<UaTime> {
    (ticks != 0).then_some(UaTime(ticks))
}
