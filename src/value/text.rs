//! Values, times and statuses as text that reads back to the same.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use opcua::StatusCode;
use opcua::status_code::SubStatusCode;
use serde_json::Value as Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Array, BuiltIn, Elements, UaTime, Value};

/// RFC 3339 in UTC, to 100 ns.
pub fn time_to_text(time: UaTime) -> String {
    let nanos = i128::from(time.0) * 100 - UNIX_EPOCH_NANOS;
    let text = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok().and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| time.0.to_string())
}

/// Nanoseconds between 1601 and 1970 (Part 6 §5.2.2.5, 1.05).
pub(crate) const UNIX_EPOCH_NANOS: i128 = 11_644_473_600_000_000_000;

/// Reads a time as `time_to_text` writes it, or any RFC 3339 time.
pub(crate) fn time_from_text(text: &str) -> Option<UaTime> {
    if let Ok(ticks) = text.parse::<i64>() {
        return Some(UaTime(ticks));
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from((time.unix_timestamp_nanos() + UNIX_EPOCH_NANOS).div_euclid(100)).ok().map(UaTime)
}

/// The code's name, or its number when info bits are set.
pub(crate) fn status_to_text(status: StatusCode) -> String {
    let code = status.sub_code();
    if StatusCode::from(code as u32) == status { code.name().to_owned() } else { format!("0x{:08X}", status.bits()) }
}

pub(crate) fn status_from_text(text: &str) -> Option<StatusCode> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok().map(StatusCode::from),
        None => SubStatusCode::from_str(text).ok().map(|code| StatusCode::from(code as u32)),
    }
}

/// Empty for no value. Arrays are JSON lists, of several dimensions with `dimensions`; what OPC UA alone knows is its
/// Variant in hexadecimal.
pub(crate) fn value_to_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Boolean(value) => value.to_string(),
        Value::SByte(value) => value.to_string(),
        Value::Byte(value) => value.to_string(),
        Value::Int16(value) => value.to_string(),
        Value::UInt16(value) => value.to_string(),
        Value::Int32(value) => value.to_string(),
        Value::UInt32(value) => value.to_string(),
        Value::Int64(value) => value.to_string(),
        Value::UInt64(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::DateTime(value) => time_to_text(*value),
        Value::String(value) => value.to_string(),
        Value::ByteString(value) => hex(value),
        Value::Array(array) => array_to_text(array),
        Value::Struct(_) => value.shown(),
        Value::Wire(bytes) => hex(bytes),
    }
}

fn array_to_text(array: &Array) -> String {
    let texts = (0..array.elements.len())
        .filter_map(|at| array.elements.get(at))
        .map(|value| Json::String(value_to_text(&value)));
    let elements = Json::Array(texts.collect());
    if array.dimensions.is_empty() {
        return elements.to_string();
    }
    serde_json::json!({ "dimensions": array.dimensions, "elements": elements }).to_string()
}

/// Reads the text of a value of this type; `None` when it is no such text, and for what OPC UA alone knows.
pub(crate) fn value_from_text(kind: BuiltIn, is_array: bool, text: &str) -> Option<Value> {
    if !is_array {
        return scalar(kind, text);
    }
    let (elements, dimensions) = match serde_json::from_str(text).ok()? {
        Json::Array(elements) => (elements, Vec::new()),
        Json::Object(mut parts) => {
            let dimensions = serde_json::from_value::<Vec<u32>>(parts.remove("dimensions")?).ok()?;
            (parts.remove("elements")?.as_array()?.clone(), dimensions)
        }
        _ => return None,
    };
    let fits = dimensions.is_empty()
        || dimensions.iter().try_fold(1usize, |size, n| size.checked_mul(*n as usize)) == Some(elements.len());
    let values: Vec<Value> = elements.iter().map(|of| scalar(kind, &element(of)?)).collect::<Option<_>>()?;
    let elements = elements_of(kind, values).filter(|_| fits)?;
    Some(Value::Array(Arc::new(Array { elements, dimensions })))
}

/// An element of a list: exports write each as a text, people write numbers and words too.
fn element(of: &Json) -> Option<Cow<'_, str>> {
    match of {
        Json::String(text) => Some(Cow::Borrowed(text)),
        Json::Number(_) | Json::Bool(_) => Some(Cow::Owned(of.to_string())),
        _ => None,
    }
}

/// A number as a text has it: one number with a dot, maybe between spaces. A whole part is exact: one that a Double would
/// round is no number here.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and such a number is not compared")]
pub(crate) fn number_from_text(text: &str) -> Option<Value> {
    let text = text.trim_ascii();
    if let Ok(number) = text.parse() {
        return Some(Value::Int64(number));
    }
    if let Ok(number) = text.parse() {
        return Some(Value::UInt64(number));
    }
    let number: f64 = text.parse().ok()?;
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole).parse::<i128>();
    let is_rounded = whole.is_ok_and(|whole| number as i128 != whole);
    (!is_rounded).then_some(Value::Double(number))
}

/// The whole part of a number without a fraction, or with one of zeros; `None` for any other fraction. It may be no number.
pub(crate) fn whole_part(text: &str) -> Option<&str> {
    match text.split_once('.') {
        Some((whole, fraction)) => {
            (!fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0')).then_some(whole)
        }
        None => Some(text),
    }
}

/// A Boolean as devices write it: `true false 1 0 on off yes no`, in any case.
pub(crate) fn boolean_from_text(text: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 4]| words.iter().any(|word| text.trim_ascii().eq_ignore_ascii_case(word));
    if is_one_of(["true", "1", "on", "yes"]) {
        return Some(true);
    }
    is_one_of(["false", "0", "off", "no"]).then_some(false)
}

fn scalar(kind: BuiltIn, text: &str) -> Option<Value> {
    Some(match kind {
        BuiltIn::Float => Value::Float(text.parse().ok()?),
        BuiltIn::Double => Value::Double(text.parse().ok()?),
        BuiltIn::Boolean => Value::Boolean(match text {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return None,
        }),
        BuiltIn::String => Value::text(text),
        BuiltIn::ByteString => Value::ByteString(from_hex(text)?.into()),
        BuiltIn::DateTime => Value::DateTime(time_from_text(text)?),
        kind if kind.is_integer() => Value::from_integer(kind, text.parse().ok()?)?,
        _ => return None,
    })
}

macro_rules! collect {
    ($kind:expr, $values:expr, $($name:ident)*) => {
        match $kind {
            $(BuiltIn::$name => Elements::$name(
                $values.into_iter().map(|value| match value { Value::$name(v) => Some(v), _ => None }).collect::<Option<_>>()?,
            ),)*
            _ => return None,
        }
    };
}

fn elements_of(kind: BuiltIn, values: Vec<Value>) -> Option<Elements> {
    Some(collect!(kind, values,
        Boolean SByte Byte Int16 UInt16 Int32 UInt32 Int64 UInt64 Float Double DateTime String ByteString))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |text, byte| text + &format!("{byte:02x}"))
}

/// The bytes of a text as `0x00ff`.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?;
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_to_the_same_bits() {
        let doubles = [0.1, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, f64::MAX, 1e22];
        let mut cases: Vec<(BuiltIn, Value)> = doubles.map(|n| (BuiltIn::Double, Value::Double(n))).into();
        cases.extend([
            (BuiltIn::Boolean, Value::Boolean(true)),
            (BuiltIn::SByte, Value::SByte(-128)),
            (BuiltIn::UInt64, Value::UInt64(u64::MAX)),
            (BuiltIn::Int64, Value::Int64(i64::MIN)),
            (BuiltIn::Float, Value::Float(0.1)),
            (BuiltIn::String, Value::text("a, \"b\"\nc")),
            (BuiltIn::String, Value::text("")),
            (BuiltIn::ByteString, Value::ByteString([0, 255].as_slice().into())),
            (BuiltIn::DateTime, Value::DateTime(UaTime(134_116_992_000_000_001))),
            (BuiltIn::DateTime, Value::DateTime(UaTime(0))),
            (BuiltIn::Int16, Value::array(Elements::Int16(vec![-1, 2]))),
            (BuiltIn::String, Value::array(Elements::String(vec!["a".into(), "]".into()]))),
        ]);
        let grid = Array { elements: Elements::Byte(vec![1, 2, 3, 4]), dimensions: vec![2, 2] };
        cases.push((BuiltIn::Byte, Value::Array(Arc::new(grid))));
        for (kind, value) in cases {
            let text = value_to_text(&value);
            let back = value_from_text(kind, matches!(value, Value::Array(_)), &text);
            assert!(back.as_ref().is_some_and(|back| back.same_bits(&value)), "{value:?}: {text} gives {back:?}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for (kind, is_array, text) in [
            (BuiltIn::Byte, false, "256"),
            (BuiltIn::Boolean, false, "yes"),
            (BuiltIn::ByteString, false, "0x123"),
            (BuiltIn::Int16, true, "[\"1\", \"x\"]"),
            (BuiltIn::Int16, true, "[1, 0.5]"),
            (BuiltIn::Int16, true, "[1, null]"),
            (BuiltIn::Int16, true, "{\"dimensions\":[2,2],\"elements\":[\"1\"]}"),
            (BuiltIn::DateTime, false, "yesterday"),
        ] {
            assert_eq!(value_from_text(kind, is_array, text), None, "{kind:?} {text}");
        }
    }

    #[test]
    fn numbers_and_switches_are_read_as_devices_write_them() {
        for (text, wanted) in [
            ("21.5", Some(Value::Double(21.5))),
            (" 7 ", Some(Value::Int64(7))),
            ("-0", Some(Value::Int64(0))),
            ("18446744073709551615", Some(Value::UInt64(u64::MAX))),
            ("1e3", Some(Value::Double(1_000.0))),
            ("10000000000000000000000", Some(Value::Double(1e22))),
            ("9007199254740992.5", Some(Value::Double(9_007_199_254_740_992.0))),
            ("9007199254740993.0", None),
            ("18446744073709551617", None),
            ("-9007199254740993.25", None),
            ("21,5", None),
            ("7 bar", None),
            ("0x10", None),
            ("", None),
        ] {
            assert_eq!(number_from_text(text), wanted, "{text}");
        }
        for (text, wanted) in [
            ("TRUE", Some(true)),
            ("off", Some(false)),
            (" Yes ", Some(true)),
            ("0", Some(false)),
            ("2", None),
            ("", None),
        ] {
            assert_eq!(boolean_from_text(text), wanted, "{text}");
        }
        let list = value_from_text(BuiltIn::Double, true, "[1, \"2.5\"]").expect("a list");
        assert_eq!(list, Value::array(Elements::Double(vec![1.0, 2.5])));
    }

    #[test]
    fn statuses_are_names_and_with_info_bits_numbers() {
        for (bits, text) in [(0, "Good"), (0x809D_0000, "BadDataLost"), (0x0000_0480, "0x00000480")] {
            assert_eq!(status_to_text(StatusCode::from(bits)), text);
            assert_eq!(status_from_text(text), Some(StatusCode::from(bits)));
        }
        assert_eq!(status_from_text("Fine"), None);
    }

    #[test]
    fn times_keep_their_ticks() {
        for (ticks, text) in [
            (134_116_992_000_000_000, "2026-01-01T00:00:00Z"),
            (134_116_992_012_345_678, "2026-01-01T00:00:01.2345678Z"),
        ] {
            assert_eq!(time_to_text(UaTime(ticks)), text);
            assert_eq!(time_from_text(text), Some(UaTime(ticks)));
        }
        assert_eq!(time_from_text(&time_to_text(UaTime(i64::MAX))), Some(UaTime(i64::MAX)));
    }
}
