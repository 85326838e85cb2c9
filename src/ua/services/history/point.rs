//! A read of one node's history and how far it has come. What a client holds as a continuation point is the name of one.

use std::collections::{BTreeMap, HashMap};
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

/// Bytes of details that the points of one session may keep alive.
const DETAILS: usize = 4 << 20;

/// The continuation points of one session.
#[derive(Debug)]
pub struct Points {
    /// By age.
    held: BTreeMap<u64, Point>,
    next: u64,
    most: usize,
    /// How many points share details, by the address of these.
    sharing: HashMap<usize, usize>,
    /// Bytes of all details, each counted once.
    bytes: usize,
}

impl Points {
    pub fn new(most: usize) -> Points {
        // Browse counts from 1: a point of the one service is never one of the other.
        Points { held: BTreeMap::new(), next: 1 << 48, most, sharing: HashMap::new(), bytes: 0 }
    }

    /// Begins a request: its own points are not freed for each other.
    pub fn begin(&self) -> u64 {
        self.next
    }

    /// Keeps a point and names it. Points of requests before `begun` give way, the oldest first (Part 4 §7.9, 1.05);
    /// `None` when this request has taken all.
    pub fn keep(&mut self, begun: u64, point: Point) -> Option<[u8; 8]> {
        while !self.has_room(&point) {
            let oldest = *self.held.first_key_value()?.0;
            if oldest >= begun {
                return None;
            }
            self.remove(oldest);
        }
        let id = self.next;
        self.next += 1;
        self.bytes += self.added(&point);
        *self.sharing.entry(address(&point)).or_insert(0) += 1;
        self.held.insert(id, point);
        Some(id.to_le_bytes())
    }

    /// Bytes that a point would keep alive beside those that are.
    fn added(&self, point: &Point) -> usize {
        if self.sharing.contains_key(&address(point)) { 0 } else { point.details.weight() }
    }

    fn has_room(&self, point: &Point) -> bool {
        self.held.is_empty() || (self.held.len() < self.most && self.bytes + self.added(point) <= DETAILS)
    }

    pub fn take(&mut self, name: &[u8]) -> Option<Point> {
        self.remove(u64::from_le_bytes(name.try_into().ok()?))
    }

    pub fn clear(&mut self) {
        while let Some(oldest) = self.held.first_key_value().map(|(id, _)| *id) {
            self.remove(oldest);
        }
    }

    fn remove(&mut self, id: u64) -> Option<Point> {
        let point = self.held.remove(&id)?;
        let address = address(&point);
        let sharers = self.sharing.get_mut(&address).expect("a point that is held is counted");
        *sharers -= 1;
        if *sharers == 0 {
            self.sharing.remove(&address);
            self.bytes -= point.details.weight();
        }
        Some(point)
    }
}

/// Tells details apart for as long as a point holds them.
fn address(point: &Point) -> usize {
    Arc::as_ptr(&point.details).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ua::services::history::details::Raw;
    use crate::value::UaTime;

    fn point(place: usize) -> Point {
        let target = Target { tag: TagId(0), archive: ArchiveId(0), subject: Subject::Values };
        let details = Arc::new(Details::Raw(Raw::default()));
        Point { target, details, place, timestamps: Timestamps::Source, range: None, progress: Progress::Start }
    }

    #[test]
    fn long_lists_of_times_are_kept_alive_within_a_bound() {
        let mut points = Points::new(1_000);
        let times = vec![UaTime(1); 10_000];
        let with_times = |times: &[UaTime]| Arc::new(Details::AtTime { times: times.to_vec(), simple_bounds: true });
        for _ in 0..200 {
            let (begun, details) = (points.begin(), with_times(&times));
            for n in 0..3 {
                let kept = points.keep(begun, Point { details: Arc::clone(&details), ..point(n) });
                assert!(kept.is_some(), "earlier requests give way");
            }
            assert!(points.bytes <= DETAILS, "{} bytes", points.bytes);
        }
        assert!(points.held.len() > 100, "{} points", points.held.len());
        for id in points.held.keys().copied().collect::<Vec<_>>() {
            points.remove(id);
        }
        assert_eq!((points.bytes, points.sharing.len()), (0, 0));
    }

    #[test]
    fn details_that_outlive_the_points_that_shared_them_are_counted_again() {
        let mut points = Points::new(2);
        let begun = points.begin();
        let details = Arc::clone(&point(0).details);
        let sharing = |place| Point { details: Arc::clone(&details), ..point(place) };
        let first = points.keep(begun, sharing(0)).expect("kept");
        points.keep(begun, sharing(1)).expect("kept");
        points.take(&first).expect("held");
        let next = points.begin();
        points.keep(next, point(2)).expect("kept");
        let name = points.keep(next, sharing(3)).expect("the one it shared with gives way");
        points.take(&name).expect("held");
        assert_eq!(points.held.len(), 1);
        assert_eq!(points.bytes, point(0).details.weight());
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
