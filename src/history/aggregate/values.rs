//! The aggregates that need only the samples of an interval: Average, Minimum, Count, Start and similar ones.

use opcua::StatusCode;

use super::data::{self, Data};
use super::intervals::Slice;
use super::outcome::{Found, Outcome};
use super::status::{CALCULATED, Class, MULTIPLE_VALUES, Rules, code, good_if, marked};
use super::{Aggregate, Extent, Interval};
use crate::history::{Extreme, Fault, Point, Summary, Visitor};
use crate::value::UaTime;

/// Counts, sums and extremes of the samples of one interval.
#[derive(Debug, Clone)]
struct Tally {
    good: u64,
    uncertain: u64,
    bad: u64,
    /// The first Good number. Sums are of the distances from it, which keeps their digits.
    base: f64,
    sum: f64,
    squares: f64,
    min: Extreme,
    max: Extreme,
    /// Least and greatest of the Uncertain samples that may be used.
    uncertain_min: f64,
    uncertain_max: f64,
    transitions: u64,
    first: Option<Point>,
    last: Option<Point>,
    first_good: Option<Point>,
    last_good: Option<Point>,
    /// There are samples that aren't Good before the first Good one, or after the last.
    skipped_at_ends: [bool; 2],
    first_uncertain: Option<StatusCode>,
    first_bad: Option<StatusCode>,
}

const NO_MINIMUM: Extreme = Extreme { number: f64::INFINITY, time: UaTime::NULL, repeats: false };
const NO_MAXIMUM: Extreme = Extreme { number: f64::NEG_INFINITY, time: UaTime::NULL, repeats: false };

const EMPTY: Tally = Tally {
    good: 0,
    uncertain: 0,
    bad: 0,
    base: 0.0,
    sum: 0.0,
    squares: 0.0,
    min: NO_MINIMUM,
    max: NO_MAXIMUM,
    uncertain_min: f64::INFINITY,
    uncertain_max: f64::NEG_INFINITY,
    transitions: 0,
    first: None,
    last: None,
    first_good: None,
    last_good: None,
    skipped_at_ends: [false; 2],
    first_uncertain: None,
    first_bad: None,
};

impl Tally {
    fn good_point(&mut self, point: &Point) {
        if self.good == 0 {
            self.base = point.number;
            self.first_good = Some(*point);
        }
        self.good += 1;
        let distance = point.number - self.base;
        self.sum += distance;
        self.squares += distance * distance;
        self.lower(Extreme { number: point.number, time: point.time, repeats: false });
        self.raise(Extreme { number: point.number, time: point.time, repeats: false });
        self.last_good = Some(*point);
        self.skipped_at_ends[1] = false;
    }

    fn other_point(&mut self, point: &Point, class: Class, usable: bool) {
        self.skipped_at_ends[usize::from(self.good > 0)] = true;
        if class == Class::Bad {
            self.bad += 1;
            self.first_bad.get_or_insert(point.status);
            return;
        }
        self.uncertain += 1;
        self.first_uncertain.get_or_insert(point.status);
        if usable {
            self.uncertain_min = self.uncertain_min.min(point.number);
            self.uncertain_max = self.uncertain_max.max(point.number);
        }
    }

    fn frame(&mut self, frame: &Summary) {
        if self.good == 0 {
            self.base = frame.first.number;
            self.first_good = Some(frame.first);
        }
        let count = f64::from(frame.count);
        let distance = frame.sum / count - self.base;
        self.good += u64::from(frame.count);
        self.sum += distance * count;
        self.squares += frame.deviation + distance * distance * count;
        self.lower(frame.min);
        self.raise(frame.max);
        self.first.get_or_insert(frame.first);
        self.last = Some(frame.last);
        self.last_good = Some(frame.last);
        self.skipped_at_ends[1] = false;
    }

    fn lower(&mut self, other: Extreme) {
        if other.number < self.min.number {
            self.min = other;
        } else if other.number == self.min.number {
            self.min.repeats = true;
        }
    }

    fn raise(&mut self, other: Extreme) {
        if other.number > self.max.number {
            self.max = other;
        } else if other.number == self.max.number {
            self.max.repeats = true;
        }
    }

    fn is_empty(&self) -> bool {
        self.good + self.uncertain + self.bad == 0
    }
}

/// Walks over the samples of a slice and tallies each interval.
pub(super) struct Walk {
    aggregate: Aggregate,
    rules: Rules,
    slice: Slice,
    pub extent: Extent,
    /// Number of the interval that is being tallied, and its last member.
    at: usize,
    last_member: UaTime,
    tally: Tally,
    /// The last usable number, for transitions.
    previous: Option<f64>,
    pub outcomes: Vec<Outcome>,
}

/// Results in the order of time.
pub(super) fn calculate(
    data: &dyn Data,
    aggregate: Aggregate,
    rules: Rules,
    slice: &Slice,
    extent: Extent,
) -> Result<Vec<Outcome>, Fault> {
    if aggregate == Aggregate::AnnotationCount {
        return count_annotations(data, slice, extent);
    }
    let members = slice.members();
    let previous = if aggregate == Aggregate::NumberOfTransitions {
        data::usable_before(data, members.first, &rules)?.point.map(|point| point.number)
    } else {
        None
    };
    let mut walk = Walk::new(aggregate, rules, *slice, extent, previous);
    walk.outcomes.reserve(slice.len);
    data.scan(members, &mut walk)?;
    walk.finish_up_to(slice.len);
    Ok(walk.outcomes)
}

impl Visitor for Walk {
    fn frame(&mut self, frame: &Summary) -> bool {
        self.advance(frame.first.time);
        if frame.last.time > self.last_member {
            return false;
        }
        self.tally.frame(frame);
        let turn = self.previous != Some(frame.first.number);
        self.tally.transitions += u64::from(turn) + u64::from(frame.transitions);
        self.previous = Some(frame.last.number);
        true
    }

    fn points(&mut self, points: &[Point]) {
        for point in points {
            self.advance(point.time);
            self.take(point);
        }
    }
}

impl Walk {
    /// `previous` is the last usable number before the slice.
    pub(crate) fn new(aggregate: Aggregate, rules: Rules, slice: Slice, extent: Extent, previous: Option<f64>) -> Walk {
        let last_member = slice.get(0).members().last;
        Walk { aggregate, rules, slice, extent, at: 0, last_member, tally: EMPTY, previous, outcomes: Vec::new() }
    }

    /// Where the interval begins that is being tallied.
    pub(crate) fn begins(&self) -> UaTime {
        self.slice.get(self.at).low
    }

    /// The time at which it is over.
    pub(crate) fn ends(&self) -> UaTime {
        self.slice.get(self.at).high
    }

    /// A sample before the first interval.
    pub(crate) fn precede(&mut self, point: &Point) {
        if self.rules.usable(self.rules.class(point)) {
            self.previous = Some(point.number);
        }
    }

    /// Times of the samples that the interval may answer.
    pub(crate) fn wanted(&self) -> [Option<UaTime>; 6] {
        let tally = &self.tally;
        let time = |point: &Option<Point>| point.map(|point| point.time);
        let [first, last] = [time(&tally.first), time(&tally.last)];
        let [first_good, last_good] = [time(&tally.first_good), time(&tally.last_good)];
        [first, last, first_good, last_good, Some(tally.min.time), Some(tally.max.time)]
    }

    fn take(&mut self, point: &Point) {
        let class = self.rules.class(point);
        let usable = self.rules.usable(class);
        if class == Class::Good {
            self.tally.good_point(point);
        } else {
            self.tally.other_point(point, class, usable);
        }
        if usable {
            self.tally.transitions += u64::from(self.previous != Some(point.number));
            self.previous = Some(point.number);
        }
        self.tally.first.get_or_insert(*point);
        self.tally.last = Some(*point);
    }

    /// Goes on to the interval that holds the time.
    pub(crate) fn advance(&mut self, time: UaTime) {
        if time > self.last_member {
            self.finish_up_to(self.slice.seek(self.at, time));
        }
    }

    fn finish_up_to(&mut self, next: usize) {
        while self.at < next {
            let interval = self.slice.get(self.at);
            let tally = std::mem::replace(&mut self.tally, EMPTY);
            self.outcomes.push(conclude(self.aggregate, &self.rules, &interval, self.extent, &tally));
            self.at += 1;
        }
        if self.at < self.slice.len {
            self.last_member = self.slice.get(self.at).members().last;
        }
    }
}

fn conclude(aggregate: Aggregate, rules: &Rules, interval: &Interval, extent: Extent, tally: &Tally) -> Outcome {
    let no_data = Outcome::no_data(interval);
    if !extent.overlaps(interval) {
        return no_data;
    }
    let outcome = match aggregate {
        Aggregate::Average => average(rules, interval, tally),
        Aggregate::Minimum | Aggregate::MinimumActualTime => {
            let doubtful = tally.uncertain_min < tally.min.number;
            extreme(aggregate, rules, interval, tally, Candidate { extreme: tally.min, doubtful })
        }
        Aggregate::Maximum | Aggregate::MaximumActualTime => {
            let doubtful = tally.uncertain_max > tally.max.number;
            extreme(aggregate, rules, interval, tally, Candidate { extreme: tally.max, doubtful })
        }
        Aggregate::Range => range(rules, interval, tally),
        Aggregate::Count => counted(rules, interval, tally, tally.good),
        Aggregate::NumberOfTransitions => counted(rules, interval, tally, tally.transitions),
        Aggregate::Start => tally.first.map_or(no_data, |point| Outcome::raw(&point).checked()),
        Aggregate::End => tally.last.map_or(no_data, |point| Outcome::raw(&point).checked()),
        Aggregate::Delta => delta(interval, tally),
        Aggregate::WorstQuality => worst_quality(interval, tally),
        Aggregate::StandardDeviationSample => spread(interval, tally, 1, f64::sqrt),
        Aggregate::VarianceSample => spread(interval, tally, 1, |variance| variance),
        Aggregate::StandardDeviationPopulation => spread(interval, tally, 0, f64::sqrt),
        Aggregate::VariancePopulation => spread(interval, tally, 0, |variance| variance),
        _ => unreachable!("{aggregate:?} is calculated with bounding values"),
    };
    // The table of Average says that its Partial bit is not set (§5.4.3.5).
    outcome.partial_if(aggregate != Aggregate::Average && extent.cuts(interval))
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 samples")]
fn average(rules: &Rules, interval: &Interval, tally: &Tally) -> Outcome {
    if tally.good == 0 {
        return Outcome::no_data(interval);
    }
    let status = rules.by_values(tally.good, tally.uncertain, tally.bad);
    let number = tally.base + tally.sum / tally.good as f64;
    Outcome::new(interval, marked(status, CALCULATED), Found::Number(number)).checked()
}

/// The extreme of the Good samples.
struct Candidate {
    extreme: Extreme,
    /// An Uncertain sample exceeds it.
    doubtful: bool,
}

/// Minimum and Maximum with and without ActualTime.
fn extreme(aggregate: Aggregate, rules: &Rules, interval: &Interval, tally: &Tally, candidate: Candidate) -> Outcome {
    let Candidate { extreme, doubtful } = candidate;
    if tally.good == 0 {
        return Outcome::no_data(interval);
    }
    let good = !ignores(rules, tally) && !doubtful;
    let actual_time = matches!(aggregate, Aggregate::MinimumActualTime | Aggregate::MaximumActualTime);
    let is_calculated = !good || (!actual_time && extreme.time != interval.start());
    let bits = if is_calculated { CALCULATED } else { 0 } | if extreme.repeats { MULTIPLE_VALUES } else { 0 };
    Outcome {
        time: if actual_time { extreme.time } else { interval.start() },
        status: marked(good_if(good), bits),
        found: Found::Sample { number: extreme.number, at: extreme.time },
    }
}

/// Whether samples had to be left out because they count as Bad.
fn ignores(rules: &Rules, tally: &Tally) -> bool {
    tally.bad > 0 || (tally.uncertain > 0 && !rules.usable(Class::Uncertain))
}

fn range(rules: &Rules, interval: &Interval, tally: &Tally) -> Outcome {
    if tally.good == 0 {
        return Outcome::no_data(interval);
    }
    let doubtful = tally.uncertain_min < tally.min.number || tally.uncertain_max > tally.max.number;
    let status = marked(good_if(!ignores(rules, tally) && !doubtful), CALCULATED);
    let (min, max) = (tally.min, tally.max);
    let found = Found::Difference { from: (min.number, min.time), to: (max.number, max.time) };
    Outcome::new(interval, status, found)
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 samples")]
fn counted(rules: &Rules, interval: &Interval, tally: &Tally, count: u64) -> Outcome {
    let status = rules.by_values(tally.good, tally.uncertain, tally.bad);
    if status.is_bad() {
        return Outcome::new(interval, status, Found::Nothing);
    }
    Outcome::new(interval, marked(status, CALCULATED), Found::Number(count as f64))
}

fn delta(interval: &Interval, tally: &Tally) -> Outcome {
    let (Some(first), Some(last)) = (tally.first_good, tally.last_good) else { return Outcome::no_data(interval) };
    let status = marked(good_if(tally.skipped_at_ends == [false; 2]), CALCULATED);
    let found = Found::Difference { from: (first.number, first.time), to: (last.number, last.time) };
    Outcome::new(interval, status, found)
}

fn worst_quality(interval: &Interval, tally: &Tally) -> Outcome {
    if tally.is_empty() {
        return Outcome::no_data(interval);
    }
    let (worst, count) = match (tally.first_bad, tally.first_uncertain) {
        (Some(bad), _) => (bad, tally.bad),
        (None, Some(uncertain)) => (uncertain, tally.uncertain),
        (None, None) => (StatusCode::Good, 1),
    };
    let bits = CALCULATED | if count > 1 { MULTIPLE_VALUES } else { 0 };
    Outcome::new(interval, marked(StatusCode::Good, bits), Found::Status(code(worst)))
}

/// Variance, or a function of it; `less` is 1 for a sample of the population.
#[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 samples")]
fn spread(interval: &Interval, tally: &Tally, less: u64, of: fn(f64) -> f64) -> Outcome {
    if tally.good == 0 {
        return Outcome::no_data(interval);
    }
    let count = tally.good as f64;
    let deviation = (tally.squares - tally.sum * tally.sum / count).max(0.0);
    let variance = if tally.good == 1 { 0.0 } else { deviation / (tally.good - less) as f64 };
    let status = marked(good_if(tally.uncertain + tally.bad == 0), CALCULATED);
    Outcome::new(interval, status, Found::Number(of(variance)))
}

#[expect(clippy::cast_precision_loss, reason = "a count of entries in memory")]
fn count_annotations(data: &dyn Data, slice: &Slice, extent: Extent) -> Result<Vec<Outcome>, Fault> {
    let annotations = data.annotations(slice.members())?;
    let mut left = annotations.as_slice();
    let outcomes = (0..slice.len).map(|at| {
        let interval = slice.get(at);
        let here = left.partition_point(|annotation| annotation.at <= interval.members().last);
        left = &left[here..];
        if !extent.overlaps(&interval) {
            return Outcome::no_data(&interval);
        }
        let status = marked(StatusCode::Good, CALCULATED);
        Outcome::new(&interval, status, Found::Number(here as f64)).partial_if(extent.cuts(&interval))
    });
    Ok(outcomes.collect())
}
