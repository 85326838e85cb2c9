//! Values that a formula calculates with: Boolean, Int64, Double, String, DateTime, and arrays.

use opcua::StatusCode;

use super::program::{Binary, Cause, Comparison};
use crate::value::{Array, BuiltIn, Elements, Moment, UaTime, Value};

/// When a run happens, and why.
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    pub now: Moment,
    /// The clock causes this run, and no change of an input.
    pub by_clock: bool,
    /// Seconds that the host's time zone is ahead of UTC at a time.
    pub zone: fn(UaTime) -> i32,
}

/// A Bad end of a run, or of the part inside a `Try`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub code: StatusCode,
    pub cause: Cause,
}

pub(super) const TOO_LARGE: Fault = Fault { code: StatusCode::BadOutOfRange, cause: Cause::TooLarge };

/// Longest text that a formula makes, in bytes.
pub(super) const LONGEST_TEXT: usize = 65_535;

pub(super) fn text(text: &str) -> Result<Value, Fault> {
    if text.len() > LONGEST_TEXT {
        return Err(Fault { code: StatusCode::BadOutOfRange, cause: Cause::TextTooLong });
    }
    Ok(Value::text(text))
}

/// The element of an array, by the indices after it.
pub(super) fn element(values: &[Value]) -> Result<Value, Fault> {
    const ABSENT: Fault = Fault { code: StatusCode::BadIndexRangeNoData, cause: Cause::NoSuchElement };
    let Some((Value::Array(array), indices)) = values.split_first() else { return Ok(Value::Null) };
    if indices.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    let count = [u32::try_from(array.elements.len()).unwrap_or(u32::MAX)];
    let sizes: &[u32] = if array.dimensions.len() > 1 { &array.dimensions } else { &count };
    let mut at = 0usize;
    for (place, size) in sizes.iter().enumerate() {
        let Some(Value::Int64(index)) = indices.get(place) else { return Err(ABSENT) };
        let index = u32::try_from(*index).ok().filter(|index| index < size).ok_or(ABSENT)?;
        at = at * *size as usize + index as usize;
    }
    if indices.len() != sizes.len() {
        return Err(ABSENT);
    }
    let value = array.elements.get(at).ok_or(ABSENT)?;
    calculable(value).map_err(|_| TOO_LARGE)
}

/// A value that no formula calculates with.
pub(super) enum Uncalculable {
    /// Above the greatest Integer.
    Integer,
    /// NaN, or infinite.
    Finite,
}

/// The value of a tag as formulas have it: Boolean, Int64, Double, String, DateTime, or an array.
pub(super) fn calculable(value: Value) -> Result<Value, Uncalculable> {
    Ok(match value {
        Value::SByte(number) => Value::Int64(number.into()),
        Value::Byte(number) => Value::Int64(number.into()),
        Value::Int16(number) => Value::Int64(number.into()),
        Value::UInt16(number) => Value::Int64(number.into()),
        Value::Int32(number) => Value::Int64(number.into()),
        Value::UInt32(number) => Value::Int64(number.into()),
        Value::UInt64(number) => Value::Int64(number.try_into().map_err(|_| Uncalculable::Integer)?),
        Value::Float(number) if number.is_finite() => Value::Double(number.into()),
        Value::Double(number) if number.is_finite() => Value::Double(number),
        Value::Float(_) | Value::Double(_) => return Err(Uncalculable::Finite),
        value => value,
    })
}

#[expect(clippy::cast_precision_loss, reason = "the contract: an Integer next to a Double is the nearest Double")]
pub(super) fn to_double(value: Value) -> Value {
    match value {
        Value::Int64(number) => Value::Double(number as f64),
        value => value,
    }
}

pub(super) fn finite(number: f64) -> Result<Value, Fault> {
    if number.is_finite() { Ok(Value::Double(number)) } else { Err(TOO_LARGE) }
}

const BY_ZERO: Fault = Fault { code: StatusCode::BadOutOfRange, cause: Cause::DivisionByZero };

/// An operator between two Doubles.
pub(super) fn doubles(op: Binary, left: f64, right: f64) -> Result<f64, Fault> {
    let number = match op {
        Binary::Add => left + right,
        Binary::Subtract => left - right,
        Binary::Multiply => left * right,
        Binary::Divide | Binary::Remainder if right == 0.0 => return Err(BY_ZERO),
        Binary::Divide => left / right,
        Binary::Remainder => left % right,
        Binary::Join => return Err(TOO_LARGE),
    };
    if number.is_finite() { Ok(number) } else { Err(TOO_LARGE) }
}

pub(super) fn binary(op: Binary, left: &Value, right: &Value) -> Result<Value, Fault> {
    match (left, right) {
        (&Value::Int64(left), &Value::Int64(right)) => {
            let number = match op {
                Binary::Add => left.checked_add(right),
                Binary::Subtract => left.checked_sub(right),
                Binary::Multiply => left.checked_mul(right),
                Binary::Remainder if right == 0 => return Err(BY_ZERO),
                // The only one that overflows is -2^63 % -1, which is 0.
                Binary::Remainder => Some(left.checked_rem(right).unwrap_or(0)),
                Binary::Divide | Binary::Join => None,
            };
            number.map(Value::Int64).ok_or(TOO_LARGE)
        }
        (&Value::Double(left), &Value::Double(right)) => doubles(op, left, right).map(Value::Double),
        (Value::String(left), Value::String(right)) => text(&[&**left, &**right].concat()),
        _ => Ok(Value::Null),
    }
}

pub(super) fn compare(op: Comparison, left: &Value, right: &Value) -> Value {
    let order = match (left, right) {
        (Value::Int64(left), Value::Int64(right)) => left.partial_cmp(right),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Boolean(left), Value::Boolean(right)) => left.partial_cmp(right),
        (Value::String(left), Value::String(right)) => left.partial_cmp(right),
        (Value::DateTime(left), Value::DateTime(right)) => left.partial_cmp(right),
        _ => return Value::Null,
    };
    order.map_or(Value::Null, |order| {
        Value::Boolean(match op {
            Comparison::Equal => order.is_eq(),
            Comparison::Unequal => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::AtMost => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::AtLeast => order.is_ge(),
        })
    })
}

/// The value of a tag of this type, as a write would make it: to nearest, half away from zero.
pub(super) fn as_written(kind: BuiltIn, value: Value) -> Result<Value, Fault> {
    let fits = |value: &Value| value.as_f64().is_none_or(f64::is_finite);
    match value {
        Value::Int64(number) => Value::from_integer(kind, number.into()).filter(fits).ok_or(TOO_LARGE),
        Value::Double(number) => Value::from_f64(kind, number).filter(fits).ok_or(TOO_LARGE),
        Value::Array(array) if array.elements.built_in() != kind => {
            let one = |at| {
                let value = array.elements.get(at).and_then(|value| calculable(value).ok()).ok_or(TOO_LARGE)?;
                as_written(kind, value)
            };
            let values: Result<Vec<Value>, Fault> = (0..array.elements.len()).map(one).collect();
            let elements = Elements::collect(kind, values?.into_iter()).ok_or(TOO_LARGE)?;
            Ok(Value::Array(Array { elements, dimensions: array.dimensions.clone() }.into()))
        }
        value => Ok(value),
    }
}
