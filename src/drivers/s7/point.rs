//! One tag's bytes in a PLC, checked: where they lie, of what type they are, and how many.

use super::address::{Address, Area, LAST_BYTE, Letter};
use super::raw_type::RawType;
use super::settings::{Clock, S7Point, S7Settings};
use crate::drivers::driver::PointOf;
use crate::drivers::invalid::Invalid;
use crate::drivers::number::Number;
use crate::drivers::plan::PointPlan;
use crate::drivers::reading::{Claim, Part, PointError, Unit};
use crate::value::BuiltIn;

/// A checked point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variable {
    pub address: Address,
    pub raw: RawType,
    pub elements: u32,
    pub is_array: bool,
    /// Bytes from one element to the next; for bits that of eight.
    pub stride: u32,
    /// Longest text in characters, or number of bytes.
    pub length: u32,
    /// Encoding of the tag: whole numbers only.
    pub is_integer: bool,
    pub invalid: Invalid,
    /// NaN and infinity are values.
    pub nan: bool,
    pub clock: Clock,
}

/// Longest STRING and WSTRING of a PLC, in characters.
const LONGEST_STRING: u32 = 254;
const LONGEST_WSTRING: u32 = 16_382;

impl Variable {
    pub(crate) fn new(settings: &S7Settings, point: PointOf<'_, S7Point>) -> Result<Variable, PointError> {
        let PointOf { plan: point, keys } = point;
        refuse_parts(point)?;
        let address = Address::parse(&point.address)?;
        let raw = raw_type(keys, point, address)?;
        check_kind(raw, point, keys.raw_type.is_some(), address)?;
        check_width(raw, address, point)?;
        let length = length(raw, point)?;
        let mut variable = Variable {
            address,
            raw,
            elements: u32::try_from(point.elements).unwrap_or(u32::MAX),
            is_array: point.is_array,
            stride: stride(raw, length, address),
            length,
            is_integer: point.kind.is_integer(),
            invalid: Invalid::default(),
            nan: keys.nan.unwrap_or(false),
            clock: settings.clock,
        };
        check_access(&variable, point)?;
        check_reach(&variable, point)?;
        variable.check_nan()?;
        variable.add_invalid(keys)?;
        Ok(variable)
    }

    /// First unit of the value: a byte, or a timer or counter.
    pub(crate) fn start(&self) -> u32 {
        self.address.start
    }

    /// Units of the whole value: bytes, or timers or counters.
    pub(crate) fn count(&self) -> u32 {
        match (self.raw, self.address.area.has_elements()) {
            (_, true) => self.elements,
            (RawType::Bool, false) => (u32::from(self.address.bit) + self.elements).div_ceil(8),
            _ => (self.elements - 1) * self.stride + self.size(),
        }
    }

    /// Bytes of one element.
    pub(crate) fn size(&self) -> u32 {
        size(self.raw, self.length)
    }

    /// Bytes that the value claims, to be compared with those of other tags. Bits, single bytes and bytes as they are may
    /// be read by others too.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        if self.address.area.has_elements() || self.address.letter == Letter::Any {
            return Vec::new();
        }
        let is_part = matches!(self.raw, RawType::Bool | RawType::Int8 | RawType::Uint8 | RawType::Bytes);
        let space = u32::from(self.address.area.number()) << 16 | u32::from(self.address.db);
        let (start, count, step) = (self.start(), self.count(), self.stride);
        vec![Claim { space, start, count, step, is_part, unit: Unit::Byte }]
    }

    /// Bits that a whole number of this raw type needs, without its sign; 0 for other types.
    pub(crate) fn integer_bits(&self) -> u32 {
        match self.raw {
            RawType::Bool => 1,
            RawType::S5time => 24,
            raw => raw.number().map_or(0, Number::integer_bits),
        }
    }

    /// The address as it is read, with its type in the PLC.
    pub(crate) fn spelling(&self, kind: BuiltIn) -> String {
        let iec = match self.raw {
            RawType::String | RawType::Wstring => format!("{}[{}]", self.raw.iec(), self.length),
            RawType::Text => format!("ARRAY[0..{}] OF CHAR", self.length.max(1) - 1),
            RawType::Bytes => format!("ARRAY[0..{}] OF BYTE", self.length.max(1) - 1),
            RawType::S5time if self.address.area == Area::Timers => "a timer".to_owned(),
            RawType::Bcd16 if self.address.area == Area::Counters => "a counter".to_owned(),
            raw => raw.iec().to_owned(),
        };
        let array = if self.is_array { format!("{} times ", self.elements) } else { String::new() };
        let longer = match (self.raw, kind) {
            (RawType::Float32, BuiltIn::Double) => {
                format!("; an LREAL is {}", self.address.with(Letter::Long))
            }
            _ => String::new(),
        };
        format!("{} read as {array}{iec}{longer}", self.address)
    }

    fn check_nan(&self) -> Result<(), PointError> {
        if self.nan && !self.raw.is_float() {
            let message = format!("raw_type {} has no NaN", self.raw.name());
            return Err(PointError::key("nan", message, "`nan` is for float32 and float64"));
        }
        Ok(())
    }

    fn add_invalid(&mut self, keys: &S7Point) -> Result<(), PointError> {
        for (at, number) in keys.invalid.iter().flatten().enumerate() {
            if !self.raw.number().is_some_and(|raw| self.invalid.add(number, raw)) {
                let message = format!("`{}` doesn't fit raw_type {}", number.0, self.raw.name());
                let help = "write a raw value as the device sends it, or its bit pattern as 0x8000";
                return Err(PointError { part: Part::Entry("invalid", at), ..PointError::new(0..0, message, help) });
            }
        }
        Ok(())
    }
}

/// A value of S7 lies in one place, and nothing else scales it.
fn refuse_parts(point: &PointPlan) -> Result<(), PointError> {
    if !point.words.is_empty() {
        let error = PointError::new(0..0, "an S7 value has one address".to_owned(), "name its first byte");
        return Err(PointError { part: Part::Entry("address", 1), ..error });
    }
    if let Some(exponent) = &point.exponent {
        let message = "driver `s7` has no `exponent`".to_owned();
        let error = PointError::new(0..exponent.len(), message, "write `factor` or `raw` and `eu`");
        return Err(PointError { part: Part::Exponent, ..error });
    }
    Ok(())
}

/// The type in the PLC: as the point says, or by the letter and the tag's type.
fn raw_type(keys: &S7Point, point: &PointPlan, address: Address) -> Result<RawType, PointError> {
    let own = match address.area {
        Area::Timers => Some((RawType::S5time, "a timer is read in ms")),
        Area::Counters => Some((RawType::Bcd16, "a counter is a number from 0 to 999")),
        _ => None,
    };
    match (keys.raw_type, own) {
        (None, Some((raw, _))) => Ok(raw),
        (Some(raw), Some((own, words))) if raw != own => {
            Err(PointError::key("raw_type", words.to_owned(), "delete `raw_type`"))
        }
        (Some(raw), _) => Ok(raw),
        (None, None) => by_letter(point, address),
    }
}

fn by_letter(point: &PointPlan, address: Address) -> Result<RawType, PointError> {
    let kind = point.kind;
    let ends = point.enumeration.as_ref().and_then(|of| of.ends());
    let is_unsigned = match ends {
        // A word that holds all values is an INT unless they need the sixteenth bit.
        Some((low, high)) => low >= 0 && address.letter == Letter::Word && i16::try_from(high).is_err(),
        None => matches!(kind, BuiltIn::Byte | BuiltIn::UInt16 | BuiltIn::UInt32 | BuiltIn::UInt64),
    };
    let is_float = matches!(kind, BuiltIn::Float | BuiltIn::Double);
    let pick = |unsigned: RawType, signed: RawType| if is_unsigned { unsigned } else { signed };
    Ok(match address.letter {
        Letter::Bit => RawType::Bool,
        _ if kind == BuiltIn::DateTime => {
            let message = "DateTime needs raw_type dt, dtl, ldt or date".to_owned();
            return Err(PointError::new(0..point.address.len(), message, "write `raw_type: dtl`, as the PLC has it"));
        }
        Letter::Byte | Letter::Any if kind == BuiltIn::String => RawType::String,
        Letter::Byte | Letter::Any if kind == BuiltIn::ByteString => RawType::Bytes,
        Letter::Byte if kind == BuiltIn::SByte || ends.is_some_and(|(low, _)| low < 0) => RawType::Int8,
        Letter::Byte => RawType::Uint8,
        Letter::Word | Letter::Element => pick(RawType::Uint16, RawType::Int16),
        Letter::Double if is_float => RawType::Float32,
        Letter::Double => pick(RawType::Uint32, RawType::Int32),
        Letter::Long if is_float => RawType::Float64,
        Letter::Long => pick(RawType::Uint64, RawType::Int64),
        Letter::Any => any(kind),
    })
}

/// A type that fits, where the address is not known.
fn any(kind: BuiltIn) -> RawType {
    match kind {
        BuiltIn::Boolean => RawType::Bool,
        BuiltIn::Float => RawType::Float32,
        BuiltIn::Double => RawType::Float64,
        _ => RawType::Int16,
    }
}

fn check_kind(raw: RawType, point: &PointPlan, is_said: bool, address: Address) -> Result<(), PointError> {
    let kind = point.kind;
    let fits = match raw {
        raw if raw.is_text() => kind == BuiltIn::String,
        raw if raw.is_date() => kind == BuiltIn::DateTime,
        RawType::Bytes => kind == BuiltIn::ByteString,
        raw if raw.is_float() && !point.has_scale => matches!(kind, BuiltIn::Float | BuiltIn::Double),
        raw if raw.is_float() => kind.is_number(),
        _ => kind.is_number() || kind == BuiltIn::Boolean,
    };
    // An INT is no Float by itself, but it may be said to be one.
    let is_count = kind == BuiltIn::Float && raw == RawType::Int16 && !point.has_scale && !is_said;
    if is_count && address.letter == Letter::Word {
        let double = address.with(Letter::Double);
        let help = format!("write {double}, or `raw_type: int16` if it is a number of counts");
        return Err(PointError::new(0..point.address.len(), "2 bytes are no Float".to_owned(), &help));
    }
    let is_whole = kind == BuiltIn::Boolean && address.letter.bytes().is_some() && !is_said;
    if is_whole {
        let bit = Address { letter: Letter::Bit, ..address };
        let message = format!("{} is no bit", address.prefix());
        let help = format!("write {bit}, or `raw_type: {}` if the number is 0 or 1", raw.name());
        return Err(PointError::new(0..point.address.len(), message, &help));
    }
    if fits {
        return Ok(());
    }
    let help = match kind {
        BuiltIn::String => "raw_type string, wstring or text make a String, from DBB",
        BuiltIn::ByteString => "raw_type bytes makes a ByteString, from DBB",
        BuiltIn::DateTime => "DateTime needs raw_type dt, dtl, ldt or date",
        _ if raw.is_date() => "make the tag a DateTime",
        _ if raw.is_text() => "make the tag a String",
        _ if raw == RawType::Bytes => "make the tag a ByteString",
        _ if kind.is_integer() => "give `scale`, or make the tag a Float or Double",
        _ => "take another raw_type, or leave it out",
    };
    let error = PointError::key("raw_type", format!("raw_type {} does not make a {kind:?}", raw.name()), help);
    // Without the key the address says it.
    let at = 0..point.address.len();
    Err(if is_said { error } else { PointError { part: Part::Address, at, ..error } })
}

/// The letter reads as many bytes as the type has; texts, dates and bytes may begin at a B.
fn check_width(raw: RawType, address: Address, point: &PointPlan) -> Result<(), PointError> {
    if address.letter == Letter::Any || address.letter == Letter::Element {
        return Ok(());
    }
    let is_bit = address.letter == Letter::Bit;
    let size = raw.size();
    let begins_anywhere = size.is_none() || raw.is_date();
    let fits = match (raw, address.letter.bytes()) {
        (RawType::Bool, None) => true,
        (RawType::Bool, Some(_)) | (_, None) => false,
        (_, Some(1)) if begins_anywhere => true,
        (_, bytes) => size == bytes,
    };
    if fits {
        return Ok(());
    }
    let (name, prefix) = (raw.name(), address.prefix());
    let right = match (raw, size) {
        (RawType::Bool, _) => Address { letter: Letter::Bit, ..address }.to_string(),
        (_, Some(bytes)) if !raw.is_date() => address.with(Letter::of_bytes(bytes)).prefix(),
        _ => address.with(Letter::Byte).prefix(),
    };
    let (message, help) = match (size, address.letter.bytes()) {
        (Some(has), Some(reads)) => {
            let bytes = if has == 1 { "byte" } else { "bytes" };
            (format!("`{name}` has {has} {bytes}, {prefix} reads {reads}"), format!("write {right}"))
        }
        (_, None) => (format!("{} is a bit, and `{name}` is none", point.address), format!("write {right}")),
        (None, Some(_)) => (format!("`{name}` begins at a byte, not at {prefix}"), format!("write {right}")),
    };
    let at = if is_bit { point.address.rfind('.').unwrap_or(0)..point.address.len() } else { 0..point.address.len() };
    Err(PointError::new(at, message, &help))
}

fn length(raw: RawType, point: &PointPlan) -> Result<u32, PointError> {
    if !raw.is_text() && raw != RawType::Bytes {
        return Ok(0);
    }
    let most = match raw {
        RawType::String => LONGEST_STRING,
        RawType::Wstring => LONGEST_WSTRING,
        _ => LAST_BYTE,
    };
    match point.length.filter(|length| *length > 0) {
        Some(length) if length <= most => Ok(length),
        Some(length) => {
            let message = format!("a {} has at most {most} characters, not {length}", raw.iec());
            Err(PointError::key("length", message, "write the length that the PLC has"))
        }
        None => {
            let help = match raw {
                RawType::String => "STRING[20] is `length: 20`",
                RawType::Wstring => "WSTRING[20] is `length: 20`",
                _ => "ARRAY[0..19] is `length: 20`",
            };
            Err(PointError::key("length", "`length` is missing".to_owned(), help))
        }
    }
}

fn size(raw: RawType, length: u32) -> u32 {
    match raw {
        RawType::Bool => 1,
        RawType::Text | RawType::Bytes => length,
        RawType::String => 2 + length,
        RawType::Wstring => 4 + 2 * length,
        raw => raw.size().unwrap_or(1),
    }
}

/// In a PLC each element of more than one byte begins at an even byte; arrays of bytes have no gaps.
fn stride(raw: RawType, length: u32, address: Address) -> u32 {
    let size = size(raw, length);
    match raw {
        RawType::String => size.next_multiple_of(2),
        _ if address.area.has_elements() => 1,
        _ => size,
    }
}

fn check_access(variable: &Variable, point: &PointPlan) -> Result<(), PointError> {
    let address = variable.address;
    let whole = 0..point.address.len();
    if point.write {
        let (message, help) = match address.area {
            Area::Inputs | Area::PeripheralInputs => {
                let area = if address.area.is_peripheral() { Area::PeripheralOutputs } else { Area::Outputs };
                ("inputs can't be written", format!("did you mean {}?", Address { area, ..address }))
            }
            Area::Timers => ("timers can't be written", "leave `write` out; write a time in a DB".to_owned()),
            Area::Counters => ("counters can't be written", "leave `write` out; write a number in a DB".to_owned()),
            _ => ("", String::new()),
        };
        if !message.is_empty() {
            return Err(PointError::new(whole, message.to_owned(), &help));
        }
    }
    if point.read && address.area == Area::PeripheralOutputs {
        let image = Address { area: Area::Outputs, ..address };
        let help = format!("write `read: false` next to `write: true`, or {image}");
        return Err(PointError::new(whole, "peripheral outputs can't be read".to_owned(), &help));
    }
    Ok(())
}

/// The value ends inside of the area.
fn check_reach(variable: &Variable, point: &PointPlan) -> Result<(), PointError> {
    let last = if variable.address.area.has_elements() { 65_535 } else { LAST_BYTE };
    let bytes = u64::from(variable.elements) * u64::from(variable.stride.max(1));
    let end = u64::from(variable.address.start) + bytes;
    if variable.elements == 0 || end > u64::from(last) + 1 {
        let message = format!("{} elements from {} reach beyond {last}", variable.elements, variable.address);
        return Err(PointError::new(0..point.address.len(), message, "start lower, or shorten the array or text"));
    }
    Ok(())
}
