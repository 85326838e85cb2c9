//! Values of metrics by the type of their birth (Sparkplug 3.0 §6.4.16), and back for commands.

use std::time::Duration;

use super::proto::Content;
use crate::value::{BuiltIn, Elements, UaTime, Value};

/// Types of Sparkplug, by their numbers.
pub(super) mod kind {
    pub(in crate::drivers::sparkplug) const INT8: u32 = 1;
    pub(in crate::drivers::sparkplug) const INT16: u32 = 2;
    pub(in crate::drivers::sparkplug) const INT32: u32 = 3;
    pub(in crate::drivers::sparkplug) const INT64: u32 = 4;
    pub(in crate::drivers::sparkplug) const UINT8: u32 = 5;
    pub(in crate::drivers::sparkplug) const UINT16: u32 = 6;
    pub(in crate::drivers::sparkplug) const UINT32: u32 = 7;
    pub(in crate::drivers::sparkplug) const UINT64: u32 = 8;
    pub(in crate::drivers::sparkplug) const FLOAT: u32 = 9;
    pub(in crate::drivers::sparkplug) const DOUBLE: u32 = 10;
    pub(in crate::drivers::sparkplug) const BOOLEAN: u32 = 11;
    pub(in crate::drivers::sparkplug) const STRING: u32 = 12;
    pub(in crate::drivers::sparkplug) const DATE_TIME: u32 = 13;
    pub(in crate::drivers::sparkplug) const TEXT: u32 = 14;
    pub(in crate::drivers::sparkplug) const UUID: u32 = 15;
    pub(in crate::drivers::sparkplug) const BYTES: u32 = 17;
    pub(in crate::drivers::sparkplug) const INT8_ARRAY: u32 = 22;
    pub(in crate::drivers::sparkplug) const INT64_ARRAY: u32 = 25;
    pub(in crate::drivers::sparkplug) const UINT8_ARRAY: u32 = 26;
    pub(in crate::drivers::sparkplug) const UINT64_ARRAY: u32 = 29;
    pub(in crate::drivers::sparkplug) const FLOAT_ARRAY: u32 = 30;
    pub(in crate::drivers::sparkplug) const DOUBLE_ARRAY: u32 = 31;
    pub(in crate::drivers::sparkplug) const BOOLEAN_ARRAY: u32 = 32;
    pub(in crate::drivers::sparkplug) const STRING_ARRAY: u32 = 33;
    pub(in crate::drivers::sparkplug) const DATE_TIME_ARRAY: u32 = 34;
}

/// The type of a Boolean.
pub(super) const BOOLEAN: u32 = kind::BOOLEAN;

/// A type of metrics as a tag has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DataType {
    pub kind: BuiltIn,
    pub is_array: bool,
}

/// The type of a tag for metrics of a type; `None` where no tag has it.
pub(super) fn data_type_of(datatype: u32) -> Option<DataType> {
    let kind = match datatype {
        kind::INT8 | 22 => BuiltIn::SByte,
        kind::INT16 | 23 => BuiltIn::Int16,
        kind::INT32 | 24 => BuiltIn::Int32,
        kind::INT64 | kind::INT64_ARRAY => BuiltIn::Int64,
        kind::UINT8 | kind::UINT8_ARRAY => BuiltIn::Byte,
        kind::UINT16 | 27 => BuiltIn::UInt16,
        kind::UINT32 | 28 => BuiltIn::UInt32,
        kind::UINT64 | kind::UINT64_ARRAY => BuiltIn::UInt64,
        kind::FLOAT | kind::FLOAT_ARRAY => BuiltIn::Float,
        kind::DOUBLE | kind::DOUBLE_ARRAY => BuiltIn::Double,
        kind::BOOLEAN | kind::BOOLEAN_ARRAY => BuiltIn::Boolean,
        kind::STRING | kind::TEXT | kind::UUID | kind::STRING_ARRAY => BuiltIn::String,
        kind::DATE_TIME | kind::DATE_TIME_ARRAY => BuiltIn::DateTime,
        kind::BYTES => BuiltIn::ByteString,
        _ => return None,
    };
    Some(DataType { kind, is_array: datatype >= kind::INT8_ARRAY })
}

/// Milliseconds since 1970 as a time.
pub(super) fn time_of(millis: u64) -> UaTime {
    UaTime::from_unix(Duration::from_millis(millis))
}

pub(super) fn millis_of(time: UaTime) -> u64 {
    let since = time.0.saturating_sub(UaTime::from_unix(Duration::ZERO).0);
    u64::try_from(since / 10_000).unwrap_or(0)
}

/// The value of a metric; the text is the reason why there is none.
pub(super) fn value_of(datatype: u32, content: Content<'_>) -> Result<Value, String> {
    let misfit = || format!("has a content that does not fit its type {datatype}");
    let number = match content {
        Content::Int(number) => Some(u64::from(number)),
        Content::Long(number) => Some(number),
        _ => None,
    };
    let signed = |bits: u32| number.and_then(|number| signed(number, bits)).ok_or_else(misfit);
    let unsigned = |most: u64| number.filter(|number| *number <= most).ok_or_else(misfit);
    #[expect(clippy::cast_possible_truncation, reason = "the bits were checked")]
    Ok(match (datatype, content) {
        (kind::INT8, _) => Value::SByte(signed(8)? as i8),
        (kind::INT16, _) => Value::Int16(signed(16)? as i16),
        (kind::INT32, _) => Value::Int32(signed(32)? as i32),
        (kind::INT64, _) => Value::Int64(signed(64)?),
        (kind::UINT8, _) => Value::Byte(unsigned(u8::MAX.into())? as u8),
        (kind::UINT16, _) => Value::UInt16(unsigned(u16::MAX.into())? as u16),
        (kind::UINT32, _) => Value::UInt32(unsigned(u32::MAX.into())? as u32),
        (kind::UINT64, _) => Value::UInt64(unsigned(u64::MAX)?),
        (kind::FLOAT, Content::Float(number)) => Value::Float(number),
        (kind::FLOAT | kind::DOUBLE, Content::Double(number)) => Value::Double(number),
        (kind::DOUBLE, Content::Float(number)) => Value::Float(number),
        (kind::BOOLEAN, Content::Boolean(on)) => Value::Boolean(on),
        (kind::STRING | kind::TEXT | kind::UUID, Content::Text(text)) => Value::text(text),
        (kind::DATE_TIME, _) => Value::DateTime(time_of(unsigned(u64::MAX)?)),
        (kind::BYTES, Content::Bytes(bytes)) => Value::ByteString(bytes.into()),
        (kind::INT8_ARRAY..=kind::DATE_TIME_ARRAY, Content::Bytes(bytes)) => {
            Value::array(elements(datatype, bytes).ok_or_else(misfit)?)
        }
        (1..=17 | 22..=34, _) => return Err(misfit()),
        _ => return Err(format!("has the type {datatype}, which is not supported")),
    })
}

/// A small signed number: stacks send it in its own bits, in 32 or in 64 bits of two's complement.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "what is lost is compared")]
fn signed(number: u64, bits: u32) -> Option<i64> {
    let extended = if bits < 32 && number < 1 << bits {
        (number << (64 - bits)) as i64 >> (64 - bits)
    } else if bits <= 32 && number <= u32::MAX.into() {
        i64::from(number as u32 as i32)
    } else {
        number as i64
    };
    let lowest = i64::MIN >> (64 - bits);
    (lowest..=!lowest).contains(&extended).then_some(extended)
}

/// Packed elements, low byte first.
fn elements(datatype: u32, bytes: &[u8]) -> Option<Elements> {
    macro_rules! packed {
        ($kind:ident, $type:ty) => {{
            let all = bytes.chunks_exact(size_of::<$type>());
            if !all.remainder().is_empty() {
                return None;
            }
            Elements::$kind(all.map(|one| <$type>::from_le_bytes(one.try_into().expect("as many bytes"))).collect())
        }};
    }
    Some(match datatype {
        22 => packed!(SByte, i8),
        23 => packed!(Int16, i16),
        24 => packed!(Int32, i32),
        kind::INT64_ARRAY => packed!(Int64, i64),
        kind::UINT8_ARRAY => packed!(Byte, u8),
        27 => packed!(UInt16, u16),
        28 => packed!(UInt32, u32),
        kind::UINT64_ARRAY => packed!(UInt64, u64),
        kind::FLOAT_ARRAY => packed!(Float, f32),
        kind::DOUBLE_ARRAY => packed!(Double, f64),
        kind::BOOLEAN_ARRAY => {
            let (count, bits) = bytes.split_first_chunk::<4>()?;
            let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
            if count.div_ceil(8) != bits.len() {
                return None;
            }
            Elements::Boolean((0..count).map(|at| bits[at / 8] & 0x80 >> (at % 8) != 0).collect())
        }
        kind::STRING_ARRAY => {
            let body = bytes.strip_suffix(&[0]).or(bytes.is_empty().then_some(bytes))?;
            let texts = body.split(|byte| *byte == 0).filter(|_| !bytes.is_empty());
            let texts: Result<Vec<_>, _> = texts.map(|text| std::str::from_utf8(text).map(Into::into)).collect();
            Elements::String(texts.ok()?)
        }
        kind::DATE_TIME_ARRAY => {
            let all = bytes.chunks_exact(8);
            if !all.remainder().is_empty() {
                return None;
            }
            let time = |one: &[u8]| time_of(u64::from_le_bytes(one.try_into().expect("8 bytes")));
            Elements::DateTime(all.map(time).collect())
        }
        _ => return None,
    })
}

/// Whether a number of this value is NaN or infinite.
pub(super) fn is_no_number(value: &Value) -> bool {
    match value {
        Value::Array(array) => match &array.elements {
            Elements::Float(all) => all.iter().any(|number| !number.is_finite()),
            Elements::Double(all) => all.iter().any(|number| !number.is_finite()),
            _ => false,
        },
        Value::Float(number) => !number.is_finite(),
        Value::Double(number) => !number.is_finite(),
        _ => false,
    }
}

/// The content of a command; `bytes` holds that of an array. `None` for a value that the type does not have.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "two's complement is meant")]
pub(super) fn content_of<'v>(datatype: u32, value: &'v Value, bytes: &'v mut Vec<u8>) -> Option<Content<'v>> {
    let fitted = |kind: BuiltIn| match value.as_integer() {
        Some(number) => Value::from_integer(kind, number),
        None => Value::from_f64(kind, value.as_f64()?),
    };
    let whole = |kind| fitted(kind).and_then(|value| value.as_integer());
    Some(match datatype {
        kind::INT8 => Content::Int(whole(BuiltIn::SByte)? as u32),
        kind::INT16 => Content::Int(whole(BuiltIn::Int16)? as u32),
        kind::INT32 => Content::Int(whole(BuiltIn::Int32)? as u32),
        kind::INT64 => Content::Long(whole(BuiltIn::Int64)? as u64),
        kind::UINT8 => Content::Int(whole(BuiltIn::Byte)? as u32),
        kind::UINT16 => Content::Int(whole(BuiltIn::UInt16)? as u32),
        kind::UINT32 => Content::Int(whole(BuiltIn::UInt32)? as u32),
        kind::UINT64 => Content::Long(whole(BuiltIn::UInt64)? as u64),
        kind::FLOAT => match Value::from_f64(BuiltIn::Float, value.as_f64()?)? {
            Value::Float(number) if number.is_finite() => Content::Float(number),
            _ => return None,
        },
        kind::DOUBLE => Content::Double(value.as_f64().filter(|number| number.is_finite())?),
        kind::BOOLEAN => match fitted(BuiltIn::Boolean)? {
            Value::Boolean(on) => Content::Boolean(on),
            _ => return None,
        },
        kind::STRING | kind::TEXT | kind::UUID => match value {
            Value::String(text) => Content::Text(text),
            _ => return None,
        },
        kind::DATE_TIME => match value {
            Value::DateTime(time) => Content::Long(millis_of(*time)),
            _ => return None,
        },
        kind::BYTES => match value {
            Value::ByteString(bytes) => Content::Bytes(bytes),
            _ => return None,
        },
        _ => {
            let Value::Array(array) = value else { return None };
            *bytes = packed(datatype, &array.elements)?;
            Content::Bytes(bytes)
        }
    })
}

fn packed(datatype: u32, elements: &Elements) -> Option<Vec<u8>> {
    macro_rules! bytes {
        ($all:expr) => {
            $all.iter().flat_map(|one| one.to_le_bytes()).collect()
        };
    }
    Some(match (datatype, elements) {
        (22, Elements::SByte(all)) => bytes!(all),
        (23, Elements::Int16(all)) => bytes!(all),
        (24, Elements::Int32(all)) => bytes!(all),
        (kind::INT64_ARRAY, Elements::Int64(all)) => bytes!(all),
        (kind::UINT8_ARRAY, Elements::Byte(all)) => all.clone(),
        (27, Elements::UInt16(all)) => bytes!(all),
        (28, Elements::UInt32(all)) => bytes!(all),
        (kind::UINT64_ARRAY, Elements::UInt64(all)) => bytes!(all),
        (kind::FLOAT_ARRAY, Elements::Float(all)) => bytes!(all),
        (kind::DOUBLE_ARRAY, Elements::Double(all)) => bytes!(all),
        (kind::BOOLEAN_ARRAY, Elements::Boolean(all)) => {
            let mut out = u32::try_from(all.len()).ok()?.to_le_bytes().to_vec();
            let byte =
                |bits: &[bool]| (0u8..).zip(bits).fold(0, |byte, (at, on)| if *on { byte | 0x80 >> at } else { byte });
            out.extend(all.chunks(8).map(byte));
            out
        }
        (kind::STRING_ARRAY, Elements::String(all)) => {
            all.iter().flat_map(|text| [text.as_bytes(), &[0]].concat()).collect()
        }
        (kind::DATE_TIME_ARRAY, Elements::DateTime(all)) => {
            all.iter().flat_map(|time| millis_of(*time).to_le_bytes()).collect()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_signed_numbers_come_in_their_own_bits_in_32_and_in_64() {
        for (datatype, number, wanted) in [
            (1, 0xfe, Ok(Value::SByte(-2))),
            (1, 0xffff_fffe, Ok(Value::SByte(-2))),
            (1, 0xffff_ffff_ffff_fffe, Ok(Value::SByte(-2))),
            (1, 127, Ok(Value::SByte(127))),
            (1, 300, Err(())),
            (2, 0xfffe, Ok(Value::Int16(-2))),
            (2, 0xffff_8000, Ok(Value::Int16(-32_768))),
            (2, 0x1_0000, Err(())),
            (3, 0xffff_ffff, Ok(Value::Int32(-1))),
            (3, 0x1_0000_0000, Err(())),
            (4, u64::MAX, Ok(Value::Int64(-1))),
            (5, 256, Err(())),
            (8, u64::MAX, Ok(Value::UInt64(u64::MAX))),
        ] {
            assert_eq!(value_of(datatype, Content::Long(number)).map_err(drop), wanted, "{datatype} {number:x}");
        }
        assert_eq!(value_of(11, Content::Int(1)).map_err(drop), Err(()));
        assert_eq!(value_of(16, Content::Other).map_err(drop), Err(()));
    }

    #[test]
    fn values_survive_a_command() {
        let all = [
            (1, Value::SByte(-7)),
            (2, Value::Int16(-7)),
            (3, Value::Int32(-7)),
            (4, Value::Int64(i64::MIN)),
            (5, Value::Byte(255)),
            (7, Value::UInt32(u32::MAX)),
            (8, Value::UInt64(u64::MAX)),
            (9, Value::Float(0.1)),
            (10, Value::Double(-0.1)),
            (11, Value::Boolean(true)),
            (12, Value::text("ä")),
            (13, Value::DateTime(time_of(1_767_323_045_123))),
            (17, Value::ByteString([1, 2][..].into())),
            (22, Value::array(Elements::SByte(vec![-1, 2]))),
            (24, Value::array(Elements::Int32(vec![-1, 2]))),
            (25, Value::array(Elements::Int64(vec![-1, 2]))),
            (29, Value::array(Elements::UInt64(vec![1, 2]))),
            (30, Value::array(Elements::Float(vec![0.5, -2.0]))),
            (32, Value::array(Elements::Boolean(vec![true, false, true, true, false, false, false, true, true]))),
            (33, Value::array(Elements::String(vec!["a".into(), "".into(), "bc".into()]))),
            (34, Value::array(Elements::DateTime(vec![time_of(5), time_of(6)]))),
        ];
        for (datatype, value) in all {
            let mut bytes = Vec::new();
            let content = content_of(datatype, &value, &mut bytes).unwrap_or_else(|| panic!("{value:?}"));
            assert_eq!(value_of(datatype, content), Ok(value.clone()), "type {datatype}");
        }
        let mut bytes = Vec::new();
        assert_eq!(content_of(1, &Value::Int32(200), &mut bytes), None);
        assert_eq!(content_of(9, &Value::Double(1e300), &mut Vec::new()), None);
        assert_eq!(content_of(10, &Value::Double(f64::NAN), &mut Vec::new()), None);
    }
}
