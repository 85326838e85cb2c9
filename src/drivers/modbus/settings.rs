//! The keys of a Modbus connection and of a register; their doc comments are the user's reference.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

use crate::model::Period;

/// Modbus TCP, and RTU or ASCII frames over TCP as serial servers send them.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct TcpSettings {
    /// Host name or IP address.
    #[schemars(extend("x-also" = ["ip", "address", "hostname", "server"]))]
    pub host: String,
    /// TCP port.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535), extend("x-unit" = "TCP port"))]
    pub port: u16,
    /// Frames on the connection: rtu and ascii for serial servers.
    #[serde(default)]
    #[schemars(extend("x-also" = ["mode", "transmission_mode"]))]
    pub framing: TcpFraming,
    /// Unit id of the device.
    #[serde(default = "default_unit")]
    #[schemars(range(min = 0, max = 255), extend("x-also" = ["slave", "slave_id", "unit", "device_id", "station"]))]
    pub unit_id: u8,
    /// Order of 16-bit words in 32- and 64-bit values.
    #[serde(default)]
    #[schemars(extend("x-also" = ["byte_order", "endianness", "swap_words"]))]
    pub word_order: WordOrder,
    /// Bytes inside each word are swapped, for every point of the connection.
    #[serde(default)]
    #[schemars(extend("x-also" = ["swap", "byte_swap"]))]
    pub swap_bytes: bool,
    /// Largest hole of unused registers read along in one request.
    #[serde(default = "default_gap_tcp")]
    #[schemars(range(min = 0, max = 123), extend("x-unit" = "registers", "x-also" = ["gap", "max_hole"]))]
    pub max_gap: u16,
    /// Longest read; the driver also halves by itself on exception 3 and remembers.
    #[serde(default = "default_max_registers")]
    #[schemars(range(min = 1, max = 125), extend("x-unit" = "registers", "x-also" = ["block_size", "max_regs"]))]
    pub max_registers: u16,
    /// Whether the line sends back each request, as some RS-485 adaptors do. `auto` learns it from the first read;
    /// `true` or `false` where the device answers no read.
    #[serde(default)]
    #[schemars(extend("x-also" = ["local_echo", "echo_suppression"]))]
    pub echo: EchoSetting,
    /// Rest between two requests.
    #[serde(default = "default_pause_tcp")]
    #[schemars(extend("x-also" = ["delay", "message_wait_milliseconds", "inter_frame_delay"]))]
    pub pause: Period,
    /// Raw values by which the device says that it has no value, for every point of the connection.
    #[serde(default)]
    #[schemars(extend("x-also" = ["nan_value", "no_value"]))]
    pub invalid: Vec<RawNumber>,
}

/// Modbus RTU or ASCII on a serial line.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct RtuSettings {
    /// Serial device, as /dev/ttyUSB0.
    #[schemars(extend("x-also" = ["port", "device", "tty"]))]
    pub serial: String,
    /// Bits per second.
    #[serde(default = "default_baud")]
    #[schemars(range(min = 300, max = 921600), extend("x-unit" = "bit/s", "x-also" = ["baudrate", "baud_rate", "speed"]))]
    pub baud: u32,
    /// Data bits: 7 or 8; 8 if left out, 7 for ascii.
    #[serde(default)]
    #[schemars(range(min = 7, max = 8), extend("x-also" = ["bytesize", "bits"]))]
    pub data_bits: Option<u8>,
    /// Parity.
    #[serde(default)]
    pub parity: Parity,
    /// Stop bits: 1 or 2.
    #[serde(default = "default_stop_bits")]
    #[schemars(range(min = 1, max = 2), extend("x-also" = ["stopbits"]))]
    pub stop_bits: u8,
    /// Frames on the line.
    #[serde(default)]
    #[schemars(extend("x-also" = ["mode", "method", "transmission_mode"]))]
    pub framing: SerialFraming,
    /// Unit id of the device.
    #[serde(default = "default_unit")]
    #[schemars(range(min = 1, max = 247), extend("x-also" = ["slave", "slave_id", "unit", "device_id", "station"]))]
    pub unit_id: u8,
    /// Order of 16-bit words in 32- and 64-bit values.
    #[serde(default)]
    #[schemars(extend("x-also" = ["byte_order", "endianness", "swap_words"]))]
    pub word_order: WordOrder,
    /// Bytes inside each word are swapped, for every point of the connection.
    #[serde(default)]
    #[schemars(extend("x-also" = ["swap", "byte_swap"]))]
    pub swap_bytes: bool,
    /// Largest hole of unused registers read along in one request.
    #[serde(default = "default_gap_serial")]
    #[schemars(range(min = 0, max = 123), extend("x-unit" = "registers", "x-also" = ["gap", "max_hole"]))]
    pub max_gap: u16,
    /// Longest read; the driver also halves by itself on exception 3 and remembers.
    #[serde(default = "default_max_registers")]
    #[schemars(range(min = 1, max = 125), extend("x-unit" = "registers", "x-also" = ["block_size", "max_regs"]))]
    pub max_registers: u16,
    /// Whether the line sends back each request, as some RS-485 adaptors do. `auto` learns it from the first read;
    /// `true` or `false` where the device answers no read.
    #[serde(default)]
    #[schemars(extend("x-also" = ["local_echo", "echo_suppression"]))]
    pub echo: EchoSetting,
    /// Rest between two requests; 3.5 characters if left out, at least 1750 µs.
    #[serde(default)]
    #[schemars(extend("x-also" = ["delay", "message_wait_milliseconds", "inter_frame_delay"]))]
    pub pause: Option<Period>,
    /// Raw values by which the device says that it has no value, for every point of the connection.
    #[serde(default)]
    #[schemars(extend("x-also" = ["nan_value", "no_value"]))]
    pub invalid: Vec<RawNumber>,
}

/// What a register adds to its address.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize, schemars::JsonSchema)]
pub struct RegisterPoint {
    /// Type on the wire; follows `type` if left out.
    #[serde(default)]
    #[schemars(extend("x-also" = ["data_type", "value_type", "raw"]))]
    pub raw_type: Option<RawType>,
    /// Order of 16-bit words; the connection's if left out.
    #[serde(default)]
    #[schemars(extend("x-also" = ["byte_order", "endianness", "swap_words"]))]
    pub word_order: Option<WordOrder>,
    /// Bytes inside each word are swapped; the connection's if left out.
    #[serde(default)]
    #[schemars(extend("x-also" = ["swap", "byte_swap"]))]
    pub swap_bytes: Option<bool>,
    /// Raw values by which the device says that it has no value (65535, -32768, nan): the tag turns
    /// BadSensorFailure. The connection's if left out.
    #[serde(default)]
    #[schemars(extend("x-also" = ["nan_value", "no_value"]))]
    pub invalid: Option<Vec<RawNumber>>,
}

impl RegisterPoint {
    /// Forgets a key whose value was refused; false for a key that is not its own.
    pub(crate) fn leave_out(&mut self, key: &str) -> bool {
        match key {
            "raw_type" => self.raw_type = None,
            "word_order" => self.word_order = None,
            "swap_bytes" => self.swap_bytes = None,
            "invalid" => self.invalid = None,
            _ => return false,
        }
        true
    }
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

    /// Bits of one element; 0 for texts and bytes, whose length the tag says.
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

/// A raw value of `invalid:` as it is written: a number, or nan.
#[derive(Debug, Clone, PartialEq)]
pub struct RawNumber(pub String);

impl<'de> Deserialize<'de> for RawNumber {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<RawNumber, D::Error> {
        from.deserialize_any(RawNumberVisitor)
    }
}

struct RawNumberVisitor;

impl Visitor<'_> for RawNumberVisitor {
    type Value = RawNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a raw value: a number, or nan")
    }

    fn visit_i64<E>(self, number: i64) -> Result<RawNumber, E> {
        Ok(RawNumber(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<RawNumber, E> {
        Ok(RawNumber(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<RawNumber, E> {
        Ok(RawNumber(number.to_string()))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawNumber, E> {
        let number = RawNumber(text.to_owned());
        match number.integer().is_some() || number.float().is_some() {
            true => Ok(number),
            false => Err(E::custom(format!("`{text}` is not a raw value | write a number, as 65535, or nan"))),
        }
    }
}

impl RawNumber {
    pub fn integer(&self) -> Option<i128> {
        match self.0.strip_prefix("0x") {
            Some(hex) => i128::from_str_radix(hex, 16).ok(),
            None => self.0.parse().ok(),
        }
    }

    pub fn float(&self) -> Option<f64> {
        match self.0.trim_start_matches('.').to_ascii_lowercase().as_str() {
            "nan" => Some(f64::NAN),
            _ => self.0.parse().ok(),
        }
    }
}

impl schemars::JsonSchema for RawNumber {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "raw value".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["number", "string"] })
    }
}

/// What the points of a connection inherit, whatever carries its frames.
#[derive(Debug, Clone)]
pub struct Defaults {
    pub unit_id: u8,
    pub word_order: WordOrder,
    pub swap_bytes: bool,
    pub max_gap: u16,
    pub max_registers: u16,
    pub invalid: Vec<RawNumber>,
}

impl TcpSettings {
    pub fn defaults(&self) -> Defaults {
        Defaults {
            unit_id: self.unit_id,
            word_order: self.word_order,
            swap_bytes: self.swap_bytes,
            max_gap: self.max_gap,
            max_registers: self.max_registers,
            invalid: self.invalid.clone(),
        }
    }
}

impl RtuSettings {
    pub fn defaults(&self) -> Defaults {
        Defaults {
            unit_id: self.unit_id,
            word_order: self.word_order,
            swap_bytes: self.swap_bytes,
            max_gap: self.max_gap,
            max_registers: self.max_registers,
            invalid: self.invalid.clone(),
        }
    }
}

fn default_port() -> u16 {
    502
}

fn default_unit() -> u8 {
    1
}

fn default_gap_tcp() -> u16 {
    32
}

fn default_gap_serial() -> u16 {
    8
}

fn default_max_registers() -> u16 {
    125
}

fn default_pause_tcp() -> Period {
    Period(std::time::Duration::ZERO)
}

fn default_baud() -> u32 {
    19_200
}

fn default_stop_bits() -> u8 {
    1
}
