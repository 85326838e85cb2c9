//! Our values as Variants.

use opcell::testing::stack::codec::Writer;
use opcell::value::{Array, Elements, Value};
use opcua::{ByteString, UAString, Variant, VariantScalarTypeId};

use super::{decode, time};

pub fn variant(value: &Value) -> Variant {
    match value {
        Value::Null => Variant::Empty,
        Value::Boolean(value) => Variant::from(*value),
        Value::SByte(value) => Variant::from(*value),
        Value::Byte(value) => Variant::from(*value),
        Value::Int16(value) => Variant::from(*value),
        Value::UInt16(value) => Variant::from(*value),
        Value::Int32(value) => Variant::from(*value),
        Value::UInt32(value) => Variant::from(*value),
        Value::Int64(value) => Variant::from(*value),
        Value::UInt64(value) => Variant::from(*value),
        Value::Float(value) => Variant::from(*value),
        Value::Double(value) => Variant::from(*value),
        Value::DateTime(value) => Variant::from(time(value.0)),
        Value::String(value) => Variant::from(UAString::from(value.to_string())),
        Value::ByteString(value) => Variant::from(ByteString::from(value.to_vec())),
        Value::Array(array) if !matches!(array.elements, Elements::Struct(_)) => {
            Variant::Array(Box::new(array_of(array)))
        }
        Value::Array(_) | Value::Struct(_) => {
            let mut w = Writer::new();
            w.variant(value);
            decode(&w.buf)
        }
        Value::Wire(bytes) => decode(bytes),
    }
}

fn array_of(array: &Array) -> opcua::Array {
    fn all<T: Clone>(
        of: VariantScalarTypeId,
        from: &[T],
        one: impl Fn(T) -> Variant,
    ) -> (VariantScalarTypeId, Vec<Variant>) {
        (of, from.iter().cloned().map(one).collect())
    }
    use VariantScalarTypeId as Of;
    let (of, values) = match &array.elements {
        Elements::Boolean(from) => all(Of::Boolean, from, Variant::from),
        Elements::SByte(from) => all(Of::SByte, from, Variant::from),
        Elements::Byte(from) => all(Of::Byte, from, Variant::from),
        Elements::Int16(from) => all(Of::Int16, from, Variant::from),
        Elements::UInt16(from) => all(Of::UInt16, from, Variant::from),
        Elements::Int32(from) => all(Of::Int32, from, Variant::from),
        Elements::UInt32(from) => all(Of::UInt32, from, Variant::from),
        Elements::Int64(from) => all(Of::Int64, from, Variant::from),
        Elements::UInt64(from) => all(Of::UInt64, from, Variant::from),
        Elements::Float(from) => all(Of::Float, from, Variant::from),
        Elements::Double(from) => all(Of::Double, from, Variant::from),
        Elements::DateTime(from) => all(Of::DateTime, from, |at| Variant::from(time(at.0))),
        Elements::String(from) => all(Of::String, from, |text| Variant::from(UAString::from(text.to_string()))),
        Elements::ByteString(from) => {
            all(Of::ByteString, from, |bytes| Variant::from(ByteString::from(bytes.to_vec())))
        }
        Elements::Struct(_) => panic!("structures go through their encoding"),
    };
    let made = if array.dimensions.is_empty() {
        opcua::Array::new(of, values)
    } else {
        opcua::Array::new_multi(of, values, array.dimensions.clone())
    };
    made.expect("elements of one type that fill their dimensions")
}
