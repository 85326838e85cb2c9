//! Numbers as devices hold them: 8 to 64 bits, floats and decimal digits. Pure.
//!
//! A driver puts the bytes together in its own order; from there on all of them take a number apart in one way.

use opcua::StatusCode;

use crate::value::Value;

/// Type of a number in a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Int8,
    Uint8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Uint64,
    Float32,
    Float64,
    /// Four decimal digits.
    Bcd16,
    /// Eight decimal digits.
    Bcd32,
}

const OUT: StatusCode = StatusCode::BadOutOfRange;

/// Up to here a float32 has all whole numbers.
const WHOLE_FLOAT32: f64 = 16_777_216.0;

impl Number {
    pub(crate) fn bits(self) -> u32 {
        match self {
            Number::Int8 | Number::Uint8 => 8,
            Number::Int16 | Number::Uint16 | Number::Bcd16 => 16,
            Number::Int32 | Number::Uint32 | Number::Float32 | Number::Bcd32 => 32,
            Number::Int64 | Number::Uint64 | Number::Float64 => 64,
        }
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Number::Float32 | Number::Float64)
    }

    /// Bits that a whole number of this type needs, without its sign; 0 for floats.
    pub(crate) fn integer_bits(self) -> u32 {
        match self {
            Number::Float32 | Number::Float64 => 0,
            Number::Bcd16 => 14,
            Number::Bcd32 => 27,
            Number::Int8 | Number::Int16 | Number::Int32 | Number::Int64 => self.bits() - 1,
            Number::Uint8 | Number::Uint16 | Number::Uint32 | Number::Uint64 => self.bits(),
        }
    }

    /// The float that these bits are, if the type is one.
    #[expect(clippy::cast_possible_truncation, reason = "a float32 has the low bits")]
    pub(crate) fn float(self, bits: u64) -> Option<f64> {
        match self {
            Number::Float32 => Some(f64::from(f32::from_bits(bits as u32))),
            Number::Float64 => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// The value of these bits. A digit above 9 is BadDataEncodingInvalid.
    #[expect(clippy::cast_possible_truncation, reason = "each type takes its own low bits")]
    pub(crate) fn value(self, bits: u64) -> Result<Value, StatusCode> {
        Ok(match self {
            Number::Int8 => Value::SByte((bits as u8).cast_signed()),
            Number::Uint8 => Value::Byte(bits as u8),
            Number::Int16 => Value::Int16((bits as u16).cast_signed()),
            Number::Uint16 => Value::UInt16(bits as u16),
            Number::Int32 => Value::Int32((bits as u32).cast_signed()),
            Number::Uint32 => Value::UInt32(bits as u32),
            Number::Int64 => Value::Int64(bits.cast_signed()),
            Number::Uint64 => Value::UInt64(bits),
            Number::Float32 => Value::Float(f32::from_bits(bits as u32)),
            Number::Float64 => Value::Double(f64::from_bits(bits)),
            Number::Bcd16 => Value::UInt16(from_bcd(bits)? as u16),
            Number::Bcd32 => Value::UInt32(from_bcd(bits)? as u32),
        })
    }

    /// The bits of a value that is written. An integer type takes the nearest whole number, a float the nearest float; NaN
    /// and infinity need `nan`. A number that would be read back as another one is BadOutOfRange.
    #[expect(clippy::cast_possible_truncation, reason = "a float32 holds the nearest float")]
    pub(crate) fn bits_of(self, value: &Value, takes: Takes) -> Result<u64, StatusCode> {
        if !self.is_float() {
            return self.bits_of_integer(whole(value)?).ok_or(OUT);
        }
        let number = value.as_f64().filter(|number| takes.nan || number.is_finite()).ok_or(OUT)?;
        // An integer that a float lacks would be read back as another one.
        if value.as_integer().is_some_and(|integer| number as i128 != integer) {
            return Err(OUT);
        }
        if self == Number::Float64 {
            return Ok(number.to_bits());
        }
        let short = number as f32;
        let is_lost = takes.is_integer && number.abs() > WHOLE_FLOAT32 && f64::from(short) != number;
        if short.is_finite() == number.is_finite() && !is_lost { Ok(u64::from(short.to_bits())) } else { Err(OUT) }
    }

    /// The bits of a whole number in an integer type, unless it doesn't fit.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the bits that are wanted")]
    pub(crate) fn bits_of_integer(self, number: i128) -> Option<u64> {
        let (low, high): (i128, i128) = match self {
            Number::Int8 => (i8::MIN.into(), i8::MAX.into()),
            Number::Int16 => (i16::MIN.into(), i16::MAX.into()),
            Number::Int32 => (i32::MIN.into(), i32::MAX.into()),
            Number::Int64 => (i64::MIN.into(), i64::MAX.into()),
            Number::Bcd16 => (0, 9_999),
            Number::Bcd32 => (0, 99_999_999),
            number => (0, (1 << number.bits()) - 1),
        };
        if !(low..=high).contains(&number) {
            return None;
        }
        Some(match self {
            Number::Bcd16 | Number::Bcd32 => to_bcd(number),
            of => number as u64 & u64::MAX >> (64 - of.bits()),
        })
    }
}

/// Rules for a number that is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Takes {
    /// NaN and infinity are values.
    pub nan: bool,
    /// The tag is of whole numbers, whatever the device holds.
    pub is_integer: bool,
}

/// The nearest whole number, half away from zero.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and no type is so wide")]
pub(crate) fn whole(value: &Value) -> Result<i128, StatusCode> {
    match (value.as_integer(), value.as_f64()) {
        (Some(number), _) => Ok(number),
        (None, Some(number)) if number.is_finite() => Ok(number.round() as i128),
        _ => Err(OUT),
    }
}

/// The number that these decimal digits make, four bits a digit.
pub(crate) fn from_bcd(raw: u64) -> Result<u64, StatusCode> {
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
