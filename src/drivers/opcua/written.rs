//! From a tag's value to the type that a node has, for a write. Pure.

use opcua::StatusCode;

use crate::value::{BuiltIn, Elements, Value};

/// The value as the node's type. A number that the type cannot hold is BadOutOfRange; only a fraction is rounded.
pub(super) fn as_node(value: &Value, kind: BuiltIn) -> Result<Value, StatusCode> {
    if value.built_in() == Some(kind) {
        return Ok(value.clone());
    }
    let Value::Array(array) = value else { return one(value, kind) };
    let count = array.elements.len();
    let values: Vec<Value> = (0..count)
        .filter_map(|at| array.elements.get(at))
        .map(|element| one(&element, kind))
        .collect::<Result<_, _>>()?;
    let elements = Elements::collect(kind, values.into_iter()).ok_or(StatusCode::BadTypeMismatch)?;
    let dimensions = array.dimensions.clone();
    Ok(Value::Array(std::sync::Arc::new(crate::value::Array { elements, dimensions })))
}

fn one(value: &Value, kind: BuiltIn) -> Result<Value, StatusCode> {
    if kind == BuiltIn::LocalizedText
        && let Value::String(text) = value
    {
        let mut out = crate::stack::codec::Writer::new();
        out.variant_head(kind);
        out.localized_text(crate::stack::codec::LocalizedTextRef { locale: None, text: Some(text) });
        return Ok(Value::Wire(out.buf.into()));
    }
    let is_boolean = matches!(value, Value::Boolean(_));
    if is_boolean != (kind == BuiltIn::Boolean) || !(kind.is_number() || is_boolean) {
        return Err(StatusCode::BadTypeMismatch);
    }
    let written = match value.as_integer() {
        Some(number) => Value::from_integer(kind, number).filter(|written| is_exact(written, number)),
        None => {
            let number = value.as_f64().ok_or(StatusCode::BadTypeMismatch)?;
            let written = Value::from_f64(kind, number);
            written.filter(|written| !number.is_finite() || written.as_f64().is_some_and(f64::is_finite))
        }
    };
    written.ok_or(StatusCode::BadOutOfRange)
}

/// A float holds the whole number to its last digit.
#[expect(clippy::cast_possible_truncation, reason = "what is lost is compared")]
fn is_exact(written: &Value, number: i128) -> bool {
    match written {
        Value::Float(float) => *float as i128 == number,
        Value::Double(float) => *float as i128 == number,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_in_the_type_of_its_node_or_not_at_all() {
        for (value, kind, written) in [
            (Value::Double(2.5), BuiltIn::Float, Ok(Value::Float(2.5))),
            (Value::Double(2.5), BuiltIn::Int16, Ok(Value::Int16(3))),
            (Value::Double(40_000.0), BuiltIn::Int16, Err(StatusCode::BadOutOfRange)),
            (Value::Double(1e300), BuiltIn::Float, Err(StatusCode::BadOutOfRange)),
            (Value::Double(f64::NAN), BuiltIn::Int16, Err(StatusCode::BadOutOfRange)),
            (Value::Int32(-1), BuiltIn::UInt32, Err(StatusCode::BadOutOfRange)),
            (Value::Int32(7), BuiltIn::Double, Ok(Value::Double(7.0))),
            (Value::Int32(16_777_217), BuiltIn::Float, Err(StatusCode::BadOutOfRange)),
            (Value::Boolean(true), BuiltIn::Int16, Err(StatusCode::BadTypeMismatch)),
            (Value::Int16(1), BuiltIn::Boolean, Err(StatusCode::BadTypeMismatch)),
            (Value::text("x"), BuiltIn::Int16, Err(StatusCode::BadTypeMismatch)),
            (Value::text("x"), BuiltIn::String, Ok(Value::text("x"))),
            (
                Value::array(Elements::Int32(vec![1, 2])),
                BuiltIn::Double,
                Ok(Value::array(Elements::Double(vec![1.0, 2.0]))),
            ),
            (Value::array(Elements::Int32(vec![1, -2])), BuiltIn::Byte, Err(StatusCode::BadOutOfRange)),
        ] {
            assert_eq!(as_node(&value, kind), written, "{value:?} as {kind:?}");
        }
    }
}
