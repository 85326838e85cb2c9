//! The last part of a value's time: `rate`, `delta`, `mean`, `lowest`, `highest`.
//!
//! At most 1,000 points are kept. Where more come, neighbours are put together, so that the points have the same distance.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::functions::Function;
use super::place::{Window, seconds};

const MOST: usize = 1000;

/// A value from this moment on; NaN where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    at: Instant,
    value: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Points {
    window: Window,
    points: VecDeque<Point>,
    /// Least seconds between two points; 0 until there were too many.
    spacing: f64,
    /// Counts of a counter from before it began again.
    counted: f64,
    /// The last value as it came.
    last: f64,
}

impl Points {
    pub(super) fn of(window: Window) -> Points {
        Points { window, points: VecDeque::new(), spacing: 0.0, counted: 0.0, last: f64::NAN }
    }

    /// Takes the value of now; gives the value of the function, `None` as long as it needs a longer time.
    pub(super) fn take(&mut self, value: f64, now: Instant) -> Option<f64> {
        if let Some(modulus) = self.window.wraps_at
            && value < self.last
        {
            self.counted += modulus;
        }
        self.last = value;
        self.push(Point { at: now, value: value + self.counted });
        self.value(now)
    }

    /// There is no value from now on.
    pub(super) fn miss(&mut self, now: Instant) {
        self.push(Point { at: now, value: f64::NAN });
    }

    fn push(&mut self, point: Point) {
        let count = self.points.len();
        let is_same = |at: usize| self.points.get(at).is_some_and(|old| old.value.to_bits() == point.value.to_bits());
        if count > 0 && is_same(count - 1) {
            // In steps the value just goes on; a line needs both ends.
            if self.window.is_sloped && count > 1 && is_same(count - 2) {
                self.points[count - 1].at = point.at;
                return;
            }
            if !self.window.is_sloped || point.value.is_nan() {
                return;
            }
        }
        if self.points.back().is_some_and(|last| last.at == point.at) {
            self.points.pop_back();
        }
        self.thin(point.at);
        self.points.push_back(point);
        self.forget(point.at);
        if self.points.len() >= MOST {
            self.spacing = self.window.seconds / 900.0;
            let all = std::mem::take(&mut self.points);
            for point in all {
                self.thin(point.at);
                self.points.push_back(point);
            }
        }
    }

    /// Puts the last two points together, if they are nearer than the spacing; the value of the last one ends at `end`.
    fn thin(&mut self, end: Instant) {
        let count = self.points.len();
        if self.spacing == 0.0 || count < 2 {
            return;
        }
        let (a, b) = (self.points[count - 2], self.points[count - 1]);
        if seconds(a.at, b.at) >= self.spacing {
            return;
        }
        let value = match self.window.function {
            _ if a.value.is_nan() => b.value,
            _ if b.value.is_nan() => a.value,
            Function::Lowest => a.value.min(b.value),
            Function::Highest => a.value.max(b.value),
            Function::Mean if !self.window.is_sloped => {
                let (first, second) = (seconds(a.at, b.at), seconds(b.at, end));
                let whole = first + second;
                if whole > 0.0 { a.value * (first / whole) + b.value * (second / whole) } else { b.value }
            }
            _ => a.value,
        };
        self.points[count - 2].value = value;
        self.points.pop_back();
    }

    /// Drops what is older than the window, but not what still holds at its beginning.
    fn forget(&mut self, now: Instant) {
        let Some(start) = now.checked_sub(Duration::from_secs_f64(self.window.seconds)) else { return };
        while self.points.get(1).is_some_and(|second| second.at <= start) {
            self.points.pop_front();
        }
    }

    fn value(&mut self, now: Instant) -> Option<f64> {
        self.forget(now);
        let first = self.points.front()?.at;
        let start =
            now.checked_sub(Duration::from_secs_f64(self.window.seconds)).map_or(first, |start| start.max(first));
        let length = seconds(start, now);
        match self.window.function {
            Function::Rate | Function::Delta if length <= 0.0 => None,
            Function::Rate => self.change(start, now).map(|change| change / length),
            Function::Delta => self.change(start, now),
            Function::Lowest => self.known().min_by(f64::total_cmp),
            Function::Highest => self.known().max_by(f64::total_cmp),
            _ => self.mean(start, now),
        }
    }

    fn known(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|point| point.value).filter(|value| !value.is_nan())
    }

    /// The value at a moment, by the point before it and the one after it.
    fn at(&self, moment: Instant, before: Point, after: Option<Point>) -> f64 {
        match after {
            Some(after) if self.window.is_sloped && !after.value.is_nan() => {
                let whole = seconds(before.at, after.at);
                let share = if whole > 0.0 { seconds(before.at, moment) / whole } else { 0.0 };
                before.value + (after.value - before.value) * share.min(1.0)
            }
            _ => before.value,
        }
    }

    /// From the first known value in the window to the last.
    fn change(&self, start: Instant, now: Instant) -> Option<f64> {
        let last = self.known().last()?;
        let from = (0..self.points.len()).find(|at| !self.points[*at].value.is_nan())?;
        let (before, after) = (self.points[from], self.points.get(from + 1).copied());
        let first = self.at(start.max(before.at).min(now), before, after);
        Some(last - first)
    }

    fn mean(&self, start: Instant, now: Instant) -> Option<f64> {
        let (mut area, mut length) = (0.0, 0.0);
        for (at, point) in self.points.iter().enumerate().filter(|(_, point)| !point.value.is_nan()) {
            let next = self.points.get(at + 1).copied();
            let (from, to) = (point.at.max(start), next.map_or(now, |next| next.at));
            let part = seconds(from, to);
            let height = match self.window.is_sloped {
                true => f64::midpoint(self.at(from, *point, next), self.at(to, *point, next)),
                false => point.value,
            };
            area += height * part;
            length += part;
        }
        if length > 0.0 { Some(area / length) } else { self.known().last() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(function: Function, seconds: f64, is_sloped: bool, wraps_at: Option<f64>) -> Points {
        Points::of(Window { function, seconds, is_sloped, wraps_at })
    }

    #[test]
    fn a_window_gives_what_its_function_says() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        // The values, each with its second, and the result at the last one.
        let values = [(0.0, 10.0), (2.0, 20.0), (4.0, 0.0), (10.0, 0.0)];
        for (function, span, is_sloped, expected) in [
            (Function::Mean, 10.0, false, 6.0),
            (Function::Mean, 10.0, true, 5.0),
            (Function::Mean, 8.0, false, 5.0),
            (Function::Mean, 7.0, true, 2.5 / 7.0 * 1.0 + 0.0 + 0.0),
            (Function::Mean, 100.0, false, 6.0),
            (Function::Lowest, 10.0, false, 0.0),
            (Function::Highest, 10.0, false, 20.0),
            (Function::Highest, 6.5, false, 20.0),
            (Function::Highest, 6.0, false, 0.0),
            (Function::Delta, 10.0, false, -10.0),
            (Function::Delta, 7.0, false, -20.0),
            (Function::Delta, 7.0, true, -10.0),
            (Function::Rate, 10.0, false, -1.0),
            (Function::Rate, 20.0, false, -1.0),
        ] {
            let mut points = points(function, span, is_sloped, None);
            let results: Vec<_> = values.iter().map(|(second, value)| points.take(*value, at(*second))).collect();
            let last = results.last().copied().flatten().expect("a value");
            // A line from 10 at second 3 to 0 at second 4.
            let expected = if (function, span) == (Function::Mean, 7.0) { 10.0 / 2.0 / 7.0 } else { expected };
            assert!(
                (last - expected).abs() < 1e-9,
                "{function:?} over {span}, sloped {is_sloped}: {last} not {expected}"
            );
        }
    }

    #[test]
    fn time_without_a_value_does_not_count() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut mean = points(Function::Mean, 100.0, false, None);
        mean.take(10.0, at(0));
        mean.miss(at(2));
        mean.take(40.0, at(8));
        assert_eq!(mean.take(40.0, at(10)), Some(25.0));
    }

    #[test]
    fn a_counter_that_begins_again_counts_through() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut delta = points(Function::Delta, 100.0, false, Some(65_536.0));
        assert_eq!(delta.take(65_530.0, at(0)), None, "nothing is known about a change yet");
        assert_eq!(delta.take(4.0, at(1)), Some(10.0));
        assert_eq!(delta.take(10.0, at(2)), Some(16.0));
    }

    #[test]
    fn many_points_are_thinned_evenly_and_little_is_lost() {
        for (function, expected) in [(Function::Mean, 0.0), (Function::Lowest, -1.0), (Function::Highest, 1.0)] {
            let start = Instant::now();
            let mut points = points(function, 100.0, false, None);
            let mut last = None;
            for step in 0..50_000u32 {
                let wave = f64::from(step % 100).to_radians() * 3.6;
                last = points.take(wave.sin(), start + Duration::from_millis(4) * step);
                assert!(points.points.len() <= MOST);
            }
            let last = last.expect("a value");
            assert!((last - expected).abs() < 0.01, "{function:?}: {last}");
            let distances: Vec<f64> =
                points.points.iter().zip(points.points.iter().skip(1)).map(|(a, b)| seconds(a.at, b.at)).collect();
            let widest = distances.iter().copied().fold(0.0, f64::max);
            assert!(points.points.len() > 400 && widest < 0.3, "{} points, widest {widest}", points.points.len());
        }
    }
}
