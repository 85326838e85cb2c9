//! Values, times and names as bounded text that cannot forge a line.

use std::borrow::Cow;
use std::fmt::Write as _;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::each_elements;
use crate::value::{Elements, UaTime, Value};

/// Characters of a text in a record; more is cut off, and said so.
pub(crate) const LONGEST: usize = 256;
/// Bytes of a value that a waiting record may hold.
pub(crate) const HELD: usize = 1_024;
/// Elements of an array that are shown.
const ELEMENTS: usize = 32;

/// Cuts a text to its bound, and says how long it was.
pub(crate) fn bounded(text: &str) -> Cow<'_, str> {
    // Not more bytes are not more characters.
    let end = if text.len() <= LONGEST { None } else { text.char_indices().nth(LONGEST) };
    match end {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}… ({} bytes in all)", &text[..end], text.len())),
    }
}

/// Characters that would change how a line reads: controls, line and paragraph separators, marks that change the
/// direction of text, and invisible ones (soft hyphen, tags, annotations).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text as a JSON string, all on one line of visible characters.
pub(crate) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}").expect("text takes every write");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `2026-11-21T20:15:03.123456Z`.
pub(crate) fn time_text(time: UaTime) -> String {
    const FORMAT: &[time::format_description::BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    // A client may write any 64 bits as a DateTime.
    let ticks = i128::from(time.0) - i128::from(UaTime::from_unix(std::time::Duration::ZERO).0);
    let moment = OffsetDateTime::from_unix_timestamp_nanos(ticks * 100);
    moment.ok().and_then(|moment| moment.format(FORMAT).ok()).unwrap_or_else(|| format!("{} ticks", time.0))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |four: u8| char::from(DIGITS[usize::from(four)]);
    let mut text = String::with_capacity(bytes.len() * 2);
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    text
}

/// Bytes that a value keeps alive.
pub(crate) fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::ByteString(bytes) | Value::Wire(bytes) => bytes.len(),
        Value::Struct(of) => of.weight(),
        Value::Array(array) => match &array.elements {
            Elements::String(texts) => texts.iter().map(|text| text.len() + 16).sum(),
            Elements::ByteString(items) => items.iter().map(|bytes| bytes.len() + 16).sum(),
            Elements::Struct(all) => all.iter().map(|of| of.weight()).sum(),
            other => other.len() * other.built_in().fixed_size().unwrap_or(16),
        },
        _ => 0,
    }
}

/// A value as people read it: `21.5`, `[1, 2, 3]`, `0x0102`; long ones are cut, and said so.
pub(crate) fn value_text(value: &Value) -> String {
    match value {
        Value::Array(array) => {
            let count = each_elements!(&array.elements, v => v.len());
            let shown = (0..count.min(ELEMENTS)).filter_map(|at| array.elements.get(at)).map(|value| scalar(&value));
            let shown = shown.collect::<Vec<_>>().join(", ");
            let shown: String = shown.chars().take(LONGEST).collect();
            match count > ELEMENTS || shown.chars().count() == LONGEST {
                true => format!("[{shown}, … ({count} elements in all)]"),
                false => format!("[{shown}]"),
            }
        }
        value => scalar(value),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null | Value::Array(_) => String::new(),
        Value::Boolean(v) => v.to_string(),
        Value::SByte(v) => v.to_string(),
        Value::Byte(v) => v.to_string(),
        Value::Int16(v) => v.to_string(),
        Value::UInt16(v) => v.to_string(),
        Value::Int32(v) => v.to_string(),
        Value::UInt32(v) => v.to_string(),
        Value::Int64(v) => v.to_string(),
        Value::UInt64(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::Double(v) => v.to_string(),
        Value::DateTime(v) => time_text(*v),
        Value::String(text) => bounded(text).into_owned(),
        Value::ByteString(bytes) => bytes_text(bytes),
        Value::Struct(of) => {
            let fields = of.kind.fields.iter().zip(&of.fields).take(ELEMENTS);
            let fields = fields.map(|(kind, value)| format!("{}: {}", kind.name, value_text(value)));
            let text = fields.collect::<Vec<_>>().join(", ");
            let shown: String = text.chars().take(LONGEST).collect();
            let is_cut = of.fields.len() > ELEMENTS || shown.len() < text.len();
            format!("{{ {shown}{} }}", if is_cut { " …" } else { "" })
        }
        Value::Wire(bytes) => {
            let kind = value.built_in().map_or_else(String::new, |kind| format!("{kind:?} "));
            kind + &bytes_text(bytes.get(1..).unwrap_or_default())
        }
    }
}

fn bytes_text(bytes: &[u8]) -> String {
    match bytes.len() <= LONGEST / 2 {
        true => format!("0x{}", hex(bytes)),
        false => format!("0x{}… ({} bytes in all)", hex(&bytes[..LONGEST / 2]), bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_people_write_them_and_long_ones_are_cut() {
        let long = Value::text(&"x".repeat(300));
        let many = Value::array(Elements::Int32((0..100).collect()));
        for (value, wanted) in [
            (Value::Double(21.5), "21.5".to_owned()),
            (Value::Double(f64::NAN), "NaN".to_owned()),
            (Value::Boolean(true), "true".to_owned()),
            (Value::text("a\nb"), "a\nb".to_owned()),
            (Value::ByteString([1u8, 0xff].as_slice().into()), "0x01ff".to_owned()),
            (Value::array(Elements::Int32(vec![1, 2])), "[1, 2]".to_owned()),
            (Value::DateTime(UaTime(134_116_992_000_000_000)), "2026-01-01T00:00:00.000000Z".to_owned()),
            (Value::DateTime(UaTime(i64::MIN)), format!("{} ticks", i64::MIN)),
            (Value::DateTime(UaTime(i64::MAX)), format!("{} ticks", i64::MAX)),
            (long, format!("{}… (300 bytes in all)", "x".repeat(256))),
        ] {
            assert_eq!(value_text(&value), wanted);
        }
        assert!(value_text(&many).ends_with(", 31, … (100 elements in all)]"));
        let texts = Value::array(Elements::String(vec!["y".repeat(10_000).as_str().into(); 40]));
        assert!(value_text(&texts).len() < 400, "{}", value_text(&texts));
    }

    #[test]
    fn a_text_stays_on_its_line_whatever_is_in_it() {
        for (text, quoted) in [
            ("plain ü 漢", "\"plain ü 漢\""),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("a\r\nINFO forged", r#""a\r\nINFO forged""#),
            ("\u{1b}[2J\u{7f}\u{85}", r#""\u001b[2J\u007f\u0085""#),
            ("\u{2028}\u{202e}\u{feff}", r#""\u2028\u202e\ufeff""#),
            ("\u{61c}\u{ad}\u{fffa}\u{e0041}", r#""\u061c\u00ad\ufffa\udb40\udc41""#),
        ] {
            let mut out = String::new();
            push_quoted(&mut out, text);
            assert_eq!(out, quoted);
            assert_eq!(serde_json::from_str::<String>(&out).expect("it is JSON"), text);
        }
    }
}
