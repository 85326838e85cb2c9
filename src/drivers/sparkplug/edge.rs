//! Payloads of an edge node, and the commands that it is sent.

use super::proto::{self, Content, Metric, Payload};
use super::value::{self, kind, millis_of};
use crate::value::{BuiltIn, UaTime, Value};

/// First level of all topics.
pub(crate) const NAMESPACE: &str = super::host::NAMESPACE;
/// The metric by which a node is asked to be born again.
pub(crate) const REBIRTH: &str = "Node Control/Rebirth";

/// Quality as Sparkplug has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quality {
    Good = 192,
    Stale = 500,
    Bad = 0,
}

/// How a metric is named.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Named<'a> {
    Name(&'a str),
    Alias(u64),
    /// In a birth.
    Both(&'a str, u64),
}

/// A value of a metric.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub time: UaTime,
    pub datatype: u32,
    /// `None`: there is none.
    pub value: Option<&'a Value>,
    pub quality: Quality,
    pub is_historical: bool,
}

/// Properties of a metric's birth.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Properties<'a> {
    pub unit: Option<&'a str>,
    pub documentation: Option<&'a str>,
    /// `engLow` and `engHigh`.
    pub ends: Option<[f64; 2]>,
}

/// The type of a tag, by its number.
pub(crate) fn datatype_of(kind: BuiltIn, is_array: bool) -> Option<u32> {
    let scalar = match kind {
        BuiltIn::SByte => kind::INT8,
        BuiltIn::Int16 => kind::INT16,
        BuiltIn::Int32 => kind::INT32,
        BuiltIn::Int64 => kind::INT64,
        BuiltIn::Byte => kind::UINT8,
        BuiltIn::UInt16 => kind::UINT16,
        BuiltIn::UInt32 => kind::UINT32,
        BuiltIn::UInt64 => kind::UINT64,
        BuiltIn::Float => kind::FLOAT,
        BuiltIn::Double => kind::DOUBLE,
        BuiltIn::Boolean => kind::BOOLEAN,
        BuiltIn::String => kind::STRING,
        BuiltIn::DateTime => kind::DATE_TIME,
        BuiltIn::Guid => kind::UUID,
        BuiltIn::ByteString => kind::BYTES,
        _ => return None,
    };
    match (is_array, scalar) {
        (false, scalar) => Some(scalar),
        (true, kind::INT8..=kind::STRING) => Some(scalar + (kind::INT8_ARRAY - kind::INT8)),
        (true, kind::DATE_TIME) => Some(kind::DATE_TIME_ARRAY),
        // There is no array of bytes.
        (true, _) => None,
    }
}

/// A payload; `seq` is none in a death.
pub(crate) fn payload(now: UaTime, seq: Option<u8>, metrics: &[Vec<u8>]) -> Vec<u8> {
    let size: usize = metrics.iter().map(|metric| metric.len() + 6).sum();
    let mut out = Vec::with_capacity(size + 24);
    proto::number(&mut out, 1, millis_of(now));
    metrics.iter().for_each(|metric| proto::bytes(&mut out, 2, metric));
    if let Some(seq) = seq {
        proto::number(&mut out, 3, seq.into());
    }
    out
}

/// `bdSeq`, as births and deaths have it.
pub(crate) fn bd_seq(number: u8, now: UaTime) -> Vec<u8> {
    let value = Value::Int64(number.into());
    let shown =
        Shown { time: now, datatype: kind::INT64, value: Some(&value), quality: Quality::Good, is_historical: false };
    metric(Named::Name("bdSeq"), &shown, None)
}

/// `Node Control/Rebirth` in a birth.
pub(crate) fn rebirth(now: UaTime) -> Vec<u8> {
    let value = Value::Boolean(false);
    let shown =
        Shown { time: now, datatype: kind::BOOLEAN, value: Some(&value), quality: Quality::Good, is_historical: false };
    metric(Named::Name(REBIRTH), &shown, None)
}

/// A metric; with properties as in a birth.
pub(crate) fn metric(named: Named<'_>, shown: &Shown<'_>, properties: Option<Properties<'_>>) -> Vec<u8> {
    let mut out = Vec::with_capacity(48);
    name_to(&mut out, named);
    out.extend_from_slice(&body(shown, properties));
    out
}

/// The name of a metric, before its body.
pub(crate) fn name_to(out: &mut Vec<u8>, named: Named<'_>) {
    if let Named::Name(name) | Named::Both(name, _) = named {
        proto::bytes(out, 1, name.as_bytes());
    }
    if let Named::Alias(alias) | Named::Both(_, alias) = named {
        proto::number(out, 2, alias);
    }
}

/// A metric without its name.
pub(crate) fn body(shown: &Shown<'_>, properties: Option<Properties<'_>>) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    let mut packed = Vec::new();
    proto::number(&mut out, 3, millis_of(shown.time));
    proto::number(&mut out, 4, shown.datatype.into());
    if shown.is_historical {
        proto::number(&mut out, 5, 1);
    }
    let content = shown.value.and_then(|value| content_of(shown.datatype, value, &mut packed));
    // A value that the type does not have is none.
    let quality = if content.is_none() { Quality::Bad } else { shown.quality };
    if content.is_none() {
        proto::number(&mut out, 7, 1);
    }
    if let Some(set) = property_set(quality, properties) {
        proto::bytes(&mut out, 9, &set);
    }
    if let Some(content) = content {
        proto::content(&mut out, content);
    }
    out
}

/// The content of a value; NaN and the infinities are numbers here.
fn content_of<'v>(datatype: u32, value: &'v Value, bytes: &'v mut Vec<u8>) -> Option<Content<'v>> {
    match (datatype, value) {
        (kind::FLOAT, Value::Float(number)) => Some(Content::Float(*number)),
        (kind::DOUBLE, Value::Double(number)) => Some(Content::Double(*number)),
        _ => value::content_of(datatype, value, bytes),
    }
}

/// Names and values of properties; none where a host assumes the same without them.
fn property_set(quality: Quality, properties: Option<Properties<'_>>) -> Option<Vec<u8>> {
    if properties.is_none() && quality == Quality::Good {
        return None;
    }
    let Properties { unit, documentation, ends } = properties.unwrap_or_default();
    let (mut names, mut values) = (vec!["Quality"], vec![number_property(quality as u64)]);
    for (name, text) in [("engUnit", unit), ("documentation", documentation)] {
        if let Some(text) = text {
            names.push(name);
            values.push(text_property(text));
        }
    }
    for (name, end) in ["engLow", "engHigh"].into_iter().zip(ends.into_iter().flatten()) {
        names.push(name);
        values.push(double_property(end));
    }
    let mut set = Vec::new();
    names.iter().for_each(|name| proto::bytes(&mut set, 1, name.as_bytes()));
    values.iter().for_each(|value| proto::bytes(&mut set, 2, value));
    Some(set)
}

fn number_property(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    proto::number(&mut out, 1, kind::INT32.into());
    proto::number(&mut out, 3, number);
    out
}

fn text_property(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    proto::number(&mut out, 1, kind::STRING.into());
    proto::bytes(&mut out, 8, text.as_bytes());
    out
}

fn double_property(number: f64) -> Vec<u8> {
    let mut out = Vec::new();
    proto::number(&mut out, 1, kind::DOUBLE.into());
    proto::eight(&mut out, 6, number.to_bits());
    out
}

/// The type of a metric by its name or its alias.
pub(crate) type DatatypeOf<'a> = &'a dyn Fn(Option<&str>, Option<u64>) -> Option<u32>;

/// A metric of a command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub name: Option<String>,
    pub alias: Option<u64>,
    /// With its own type, or with that which `datatype` gives; none for null and for what is no value.
    pub value: Option<Value>,
}

/// The metrics of a command; `None` for bytes that are no payload. `datatype` gives the type of a metric that names none.
pub(crate) fn commands(bytes: &[u8], datatype: DatatypeOf<'_>) -> Option<Vec<Asked>> {
    let payload = Payload::read(bytes).ok()?;
    let asked = |metric: &Metric<'_>| {
        let kind = metric.datatype.or_else(|| datatype(metric.name, metric.alias));
        let content = metric.content.filter(|_| !metric.is_null);
        let value = kind.zip(content).and_then(|(kind, content)| value::value_of(kind, content).ok());
        Asked { name: metric.name.map(str::to_owned), alias: metric.alias, value }
    };
    Some(payload.metrics.iter().map(asked).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Elements;

    #[test]
    fn a_metric_is_read_as_it_was_written() {
        let time = value::time_of(1_767_323_045_123);
        for (kind, is_array, value) in [
            (BuiltIn::SByte, false, Value::SByte(-2)),
            (BuiltIn::UInt64, false, Value::UInt64(u64::MAX)),
            (BuiltIn::Float, false, Value::Float(f32::NAN)),
            (BuiltIn::Double, false, Value::Double(f64::INFINITY)),
            (BuiltIn::Boolean, false, Value::Boolean(true)),
            (BuiltIn::String, false, Value::text("ä")),
            (BuiltIn::DateTime, false, Value::DateTime(time)),
            (BuiltIn::ByteString, false, Value::ByteString([1, 2][..].into())),
            (BuiltIn::Int16, true, Value::array(Elements::Int16(vec![-1, 2]))),
            (BuiltIn::String, true, Value::array(Elements::String(vec!["a".into(), "b".into()]))),
            (BuiltIn::DateTime, true, Value::array(Elements::DateTime(vec![time]))),
        ] {
            let datatype = datatype_of(kind, is_array).expect("a type of Sparkplug");
            let shown = Shown { time, datatype, value: Some(&value), quality: Quality::Stale, is_historical: true };
            let properties = Properties { unit: Some("bar"), documentation: Some("text"), ends: Some([0.0, 10.0]) };
            for (properties, named) in [(None, Named::Alias(7)), (Some(properties), Named::Both("A/b", 7))] {
                let bytes = payload(time, Some(3), &[metric(named, &shown, properties)]);
                let read = Payload::read(&bytes).expect("a payload");
                let metric = read.metrics[0];
                assert_eq!((read.seq, read.timestamp), (Some(3), Some(1_767_323_045_123)));
                assert_eq!((metric.alias, metric.datatype), (Some(7), Some(datatype)));
                assert_eq!((metric.quality, metric.is_historical, metric.is_null), (Some(500), true, false));
                let back = value::value_of(datatype, metric.content.expect("a content")).expect("a value");
                assert!(back.same_bits(&value), "{value:?} is read as {back:?}");
            }
        }
        assert_eq!(datatype_of(BuiltIn::ByteString, true), None);
    }

    #[test]
    fn a_value_that_is_none_is_null_and_bad() {
        let misfit = Value::text("x");
        for value in [None, Some(&misfit)] {
            let shown = Shown { time: UaTime(1), datatype: 10, value, quality: Quality::Good, is_historical: false };
            let bytes = payload(UaTime(1), None, &[metric(Named::Name("A"), &shown, None)]);
            let metric = Payload::read(&bytes).expect("a payload").metrics[0];
            assert_eq!((metric.is_null, metric.quality, metric.content), (true, Some(0), None));
        }
    }
}
