//! The aggregates with interpolated bounds: Interpolative, TimeAverage and Total. Samples that are not usable are
//! stepped over, and the line between their neighbours counts, as Uncertain.

use super::bounds::{self, Bound, Shape, Stretch};
use super::data::{self, Data, Nearest};
use super::intervals::{Edges, Slice};
use super::outcome::{Found, Outcome};
use super::regions::Regions;
use super::status::{CALCULATED, Class, Rules, good_if, marked};
use super::{Aggregate, Extent, Interval, Method};
use crate::history::{Fault, Point, Span, Summary, Visitor};
use crate::value::UaTime;

pub(super) struct Walk {
    aggregate: Aggregate,
    rules: Rules,
    /// Of bounding values; areas are always under sloped lines (Part 13 §5.4.3.6, 1.05).
    shape: Shape,
    pub extent: Extent,
    edges: Edges,
    start: Bound,
    regions: Regions,
    /// The last usable sample, and the first unusable one after it.
    from: Option<Point>,
    skipped: Option<UaTime>,
    /// The usable sample before the last of all, once that is known to be the last.
    second: Option<Point>,
    pub outcomes: Vec<Outcome>,
}

/// How a line continues after the last usable sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extrapolation {
    Held,
    Sloped,
}

/// Results in the order of time.
pub(super) fn calculate(
    data: &dyn Data,
    method: Method,
    extrapolation: Extrapolation,
    slice: &Slice,
    extent: Extent,
) -> Result<Vec<Outcome>, Fault> {
    let (low, high) = slice.ends();
    let before = data::usable_before(data, low, &method.rules)?;
    let mut walk = Walk::new(method, *slice, extent, before);
    walk.outcomes.reserve(slice.len);
    data.scan(Span { first: low, last: UaTime(high.0 - 1) }, &mut walk)?;
    let after = data::usable_from(data, high, &method.rules)?;
    walk.skipped = walk.skipped.or(after.skipped);
    if let Some(next) = after.point {
        walk.reach(&next);
        return Ok(walk.outcomes);
    }
    if let (Extrapolation::Sloped, Some(last)) = (extrapolation, walk.from) {
        walk.second = data::usable_before(data, last.time, &method.rules)?.point;
    }
    walk.run_out();
    Ok(walk.outcomes)
}

impl Visitor for Walk {
    fn frame(&mut self, frame: &Summary) -> bool {
        if !self.edges.holds(frame) {
            return false;
        }
        self.reach(&frame.first);
        self.regions.frame(frame, Shape::Sloped);
        self.arrive(&frame.last);
        true
    }

    fn points(&mut self, points: &[Point]) {
        for point in points {
            if self.rules.usable(self.rules.class(point)) {
                self.reach(point);
                self.arrive(point);
            } else {
                self.skipped.get_or_insert(point.time);
            }
        }
    }
}

impl Walk {
    /// `before` is the last usable sample before the slice.
    pub(crate) fn new(method: Method, slice: Slice, extent: Extent, before: Nearest) -> Walk {
        let Method { aggregate, rules, shape } = method;
        let edges = Edges::new(slice);
        Walk {
            aggregate,
            rules,
            shape: if aggregate == Aggregate::Interpolative { shape } else { Shape::Sloped },
            extent,
            start: Bound::missing(edges.current.low),
            edges,
            regions: Regions::EMPTY,
            from: before.point,
            skipped: before.skipped,
            second: None,
            outcomes: Vec::new(),
        }
    }

    /// The next edge, or the end of all time.
    pub(crate) fn next_edge(&self) -> UaTime {
        self.edges.next
    }

    /// Where the current interval begins, or the first one will.
    pub(crate) fn begins(&self) -> UaTime {
        self.edges.current.low
    }

    /// Times of the samples that the current interval may answer.
    pub(crate) fn wanted(&self) -> [Option<UaTime>; 6] {
        [self.from.map(|point| point.time), self.start.sample, None, None, None, None]
    }

    fn arrive(&mut self, point: &Point) {
        self.from = Some(*point);
        self.skipped = None;
    }

    /// Advances to a usable sample.
    fn reach(&mut self, next: &Point) {
        while self.edges.next <= next.time {
            self.weigh(self.edges.next, Some(next));
            let bound = if self.edges.next == next.time {
                Bound::raw(next, &self.rules)
            } else {
                self.bound(self.edges.next, Some(next))
            };
            self.pass(bound);
        }
        self.weigh(next.time, Some(next));
    }

    fn bound(&self, time: UaTime, next: Option<&Point>) -> Bound {
        bounds::interpolated(&self.rules, self.shape, &self.stretch(next), time)
    }

    fn stretch<'b>(&'b self, next: Option<&'b Point>) -> Stretch<'b> {
        Stretch {
            from: self.from.as_ref(),
            to: next,
            skipped: self.skipped,
            second: self.second.as_ref(),
            end_of_data: self.extent.last,
        }
    }

    /// Weighs the time from the last usable sample, or from the interval's low end, up to `high`.
    fn weigh(&mut self, high: UaTime, next: Option<&Point>) {
        if !self.edges.is_open() || self.aggregate == Aggregate::Interpolative {
            return;
        }
        let low = self.from.as_ref().map_or(self.edges.current.low, |from| from.time.max(self.edges.current.low));
        let ticks = high.0 - low.0;
        if ticks == 0 {
            return;
        }
        let Some(from) = &self.from else {
            self.regions.bad += ticks;
            return;
        };
        let (mean, class) = match next {
            // The common case: no bound is needed.
            Some(next) if self.skipped.is_none() => {
                let mean = f64::midpoint(bounds::line(from, next, low), bounds::line(from, next, high));
                (mean, self.rules.class(from).max(self.rules.class(next)))
            }
            _ => {
                let stretch = self.stretch(next);
                let at = |time| bounds::interpolated(&self.rules, Shape::Sloped, &stretch, time).number;
                (f64::midpoint(at(low), at(high)), Class::Uncertain)
            }
        };
        self.regions.time(class, ticks);
        self.regions.area(ticks, mean);
    }

    fn pass(&mut self, bound: Bound) {
        if self.edges.is_open() {
            let outcome = self.conclude(&bound);
            self.outcomes.push(outcome);
        }
        if !self.edges.pass() {
            return;
        }
        self.regions = Regions::EMPTY;
        self.start = bound;
    }

    fn run_out(&mut self) {
        while self.edges.are_left() {
            self.extrapolate();
        }
    }

    /// Passes the next edge as if no usable sample followed.
    pub(crate) fn extrapolate(&mut self) {
        self.weigh(self.edges.next, None);
        let bound = self.bound(self.edges.next, None);
        self.pass(bound);
    }

    fn conclude(&self, end: &Bound) -> Outcome {
        let interval = &self.edges.current;
        if self.aggregate == Aggregate::Interpolative {
            let bound = if interval.backward { end } else { &self.start };
            return interpolative(interval, bound);
        }
        let regions = &self.regions;
        if !self.extent.overlaps(interval) || regions.covered == 0 {
            return Outcome::no_data(interval).partial_if(self.extent.cuts(interval));
        }
        let number = match self.aggregate {
            Aggregate::Total => regions.area,
            _ => regions.area / regions.seconds(),
        };
        let status = marked(good_if(regions.uncertain + regions.bad == 0), CALCULATED);
        Outcome::new(interval, status, Found::Number(number)).partial_if(self.extent.cuts(interval))
    }
}

/// Interpolative: its Partial bit is never set, and values continue after the last sample (Part 13 §5.4.3.4, 1.05).
fn interpolative(interval: &Interval, bound: &Bound) -> Outcome {
    if bound.class == Class::Bad {
        return Outcome::no_data(interval);
    }
    let found = bound.sample.map_or(Found::Number(bound.number), |at| Found::Sample { number: bound.number, at });
    Outcome::new(interval, bound.marked_status(), found)
}
