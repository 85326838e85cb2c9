//! Values of all types that OPC UA knows, out of the text of an export.

use crate::stack::codec::Reader;
use crate::value::{BuiltIn, Value, from_hex};

/// Reads the text of a value of this type; `None` when it is no such text. What OPC UA alone knows is its Variant in
/// hexadecimal.
pub(super) fn value_from_text(kind: BuiltIn, is_array: bool, text: &str) -> Option<Value> {
    let plain = crate::value::value_from_text(kind, is_array, text);
    if plain.is_some() || is_array {
        return plain;
    }
    let bytes = from_hex(text)?;
    let value = Reader::new(&bytes).variant().ok()?;
    (value.built_in() == Some(kind) && matches!(value, Value::Wire(_))).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::value_to_text;

    #[test]
    fn a_variant_reads_back_to_the_same() {
        // A LocalizedText "a" as only OPC UA writes it: the bytes of its Variant.
        let text = "0x15020100000061";
        let value = value_from_text(BuiltIn::LocalizedText, false, text).expect("a Variant");
        assert_eq!(value_to_text(&value), text);
        for (kind, text) in [(BuiltIn::LocalizedText, "0x0b01"), (BuiltIn::Boolean, "0x0101"), (BuiltIn::Byte, "256")] {
            assert_eq!(value_from_text(kind, false, text), None, "{kind:?} {text}");
        }
    }
}
