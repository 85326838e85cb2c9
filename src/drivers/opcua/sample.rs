//! From a DataValue of the server to a sample of a tag: status, info bits and SourceTimestamp as they are. Pure.

use opcua::StatusCode;

use crate::drivers::plan::PointPlan;
use crate::stack::codec::{DataValue, Reader};
use crate::tags::RawSample;
use crate::value::{BuiltIn, UaTime, Value, is_plain};

/// Letters of a value in a text.
const MOST_SHOWN: usize = 60;

/// The sample of a point. A value that the point cannot be is BadDataEncodingInvalid, with the value in the reason.
pub(super) fn sample(point: &PointPlan, read: DataValue) -> RawSample {
    let status = read.status.unwrap_or(StatusCode::Good);
    let time = read.source_time.filter(|time| *time != UaTime::NULL);
    let value = read.value.unwrap_or(Value::Null);
    let sample = if status.is_bad() {
        let why = format!("{}: the server sends {status}", point.address);
        RawSample::new(Value::Null, status).because(&why)
    } else {
        match fitted(point, value) {
            Ok(value) => RawSample::new(value, status),
            Err(why) => {
                let why = format!("{}: {why}", point.address);
                RawSample::from(Err(StatusCode::BadDataEncodingInvalid)).because(&why)
            }
        }
    };
    match time {
        Some(time) => sample.at(time),
        None => sample,
    }
}

/// The value in the form of the point; the type of its numbers is the tag's business.
fn fitted(point: &PointPlan, value: Value) -> Result<Value, String> {
    let value = match value {
        Value::Null => return Err("the server sends no value, and no Bad status that says why".to_owned()),
        Value::Wire(bytes) => plain(&bytes).ok_or_else(|| {
            let kind = bytes.first().and_then(|byte| BuiltIn::from_byte(byte & 0x3f));
            let kind = kind.map_or("a value".to_owned(), |kind| format!("{kind:?}"));
            format!("the server sends {kind}, which a {:?} cannot hold", point.kind)
        })?,
        value => value,
    };
    let shown =
        |value: &Value| value.shown().chars().filter(|letter| is_plain(*letter)).take(MOST_SHOWN).collect::<String>();
    match (&value, point.is_array) {
        (Value::Array(array), true) if array.elements.len() != point.elements => {
            return Err(format!("the server sends {} elements, not {}", array.elements.len(), point.elements));
        }
        (Value::Array(array), false) => {
            return Err(format!("the server sends an array of {}, not one value", array.elements.len()));
        }
        (value, true) if !matches!(value, Value::Array(_)) => {
            return Err(format!("the server sends {}, not an array", shown(value)));
        }
        _ => {}
    }
    // Numbers become each other where nothing is lost, which the tag decides; anything else is of one type.
    let (from, to) = (value.built_in(), point.kind);
    let is_numeric = |kind: BuiltIn| kind.is_number() || kind == BuiltIn::Boolean;
    let is_possible = from == Some(to) || from.is_some_and(is_numeric) && is_numeric(to);
    if !is_possible {
        return Err(format!("the server sends {}, which a {to:?} cannot hold", shown(&value)));
    }
    if let Some(longest) = point.length
        && let Some(length) = longest_text(&value).filter(|length| *length > longest as usize)
    {
        return Err(format!("the server sends {length} bytes, more than `length: {longest}`"));
    }
    Ok(value)
}

fn longest_text(value: &Value) -> Option<usize> {
    use crate::value::Elements::{ByteString, String};
    match value {
        Value::String(text) => Some(text.len()),
        Value::ByteString(bytes) => Some(bytes.len()),
        Value::Array(array) => match &array.elements {
            String(texts) => texts.iter().map(|text| text.len()).max(),
            ByteString(all) => all.iter().map(|bytes| bytes.len()).max(),
            _ => None,
        },
        _ => None,
    }
}

/// The text of a LocalizedText, a QualifiedName or a Guid, and the number of a StatusCode.
fn plain(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader::new(bytes);
    let text = match BuiltIn::from_byte(reader.u8().ok()?)? {
        BuiltIn::LocalizedText => reader.localized_text().ok()?.text.unwrap_or_default().to_owned(),
        BuiltIn::QualifiedName => reader.qualified_name().ok()?.name.unwrap_or_default().to_owned(),
        BuiltIn::XmlElement => reader.text().ok()?.to_owned(),
        BuiltIn::Guid => {
            let mut guid = reader.guid().ok()?;
            guid[..4].reverse();
            guid[4..6].reverse();
            guid[6..8].reverse();
            opcua::Guid::from_bytes(guid).to_string()
        }
        BuiltIn::StatusCode => return Some(Value::UInt32(reader.u32().ok()?)),
        _ => return None,
    };
    Some(Value::text(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::codec::{LocalizedTextRef, Writer};
    use crate::value::Elements;

    fn wire(body: impl FnOnce(&mut Writer)) -> Value {
        let mut out = Writer::new();
        body(&mut out);
        Value::Wire(out.buf.into())
    }

    #[test]
    fn status_bits_and_times_pass_and_a_value_of_another_form_is_refused() {
        let point = PointPlan { kind: BuiltIn::Double, ..PointPlan::sample(0) };
        let (overflow, uncertain) = (StatusCode::from(0x0000_0480), StatusCode::from(0x4090_0480));
        for (value, status, wanted) in [
            (Value::Double(1.5), StatusCode::Good, Ok(overflow)),
            (Value::Double(f64::NAN), uncertain, Ok(uncertain)),
            (Value::Int32(7), StatusCode::Good, Ok(overflow)),
            (Value::Null, StatusCode::Good, Err("no value")),
            (Value::text("x"), StatusCode::Good, Err("sends \"x\", which a Double cannot hold")),
            (Value::array(Elements::Double(vec![1.0])), StatusCode::Good, Err("an array of 1")),
            (Value::DateTime(UaTime(1)), StatusCode::Good, Err("cannot hold")),
        ] {
            let status = if status == StatusCode::Good { overflow } else { status };
            let time = UaTime(132_000_000_000_000_000);
            let read = DataValue {
                value: Some(value.clone()),
                status: Some(status),
                source_time: Some(time),
                server_time: None,
            };
            let sample = sample(&point, read);
            assert_eq!(sample.source_time(), Some(time));
            match wanted {
                Ok(status) => {
                    assert_eq!(sample.status(), status);
                    assert!(sample.value().expect("a value").same_bits(&value), "{value:?}");
                }
                Err(_) => assert_eq!(sample.status(), StatusCode::BadDataEncodingInvalid, "{value:?}"),
            }
            if let Err(why) = wanted {
                let said = fitted(&point, value).expect_err("refused");
                assert!(said.contains(why), "{said}");
            }
        }
        let bad = DataValue { status: Some(StatusCode::from(0x8031_0000)), ..DataValue::default() };
        assert_eq!(sample(&point, bad).status(), StatusCode::from(0x8031_0000));
    }

    #[test]
    fn texts_have_several_types_and_arrays_one_length() {
        let text = PointPlan { kind: BuiltIn::String, length: Some(5), ..PointPlan::sample(0) };
        let localized = wire(|out| {
            out.variant_head(BuiltIn::LocalizedText);
            out.localized_text(LocalizedTextRef { locale: Some("en"), text: Some("on") });
        });
        assert_eq!(fitted(&text, localized), Ok(Value::text("on")));
        assert!(fitted(&text, Value::text("longer")).is_err());
        let node = wire(|out| {
            out.variant_head(BuiltIn::NodeId);
            out.node_id(crate::stack::codec::NodeIdRef::numeric(0, 1));
        });
        assert!(fitted(&text, node).expect_err("no text").contains("NodeId"));
        let array = PointPlan { kind: BuiltIn::Int16, elements: 2, is_array: true, ..PointPlan::sample(0) };
        let of = |count| Value::array(Elements::Int16(vec![1; count]));
        assert_eq!(fitted(&array, of(2)), Ok(of(2)));
        assert!(fitted(&array, of(3)).is_err());
        assert!(fitted(&array, Value::Int16(1)).is_err());
    }
}
