//! The registers that a write must leave.

use super::*;
use crate::map::{Charset, Raw, Scaling, Tag};

/// The required effect of a write on the registers.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    Refused,
    /// The registers of the tag hold what was written.
    Holds,
    /// Both are right: the raw number lies at the end of its range.
    Either,
}

/// Whether the write must be refused, by what the tag and its registers can hold.
pub(crate) fn write(tag: &Tag, values: &[Value], image: &[u16]) -> Effect {
    // An array goes to the driver as numbers of one type: where a fraction comes next to a number that only an
    // integer holds, it may be refused.
    let is_long = |value: &Value| value.as_integer().is_some_and(|number| number.abs() > EXACT / 1_000_000);
    let is_mixed = tag.scale.is_some() && values.len() > 1 && values.iter().any(is_long);
    // A fraction goes through a Double, which does not carry every long integer.
    let is_fraction = tag.scale.is_some_and(|scale| scale.factor.2 != 1);
    let is_far = |value: &Value| {
        let raw = if tag.scale.is_some() { raw_of(tag, value, image).abs() } else { 0.0 };
        value.as_integer().is_some() && (raw > EXACT as f64 * 0.9 && is_fraction || raw > 1e36)
    };
    let is_open = is_mixed || is_fraction && values.iter().any(is_long) || values.iter().any(is_far);
    let mut effect = if is_open { Effect::Either } else { Effect::Holds };
    for value in values {
        match one(tag, value, image) {
            Effect::Refused => return Effect::Refused,
            Effect::Either => effect = Effect::Either,
            Effect::Holds => {}
        }
    }
    effect
}

fn one(tag: &Tag, value: &Value, image: &[u16]) -> Effect {
    let holds = |holds: bool| if holds { Effect::Holds } else { Effect::Refused };
    match value {
        Value::String(text) => return holds(encoded(tag, text).is_some()),
        Value::ByteString(bytes) => return holds(bytes.len() <= tag.length),
        _ => {}
    }
    if let (Some(values), Some(number)) = (tag.values, value.as_integer())
        && !values.iter().any(|value| i128::from(*value) == number)
    {
        return Effect::Refused;
    }
    let Some((least, most)) = raw_range(tag) else {
        let real = raw_of(tag, value, image);
        let largest = if tag.raw == Raw::F32 { f64::from(f32::MAX) } else { f64::MAX };
        let is_number = value.as_f64().is_some_and(f64::is_finite);
        let whole = if tag.raw == Raw::F32 { 1.6e7 } else { 9e15 };
        let is_rounded = value.as_integer().is_some() && real.abs() > whole && real.abs() <= largest * 1.1;
        if is_rounded || is_near_invalid(tag, real) {
            return Effect::Either;
        }
        return match is_number {
            true if (real.abs() / largest - 1.0).abs() < 1e-6 => Effect::Either,
            true => holds(real.abs() <= largest),
            false => holds(tag.nan),
        };
    };
    let real = raw_of(tag, value, image);
    if !real.is_finite() {
        return Effect::Refused;
    }
    let may_be_invalid = tag.bits.is_none() && is_near_invalid(tag, real);
    if let (None, Some(number)) = (tag.scale, value.as_integer()) {
        return holds((least..=most).contains(&number) && !may_be_invalid);
    }
    if may_be_invalid {
        return Effect::Either;
    }
    let (least, most) = (least as f64 - 0.5, most as f64 + 0.5);
    let slack = 1e-9 * real.abs().max(1.0);
    let is_edge = (real - least).abs() <= slack || (real - most).abs() <= slack;
    if is_edge { Effect::Either } else { holds(least < real && real < most) }
}

/// The raw number may be rounded to one that means "no value".
fn is_near_invalid(tag: &Tag, real: f64) -> bool {
    tag.invalid.iter().any(|bits| match number(tag.raw, *bits) {
        Ok(Number::Whole(number)) if tag.scale.is_none() => number as f64 == real,
        Ok(Number::Whole(number)) => (number as f64 - real).abs() <= 0.5 + 1e-9 * real.abs(),
        Ok(Number::Real(number)) if real.is_finite() => (number - real).abs() <= 1e-6 * real.abs(),
        Ok(Number::Real(number)) => !number.is_finite(),
        Err(_) => false,
    })
}

fn raw_range(tag: &Tag) -> Option<(i128, i128)> {
    if let Some((first, last)) = tag.bits {
        return Some((0, (1 << (last - first + 1)) - 1));
    }
    let bits = tag.raw.bits();
    match tag.raw {
        Raw::F32 | Raw::F64 => None,
        Raw::B16 => Some((0, 9_999)),
        Raw::B32 => Some((0, 99_999_999)),
        Raw::I8 | Raw::I16 | Raw::I32 | Raw::I64 => Some((-(1 << (bits - 1)), (1 << (bits - 1)) - 1)),
        _ => Some((0, (1 << bits) - 1)),
    }
}

/// The raw number of a value, as a real one.
fn raw_of(tag: &Tag, value: &Value, image: &[u16]) -> f64 {
    let number = value.as_f64().expect("a number");
    let Some(scale) = tag.scale else { return number };
    let (_, above, below) = scale.factor;
    let power = scale.exponent.map_or(0, |at| i32::from(image[usize::from(at)].cast_signed()));
    let moved = number - scale.offset as f64;
    let shifted = if power < 0 { moved * 10_f64.powi(-power) } else { moved / 10_f64.powi(power) };
    shifted * below as f64 / above as f64
}

/// The words of a text as the device has them, or `None` for what it cannot hold.
fn encoded(tag: &Tag, text: &str) -> Option<Vec<u16>> {
    if text.contains('\0') {
        return None;
    }
    let mut words: Vec<u16> = match tag.charset {
        Charset::Utf16 => text.encode_utf16().collect(),
        charset => {
            let bytes: Vec<u8> = match charset {
                Charset::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<_>>()?,
                _ => text.bytes().collect(),
            };
            if bytes.len() > tag.length || bytes.last() == Some(&0xff) && !tag.one_each {
                return None;
            }
            match tag.one_each {
                true => bytes.into_iter().map(u16::from).collect(),
                false => bytes
                    .chunks(2)
                    .map(|pair| u16::from(pair[0]) << 8 | u16::from(*pair.get(1).unwrap_or(&0)))
                    .collect(),
            }
        }
    };
    if words.len() > tag.places.len() {
        return None;
    }
    words.resize(tag.places.len(), 0);
    Some(words)
}

/// Whether the registers hold what was written, and the bits next to it are as before.
pub(crate) fn holds(tag: &Tag, values: &[Value], before: &[u16], after: &[u16]) -> bool {
    let places: Vec<&[u16]> = tag.places.chunks(tag.width()).collect();
    places.iter().zip(values).all(|(places, value)| {
        let (old, new) = (words(tag, places, before), words(tag, places, after));
        match value {
            Value::String(text) => encoded(tag, text).as_deref() == Some(&new[..]),
            Value::ByteString(bytes) => {
                let mut wanted = bytes.to_vec();
                wanted.resize(new.len() * 2, 0);
                new.iter().flat_map(|word| word.to_be_bytes()).eq(wanted)
            }
            value => holds_number(tag, value, &old, &new, before),
        }
    })
}

fn holds_number(tag: &Tag, value: &Value, old: &[u16], new: &[u16], image: &[u16]) -> bool {
    let (was, is) = (full(tag, old), full(tag, new));
    let mask = match tag.bits {
        Some((first, last)) => (u64::MAX >> (63 - (last - first))) << first,
        None if tag.raw.bits() == 64 => u64::MAX,
        None => (1 << tag.raw.bits()) - 1,
    };
    if (was ^ is) & !mask != 0 {
        return false;
    }
    if tag.bits.is_none() && tag.invalid.contains(&(is & mask)) {
        return false;
    }
    let stored = match tag.bits {
        Some((first, _)) => Number::Whole(i128::from((is & mask) >> first)),
        None => match number(tag.raw, is & mask) {
            Ok(number) => number,
            Err(_) => return false,
        },
    };
    let wanted = raw_of(tag, value, image);
    match (stored, value.as_integer()) {
        (Number::Whole(stored), Some(number)) if tag.scale.is_none() => stored == number,
        (Number::Whole(stored), Some(number)) => {
            let scale = tag.scale.expect("just looked");
            let exact = back(number, scale, image);
            exact.map_or((stored as f64 - wanted).abs() <= 0.5 + 1e-9 * wanted.abs(), |exact| exact.contains(&stored))
        }
        (Number::Whole(stored), None) => (stored as f64 - wanted).abs() <= 0.5 + 1e-9 * wanted.abs(),
        (Number::Real(stored), _) => {
            let share = if tag.raw == Raw::F32 { 1e-6 } else { 1e-12 };
            let parts = wanted.abs() + tag.scale.map_or(0.0, |scale| raw_of_offset(scale, image));
            stored == wanted
                || stored.is_nan() && wanted.is_nan()
                || (stored - wanted).abs() <= parts * share + f64::from(f32::MIN_POSITIVE)
        }
    }
}

/// The offset in raw units, whose rounding a sum keeps.
fn raw_of_offset(scale: Scaling, image: &[u16]) -> f64 {
    let power = scale.exponent.map_or(0, |at| i32::from(image[usize::from(at)].cast_signed()));
    let (_, above, below) = scale.factor;
    (scale.offset.abs() as f64 * 10_f64.powi(-power) * below as f64 / above as f64).abs() * 2.0
}

fn full(tag: &Tag, words: &[u16]) -> u64 {
    let mut words = words.to_vec();
    if tag.low_first {
        words.reverse();
    }
    words.iter().fold(0, |bits, word| bits << 16 | u64::from(*word))
}

/// The whole raw numbers that are nearest to a whole value, where its factor is whole.
fn back(number: i128, scale: Scaling, image: &[u16]) -> Option<[i128; 1]> {
    let (_, factor, 1) = scale.factor else { return None };
    let power = scale.exponent.map_or(0, |at| i32::from(image[usize::from(at)].cast_signed()));
    let ten = 10_i128.checked_pow(power.unsigned_abs())?;
    let (mut above, mut below) = (number - scale.offset, factor);
    if power < 0 {
        above = above.checked_mul(ten)?;
    } else {
        below = below.checked_mul(ten)?;
    }
    Some([rounded(above, below)])
}

/// Values of one kind as an array, or the first alone.
pub(crate) fn together(tag: &Tag, values: Vec<Value>) -> Value {
    match tag.elements {
        None => values.into_iter().next().expect("one"),
        Some(_) => {
            let kind = values[0].built_in().expect("a type");
            Value::array(Elements::collect(kind, values.into_iter()).expect("one type"))
        }
    }
}
