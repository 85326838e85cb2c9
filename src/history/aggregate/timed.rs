//! The aggregates that weigh time or look at bounding values: one walk over the stretches between samples, each
//! stretch cut at the edges of the intervals that it crosses.

use opcua::StatusCode;

use super::bounds::{self, Bound, Shape};
use super::data::{self, Data};
use super::intervals::{Edges, Slice};
use super::outcome::{Found, Outcome};
use super::regions::{Candidate, Part, Regions, Weighing};
use super::status::{CALCULATED, Class, INTERPOLATED, MULTIPLE_VALUES, Rules, marked};
use super::{Aggregate, Extent, Interval, Method, TICKS_A_MS};
use crate::history::{Fault, Point, Span, Summary, Visitor};
use crate::value::UaTime;

pub(super) struct Walk {
    aggregate: Aggregate,
    rules: Rules,
    /// Of the values, for bounds and areas.
    shape: Shape,
    weighing: Weighing,
    pub extent: Extent,
    edges: Edges,
    /// The bound at the low end of the current interval.
    start: Bound,
    regions: Regions,
    /// The last sample.
    from: Option<Point>,
    pub outcomes: Vec<Outcome>,
}

/// Results in the order of time, with simple bounds.
pub(super) fn calculate(data: &dyn Data, method: Method, slice: &Slice, extent: Extent) -> Result<Vec<Outcome>, Fault> {
    let (low, high) = slice.ends();
    let mut walk = Walk::new(method, *slice, extent, data::before(data, low)?);
    walk.outcomes.reserve(slice.len);
    data.scan(Span { first: low, last: UaTime(high.0 - 1) }, &mut walk)?;
    match data::from(data, high)? {
        Some(next) => walk.reach(&next),
        None => walk.run_out(),
    }
    Ok(walk.outcomes)
}

impl Visitor for Walk {
    fn frame(&mut self, frame: &Summary) -> bool {
        if !self.edges.holds(frame) {
            return false;
        }
        self.reach(&frame.first);
        self.regions.frame(frame, self.shape);
        self.from = Some(frame.last);
        true
    }

    fn points(&mut self, points: &[Point]) {
        for point in points {
            self.reach(point);
            if point.time > self.edges.current.low {
                self.take(point);
            }
            self.from = Some(*point);
        }
    }
}

impl Walk {
    /// `from` is the last sample before the slice.
    pub(crate) fn new(method: Method, slice: Slice, extent: Extent, from: Option<Point>) -> Walk {
        let Method { aggregate, rules, shape } = method;
        let weighing = match aggregate {
            Aggregate::DurationInStateZero
            | Aggregate::DurationInStateNonZero
            | Aggregate::DurationGood
            | Aggregate::DurationBad
            | Aggregate::PercentGood
            | Aggregate::PercentBad => Weighing::States(shape),
            _ => Weighing::Values(shape),
        };
        let edges = Edges::new(slice);
        Walk {
            aggregate,
            rules,
            shape,
            weighing,
            extent,
            start: Bound::missing(edges.current.low),
            edges,
            regions: Regions::EMPTY,
            from,
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

    /// Passes the next edge while no sample was ever seen.
    pub(crate) fn end_without_sample(&mut self) {
        self.pass(Bound::missing(self.edges.next));
    }

    /// Times of the samples that the current interval may answer.
    pub(crate) fn wanted(&self) -> [Option<UaTime>; 6] {
        let from = self.from.map(|point| point.time);
        [from, self.start.sample, self.regions.min.sample, self.regions.max.sample, None, None]
    }

    /// Advances to a sample: weighs the time up to it and closes the intervals that end at or before it.
    fn reach(&mut self, next: &Point) {
        while self.edges.next <= next.time {
            self.weigh(self.edges.next, next);
            let bound = if self.edges.next == next.time {
                Bound::raw(next, &self.rules)
            } else {
                bounds::simple(&self.rules, self.shape, self.from.as_ref(), Some(next), self.edges.next)
            };
            self.pass(bound);
        }
        self.weigh(next.time, next);
    }

    /// Weighs the time from the last sample, or from the interval's low end, up to `high`.
    fn weigh(&mut self, high: UaTime, next: &Point) {
        if !self.edges.is_open() {
            return;
        }
        let Some(from) = &self.from else {
            self.regions.bad += high.0 - self.edges.current.low.0;
            return;
        };
        let begins = from.time < self.edges.current.low;
        let low = if begins { self.edges.current.low } else { from.time };
        let part = Part { low, high, bound: begins.then_some(&self.start), from, to: next };
        self.regions.part(&self.rules, self.weighing, &part);
    }

    /// Takes a sample within the current interval, after its low end.
    fn take(&mut self, point: &Point) {
        let class = self.rules.class(point);
        if self.rules.usable(class) {
            self.regions.offer(Candidate::of_point(point));
        }
        self.regions.quality(point.status, class);
    }

    /// Passes the next edge, whose bound this is.
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
        self.regions.quality(bound.status, bound.class);
        if self.rules.usable(bound.class) {
            self.regions.offer(Candidate::of_bound(&bound));
        }
    }

    /// There is no further sample: closes what is left.
    fn run_out(&mut self) {
        while self.edges.are_left() {
            if self.edges.is_open() {
                match &self.from {
                    Some(last) => {
                        let low = last.time.max(self.edges.current.low);
                        self.regions.last(&self.rules, self.weighing, last, low..self.edges.current.high);
                    }
                    None => self.regions.bad += self.edges.current.high.0 - self.edges.current.low.0,
                }
            }
            self.pass(Bound::missing(self.edges.next));
        }
    }

    fn conclude(&mut self, end: &Bound) -> Outcome {
        let interval = self.edges.current;
        if !self.extent.overlaps(&interval) {
            return Outcome::no_data(&interval);
        }
        self.regions.quality(end.status, end.class);
        if self.end_counts(end) {
            self.regions.offer(Candidate::of_bound(end));
        }
        self.result(&interval, end).partial_if(self.extent.cuts(&interval))
    }

    /// Whether the bound at the high end may be the extreme (Part 13 §5.4.3.15, 1.05): where values slope up to it,
    /// and where time flows backwards and it is a sample of the interval.
    fn end_counts(&self, end: &Bound) -> bool {
        self.rules.usable(end.class)
            && (self.shape == Shape::Sloped || (self.edges.current.backward && !end.interpolated))
    }

    /// `end` is the bound at the high end.
    fn result(&self, interval: &Interval, end: &Bound) -> Outcome {
        // In the direction of the request.
        let (first, last) = if interval.backward { (end, &self.start) } else { (&self.start, end) };
        let regions = &self.regions;
        let by_time = self.rules.by_time(regions.good, regions.uncertain, regions.bad);
        let calculated =
            |number: f64| Outcome::new(interval, marked(StatusCode::Good, CALCULATED), Found::Number(number));
        let state = |ticks: i64| {
            Outcome::new(interval, marked(by_time, CALCULATED), Found::Number(milliseconds(ticks))).checked()
        };
        let total = regions.good + regions.uncertain + regions.bad;
        match self.aggregate {
            Aggregate::TimeAverage2 => self.area(interval, by_time, regions.area / regions.seconds()),
            Aggregate::Total2 => self.area(interval, by_time, regions.area),
            Aggregate::Minimum2 | Aggregate::MinimumActualTime2 => self.extreme(interval, by_time, &regions.min),
            Aggregate::Maximum2 | Aggregate::MaximumActualTime2 => self.extreme(interval, by_time, &regions.max),
            Aggregate::Range2 => self.range(interval, by_time),
            Aggregate::DurationInStateZero => state(regions.zero),
            Aggregate::DurationInStateNonZero => state(regions.good - regions.zero),
            Aggregate::DurationGood => calculated(milliseconds(regions.good)),
            Aggregate::DurationBad => calculated(milliseconds(self.bad_ticks())),
            Aggregate::PercentGood => calculated(percent(regions.good, total)),
            Aggregate::PercentBad => calculated(percent(self.bad_ticks(), total)),
            Aggregate::WorstQuality2 => self.worst_quality(interval),
            Aggregate::StartBound => self.bound(interval, first, first.marked_status()),
            Aggregate::EndBound => self.bound(interval, last, marked(last.status, CALCULATED)),
            Aggregate::DeltaBounds => self.delta(interval, end),
            other => unreachable!("{other:?} is not calculated with simple bounds"),
        }
    }

    fn area(&self, interval: &Interval, status: StatusCode, number: f64) -> Outcome {
        if self.regions.covered == 0 {
            return Outcome::no_data(interval);
        }
        Outcome::new(interval, marked(status, CALCULATED), Found::Number(number)).checked()
    }

    fn extreme(&self, interval: &Interval, status: StatusCode, extreme: &Candidate) -> Outcome {
        if !extreme.number.is_finite() {
            return Outcome::no_data(interval);
        }
        if status.is_bad() {
            return Outcome::new(interval, status, Found::Nothing);
        }
        let actual_time = matches!(self.aggregate, Aggregate::MinimumActualTime2 | Aggregate::MaximumActualTime2);
        let at_end = extreme.time == interval.end();
        let bits = if extreme.interpolated || (actual_time && at_end) {
            INTERPOLATED
        } else if !actual_time && extreme.time != interval.start() {
            CALCULATED
        } else {
            0
        };
        let time = match (actual_time, at_end) {
            (false, _) => interval.start(),
            (true, false) => extreme.time,
            (true, true) => interval.effective_end(),
        };
        let bits = bits | if extreme.repeats { MULTIPLE_VALUES } else { 0 };
        Outcome { time, status: marked(status, bits), found: value_of(extreme.number, extreme.sample) }
    }

    fn range(&self, interval: &Interval, status: StatusCode) -> Outcome {
        let (min, max) = (&self.regions.min, &self.regions.max);
        // "If Minimum2 or Maximum2 are Bad then the status is Bad_NoData" (§5.4.3.19).
        if !min.number.is_finite() || status.is_bad() {
            return Outcome::no_data(interval);
        }
        let found = difference(
            Edge { number: min.number, sample: min.sample },
            Edge { number: max.number, sample: max.sample },
        );
        Outcome::new(interval, marked(status, CALCULATED), found)
    }

    fn worst_quality(&self, interval: &Interval) -> Outcome {
        let worst = &self.regions.worst;
        let several = worst.class != Class::Good && worst.count > 1;
        let bits = CALCULATED | if several { MULTIPLE_VALUES } else { 0 };
        let found = Found::Status(super::status::code(worst.status));
        Outcome::new(interval, marked(StatusCode::Good, bits), found)
    }

    fn bound(&self, interval: &Interval, bound: &Bound, status: StatusCode) -> Outcome {
        if !self.rules.usable(bound.class) {
            return Outcome::no_data(interval);
        }
        Outcome::new(interval, status, value_of(bound.number, bound.sample))
    }

    /// The same in both directions (Part 13 §5.4.2.2, 1.05).
    fn delta(&self, interval: &Interval, last: &Bound) -> Outcome {
        let first = &self.start;
        if !self.rules.usable(first.class) || !self.rules.usable(last.class) {
            return Outcome::no_data(interval);
        }
        let good = first.class == Class::Good && last.class == Class::Good;
        let status = marked(super::status::good_if(good), CALCULATED);
        let from = Edge { number: first.number, sample: first.sample };
        let to = Edge { number: last.number, sample: last.sample };
        Outcome::new(interval, status, difference(from, to))
    }

    fn bad_ticks(&self) -> i64 {
        let uncertain = if self.rules.usable(Class::Uncertain) { 0 } else { self.regions.uncertain };
        self.regions.bad + uncertain
    }
}

fn value_of(number: f64, sample: Option<UaTime>) -> Found {
    sample.map_or(Found::Number(number), |at| Found::Sample { number, at })
}

/// One side of a difference.
struct Edge {
    number: f64,
    /// The sample's time; `None` for a number that was calculated.
    sample: Option<UaTime>,
}

fn difference(from: Edge, to: Edge) -> Found {
    match (from.sample, to.sample) {
        (Some(start), Some(end)) => Found::Difference { from: (from.number, start), to: (to.number, end) },
        _ => Found::Number(to.number - from.number),
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks of an interval")]
fn milliseconds(ticks: i64) -> f64 {
    ticks as f64 / TICKS_A_MS as f64
}

#[expect(clippy::cast_precision_loss, reason = "ticks of an interval")]
fn percent(part: i64, total: i64) -> f64 {
    part as f64 / total as f64 * 100.0
}
