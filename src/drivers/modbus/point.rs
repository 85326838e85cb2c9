//! One tag's registers: where they lie and how they become a value, and a value becomes registers.
//!
//! Byte order is undone first, then word order, then the bit is taken; so `holding/108.19` of a uint32 is bit 19
//! of the number that a person would read there.

use super::address::{Address, Bits};
use super::choices::{Charset, MaskWrite, WordOrder, WriteFunction};
use super::raw_type::RawType;
use super::settings::{Defaults, RegisterPoint};
use super::text::Lettering;
use crate::drivers::driver::PointOf;
use crate::drivers::invalid::{Invalid, RawNumber};
use crate::drivers::number::Number;
use crate::drivers::plan::PointPlan;
use crate::drivers::reading::{Claim, Part, PointError, Unit};
use crate::value::BuiltIn;

/// Registers of one request, at most (MODBUS Application Protocol V1.1b3, §6.3, §6.12), and coils (§6.1, §6.11).
pub(crate) const MAX_READ_REGISTERS: u16 = 125;
pub(crate) const MAX_READ_BITS: u16 = 2_000;
pub(crate) const MAX_WRITE_REGISTERS: u16 = 123;
pub(crate) const MAX_WRITE_BITS: u16 = 1_968;

/// A checked point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Register {
    pub address: Address,
    /// The words of one value, most significant first, where they lie apart; `address` is the first.
    pub words: Vec<Address>,
    pub raw: RawType,
    pub low_word_first: bool,
    pub swap_bytes: bool,
    pub elements: usize,
    pub is_array: bool,
    /// The tag is of whole numbers, whatever the registers hold.
    pub is_integer: bool,
    /// Registers or bits of one element.
    pub width: u16,
    /// Longest text in bytes.
    pub length: usize,
    pub lettering: Lettering,
    pub invalid: Invalid,
    /// NaN and infinity are values.
    pub nan: bool,
    /// The value may come in several requests.
    pub split: bool,
    pub write_function: WriteFunction,
    pub mask_write: MaskWrite,
    /// Holding or input register with a power of ten.
    pub exponent: Option<Address>,
}

impl Register {
    pub(crate) fn new(defaults: &Defaults, point: PointOf<'_, RegisterPoint>) -> Result<Register, PointError> {
        let PointOf { plan: point, keys: settings } = point;
        let words = words(settings, point)?;
        let address = Address::parse(&point.address)?;
        let raw = raw_type(settings, point, address)?;
        let is_list = !point.words.is_empty();
        let mut register = Register {
            address,
            words,
            raw,
            low_word_first: !is_list && settings.word_order.unwrap_or(defaults.word_order) == WordOrder::LowFirst,
            swap_bytes: settings.swap_bytes.unwrap_or(defaults.swap_bytes),
            elements: point.elements,
            is_array: point.is_array,
            is_integer: point.kind.is_integer(),
            width: 0,
            length: point.length.unwrap_or(0) as usize,
            lettering: lettering(settings, point, raw)?,
            invalid: Invalid::default(),
            nan: settings.nan.unwrap_or(false),
            split: settings.split.unwrap_or(false),
            write_function: settings.write_function.unwrap_or(defaults.write_function),
            mask_write: settings.mask_write.unwrap_or(defaults.mask_write),
            exponent: point.exponent.as_deref().map(exponent_address).transpose()?,
        };
        check_types(&register, point)?;
        check_bits(&register, point)?;
        register.width = width(&register)?;
        check_words(&register, settings)?;
        check_size(&register, defaults, point)?;
        register.add_invalid(settings, defaults)?;
        Ok(register)
    }

    fn add_invalid(&mut self, settings: &RegisterPoint, defaults: &Defaults) -> Result<(), PointError> {
        let Some(own) = &settings.invalid else {
            // An entry that doesn't fit is for other points of the connection.
            for number in &defaults.invalid {
                self.takes_invalid(number);
            }
            return Ok(());
        };
        for (at, number) in own.iter().enumerate() {
            if !self.takes_invalid(number) {
                let message = format!("`{}` doesn't fit raw_type {}", number.0, self.raw.name());
                let help = "write a raw value as the device sends it, or its bit pattern as 0x8000";
                return Err(PointError { part: Part::Entry("invalid", at), ..PointError::new(0..0, message, help) });
            }
        }
        Ok(())
    }

    /// Takes an entry of `invalid` when the raw type can have it; says whether it can.
    fn takes_invalid(&mut self, number: &RawNumber) -> bool {
        self.raw.number().is_some_and(|raw| self.invalid.add(number, raw))
    }

    /// Registers that the value claims, to be compared with those of other tags; coils and inputs may be shared.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        if self.address.area.is_bits() {
            return Vec::new();
        }
        let is_part = self.address.bits.is_some() || self.raw.bits() == 8 || self.raw == RawType::Bytes;
        let claim = |address: Address, count: u16, step: u16| Claim {
            space: address.area as u32,
            start: address.start.into(),
            count: count.into(),
            step: step.into(),
            is_part,
            unit: Unit::Register,
        };
        match self.words.is_empty() {
            true => vec![claim(self.address, self.count(), self.width)],
            false => self.words.iter().map(|word| claim(*word, 1, 1)).collect(),
        }
    }

    /// Bits that a whole number of this raw type needs, without its sign; 0 for other types.
    pub(crate) fn integer_bits(&self) -> u32 {
        match self.raw {
            RawType::Float32 | RawType::Float64 | RawType::Text | RawType::Bytes => 0,
            _ if self.address.bits.is_some() => self.address.bits.map_or(0, |bits| bits.mask().count_ones()),
            raw => raw.number().map_or(raw.bits(), Number::integer_bits),
        }
    }

    /// Registers or bits of the whole point.
    pub(crate) fn count(&self) -> u16 {
        u16::try_from(usize::from(self.width) * self.elements).unwrap_or(u16::MAX)
    }

    /// Both ways to write the address, as `holding/70 = 40071`, and where it ends when it is longer than one.
    pub(crate) fn spellings(&self) -> String {
        if !self.words.is_empty() {
            let both = |word: &Address| format!("{word} = {}", word.modicon());
            return self.words.iter().map(both).collect::<Vec<_>>().join(", ");
        }
        let last = u32::from(self.address.start) + u32::from(self.count()) - 1;
        let end = if self.count() > 1 { format!("..{last}") } else { String::new() };
        let exponent = self.exponent.map_or(String::new(), |at| format!(", exponent {at} = {}", at.modicon()));
        format!("{}{end} = {}{exponent}", self.address, self.address.modicon())
    }
}

fn exponent_address(text: &str) -> Result<Address, PointError> {
    let address = Address::parse(text).map_err(|error| PointError { part: Part::Exponent, ..error })?;
    if address.area.is_bits() || address.bits.is_some() {
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
    if address.bits.is_some() {
        return Ok(RawType::Uint16);
    }
    if let Some((low, high)) = point.enumeration.as_ref().and_then(|of| of.ends()) {
        return Ok(raw_of_enumeration(low, high));
    }
    let raw = match point.kind {
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
    };
    // A device scales integers; floats come as they are. The type of the integer cannot be guessed.
    if point.has_scale && matches!(raw, RawType::Float32 | RawType::Float64) && !address.area.is_bits() {
        let name = raw.name();
        let message = format!("`scale` without `raw_type`: this reads a {name} from {} registers", raw.bits() / 16);
        let help =
            format!("write `raw_type: int16` (or uint16, int32, uint32) as the device has it, or `raw_type: {name}`");
        return Err(PointError::key("scale", message, &help));
    }
    Ok(raw)
}

/// One register where the values of an enumeration fit, signed where one of them is negative.
fn raw_of_enumeration(low: i32, high: i32) -> RawType {
    match (low < 0, i16::try_from(low).is_ok() && i16::try_from(high).is_ok(), u16::try_from(high).is_ok()) {
        (true, true, _) => RawType::Int16,
        (true, false, _) => RawType::Int32,
        (false, _, true) => RawType::Uint16,
        (false, _, false) => RawType::Uint32,
    }
}

fn article(name: &str) -> &'static str {
    if name.starts_with('i') { "an" } else { "a" }
}

/// A warning for a reading of several registers that the cell does not ask for in words.
pub(crate) fn guesses_wide(point: PointOf<'_, RegisterPoint>, register: &Register) -> Option<PointError> {
    let is_said = point.keys.raw_type.is_some();
    let (raw, name) = (register.raw, register.raw.name());
    if is_said || raw.bits() <= 16 && !register.address.area.is_bits() || raw.bits() == 1 || point.words.len() > 1 {
        return None;
    }
    if register.address.area.is_bits() {
        let message = format!("without `raw_type` this makes one number of {} bits", raw.bits());
        return Some(PointError::new(
            0..point.address.len(),
            message,
            "write `raw_type` with as many bits as are meant",
        ));
    }
    if !point.has_scale {
        return None;
    }
    let narrow = if matches!(raw, RawType::Uint32 | RawType::Uint64) { "uint16" } else { "int16" };
    let message =
        format!("`scale` without `raw_type`: this reads {} {name} from {} registers", article(name), raw.bits() / 16);
    let help = format!("write `raw_type: {narrow}` where the device has one register, or `raw_type: {name}`");
    Some(PointError::key("scale", message, &help))
}

fn words(settings: &RegisterPoint, point: &PointPlan) -> Result<Vec<Address>, PointError> {
    let mut words: Vec<Address> = Vec::new();
    for (at, text) in point.words.iter().enumerate() {
        let here = |error: PointError| PointError { part: Part::Entry("address", at), ..error };
        let wrong = |message: &str, help: &str| here(PointError::new(0..text.len(), message.to_owned(), help));
        let word = Address::parse(text).map_err(here)?;
        if word.area.is_bits() || word.bits.is_some() {
            return Err(wrong("a list names whole registers", "write input/N or holding/N for each word"));
        }
        if words.contains(&word) {
            return Err(wrong("this register is named twice", "name each word of the value once"));
        }
        if point.write && !word.area.is_writable() {
            return Err(wrong("input registers cannot be written", "leave `write` out, or take holding/N"));
        }
        words.push(word);
    }
    let count = words.len();
    if count == 1 || count > 4 {
        let message = format!("a list names 2 to 4 registers, this one {count}");
        return Err(PointError::new(0..0, message, "name the 16-bit words of one value, most significant first"));
    }
    if count > 0 && settings.word_order.is_some() {
        let help = "name the words most significant first, and delete `word_order`";
        return Err(PointError::key("word_order", "the list itself is the order of the words".to_owned(), help));
    }
    if count > 0 && point.is_array {
        let help = "make one tag for each element";
        return Err(PointError::new(0..0, "a list holds one value, not an array".to_owned(), help));
    }
    Ok(words)
}

/// The raw type has as many words as the list names.
fn check_words(register: &Register, settings: &RegisterPoint) -> Result<(), PointError> {
    let count = register.words.len();
    if count == 0 || usize::from(register.width) == count {
        return Ok(());
    }
    let plural = if register.width == 1 { "" } else { "s" };
    let message =
        format!("raw_type {} has {} word{plural}, the list names {count}", register.raw.name(), register.width);
    let help = "two words make an int32, uint32 or float32, four an int64, uint64 or float64";
    let error = PointError::key("raw_type", message, help);
    Err(match settings.raw_type {
        None => PointError { part: Part::Address, ..error },
        Some(_) => error,
    })
}

fn lettering(settings: &RegisterPoint, point: &PointPlan, raw: RawType) -> Result<Lettering, PointError> {
    let (charset, each) = (settings.charset, settings.chars_per_register);
    for (key, is_given) in [("charset", charset.is_some()), ("chars_per_register", each.is_some())] {
        if is_given && raw != RawType::Text {
            let message = format!("raw_type {} has no letters", raw.name());
            return Err(PointError::key(key, message, "`charset` and `chars_per_register` are for texts"));
        }
    }
    if charset == Some(Charset::Utf16) && each == Some(1) {
        let help = "delete it: utf-16 has one unit in each register";
        return Err(PointError::key("chars_per_register", "it doesn't go with utf-16".to_owned(), help));
    }
    if charset == Some(Charset::Utf16) && point.length.is_some_and(|length| length % 2 == 1) {
        let help = "write twice the number of registers";
        return Err(PointError::key("length", "a utf-16 text has two bytes a letter".to_owned(), help));
    }
    Ok(Lettering { charset, one_each: each == Some(1), is_said: charset.is_some() || each.is_some() })
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
    let is_float = matches!(raw, RawType::Float32 | RawType::Float64);
    if register.nan && !is_float {
        let message = format!("raw_type {} has no NaN", raw.name());
        return Err(PointError::key("nan", message, "`nan` is for float32 and float64"));
    }
    let area = register.address.area;
    if register.split && area.is_bits() {
        return Err(PointError::key("split", "`split` is for registers".to_owned(), "delete it"));
    }
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

fn check_bits(register: &Register, point: &PointPlan) -> Result<(), PointError> {
    let Some(bits) = register.address.bits else {
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
    let at = point.address.find('.').map_or(0, |dot| dot + 1)..point.address.len();
    if register.is_array {
        return Err(PointError::new(at, "an array cannot start at a bit".to_owned(), "make one tag for each"));
    }
    let raw = register.raw;
    if raw.bits() < 2 || is_coded(raw) {
        let message = format!("raw_type {} has no bits to name", raw.name());
        return Err(PointError::key("raw_type", message, "bits are of an integer: uint16, uint32 or uint64"));
    }
    if u32::from(bits.last) >= raw.bits() {
        let message = format!("raw_type {} has bits 0 to {}", raw.name(), raw.bits() - 1);
        return Err(PointError::new(at, message, "give a longer raw_type, as uint32, or name the next register"));
    }
    check_field(bits, at, point)
}

fn check_field(bits: Bits, at: std::ops::Range<usize>, point: &PointPlan) -> Result<(), PointError> {
    if bits.is_number() && point.kind == BuiltIn::Boolean {
        let help = format!("name one bit, as .{}, or make the tag a number or an enumeration", bits.first);
        return Err(PointError::new(at, "a Boolean is one bit".to_owned(), &help));
    }
    if point.write && bits.first / 16 != bits.last / 16 {
        let message =
            format!("bits {} to {} lie in two registers and cannot be written together", bits.first, bits.last);
        return Err(PointError::new(at, message, "leave `write` out, or write the whole value"));
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
    let count = match register.raw {
        RawType::Text => register.lettering.registers(register.length),
        _ => register.length.div_ceil(2),
    };
    Ok(u16::try_from(count).unwrap_or(u16::MAX))
}

fn check_size(register: &Register, defaults: &Defaults, point: &PointPlan) -> Result<(), PointError> {
    let whole = 0..point.address.len();
    let (read, write, noun) = match register.address.area.is_bits() {
        true => (MAX_READ_BITS, MAX_WRITE_BITS, "bits"),
        false => (defaults.max_registers.min(MAX_READ_REGISTERS), MAX_WRITE_REGISTERS, "registers"),
    };
    let count = usize::from(register.width) * register.elements;
    let is_apart = register.split || !register.words.is_empty();
    let read = if is_apart { u16::MAX } else { read };
    let limit = if point.write { read.min(write) } else { read };
    if count > usize::from(limit) || count == 0 {
        let message = format!("{count} {noun} do not fit one request of at most {limit}");
        let help = match point.write {
            false => "split it into several tags, or write `split: true` when its parts may come in several requests",
            true => "a value is never torn over two requests; split it into several tags",
        };
        return Err(PointError::new(whole, message, help));
    }
    if usize::from(register.address.start) + count > 65_536 {
        let message = format!("{count} {noun} from {} reach beyond 65535", register.address);
        return Err(PointError::new(whole, message, "start lower, or shorten the array or text"));
    }
    Ok(())
}
