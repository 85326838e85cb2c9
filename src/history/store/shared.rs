//! What the store's threads share: the head, the catalogue, the counters.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use super::files;
use super::head::{Head, Tombstone};
use super::house::Effort;
use super::journal::Replay;
use super::keeper::Keeper;
use super::meta::Meta;
use super::partition::{Book, Key, Mark, Name, has_day};
use super::queue::Queue;
use super::retention::Steadiness;
use super::rows::Rows;
use super::settings::{LANE, Partition, Settings};
use super::shelf::Shelf;
use super::trouble::{fault, sql_fault, tells_of_damage};
use crate::history::{ArchiveId, ArchiveSpec, Cursor, Fault, Row, Span, Stats};
use crate::logging;
use crate::value::UaTime;

/// What is kept longer than 90 days, in ticks, goes by months.
const LONG: i64 = 90 * 24 * 3600 * 10_000_000;
/// Partitions that stay open for writing.
const MOST_BOOKS: usize = 4;
/// Damaged blocks that are remembered one by one.
const MOST_TOLD: usize = 100_000;

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

    /// What each archive keeps, in ticks.
    pub fn all(&self) -> impl Iterator<Item = (ArchiveId, i64)> {
        self.keep.iter().zip(0..).filter_map(|(keep, id)| Some((ArchiveId(id), (*keep)?)))
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
    pub shelf: Shelf,
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
    /// When the head was flushed, and up to which commit.
    flushes: Mutex<VecDeque<(Instant, u64)>>,
    /// What was in blocks when the store was opened.
    pub found_seq: AtomicU64,
    /// Reads that began at an earlier commit cannot go on.
    pub pin_floor: AtomicU64,
    /// Samples up to here were let go.
    pub retired: AtomicI64,
    /// The store takes more than it may.
    pub is_full: AtomicBool,
    bytes: AtomicU64,
    /// Files out of which archives of a shorter age were taken.
    pub thinned: Mutex<HashSet<(Name, i64)>>,
    pub steadiness: Mutex<Steadiness>,
    /// Held while blocks are written.
    pub house: Mutex<()>,
    books: Mutex<Vec<(Name, Book)>>,
    /// Partitions whose book was not given back: a change to them has failed.
    suspects: Mutex<BTreeSet<Name>>,
    /// Commits at which the log of an archive was deleted in part.
    pub forgotten: Mutex<HashMap<ArchiveId, u64>>,
    too_old: AtomicU64,
    unknown: AtomicU64,
    pub damaged: AtomicU64,
    /// Damage that was told of.
    told: Mutex<HashSet<(PathBuf, i64)>>,
    stopped: Mutex<Option<String>>,
    flush_fault: Mutex<Option<String>>,
    is_reader: bool,
}

impl Shared {
    pub fn new(settings: Settings, meta: Meta, is_reader: bool) -> Result<Shared, Fault> {
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
            flushes: Mutex::default(),
            found_seq: AtomicU64::new(0),
            pin_floor: AtomicU64::new(0),
            retired: AtomicI64::new(i64::MIN),
            is_full: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            thinned: Mutex::default(),
            steadiness: Mutex::default(),
            house: Mutex::default(),
            books: Mutex::default(),
            suspects: Mutex::default(),
            is_reader,
            forgotten: Mutex::default(),
            too_old: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            told: Mutex::default(),
            shelf: Shelf::open(&settings.path)?,
            stopped: Mutex::default(),
            flush_fault: Mutex::default(),
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

    /// Makes the store ready with what the journal gave.
    pub fn start(&self, replay: &Replay) {
        self.visible.store(replay.last, Ordering::Release);
        let time = replay.last_commit.map_or(0, |time| time.0);
        self.found_commit.store(time, Ordering::Relaxed);
        self.last_commit.store(time, Ordering::Relaxed);
        self.measure();
    }

    /// What all partitions say of themselves.
    pub fn read_marks(&self) -> Result<(), Fault> {
        for volume in self.shelf.volumes() {
            let mark = match self.shelf.reader(&volume) {
                Ok(Some(reader)) => Mark::read(reader.connection()).map_err(sql_fault(&volume.path)),
                Ok(None) => Ok(None),
                Err(fault) => Err(fault),
            };
            match mark {
                Ok(mark) => {
                    let mark = mark.unwrap_or_default();
                    self.found_seq.fetch_max(mark.seq, Ordering::AcqRel);
                    *volume.facts.lock() = mark;
                }
                Err(fault) if tells_of_damage(&fault) => self.note_damage(&volume.path, -1, &fault.to_string()),
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    pub fn note_archives(&self, archives: impl Iterator<Item = (ArchiveId, ArchiveSpec)>) {
        let (mut floors, mut known) = (self.floors.write(), self.archives.write());
        for (id, spec) in archives {
            floors.set(id, &spec);
            known.insert(id, spec);
        }
    }

    /// The kind of partition that takes an archive's samples.
    pub fn family(&self, archive: ArchiveId) -> Partition {
        let by_age = || {
            let keeps_long = self.floors.read().keep(archive).is_some_and(|keep| keep > LONG);
            if keeps_long { Partition::Month } else { Partition::Day }
        };
        self.settings.partition.unwrap_or_else(by_age)
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
            let time = row.sample.source_time.0;
            has_day(time) && floors.keep(row.archive).is_some_and(|keep| time >= now.0.saturating_sub(keep))
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

    /// Up to which commit a partition has everything that belongs there; 0 when that cannot be told.
    pub fn mark(&self, key: Key) -> u64 {
        self.shelf.current(key).map_or(0, |volume| volume.facts.lock().seq)
    }

    /// The commit up to which a read sees; a read that goes on sees what its first page saw. Beside a running server
    /// everything is seen: its merges know nothing of this reader, and give samples the commits of later ones.
    pub fn pinned(&self, archive: ArchiveId, resume: Option<Cursor>) -> Result<u64, Fault> {
        if self.is_reader {
            return Ok(i64::MAX.cast_unsigned());
        }
        let Some(cursor) = resume else { return Ok(self.visible.load(Ordering::Acquire)) };
        let forgotten = self.forgotten.lock().get(&archive).copied().unwrap_or(0);
        let is_over = forgotten > cursor.as_of
            || cursor.as_of < self.pin_floor.load(Ordering::Acquire)
            || cursor.time.0 <= self.retired.load(Ordering::Acquire);
        if is_over { Err(Fault::Expired) } else { Ok(cursor.as_of) }
    }

    /// A merge that began meanwhile may have taken what a read of this commit was about to see.
    pub fn is_over(&self, as_of: u64) -> bool {
        as_of < self.pin_floor.load(Ordering::Acquire)
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

    /// A partition opened for writing; made when there is none.
    pub fn book(&self, name: Name) -> Result<Book, Fault> {
        let mut books = self.books.lock();
        let known = books.iter().position(|(known, _)| *known == name).map(|at| books.swap_remove(at).1);
        let mut book = match known {
            Some(book) => book,
            None => Book::open(self.shelf.path(name))?,
        };
        book.is_sound = false;
        self.suspects.lock().insert(name);
        Ok(book)
    }

    /// Keeps a partition open for the next time.
    pub fn keep_book(&self, name: Name, mut book: Book) {
        book.is_sound = true;
        self.suspects.lock().remove(&name);
        if let Ok(Some(mark)) = book.mark() {
            self.shelf.note(name, mark);
        }
        let mut books = self.books.lock();
        books.push((name, book));
        if books.len() > MOST_BOOKS {
            books.remove(0);
        }
    }

    /// Partitions to which a change has failed.
    pub fn suspects(&self) -> Vec<Name> {
        self.suspects.lock().iter().copied().collect()
    }

    fn is_overfull(&self) -> bool {
        self.heads.read().active.samples > self.settings.head_samples.saturating_mul(2)
    }

    /// There is more in memory than there should be, and a flush will help.
    pub fn is_behind(&self) -> bool {
        self.is_overfull() && self.flush_fault.lock().is_none()
    }

    /// Why memory cannot be emptied, once there is too much in it.
    pub fn flush_fault(&self) -> Option<String> {
        if self.is_overfull() { self.flush_fault.lock().clone() } else { None }
    }

    /// What was to be written into blocks still waits.
    pub fn flush_failed(&self) -> bool {
        self.flush_fault.lock().is_some()
    }

    /// How the last flush went; a change is logged.
    pub fn note_flush_fault(&self, fault: Option<String>) {
        let mut known = self.flush_fault.lock();
        match (&*known, &fault) {
            (before, Some(fault)) if before.as_ref() != Some(fault) => {
                let line = format_args!("{fault}; its samples stay in the journal");
                logging::limited(log::Level::Error, "history not flushed", None, line);
            }
            (Some(_), None) => {
                let line = format_args!("history is written into blocks again");
                logging::limited(log::Level::Info, "history flushed", None, line);
            }
            (Some(_) | None, _) => {}
        }
        *known = fault;
    }

    /// Closes a partition's file.
    pub fn forget_book(&self, name: Name) {
        self.suspects.lock().remove(&name);
        self.books.lock().retain(|(known, _)| *known != name);
    }

    /// Puts a partition's damaged file aside: it is still read, and no longer written.
    pub fn set_aside(&self, key: Key) -> Result<(), Fault> {
        let Ok(volume) = self.shelf.current(key) else { return Ok(()) };
        self.forget_book(volume.name);
        self.damaged.fetch_add(1, Ordering::Relaxed);
        let name = Name { is_damaged: true, ..volume.name };
        files::rename(&volume.path, &self.shelf.path(name))?;
        self.shelf.replace(&volume, Some(name));
        Ok(())
    }

    /// Notes that everything up to this commit is in blocks.
    pub fn note_flush(&self, seq: u64) {
        let mut flushes = self.flushes.lock();
        flushes.push_back((Instant::now(), seq));
        // The newest that is old enough is all that is asked for.
        while flushes.len() > 1 && flushes[1].0.elapsed() >= self.settings.pin {
            flushes.pop_front();
        }
    }

    /// Up to which commit nobody who goes on reading asks for what was before.
    pub fn horizon(&self, effort: Effort) -> u64 {
        let flushes = self.flushes.lock();
        let is_due = |(at, _): &&(Instant, u64)| effort == Effort::All || at.elapsed() >= self.settings.pin;
        flushes
            .iter()
            .filter(is_due)
            .map(|(_, seq)| *seq)
            .max()
            .unwrap_or(0)
            .max(self.found_seq.load(Ordering::Acquire))
    }

    /// The clock runs steadily enough to judge ages by.
    pub fn trusts_clock(&self, now: UaTime) -> bool {
        self.steadiness.lock().is_steady(Instant::now(), now)
    }

    /// What the longest-kept archive keeps, in ticks.
    pub fn longest_keep(&self) -> Option<i64> {
        self.floors.read().keep.iter().flatten().copied().max()
    }

    /// Bytes of all files, measured now.
    pub fn measure(&self) -> u64 {
        let entries = std::fs::read_dir(&self.settings.path).into_iter().flatten().flatten();
        let bytes = entries.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum();
        self.bytes.store(bytes, Ordering::Relaxed);
        bytes
    }

    /// The files belong to another process, or to none.
    pub fn is_reader(&self) -> bool {
        self.is_reader
    }

    pub fn is_flush_due(&self) -> bool {
        let heads = self.heads.read();
        let head = &heads.active;
        head.samples >= self.settings.head_samples || head.longest_lane >= LANE || head.is_full_of_commits()
    }

    /// Why nothing may be recorded for want of room.
    pub fn room_needed(&self) -> Option<String> {
        let path = &self.settings.path;
        if self.is_full.load(Ordering::Acquire) {
            let most = self.settings.max_size >> 20;
            return Some(format!("the history in {} takes more than {most} MiB", path.display()));
        }
        let free = match rustix::fs::statvfs(path) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
            Err(error) => return Some(format!("{}: {error}", path.display())),
        };
        let floor = self.settings.min_free;
        (free < floor).then(|| {
            format!("{} MiB are free on the disk of {}, less than {} MiB", free >> 20, path.display(), floor >> 20)
        })
    }

    /// Tells of damage, once.
    pub fn note_damage(&self, path: &Path, place: i64, what: &str) {
        let mut told = self.told.lock();
        if told.len() < MOST_TOLD && told.insert((path.to_owned(), place)) {
            self.damaged.fetch_add(1, Ordering::Relaxed);
            log::error!("{}: block {place:#x}: {what}; it reads as BadDataLost", path.display());
        }
    }

    /// Tells why nothing is recorded, or that it is again; logs the change.
    pub fn stop(&self, reason: Option<String>) {
        let mut stopped = self.stopped.lock();
        match (&*stopped, &reason) {
            (None, Some(reason)) => {
                let line = format_args!("history is not recorded: {reason}");
                logging::limited(log::Level::Error, "history stopped", None, line);
            }
            (Some(_), None) => {
                let line = format_args!("history is recorded again");
                logging::limited(log::Level::Info, "history recorded", None, line);
            }
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
        let volumes = self.shelf.volumes();
        let marks: Vec<Mark> = volumes.iter().map(|volume| *volume.facts.lock()).collect();
        let on_disk: i64 = marks.iter().map(|mark| mark.samples).sum();
        let stretches = marks.iter().filter(|mark| mark.last != 0).map(|mark| (mark.first, mark.last));
        let in_memory = heads.active.samples + frozen.map_or(0, |head| head.samples);
        let extents = [heads.active.extent(), frozen.and_then(Head::extent)];
        let extent =
            extents.into_iter().flatten().chain(stretches).reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
        Stats {
            archives: self.archives.read().len() as u64,
            samples: in_memory as u64 + on_disk.max(0).cast_unsigned(),
            bytes_on_disk: self.bytes.load(Ordering::Relaxed),
            partitions: volumes.len() as u64,
            oldest: extent.map(|extent| UaTime(extent.0)),
            newest: extent.map(|extent| UaTime(extent.1)),
            queued,
            dropped: dropped + self.unknown.load(Ordering::Relaxed),
            too_old: self.too_old.load(Ordering::Relaxed),
            damaged_blocks: self.damaged.load(Ordering::Relaxed),
            stopped: self.stopped.lock().clone(),
            last_commit: some_time(self.last_commit.load(Ordering::Relaxed)),
        }
    }
}

fn some_time(ticks: i64) -> Option<UaTime> {
    (ticks != 0).then_some(UaTime(ticks))
}
