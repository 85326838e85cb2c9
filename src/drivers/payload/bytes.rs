//! Values in raw bytes.

use opcua::StatusCode;

use super::fault::Fault;
use super::keys::{ByteOrder, RawType};
use super::value::Want;
use crate::value::{BuiltIn, Value};

/// A value's place and type in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Raw {
    pub raw: RawType,
    /// First byte.
    pub byte: usize,
    pub order: ByteOrder,
    /// NaN and the infinities are values.
    pub nan: bool,
}

impl Raw {
    pub(super) fn read(&self, want: &Want, bytes: &[u8]) -> Result<Value, Fault> {
        let Some(size) = self.raw.size() else { return self.rest(want, bytes) };
        let count = want.elements.unwrap_or(1);
        let end = size.checked_mul(count).and_then(|size| size.checked_add(self.byte));
        let Some(place) = end.and_then(|end| bytes.get(self.byte..end)) else {
            let last = self.byte + size * count - 1;
            return Err(Fault::unreadable(format!(
                "has {} bytes, the value is in {} to {last}",
                bytes.len(),
                self.byte
            )));
        };
        let one = |bytes: &[u8]| self.number(bytes).and_then(|number| want.of_number(number));
        if want.elements.is_none() {
            let value = one(place)?;
            return match (want.kind, &value) {
                (BuiltIn::Boolean, number) if !want.has_scale => boolean(number),
                _ => Ok(value),
            };
        }
        let values: Result<Vec<Value>, Fault> = place.chunks_exact(size).map(one).collect();
        if want.kind == BuiltIn::Boolean && !want.has_scale {
            return want.array(values?.iter().map(boolean).collect::<Result<_, _>>()?);
        }
        want.array(values?)
    }

    /// A text, or bytes, up to the end.
    fn rest(&self, want: &Want, bytes: &[u8]) -> Result<Value, Fault> {
        let short = || Fault::unreadable(format!("has {} bytes, the value begins at {}", bytes.len(), self.byte));
        let rest = bytes.get(self.byte..).ok_or_else(short)?;
        let rest = &rest[..want.length.map_or(rest.len(), |length| length.min(rest.len()))];
        if self.raw == RawType::Bytes {
            return want.bytes(rest);
        }
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        match std::str::from_utf8(&rest[..end]) {
            Ok(text) => want.of_text(text),
            Err(_) => Err(Fault::unreadable(format!("is no text: `{}`", rest[..end].escape_ascii()))),
        }
    }

    fn number(&self, bytes: &[u8]) -> Result<Value, Fault> {
        let mut high_first = [0; 8];
        let place = &mut high_first[8 - bytes.len()..];
        place.copy_from_slice(bytes);
        if self.order == ByteOrder::LowFirst {
            place.reverse();
        }
        let bits = u64::from_be_bytes(high_first);
        let float = |number: f64, value: Value| match number.is_finite() || self.nan {
            true => Ok(value),
            false => Err(Fault::absent(StatusCode::BadSensorFailure, format!("is {number}"))),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "the low bits are the number")]
        Ok(match self.raw {
            RawType::Int8 => Value::SByte(bits as i8),
            RawType::Uint8 => Value::Byte(bits as u8),
            RawType::Int16 => Value::Int16(bits as i16),
            RawType::Uint16 => Value::UInt16(bits as u16),
            RawType::Int32 => Value::Int32(bits as i32),
            RawType::Uint32 => Value::UInt32(bits as u32),
            RawType::Int64 => Value::Int64(bits as i64),
            RawType::Uint64 => Value::UInt64(bits),
            RawType::Float32 => {
                let number = f32::from_bits(bits as u32);
                return float(number.into(), Value::Float(number));
            }
            RawType::Float64 => {
                let number = f64::from_bits(bits);
                return float(number, Value::Double(number));
            }
            RawType::Text | RawType::Bytes => unreachable!("these have no size"),
        })
    }

    /// The bytes of a number, or of the elements of an array; `None` where one does not fit.
    pub(super) fn write(&self, value: &Value) -> Option<Vec<u8>> {
        match value {
            Value::Array(array) => {
                let elements = (0..array.elements.len()).filter_map(|at| array.elements.get(at));
                elements.map(|element| self.write(&element)).collect::<Option<Vec<_>>>().map(|all| all.concat())
            }
            Value::String(text) if self.raw == RawType::Text => Some(text.as_bytes().to_vec()),
            Value::ByteString(bytes) if self.raw == RawType::Bytes => Some(bytes.to_vec()),
            number => self.write_number(number),
        }
    }

    fn write_number(&self, value: &Value) -> Option<Vec<u8>> {
        let mut bytes = match self.raw {
            RawType::Float32 => {
                let Value::Float(number) = Value::from_f64(BuiltIn::Float, value.as_f64()?)? else { return None };
                let was_finite = value.as_f64()?.is_finite();
                if !(number.is_finite() || self.nan && !was_finite) {
                    return None;
                }
                number.to_be_bytes().to_vec()
            }
            RawType::Float64 => {
                let number = value.as_f64()?;
                if !(number.is_finite() || self.nan) {
                    return None;
                }
                number.to_be_bytes().to_vec()
            }
            RawType::Text | RawType::Bytes => return None,
            _ => self.whole(value)?,
        };
        if self.order == ByteOrder::LowFirst {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn whole(&self, value: &Value) -> Option<Vec<u8>> {
        let kind = match self.raw {
            RawType::Int8 => BuiltIn::SByte,
            RawType::Uint8 => BuiltIn::Byte,
            RawType::Int16 => BuiltIn::Int16,
            RawType::Uint16 => BuiltIn::UInt16,
            RawType::Int32 => BuiltIn::Int32,
            RawType::Uint32 => BuiltIn::UInt32,
            RawType::Int64 => BuiltIn::Int64,
            _ => BuiltIn::UInt64,
        };
        let fitting = match value.as_integer() {
            Some(number) => Value::from_integer(kind, number)?,
            None => Value::from_f64(kind, value.as_f64()?)?,
        };
        let all = fitting.as_integer()?.to_be_bytes();
        Some(all[all.len() - self.raw.size()?..].to_vec())
    }
}

/// 0 and 1 as a Boolean.
fn boolean(number: &Value) -> Result<Value, Fault> {
    match number.as_f64() {
        Some(0.0) => Ok(Value::Boolean(false)),
        Some(1.0) => Ok(Value::Boolean(true)),
        _ => Err(Fault::unreadable(format!("is neither 0 nor 1: {}", number.shown()))),
    }
}
