//! Functions without memory, over values whose types were checked.

use std::sync::Arc;

use opcua::StatusCode;

use super::functions::Function as F;
use super::operand::{Fault, Moments, TOO_LARGE, calculable, finite, text};
use super::program::Cause;
use crate::value::{Array, UaTime, Value, time_to_text};

const NO_RESULT: Fault = Fault { code: StatusCode::BadOutOfRange, cause: Cause::NoResult };

/// A result that may be NaN, where the function has none.
fn real(number: f64) -> Result<Value, Fault> {
    if number.is_nan() { Err(NO_RESULT) } else { finite(number) }
}

/// A Double without a fraction as an Integer.
#[expect(clippy::cast_possible_truncation, reason = "bounds are checked")]
fn integer(number: f64) -> Result<Value, Fault> {
    // 2^63 is the first Double above all Integers.
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    if fits { Ok(Value::Int64(number as i64)) } else { Err(TOO_LARGE) }
}

/// Calls a function; a null among the arguments makes the result null.
pub(super) fn call(function: F, arguments: &[Value], at: Moments) -> Result<Value, Fault> {
    if arguments.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    match arguments {
        [] => Ok(Value::DateTime(at.now.wall)),
        [Value::Array(array)] => of_array(function, array),
        many if matches!(function, F::Min | F::Max | F::Sum | F::Avg) => of_many(function, many),
        [Value::Int64(x)] => of_integer(function, *x),
        [Value::Double(x)] => of_double(function, *x),
        [Value::String(x)] => of_text(function, x),
        [Value::DateTime(time)] => of_time(function, *time, at),
        [Value::Boolean(on)] => Ok(Value::text(if *on { "true" } else { "false" })),
        [Value::Int64(x), Value::Int64(y)] => of_integers(function, *x, *y),
        [Value::Double(x), Value::Double(y)] => match function {
            F::Pow => real(x.powf(*y)),
            F::Atan2 => real(x.atan2(*y)),
            _ => Err(NO_RESULT),
        },
        [Value::Double(x), Value::Int64(digits)] => match function {
            F::Round => round(*x, *digits),
            _ => with_digits(*x, *digits),
        },
        [Value::Int64(x), Value::Int64(low), Value::Int64(high)] => match low <= high {
            true => Ok(Value::Int64((*x).clamp(*low, *high))),
            false => Err(NO_RESULT),
        },
        [Value::Double(x), Value::Double(low), Value::Double(high)] => match low <= high {
            true => Ok(Value::Double(x.clamp(*low, *high))),
            false => Err(NO_RESULT),
        },
        [Value::String(whole), Value::String(part)] => Ok(Value::Boolean(match function {
            F::Contains => whole.contains(&**part),
            _ => whole.starts_with(&**part),
        })),
        [Value::String(whole), Value::Int64(from), Value::Int64(count)] => part(whole, *from, *count),
        [_, Value::Int64(_)] => call(F::Text, &arguments[..1], at),
        _ => Err(NO_RESULT),
    }
}

fn of_integer(function: F, x: i64) -> Result<Value, Fault> {
    Ok(match function {
        F::Abs => Value::Int64(x.checked_abs().ok_or(TOO_LARGE)?),
        F::Sign => Value::Int64(x.signum()),
        F::Text => Value::text(&x.to_string()),
        // They have nothing to do.
        F::Floor | F::Ceil | F::Trunc | F::Round => Value::Int64(x),
        _ => return Err(NO_RESULT),
    })
}

fn of_double(function: F, x: f64) -> Result<Value, Fault> {
    match function {
        F::Abs => finite(x.abs()),
        F::Sign => Ok(Value::Int64(if x > 0.0 { 1 } else { -i64::from(x < 0.0) })),
        F::Floor => integer(x.floor()),
        F::Ceil => integer(x.ceil()),
        F::Trunc => integer(x.trunc()),
        F::Round => integer(x.round()),
        F::Sqrt => real(x.sqrt()),
        F::Exp => real(x.exp()),
        F::Ln if x <= 0.0 => Err(NO_RESULT),
        F::Ln => real(x.ln()),
        F::Log10 if x <= 0.0 => Err(NO_RESULT),
        F::Log10 => real(x.log10()),
        F::Sin => real(x.sin()),
        F::Cos => real(x.cos()),
        F::Tan => real(x.tan()),
        F::Text => Ok(Value::text(&x.to_string())),
        _ => Err(NO_RESULT),
    }
}

/// To digits after the point, half away from zero; negative digits are before it.
fn round(x: f64, digits: i64) -> Result<Value, Fault> {
    let power = 10f64.powi(i32::try_from(digits.clamp(-400, 400)).unwrap_or(0).abs());
    if digits < 0 {
        return finite(if power.is_finite() { (x / power).round() * power } else { 0.0 });
    }
    let shifted = x * power;
    // Above 2^52 there are no digits left to round.
    finite(if shifted.abs() < 4_503_599_627_370_496.0 { shifted.round() / power } else { x })
}

fn with_digits(x: f64, digits: i64) -> Result<Value, Fault> {
    let digits = usize::try_from(digits).ok().filter(|digits| *digits <= 15).ok_or(NO_RESULT)?;
    // `{:.1}` rounds half to even; the rest of opcell rounds half away from zero.
    let rounded = match round(x, i64::try_from(digits).unwrap_or(0))? {
        Value::Double(rounded) => rounded,
        _ => x,
    };
    Ok(Value::text(&format!("{rounded:.digits$}")))
}

fn of_integers(function: F, x: i64, y: i64) -> Result<Value, Fault> {
    let bit = || u32::try_from(y).ok().filter(|bit| *bit < 64).ok_or(NO_RESULT);
    Ok(match function {
        F::Div if y == 0 => return Err(Fault { code: StatusCode::BadOutOfRange, cause: Cause::DivisionByZero }),
        F::Div => Value::Int64(x.checked_div(y).ok_or(TOO_LARGE)?),
        F::Bit => Value::Boolean(x >> bit()? & 1 == 1),
        F::Band => Value::Int64(x & y),
        F::Bor => Value::Int64(x | y),
        F::Bxor => Value::Int64(x ^ y),
        F::Shl => {
            let bit = bit()?;
            Value::Int64(Some(x << bit).filter(|shifted| shifted >> bit == x).ok_or(TOO_LARGE)?)
        }
        F::Shr => Value::Int64((x.cast_unsigned() >> bit()?).cast_signed()),
        F::Text => with_digits_of_integer(x, y)?,
        // An Integer has no digits after the point.
        F::Round if y >= 0 => return round_to_double(x),
        _ => return Err(NO_RESULT),
    })
}

#[expect(clippy::cast_precision_loss, reason = "the contract: the nearest Double")]
fn round_to_double(x: i64) -> Result<Value, Fault> {
    Ok(Value::Double(x as f64))
}

fn with_digits_of_integer(x: i64, digits: i64) -> Result<Value, Fault> {
    let digits = usize::try_from(digits).ok().filter(|digits| *digits <= 15).ok_or(NO_RESULT)?;
    let fraction = if digits == 0 { String::new() } else { format!(".{:0<digits$}", "") };
    Ok(Value::text(&format!("{x}{fraction}")))
}

fn of_text(function: F, x: &str) -> Result<Value, Fault> {
    match function {
        F::Len => Ok(Value::Int64(i64::try_from(x.chars().count()).unwrap_or(i64::MAX))),
        F::Upper => text(&x.to_uppercase()),
        F::Lower => text(&x.to_lowercase()),
        F::Trim => Ok(Value::text(x.trim())),
        F::Text => Ok(Value::text(x)),
        F::Number => {
            let number = x.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            let no_number = Fault { code: StatusCode::BadTypeMismatch, cause: Cause::NoNumber };
            number.map(Value::Double).ok_or(no_number)
        }
        _ => Err(NO_RESULT),
    }
}

/// Letters from a place, counted from 0; those that are there.
fn part(whole: &str, from: i64, count: i64) -> Result<Value, Fault> {
    let (Ok(from), Ok(count)) = (usize::try_from(from), usize::try_from(count)) else { return Err(NO_RESULT) };
    let part: String = whole.chars().skip(from).take(count).collect();
    Ok(Value::text(&part))
}

/// In the time zone of the host.
fn of_time(function: F, time: UaTime, at: Moments) -> Result<Value, Fault> {
    let local = time.unix_seconds().saturating_add((at.zone)(time).into());
    Ok(match function {
        F::Hour => Value::Int64(local.rem_euclid(86_400) / 3_600),
        F::Minute => Value::Int64(local.rem_euclid(3_600) / 60),
        // 1970-01-01 was a Thursday, the 4th day.
        F::Weekday => Value::Int64((local.div_euclid(86_400) + 3).rem_euclid(7) + 1),
        F::Text => Value::text(&time_to_text(time)),
        _ => return Err(NO_RESULT),
    })
}

/// The elements of an array as values that calculate.
fn elements(array: &Array) -> impl Iterator<Item = Result<Value, Fault>> + '_ {
    let one = |value| calculable(value).map_err(|_| NO_RESULT);
    (0..array.elements.len()).filter_map(|at| array.elements.get(at)).map(one)
}

fn of_array(function: F, array: &Arc<Array>) -> Result<Value, Fault> {
    if function == F::Count {
        return Ok(Value::Int64(i64::try_from(array.elements.len()).unwrap_or(i64::MAX)));
    }
    let mut gathered = Gathered::default();
    for value in elements(array) {
        gathered.take(function, &value?)?;
    }
    gathered.result(function)
}

fn of_many(function: F, values: &[Value]) -> Result<Value, Fault> {
    let mut gathered = Gathered::default();
    values.iter().try_for_each(|value| gathered.take(function, value))?;
    gathered.result(function)
}

/// Numbers of one type, as far as they were taken.
#[derive(Default)]
struct Gathered {
    count: u32,
    so_far: Value,
}

impl Gathered {
    fn take(&mut self, function: F, next: &Value) -> Result<(), Fault> {
        self.count += 1;
        self.so_far = match (&self.so_far, next) {
            (Value::Null, next) if function == F::Avg => Value::Double(double(next)),
            (Value::Null, next) => next.clone(),
            (Value::Int64(a), Value::Int64(b)) => Value::Int64(match function {
                F::Min => *a.min(b),
                F::Max => *a.max(b),
                _ => a.checked_add(*b).ok_or(TOO_LARGE)?,
            }),
            (a, b) => {
                let (a, b) = (double(a), double(b));
                match function {
                    F::Min => Value::Double(a.min(b)),
                    F::Max => Value::Double(a.max(b)),
                    _ => finite(a + b)?,
                }
            }
        };
        Ok(())
    }

    fn result(self, function: F) -> Result<Value, Fault> {
        match (function, &self.so_far) {
            (F::Sum, Value::Null) => Ok(Value::Int64(0)),
            (F::Avg, Value::Double(sum)) => finite(sum / f64::from(self.count)),
            _ => Ok(self.so_far),
        }
    }
}

fn double(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}
