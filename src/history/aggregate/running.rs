//! An aggregate of a live value: the calculation of `process`, fed as samples come, without an archive
//! (AggregateFilter, Part 4 §7.22.4, 1.05). It holds a handful of numbers however long an interval is.
//!
//! A live value holds until the next one arrives: at the end of an interval the last sample is taken as the present
//! value. So there is an end bound without waiting, and a value that never changes has a result in every interval.

use std::time::Duration;

use opcua::StatusCode;

use super::bounds::Shape;
use super::catalogue::Family;
use super::data::{self, Nearest};
use super::intervals::{Grid, Slice};
use super::outcome::{self, Outcome};
use super::status::Rules;
use super::{Aggregate, Configuration, Extent, Method, Source, TICKS_A_MS, lines, timed, values};
use crate::history::{Point, Visitor};
use crate::value::{Sample, UaTime};

/// Intervals that may be made up for at once. When the clock jumps farther, those before are left out.
const CATCH_UP: i64 = 4096;
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// An aggregate as a client requests it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunningRequest {
    /// `archive` is not used here.
    pub source: Source,
    pub aggregate: Aggregate,
    pub configuration: Configuration,
    pub start: UaTime,
    /// ProcessingInterval in milliseconds.
    pub interval: f64,
}

impl RunningRequest {
    /// Whether both ask for the same, so that a running calculation can continue.
    pub fn continues(&self, earlier: &RunningRequest) -> bool {
        let same_edges = (self.start.0 - earlier.start.0) % ticks(self.interval) == 0;
        RunningRequest { start: earlier.start, ..*self } == *earlier && same_edges
    }

    /// Brings start and interval into what can be done; both are told to the client. An interval of 0 becomes
    /// `usual`, one below `least` becomes that. A start in the past moves by whole intervals into the one that runs, for
    /// this reads no history, as does one that is years ahead; no start means that intervals begin where the clock is
    /// a multiple of them.
    pub fn revise(mut self, now: UaTime, least: Duration, usual: Duration) -> Result<RunningRequest, StatusCode> {
        if !self.interval.is_finite() || self.interval < 0.0 {
            return Err(StatusCode::BadMonitoredItemFilterInvalid);
        }
        if self.aggregate == Aggregate::AnnotationCount {
            return Err(StatusCode::BadAggregateNotSupported);
        }
        if !self.aggregate.takes(self.source.kind, self.source.is_array) {
            return Err(StatusCode::BadAggregateInvalidInputs);
        }
        self.configuration.check()?;
        let asked = if self.interval == 0.0 {
            usual
        } else {
            Duration::try_from_secs_f64(self.interval / 1000.0).unwrap_or(LONGEST)
        };
        let interval = asked.clamp(least.max(Duration::from_millis(1)), LONGEST);
        self.interval = interval.as_secs_f64() * 1000.0;
        let step = ticks(self.interval);
        if self.start <= now || now.plus(LONGEST) < self.start {
            let offset = self.start.0.rem_euclid(step);
            self.start = UaTime(now.0 - (now.0 - offset).rem_euclid(step));
        }
        Ok(self)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "between 1 ms and 366 days")]
fn ticks(interval: f64) -> i64 {
    (interval * TICKS_A_MS as f64).round() as i64
}

pub struct Running {
    request: RunningRequest,
    walk: Walk,
    /// The last sample, as it is now.
    last: Option<Sample>,
    /// Samples whose values the running interval may answer and that don't go through f64.
    kept: Vec<Sample>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("request", &self.request).finish_non_exhaustive()
    }
}

enum Walk {
    Values(values::Walk),
    Timed(timed::Walk),
    Lines(lines::Walk),
}

impl Running {
    /// For a request that `revise` gave.
    pub fn new(request: RunningRequest) -> Running {
        Running { walk: Walk::new(&request, request.start, None), request, last: None, kept: Vec::new() }
    }

    pub fn request(&self) -> &RunningRequest {
        &self.request
    }

    /// Starts from scratch in the present interval, without any earlier sample.
    pub fn begin(&mut self, now: UaTime) {
        let step = ticks(self.request.interval);
        let start = UaTime(now.0 - (now.0 - self.walk.begins().0).rem_euclid(step));
        self.walk = Walk::new(&self.request, start, None);
        self.last = None;
        self.kept.clear();
    }

    /// Takes a sample that arrived now. Its own time counts when it lies between the last one and now; what comes late
    /// or from a wrong clock counts as of now.
    pub fn take(&mut self, sample: &Sample, now: UaTime, into: &mut Vec<Sample>) {
        self.catch_up(now);
        let own = sample.source_time;
        let time = match &self.last {
            None if own <= now => own,
            Some(last) if last.source_time < own && self.walk.begins() <= own && own <= now => own,
            Some(last) => UaTime(now.0.max(last.source_time.0 + 1)),
            None => now,
        };
        let sample = Sample { source_time: time, ..sample.clone() };
        self.walk.see(time);
        self.walk.take(&data::point(&sample));
        self.remember(sample);
        self.give(into);
    }

    /// Returns the results of the intervals that have ended by now.
    pub fn pass(&mut self, now: UaTime, into: &mut Vec<Sample>) {
        self.catch_up(now);
        while let Some(edge) = self.walk.ends().filter(|edge| *edge <= now) {
            let last = self.last.as_ref().filter(|last| last.source_time < edge).cloned();
            self.walk.end(last.as_ref().map(data::point), edge);
            if let Some(last) = last.filter(|_| self.walk.holds()) {
                self.remember(Sample { source_time: edge, ..last });
            }
            self.give(into);
        }
    }

    /// Leaves intervals out when there are too many to make up for.
    fn catch_up(&mut self, now: UaTime) {
        let step = ticks(self.request.interval);
        let begins = self.walk.begins();
        if now.0.saturating_sub(begins.0) / step > CATCH_UP {
            let start = UaTime(now.0 - (now.0 - begins.0) % step);
            self.walk = Walk::new(&self.request, start, self.last.as_ref());
        }
    }

    fn remember(&mut self, sample: Sample) {
        if !outcome::is_exact(self.request.source.as_read()) {
            self.kept.push(sample.clone());
        }
        self.last = Some(sample);
    }

    /// Gives the results there are, then keeps the samples alone that may be answered later.
    fn give(&mut self, into: &mut Vec<Sample>) {
        if !self.walk.outcomes().is_empty() {
            self.settle(into);
        }
        if !self.kept.is_empty() {
            let wanted = self.walk.wanted();
            self.kept.retain(|sample| wanted.contains(&Some(sample.source_time)));
        }
    }

    fn settle(&mut self, into: &mut Vec<Sample>) {
        let outcomes = std::mem::take(self.walk.outcomes());
        let find = |time: &UaTime| self.kept.iter().find(|sample| sample.source_time == *time).cloned();
        let read = |times: &[UaTime]| Ok(times.iter().map(find).collect());
        let settled = outcome::settle(read, &self.request.source, self.request.aggregate, &outcomes);
        into.extend(settled.expect("what is in memory can be read"));
    }
}

impl Walk {
    fn new(request: &RunningRequest, start: UaTime, last: Option<&Sample>) -> Walk {
        let slice = endless(start, request.interval);
        let rules = Rules::new(request.aggregate, &request.configuration);
        let shape: Shape = request.source.shape();
        let extent = match last {
            Some(last) => Extent { first: last.source_time, last: last.source_time },
            None => Extent { first: UaTime(i64::MAX), last: UaTime(i64::MIN) },
        };
        let from = last.map(data::point);
        let usable = from.filter(|point| rules.usable(rules.class(point)));
        let method = Method { aggregate: request.aggregate, rules, shape };
        match request.aggregate.family() {
            Family::Values => {
                let previous = usable.map(|point| point.number);
                Walk::Values(values::Walk::new(request.aggregate, rules, slice, extent, previous))
            }
            Family::Timed => Walk::Timed(timed::Walk::new(method, slice, extent, from)),
            Family::Lines => {
                let before = Nearest { point: usable, skipped: None };
                Walk::Lines(lines::Walk::new(method, slice, extent, before))
            }
        }
    }

    fn extent(&mut self) -> &mut Extent {
        match self {
            Walk::Values(walk) => &mut walk.extent,
            Walk::Timed(walk) => &mut walk.extent,
            Walk::Lines(walk) => &mut walk.extent,
        }
    }

    fn outcomes(&mut self) -> &mut Vec<Outcome> {
        match self {
            Walk::Values(walk) => &mut walk.outcomes,
            Walk::Timed(walk) => &mut walk.outcomes,
            Walk::Lines(walk) => &mut walk.outcomes,
        }
    }

    /// Where the running interval begins, or the first one will.
    fn begins(&self) -> UaTime {
        match self {
            Walk::Values(walk) => walk.begins(),
            Walk::Timed(walk) => walk.begins(),
            Walk::Lines(walk) => walk.begins(),
        }
    }

    /// The next edge; passing the first one gives no result.
    fn ends(&self) -> Option<UaTime> {
        let edge = match self {
            Walk::Values(walk) => walk.ends(),
            Walk::Timed(walk) => walk.next_edge(),
            Walk::Lines(walk) => walk.next_edge(),
        };
        (edge < UaTime(i64::MAX)).then_some(edge)
    }

    /// There is data up to this time.
    fn see(&mut self, time: UaTime) {
        let extent = self.extent();
        extent.first = extent.first.min(time);
        extent.last = extent.last.max(time);
    }

    fn take(&mut self, point: &Point) {
        match self {
            Walk::Values(walk) if point.time < walk.begins() => walk.precede(point),
            Walk::Values(walk) => walk.points(std::slice::from_ref(point)),
            Walk::Timed(walk) => walk.points(std::slice::from_ref(point)),
            Walk::Lines(walk) => walk.points(std::slice::from_ref(point)),
        }
    }

    /// Whether the last sample is taken as the present value at an edge, as if it were another sample.
    fn holds(&self) -> bool {
        !matches!(self, Walk::Values(_))
    }

    /// An edge is reached, at which `last` still holds.
    fn end(&mut self, last: Option<Point>, edge: UaTime) {
        if self.extent().first < edge {
            self.see(edge);
        }
        let held = last.map(|point| Point { time: edge, ..point });
        match (self, held) {
            (Walk::Values(walk), _) => walk.advance(edge),
            (Walk::Timed(walk), Some(held)) => walk.points(&[held]),
            (Walk::Timed(walk), None) => walk.end_without_sample(),
            (Walk::Lines(walk), held) => {
                walk.points(held.as_slice());
                if walk.next_edge() == edge {
                    walk.extrapolate();
                }
            }
        }
    }

    /// Times of the samples that the running interval may answer.
    fn wanted(&self) -> [Option<UaTime>; 6] {
        match self {
            Walk::Values(walk) => walk.wanted(),
            Walk::Timed(walk) => walk.wanted(),
            Walk::Lines(walk) => walk.wanted(),
        }
    }
}

/// Intervals from a start to the end of time.
fn endless(start: UaTime, interval: f64) -> Slice {
    let grid = Grid::new(start, UaTime(i64::MAX), interval).expect("revised: a start in our time, a whole step");
    grid.slice(0, usize::MAX)
}
