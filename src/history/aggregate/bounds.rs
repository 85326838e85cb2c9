//! Bounding values: the value of a tag at an instant between its samples (Part 13 §3.1.8 and §3.1.9, 1.05).

use opcua::StatusCode;

use super::status::{Class, INTERPOLATED, Rules, marked};
use crate::history::Point;
use crate::value::UaTime;

/// How values are connected between two samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Sloped,
    Stepped,
}

/// Which bounding value is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounding {
    /// From the neighbouring samples, whatever their status.
    Simple,
    /// From the nearest samples that are not Bad.
    Interpolated,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bound {
    pub time: UaTime,
    pub number: f64,
    /// Time of the sample that has exactly this value.
    pub sample: Option<UaTime>,
    pub status: StatusCode,
    pub class: Class,
    /// The value was calculated; false where a sample has exactly this time, and where there is no value.
    pub interpolated: bool,
}

impl Bound {
    pub(crate) fn missing(time: UaTime) -> Bound {
        Bound {
            time,
            number: f64::NAN,
            sample: None,
            status: StatusCode::BadNoData,
            class: Class::Bad,
            interpolated: false,
        }
    }

    pub(crate) fn raw(point: &Point, rules: &Rules) -> Bound {
        Bound {
            time: point.time,
            number: point.number,
            sample: Some(point.time),
            status: point.status,
            class: rules.class(point),
            interpolated: false,
        }
    }

    fn held(time: UaTime, from: &Point, class: Class) -> Bound {
        Bound { sample: Some(from.time), ..Bound::computed(time, from.number, class) }
    }

    fn computed(time: UaTime, number: f64, class: Class) -> Bound {
        let status = if class == Class::Good { StatusCode::Good } else { StatusCode::UncertainDataSubNormal };
        Bound { time, number, sample: None, status, class, interpolated: true }
    }

    /// The status, with the Interpolated bit if the value is interpolated.
    pub(crate) fn marked_status(&self) -> StatusCode {
        marked(self.status, if self.interpolated { INTERPOLATED } else { 0 })
    }
}

/// The value at a time on the line through two samples. The time may lie before, between or after them.
#[expect(clippy::cast_precision_loss, reason = "ticks between samples, as a ratio")]
pub(super) fn line(from: &Point, to: &Point, time: UaTime) -> f64 {
    let share = (time.0 - from.time.0) as f64 / (to.time.0 - from.time.0) as f64;
    from.number + (to.number - from.number) * share
}

/// The simple bounding value between two neighbouring samples. After the last one there is none: the specification
/// lets the server choose, and its examples give Bad_NoData.
pub(super) fn simple(rules: &Rules, shape: Shape, from: Option<&Point>, to: Option<&Point>, time: UaTime) -> Bound {
    let (Some(from), Some(to)) = (from, to) else { return Bound::missing(time) };
    let class = rules.class(from);
    if !rules.usable(class) {
        return Bound::missing(time);
    }
    if shape == Shape::Stepped {
        return Bound::held(time, from, class);
    }
    let next = rules.class(to);
    if rules.usable(next) {
        Bound::computed(time, line(from, to, time), class.max(next))
    } else {
        Bound::held(time, from, Class::Uncertain)
    }
}

/// A stretch between two usable samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch<'a> {
    pub from: Option<&'a Point>,
    pub to: Option<&'a Point>,
    /// The earliest sample between them.
    pub skipped: Option<UaTime>,
    /// The usable sample before `from`, where the line through both continues after the last one.
    pub second: Option<&'a Point>,
    /// The last sample of all.
    pub end_of_data: UaTime,
}

/// The interpolated bounding value; after the last usable sample it is extrapolated.
pub(super) fn interpolated(rules: &Rules, shape: Shape, stretch: &Stretch, time: UaTime) -> Bound {
    let Some(from) = stretch.from else { return Bound::missing(time) };
    let class = rules.class(from);
    match (shape, stretch.to, stretch.second) {
        (Shape::Sloped, Some(to), _) => {
            let skipped = if stretch.skipped.is_some() { Class::Uncertain } else { Class::Good };
            Bound::computed(time, line(from, to, time), class.max(rules.class(to)).max(skipped))
        }
        (Shape::Sloped, None, Some(second)) => Bound::computed(time, line(second, from, time), Class::Uncertain),
        (Shape::Sloped, None, None) => Bound::held(time, from, Class::Uncertain),
        (Shape::Stepped, ..) => {
            let skipped = stretch.skipped.is_some_and(|first| first <= time) || time > stretch.end_of_data;
            Bound::held(time, from, if skipped { Class::Uncertain } else { class })
        }
    }
}
