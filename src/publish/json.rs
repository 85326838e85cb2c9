//! A sample as a JSON message: `{"value":21.5,"status":"Good","time":"2026-11-29T09:00:00.123Z"}`.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opcua::{StatusCode, SubStatusCode};

use crate::value::{Array, Elements, Sample, UaTime, Value, time_to_text};

/// Texts of an enumeration.
pub(super) type Texts = Vec<Choice>;

/// A value of an enumeration with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub number: i32,
    pub text: String,
}

/// The message of a sample. A value that is Bad is null.
pub(super) fn message(sample: &Sample, texts: Option<&Texts>) -> Vec<u8> {
    let mut out = String::with_capacity(96);
    let is_usable = !sample.status.is_bad();
    out.push_str("{\"value\":");
    let value = if is_usable { &sample.value } else { &Value::Null };
    value_to(&mut out, value);
    write!(out, ",\"status\":\"{}\"", status_name(sample.status)).expect("a String takes all");
    let time = if sample.source_time == UaTime::NULL { sample.server_time } else { sample.source_time };
    write!(out, ",\"time\":\"{}\"", time_to_text(time)).expect("a String takes all");
    if let Some(texts) = texts.filter(|_| is_usable) {
        text_to(&mut out, value, texts);
    }
    out.push('}');
    out.into_bytes()
}

/// The message that says that it waited in the buffer.
pub(super) fn late(mut message: Vec<u8>) -> Vec<u8> {
    if message.last() == Some(&b'}') {
        message.pop();
        message.extend_from_slice(b",\"late\":true}");
    }
    message
}

/// The name of the code; a code without a name is named by its severity. Info bits are left out.
pub(super) fn status_name(status: StatusCode) -> &'static str {
    match status.sub_code() {
        SubStatusCode::Invalid if status.is_bad() => "Bad",
        SubStatusCode::Invalid if status.is_uncertain() => "Uncertain",
        SubStatusCode::Invalid => "Good",
        code => code.name(),
    }
}

/// `"text":"Running"` of an enumeration, or a list of texts.
fn text_to(out: &mut String, value: &Value, texts: &Texts) {
    let text = |number: i32| texts.iter().find(|choice| choice.number == number).map(|choice| choice.text.as_str());
    match value {
        Value::Int32(number) => {
            if let Some(text) = text(*number) {
                out.push_str(",\"text\":");
                quoted(out, text);
            }
        }
        Value::Array(array) => {
            if let Elements::Int32(numbers) = &array.elements {
                out.push_str(",\"text\":");
                list(out, numbers.iter(), |out, number| match text(*number) {
                    Some(text) => quoted(out, text),
                    None => out.push_str("null"),
                });
            }
        }
        _ => {}
    }
}

fn quoted(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn list<T>(out: &mut String, items: impl Iterator<Item = T>, write: impl Fn(&mut String, T)) {
    out.push('[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

fn value_to(out: &mut String, value: &Value) {
    match value {
        // What OPC UA alone knows is no value of a tag.
        Value::Null | Value::Wire(_) => out.push_str("null"),
        Value::Boolean(on) => out.push_str(if *on { "true" } else { "false" }),
        Value::Float(number) if number.is_finite() => {
            out.push_str(&serde_json::to_string(number).unwrap_or_else(|_| "null".to_owned()));
        }
        Value::Double(number) if number.is_finite() => {
            out.push_str(&serde_json::to_string(number).unwrap_or_else(|_| "null".to_owned()));
        }
        Value::Float(number) => not_finite(out, f64::from(*number)),
        Value::Double(number) => not_finite(out, *number),
        Value::DateTime(time) => quoted(out, &time_to_text(*time)),
        Value::String(text) => quoted(out, text),
        Value::ByteString(bytes) => quoted(out, &STANDARD.encode(bytes)),
        Value::Array(array) => array_to(out, array),
        Value::Struct(of) => {
            out.push('{');
            for (at, (kind, value)) in of.kind.fields.iter().zip(&of.fields).enumerate() {
                if at > 0 {
                    out.push(',');
                }
                quoted(out, &kind.name);
                out.push(':');
                value_to(out, value);
            }
            out.push('}');
        }
        Value::SByte(_)
        | Value::Byte(_)
        | Value::Int16(_)
        | Value::UInt16(_)
        | Value::Int32(_)
        | Value::UInt32(_)
        | Value::Int64(_)
        | Value::UInt64(_) => match value.as_integer() {
            Some(number) => write!(out, "{number}").expect("a String takes all"),
            None => out.push_str("null"),
        },
    }
}

/// JSON has no such numbers.
fn not_finite(out: &mut String, number: f64) {
    out.push_str(match number {
        number if number.is_nan() => "\"NaN\"",
        number if number > 0.0 => "\"Infinity\"",
        _ => "\"-Infinity\"",
    });
}

/// A list; of several dimensions lists in lists.
fn array_to(out: &mut String, array: &Array) {
    let element = |out: &mut String, at: usize| value_to(out, &array.elements.get(at).unwrap_or_default());
    let inner: Vec<usize> = array.dimensions.iter().skip(1).map(|size| *size as usize).collect();
    dimension(out, 0..array.elements.len(), &inner, &element);
}

fn dimension(out: &mut String, places: std::ops::Range<usize>, inner: &[usize], element: &dyn Fn(&mut String, usize)) {
    let size: usize = inner.iter().product();
    match inner.split_first() {
        Some((_, more)) if size > 0 => {
            let starts = places.clone().step_by(size);
            list(out, starts, |out, start| dimension(out, start..(start + size).min(places.end), more, element));
        }
        _ => list(out, places, element),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn sample(value: Value, status: StatusCode) -> Sample {
        let time = UaTime(134_116_992_001_230_000);
        Sample { value, status, source_time: time, server_time: time }
    }

    #[test]
    fn samples_are_written_as_the_reference_says() {
        let grid = Array { elements: Elements::Byte(vec![1, 2, 3, 4, 5, 6]), dimensions: vec![2, 3] };
        for (value, text) in [
            (Value::Double(21.5), "21.5"),
            (Value::Float(0.1), "0.1"),
            (Value::Double(-0.0), "-0.0"),
            (Value::Double(1e300), "1e+300"),
            (Value::Int64(i64::MIN), "-9223372036854775808"),
            (Value::UInt64(u64::MAX), "18446744073709551615"),
            (Value::Double(f64::NAN), "\"NaN\""),
            (Value::Float(f32::INFINITY), "\"Infinity\""),
            (Value::Double(f64::NEG_INFINITY), "\"-Infinity\""),
            (Value::Boolean(true), "true"),
            (Value::text("a \"b\"\n"), "\"a \\\"b\\\"\\n\""),
            (Value::ByteString(vec![0, 255].into()), "\"AP8=\""),
            (Value::DateTime(UaTime(134_116_992_000_000_001)), "\"2026-01-01T00:00:00.0000001Z\""),
            (Value::array(Elements::Int16(vec![-1, 2])), "[-1,2]"),
            (Value::array(Elements::Float(vec![])), "[]"),
            (Value::Array(Arc::new(grid)), "[[1,2,3],[4,5,6]]"),
        ] {
            let message = message(&sample(value, StatusCode::Good), None);
            let wanted = format!("{{\"value\":{text},\"status\":\"Good\",\"time\":\"2026-01-01T00:00:00.123Z\"}}");
            assert_eq!(String::from_utf8_lossy(&message), wanted);
        }
    }

    #[test]
    fn a_bad_value_is_null_and_an_uncertain_one_is_there() {
        for (status, value, name) in [
            (StatusCode::BadTimeout, "null", "BadTimeout"),
            (StatusCode::UncertainLastUsableValue, "7", "UncertainLastUsableValue"),
            (StatusCode::from(0x0000_0480), "7", "Good"),
            (StatusCode::from(0x8034_0480), "null", "BadNodeIdUnknown"),
            (StatusCode::from(0x9fff_0000), "null", "Bad"),
            (StatusCode::from(0x5fff_0000), "7", "Uncertain"),
        ] {
            let text = String::from_utf8(message(&sample(Value::Int32(7), status), None)).expect("text");
            assert!(text.starts_with(&format!("{{\"value\":{value},\"status\":\"{name}\",")), "{text}");
        }
    }

    #[test]
    fn an_enumeration_has_its_text_and_a_buffered_message_says_so() {
        let texts = vec![Choice { number: 1, text: "Running".to_owned() }];
        let text = |value| {
            let message = message(&sample(value, StatusCode::Good), Some(&texts));
            String::from_utf8(late(message)).expect("text")
        };
        let (begin, time) = ("{\"value\":", "\"status\":\"Good\",\"time\":\"2026-01-01T00:00:00.123Z\"");
        assert_eq!(text(Value::Int32(1)), format!("{begin}1,{time},\"text\":\"Running\",\"late\":true}}"));
        assert_eq!(text(Value::Int32(2)), format!("{begin}2,{time},\"late\":true}}"));
        let array = Value::array(Elements::Int32(vec![1, 3]));
        assert_eq!(text(array), format!("{begin}[1,3],{time},\"text\":[\"Running\",null],\"late\":true}}"));
    }
}
