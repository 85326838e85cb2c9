//! From what was found to the sample that is answered.

use opcua::StatusCode;

use super::status::{PARTIAL, marked};
use super::{Aggregate, Interval, Source};
use crate::history::{Fault, Point};
use crate::value::{BuiltIn, Sample, UaTime, Value};

/// The result for an interval, before its value has the type of the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    pub time: UaTime,
    pub status: StatusCode,
    pub found: Found,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Found {
    Nothing,
    Number(f64),
    /// The value of the sample at this time.
    Sample {
        number: f64,
        at: UaTime,
    },
    /// The value of one sample less that of another.
    Difference {
        from: (f64, UaTime),
        to: (f64, UaTime),
    },
    Status(StatusCode),
}

impl Outcome {
    pub(crate) fn no_data(interval: &Interval) -> Outcome {
        Outcome { time: interval.start(), status: StatusCode::BadNoData, found: Found::Nothing }
    }

    pub(crate) fn new(interval: &Interval, status: StatusCode, found: Found) -> Outcome {
        Outcome { time: interval.start(), status, found }
    }

    /// A sample as it is.
    pub(crate) fn raw(point: &Point) -> Outcome {
        let found = Found::Sample { number: point.number, at: point.time };
        Outcome { time: point.time, status: point.status, found }
    }

    /// Takes away the value of a Bad result.
    pub(crate) fn checked(mut self) -> Outcome {
        if self.status.is_bad() {
            self.found = Found::Nothing;
        }
        self
    }

    pub(crate) fn partial_if(mut self, partial: bool) -> Outcome {
        if partial {
            self.status = marked(self.status, PARTIAL);
        }
        self
    }

    /// Times of samples whose value doesn't go through f64.
    fn wanted(&self, kind: BuiltIn) -> [Option<UaTime>; 2] {
        match self.found {
            Found::Sample { at, .. } if !is_exact(kind) => [Some(at), None],
            Found::Difference { from, to } if !is_exact(kind) => [Some(from.1), Some(to.1)],
            _ => [None, None],
        }
    }
}

/// Whether every value of the type is exact as f64.
pub(super) fn is_exact(kind: BuiltIn) -> bool {
    matches!(
        kind,
        BuiltIn::Boolean
            | BuiltIn::SByte
            | BuiltIn::Byte
            | BuiltIn::Int16
            | BuiltIn::UInt16
            | BuiltIn::Int32
            | BuiltIn::UInt32
            | BuiltIn::Float
            | BuiltIn::Double
    )
}

/// Gives each outcome its value; what isn't exact as f64 is read again, in one go.
pub(super) fn settle(
    read: impl FnOnce(&[UaTime]) -> Result<Vec<Option<Sample>>, Fault>,
    source: &Source,
    aggregate: Aggregate,
    outcomes: &[Outcome],
) -> Result<Vec<Sample>, Fault> {
    let as_read = source.as_read();
    let times: Vec<UaTime> = outcomes.iter().flat_map(|outcome| outcome.wanted(as_read)).flatten().collect();
    let mut samples = if times.is_empty() { Vec::new() } else { read(&times)? }.into_iter();
    let kind = aggregate.result_kind(source.kind);
    let settled = outcomes.iter().map(|outcome| {
        let mut take = |wanted: Option<UaTime>| wanted.and_then(|_| samples.next().flatten());
        let [one, other] = outcome.wanted(as_read);
        let (one, other) = (take(one), take(other));
        sample(outcome, kind, is_exact(as_read), one, other)
    });
    Ok(settled.collect())
}

fn sample(outcome: &Outcome, kind: BuiltIn, exact: bool, one: Option<Sample>, other: Option<Sample>) -> Sample {
    let value = match outcome.found {
        Found::Nothing => Some(Value::Null),
        Found::Number(number) => Value::from_f64(kind, number),
        Found::Sample { number, .. } if exact => Value::from_f64(kind, number),
        Found::Sample { .. } => one.map(|sample| sample.value),
        Found::Difference { from, to } if exact => Value::from_f64(kind, to.0 - from.0),
        Found::Difference { .. } => one
            .zip(other)
            .and_then(|(from, to)| Some(to.value.as_integer()? - from.value.as_integer()?))
            .and_then(|difference| Value::from_integer(kind, difference)),
        Found::Status(status) => Some(status_value(status)),
    };
    let (value, status) = match value {
        Some(value) => (value, outcome.status),
        // The difference of two UInt16 may be no UInt16, and an edit may have taken the sample since.
        None => (Value::Null, StatusCode::BadOutOfRange),
    };
    Sample { value, status, source_time: outcome.time, server_time: outcome.time }
}

/// A StatusCode as an encoded Variant.
fn status_value(status: StatusCode) -> Value {
    let mut bytes = vec![BuiltIn::StatusCode as u8];
    bytes.extend(status.bits().to_le_bytes());
    Value::Wire(bytes.into())
}
