//! Bytes of a PLC to raw values and back. Pure.

use opcua::StatusCode;

use super::bad::Bad;
use super::point::Variable;
use super::raw_type::RawType;
use super::settings::Clock;
use super::{text, time};
use crate::drivers::number::{Number, Takes, whole};
use crate::value::{BuiltIn, Elements, Value};

const OUT: StatusCode = StatusCode::BadOutOfRange;

/// A change of the PLC's memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Bit {
        byte: u32,
        bit: u8,
        on: bool,
    },
    Bytes {
        start: u32,
        bytes: Vec<u8>,
    },
    /// A text whose longest length the PLC has, and is to be asked for.
    Text {
        start: u32,
        text: std::sync::Arc<str>,
    },
}

impl Variable {
    /// The value in these bytes of a reply; they are those of the whole point.
    pub(crate) fn decode(&self, data: &[u8]) -> Result<Value, Bad> {
        if self.raw == RawType::Bool {
            return self.decode_bits(data);
        }
        if !self.is_array {
            return self.element(data.get(..self.size() as usize).ok_or_else(Bad::short)?);
        }
        let mut values = Vec::with_capacity(self.elements as usize);
        for at in 0..self.elements as usize {
            let start = at * self.bytes_between();
            values.push(self.element(data.get(start..start + self.size() as usize).ok_or_else(Bad::short)?)?);
        }
        let kind = values.first().and_then(Value::built_in).ok_or_else(Bad::short)?;
        Elements::collect(kind, values.into_iter()).map(Value::array).ok_or_else(Bad::short)
    }

    /// Bytes from one element to the next; timers and counters have two each.
    fn bytes_between(&self) -> usize {
        if self.address.area.has_elements() { 2 } else { self.stride as usize }
    }

    fn decode_bits(&self, data: &[u8]) -> Result<Value, Bad> {
        let first = usize::from(self.address.bit);
        let bit = |at: usize| data.get(at / 8).map(|byte| byte >> (at % 8) & 1 == 1).ok_or_else(Bad::short);
        if !self.is_array {
            return bit(first).map(Value::Boolean);
        }
        let bits: Result<Vec<bool>, Bad> = (first..first + self.elements as usize).map(bit).collect();
        bits.map(|bits| Value::array(Elements::Boolean(bits)))
    }

    fn element(&self, data: &[u8]) -> Result<Value, Bad> {
        if let Some(number) = self.raw.number() {
            return self.number(number, data);
        }
        Ok(match self.raw {
            RawType::String => Value::text(&text::read_string(data, self.length)?),
            RawType::Wstring => Value::text(&text::read_wstring(data, self.length)?),
            RawType::Text => Value::text(&text::read_chars(data)),
            RawType::Bytes => Value::ByteString(data.into()),
            RawType::Date => Value::DateTime(time::read_date(data)?),
            RawType::Dt => Value::DateTime(time::read_dt(data, self.clock)?),
            RawType::Dtl => Value::DateTime(time::read_dtl(data, self.clock)?),
            RawType::Ldt => Value::DateTime(time::read_ldt(data)?),
            RawType::S5time => match data {
                &[high, low] => Value::UInt32(time::read_s5time(u16::from_be_bytes([high, low]))?),
                _ => return Err(Bad::short()),
            },
            _ => return Err(Bad::short()),
        })
    }

    fn number(&self, number: Number, data: &[u8]) -> Result<Value, Bad> {
        let bits = data.iter().fold(0, |bits: u64, byte| bits << 8 | u64::from(*byte));
        let no_value = |why: String| Bad { status: StatusCode::BadSensorFailure, why: why.into() };
        if let Some(real) = number.float(bits).filter(|real| !self.nan && !real.is_finite()) {
            return Err(no_value(format!("the value is {real}")));
        }
        if self.invalid.has(number, bits) {
            return Err(no_value("the value means that there is none, by `invalid`".to_owned()));
        }
        if self.raw == RawType::Tod && bits >= 86_400_000 {
            return Err(Bad::encoding(format!("{bits} ms are more than a day")));
        }
        number.value(bits).map_err(|status| Bad { status, why: format!("{bits:#x} has a digit above 9").into() })
    }

    /// The changes that write `value`, from element `first` on. A value that would be read back as another one is
    /// BadOutOfRange.
    pub(crate) fn encode(&self, value: &Value, first: u32) -> Result<Vec<Change>, StatusCode> {
        let elements: Vec<Value> = match value {
            Value::Array(array) => (0..array.elements.len()).filter_map(|at| array.elements.get(at)).collect(),
            value => vec![value.clone()],
        };
        let count = u32::try_from(elements.len()).map_err(|_| StatusCode::BadIndexRangeNoData)?;
        if first.checked_add(count).is_none_or(|end| end > self.elements) {
            return Err(StatusCode::BadIndexRangeNoData);
        }
        if self.raw == RawType::Bool {
            return self.encode_bits(&elements, first);
        }
        let at = |element: u32| self.start() + (first + element) * self.stride;
        if matches!(self.raw, RawType::String | RawType::Wstring) {
            let change = |(element, value): (u32, Value)| match value {
                Value::String(text) => {
                    self.text_bytes(&text, self.length)?;
                    Ok(Change::Text { start: at(element), text })
                }
                _ => Err(OUT),
            };
            return (0..).zip(elements).map(change).collect();
        }
        let mut bytes = Vec::new();
        for element in &elements {
            self.put(element, &mut bytes)?;
        }
        Ok(vec![Change::Bytes { start: at(0), bytes }])
    }

    /// A bit each; whole bytes of bits together.
    fn encode_bits(&self, elements: &[Value], first: u32) -> Result<Vec<Change>, StatusCode> {
        let bits: Result<Vec<bool>, StatusCode> = elements
            .iter()
            .map(|element| match whole(element) {
                Ok(0) => Ok(false),
                Ok(1) => Ok(true),
                _ => Err(OUT),
            })
            .collect();
        let bits = bits?;
        let mut changes = Vec::new();
        let mut at = 0;
        while at < bits.len() {
            let place = u32::from(self.address.bit) + first + u32::try_from(at).map_err(|_| OUT)?;
            let (byte, bit) = (self.start() + place / 8, u8::try_from(place % 8).map_err(|_| OUT)?);
            match bits.get(at..at + 8).filter(|_| bit == 0) {
                Some(eight) => {
                    let packed = eight.iter().rev().fold(0, |byte, on| byte << 1 | u8::from(*on));
                    match changes.last_mut() {
                        Some(Change::Bytes { bytes, .. }) => bytes.push(packed),
                        _ => changes.push(Change::Bytes { start: byte, bytes: vec![packed] }),
                    }
                    at += 8;
                }
                None => {
                    changes.push(Change::Bit { byte, bit, on: bits[at] });
                    at += 1;
                }
            }
        }
        Ok(changes)
    }

    /// Header from its second half on, and letters, of a text in a PLC whose longest is `most`.
    pub(crate) fn text_bytes(&self, text: &str, most: u32) -> Result<Vec<u8>, StatusCode> {
        let most = most.min(self.length);
        match self.raw {
            RawType::Wstring => text::write_wstring(text, most),
            _ => text::write_string(text, most),
        }
    }

    fn put(&self, value: &Value, bytes: &mut Vec<u8>) -> Result<(), StatusCode> {
        if let Some(number) = self.raw.number() {
            let bits = number.bits_of(value, Takes { nan: self.nan, is_integer: self.is_integer })?;
            let is_late = self.raw == RawType::Tod && bits >= 86_400_000;
            // It would be read back as no value.
            if self.invalid.has(number, bits) || is_late {
                return Err(OUT);
            }
            let size = self.size() as usize;
            bytes.extend(&bits.to_be_bytes()[8 - size..]);
            return Ok(());
        }
        match (self.raw, value) {
            (RawType::Text, Value::String(text)) => bytes.extend(text::write_chars(text, self.length)?),
            (RawType::Bytes, Value::ByteString(own)) if own.len() <= self.length as usize => {
                bytes.extend(&own[..]);
                bytes.resize(bytes.len() + self.length as usize - own.len(), 0);
            }
            (RawType::Date, Value::DateTime(at)) => bytes.extend(time::write_date(*at)?),
            (RawType::Dt, Value::DateTime(at)) => bytes.extend(time::write_dt(*at, self.clock)?),
            (RawType::Dtl, Value::DateTime(at)) => bytes.extend(time::write_dtl(*at, self.clock)?),
            (RawType::Ldt, Value::DateTime(at)) => bytes.extend(time::write_ldt(*at)?),
            (RawType::S5time, value) => bytes.extend(time::write_s5time(whole(value)?)?.to_be_bytes()),
            _ => return Err(OUT),
        }
        Ok(())
    }

    /// The changes that leave the point as it is in these bytes of a reply.
    pub(crate) fn unchanged(&self, data: &[u8]) -> Option<Vec<Change>> {
        if self.raw == RawType::Bool {
            let Ok(value) = self.decode_bits(data) else { return None };
            return self.encode(&value, 0).ok();
        }
        let bytes = data.get(..self.count() as usize)?.to_vec();
        Some(vec![Change::Bytes { start: self.start(), bytes }])
    }

    /// The value is not a part of an array.
    pub(crate) fn is_whole(&self, value: &Value) -> bool {
        match value {
            Value::Array(array) => array.elements.len() == self.elements as usize,
            _ => !self.is_array,
        }
    }
}

/// The type that a tag has for each raw type, for `probe`.
pub(crate) fn kind_of(raw: RawType) -> BuiltIn {
    match raw {
        raw if raw.is_text() => BuiltIn::String,
        raw if raw.is_date() => BuiltIn::DateTime,
        RawType::Bytes => BuiltIn::ByteString,
        RawType::Bool => BuiltIn::Boolean,
        _ => BuiltIn::Double,
    }
}

/// Whether the PLC has a header before the letters.
pub(crate) fn header_size(raw: RawType) -> u16 {
    if raw == RawType::Wstring { 4 } else { 2 }
}

/// The longest length in a header, and whether the PLC never set it.
pub(crate) fn most_of(raw: RawType, header: &[u8]) -> Option<u32> {
    match (raw, header) {
        (RawType::Wstring, [a, b, ..]) => Some(u16::from_be_bytes([*a, *b]).into()),
        (_, [most, ..]) => Some((*most).into()),
        _ => None,
    }
}

/// Bytes as values of every type; for fuzzing.
pub(super) fn fuzz(bytes: &[u8]) {
    for length in [1, 20] {
        for read in [text::read_string, text::read_wstring] {
            if let Ok(text) = read(bytes, length) {
                assert!(text.chars().count() <= length as usize, "no more than `length`");
            }
        }
    }
    drop(text::read_chars(bytes));
    for clock in [Clock::Utc, Clock::Local] {
        drop((time::read_dt(bytes, clock), time::read_dtl(bytes, clock)));
    }
    drop((time::read_date(bytes), time::read_ldt(bytes)));
    if let &[high, low, ..] = bytes {
        drop(time::read_s5time(u16::from_be_bytes([high, low])));
    }
}
