//! Time within an interval by quality, and the area under its values.

use std::ops::Range;

use super::bounds::{Bound, Shape, line};
use super::status::{Class, Rules};
use crate::history::{Extreme, Point, Summary};
use crate::value::UaTime;

const TICKS_A_SECOND: f64 = 1e7;

/// Durations by quality, area and extremes of one interval.
#[derive(Debug, Clone, Copy)]
pub(super) struct Regions {
    /// Ticks of each class.
    pub good: i64,
    pub uncertain: i64,
    pub bad: i64,
    /// Ticks over which there is a value, and the integral in value x seconds.
    pub covered: i64,
    pub area: f64,
    /// Good ticks in which the value is zero.
    pub zero: i64,
    pub min: Candidate,
    pub max: Candidate,
    pub worst: Worst,
}

/// A value that may be the extreme of an interval.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub number: f64,
    pub time: UaTime,
    pub sample: Option<UaTime>,
    pub interpolated: bool,
    pub repeats: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Worst {
    pub status: opcua::StatusCode,
    pub class: Class,
    pub count: u32,
}

const fn candidate(number: f64) -> Candidate {
    Candidate { number, time: UaTime::NULL, sample: None, interpolated: false, repeats: false }
}

impl Regions {
    pub(crate) const EMPTY: Regions = Regions {
        good: 0,
        uncertain: 0,
        bad: 0,
        covered: 0,
        area: 0.0,
        zero: 0,
        min: candidate(f64::INFINITY),
        max: candidate(f64::NEG_INFINITY),
        worst: Worst { status: opcua::StatusCode::Good, class: Class::Good, count: 0 },
    };

    pub(crate) fn time(&mut self, class: Class, ticks: i64) {
        match class {
            Class::Good => self.good += ticks,
            Class::Uncertain => self.uncertain += ticks,
            Class::Bad => self.bad += ticks,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "ticks of an interval")]
    pub(crate) fn area(&mut self, ticks: i64, mean: f64) {
        self.covered += ticks;
        self.area += mean * (ticks as f64 / TICKS_A_SECOND);
    }

    /// A whole frame from its first sample to its last; all of it is Good.
    pub(crate) fn frame(&mut self, frame: &Summary, shape: Shape) {
        let ticks = frame.last.time.0 - frame.first.time.0;
        self.good += ticks;
        self.covered += ticks;
        self.area += match shape {
            Shape::Sloped => frame.sloped,
            Shape::Stepped => frame.stepped,
        };
        self.zero += frame.zero;
        self.offer_least(extreme(&frame.min));
        self.offer_greatest(extreme(&frame.max));
    }

    pub(crate) fn offer(&mut self, candidate: Candidate) {
        self.offer_least(candidate);
        self.offer_greatest(candidate);
    }

    fn offer_least(&mut self, other: Candidate) {
        if other.number < self.min.number {
            self.min = other;
        } else {
            self.min.meet(&other);
        }
    }

    fn offer_greatest(&mut self, other: Candidate) {
        if other.number > self.max.number {
            self.max = other;
        } else {
            self.max.meet(&other);
        }
    }

    pub(crate) fn quality(&mut self, status: opcua::StatusCode, class: Class) {
        if class > self.worst.class || self.worst.count == 0 {
            self.worst = Worst { status, class, count: 1 };
        } else if class == self.worst.class {
            self.worst.count += 1;
        }
    }

    pub(crate) fn seconds(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "ticks of an interval")]
        let ticks = self.covered as f64;
        ticks / TICKS_A_SECOND
    }
}

fn extreme(extreme: &Extreme) -> Candidate {
    Candidate {
        number: extreme.number,
        time: extreme.time,
        sample: Some(extreme.time),
        interpolated: false,
        repeats: extreme.repeats,
    }
}

impl Candidate {
    pub(crate) fn of_point(point: &Point) -> Candidate {
        Candidate {
            number: point.number,
            time: point.time,
            sample: Some(point.time),
            interpolated: false,
            repeats: false,
        }
    }

    pub(crate) fn of_bound(bound: &Bound) -> Candidate {
        Candidate {
            number: bound.number,
            time: bound.time,
            sample: bound.sample,
            interpolated: bound.interpolated,
            repeats: false,
        }
    }

    fn meet(&mut self, other: &Candidate) {
        if other.number == self.number {
            self.repeats |= other.repeats || other.time != self.time;
        }
    }
}

/// How time between two samples is weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weighing {
    /// By the values: each stretch has the quality that its value has.
    Values(Shape),
    /// By states: each sample holds until the next; only what a start bound says depends on the shape.
    States(Shape),
}

/// The part of a stretch between two neighbouring samples that lies in one interval.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub low: UaTime,
    pub high: UaTime,
    /// The bound at `low`, where this part begins the interval.
    pub bound: Option<&'a Bound>,
    pub from: &'a Point,
    pub to: &'a Point,
}

impl Regions {
    /// A part of the time between two neighbouring samples, with simple bounds.
    pub(crate) fn part(&mut self, rules: &Rules, weighing: Weighing, part: &Part) {
        let ticks = part.high.0 - part.low.0;
        if ticks == 0 {
            return;
        }
        let from = rules.class(part.from);
        if !rules.usable(from) {
            self.bad += ticks;
            return;
        }
        match weighing {
            Weighing::Values(Shape::Stepped) => {
                self.time(from, ticks);
                self.area(ticks, part.from.number);
            }
            Weighing::Values(Shape::Sloped) => {
                let to = rules.class(part.to);
                if rules.usable(to) {
                    self.time(from.max(to), ticks);
                    let ends = line(part.from, part.to, part.low) + line(part.from, part.to, part.high);
                    self.area(ticks, ends / 2.0);
                } else {
                    self.time(Class::Uncertain, ticks);
                    self.area(ticks, part.from.number);
                }
            }
            Weighing::States(_) => {
                let (class, number) = match part.bound.filter(|bound| bound.interpolated) {
                    Some(bound) => (bound.class, bound.number),
                    None => (from, part.from.number),
                };
                self.time(class, ticks);
                if class == Class::Good && number == 0.0 {
                    self.zero += ticks;
                }
            }
        }
    }

    /// The end of the data: its last sample lasts for the smallest time there is, a Bad one to the interval's end.
    pub(crate) fn last(&mut self, rules: &Rules, weighing: Weighing, last: &Point, rest: Range<UaTime>) {
        let Range { start: low, end: high } = rest;
        let class = rules.class(last);
        if !rules.usable(class) {
            self.bad += high.0 - low.0;
            return;
        }
        let ticks = (high.0 - low.0).min(super::TICKS_A_MS);
        let class = if weighing == Weighing::Values(Shape::Sloped) { class.max(Class::Uncertain) } else { class };
        self.time(class, ticks);
        self.area(ticks, last.number);
        if class == Class::Good && last.number == 0.0 {
            self.zero += ticks;
        }
    }
}
