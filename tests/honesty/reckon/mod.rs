//! The value that a tag must show of given registers, and the registers after a write: computed in fractions of whole
//! numbers, without a line of the product.

mod write;

use opcell::value::{Elements, Value};
use opcua::StatusCode;

use crate::map::{Charset, Raw, Scaling, Tag};

pub(super) use write::{Effect, holds, together, write};

/// One element of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Want {
    Boolean(bool),
    /// A whole number: one of two where a Double decides how a half is rounded.
    Integer(i128, i128),
    /// A float and how far off it may be.
    Real(f64, f64),
    Text(String),
    Bytes(Vec<u8>),
}

const SENSOR: StatusCode = StatusCode::BadSensorFailure;
const CODING: StatusCode = StatusCode::BadDataEncodingInvalid;
const EXACT: i128 = 1 << 53;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(i128),
    Real(f64),
}

/// The value of a tag, by element, or the status that it must have.
pub(super) fn read(tag: &Tag, image: &[u16]) -> Result<Vec<Want>, StatusCode> {
    let power = match tag.scale.and_then(|scale| scale.exponent) {
        None => 0,
        Some(at) => match image[usize::from(at)].cast_signed() {
            power @ -30..=30 => i32::from(power),
            _ => return Err(SENSOR),
        },
    };
    tag.places.chunks(tag.width()).map(|places| element(tag, &words(tag, places, image), power)).collect()
}

fn words(tag: &Tag, places: &[u16], image: &[u16]) -> Vec<u16> {
    let word = |place: &u16| image[usize::from(*place)];
    places.iter().map(|place| if tag.swap { word(place).swap_bytes() } else { word(place) }).collect()
}

fn element(tag: &Tag, words: &[u16], power: i32) -> Result<Want, StatusCode> {
    match tag.raw {
        Raw::Text => return text(tag, words).map(Want::Text),
        Raw::Bytes => {
            let bytes: Vec<u8> = words.iter().flat_map(|word| [(word >> 8) as u8, *word as u8]).collect();
            return Ok(Want::Bytes(bytes[..tag.length].to_vec()));
        }
        _ => {}
    }
    let bits = pattern(tag, words);
    if tag.invalid.contains(&bits) {
        return Err(SENSOR);
    }
    let number = match tag.bits {
        Some((first, last)) => {
            let number = (first..=last).rev().fold(0, |number, bit| number * 2 + i128::from(bits >> bit & 1));
            Number::Whole(number)
        }
        None => number(tag.raw, bits)?,
    };
    if let Number::Real(number) = number
        && !number.is_finite()
        && !tag.nan
    {
        return Err(SENSOR);
    }
    let want = match tag.scale {
        None => unscaled(tag, number),
        Some(scale) => scaled(tag, scale, power, number),
    };
    want.ok_or(CODING)
}

/// The bits of the raw number, without the other bits of the register.
fn pattern(tag: &Tag, words: &[u16]) -> u64 {
    let mut words = words.to_vec();
    if tag.low_first {
        words.reverse();
    }
    let bits = words.iter().fold(0, |bits, word| bits << 16 | u64::from(*word));
    if tag.raw.bits() == 64 { bits } else { bits % (1 << tag.raw.bits()) }
}

fn number(raw: Raw, bits: u64) -> Result<Number, StatusCode> {
    let signed = |width: u32| {
        let number = i128::from(bits);
        if number >> (width - 1) == 1 { number - (1 << width) } else { number }
    };
    Ok(match raw {
        Raw::I8 | Raw::I16 | Raw::I32 | Raw::I64 => Number::Whole(signed(raw.bits())),
        Raw::F32 => Number::Real(f64::from(f32::from_bits(bits as u32))),
        Raw::F64 => Number::Real(f64::from_bits(bits)),
        Raw::B16 | Raw::B32 => {
            let digits = format!("{bits:x}");
            Number::Whole(digits.parse().map_err(|_| CODING)?)
        }
        _ => Number::Whole(bits.into()),
    })
}

fn range(kind: &str) -> Option<(i128, i128)> {
    Some(match kind {
        "SByte" => (i8::MIN.into(), i8::MAX.into()),
        "Byte" => (0, u8::MAX.into()),
        "Int16" => (i16::MIN.into(), i16::MAX.into()),
        "UInt16" => (0, u16::MAX.into()),
        "UInt32" => (0, u32::MAX.into()),
        "Int64" => (i64::MIN.into(), i64::MAX.into()),
        "UInt64" => (0, u64::MAX.into()),
        "Float" | "Double" | "Boolean" => return None,
        // Int32 and every enumeration.
        _ => (i32::MIN.into(), i32::MAX.into()),
    })
}

fn unscaled(tag: &Tag, number: Number) -> Option<Want> {
    match (tag.kind, number) {
        ("Boolean", Number::Whole(number)) => (0..=1).contains(&number).then_some(Want::Boolean(number == 1)),
        ("Float", Number::Whole(number)) => {
            let float = number as f32;
            (float as i128 == number).then_some(Want::Real(float.into(), 0.0))
        }
        ("Double", Number::Whole(number)) => {
            let float = number as f64;
            (float as i128 == number).then_some(Want::Real(float, 0.0))
        }
        ("Float", Number::Real(number)) => {
            let float = f64::from(number as f32);
            let kept = float.is_finite() || !number.is_finite();
            kept.then_some(Want::Real(float, 0.0))
        }
        ("Double", Number::Real(number)) => Some(Want::Real(number, 0.0)),
        (kind, Number::Whole(number)) => {
            let (low, high) = range(kind)?;
            let known = tag.values.is_none_or(|values| values.iter().any(|value| i128::from(*value) == number));
            ((low..=high).contains(&number) && known).then_some(Want::Integer(number, number))
        }
        (kind, Number::Real(_)) => panic!("a {kind} of a float without scale is refused by check"),
    }
}

fn scaled(tag: &Tag, scale: Scaling, power: i32, number: Number) -> Option<Want> {
    let (_, above, below) = scale.factor;
    let near = |raw: f64| {
        let product = raw * (above as f64 / below as f64);
        let shifted = if power < 0 { product / 10_f64.powi(-power) } else { product * 10_f64.powi(power) };
        shifted + scale.offset as f64
    };
    let Some((low, high)) = range(tag.kind) else {
        if let (Number::Whole(raw), 1, 0) = (number, below, power)
            && let Some(exact) = raw.checked_mul(above).and_then(|product| product.checked_add(scale.offset))
        {
            let is_held =
                if tag.kind == "Float" { exact as f32 as i128 == exact } else { exact as f64 as i128 == exact };
            if !is_held {
                return None;
            }
        }
        let real = match number {
            Number::Whole(raw) => near(raw as f64),
            Number::Real(raw) => near(raw),
        };
        let is_raw_finite = !matches!(number, Number::Real(raw) if !raw.is_finite());
        let largest = if tag.kind == "Float" { f64::from(f32::MAX) } else { f64::MAX };
        let fits = real.abs() <= largest || !is_raw_finite;
        let share = if tag.kind == "Float" { 1e-6 } else { 1e-12 };
        // A sum that nearly cancels keeps the error of its parts.
        let parts = real.abs() + (scale.offset.abs() as f64) * 2.0;
        let least = if tag.kind == "Float" { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
        return fits.then_some(Want::Real(real, parts * share + least));
    };
    let (one, other) = match number {
        Number::Whole(raw) => whole(raw, scale, power)?,
        Number::Real(raw) => {
            let real = near(raw);
            if !real.is_finite() || !(low..=high).contains(&(real.round() as i128)) {
                return None;
            }
            let (one, other) = ambiguous(real, 1e-12);
            (one.max(low), other.min(high))
        }
    };
    let fits = |number: i128| (low..=high).contains(&number);
    (fits(one) && fits(other)).then_some(Want::Integer(one, other))
}

/// The nearest whole numbers of a real one that is known to about this share.
fn ambiguous(real: f64, share: f64) -> (i128, i128) {
    let slack = real.abs() * share + 1e-12;
    ((real - slack).round() as i128, (real + slack).round() as i128)
}

/// Exactly, in fractions. `None`: out of every range, or beyond the precision of a Double where the factor is a
/// fraction.
fn whole(raw: i128, scale: Scaling, power: i32) -> Option<(i128, i128)> {
    let (_, mut above, mut below) = scale.factor;
    let is_fraction = below != 1;
    let ten = 10_i128.checked_pow(power.unsigned_abs())?;
    if power < 0 {
        below = below.checked_mul(ten)?;
    } else {
        above = above.checked_mul(ten)?;
    }
    let product = raw.checked_mul(above)?;
    let nearest = rounded(product, below) + scale.offset;
    if is_fraction && (raw.abs() > EXACT || nearest.abs() > EXACT) {
        return None;
    }
    let rest = (product % below).abs() * 2;
    let is_tie = is_fraction && (rest - below).abs() * 1_000_000 <= below;
    if is_tie {
        let floor = product.div_euclid(below) + scale.offset;
        return Some((floor, floor + 1));
    }
    Some((nearest, nearest))
}

/// Half away from zero.
fn rounded(above: i128, below: i128) -> i128 {
    let (above, below) = if below < 0 { (-above, -below) } else { (above, below) };
    let size = (above.abs() * 2 + below) / (below * 2);
    size * above.signum()
}

fn text(tag: &Tag, words: &[u16]) -> Result<String, StatusCode> {
    let cut = |words: &[u16]| {
        let end = words.iter().position(|word| *word == 0).unwrap_or(words.len());
        let filled = words[..end].iter().rev().take_while(|word| **word == 0xffff).count();
        words[..end - filled].to_vec()
    };
    let text = if tag.charset == Charset::Utf16 {
        String::from_utf16(&cut(words)).map_err(|_| CODING)?
    } else {
        let mut bytes = Vec::new();
        if tag.one_each {
            for word in cut(words) {
                bytes.push(u8::try_from(word).map_err(|_| CODING)?);
            }
        } else {
            bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
            bytes.truncate(tag.length);
            if tag.charset == Charset::Guess && is_wide(&bytes) {
                return Err(CODING);
            }
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            bytes.truncate(end);
            while bytes.last() == Some(&0xff) {
                bytes.pop();
            }
        }
        if bytes.len() == tag.length && tag.charset != Charset::Latin1 {
            leave_out_half(&mut bytes, tag.charset == Charset::Guess);
        }
        let latin: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        match (tag.charset, String::from_utf8(bytes)) {
            (Charset::Latin1, _) | (Charset::Guess, Err(_)) => latin,
            (_, Ok(text)) => text,
            (_, Err(_)) => return Err(CODING),
        }
    };
    Ok(text.trim_end_matches(' ').to_owned())
}

/// A letter of two to four bytes of which the end is missing.
fn leave_out_half(bytes: &mut Vec<u8>, is_guess: bool) {
    for length in 1..=3.min(bytes.len()) {
        let (before, tail) = bytes.split_at(bytes.len() - length);
        let is_cut =
            std::str::from_utf8(tail).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none());
        if is_cut && std::str::from_utf8(before).is_ok() && !(is_guess && length == 1 && before.is_ascii()) {
            bytes.truncate(bytes.len() - length);
            return;
        }
    }
}

/// Every other byte is NUL where two letters a register are expected.
fn is_wide(bytes: &[u8]) -> bool {
    let letter = |byte: u8| byte != 0 && byte != 0xff;
    match *bytes {
        [0, low] | [0, low, 0, ..] => letter(low),
        [high, 0, next, 0, ..] => letter(high) && letter(next),
        _ => false,
    }
}

/// Whether the tag shows the value that was computed.
pub(super) fn agrees(tag: &Tag, want: &[Want], value: &Value) -> bool {
    match (value, tag.elements) {
        (Value::Array(array), Some(count)) => {
            array.elements.len() == count
                && want
                    .iter()
                    .enumerate()
                    .all(|(at, want)| array.elements.get(at).is_some_and(|element| is_same(tag, want, &element)))
        }
        (value, None) => is_same(tag, &want[0], value),
        _ => false,
    }
}

fn is_same(tag: &Tag, want: &Want, value: &Value) -> bool {
    let kind = if tag.values.is_some() { "Int32" } else { tag.kind };
    if value.built_in().map(|kind| format!("{kind:?}")).as_deref() != Some(kind) {
        return false;
    }
    match want {
        Want::Boolean(want) => *value == Value::Boolean(*want),
        Want::Integer(one, other) => value.as_integer().is_some_and(|number| (*one..=*other).contains(&number)),
        Want::Real(want, slack) => value.as_f64().is_some_and(|number| {
            number == *want || number.is_nan() && want.is_nan() || (number - want).abs() <= *slack
        }),
        Want::Text(want) => *value == Value::text(want),
        Want::Bytes(want) => matches!(value, Value::ByteString(bytes) if bytes[..] == want[..]),
    }
}
