//! Raw values to tag values and back: scale, exponent, type, deadband. Pure.

use opcua::StatusCode;

use crate::model::{Scale, Shape};
use crate::value::{Array, BuiltIn, Elements, Value};

/// The value of a raw one. A number that the type cannot hold is BadDataEncodingInvalid, never cut.
pub(crate) fn to_tag(
    shape: &Shape,
    scale: Option<Scale>,
    raw: &Value,
    exponent: Option<i8>,
) -> Result<Value, StatusCode> {
    let kind = shape.data_type.wire();
    let calculates = scale.is_some() || exponent.is_some();
    if let Value::Array(array) = raw
        && !array.dimensions.is_empty()
        && array.dimensions != shape.dimensions
    {
        // Three rows of two are not two rows of three.
        return Err(StatusCode::BadDataEncodingInvalid);
    }
    if !calculates && raw.built_in() == Some(kind) {
        return Ok(shaped(raw, &shape.dimensions));
    }
    let one = |raw: &Value| match calculates {
        false => plain(raw, kind),
        true => scaled(scale, raw, exponent, kind),
    };
    let Value::Array(array) = raw else {
        return one(raw).ok_or(StatusCode::BadDataEncodingInvalid);
    };
    let values: Option<Vec<Value>> = elements(array).map(|raw| one(&raw)).collect();
    let values = values.ok_or(StatusCode::BadDataEncodingInvalid)?;
    let elements = Elements::collect(kind, values.into_iter()).ok_or(StatusCode::BadTypeMismatch)?;
    Ok(shaped(&Value::array(elements), &shape.dimensions))
}

/// The raw value of a tag's value. A scaled one is an integer where that is exact, else a Double that the driver
/// rounds.
pub(crate) fn to_raw(scale: Option<Scale>, value: &Value, exponent: Option<i8>) -> Result<Value, StatusCode> {
    if scale.is_none() && exponent.is_none() {
        return Ok(value.clone());
    }
    let one = |value: &Value| unscaled(scale, value, exponent).ok_or(StatusCode::BadOutOfRange);
    let Value::Array(array) = value else {
        return one(value);
    };
    let values: Result<Vec<Value>, StatusCode> = elements(array).map(|value| one(&value)).collect();
    together(&values?).map(Value::array).ok_or(StatusCode::BadOutOfRange)
}

fn elements(array: &Array) -> impl Iterator<Item = Value> + '_ {
    (0..array.elements.len()).filter_map(|at| array.elements.get(at))
}

/// Raw values as one array: whole numbers remain exact, and none loses a digit because of another.
pub(crate) fn together(values: &[Value]) -> Option<Elements> {
    let kind = [BuiltIn::Int64, BuiltIn::UInt64, BuiltIn::Double].into_iter().find(|kind| {
        values.iter().all(|value| {
            value.as_integer().is_none_or(|n| holds(*kind, n))
                && (*kind == BuiltIn::Double || value.as_integer().is_some())
        })
    })?;
    let each = values.iter().filter_map(|value| plain(value, kind));
    Elements::collect(kind, each.collect::<Vec<_>>().into_iter())
}

/// Without a scale no integer is rounded: what the type can't hold in its integer part is no value of it.
fn plain(raw: &Value, kind: BuiltIn) -> Option<Value> {
    match raw.as_integer() {
        Some(number) => Value::from_integer(kind, number).filter(|_| holds(kind, number)),
        None => {
            let number = raw.as_f64()?;
            let value = Value::from_f64(kind, number)?;
            if kind == BuiltIn::Float {
                // A Float of a longer float is a choice to round.
                return Some(value).filter(|value| !number.is_finite() || value.as_f64().is_some_and(f64::is_finite));
            }
            let same = value.as_f64().is_some_and(|value| !number.is_finite() || value.trunc() == number.trunc());
            let whole = !kind.is_integer() || number.fract() == 0.0;
            (same && whole).then_some(value)
        }
    }
}

/// The type has this whole number, to the last digit.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "loss is what it looks for")]
fn holds(kind: BuiltIn, number: i128) -> bool {
    match kind {
        BuiltIn::Float => (number as f32) as i128 == number,
        BuiltIn::Double => (number as f64) as i128 == number,
        kind => Value::from_integer(kind, number).is_some(),
    }
}

fn scaled(scale: Option<Scale>, raw: &Value, exponent: Option<i8>, kind: BuiltIn) -> Option<Value> {
    let integer = raw.as_integer();
    if let Some(whole) = Whole::of(scale, exponent)
        && let Some(number) = integer.and_then(|raw| whole.forth(raw, kind.is_integer()))
    {
        // An integer that nothing but whole numbers changed is shown to the last digit, or not at all.
        let is_lost = whole.power == 0 && !kind.is_integer() && !holds(kind, number);
        return Value::from_integer(kind, number).filter(|_| !is_lost);
    }
    let raw = raw.as_f64()?;
    let number = to_eu(scale, raw, exponent);
    // Beyond 2^53 a Double has no units left: the integer would be a guess.
    if kind.is_integer() && integer.is_some() && (raw.abs() > EXACT || number.abs() > EXACT) {
        return None;
    }
    Value::from_f64(kind, number).filter(|value| !raw.is_finite() || value.as_f64().is_some_and(f64::is_finite))
}

fn unscaled(scale: Option<Scale>, value: &Value, exponent: Option<i8>) -> Option<Value> {
    if let Some(whole) = Whole::of(scale, exponent)
        && let Some(raw) = value.as_integer().and_then(|value| whole.back(value))
    {
        return Some(raw);
    }
    let is_integer = value.as_integer().is_some();
    let value = value.as_f64()?;
    if let Some(Scale::Range { eu, clamp: true, .. }) = scale {
        // The end of a range of Floats differs from the written one by a rounding.
        let slack = (eu.1 - eu.0).abs() * 1e-6;
        if value < eu.0.min(eu.1) - slack || value > eu.0.max(eu.1) + slack {
            return None;
        }
    }
    let raw = from_eu(scale, value, exponent);
    // An integer that a Double can't carry would arrive as another one.
    if is_integer && (value.abs() > EXACT || raw.abs() > EXACT) {
        return None;
    }
    (raw.is_finite() || !value.is_finite()).then_some(Value::Double(raw))
}

/// Whole numbers up to here are exact in a Double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A scale of whole numbers, calculated without a Double, so that 64 bits keep all digits.
struct Whole {
    factor: i128,
    offset: i128,
    power: i8,
}

impl Whole {
    fn of(scale: Option<Scale>, exponent: Option<i8>) -> Option<Whole> {
        let (factor, offset) = match scale {
            None => (1.0, 0.0),
            Some(Scale::Factor { factor, offset }) => (factor, offset),
            Some(Scale::Range { .. }) => return None,
        };
        Some(Whole { factor: whole(factor)?, offset: whole(offset)?, power: exponent.unwrap_or(0) })
    }

    /// From raw; a fraction is rounded where an integer is wanted, else there is no answer.
    fn forth(&self, raw: i128, rounds: bool) -> Option<i128> {
        let product = raw.checked_mul(self.factor)?;
        let ten = power_of_ten(self.power)?;
        let shifted = match self.power {
            0.. => product.checked_mul(ten)?,
            _ if rounds || product % ten == 0 => divide(product, ten),
            _ => return None,
        };
        shifted.checked_add(self.offset)
    }

    /// To raw: an integer where that is exact, else a Double with the fraction, which an integer register rounds and a
    /// float register keeps; unless the Double would be rounded to another integer.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "what is lost is compared")]
    fn back(&self, value: i128) -> Option<Value> {
        let (mut above, mut below) = (value.checked_sub(self.offset)?, self.factor);
        let ten = power_of_ten(self.power)?;
        match self.power {
            0.. => below = below.checked_mul(ten)?,
            _ => above = above.checked_mul(ten)?,
        }
        let (quotient, rest) = (above.checked_div(below)?, above % below);
        let raw = divide(above, below);
        let real = quotient as f64 + rest as f64 / below as f64;
        if rest != 0 && real.round() as i128 == raw {
            return Some(Value::Double(real));
        }
        let integer = Value::from_integer(BuiltIn::Int64, raw).or_else(|| Value::from_integer(BuiltIn::UInt64, raw));
        // Beyond 64 bits only a float register can take it.
        Some(integer.unwrap_or(Value::Double(real)))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole, and bounded")]
fn whole(number: f64) -> Option<i128> {
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i128)
}

fn power_of_ten(power: i8) -> Option<i128> {
    10_i128.checked_pow(power.unsigned_abs().into())
}

/// Rounds to nearest, half away from zero.
fn divide(above: i128, below: i128) -> i128 {
    let (quotient, rest) = (above / below, above % below);
    let is_half = rest.unsigned_abs() >= below.unsigned_abs() - rest.unsigned_abs();
    if rest != 0 && is_half { quotient + above.signum() * below.signum() } else { quotient }
}

/// The array with the tag's dimensions; a single dimension is its length.
fn shaped(value: &Value, dimensions: &[u32]) -> Value {
    match value {
        Value::Array(array) if dimensions.len() > 1 && array.dimensions != dimensions => {
            let dimensions = dimensions.to_vec();
            Value::Array(std::sync::Arc::new(Array { elements: array.elements.clone(), dimensions }))
        }
        value => value.clone(),
    }
}

fn to_eu(scale: Option<Scale>, raw: f64, exponent: Option<i8>) -> f64 {
    match scale {
        None => shift(raw, exponent),
        Some(Scale::Factor { factor, offset }) => shift(times(raw, factor), exponent) + offset,
        Some(Scale::Range { raw: from, eu: to, clamp }) => Line { from, to }.at(raw, clamp),
    }
}

fn from_eu(scale: Option<Scale>, value: f64, exponent: Option<i8>) -> f64 {
    let back = exponent.map(|exponent| -exponent);
    match scale {
        None => shift(value, back),
        Some(Scale::Factor { factor, offset }) => shift(value - offset, back) / factor,
        Some(Scale::Range { raw: to, eu: from, clamp }) => Line { from, to }.at(value, clamp),
    }
}

/// A straight line from one range of values to another.
struct Line {
    from: (f64, f64),
    to: (f64, f64),
}

impl Line {
    fn at(&self, value: f64, clamp: bool) -> f64 {
        let Line { from, to } = self;
        let mapped = to.0 + (value - from.0) * (to.1 - to.0) / (from.1 - from.0);
        // `f64::clamp` would panic for ends that fall; NaN passes through min and max only in this order.
        if clamp && !mapped.is_nan() { mapped.max(to.0.min(to.1)).min(to.0.max(to.1)) } else { mapped }
    }
}

/// 234 x 0.1 is 23.4 and not 23.400000000000002: a factor that is one over a whole number divides.
fn times(raw: f64, factor: f64) -> f64 {
    let inverse = factor.recip();
    if inverse.fract() == 0.0 && inverse.recip() == factor && inverse.abs() < 1e15 {
        raw / inverse
    } else {
        raw * factor
    }
}

fn shift(number: f64, exponent: Option<i8>) -> f64 {
    match exponent.unwrap_or(0) {
        0 => number,
        power @ 1.. => number * 10_f64.powi(power.into()),
        power => number / 10_f64.powi(-i32::from(power)),
    }
}

/// NaN compares false with everything; a sensor that turns NaN must be reported, once.
pub(crate) fn leaves_deadband(last: &Value, now: &Value, band: f64) -> bool {
    if band > 0.0 {
        if let (Some(last), Some(now)) = (last.as_f64(), now.as_f64()) {
            return (now - last).abs() > band || now.is_nan() != last.is_nan();
        }
        if let (Value::Array(last), Value::Array(now)) = (last, now) {
            return array_leaves_deadband(last, now, band);
        }
    }
    !last.same_bits(now)
}

fn array_leaves_deadband(last: &Array, now: &Array, band: f64) -> bool {
    let count = now.elements.len();
    count != last.elements.len()
        || (0..count).any(|at| match (last.elements.get(at), now.elements.get(at)) {
            (Some(last), Some(now)) => leaves_deadband(&last, &now, band),
            _ => true,
        })
}
