//! The type that a PLC tells with each value. Pure.

use super::frame::word;
use crate::drivers::number::Number;

/// Type of the elements of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlcType {
    Bool,
    Number(Number),
    /// 32 bits, as arrays of BOOL are packed.
    Dword,
    /// A text of CIP with a length of one byte, as Micro800 has it, or of two.
    ShortString,
    String,
    /// A structure by its handle, which is made of its definition.
    Structure(u16),
    Other(u16),
}

const STRUCTURE: u16 = 0x02a0;
/// The handle of STRING in Logix.
pub(crate) const HANDLE_OF_STRING: u16 = 0x0fce;

const NAMES: [(u16, &str, PlcType); 17] = [
    (0xc1, "BOOL", PlcType::Bool),
    (0xc2, "SINT", PlcType::Number(Number::Int8)),
    (0xc3, "INT", PlcType::Number(Number::Int16)),
    (0xc4, "DINT", PlcType::Number(Number::Int32)),
    (0xc5, "LINT", PlcType::Number(Number::Int64)),
    (0xc6, "USINT", PlcType::Number(Number::Uint8)),
    (0xc7, "UINT", PlcType::Number(Number::Uint16)),
    (0xc8, "UDINT", PlcType::Number(Number::Uint32)),
    (0xc9, "ULINT", PlcType::Number(Number::Uint64)),
    (0xca, "REAL", PlcType::Number(Number::Float32)),
    (0xcb, "LREAL", PlcType::Number(Number::Float64)),
    (0xd0, "STRING", PlcType::String),
    (0xd1, "BYTE", PlcType::Number(Number::Uint8)),
    (0xd2, "WORD", PlcType::Number(Number::Uint16)),
    (0xd3, "DWORD", PlcType::Dword),
    (0xd4, "LWORD", PlcType::Number(Number::Uint64)),
    (0xda, "STRING", PlcType::ShortString),
];

impl PlcType {
    /// The type at the start of a value, and the bytes that it takes.
    pub(crate) fn read(data: &[u8]) -> Option<Typed<'_>> {
        let number = word(data, 0)?;
        if number == STRUCTURE {
            return Some(Typed { of: PlcType::Structure(word(data, 2)?), head: &data[..4], data: &data[4..] });
        }
        Some(Typed { of: PlcType::of(number), head: &data[..2], data: &data[2..] })
    }

    pub(crate) fn of(number: u16) -> PlcType {
        // A BOOL in a structure has its bit in the higher byte.
        let plain = if number & 0xf8ff == 0xc1 { 0xc1 } else { number };
        NAMES.iter().find(|(of, ..)| *of == plain).map_or(PlcType::Other(number), |(.., of)| *of)
    }

    /// Bytes of one element, where the type alone says it.
    pub(crate) fn size(self) -> Option<usize> {
        match self {
            PlcType::Bool => Some(1),
            PlcType::Dword => Some(4),
            PlcType::Number(number) => Some(number.bits() as usize / 8),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> String {
        match self {
            PlcType::Structure(HANDLE_OF_STRING) => "STRING".to_owned(),
            PlcType::Structure(_) => "a structure".to_owned(),
            PlcType::Other(number) => format!("type {number:#06x}"),
            of => NAMES.iter().find(|(.., known)| *known == of).map_or("", |(_, name, _)| *name).to_owned(),
        }
    }

    /// The DataType of a tag that holds all its values.
    pub(crate) fn data_type(self) -> &'static str {
        match self {
            PlcType::Bool => "Boolean",
            PlcType::Number(Number::Int8) => "SByte",
            PlcType::Number(Number::Uint8) => "Byte",
            PlcType::Number(Number::Int16) => "Int16",
            PlcType::Number(Number::Uint16) => "UInt16",
            PlcType::Number(Number::Int32) => "Int32",
            PlcType::Number(Number::Uint32) | PlcType::Dword => "UInt32",
            PlcType::Number(Number::Int64) => "Int64",
            PlcType::Number(Number::Uint64) => "UInt64",
            PlcType::Number(Number::Float32) => "Float",
            PlcType::Number(_) => "Double",
            PlcType::ShortString | PlcType::String | PlcType::Structure(HANDLE_OF_STRING) => "String",
            PlcType::Structure(_) | PlcType::Other(_) => "",
        }
    }
}

/// A value's bytes and their type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Typed<'a> {
    pub of: PlcType,
    /// The type in the PLC's own bytes, with which a write begins: UINT and WORD are two there.
    pub head: &'a [u8],
    pub data: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_begins_with_its_type() {
        for (bytes, head, name) in [
            (&[0xc4, 0, 1][..], 2, "DINT"),
            (&[0xca, 0, 1], 2, "REAL"),
            (&[0xd3, 0, 1], 2, "DWORD"),
            (&[0xd2, 0, 1], 2, "UINT"),
            (&[0xa0, 2, 0xce, 0x0f, 1], 4, "STRING"),
            (&[0xa0, 2, 1, 2, 1], 4, "a structure"),
            (&[0xdb, 0, 1], 2, "type 0x00db"),
        ] {
            let typed = PlcType::read(bytes).expect("a type");
            assert_eq!((typed.head, typed.data, typed.of.name().as_str()), (&bytes[..head], &[1][..], name));
        }
        assert_eq!(PlcType::of(0x05c1), PlcType::Bool);
        assert!(PlcType::read(&[0xa0, 2, 1]).is_none() && PlcType::read(&[1]).is_none());
    }
}
