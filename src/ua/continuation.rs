//! Continuation points of one session: where a Browse or a HistoryRead continues, a bounded number of them.
//!
//! A request that needs a point frees those of earlier requests, the oldest first; its own points are not freed for each
//! other (Part 4 §7.9, 1.05). A client that pages and does not finish so keeps no place for ever.

use std::collections::{BTreeMap, HashMap};

/// The state of a read that stopped at a limit.
pub trait Resumable {
    /// Memory that the points of one request share; `None` where they share none.
    fn shared(&self) -> Option<Shared> {
        None
    }
}

/// Memory that several points keep alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Identifies it while a point holds it.
    pub address: usize,
    pub bytes: usize,
}

/// The beginning of a request: points that are kept from here on are its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun(u64);

/// Bytes of shared memory that the points of one session may keep alive.
const SHARED_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub struct ContinuationPoints<P> {
    /// By age.
    held: BTreeMap<u64, P>,
    next: u64,
    most: usize,
    /// Number of points that share a piece of memory, by its address.
    sharing: HashMap<usize, usize>,
    /// Bytes of all shared memory, each piece counted once.
    bytes: usize,
}

impl<P: Resumable> ContinuationPoints<P> {
    /// At most `most` points, numbered from `first`: two stores of a session must not give their points the same number.
    pub fn new(most: usize, first: u64) -> ContinuationPoints<P> {
        ContinuationPoints { held: BTreeMap::new(), next: first, most, sharing: HashMap::new(), bytes: 0 }
    }

    pub fn begin(&self) -> Begun {
        Begun(self.next)
    }

    /// Keeps a point and names it; `None` when the request that began at `begun` has taken all places.
    pub fn keep(&mut self, begun: Begun, point: P) -> Option<[u8; 8]> {
        while !self.has_room(&point) {
            let oldest = *self.held.first_key_value()?.0;
            if oldest >= begun.0 {
                return None;
            }
            self.remove(oldest);
        }
        let id = self.next;
        self.next += 1;
        if let Some(shared) = point.shared() {
            let sharers = self.sharing.entry(shared.address).or_insert(0);
            self.bytes += if *sharers == 0 { shared.bytes } else { 0 };
            *sharers += 1;
        }
        self.held.insert(id, point);
        Some(id.to_le_bytes())
    }

    fn has_room(&self, point: &P) -> bool {
        // Memory that another point keeps alive already costs nothing.
        let new = point.shared().filter(|shared| !self.sharing.contains_key(&shared.address));
        let added = new.map_or(0, |shared| shared.bytes);
        self.held.is_empty() || (self.held.len() < self.most && self.bytes + added <= SHARED_BYTES)
    }

    /// Takes the point of that name; each is good once.
    pub fn take(&mut self, name: &[u8]) -> Option<P> {
        self.remove(u64::from_le_bytes(name.try_into().ok()?))
    }

    /// Frees the points that do not fit any more.
    pub fn retain(&mut self, fits: impl Fn(&P) -> bool) {
        let gone: Vec<u64> = self.held.iter().filter(|(_, point)| !fits(point)).map(|(id, _)| *id).collect();
        for id in gone {
            self.remove(id);
        }
    }

    pub fn clear(&mut self) {
        self.held.clear();
        self.sharing.clear();
        self.bytes = 0;
    }

    fn remove(&mut self, id: u64) -> Option<P> {
        let point = self.held.remove(&id)?;
        if let Some(shared) = point.shared() {
            let sharers = self.sharing.get_mut(&shared.address).expect("a point that is held is counted");
            *sharers -= 1;
            if *sharers == 0 {
                self.sharing.remove(&shared.address);
                self.bytes -= shared.bytes;
            }
        }
        Some(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A point by its place in the request, and the memory that it shares.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Point(usize, Option<Shared>);

    impl Resumable for Point {
        fn shared(&self) -> Option<Shared> {
            self.1
        }
    }

    fn point(place: usize) -> Point {
        Point(place, None)
    }

    fn sharing(place: usize, address: usize) -> Point {
        Point(place, Some(Shared { address, bytes: 100_000 }))
    }

    #[test]
    fn shared_memory_is_kept_alive_within_a_bound() {
        let mut points = ContinuationPoints::new(1_000, 1);
        for request in 0..200 {
            let begun = points.begin();
            for place in 0..3 {
                let kept = points.keep(begun, sharing(place, request));
                assert!(kept.is_some(), "points of earlier requests are freed");
            }
            assert!(points.bytes <= SHARED_BYTES, "{} bytes", points.bytes);
        }
        assert!(points.held.len() > 100, "{} points", points.held.len());
        points.clear();
        assert_eq!((points.bytes, points.sharing.len()), (0, 0));
    }

    #[test]
    fn memory_is_free_again_when_the_last_point_that_shares_it_is_taken() {
        let mut points = ContinuationPoints::new(2, 1);
        let begun = points.begin();
        let first = points.keep(begun, sharing(0, 7)).expect("kept");
        points.keep(begun, sharing(1, 7)).expect("kept");
        points.take(&first).expect("held");
        let next = points.begin();
        points.keep(next, sharing(2, 8)).expect("kept");
        let name = points.keep(next, sharing(3, 7)).expect("the one that it shared with is freed");
        points.take(&name).expect("held");
        assert_eq!((points.held.len(), points.bytes), (1, 100_000));
    }

    #[test]
    fn points_of_earlier_requests_are_freed_and_those_of_the_same_are_not() {
        let mut points = ContinuationPoints::new(2, 1);
        let first = points.begin();
        let names: Vec<_> = (0..3).map(|n| points.keep(first, point(n))).collect();
        assert_eq!((names[0].is_some(), names[1].is_some(), names[2]), (true, true, None));
        let second = points.begin();
        let name = points.keep(second, point(3)).expect("the oldest is freed");
        assert!(points.take(&names[0].expect("kept")).is_none(), "it was freed");
        assert_eq!(points.take(&names[1].expect("kept")).map(|point| point.0), Some(1));
        assert_eq!(points.take(&name).map(|point| point.0), Some(3));
        assert!(points.take(&name).is_none(), "a point is good once");
        for forged in [&[][..], &[0; 8], &[255; 8], &[1; 3], &1u64.to_le_bytes()] {
            assert!(points.take(forged).is_none());
        }
    }
}
