//! Properties of structures: any bytes against any layout, and any value there and back.

use std::sync::Arc;

use opcua::StatusCode;

use super::structure::typed_structure;
use super::{NodeIdRef, Writer};
use crate::value::{Array, BuiltIn, Elements, FieldKind, FieldType, MOST_NESTED, Struct, StructKind, UaTime, Value};

/// Types that a field may have.
const KINDS: [BuiltIn; 14] = [
    BuiltIn::Boolean,
    BuiltIn::SByte,
    BuiltIn::Byte,
    BuiltIn::Int16,
    BuiltIn::UInt16,
    BuiltIn::Int32,
    BuiltIn::UInt32,
    BuiltIn::Int64,
    BuiltIn::UInt64,
    BuiltIn::Float,
    BuiltIn::Double,
    BuiltIn::DateTime,
    BuiltIn::String,
    BuiltIn::ByteString,
];

/// Choices that follow from bytes; without bytes each is the first.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, bound: u8) -> u8 {
        self.0.next().copied().unwrap_or(0) % bound
    }

    fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.below(255)))
    }
}

/// Takes the first bytes as a layout and the rest as the body of a structure of it. Panics when a rule is broken.
pub fn fuzz_structure(bytes: &[u8]) {
    let (layout, rest) = bytes.split_at(bytes.len().min(12));
    let kind = Arc::new(layout_of(&mut Choices(layout.iter()), 0));
    kind.pin(2);
    check_body(&kind, rest);
    let value = value_of(&kind, &mut Choices(rest.iter()));
    check_value(&kind, &value);
}

/// Checks that a body that is read is written again to the same value, and that one that is refused is BadTypeMismatch.
fn check_body(kind: &Arc<StructKind>, body: &[u8]) {
    let mut out = Writer::new();
    out.u8(BuiltIn::ExtensionObject as u8);
    out.node_id(NodeIdRef::numeric(kind.namespace(), kind.number));
    out.u8(1);
    out.bytes(Some(body));
    match typed_structure(kind, &Value::Wire(out.buf.into())) {
        Ok(value) => check_value(kind, &value),
        Err(status) => assert_eq!(status, StatusCode::BadTypeMismatch),
    }
}

fn check_value(kind: &Arc<StructKind>, value: &Value) {
    let mut out = Writer::new();
    out.variant(value);
    let again = typed_structure(kind, &Value::Wire(out.buf.clone().into())).expect("what we write we read");
    assert!(again.same_bits(value), "{value:?} came back as {again:?}");
    // One byte less, or one more, is another value or none.
    let head = 1 + 7 + 1 + 4;
    for body in [&out.buf[head..out.buf.len() - 1], &[&out.buf[head..], &[0]].concat()] {
        let mut other = Writer::new();
        other.u8(BuiltIn::ExtensionObject as u8);
        other.node_id(NodeIdRef::numeric(kind.namespace(), kind.number));
        other.u8(1);
        other.bytes(Some(body));
        let read = typed_structure(kind, &Value::Wire(other.buf.into()));
        assert_eq!(read, Err(StatusCode::BadTypeMismatch), "a body of another length");
    }
    // As is one of another encoding.
    let mut other = out.buf.clone();
    other[5] ^= 1;
    assert_eq!(typed_structure(kind, &Value::Wire(other.into())), Err(StatusCode::BadTypeMismatch));
}

fn layout_of(choices: &mut Choices<'_>, depth: usize) -> StructKind {
    let count = 1 + choices.below(3);
    let fields = (0..count).map(|at| {
        let of = match choices.below(8) {
            0 if depth + 1 < MOST_NESTED => FieldType::Struct(Arc::new(layout_of(choices, depth + 1))),
            _ => FieldType::BuiltIn(KINDS[usize::from(choices.below(14))]),
        };
        let rank = choices.below(3);
        let dimensions = (0..rank).map(|_| u32::from(1 + choices.below(3))).collect();
        FieldKind { name: format!("F{at}").into(), of, dimensions }
    });
    StructKind::new("Fuzz", fields.collect())
}

fn value_of(kind: &Arc<StructKind>, choices: &mut Choices<'_>) -> Value {
    let fields = kind.fields.iter().map(|field| {
        if field.dimensions.is_empty() {
            return one_of(&field.of, choices);
        }
        let all: Vec<Value> = (0..field.element_count()).map(|_| one_of(&field.of, choices)).collect();
        let elements = Elements::collect(field.of.wire(), all.into_iter()).expect("equal types");
        let dimensions = if field.dimensions.len() > 1 { field.dimensions.to_vec() } else { Vec::new() };
        Value::Array(Arc::new(Array { elements, dimensions }))
    });
    Value::Struct(Arc::new(Struct::new(Arc::clone(kind), fields.collect())))
}

#[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
fn one_of(of: &FieldType, choices: &mut Choices<'_>) -> Value {
    let kind = match of {
        FieldType::Struct(kind) => return value_of(kind, choices),
        FieldType::BuiltIn(kind) => *kind,
    };
    let number = choices.number();
    match kind {
        BuiltIn::Boolean => Value::Boolean(number & 1 == 1),
        BuiltIn::SByte => Value::SByte(number as i8),
        BuiltIn::Byte => Value::Byte(number as u8),
        BuiltIn::Int16 => Value::Int16(number as i16),
        BuiltIn::UInt16 => Value::UInt16(number as u16),
        BuiltIn::Int32 => Value::Int32(number as i32),
        BuiltIn::UInt32 => Value::UInt32(number as u32),
        BuiltIn::Int64 => Value::Int64(number.cast_signed()),
        BuiltIn::UInt64 => Value::UInt64(number),
        BuiltIn::Float => Value::Float(f32::from_bits(number as u32)),
        BuiltIn::Double => Value::Double(f64::from_bits(number)),
        BuiltIn::DateTime => Value::DateTime(UaTime(number.cast_signed())),
        BuiltIn::ByteString => Value::ByteString(number.to_le_bytes()[..usize::from(number as u8 % 9)].into()),
        _ => Value::text(&format!("ü{}", number % 1000)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_structure_or_refused_and_any_structure_comes_back(
            bytes in prop::collection::vec(any::<u8>(), 0..300)
        ) {
            fuzz_structure(&bytes);
        }
    }

    #[test]
    fn a_long_array_is_not_paid_for_before_its_bytes_are_there() {
        let field = |of, size: u32| FieldKind { name: "A".into(), of, dimensions: [size].into() };
        let inner = Arc::new(StructKind::new("In", vec![field(FieldType::BuiltIn(BuiltIn::Double), 1)]));
        for of in [FieldType::BuiltIn(BuiltIn::String), FieldType::Struct(inner)] {
            let kind = Arc::new(StructKind::new("Out", vec![field(of, 1_000_000)]));
            check_body(&kind, &1_000_000_i32.to_le_bytes());
        }
    }
}
