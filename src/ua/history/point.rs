//! A read of one node's history and how far it has come: a continuation point of HistoryRead.

use std::sync::Arc;

use super::details::Details;
use crate::history::{ArchiveId, Cursor};
use crate::model::TagId;
use crate::stack::codec::Timestamps;
use crate::ua::continuation::{Resumable, Shared};
use crate::value::IndexRange;

/// A read that is at its beginning, or somewhere further on.
#[derive(Debug, Clone)]
pub struct Point {
    pub target: Target,
    pub details: Arc<Details>,
    /// Place of the node in the request, for details that say something of each node.
    pub place: usize,
    pub timestamps: Timestamps,
    pub range: Option<IndexRange>,
    pub progress: Progress,
}

/// The archive that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub tag: TagId,
    pub archive: ArchiveId,
    pub subject: Subject,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The tag's values.
    Values,
    /// Its Annotations property.
    Annotations,
}

/// The next part of a read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    Start,
    /// The first sample inside; the bound before it is given.
    Inside,
    /// Samples or modified values after the cursor.
    After(Cursor),
    /// Only the bound after the last sample.
    LastBound,
    /// The number of entries that are given.
    Given(u64),
}

impl Progress {
    pub fn cursor(self) -> Option<Cursor> {
        match self {
            Progress::After(cursor) => Some(cursor),
            _ => None,
        }
    }

    /// Entries that are given already.
    pub fn given(self) -> u64 {
        match self {
            Progress::Given(count) => count,
            _ => 0,
        }
    }
}

impl Resumable for Point {
    /// The points of one request share its details.
    fn shared(&self) -> Option<Shared> {
        Some(Shared { address: Arc::as_ptr(&self.details).addr(), bytes: self.details.weight() })
    }
}
