//! Variables of a server as a listing sees them, and what their properties say. Pure.

use super::browse::Reference;
use crate::stack::codec::{Decode, Reader};
use crate::value::{BuiltIn, Value};

/// Encodings of Range and EUInformation, and of EnumValueType (Part 6 §A.3, 1.05).
const RANGE: u32 = 886;
const EU_INFORMATION: u32 = 889;
const ENUM_VALUE: u32 = 8251;
/// Texts of an enumeration.
const MOST_TEXTS: usize = 4_096;

/// A variable.
#[derive(Debug)]
pub(super) struct Seen {
    /// The encoded NodeId.
    pub node: Vec<u8>,
    pub path: Vec<String>,
    pub properties: Vec<Property>,
}

#[derive(Debug)]
pub(super) struct Property {
    pub meta: Meta,
    pub node: Vec<u8>,
}

/// Properties that say what a value means (Part 8 §5.3.2 and §5.3.3, Part 3 §5.8.3, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meta {
    Unit,
    Range,
    Strings,
    Values,
}

impl Meta {
    pub(super) fn of(reference: &Reference) -> Option<Meta> {
        match (reference.namespace, reference.name.as_str()) {
            (0, "EngineeringUnits") => Some(Meta::Unit),
            (0, "EURange") => Some(Meta::Range),
            (0, "EnumStrings") => Some(Meta::Strings),
            (0, "EnumValues") => Some(Meta::Values),
            _ => None,
        }
    }
}

/// The content of a Variant that has no form of its own.
fn wire(value: &Value) -> Option<Wire<'_>> {
    let Value::Wire(bytes) = value else { return None };
    let (kind, rest) = bytes.split_first()?;
    Some(Wire { kind: BuiltIn::from_byte(kind & 0x3f)?, is_array: kind & 0x80 != 0, reader: Reader::new(rest) })
}

struct Wire<'a> {
    kind: BuiltIn,
    is_array: bool,
    reader: Reader<'a>,
}

/// The encoded NodeId in a value.
pub(super) fn node_of(value: &Value) -> Option<Vec<u8>> {
    let Wire { kind: BuiltIn::NodeId, is_array: false, mut reader } = wire(value)? else { return None };
    reader.node_id().ok()?;
    Some(reader.since(0).to_vec())
}

/// The text of a LocalizedText, a QualifiedName or a String.
pub(super) fn text_of(value: &Value) -> Option<String> {
    if let Value::String(text) = value {
        return Some(text.to_string());
    }
    let Wire { kind, is_array: false, mut reader } = wire(value)? else { return None };
    let text = match kind {
        BuiltIn::LocalizedText => reader.localized_text().ok()?.text,
        BuiltIn::QualifiedName => reader.qualified_name().ok()?.name,
        _ => None,
    };
    text.map(str::to_owned)
}

/// EURange: the low and the high end.
pub(super) fn range_of(value: &Value) -> Option<(f64, f64)> {
    let Wire { kind: BuiltIn::ExtensionObject, is_array: false, mut reader } = wire(value)? else { return None };
    let object = reader.extension_object().ok()?;
    let mut body = Reader::new(object.body.filter(|_| object.type_id.standard() == Some(RANGE))?);
    Some((body.f64().ok()?, body.f64().ok()?))
}

/// EngineeringUnits: the symbol.
pub(super) fn unit_of(value: &Value) -> Option<String> {
    let Wire { kind: BuiltIn::ExtensionObject, is_array: false, mut reader } = wire(value)? else { return None };
    let object = reader.extension_object().ok()?;
    let mut body = Reader::new(object.body.filter(|_| object.type_id.standard() == Some(EU_INFORMATION))?);
    body.string().ok()?;
    let id = body.i32().ok()?;
    let symbol = body.localized_text().ok()?.text.unwrap_or_default();
    if !symbol.trim().is_empty() {
        return Some(symbol.to_owned());
    }
    // Without a symbol: the letters of the UNECE code.
    let letters: String =
        id.to_be_bytes().iter().filter(|byte| byte.is_ascii_alphanumeric()).map(|byte| char::from(*byte)).collect();
    (!letters.is_empty()).then_some(letters)
}

/// EnumStrings: the texts of 0, 1, 2 and so on.
pub(super) fn strings_of(value: &Value) -> Option<Vec<(i32, String)>> {
    let Wire { kind: BuiltIn::LocalizedText, is_array: true, mut reader } = wire(value)? else { return None };
    let count = reader.count(1).ok()?;
    let text = |number: i32| Ok((number, reader.localized_text()?.text.unwrap_or_default().to_owned()));
    (0..i32::try_from(count).ok()?).take(MOST_TEXTS).map(text).collect::<Decode<Vec<_>>>().ok()
}

/// EnumValues: numbers with their texts.
pub(super) fn values_of(value: &Value) -> Option<Vec<(i32, String)>> {
    let Wire { kind: BuiltIn::ExtensionObject, is_array: true, mut reader } = wire(value)? else { return None };
    let count = reader.count(4).ok()?;
    let mut all = Vec::new();
    for _ in 0..count.min(MOST_TEXTS) {
        let object = reader.extension_object().ok()?;
        let mut body = Reader::new(object.body.filter(|_| object.type_id.standard() == Some(ENUM_VALUE))?);
        let number = body.i64().ok()?;
        let text = body.localized_text().ok()?.text.unwrap_or_default();
        // A number that no Int32 holds cannot come as a value.
        all.extend(i32::try_from(number).ok().map(|number| (number, text.to_owned())));
    }
    Some(all)
}

/// Reads bytes as each of these; for fuzzing.
pub(super) fn fuzz(value: &Value) {
    drop((node_of(value), text_of(value), range_of(value), unit_of(value), strings_of(value), values_of(value)));
}
