//! The keys of a Modbus connection and of a register; their doc comments are the user's reference.

use super::choices::{Charset, EchoSetting, MaskWrite, Parity, SerialFraming, TcpFraming, WordOrder, WriteFunction};
use super::raw_type::RawType;
use crate::drivers::host::plain_host;
use crate::drivers::invalid::RawNumber;
use crate::drivers::keys::point_keys;
use crate::drivers::reading::Part;
use crate::model::Period;

/// Modbus TCP, and RTU or ASCII frames over TCP as serial servers send them.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct TcpSettings {
    /// Host name or IP address.
    #[serde(deserialize_with = "crate::drivers::host::read")]
    #[schemars(extend("x-also" = ["ip", "address", "hostname", "server"], "x-secret" = true))]
    pub host: String,
    /// Name of the device's place in logs and for clients, where a part of the place must not be shown.
    #[serde(skip)]
    #[schemars(skip)]
    pub shown: Option<String>,
    /// TCP port.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535), extend("x-unit" = "TCP port", "x-secret" = true))]
    pub port: u16,
    /// Frames on the connection; rtu and ascii are for serial servers (default tcp).
    #[serde(default)]
    #[schemars(extend("x-also" = ["mode", "transmission_mode"]))]
    pub framing: TcpFraming,
    /// Unit id of the device.
    #[serde(default = "default_unit")]
    #[schemars(range(min = 0, max = 255), extend("x-also" = ["slave", "slave_id", "unit", "device_id", "station"], "x-secret" = true))]
    pub unit_id: u8,
    /// Order of 16-bit words in 32- and 64-bit values (default high-first).
    #[serde(default)]
    #[schemars(extend("x-also" = ["byte_order", "endianness", "swap_words"]))]
    pub word_order: WordOrder,
    /// Bytes inside each word are swapped, for every point of the connection.
    #[serde(default)]
    #[schemars(extend("x-also" = ["swap", "byte_swap"]))]
    pub swap_bytes: bool,
    /// Largest gap of unused registers that one request reads along.
    #[serde(default = "default_gap_tcp")]
    #[schemars(range(min = 0, max = 123), extend("x-unit" = "registers", "x-also" = ["gap", "max_hole"]))]
    pub max_gap: u16,
    /// Longest read. After exception 3 the driver halves the read by itself and remembers it.
    #[serde(default = "default_max_registers")]
    #[schemars(range(min = 1, max = 125), extend("x-unit" = "registers", "x-also" = ["block_size", "max_regs"]))]
    pub max_registers: u16,
    /// Whether the line sends back each request, as some RS-485 adaptors do. `auto` finds out with the first read. Write
    /// `true` or `false` where the device answers no read.
    #[serde(default)]
    #[schemars(extend("x-also" = ["local_echo", "echo_suppression"]))]
    pub echo: EchoSetting,
    /// Pause between two requests (default 0ms).
    #[serde(default = "default_pause_tcp")]
    #[schemars(extend("x-also" = ["delay", "message_wait_milliseconds", "inter_frame_delay"]))]
    pub pause: Period,
    /// Raw values that mean "no value" (65535, -32768, 0x8000), for every point of the connection whose `raw_type` they
    /// fit. A hexadecimal number is the bit pattern (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["nan_value", "no_value"]))]
    pub invalid: Vec<RawNumber>,
    /// Functions for writes of one coil or register: FC 5 and 6, or FC 15 and 16. When the first write is refused or not
    /// answered, `auto` tries the other function once and remembers the one that works (default auto).
    #[serde(default)]
    #[schemars(extend("x-also" = ["write_multiple", "force_multiple", "function_code"]))]
    pub write_function: WriteFunction,
    /// Writes of bits and bytes: by FC 22 where the device has it (auto), or always by reading and writing the register
    /// (default auto).
    #[serde(default)]
    pub mask_write: MaskWrite,
}

/// Modbus RTU or ASCII on a serial line.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct RtuSettings {
    /// Serial device, as /dev/ttyUSB0.
    #[schemars(extend("x-also" = ["port", "device", "tty"], "x-secret" = true))]
    pub serial: String,
    /// Name of the device's place in logs and for clients, where a part of the place must not be shown.
    #[serde(skip)]
    #[schemars(skip)]
    pub shown: Option<String>,
    /// Bits per second.
    #[serde(default = "default_baud")]
    #[schemars(range(min = 300, max = 921600), extend("x-unit" = "bit/s", "x-also" = ["baudrate", "baud_rate", "speed"]))]
    pub baud: u32,
    /// Data bits: 7 or 8 (default 8; 7 for ascii).
    #[serde(default)]
    #[schemars(range(min = 7, max = 8), extend("x-also" = ["bytesize", "bits"]))]
    pub data_bits: Option<u8>,
    /// Parity (default even).
    #[serde(default)]
    pub parity: Parity,
    /// Stop bits: 1 or 2.
    #[serde(default = "default_stop_bits")]
    #[schemars(range(min = 1, max = 2), extend("x-also" = ["stopbits"]))]
    pub stop_bits: u8,
    /// Frames on the line (default rtu).
    #[serde(default)]
    #[schemars(extend("x-also" = ["mode", "method", "transmission_mode"]))]
    pub framing: SerialFraming,
    /// Unit id of the device.
    #[serde(default = "default_unit")]
    #[schemars(range(min = 1, max = 247), extend("x-also" = ["slave", "slave_id", "unit", "device_id", "station"], "x-secret" = true))]
    pub unit_id: u8,
    /// Order of 16-bit words in 32- and 64-bit values (default high-first).
    #[serde(default)]
    #[schemars(extend("x-also" = ["byte_order", "endianness", "swap_words"]))]
    pub word_order: WordOrder,
    /// Bytes inside each word are swapped, for every point of the connection.
    #[serde(default)]
    #[schemars(extend("x-also" = ["swap", "byte_swap"]))]
    pub swap_bytes: bool,
    /// Largest gap of unused registers that one request reads along.
    #[serde(default = "default_gap_serial")]
    #[schemars(range(min = 0, max = 123), extend("x-unit" = "registers", "x-also" = ["gap", "max_hole"]))]
    pub max_gap: u16,
    /// Longest read. After exception 3 the driver halves the read by itself and remembers it.
    #[serde(default = "default_max_registers")]
    #[schemars(range(min = 1, max = 125), extend("x-unit" = "registers", "x-also" = ["block_size", "max_regs"]))]
    pub max_registers: u16,
    /// Whether the line sends back each request, as some RS-485 adaptors do. `auto` finds out with the first read. Write
    /// `true` or `false` where the device answers no read.
    #[serde(default)]
    #[schemars(extend("x-also" = ["local_echo", "echo_suppression"]))]
    pub echo: EchoSetting,
    /// Pause between two requests (default 3.5 characters, at least 1750 µs).
    #[serde(default)]
    #[schemars(extend("x-also" = ["delay", "message_wait_milliseconds", "inter_frame_delay"]))]
    pub pause: Option<Period>,
    /// Raw values that mean "no value" (65535, -32768, 0x8000), for every point of the connection whose `raw_type` they
    /// fit. A hexadecimal number is the bit pattern (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["nan_value", "no_value"]))]
    pub invalid: Vec<RawNumber>,
    /// Functions for writes of one coil or register: FC 5 and 6, or FC 15 and 16. When the first write is refused or not
    /// answered, `auto` tries the other function once and remembers the one that works (default auto).
    #[serde(default)]
    #[schemars(extend("x-also" = ["write_multiple", "force_multiple", "function_code"]))]
    pub write_function: WriteFunction,
    /// Writes of bits and bytes: by FC 22 where the device has it (auto), or always by reading and writing the register
    /// (default auto).
    #[serde(default)]
    pub mask_write: MaskWrite,
}

/// Keys of a register in addition to its address: `holding/10` or Modicon's `40011`, `holding/10.4` for one bit,
/// `holding/10.4..7` for the number in bits 4 to 7.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize, schemars::JsonSchema)]
pub struct RegisterPoint {
    /// Type in the device (default: follows `type`). An enumeration has one register where its values fit.
    #[serde(default)]
    #[schemars(extend("x-also" = ["data_type", "value_type", "raw"]))]
    pub raw_type: Option<RawType>,
    /// Order of 16-bit words (default: the connection's).
    #[serde(default)]
    #[schemars(extend("x-also" = ["byte_order", "endianness", "swap_words"]))]
    pub word_order: Option<WordOrder>,
    /// Bytes inside each word are swapped (default: the connection's).
    #[serde(default)]
    #[schemars(extend("x-also" = ["swap", "byte_swap"]))]
    pub swap_bytes: Option<bool>,
    /// Raw values that mean "no value" (65535, -32768, 0x8000): the tag becomes BadSensorFailure.
    /// They are compared in `raw_type`; a hexadecimal number is the bit pattern (default: the connection's).
    #[serde(default)]
    #[schemars(extend("x-also" = ["nan_value", "no_value"]))]
    pub invalid: Option<Vec<RawNumber>>,
    /// NaN and ±Infinity are values. Without this key they make the tag BadSensorFailure, and a client cannot write NaN.
    /// Only for float32 and float64 (default false).
    #[serde(default)]
    #[schemars(extend("x-also" = ["allow_nan"]))]
    pub nan: Option<bool>,
    /// Encoding of a text, in reads and writes (default utf-8; on reads Latin-1 where the bytes are not valid).
    #[serde(default)]
    #[schemars(extend("x-also" = ["encoding", "codepage"]))]
    pub charset: Option<Charset>,
    /// Letters of a text in each register: 2, or 1 in the low byte (the high byte with `swap_bytes`) (default 2).
    #[serde(default)]
    #[schemars(range(min = 1, max = 2), extend("x-also" = ["bytes_per_register"]))]
    pub chars_per_register: Option<u8>,
    /// Several requests may read the value, for a device that answers one register at a time. It is shown only when one
    /// scan brought all of its parts (default false).
    #[serde(default)]
    pub split: Option<bool>,
    /// Functions for writes of one coil or register: FC 5 and 6, or FC 15 and 16. `single` writes a longer value
    /// register by register (default: the connection's).
    #[serde(default)]
    #[schemars(extend("x-also" = ["write_multiple", "force_multiple", "function_code"]))]
    pub write_function: Option<WriteFunction>,
    /// Writes of bits and bytes: by FC 22 where the device has it (auto), or always by reading and writing the register
    /// (default: the connection's).
    #[serde(default)]
    pub mask_write: Option<MaskWrite>,
}

point_keys!(RegisterPoint {
    raw_type,
    word_order,
    swap_bytes,
    invalid,
    nan,
    charset,
    chars_per_register,
    split,
    write_function,
    mask_write,
});

impl RegisterPoint {
    /// Removes a key whose value was refused, or replaces an entry of `invalid` by a number that fits, so that the other
    /// entries keep their places; false for keys of other drivers.
    pub(super) fn leave_out(&mut self, part: Part) -> bool {
        match part {
            Part::Key("raw_type") => self.raw_type = None,
            Part::Key("word_order") => self.word_order = None,
            Part::Key("swap_bytes") => self.swap_bytes = None,
            Part::Key("invalid") => self.invalid = None,
            Part::Key("nan") => self.nan = None,
            Part::Key("charset") => self.charset = None,
            Part::Key("chars_per_register") => self.chars_per_register = None,
            Part::Key("split") => self.split = None,
            Part::Entry("invalid", at) => match self.invalid.as_mut().and_then(|all| all.get_mut(at)) {
                Some(entry) => *entry = RawNumber("0".to_owned()),
                None => return false,
            },
            _ => return false,
        }
        true
    }
}

/// Defaults of the points of a connection, for TCP and serial lines alike.
#[derive(Debug, Clone)]
pub struct Defaults {
    pub unit_id: u8,
    pub word_order: WordOrder,
    pub swap_bytes: bool,
    pub max_gap: u16,
    pub max_registers: u16,
    pub invalid: Vec<RawNumber>,
    pub write_function: WriteFunction,
    pub mask_write: MaskWrite,
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
            write_function: self.write_function,
            mask_write: self.mask_write,
        }
    }

    /// Whether a register has the same meaning: it is in the same device, and its value is made in the same way. The way in
    /// which the device is spoken to, such as framing and speed, does not matter.
    pub(super) fn is_same_source(&self, new: &TcpSettings) -> bool {
        let TcpSettings {
            host,
            shown: _,
            port,
            framing: _,
            unit_id,
            word_order,
            swap_bytes,
            max_gap: _,
            max_registers: _,
            echo: _,
            pause: _,
            invalid,
            write_function: _,
            mask_write: _,
        } = self;
        plain_host(host) == plain_host(&new.host)
            && *port == new.port
            && *unit_id == new.unit_id
            && *word_order == new.word_order
            && *swap_bytes == new.swap_bytes
            && *invalid == new.invalid
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
            write_function: self.write_function,
            mask_write: self.mask_write,
        }
    }

    /// Whether a register has the same meaning: it is in the same device, and its value is made in the same way. The way in
    /// which the device is spoken to, such as framing and speed, does not matter.
    pub(super) fn is_same_source(&self, new: &RtuSettings) -> bool {
        let RtuSettings {
            serial,
            shown: _,
            baud: _,
            data_bits: _,
            parity: _,
            stop_bits: _,
            framing: _,
            unit_id,
            word_order,
            swap_bytes,
            max_gap: _,
            max_registers: _,
            echo: _,
            pause: _,
            invalid,
            write_function: _,
            mask_write: _,
        } = self;
        *serial == new.serial
            && *unit_id == new.unit_id
            && *word_order == new.word_order
            && *swap_bytes == new.swap_bytes
            && *invalid == new.invalid
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

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use crate::drivers::driver::Driver;
    use crate::drivers::modbus::{Rtu, Tcp};

    /// Another value of each key, and whether a register keeps its meaning.
    fn others() -> Value {
        json!({
            "host": ["other", false], "serial": ["/dev/ttyS9", false], "port": [503, false], "unit_id": [2, false],
            "word_order": ["low-first", false], "swap_bytes": [true, false], "invalid": [["1"], false],
            "framing": ["ascii", true], "baud": [9600, true], "data_bits": [7, true], "parity": ["none", true],
            "stop_bits": [2, true], "max_gap": [1, true], "max_registers": [9, true], "echo": [true, true],
            "pause": ["9ms", true], "write_function": ["single", true], "mask_write": ["never", true],
        })
    }

    fn check<D: Driver>(required: &Value)
    where
        D::Settings: DeserializeOwned,
    {
        let schema = serde_json::to_value(schemars::schema_for!(D::Settings)).expect("a schema");
        let of = |settings: &Value| serde_json::from_value::<D::Settings>(settings.clone()).expect("settings");
        for key in schema["properties"].as_object().expect("keys").keys() {
            let mut changed = required.clone();
            changed[key] = others()[key][0].clone();
            let is_same = D::is_same_source(&of(required), &of(&changed));
            assert_eq!(Some(is_same), others()[key][1].as_bool(), "{}: {key}", D::NAME);
            assert!(of(required) != of(&changed), "{}: {key}", D::NAME);
        }
    }

    #[test]
    fn each_setting_is_known_to_be_another_source_or_none() {
        check::<Tcp>(&json!({ "host": "a" }));
        check::<Rtu>(&json!({ "serial": "/dev/ttyS0" }));
    }
}
