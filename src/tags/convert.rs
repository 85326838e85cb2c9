//! Raw values to tag values and back: scale, exponent, type, deadband. Pure.

use opcua::StatusCode;

use crate::model::{Scale, Tag};
use crate::value::{Array, BuiltIn, Elements, Value};

/// The tag's value of a raw one. A number that the tag's type cannot hold is BadOutOfRange, never cut.
pub fn to_tag(tag: &Tag, raw: &Value, exponent: Option<i8>) -> Result<Value, StatusCode> {
    let kind = tag.shape.data_type.wire();
    let calculates = tag.scale.is_some() || exponent.is_some();
    if !calculates && raw.built_in() == Some(kind) {
        return Ok(shaped(raw, &tag.shape.dimensions));
    }
    each(raw, kind, &tag.shape.dimensions, &|raw| match calculates {
        false => plain(raw, kind),
        true => Value::from_f64(kind, to_eu(tag.scale, raw.as_f64()?, exponent)),
    })
}

/// The raw value of a tag's value; a scaled one is a Double that the driver rounds.
pub fn to_raw(tag: &Tag, value: &Value, exponent: Option<i8>) -> Result<Value, StatusCode> {
    if tag.scale.is_none() && exponent.is_none() {
        return Ok(value.clone());
    }
    each(value, BuiltIn::Double, &[], &|value| {
        let raw = from_eu(tag.scale, value.as_f64()?, exponent);
        raw.is_finite().then_some(Value::Double(raw))
    })
}

fn plain(raw: &Value, kind: BuiltIn) -> Option<Value> {
    match raw.as_integer() {
        Some(number) => Value::from_integer(kind, number),
        None => raw.as_f64().and_then(|number| Value::from_f64(kind, number)),
    }
}

/// Applies `one` to the value or to each element.
fn each(
    value: &Value,
    kind: BuiltIn,
    dimensions: &[u32],
    one: &dyn Fn(&Value) -> Option<Value>,
) -> Result<Value, StatusCode> {
    let Value::Array(array) = value else {
        return one(value).ok_or(StatusCode::BadOutOfRange);
    };
    let values: Option<Vec<Value>> =
        (0..array.elements.len()).map(|at| array.elements.get(at).as_ref().and_then(one)).collect();
    let values = values.ok_or(StatusCode::BadOutOfRange)?;
    let elements = Elements::collect(kind, values.into_iter()).ok_or(StatusCode::BadTypeMismatch)?;
    Ok(shaped(&Value::array(elements), dimensions))
}

/// The array with the tag's dimensions; one dimension is said by its length alone.
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
        Some(Scale::Range { raw: ends, eu, clamp }) => map(raw, ends, eu, clamp),
    }
}

fn from_eu(scale: Option<Scale>, value: f64, exponent: Option<i8>) -> f64 {
    let back = exponent.map(|exponent| -exponent);
    match scale {
        None => shift(value, back),
        Some(Scale::Factor { factor, offset }) => shift(value - offset, back) / factor,
        Some(Scale::Range { raw, eu, clamp }) => map(value, eu, raw, clamp),
    }
}

fn map(value: f64, from: (f64, f64), to: (f64, f64), clamp: bool) -> f64 {
    let mapped = to.0 + (value - from.0) * (to.1 - to.0) / (from.1 - from.0);
    // `f64::clamp` would panic for ends that fall; NaN passes through min and max only in this order.
    if clamp && !mapped.is_nan() { mapped.max(to.0.min(to.1)).min(to.0.max(to.1)) } else { mapped }
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

/// NaN compares false with everything; a sensor that turns NaN must be heard, once.
pub fn leaves_deadband(last: &Value, now: &Value, band: f64) -> bool {
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
