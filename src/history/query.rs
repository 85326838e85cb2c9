//! Types of the calls to a historian.

use std::time::Duration;

use opcua::StatusCode;

use crate::value::{BuiltIn, Sample, UaTime};

/// Identifies one tag's archive for ever; a `TagId` is only an index since this start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArchiveId(pub u32);

/// The key of an archive, and how long it keeps its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveSpec {
    /// NamespaceUri; never an index.
    pub namespace: String,
    /// The identifier as text: `s=Tank1.Level`, `i=1001`.
    pub identifier: String,
    pub kind: BuiltIn,
    pub is_array: bool,
    /// Name of the history class: bound for `max_size`.
    pub class: String,
    pub keep: Duration,
    /// Bytes on disk of the whole class.
    pub max_size: Option<u64>,
}

/// One sample on its way into an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub archive: ArchiveId,
    pub sample: Sample,
}

/// Source times from `first` to `last`, both inside; empty when `last` is before `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first: UaTime,
    pub last: UaTime,
}

impl Span {
    pub const ALL: Span = Span { first: UaTime(i64::MIN), last: UaTime(i64::MAX) };

    pub fn holds(self, time: UaTime) -> bool {
        self.first <= time && time <= self.last
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// Where a page ended. The next page continues after it and sees the archive as the first page did, even if the
/// archive is edited meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The last sample that was given.
    pub time: UaTime,
    /// The store's count of changes when the first page was read; later changes are not seen.
    pub as_of: u64,
    /// Entries given at `time`: modified values may share one.
    pub same: u32,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    pub samples: Vec<Sample>,
    /// `None` when the span is exhausted.
    pub resume: Option<Cursor>,
}

/// A sample as a number, for calculation: booleans are 0 and 1, a value that is no number is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub time: UaTime,
    pub status: StatusCode,
    pub number: f64,
}

/// The smallest or largest value of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extreme {
    pub number: f64,
    /// Time of its first occurrence.
    pub time: UaTime,
    /// It occurs more than once.
    pub repeats: bool,
}

/// A frame of samples of which every one is a finite number with the status Good (0x00000000).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    pub count: u32,
    pub first: Point,
    pub last: Point,
    pub min: Extreme,
    pub max: Extreme,
    pub sum: f64,
    /// Sum of the squared deviations from the frame's own mean.
    pub deviation: f64,
    /// Integral from first to last in value x seconds, each value held until the next.
    pub stepped: f64,
    /// The same with straight lines between the values.
    pub sloped: f64,
    /// Values that differ from the one before, within the frame.
    pub transitions: u32,
    /// Ticks of 100 ns from first to last in which the held value is zero.
    pub zero: i64,
}

/// Receives the samples of a scan. Frames and points come in time order.
pub trait Visitor {
    /// Takes a whole frame by its summary and answers true, or false to get its points.
    fn frame(&mut self, summary: &Summary) -> bool;

    fn points(&mut self, points: &[Point]);
}

/// An edit by a client (Part 11 §6.9, 1.05).
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    Insert(Vec<Sample>),
    Replace(Vec<Sample>),
    /// Inserts or replaces.
    Update(Vec<Sample>),
    Remove(Vec<UaTime>),
    /// Samples from the first time up to, without, the last; one status.
    DeleteRaw {
        start: UaTime,
        end: UaTime,
    },
    /// Modified values of the same span; one status.
    DeleteModified {
        start: UaTime,
        end: UaTime,
    },
    DeleteAt(Vec<UaTime>),
}

/// HistoryUpdateType (Part 11 §6.7, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum UpdateKind {
    Insert = 1,
    Replace = 2,
    Update = 3,
    Delete = 4,
}

/// A value that an edit took away or, for an insert, put in; with ModificationInfo (Part 11 §6.6.3, 1.05).
#[derive(Debug, Clone, PartialEq)]
pub struct Modification {
    pub sample: Sample,
    pub time: UaTime,
    pub kind: UpdateKind,
    pub user: String,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModifiedPage {
    pub entries: Vec<Modification>,
    pub resume: Option<Cursor>,
}

/// The user and the time of an edit.
#[derive(Debug, Clone, PartialEq)]
pub struct Who {
    pub user: String,
    pub time: UaTime,
}

/// A remark on a sample (Part 11 §6.6.6, 1.05).
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// SourceTimestamp of the sample that it belongs to.
    pub at: UaTime,
    pub message: String,
    pub user: String,
    pub time: UaTime,
}

/// An annotation is identified by `at`, `time` and `user`.
#[derive(Debug, Clone, PartialEq)]
pub enum AnnotationEdit {
    Insert(Vec<Annotation>),
    Replace(Vec<Annotation>),
    Update(Vec<Annotation>),
    Remove(Vec<Annotation>),
}

/// State of the store, for people.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stats {
    pub archives: u64,
    /// Samples on disk and in memory; samples replaced since the last merge are included.
    pub samples: u64,
    pub bytes_on_disk: u64,
    pub partitions: u64,
    pub oldest: Option<UaTime>,
    pub newest: Option<UaTime>,
    /// Samples that wait for the next group commit.
    pub queued: u64,
    /// Samples that were dropped because the queue was full.
    pub dropped: u64,
    /// Samples refused because they are older than their class keeps.
    pub too_old: u64,
    pub damaged_blocks: u64,
    /// Why nothing is recorded at present: a full or broken disk.
    pub stopped: Option<String>,
    pub last_commit: Option<UaTime>,
}

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("history in {path}: {what}; {remedy}")]
    Store { path: String, what: String, remedy: String },
    #[error("the archive has changed so that this read can't go on: read again from its start")]
    Expired,
    #[error("no such archive")]
    UnknownArchive,
    #[error("the history is closed")]
    Closed,
    #[error("this aggregate can't be calculated: {0}")]
    Refused(StatusCode),
}

impl Fault {
    /// The status for the client.
    pub fn status(&self) -> StatusCode {
        match self {
            Fault::Store { .. } => StatusCode::BadResourceUnavailable,
            Fault::Expired => StatusCode::BadContinuationPointInvalid,
            Fault::UnknownArchive => StatusCode::BadHistoryOperationUnsupported,
            Fault::Closed => StatusCode::BadShutdown,
            Fault::Refused(status) => *status,
        }
    }
}
