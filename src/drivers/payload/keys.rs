//! The keys of a point that say how its value lies in a message.

/// Form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PayloadKind {
    Json,
    /// The whole message is the value.
    Text,
    /// Bytes, read with `raw_type`.
    Raw,
    /// Lines of columns; the last line counts.
    Csv,
}

/// Type of a value in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawType {
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
    /// Characters up to `length`, a zero byte or the end.
    Text,
    /// Bytes up to `length` or the end.
    Bytes,
}

impl RawType {
    /// Bytes of one value; `None` for texts and bytes.
    pub(super) fn size(self) -> Option<usize> {
        Some(match self {
            RawType::Int8 | RawType::Uint8 => 1,
            RawType::Int16 | RawType::Uint16 => 2,
            RawType::Int32 | RawType::Uint32 | RawType::Float32 => 4,
            RawType::Int64 | RawType::Uint64 | RawType::Float64 => 8,
            RawType::Text | RawType::Bytes => return None,
        })
    }

    pub(super) fn is_float(self) -> bool {
        matches!(self, RawType::Float32 | RawType::Float64)
    }
}

/// Order of the bytes of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ByteOrder {
    #[default]
    HighFirst,
    LowFirst,
}

/// Notation of bytes as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    Hex,
    Base64,
}

/// Place and form of a value in messages, as the keys next to an address give them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Keys {
    pub json: Option<String>,
    pub time: Option<String>,
    pub quality: Option<String>,
    pub payload: Option<PayloadKind>,
    pub raw_type: Option<RawType>,
    pub byte: Option<u16>,
    pub byte_order: Option<ByteOrder>,
    pub column: Option<u16>,
    pub encoding: Option<Encoding>,
    pub nan: bool,
    /// Template of a write; `{value}` by default.
    pub body: Option<String>,
}
