//! One tag's registers: where they lie and how they become a value, and a value becomes registers.
//!
//! Byte order is undone first, then word order, then the bit is taken; so `holding/108.19` of a uint32 is bit 19
//! of the number that a person would read there.

use super::address::Address;
use super::settings::{Defaults, RawNumber, RawType, RegisterPoint, WordOrder};
use crate::drivers::{Part, PointError, PointPlan, PointSettings};
use crate::value::BuiltIn;

/// Registers of one request, at most (MODBUS Application Protocol V1.1b3, §6.3, §6.12), and coils (§6.1, §6.11).
pub const MAX_READ_REGISTERS: u16 = 125;
pub const MAX_READ_BITS: u16 = 2_000;
pub const MAX_WRITE_REGISTERS: u16 = 123;
pub const MAX_WRITE_BITS: u16 = 1_968;

/// A raw value that means "no value".
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Invalid {
    Integer(i128),
    Float(f64),
}

/// A checked point.
#[derive(Debug, Clone)]
pub struct Register {
    pub address: Address,
    pub raw: RawType,
    pub low_word_first: bool,
    pub swap_bytes: bool,
    pub elements: usize,
    pub is_array: bool,
    /// Registers or bits of one element.
    pub width: u16,
    /// Longest text in bytes.
    pub length: usize,
    pub invalid: Vec<Invalid>,
    /// Holding or input register with a power of ten.
    pub exponent: Option<Address>,
}

impl Register {
    pub fn new(defaults: &Defaults, point: &PointPlan) -> Result<Register, PointError> {
        let default_settings = RegisterPoint::default();
        let settings = match &point.settings {
            PointSettings::Modbus(settings) => settings,
            PointSettings::Simulator => &default_settings,
        };
        let address = Address::parse(&point.address)?;
        let raw = raw_type(settings, point, address)?;
        let mut register = Register {
            address,
            raw,
            low_word_first: settings.word_order.unwrap_or(defaults.word_order) == WordOrder::LowFirst,
            swap_bytes: settings.swap_bytes.unwrap_or(defaults.swap_bytes),
            elements: point.elements,
            is_array: point.is_array,
            width: 0,
            length: point.length.unwrap_or(0) as usize,
            invalid: Vec::new(),
            exponent: point.exponent.as_deref().map(exponent_address).transpose()?,
        };
        check_types(&register, point)?;
        check_bit(&register, point)?;
        register.width = width(&register)?;
        check_size(&register, defaults, point)?;
        register.invalid = invalid(settings, defaults, raw)?;
        Ok(register)
    }

    /// Registers or bits of the whole point.
    pub fn count(&self) -> u16 {
        u16::try_from(usize::from(self.width) * self.elements).unwrap_or(u16::MAX)
    }

    /// Both ways to write the address, as `holding/70 = 40071`, and where it ends when it is longer than one.
    pub fn spellings(&self) -> String {
        let last = u32::from(self.address.start) + u32::from(self.count()) - 1;
        let end = if self.count() > 1 { format!("..{last}") } else { String::new() };
        let exponent = self.exponent.map_or(String::new(), |at| format!(", exponent {at} = {}", at.modicon()));
        format!("{}{end} = {}{exponent}", self.address, self.address.modicon())
    }
}

fn exponent_address(text: &str) -> Result<Address, PointError> {
    let address = Address::parse(text).map_err(|error| PointError { part: Part::Exponent, ..error })?;
    if address.area.is_bits() || address.bit.is_some() {
        let message = format!("`{text}` cannot hold an exponent");
        let error = PointError::new(0..text.len(), message, "an exponent is a whole input or holding register");
        return Err(PointError { part: Part::Exponent, ..error });
    }
    Ok(address)
}

fn raw_type(settings: &RegisterPoint, point: &PointPlan, address: Address) -> Result<RawType, PointError> {
    if let Some(raw) = settings.raw_type {
        return Ok(raw);
    }
    if address.bit.is_some() {
        return Ok(RawType::Uint16);
    }
    Ok(match point.kind {
        BuiltIn::Boolean => RawType::Bool,
        BuiltIn::SByte => RawType::Int8,
        BuiltIn::Byte => RawType::Uint8,
        BuiltIn::Int16 => RawType::Int16,
        BuiltIn::UInt16 => RawType::Uint16,
        BuiltIn::Int32 => RawType::Int32,
        BuiltIn::UInt32 => RawType::Uint32,
        BuiltIn::Int64 => RawType::Int64,
        BuiltIn::UInt64 => RawType::Uint64,
        BuiltIn::Float => RawType::Float32,
        BuiltIn::Double => RawType::Float64,
        BuiltIn::String => RawType::Text,
        BuiltIn::ByteString => RawType::Bytes,
        kind => {
            let help = "a tag on Modbus is a Boolean, a number, a String or a ByteString";
            return Err(PointError::key("type", format!("registers cannot hold a {kind:?}"), help));
        }
    })
}

fn check_types(register: &Register, point: &PointPlan) -> Result<(), PointError> {
    let (raw, kind) = (register.raw, point.kind);
    let fits = match raw {
        RawType::Text => kind == BuiltIn::String,
        RawType::Bytes => kind == BuiltIn::ByteString,
        RawType::Float32 | RawType::Float64 if !point.has_scale => matches!(kind, BuiltIn::Float | BuiltIn::Double),
        RawType::Float32 | RawType::Float64 => kind.is_number(),
        _ => kind.is_number() || kind == BuiltIn::Boolean,
    };
    if !fits {
        let help = match kind {
            BuiltIn::String => "raw_type text makes a String",
            BuiltIn::ByteString => "raw_type bytes makes a ByteString",
            _ if kind.is_integer() => "give `scale`, or make the tag a Float or Double",
            _ => "take a numeric raw_type, or leave it out",
        };
        return Err(PointError::key("raw_type", format!("raw_type {} does not make a {kind:?}", raw.name()), help));
    }
    let area = register.address.area;
    let only_registers = !matches!(raw, RawType::Bool) && (raw.bits() == 0 || is_coded(raw));
    if area.is_bits() && only_registers {
        let message = format!("raw_type {} does not fit the bits of {}", raw.name(), area.name());
        return Err(PointError::key(
            "raw_type",
            message,
            "bits make a bool or an integer; for more take input or holding",
        ));
    }
    if point.write && !area.is_writable() {
        let message =
            format!("{} cannot be written", if area.is_bits() { "discrete inputs" } else { "input registers" });
        let help = if area.is_bits() {
            "only coil and holding can; leave `write` out or take coil/N"
        } else {
            "only coil and holding can; leave `write` out or take holding/N"
        };
        return Err(PointError::new(0..point.address.len(), message, help));
    }
    Ok(())
}

fn is_coded(raw: RawType) -> bool {
    matches!(raw, RawType::Float32 | RawType::Float64 | RawType::Bcd16 | RawType::Bcd32)
}

fn check_bit(register: &Register, point: &PointPlan) -> Result<(), PointError> {
    let Some(bit) = register.address.bit else {
        if register.raw == RawType::Bool && !register.address.area.is_bits() {
            let message = format!("`{}` is a whole register, not a bit", point.address);
            let help = format!(
                "name the bit, as {}.0, or give `raw_type: uint16` when the register holds 0 or 1",
                point.address
            );
            return Err(PointError::new(0..point.address.len(), message, &help));
        }
        return Ok(());
    };
    let at = point.address.rfind('.').map_or(0, |dot| dot + 1)..point.address.len();
    if register.is_array {
        return Err(PointError::new(at, "an array cannot start at a bit".to_owned(), "make one Boolean tag a bit"));
    }
    if register.raw.bits() < 2 || is_coded(register.raw) {
        let message = format!("raw_type {} has no bits to name", register.raw.name());
        return Err(PointError::key("raw_type", message, "bits are of an integer: uint16, uint32 or uint64"));
    }
    if u32::from(bit) >= register.raw.bits() {
        let message = format!("raw_type {} has bits 0..{}", register.raw.name(), register.raw.bits() - 1);
        return Err(PointError::new(at, message, "give a longer raw_type, as uint32, or name the next register"));
    }
    Ok(())
}

fn width(register: &Register) -> Result<u16, PointError> {
    let bits = register.raw.bits();
    if register.address.area.is_bits() {
        return Ok(u16::try_from(bits).expect("at most 64"));
    }
    if bits > 0 {
        return Ok(u16::try_from(bits.div_ceil(16)).expect("at most 4"));
    }
    if register.length == 0 {
        let message = format!("a {} in registers needs its length", register.raw.name());
        return Err(PointError::key("length", message, "write `length: 20` for 20 bytes in 10 registers"));
    }
    Ok(u16::try_from(register.length.div_ceil(2)).unwrap_or(u16::MAX))
}

fn check_size(register: &Register, defaults: &Defaults, point: &PointPlan) -> Result<(), PointError> {
    let whole = 0..point.address.len();
    let (read, write, noun) = match register.address.area.is_bits() {
        true => (MAX_READ_BITS, MAX_WRITE_BITS, "bits"),
        false => (defaults.max_registers.min(MAX_READ_REGISTERS), MAX_WRITE_REGISTERS, "registers"),
    };
    let count = usize::from(register.width) * register.elements;
    let limit = if point.write { read.min(write) } else { read };
    if count > usize::from(limit) || count == 0 {
        let message = format!("{count} {noun} do not fit one request of at most {limit}");
        return Err(PointError::new(
            whole,
            message,
            "a value is never torn over two requests; split it into several tags",
        ));
    }
    if usize::from(register.address.start) + count > 65_536 {
        let message = format!("{count} {noun} from {} reach beyond 65535", register.address);
        return Err(PointError::new(whole, message, "start lower, or shorten the array or text"));
    }
    Ok(())
}

fn invalid(settings: &RegisterPoint, defaults: &Defaults, raw: RawType) -> Result<Vec<Invalid>, PointError> {
    let Some(own) = &settings.invalid else {
        return Ok(defaults.invalid.iter().filter_map(|number| fit_invalid(number, raw)).collect());
    };
    let misfit = |number: &RawNumber| {
        let message = format!("`{}` doesn't fit raw_type {}", number.0, raw.name());
        PointError::key("invalid", message, "write a raw value as the device sends it")
    };
    own.iter().map(|number| fit_invalid(number, raw).ok_or_else(|| misfit(number))).collect()
}

fn fit_invalid(number: &RawNumber, raw: RawType) -> Option<Invalid> {
    let (low, high): (i128, i128) = match raw {
        RawType::Float32 | RawType::Float64 => return number.float().map(Invalid::Float),
        RawType::Bool | RawType::Text | RawType::Bytes => return None,
        RawType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        RawType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        RawType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        RawType::Int64 => (i64::MIN.into(), i64::MAX.into()),
        RawType::Bcd16 | RawType::Bcd32 => (0, (1 << raw.bits()) - 1),
        RawType::Uint8 | RawType::Uint16 | RawType::Uint32 | RawType::Uint64 => (0, (1_i128 << raw.bits()) - 1),
    };
    number.integer().filter(|number| (low..=high).contains(number)).map(Invalid::Integer)
}
