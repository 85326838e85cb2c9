//! A read of one node's history and how far it has come. What a client holds as a continuation point is the name of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::details::Details;
use crate::history::{ArchiveId, Cursor};
use crate::model::TagId;
use crate::stack::codec::Timestamps;
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

/// Whose history.
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

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    Start,
    /// The first sample inside; the bound before it is given.
    Inside,
    /// Samples or modified values behind the cursor.
    Behind(Cursor),
    /// Only the bound after the last sample.
    LastBound,
    /// So many entries are given.
    Given(u64),
}

impl Progress {
    pub fn cursor(self) -> Option<Cursor> {
        match self {
            Progress::Behind(cursor) => Some(cursor),
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

/// The continuation points of one session.
#[derive(Debug)]
pub struct Points {
    /// By age.
    held: BTreeMap<u64, Point>,
    next: u64,
    most: usize,
}

impl Points {
    pub fn new(most: usize) -> Points {
        // Browse counts from 1: a point of the one service is never one of the other.
        Points { held: BTreeMap::new(), next: 1 << 48, most }
    }

    /// Begins a request: its own points are not freed for each other.
    pub fn begin(&self) -> u64 {
        self.next
    }

    /// Keeps a point and names it. Points of requests before `begun` give way, the oldest first (Part 4 §7.9, 1.05);
    /// `None` when this request has taken all.
    pub fn keep(&mut self, begun: u64, point: Point) -> Option<[u8; 8]> {
        while self.held.len() >= self.most {
            let oldest = *self.held.first_key_value()?.0;
            if oldest >= begun {
                return None;
            }
            self.held.remove(&oldest);
        }
        let id = self.next;
        self.next += 1;
        self.held.insert(id, point);
        Some(id.to_le_bytes())
    }

    pub fn take(&mut self, name: &[u8]) -> Option<Point> {
        self.held.remove(&u64::from_le_bytes(name.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ua::services::history::details::Raw;

    fn point(place: usize) -> Point {
        let target = Target { tag: TagId(0), archive: ArchiveId(0), subject: Subject::Values };
        let details = Arc::new(Details::Raw(Raw::default()));
        Point { target, details, place, timestamps: Timestamps::Source, range: None, progress: Progress::Start }
    }

    #[test]
    fn points_of_earlier_requests_give_way_and_those_of_the_same_do_not() {
        let mut points = Points::new(2);
        let first = points.begin();
        let names: Vec<_> = (0..3).map(|n| points.keep(first, point(n))).collect();
        assert_eq!((names[0].is_some(), names[1].is_some(), names[2]), (true, true, None));
        let second = points.begin();
        let name = points.keep(second, point(3)).expect("the oldest gives way");
        assert!(points.take(&names[0].expect("kept")).is_none(), "it gave way");
        assert_eq!(points.take(&names[1].expect("kept")).map(|point| point.place), Some(1));
        assert_eq!(points.take(&name).map(|point| point.place), Some(3));
        assert!(points.take(&name).is_none(), "a point is good once");
        for forged in [&[][..], &[0; 8], &[255; 8], &[1; 3], &1u64.to_le_bytes()] {
            assert!(points.take(forged).is_none());
        }
    }
}
