//! A list that grows while others read it: an index stays an index, and nothing moves.
//!
//! The first segment is as large as the list was made; an index into it costs no more than into a slice. Each further
//! segment is twice as large as the one before.

use std::ops::Index;
use std::sync::OnceLock;

/// Entries of the second segment.
const SECOND: usize = 64;
/// As many as 2^32 entries need.
const SEGMENTS: usize = 27;

pub(crate) struct Segments<T> {
    first: Box<[T]>,
    more: [OnceLock<Box<[T]>>; SEGMENTS],
}

/// A place after the first segment.
struct Place {
    segment: usize,
    offset: usize,
}

impl Place {
    /// `index` counts from the end of the first segment.
    fn of(index: usize) -> Place {
        let segment = (index / SECOND + 1).ilog2() as usize;
        Place { segment, offset: index - SECOND * ((1 << segment) - 1) }
    }
}

impl<T> Segments<T> {
    pub(crate) fn new(first: impl Iterator<Item = T>) -> Segments<T> {
        Segments { first: first.collect(), more: [const { OnceLock::new() }; SEGMENTS] }
    }

    /// Makes all entries below `bound`, and maybe more, that are not there.
    pub(crate) fn grow(&self, bound: usize, mut make: impl FnMut() -> T) {
        let Some(last) = bound.checked_sub(self.first.len() + 1) else { return };
        for segment in 0..=Place::of(last).segment {
            self.more[segment].get_or_init(|| (0..SECOND << segment).map(|_| make()).collect());
        }
    }

    #[cold]
    fn after_first(&self, index: usize) -> &T {
        let Place { segment, offset } = Place::of(index - self.first.len());
        &self.more[segment].get().expect("an index is used after its entry was made")[offset]
    }
}

impl<T> Index<usize> for Segments<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        match self.first.get(index) {
            Some(entry) => entry,
            None => self.after_first(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_where_they_are_while_the_list_grows() {
        for first in [0, 1, 5, 64] {
            let list = Segments::new(0..first);
            let mut next = first;
            let mut make = || {
                next += 1;
                next - 1
            };
            for bound in [0, first, first + 1, 64, 65, 193, 1_000] {
                list.grow(bound, &mut make);
                let all: Vec<usize> = (0..bound).map(|index| list[index]).collect();
                assert_eq!(all, (0..bound).collect::<Vec<_>>(), "{first} first, {bound} in all");
            }
        }
    }
}
