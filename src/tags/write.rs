//! Checks of written values: the type must be the tag's own, and the value inside its limits.
//!
//! A type that differs is Bad_TypeMismatch, a value outside EURange or an enumeration Bad_OutOfRange
//! (Part 4 §5.11.4.4, 1.05). Nothing is converted here: a Double for an Int32 is a client's mistake.

use opcua::StatusCode;

use crate::model::{DataType, Origin, Plant, Shape, Tag};
use crate::value::{Elements, IndexRange, Indices, Value};

pub(crate) fn check_writable(plant: &Plant, tag: &Tag) -> Result<(), StatusCode> {
    let open = match tag.origin {
        Origin::Device { connection, .. } => plant.connections[connection].allow_write,
        Origin::Memory { .. } => true,
        Origin::Derived(_) => false,
    };
    if open && tag.is_writable() { Ok(()) } else { Err(StatusCode::BadNotWritable) }
}

/// A whole value: type, rank, dimensions, length, range, enumeration.
pub(crate) fn check_whole(plant: &Plant, tag: &Tag, value: &Value) -> Result<(), StatusCode> {
    check_type(tag, value)?;
    if !has_shape(&tag.shape, value) {
        return Err(StatusCode::BadTypeMismatch);
    }
    check_limits(plant, tag, value)
}

/// Checks a value of the past: as a whole value, but a device may have left its EURange.
pub(crate) fn check_recorded(plant: &Plant, tag: &Tag, value: &Value) -> Result<(), StatusCode> {
    check_type(tag, value)?;
    if !has_shape(&tag.shape, value) {
        return Err(StatusCode::BadTypeMismatch);
    }
    check_length(tag, value)?;
    check_enum(plant, tag, value)
}

/// A value for a device, whole or by index range; gives the first element of a part. Only a run of elements of
/// a one-dimensional array can be sent without the rest: anything else would need the rest, which may be stale.
pub(crate) fn check_part(
    plant: &Plant,
    tag: &Tag,
    value: &Value,
    range: Option<&IndexRange>,
) -> Result<Option<u32>, StatusCode> {
    let Some(range) = range else {
        check_whole(plant, tag, value)?;
        return Ok(None);
    };
    let [count] = tag.shape.dimensions[..] else {
        return Err(StatusCode::BadWriteNotSupported);
    };
    let Indices { first, last } = range.single().ok_or(StatusCode::BadIndexRangeNoData)?;
    if last >= count {
        return Err(StatusCode::BadIndexRangeNoData);
    }
    check_type(tag, value)?;
    let given = match value {
        Value::Array(part) => part.elements.len(),
        _ => 1,
    };
    if given != (last - first) as usize + 1 {
        return Err(StatusCode::BadIndexRangeDataMismatch);
    }
    check_limits(plant, tag, value)?;
    Ok(Some(first))
}

fn check_type(tag: &Tag, value: &Value) -> Result<(), StatusCode> {
    let wanted = tag.shape.data_type.wire();
    if value.built_in() == Some(wanted) { Ok(()) } else { Err(StatusCode::BadTypeMismatch) }
}

fn has_shape(shape: &Shape, value: &Value) -> bool {
    match value {
        Value::Array(array) if shape.dimensions.len() > 1 => array.dimensions == shape.dimensions,
        Value::Array(array) => {
            !shape.is_scalar() && array.dimensions.len() <= 1 && array.elements.len() == shape.element_count()
        }
        Value::Wire(bytes) => shape.is_scalar() == bytes.first().is_some_and(|first| first & 0x80 == 0),
        _ => shape.is_scalar(),
    }
}

fn check_limits(plant: &Plant, tag: &Tag, value: &Value) -> Result<(), StatusCode> {
    check_length(tag, value)?;
    check_range(&tag.shape, value)?;
    check_enum(plant, tag, value)
}

/// A device counts the bytes of its own encoding, which has a byte or more for each letter: its driver counts them.
fn check_length(tag: &Tag, value: &Value) -> Result<(), StatusCode> {
    let Some(limit) = tag.shape.length else { return Ok(()) };
    let limit = limit as usize;
    let is_device = tag.connection().is_some();
    let holds = |text: &str| if is_device { text.chars().count() <= limit } else { text.len() <= limit };
    let fits = match value {
        Value::String(text) => holds(text),
        Value::ByteString(bytes) => bytes.len() <= limit,
        Value::Array(array) => match &array.elements {
            Elements::String(texts) => texts.iter().all(|text| holds(text)),
            Elements::ByteString(items) => items.iter().all(|bytes| bytes.len() <= limit),
            _ => true,
        },
        _ => true,
    };
    if fits { Ok(()) } else { Err(StatusCode::BadOutOfRange) }
}

fn check_range(shape: &Shape, value: &Value) -> Result<(), StatusCode> {
    let Some((low, high)) = shape.range else { return Ok(()) };
    let inside = |value: &Value| value.as_f64().is_none_or(|number| (low..=high).contains(&number));
    let fits = match value {
        Value::Array(array) => (0..array.elements.len()).all(|at| array.elements.get(at).is_none_or(|v| inside(&v))),
        value => inside(value),
    };
    if fits { Ok(()) } else { Err(StatusCode::BadOutOfRange) }
}

pub(crate) fn check_enum(plant: &Plant, tag: &Tag, value: &Value) -> Result<(), StatusCode> {
    let DataType::Enum(at) = tag.shape.data_type else { return Ok(()) };
    let names = &plant.cells[usize::from(tag.cell)].enums[at.0 as usize].values;
    let known = |number: i32| names.iter().any(|(value, _)| *value == number);
    let fits = match value {
        Value::Int32(number) => known(*number),
        Value::Array(array) => match &array.elements {
            Elements::Int32(numbers) => numbers.iter().all(|number| known(*number)),
            _ => true,
        },
        _ => true,
    };
    if fits { Ok(()) } else { Err(StatusCode::BadOutOfRange) }
}
