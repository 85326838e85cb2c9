//! Texts of files as values. Pure.

use std::sync::Arc;

use opcua::StatusCode;

use super::trouble::Trouble;
use crate::drivers::payload::Want;
use crate::drivers::plan::Enumeration;
use crate::value::{BuiltIn, Value};

/// The value of a text as it is.
pub(super) fn plain(bytes: &[u8], want: &Want) -> Result<Value, Trouble> {
    let unreadable = |text: String| Trouble::new(StatusCode::BadDataEncodingInvalid, text);
    if want.kind == BuiltIn::ByteString && want.enumeration.is_none() {
        let text = "it is longer than `length`".to_owned();
        let fits = want.length.is_none_or(|most| bytes.len() <= most);
        return if fits { Ok(Value::ByteString(bytes.into())) } else { Err(unreadable(text)) };
    }
    let text = std::str::from_utf8(bytes).map_err(|_| unreadable("it is no text".to_owned()))?;
    want.of_text(text).map_err(|fault| Trouble::new(fault.code, format!("it {}", fault.text)))
}

/// The number of a text.
pub(super) fn number(bytes: &[u8]) -> Result<f64, Trouble> {
    let want = Want { kind: BuiltIn::Double, elements: None, length: None, has_scale: true, enumeration: None };
    let number = plain(bytes, &want)?.as_f64().filter(|number| number.is_finite());
    number.ok_or_else(|| Trouble::new(StatusCode::BadDataEncodingInvalid, "it is no number"))
}

/// A whole number divided into its unit. Whole results stay whole, for tags of integers.
pub(super) fn divided(bytes: &[u8], by: u32) -> Result<Value, Trouble> {
    let want = Want { kind: BuiltIn::Int64, elements: None, length: None, has_scale: false, enumeration: None };
    let raw = plain(bytes, &want)?;
    let Value::Int64(raw) = raw else {
        let text = format!("it is no whole number of 64 bits: {}", raw.shown());
        return Err(Trouble::new(StatusCode::BadDataEncodingInvalid, text));
    };
    let by = i64::from(by);
    if raw % by == 0 {
        return Ok(Value::Int64(raw / by));
    }
    #[expect(clippy::cast_precision_loss, reason = "a measured value has fewer than 53 bits")]
    Ok(Value::Double(raw as f64 / by as f64))
}

/// A channel of IIO.
pub(super) fn channel(raw: f64, offset: f64, scale: f64) -> Result<Value, Trouble> {
    let value = (raw + offset) * scale;
    let why = || Trouble::new(StatusCode::BadDataEncodingInvalid, "(raw + offset) * scale is no number");
    value.is_finite().then_some(Value::Double(value)).ok_or_else(why)
}

/// The text of a value that is written, with its newline. Where a file holds whole numbers, a calculated one is rounded.
pub(super) fn text_of(value: &Value, is_whole: bool) -> Result<Vec<u8>, StatusCode> {
    let out = StatusCode::BadOutOfRange;
    let text = match value {
        Value::Boolean(on) => u8::from(*on).to_string(),
        Value::String(text) if text.chars().any(char::is_control) => return Err(out),
        Value::String(text) => text.to_string(),
        Value::Float(number) if number.is_finite() => {
            fraction(f64::from(*number), is_whole || number.abs() >= WHOLE_FLOAT, number.to_string())
        }
        Value::Double(number) if number.is_finite() => {
            fraction(*number, is_whole || number.abs() >= WHOLE_DOUBLE, number.to_string())
        }
        value => value.as_integer().ok_or(out)?.to_string(),
    };
    if text.is_empty() || text.len() >= super::file::LONGEST {
        return Err(out);
    }
    Ok(format!("{text}\n").into_bytes())
}

/// From here on a Float, or a Double, is a whole number; its shortest digits would be those of another one.
const WHOLE_FLOAT: f32 = 16_777_216.0;
const WHOLE_DOUBLE: f64 = 9_007_199_254_740_992.0;

fn fraction(number: f64, is_whole: bool, text: String) -> String {
    if is_whole { format!("{:.0}", number.round() + 0.0) } else { text }
}

/// Bytes of a file through everything that reads them; for fuzzing.
pub fn fuzz(bytes: &[u8]) {
    let choices = Arc::new(Enumeration { values: vec![(0, "off".to_owned()), (7, "on".to_owned())] });
    for kind in [BuiltIn::Boolean, BuiltIn::Int16, BuiltIn::UInt64, BuiltIn::Float, BuiltIn::Double, BuiltIn::String] {
        for enumeration in [None, Some(Arc::clone(&choices))] {
            let want = Want { kind, elements: None, length: Some(80), has_scale: false, enumeration };
            if let Ok(value) = plain(bytes, &want) {
                // A value that was read can be written back, and is then the same.
                let written = text_of(&value, false);
                let Ok(text) = written else { continue };
                let again = plain(&text[..text.len() - 1], &want).expect("a text of our own");
                let is_number = value.as_f64().is_some() && value.as_f64() == again.as_f64();
                assert!(is_number || again == value, "{bytes:?}");
            }
        }
    }
    if let (Ok(raw), Ok(Value::Double(divided))) = (number(bytes), divided(bytes, 1_000)) {
        assert!(divided.abs() <= raw.abs(), "{bytes:?}");
        assert!(channel(raw, 0.0, 0.001).is_ok(), "{bytes:?}");
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(address) = super::address::Address::parse(text)
        && let super::address::Place::File(path) = address.place
    {
        assert!(path.split('/').all(|part| !part.is_empty() && part != ".."), "{path}");
    }
}
