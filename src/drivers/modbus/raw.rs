//! Registers to raw values and back. Pure.
//!
//! Text ends at the first NUL and loses trailing spaces; it is UTF-8 where that is valid, else Latin-1.

use opcua::StatusCode;

use super::point::{Invalid, Register};
use super::settings::RawType;
use crate::value::{Elements, Value};

/// A change of a device; one request each.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Bits {
        start: u16,
        bits: Vec<bool>,
    },
    Words {
        start: u16,
        words: Vec<u16>,
    },
    /// Only the bits outside `and` change, to those of `or`.
    Mask {
        at: u16,
        and: u16,
        or: u16,
    },
}

impl Register {
    /// The value in the reply's data, whose first register or bit has the address `base`.
    pub fn decode(&self, data: &[u8], base: u16) -> Result<Value, StatusCode> {
        if !self.is_array {
            return self.element(data, base, 0);
        }
        let mut values = Vec::with_capacity(self.elements);
        for at in 0..self.elements {
            values.push(self.element(data, base, at)?);
        }
        let kind = values.first().and_then(Value::built_in).ok_or(StatusCode::BadDecodingError)?;
        Elements::collect(kind, values.into_iter()).map(Value::array).ok_or(StatusCode::BadDecodingError)
    }

    fn element(&self, data: &[u8], base: u16, at: usize) -> Result<Value, StatusCode> {
        let first = usize::from(self.address.start - base) + at * usize::from(self.width);
        let width = usize::from(self.width);
        if self.address.area.is_bits() {
            let bits = (0..width).rev().try_fold(0_u64, |number, bit| {
                let byte = data.get((first + bit) / 8).ok_or(StatusCode::BadDecodingError)?;
                Ok::<u64, StatusCode>(number << 1 | u64::from(byte >> ((first + bit) % 8) & 1))
            })?;
            return self.number(bits);
        }
        let data = data.get(first * 2..(first + width) * 2).ok_or(StatusCode::BadDecodingError)?;
        match self.raw {
            RawType::Text => Ok(Value::text(&self.text(data))),
            RawType::Bytes => Ok(Value::ByteString(self.bytes(data).into())),
            _ => self.number(self.assemble(data)),
        }
    }

    /// The words of one number, byte and word order undone.
    fn assemble(&self, data: &[u8]) -> u64 {
        let word = |pair: &[u8]| match self.swap_bytes {
            false => u64::from(u16::from_be_bytes([pair[0], pair[1]])),
            true => u64::from(u16::from_le_bytes([pair[0], pair[1]])),
        };
        let words = data.chunks_exact(2).map(word);
        match self.low_word_first {
            false => words.fold(0, |number, word| number << 16 | word),
            true => words.rev().fold(0, |number, word| number << 16 | word),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "each raw type takes its own low bits")]
    fn number(&self, raw: u64) -> Result<Value, StatusCode> {
        if self.is_invalid(raw) {
            return Err(StatusCode::BadSensorFailure);
        }
        if let Some(bit) = self.address.bit {
            return Ok(Value::Boolean(raw >> bit & 1 == 1));
        }
        Ok(match self.raw {
            RawType::Bool => Value::Boolean(raw & 1 == 1),
            RawType::Int8 => Value::SByte((raw as u8).cast_signed()),
            RawType::Uint8 => Value::Byte(raw as u8),
            RawType::Int16 => Value::Int16((raw as u16).cast_signed()),
            RawType::Uint16 => Value::UInt16(raw as u16),
            RawType::Int32 => Value::Int32((raw as u32).cast_signed()),
            RawType::Uint32 => Value::UInt32(raw as u32),
            RawType::Int64 => Value::Int64(raw.cast_signed()),
            RawType::Uint64 => Value::UInt64(raw),
            RawType::Float32 => Value::Float(f32::from_bits(raw as u32)),
            RawType::Float64 => Value::Double(f64::from_bits(raw)),
            RawType::Bcd16 => Value::UInt16(from_bcd(raw)? as u16),
            RawType::Bcd32 => Value::UInt32(from_bcd(raw)? as u32),
            RawType::Text | RawType::Bytes => return Err(StatusCode::BadDecodingError),
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "each raw type takes its own low bits")]
    fn is_invalid(&self, raw: u64) -> bool {
        let float = match self.raw {
            RawType::Float32 => f64::from(f32::from_bits(raw as u32)),
            RawType::Float64 => f64::from_bits(raw),
            _ => 0.0,
        };
        let integer = match self.raw {
            RawType::Int8 => i128::from((raw as u8).cast_signed()),
            RawType::Uint8 => i128::from(raw as u8),
            RawType::Int16 => i128::from((raw as u16).cast_signed()),
            RawType::Int32 => i128::from((raw as u32).cast_signed()),
            RawType::Int64 => i128::from(raw.cast_signed()),
            _ => i128::from(raw),
        };
        self.invalid.iter().any(|invalid| match invalid {
            Invalid::Integer(number) => *number == integer,
            Invalid::Float(number) => *number == float || number.is_nan() && float.is_nan(),
        })
    }

    fn bytes(&self, data: &[u8]) -> Vec<u8> {
        let mut bytes = data.to_vec();
        if self.swap_bytes {
            bytes.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        }
        bytes.truncate(self.length);
        bytes
    }

    fn text(&self, data: &[u8]) -> String {
        let bytes = self.bytes(data);
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or(&[]);
        let text = match std::str::from_utf8(text) {
            Ok(text) => text.to_owned(),
            Err(_) => text.iter().copied().map(char::from).collect(),
        };
        text.trim_end_matches(' ').to_owned()
    }

    /// The changes that write `value`, from element `first` on. A number that does not fit is BadOutOfRange.
    pub fn encode(&self, value: &Value, first: u32) -> Result<Vec<Change>, StatusCode> {
        let start = usize::from(self.address.start) + first as usize * usize::from(self.width);
        let start = u16::try_from(start).map_err(|_| StatusCode::BadIndexRangeNoData)?;
        let elements = match value {
            Value::Array(array) => (0..array.elements.len()).filter_map(|at| array.elements.get(at)).collect(),
            value => vec![value.clone()],
        };
        if first as usize + elements.len() > self.elements {
            return Err(StatusCode::BadIndexRangeNoData);
        }
        if self.address.area.is_bits() {
            let mut bits = Vec::new();
            for element in &elements {
                let raw = self.raw_bits(element)?;
                bits.extend((0..self.width).map(|bit| raw >> bit & 1 == 1));
            }
            return Ok(vec![Change::Bits { start, bits }]);
        }
        if let Some(bit) = self.address.bit {
            return Ok(vec![self.bit_change(bit, elements.first().unwrap_or(&Value::Null))?]);
        }
        if self.raw.bits() == 8 {
            return (start..).zip(&elements).map(|(at, element)| self.byte_change(at, element)).collect();
        }
        let mut words = Vec::new();
        for element in &elements {
            self.put_words(element, &mut words)?;
        }
        Ok(vec![Change::Words { start, words }])
    }

    fn put_words(&self, element: &Value, words: &mut Vec<u16>) -> Result<(), StatusCode> {
        let bytes: &[u8] = match element {
            Value::String(text) => text.as_bytes(),
            Value::ByteString(bytes) => bytes,
            number => {
                let raw = self.raw_bits(number)?;
                let shifts = (0..self.width).map(|at| if self.low_word_first { at } else { self.width - 1 - at });
                words.extend(shifts.map(|at| self.swapped(low_word(raw >> (16 * at)))));
                return Ok(());
            }
        };
        if bytes.len() > self.length {
            return Err(StatusCode::BadOutOfRange);
        }
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let word = |at: usize| self.swapped(u16::from_be_bytes([byte(at * 2), byte(at * 2 + 1)]));
        words.extend((0..usize::from(self.width)).map(word));
        Ok(())
    }

    fn swapped(&self, word: u16) -> u16 {
        if self.swap_bytes { word.swap_bytes() } else { word }
    }

    fn bit_change(&self, bit: u8, value: &Value) -> Result<Change, StatusCode> {
        let on = match value.as_f64() {
            Some(0.0) => false,
            Some(1.0) => true,
            _ => return Err(StatusCode::BadOutOfRange),
        };
        let word = u16::from(bit / 16);
        let at = self.address.start + if self.low_word_first { word } else { self.width - 1 - word };
        let mask = self.swapped(1 << (bit % 16));
        Ok(Change::Mask { at, and: !mask, or: if on { mask } else { 0 } })
    }

    fn byte_change(&self, at: u16, value: &Value) -> Result<Change, StatusCode> {
        let raw = low_word(self.raw_bits(value)?) & 0xff;
        Ok(Change::Mask { at, and: !self.swapped(0xff), or: self.swapped(raw) })
    }

    /// The number as the raw type has it, in the low bits.
    #[expect(clippy::cast_possible_truncation, reason = "a float32 register holds the nearest float")]
    fn raw_bits(&self, value: &Value) -> Result<u64, StatusCode> {
        match self.raw {
            RawType::Float32 => return value.as_f64().map(|v| u64::from((v as f32).to_bits())).ok_or(OUT),
            RawType::Float64 => return value.as_f64().map(f64::to_bits).ok_or(OUT),
            _ => {}
        }
        let number = match (value.as_integer(), value.as_f64()) {
            (Some(number), _) => number,
            (None, Some(number)) if number.is_finite() => number.round() as i128,
            _ => return Err(OUT),
        };
        let (low, high): (i128, i128) = match self.raw {
            RawType::Int8 => (i8::MIN.into(), i8::MAX.into()),
            RawType::Int16 => (i16::MIN.into(), i16::MAX.into()),
            RawType::Int32 => (i32::MIN.into(), i32::MAX.into()),
            RawType::Int64 => (i64::MIN.into(), i64::MAX.into()),
            RawType::Bcd16 => (0, 9_999),
            RawType::Bcd32 => (0, 99_999_999),
            raw => (0, (1 << raw.bits()) - 1),
        };
        if !(low..=high).contains(&number) {
            return Err(OUT);
        }
        match self.raw {
            RawType::Bcd16 | RawType::Bcd32 => Ok(to_bcd(number)),
            _ => Ok((number & i128::from(u64::MAX)) as u64),
        }
    }
}

const OUT: StatusCode = StatusCode::BadOutOfRange;

fn low_word(number: u64) -> u16 {
    u16::try_from(number & 0xffff).expect("16 bits")
}

fn from_bcd(raw: u64) -> Result<u64, StatusCode> {
    (0..16).rev().try_fold(0, |number, nibble| match raw >> (nibble * 4) & 15 {
        digit @ 0..=9 => Ok(number * 10 + digit),
        _ => Err(StatusCode::BadDataEncodingInvalid),
    })
}

fn to_bcd(mut number: i128) -> u64 {
    let mut raw = 0;
    for nibble in 0..8 {
        raw |= u64::try_from(number % 10).expect("a digit") << (nibble * 4);
        number /= 10;
    }
    raw
}
