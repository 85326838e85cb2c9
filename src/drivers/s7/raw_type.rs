//! Types of values in a PLC. Pure.

use crate::drivers::number::Number;

/// Type of a value in the PLC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawType {
    /// BOOL.
    Bool,
    /// SINT.
    Int8,
    /// USINT, BYTE.
    Uint8,
    /// INT.
    Int16,
    /// UINT, WORD.
    Uint16,
    /// DINT.
    Int32,
    /// UDINT, DWORD.
    Uint32,
    /// LINT.
    Int64,
    /// ULINT, LWORD.
    Uint64,
    /// REAL.
    Float32,
    /// LREAL.
    Float64,
    /// Four decimal digits.
    Bcd16,
    /// Eight decimal digits.
    Bcd32,
    Bytes,
    /// Array of CHAR.
    Text,
    /// STRING, with its two header bytes.
    String,
    /// WSTRING, with its two header words.
    Wstring,
    /// DATE, days since 1990.
    Date,
    /// TIME, in ms.
    Time,
    /// TIME_OF_DAY, in ms.
    Tod,
    /// DATE_AND_TIME.
    Dt,
    Dtl,
    /// LDT, in ns since 1970.
    Ldt,
    /// S5TIME, in ms.
    S5time,
}

impl RawType {
    pub(crate) const ALL: [(&'static str, RawType); 24] = [
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
        ("bytes", RawType::Bytes),
        ("text", RawType::Text),
        ("string", RawType::String),
        ("wstring", RawType::Wstring),
        ("date", RawType::Date),
        ("time", RawType::Time),
        ("tod", RawType::Tod),
        ("dt", RawType::Dt),
        ("dtl", RawType::Dtl),
        ("ldt", RawType::Ldt),
        ("s5time", RawType::S5time),
    ];

    pub(crate) fn name(self) -> &'static str {
        RawType::ALL.iter().find(|(_, raw)| *raw == self).map_or("", |(name, _)| name)
    }

    /// The number that its bytes are, the high one first; `None` for the others.
    pub(crate) fn number(self) -> Option<Number> {
        Some(match self {
            RawType::Int8 => Number::Int8,
            RawType::Uint8 => Number::Uint8,
            RawType::Int16 => Number::Int16,
            RawType::Uint16 => Number::Uint16,
            RawType::Int32 | RawType::Time => Number::Int32,
            RawType::Uint32 | RawType::Tod => Number::Uint32,
            RawType::Int64 => Number::Int64,
            RawType::Uint64 => Number::Uint64,
            RawType::Float32 => Number::Float32,
            RawType::Float64 => Number::Float64,
            RawType::Bcd16 => Number::Bcd16,
            RawType::Bcd32 => Number::Bcd32,
            _ => return None,
        })
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, RawType::Float32 | RawType::Float64)
    }

    pub(crate) fn is_text(self) -> bool {
        matches!(self, RawType::Text | RawType::String | RawType::Wstring)
    }

    /// A point in time.
    pub(crate) fn is_date(self) -> bool {
        matches!(self, RawType::Date | RawType::Dt | RawType::Dtl | RawType::Ldt)
    }

    /// Bytes of one element where the type says so; `None` for texts, bytes and bits.
    pub(crate) fn size(self) -> Option<u32> {
        Some(match self {
            RawType::Date | RawType::S5time => 2,
            RawType::Dt | RawType::Ldt => 8,
            RawType::Dtl => 12,
            raw => raw.number()?.bits() / 8,
        })
    }

    /// The type's name in the PLC's program.
    pub(crate) fn iec(self) -> &'static str {
        match self {
            RawType::Bool => "BOOL",
            RawType::Int8 => "SINT",
            RawType::Uint8 => "BYTE",
            RawType::Int16 => "INT",
            RawType::Uint16 => "WORD",
            RawType::Int32 => "DINT",
            RawType::Uint32 => "DWORD",
            RawType::Int64 => "LINT",
            RawType::Uint64 => "LWORD",
            RawType::Float32 => "REAL",
            RawType::Float64 => "LREAL",
            RawType::Bcd16 => "BCD16",
            RawType::Bcd32 => "BCD32",
            RawType::Bytes => "BYTE",
            RawType::Text => "CHAR",
            RawType::String => "STRING",
            RawType::Wstring => "WSTRING",
            RawType::Date => "DATE",
            RawType::Time => "TIME",
            RawType::Tod => "TIME_OF_DAY",
            RawType::Dt => "DATE_AND_TIME",
            RawType::Dtl => "DTL",
            RawType::Ldt => "LDT",
            RawType::S5time => "S5TIME",
        }
    }
}
