//! Types of values in registers. Pure.

use crate::drivers::number::Number;

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

    /// The number that it is; `None` for a bool, a text and bytes.
    pub(crate) fn number(self) -> Option<Number> {
        Some(match self {
            RawType::Int8 => Number::Int8,
            RawType::Uint8 => Number::Uint8,
            RawType::Int16 => Number::Int16,
            RawType::Uint16 => Number::Uint16,
            RawType::Int32 => Number::Int32,
            RawType::Uint32 => Number::Uint32,
            RawType::Int64 => Number::Int64,
            RawType::Uint64 => Number::Uint64,
            RawType::Float32 => Number::Float32,
            RawType::Float64 => Number::Float64,
            RawType::Bcd16 => Number::Bcd16,
            RawType::Bcd32 => Number::Bcd32,
            RawType::Bool | RawType::Text | RawType::Bytes => return None,
        })
    }

    /// Bits of one element; 0 for texts and bytes, whose length is a key of the tag.
    pub fn bits(self) -> u32 {
        match self {
            RawType::Bool => 1,
            raw => raw.number().map_or(0, Number::bits),
        }
    }
}
