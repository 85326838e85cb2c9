//! The processing intervals of a request (Part 13 §5.4.2.2, 1.05). When time flows backwards an interval holds its
//! later end and not its earlier one; nothing is stored for an interval, so their number doesn't matter.

use opcua::StatusCode;

use super::TICKS_A_MS;
use crate::history::{Span, Summary};
use crate::value::UaTime;

/// All intervals of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    start: UaTime,
    end: UaTime,
    /// Ticks of a whole interval; the last one may be shorter.
    step: i64,
    pub count: u64,
}

/// One interval, its ends in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub low: UaTime,
    pub high: UaTime,
    pub backward: bool,
    /// The last one, where the processing interval doesn't divide the time evenly.
    pub is_rest: bool,
}

/// Some neighbouring intervals of a grid, in the order of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    grid: Grid,
    /// Number in the grid of the first one that is answered.
    first: u64,
    pub len: usize,
}

impl Grid {
    /// `interval` in milliseconds; 0 makes one interval of the whole time.
    pub(crate) fn new(start: UaTime, end: UaTime, interval: f64) -> Result<Grid, StatusCode> {
        if start == UaTime::NULL || end == UaTime::NULL || start == end || interval.is_nan() || interval < 0.0 {
            return Err(StatusCode::BadInvalidArgument);
        }
        let range = end.0.checked_sub(start.0).and_then(i64::checked_abs).ok_or(StatusCode::BadInvalidArgument)?;
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and `min` bounds it")]
        let ticks = (interval * TICKS_A_MS as f64).round() as i64;
        let step = if interval == 0.0 { range } else { ticks.min(range) };
        if step == 0 {
            return Err(StatusCode::BadInvalidArgument);
        }
        Ok(Grid { start, end, step, count: (range as u64).div_ceil(step as u64) })
    }

    fn backward(&self) -> bool {
        self.end < self.start
    }

    fn interval(&self, number: u64) -> Interval {
        let near = i64::try_from(number).expect("fewer than `count`") * self.step;
        let is_last = number + 1 == self.count;
        if self.backward() {
            let high = self.start.0 - near;
            let low = if is_last { self.end.0 } else { high - self.step };
            let is_rest = is_last && high - low < self.step;
            Interval { low: UaTime(low), high: UaTime(high), backward: true, is_rest }
        } else {
            let low = self.start.0 + near;
            let high = if is_last { self.end.0 } else { low + self.step };
            let is_rest = is_last && high - low < self.step;
            Interval { low: UaTime(low), high: UaTime(high), backward: false, is_rest }
        }
    }

    /// At most `limit` intervals from number `first` on.
    pub(crate) fn slice(&self, first: u64, limit: usize) -> Slice {
        let left = self.count.saturating_sub(first);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(limit);
        Slice { grid: *self, first, len }
    }
}

impl Slice {
    /// Number `at` in the order of time.
    pub(crate) fn get(&self, at: usize) -> Interval {
        debug_assert!(at < self.len);
        let number =
            if self.grid.backward() { self.first + (self.len - 1 - at) as u64 } else { self.first + at as u64 };
        self.grid.interval(number)
    }

    /// From the earliest low end to the latest high end.
    pub(crate) fn ends(&self) -> (UaTime, UaTime) {
        (self.get(0).low, self.get(self.len - 1).high)
    }

    /// The times of the samples that are in these intervals.
    pub(crate) fn members(&self) -> Span {
        Span { first: self.get(0).members().first, last: self.get(self.len - 1).members().last }
    }

    /// The number of the interval that holds the time, which must lie after the high end of number `at`.
    pub(crate) fn seek(&self, at: usize, time: UaTime) -> usize {
        let (mut low, mut high) = (at, self.len - 1);
        if self.get(high).members().last < time {
            return self.len;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).members().last < time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The high end of the interval in which time goes on at `time`, which no interval before number `at` holds;
    /// `None` after the last one.
    pub(crate) fn high_end(&self, at: usize, time: UaTime) -> Option<UaTime> {
        let mut at = self.seek(at, time);
        if at < self.len && self.get(at).high <= time {
            at += 1;
        }
        (at < self.len).then(|| self.get(at).high)
    }

    /// Results in the order of time become results in the order of the request.
    pub(crate) fn in_request_order<T>(&self, results: &mut [T]) {
        if self.grid.backward() {
            results.reverse();
        }
    }

    pub(crate) fn next(&self) -> Option<u64> {
        let next = self.first + self.len as u64;
        (next < self.grid.count).then_some(next)
    }
}

impl Interval {
    /// The start in the direction of the request: the timestamp of most aggregates.
    pub(crate) fn start(&self) -> UaTime {
        if self.backward { self.high } else { self.low }
    }

    pub(crate) fn end(&self) -> UaTime {
        if self.backward { self.low } else { self.high }
    }

    /// The time just before the end (Part 13 §3.1.3, 1.05), in the resolution of the calculation.
    pub(crate) fn effective_end(&self) -> UaTime {
        if self.backward { UaTime(self.low.0 + TICKS_A_MS) } else { UaTime(self.high.0 - TICKS_A_MS) }
    }

    /// The times of its samples: the start is inside, the end isn't.
    pub(crate) fn members(&self) -> Span {
        if self.backward {
            Span { first: UaTime(self.low.0 + 1), last: self.high }
        } else {
            Span { first: self.low, last: UaTime(self.high.0 - 1) }
        }
    }
}

/// A walk over the edges of a slice's intervals, in the order of time. A slice has one more edge than intervals.
pub(super) struct Edges {
    slice: Slice,
    passed: usize,
    /// The next edge; the end of all time after the last one.
    pub next: UaTime,
    /// The interval between the last edge and the next one; before the first edge, the first interval.
    pub current: Interval,
}

impl Edges {
    pub(crate) fn new(slice: Slice) -> Edges {
        let current = slice.get(0);
        Edges { slice, passed: 0, next: current.low, current }
    }

    /// An interval has begun and not ended.
    pub(crate) fn is_open(&self) -> bool {
        0 < self.passed && self.passed <= self.slice.len
    }

    pub(crate) fn are_left(&self) -> bool {
        self.passed <= self.slice.len
    }

    /// Passes the next edge; true when an interval begins there.
    pub(crate) fn pass(&mut self) -> bool {
        self.passed += 1;
        if !self.is_open() {
            self.next = UaTime(i64::MAX);
            return false;
        }
        self.current = self.slice.get(self.passed - 1);
        self.next = self.current.high;
        true
    }

    /// All samples of a frame lie in one interval, after the edges that were passed.
    pub(crate) fn holds(&self, frame: &Summary) -> bool {
        let high = if frame.first.time < self.next {
            Some(self.next)
        } else {
            self.slice.high_end(self.passed.saturating_sub(1), frame.first.time)
        };
        high.is_some_and(|high| frame.last.time < high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(at: i64) -> UaTime {
        UaTime(at * 1000 * TICKS_A_MS)
    }

    #[test]
    fn a_range_divides_into_intervals_and_a_rest_in_both_directions() {
        //   start end  interval  intervals, low to high in seconds
        for (start, end, interval, expected) in [
            (100, 110, 0.0, vec![(100, 110)]),
            (100, 110, 60_000.0, vec![(100, 110)]),
            (100, 110, f64::INFINITY, vec![(100, 110)]),
            (100, 110, 5000.0, vec![(100, 105), (105, 110)]),
            (100, 110, 4000.0, vec![(100, 104), (104, 108), (108, 110)]),
            (110, 100, 4000.0, vec![(106, 110), (102, 106), (100, 102)]),
            (110, 100, 0.0, vec![(100, 110)]),
        ] {
            let grid = Grid::new(seconds(start), seconds(end), interval).expect("a grid");
            let slice = grid.slice(0, 10);
            let mut found: Vec<_> = (0..slice.len).map(|at| slice.get(at)).collect();
            slice.in_request_order(&mut found);
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(low, high)| (seconds(low), seconds(high), end < start, high - low == 2))
                .collect();
            let found: Vec<_> = found.iter().map(|i| (i.low, i.high, i.backward, i.is_rest)).collect();
            assert_eq!(found, expected, "{start} to {end} by {interval}");
        }
    }

    #[test]
    fn pages_of_intervals_join_without_a_gap() {
        for (start, end) in [(100, 200), (200, 100)] {
            let grid = Grid::new(seconds(start), seconds(end), 7000.0).expect("a grid");
            let mut next = Some(0);
            let mut all = Vec::new();
            while let Some(first) = next {
                let slice = grid.slice(first, 4);
                let mut part: Vec<_> = (0..slice.len).map(|at| slice.get(at)).collect();
                slice.in_request_order(&mut part);
                all.extend(part);
                next = slice.next();
            }
            assert_eq!(all.len(), 15);
            assert!(all.windows(2).all(|pair| pair[0].end() == pair[1].start()));
            assert_eq!((all[0].start(), all[14].end()), (seconds(start), seconds(end)));
        }
    }

    #[test]
    fn the_interval_of_a_time_is_found_without_a_walk() {
        for (start, end) in [(100, 200), (200, 100)] {
            let slice = Grid::new(seconds(start), seconds(end), 7000.0).expect("a grid").slice(0, 100);
            for time in 100..=200 {
                let walked = (0..slice.len).find(|at| slice.get(*at).members().holds(seconds(time)));
                if walked.is_some() || time > 100 {
                    assert_eq!(slice.seek(0, seconds(time)), walked.unwrap_or(slice.len), "{time}");
                }
            }
        }
    }

    #[test]
    fn times_and_intervals_without_sense_are_refused() {
        let (one, two) = (seconds(1), seconds(2));
        for (start, end, interval) in [
            (one, one, 0.0),
            (one, two, -1.0),
            (one, two, f64::NAN),
            (one, two, 0.000_01),
            (UaTime::NULL, two, 1.0),
            (one, UaTime::NULL, 1.0),
            (UaTime(i64::MIN), UaTime(i64::MAX), 1.0),
        ] {
            assert_eq!(Grid::new(start, end, interval), Err(StatusCode::BadInvalidArgument), "{start:?} {interval}");
        }
    }
}
