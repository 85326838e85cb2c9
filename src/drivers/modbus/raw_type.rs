//! Types of values in registers, and the bits of their numbers. Pure.

use opcua::StatusCode;

/// Type of a value in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawType {
    Bool,
    /// The low byte of a register; the high one with `swap_bytes`.
    Int8,
    /// The low byte of a register; the high one with `swap_bytes`.
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
    Text,
    Bytes,
}

impl RawType {
    pub const ALL: [(&'static str, RawType); 15] = [
        ("bool", RawType::Bool),
        ("int8", RawType::Int8),
        ("uint8", RawType::Uint8),
        ("int16", RawType::Int16),
        ("uint16", RawType::Uint16),
        ("int32", RawType::Int32),
        ("uint32", RawType::Uint32),
        ("int64", RawType::Int64),
        ("uint64", RawType::Uint64),
        ("float32", RawType::Float32),
        ("float64", RawType::Float64),
        ("bcd16", RawType::Bcd16),
        ("bcd32", RawType::Bcd32),
        ("text", RawType::Text),
        ("bytes", RawType::Bytes),
    ];

    pub fn name(self) -> &'static str {
        RawType::ALL.iter().find(|(_, raw)| *raw == self).map_or("", |(name, _)| name)
    }

    /// Bits of one element; 0 for texts and bytes, whose length is a key of the tag.
    pub fn bits(self) -> u32 {
        match self {
            RawType::Bool => 1,
            RawType::Int8 | RawType::Uint8 => 8,
            RawType::Int16 | RawType::Uint16 | RawType::Bcd16 => 16,
            RawType::Int32 | RawType::Uint32 | RawType::Float32 | RawType::Bcd32 => 32,
            RawType::Int64 | RawType::Uint64 | RawType::Float64 => 64,
            RawType::Text | RawType::Bytes => 0,
        }
    }
}

/// The float that these bits are, if the raw type is one.
#[expect(clippy::cast_possible_truncation, reason = "a float32 has the low bits")]
pub(crate) fn float(raw: RawType, bits: u64) -> Option<f64> {
    match raw {
        RawType::Float32 => Some(f64::from(f32::from_bits(bits as u32))),
        RawType::Float64 => Some(f64::from_bits(bits)),
        _ => None,
    }
}

/// The bits of a whole number in an integer raw type, unless it doesn't fit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the bits that are wanted")]
pub(crate) fn integer_bits(raw: RawType, number: i128) -> Option<u64> {
    let (low, high): (i128, i128) = match raw {
        RawType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        RawType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        RawType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        RawType::Int64 => (i64::MIN.into(), i64::MAX.into()),
        RawType::Bcd16 => (0, 9_999),
        RawType::Bcd32 => (0, 99_999_999),
        raw => (0, (1 << raw.bits()) - 1),
    };
    if !(low..=high).contains(&number) {
        return None;
    }
    Some(match raw {
        RawType::Bcd16 | RawType::Bcd32 => to_bcd(number),
        raw => number as u64 & u64::MAX >> (64 - raw.bits()),
    })
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
