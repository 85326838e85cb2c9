//! Values of keys that name one of a few choices, as `word_order`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

/// Encoding of a text in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Charset {
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "latin-1")]
    Latin1,
    /// One code unit a register, the high byte first.
    #[serde(rename = "utf-16")]
    Utf16,
}

/// Functions for writes of one coil or register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteFunction {
    #[default]
    Auto,
    /// FC 5 and 6.
    Single,
    /// FC 15 and 16.
    Multiple,
}

/// Whether FC 22 is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MaskWrite {
    #[default]
    Auto,
    Never,
}

/// Frames over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TcpFraming {
    #[default]
    Tcp,
    Rtu,
    Ascii,
}

/// Frames on a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SerialFraming {
    #[default]
    Rtu,
    Ascii,
}

/// Parity of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Parity {
    None,
    #[default]
    Even,
    Odd,
}

/// Whether a line sends back each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EchoSetting {
    #[default]
    Auto,
    Present,
    Absent,
}

impl<'de> Deserialize<'de> for EchoSetting {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<EchoSetting, D::Error> {
        from.deserialize_any(EchoVisitor)
    }
}

struct EchoVisitor;

impl Visitor<'_> for EchoVisitor {
    type Value = EchoSetting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("auto, true or false")
    }

    fn visit_bool<E>(self, echo: bool) -> Result<EchoSetting, E> {
        Ok(if echo { EchoSetting::Present } else { EchoSetting::Absent })
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EchoSetting, E> {
        match text {
            "auto" => Ok(EchoSetting::Auto),
            "true" => Ok(EchoSetting::Present),
            "false" => Ok(EchoSetting::Absent),
            _ => Err(E::custom(format!("`{text}` is not known here | write auto, true or false"))),
        }
    }
}

impl schemars::JsonSchema for EchoSetting {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "echo".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": ["auto", true, false], "default": "auto" })
    }
}

/// Order of 16-bit words in longer values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WordOrder {
    #[default]
    HighFirst,
    LowFirst,
}
