//! History: samples of tags, kept for years (Part 11, 1.05). All other rooms use it through `Historian`.
//!
//! ```text
//! TagStore ──offer──► gather (classes) ──append──► Historian: store (compressed blocks in SQLite files)
//!                                                     ▲ page · scan · edit
//!                                        aggregate ───┘◄──── ua::services::history, cli
//! ```

pub(crate) mod aggregate;
mod archives;
pub(crate) mod export;
mod gather;
mod query;
pub(crate) mod store;

pub use archives::Archives;
pub use gather::{Gather, SWEEP};
pub use query::{
    Annotation, AnnotationEdit, ArchiveId, ArchiveSpec, Cursor, Direction, Edit, Extreme, Fault, Modification,
    ModifiedPage, Page, Point, Row, Span, Stats, Summary, UpdateKind, Visitor, Who,
};

use opcua::StatusCode;

use crate::value::{Sample, UaTime};

/// A store of samples. All calls may wait for a disk, except `append` and `stats`: call them on a thread that serves
/// nothing else.
pub trait Historian: Send + Sync {
    /// The archives of these tags, in order; made where they are new. An archive is found again by namespace URI,
    /// identifier and data type, and an id is never used for another.
    fn register(&self, specs: &[ArchiveSpec]) -> Result<Vec<ArchiveId>, Fault>;

    /// Takes samples for the next group commit and returns at once. When the bounded queue is full, the oldest
    /// samples are dropped and counted, and the next sample of their tag carries the Overflow bit.
    fn append(&self, rows: &mut Vec<Row>);

    /// Returns when everything that was appended before is on disk.
    fn commit(&self) -> Result<(), Fault>;

    /// Samples of a span in time order, at most `limit` of them (0: all). The same instant never comes twice.
    /// A damaged block shows as one sample BadDataLost where it begins.
    fn page(
        &self,
        archive: ArchiveId,
        span: Span,
        direction: Direction,
        limit: usize,
        resume: Option<Cursor>,
    ) -> Result<Page, Fault>;

    /// Walks a span forwards, frame by frame, without decoding the frames that the visitor takes by their summary.
    fn scan(&self, archive: ArchiveId, span: Span, visitor: &mut dyn Visitor) -> Result<(), Fault>;

    /// Samples at exactly these times, in their order.
    fn at(&self, archive: ArchiveId, times: &[UaTime]) -> Result<Vec<Option<Sample>>, Fault>;

    /// Samples that edits replaced or deleted, in the order of their times, at most `limit` (0: all).
    fn modified(
        &self,
        archive: ArchiveId,
        span: Span,
        direction: Direction,
        limit: usize,
        resume: Option<Cursor>,
    ) -> Result<ModifiedPage, Fault>;

    /// Times of a span at which a sample was edited or annotated; sorted, each once.
    fn noted(&self, archive: ArchiveId, span: Span) -> Result<Vec<UaTime>, Fault> {
        let mut times: Vec<UaTime> = self.annotations(archive, span)?.iter().map(|note| note.at).collect();
        let modified = self.modified(archive, span, Direction::Forward, 0, None)?;
        times.extend(modified.entries.iter().map(|entry| entry.sample.source_time));
        times.sort_unstable();
        times.dedup();
        Ok(times)
    }

    /// One status an entry (one in all for a range); returns when the edit is on disk (Part 11 §6.9, 1.05).
    fn edit(&self, archive: ArchiveId, edit: &Edit, who: &Who) -> Result<Vec<StatusCode>, Fault>;

    /// Annotations in time order.
    fn annotations(&self, archive: ArchiveId, span: Span) -> Result<Vec<Annotation>, Fault>;

    /// One status an annotation; returns when the change is on disk.
    fn annotate(&self, archive: ArchiveId, edit: &AnnotationEdit, who: &Who) -> Result<Vec<StatusCode>, Fault>;

    /// Times of the first and the last sample.
    fn extent(&self, archive: ArchiveId) -> Result<Option<(UaTime, UaTime)>, Fault>;

    fn stats(&self) -> Stats;
}
