//! The embedded store: history kept by the server itself, in SQLite files that hold compressed blocks.
//!
//! ```text
//! append ─► queue ─► journal.db (one transaction a commit) ─► head (memory)
//!                                                               │ flush
//! page · scan · at ◄── head + blocks ◄── 2026-11-21.db …  ◄─────┘ merge, retention
//! ```
//! A sample is durable once its commit is in the journal. It leaves the journal when it is in a block. Each partition
//! holds the number up to which it has all commits, so that a replay after a crash takes no sample twice.

mod archives;
mod batch;
mod block;
mod bytes;
mod clock_watch;
mod commits;
mod condition;
mod edit;
mod fetch;
mod files;
mod flush;
mod head;
mod heads;
mod journal;
mod maintenance;
mod maintenance_signal;
mod maintenance_thread;
mod manifest;
mod mark;
mod merge;
mod meta;
mod modified;
mod partition;
mod partitions;
mod queue;
mod read;
mod replay;
mod retention;
mod rewrite;
mod rows;
mod settings;
mod shared;

mod tombstone;
mod trouble;
mod verify;
mod visible;
mod wal;
mod walk;
mod writer;
mod writers;

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use opcua::StatusCode;
use parking_lot::Mutex;

pub(crate) use meta::FILE as META_FILE;
pub(crate) use settings::Bounds;
pub use settings::{OnFull, Partition, Settings};
pub(crate) use verify::Finding;

use crate::history::{
    Annotation, AnnotationEdit, ArchiveId, ArchiveSpec, Cursor, Direction, Edit, Fault, Historian, ModifiedPage, Page,
    Row, Span, Stats, Visitor, Who,
};
use crate::value::{Sample, UaTime};
use edit::Present;
use journal::Journal;
use meta::Meta;
use modified::LogQuery;
use queue::PendingEdit;
use settings::Effort;
use shared::Shared;
use writer::Writer;

/// Samples that one record of the journal deletes, about.
const AT_ONCE: usize = 50_000;

pub struct Store {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// `None` when the store was opened for reading next to a running server.
    lock: Mutex<Option<File>>,
}

impl Store {
    /// Opens or makes the store of a folder, for this process alone.
    pub fn open(settings: Settings) -> Result<Arc<Store>, Fault> {
        let lock = files::lock(&settings.path)?;
        files::finish_renewal(&settings.path.join(journal::FILE))?;
        let meta = Meta::open(&settings.path)?;
        let shared = Arc::new(Shared::new(settings, meta, false)?);
        rewrite::clear_up(&shared)?;
        shared.read_marks()?;
        let (journal, replay) = shared.open_journal()?;
        shared.start(&replay);
        let mut threads = Vec::new();
        let writer = Writer::new(Arc::clone(&shared), journal, replay.last + 1);
        threads.push(spawn("history writer", move || writer.run(), &shared)?);
        let maintained = Arc::clone(&shared);
        threads.push(spawn("history keeper", move || maintenance_thread::run(&maintained), &shared)?);
        Ok(Arc::new(Store { shared, threads: Mutex::new(threads), lock: Mutex::new(Some(lock)) }))
    }

    /// Opens a store for reading, also next to a running server; sees the commits up to now, and never writes.
    pub fn open_to_read(path: &Path) -> Result<Arc<Store>, Fault> {
        let meta = Meta::open_to_read(path)?;
        let journal = Journal::open_to_read(path)?;
        let shared = Arc::new(Shared::new(Settings::new(path), meta, true)?);
        shared.read_marks()?;
        let replay = shared.replay(&journal)?;
        shared.start(&replay);
        shared.queue.close();
        shared.queue.end();
        Ok(Arc::new(Store { shared, threads: Mutex::default(), lock: Mutex::new(None) }))
    }

    /// Takes other bounds from now on.
    pub fn take(&self, bounds: Bounds) {
        self.shared.take(bounds);
    }

    pub fn folder(&self) -> &Path {
        &self.shared.settings.path
    }

    /// Time of the newest commit that was found when the store was opened.
    pub fn last_commit(&self) -> Option<UaTime> {
        self.shared.commits.found_time()
    }

    /// All archives, in the order in which they were made.
    pub fn archives(&self) -> Vec<(ArchiveId, ArchiveSpec)> {
        self.shared.archives.specs()
    }

    /// Commits waiting samples and writes all samples in memory into blocks.
    pub fn flush(&self) -> Result<(), Fault> {
        self.commit()?;
        let _writes = self.shared.block_writes.lock();
        flush::flush(&self.shared)
    }

    /// Reads everything and returns the damage.
    pub fn verify(&self) -> Vec<Finding> {
        verify::verify(&self.shared)
    }

    /// Lets `tidy` judge ages by the clock at once, without watching it for an hour first.
    pub fn trust_clock(&self, now: UaTime) {
        self.shared.clock.lock().trust(Instant::now(), now);
    }

    /// Merges small blocks, compacts partitions whose time is over, and removes old data: by age only once the clock
    /// has run steadily for an hour.
    pub fn tidy(&self, now: UaTime) -> Result<(), Fault> {
        let _writes = self.shared.block_writes.lock();
        maintenance::maintain(&self.shared, now, Effort::Usual)
    }

    /// Writes everything as small as possible. Reads that take several pages expire.
    pub fn compact(&self) -> Result<(), Fault> {
        self.flush()?;
        let _writes = self.shared.block_writes.lock();
        maintenance::maintain(&self.shared, UaTime::now(), Effort::All)
    }

    /// Commits waiting samples, writes them into blocks, and closes. Later samples are dropped and counted.
    pub fn close(&self) {
        self.shared.queue.close();
        self.shared.maintenance.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                log::error!("history in {}: a thread of the store panicked", self.shared.settings.path.display());
            }
        }
        if self.lock.lock().take().is_some() {
            let _writes = self.shared.block_writes.lock();
            if let Err(fault) = flush::flush(&self.shared) {
                log::error!("{fault}; what is in memory stays in the journal");
            }
        }
    }

    /// Deletes a span in parts: all of a long one would be in memory at once.
    fn delete_span(&self, archive: ArchiveId, span: Range<UaTime>, who: &Who) -> Result<StatusCode, Fault> {
        let Range { mut start, end } = span;
        let last = UaTime(end.0.saturating_sub(1));
        let mut outcome = StatusCode::BadNoData;
        loop {
            let part = self.page(archive, Span { first: start, last }, Direction::Forward, AT_ONCE, None)?;
            let until = part.resume.map_or(end, |cursor| UaTime(cursor.time.0.saturating_add(1)));
            let edit = Edit::DeleteRaw { start, end: until };
            if self.edit_at_once(archive, &edit, who)?.iter().all(|status| status.is_good()) {
                outcome = StatusCode::Good;
            }
            if part.resume.is_none() {
                return Ok(outcome);
            }
            start = until;
        }
    }

    /// One record of the journal.
    fn edit_at_once(&self, archive: ArchiveId, edit: &Edit, who: &Who) -> Result<Vec<StatusCode>, Fault> {
        // One edit at a time: what it finds must still be so when it is committed.
        let _turn = self.shared.edits.lock();
        self.commit()?;
        let present = AsItIs { store: self, archive };
        let floor = self.shared.archives.retention().floor(archive, UaTime::now());
        let outcome = edit::plan(archive, edit, who, floor, &present)?;
        if !outcome.record.is_empty() {
            let (done, heard) = mpsc::channel();
            self.shared.queue.edit(PendingEdit { record: outcome.record.clone(), done });
            let seq = heard.recv().map_err(|_| self.shared.stopped_fault())?;
            self.shared.meta.lock().log_edit(&outcome.record, seq)?;
            if outcome.record.forget.is_some() {
                self.shared.commits.note_forgotten(archive, seq);
            }
        }
        Ok(outcome.statuses)
    }

    fn known(&self, archive: ArchiveId) -> Result<(), Fault> {
        if self.shared.archives.knows(archive) { Ok(()) } else { Err(Fault::UnknownArchive) }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static, shared: &Shared) -> Result<JoinHandle<()>, Fault> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(trouble::io_fault(&shared.settings.path))
}

impl Historian for Store {
    fn register(&self, specs: &[ArchiveSpec]) -> Result<Vec<ArchiveId>, Fault> {
        if self.shared.is_reader() {
            return Err(Fault::Closed);
        }
        let ids = self.shared.meta.lock().register(specs)?;
        self.shared.archives.note(ids.iter().copied().zip(specs.iter().cloned()));
        Ok(ids)
    }

    fn append(&self, rows: &mut Vec<Row>) {
        self.shared.queue.append(rows);
    }

    fn commit(&self) -> Result<(), Fault> {
        if self.shared.queue.commit() { Ok(()) } else { Err(self.shared.stopped_fault()) }
    }

    fn page(
        &self,
        archive: ArchiveId,
        span: Span,
        direction: Direction,
        limit: usize,
        resume: Option<Cursor>,
    ) -> Result<Page, Fault> {
        self.known(archive)?;
        read::page(&self.shared, archive, span, direction, limit, resume)
    }

    fn scan(&self, archive: ArchiveId, span: Span, visitor: &mut dyn Visitor) -> Result<(), Fault> {
        self.known(archive)?;
        read::scan(&self.shared, archive, span, visitor)
    }

    fn at(&self, archive: ArchiveId, times: &[UaTime]) -> Result<Vec<Option<Sample>>, Fault> {
        self.known(archive)?;
        times.iter().map(|time| read::at(&self.shared, archive, *time)).collect()
    }

    fn modified(
        &self,
        archive: ArchiveId,
        span: Span,
        direction: Direction,
        limit: usize,
        resume: Option<Cursor>,
    ) -> Result<ModifiedPage, Fault> {
        self.known(archive)?;
        let as_of = self.shared.commits.pinned(archive, resume)?;
        self.shared.meta.lock().modified(&LogQuery { archive, span, direction, limit, as_of, resume })
    }

    fn noted(&self, archive: ArchiveId, span: Span) -> Result<Vec<UaTime>, Fault> {
        self.known(archive)?;
        self.shared.meta.lock().noted(archive, span)
    }

    fn edit(&self, archive: ArchiveId, edit: &Edit, who: &Who) -> Result<Vec<StatusCode>, Fault> {
        self.known(archive)?;
        if self.shared.is_reader() {
            return Err(Fault::Closed);
        }
        match *edit {
            Edit::DeleteRaw { start, end } => self.delete_span(archive, start..end, who).map(|status| vec![status]),
            _ => self.edit_at_once(archive, edit, who),
        }
    }

    fn annotations(&self, archive: ArchiveId, span: Span) -> Result<Vec<Annotation>, Fault> {
        self.known(archive)?;
        self.shared.meta.lock().annotations(archive, span)
    }

    fn annotate(&self, archive: ArchiveId, edit: &AnnotationEdit, _: &Who) -> Result<Vec<StatusCode>, Fault> {
        self.known(archive)?;
        if self.shared.is_reader() {
            return Err(Fault::Closed);
        }
        self.shared.meta.lock().annotate(archive, edit)
    }

    fn extent(&self, archive: ArchiveId) -> Result<Option<(UaTime, UaTime)>, Fault> {
        let first = self.page(archive, Span::ALL, Direction::Forward, 1, None)?;
        let last = self.page(archive, Span::ALL, Direction::Backward, 1, None)?;
        let time = |page: &Page| page.samples.first().map(|sample| sample.source_time);
        Ok(time(&first).zip(time(&last)))
    }

    fn stats(&self) -> Stats {
        self.shared.stats()
    }
}

/// Decodes bytes as each part of the files, for the fuzzer.
pub fn fuzz(bytes: &[u8]) {
    let count = bytes.first().map_or(1, |byte| usize::from(*byte) * 17);
    let rest = bytes.get(1..).unwrap_or_default();
    let mut rows = 0usize;
    let outcomes = [
        block::decode_all(rest, count),
        block::decode_data(rest, count),
        batch::decode_samples(rest, &mut |_| rows += 1).map(|()| rows),
        batch::decode_edit(rest).map(|edit| edit.put.len()),
    ];
    assert!(outcomes.iter().flatten().all(|decoded| *decoded <= rest.len().saturating_mul(4096)));
}

/// Well-formed input for the fuzzer: the count that `fuzz` asks for, then a block's parts or a batch.
pub fn fuzz_seeds() -> Vec<Vec<u8>> {
    block::seeds().into_iter().chain(batch::seeds()).collect()
}

/// The archive as the last commit left it.
struct AsItIs<'a> {
    store: &'a Store,
    archive: ArchiveId,
}

impl Present for AsItIs<'_> {
    fn at(&self, time: UaTime) -> Result<Option<Sample>, Fault> {
        read::at(&self.store.shared, self.archive, time)
    }

    fn within(&self, span: Span) -> Result<Vec<Sample>, Fault> {
        Ok(read::page(&self.store.shared, self.archive, span, Direction::Forward, 0, None)?.samples)
    }

    fn has_modified(&self, span: Span) -> Result<bool, Fault> {
        self.store.shared.meta.lock().has_modified(self.archive, span)
    }
}
