//! Commands: messages that ask for a write.
//!
//! A command is a JSON value, or an object with the member `value`. A Float is read from its text, so it is rounded once.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use opcua::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::Texts;
use crate::model::{Plant, Shape, TagId};
use crate::value::{Array, BuiltIn, Elements, Value, time_from_text, whole_part};

/// A write that a message asks for.
pub(crate) struct Command {
    /// The revision that the tag is of.
    pub plant: Arc<Plant>,
    pub tag: TagId,
    /// The value in the tag's own type, or why the message holds none.
    pub value: Result<Value, StatusCode>,
    /// `@publish.up`.
    pub user: String,
    /// The connection whose broker it came by.
    pub from: String,
}

/// The server as publishers need it for commands: it writes, and audits what it did.
pub(crate) trait Commands: Send + Sync {
    fn write(&self, command: Command) -> BoxFuture<'static, StatusCode>;
}

/// An object with a value; other members say nothing.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
}

/// The value of a command for a tag of this shape.
pub(super) fn value_of(payload: &[u8], shape: &Shape, texts: Option<&Texts>) -> Result<Value, StatusCode> {
    let refused = StatusCode::BadTypeMismatch;
    let whole: &RawValue = serde_json::from_slice(payload).map_err(|_| StatusCode::BadDecodingError)?;
    let json = match whole.get().starts_with('{') {
        true => serde_json::from_str::<Object<'_>>(whole.get()).map_err(|_| refused)?.value.get(),
        false => whole.get(),
    };
    let kind = shape.data_type.wire();
    if shape.is_scalar() {
        return scalar(json, kind, texts).ok_or(refused);
    }
    let mut values = Vec::new();
    collect(json, shape.dimensions.len(), &mut |item| {
        values.push(scalar(item, kind, texts)?);
        (values.len() <= shape.element_count()).then_some(())
    })
    .ok_or(refused)?;
    let elements = Elements::collect(kind, values.into_iter()).ok_or(refused)?;
    let dimensions = if shape.dimensions.len() > 1 { shape.dimensions.clone() } else { Vec::new() };
    if !dimensions.is_empty() && elements.len() != shape.element_count() {
        return Err(refused);
    }
    Ok(Value::Array(Arc::new(Array { elements, dimensions })))
}

fn collect<'a>(json: &'a str, depth: usize, take: &mut dyn FnMut(&'a str) -> Option<()>) -> Option<()> {
    let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    items.into_iter().map(RawValue::get).try_for_each(|item| match item.starts_with('[') {
        true if depth > 1 => collect(item, depth - 1, take),
        _ => take(item),
    })
}

fn scalar(json: &str, kind: BuiltIn, texts: Option<&Texts>) -> Option<Value> {
    let quoted = if json.starts_with('"') { Some(serde_json::from_str::<String>(json).ok()?) } else { None };
    let text = quoted.as_deref().unwrap_or(json);
    if let Some(texts) = texts {
        let named = texts.iter().find(|choice| quoted.is_some() && choice.text == text);
        return named.map(|choice| Value::Int32(choice.number)).or_else(|| integer(text, BuiltIn::Int32));
    }
    match kind {
        BuiltIn::String => quoted.as_deref().map(Value::text),
        BuiltIn::ByteString => Some(Value::ByteString(STANDARD.decode(quoted?).ok()?.into())),
        // A number is no time here: nobody knows its unit.
        BuiltIn::DateTime => {
            quoted.filter(|text| text.contains('T')).and_then(|text| time_from_text(&text)).map(Value::DateTime)
        }
        BuiltIn::Boolean => match json {
            "true" | "1" => Some(Value::Boolean(true)),
            "false" | "0" => Some(Value::Boolean(false)),
            _ => None,
        },
        BuiltIn::Float => float::<f32>(text, quoted.is_some()).map(Value::Float),
        BuiltIn::Double => float::<f64>(text, quoted.is_some()).map(Value::Double),
        kind if kind.is_integer() => integer(text, kind),
        _ => None,
    }
}

/// A finite number; one of the three names in quotes is NaN or infinite.
fn float<T: std::str::FromStr + Into<f64> + Copy>(text: &str, is_quoted: bool) -> Option<T> {
    if is_quoted && ["NaN", "Infinity", "-Infinity"].contains(&text) {
        return text.parse().ok();
    }
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'-');
    let number: T = text.parse().ok().filter(|_| begins)?;
    Into::<f64>::into(number).is_finite().then_some(number)
}

/// A whole number, also one that is written with a fraction of nothing.
fn integer(text: &str, kind: BuiltIn) -> Option<Value> {
    Value::from_integer(kind, whole_part(text)?.parse().ok()?)
}

/// Reads bytes as a command for tags of all types; for fuzzing.
pub(super) fn fuzz(bytes: &[u8]) {
    use crate::model::DataType;
    let texts = vec![super::json::Choice { number: 1, text: "Running".to_owned() }];
    for kind in BuiltIn::ALL {
        for dimensions in [vec![], vec![3], vec![2, 2]] {
            let shape = Shape { data_type: DataType::BuiltIn(kind), dimensions, length: None, unit: None, range: None };
            if let Ok(value) = value_of(bytes, &shape, None) {
                assert_eq!(value.built_in(), Some(kind), "a command has the type of its tag");
            }
            drop(value_of(bytes, &shape, Some(&texts)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DataType;
    use crate::publish::json::Choice;

    fn shape(kind: BuiltIn, dimensions: &[u32]) -> Shape {
        let dimensions = dimensions.to_vec();
        Shape { data_type: DataType::BuiltIn(kind), dimensions, length: None, unit: None, range: None }
    }

    #[test]
    fn a_command_is_a_value_or_an_object_with_one() {
        use BuiltIn::{Boolean, Byte, ByteString, DateTime, Double, Float, Int32, String, UInt64};
        for (kind, text, wanted) in [
            (Double, "21.5", Some(Value::Double(21.5))),
            (Double, "{\"value\": 21.5, \"x\": [1]}", Some(Value::Double(21.5))),
            (Double, " -3e2 ", Some(Value::Double(-300.0))),
            (Double, "\"21.5\"", Some(Value::Double(21.5))),
            (Double, "1e999", None),
            (Double, "true", None),
            (Double, "null", None),
            (Double, "\"inf\"", None),
            (Double, "\"-Infinity\"", Some(Value::Double(f64::NEG_INFINITY))),
            (Double, "{\"v\": 1}", None),
            (Double, "{\"value\": 1, \"value\": 2}", None),
            (Float, "0.1", Some(Value::Float(0.1))),
            (Float, "1e39", None),
            (Int32, "7", Some(Value::Int32(7))),
            (Int32, "7.0", Some(Value::Int32(7))),
            (Int32, "7.5", None),
            (Byte, "256", None),
            (UInt64, "18446744073709551615", Some(Value::UInt64(u64::MAX))),
            (Boolean, "true", Some(Value::Boolean(true))),
            (Boolean, "2", None),
            (Boolean, "\"on\"", None),
            (String, "\"a\\n\"", Some(Value::text("a\n"))),
            (String, "a", None),
            (String, "7", None),
            (ByteString, "\"AP8=\"", Some(Value::ByteString(vec![0, 255].into()))),
            (ByteString, "\"?\"", None),
            (
                DateTime,
                "\"2026-01-01T00:00:00Z\"",
                Some(Value::DateTime(crate::value::UaTime(134_116_992_000_000_000))),
            ),
            (DateTime, "1767225600", None),
            (Double, "", None),
            (Double, "21.5 bar", None),
        ] {
            assert_eq!(value_of(text.as_bytes(), &shape(kind, &[]), None).ok(), wanted, "{kind:?} {text}");
        }
    }

    #[test]
    fn lists_are_arrays_and_texts_name_values_of_an_enumeration() {
        let list = value_of(b"[1, 2.0, \"3\"]", &shape(BuiltIn::Int16, &[3]), None);
        assert_eq!(list, Ok(Value::array(Elements::Int16(vec![1, 2, 3]))));
        assert!(value_of(b"[1, 2, 3, 4]", &shape(BuiltIn::Int16, &[3]), None).is_err());
        assert!(value_of(b"[[1], 2]", &shape(BuiltIn::Int16, &[3]), None).is_err());
        let grid = value_of(b"[[1, 2], [3, 4]]", &shape(BuiltIn::Int16, &[2, 2]), None);
        let wanted = Array { elements: Elements::Int16(vec![1, 2, 3, 4]), dimensions: vec![2, 2] };
        assert_eq!(grid, Ok(Value::Array(Arc::new(wanted))));
        let texts = vec![Choice { number: 1, text: "Running".to_owned() }];
        let named = |text: &[u8]| value_of(text, &shape(BuiltIn::Int32, &[]), Some(&texts)).ok();
        assert_eq!(named(b"\"Running\""), Some(Value::Int32(1)));
        assert_eq!(named(b"1"), Some(Value::Int32(1)));
        assert_eq!(named(b"\"Stopped\""), None);
    }
}
