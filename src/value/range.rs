//! Parts of a value: NumericRange as clients write it, applied to arrays, matrices, texts and byte strings.
//!
//! Only wrong syntax is Bad_IndexRangeInvalid; a well-formed range that meets no data is Bad_IndexRangeNoData, and
//! one that reaches beyond the end on reading gives what there is (Part 4 §7.27, 1.05).

use std::sync::Arc;

use opcua::StatusCode;

use super::{Array, Elements, Value};

/// More dimensions than any tag has.
const MAX_DIMENSIONS: usize = 8;

/// First and last index of each dimension, both included: `1`, `1:3`, `0:1,2:3`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IndexRange(Vec<Indices>);

/// First and last index of one dimension, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Indices {
    pub first: u32,
    pub last: u32,
}

/// Elements of an array that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub first: u32,
    pub count: usize,
    /// Of the block; empty for one dimension.
    pub dimensions: Vec<u32>,
}

impl IndexRange {
    /// `None` for the empty text, which asks for the whole value.
    pub fn parse(text: &str) -> Result<Option<IndexRange>, StatusCode> {
        if text.is_empty() {
            return Ok(None);
        }
        let mut dimensions = Vec::new();
        for part in text.split(',') {
            let span = match part.split_once(':') {
                None => index(part).map(|at| Indices { first: at, last: at }),
                Some((first, last)) => {
                    let indices = index(first).zip(index(last)).map(|(first, last)| Indices { first, last });
                    indices.filter(|indices| indices.first < indices.last)
                }
            };
            dimensions.push(span.ok_or(StatusCode::BadIndexRangeInvalid)?);
            if dimensions.len() > MAX_DIMENSIONS {
                return Err(StatusCode::BadIndexRangeNoData);
            }
        }
        Ok(Some(IndexRange(dimensions)))
    }

    /// The first and last index when there is one dimension.
    pub fn single(&self) -> Option<Indices> {
        match self.0[..] {
            [span] => Some(span),
            _ => None,
        }
    }

    /// The elements of a block in an array of these dimensions, if they follow each other there; the block's own dimensions.
    /// Outside of the array it is BadIndexRangeNoData, and a block with gaps BadWriteNotSupported.
    pub fn run(&self, dimensions: &[u32]) -> Result<Run, StatusCode> {
        let shape: Vec<usize> = dimensions.iter().map(|size| *size as usize).collect();
        let spans = clip(&self.0, &shape)?;
        if self.0.iter().zip(&spans).any(|(wanted, (_, last))| wanted.last as usize != *last) {
            return Err(StatusCode::BadIndexRangeNoData);
        }
        let places = indices(&shape, &spans);
        if places.windows(2).any(|pair| pair[0] + 1 != pair[1]) {
            return Err(StatusCode::BadWriteNotSupported);
        }
        let first = places.first().and_then(|first| u32::try_from(*first).ok());
        let first = first.ok_or(StatusCode::BadIndexRangeNoData)?;
        Ok(Run { first, count: places.len(), dimensions: self::dimensions(&spans) })
    }

    /// The part of `value` inside the range.
    pub fn apply(&self, value: &Value) -> Result<Value, StatusCode> {
        match value {
            Value::String(text) => Ok(Value::String(sub_text(text, self.only()?)?)),
            Value::ByteString(bytes) => Ok(Value::ByteString(sub_bytes(bytes, self.only()?)?)),
            Value::Array(array) => self.apply_to_array(array),
            _ => Err(StatusCode::BadIndexRangeNoData),
        }
    }

    /// `target` with the part inside the range replaced by `part`, whose size must be that of the range.
    pub fn write(&self, target: &Value, part: &Value) -> Result<Value, StatusCode> {
        match (target, part) {
            (Value::String(old), Value::String(new)) => write_text(old, new, self.only()?),
            (Value::ByteString(old), Value::ByteString(new)) => {
                let (first, last) = bounds(self.only()?, old.len())?;
                if new.len() != last - first + 1 {
                    return Err(StatusCode::BadIndexRangeDataMismatch);
                }
                let mut bytes = old.to_vec();
                bytes[first..=last].copy_from_slice(new);
                Ok(Value::ByteString(bytes.into()))
            }
            (Value::Array(array), part) => self.write_to_array(array, part),
            (Value::String(_) | Value::ByteString(_), _) => Err(StatusCode::BadTypeMismatch),
            _ => Err(StatusCode::BadIndexRangeNoData),
        }
    }

    fn only(&self) -> Result<Indices, StatusCode> {
        self.single().ok_or(StatusCode::BadIndexRangeNoData)
    }

    fn apply_to_array(&self, array: &Array) -> Result<Value, StatusCode> {
        let shape = shape_of(array);
        let (spans, inner) = self.0.split_at(self.0.len().min(shape.len()));
        let spans = clip(spans, &shape)?;
        let elements = array.elements.pick(&indices(&shape, &spans));
        let elements = match (inner, elements) {
            ([], elements) => elements,
            ([span], Elements::String(texts)) => {
                Elements::String(texts.iter().map(|text| sub_text(text, *span)).collect::<Result<_, _>>()?)
            }
            ([span], Elements::ByteString(items)) => {
                Elements::ByteString(items.iter().map(|bytes| sub_bytes(bytes, *span)).collect::<Result<_, _>>()?)
            }
            _ => return Err(StatusCode::BadIndexRangeNoData),
        };
        Ok(Value::Array(Arc::new(Array { elements, dimensions: dimensions(&spans) })))
    }

    fn write_to_array(&self, array: &Array, part: &Value) -> Result<Value, StatusCode> {
        let shape = shape_of(array);
        if part.built_in() != Some(array.elements.built_in()) {
            return Err(StatusCode::BadTypeMismatch);
        }
        let spans = clip(&self.0, &shape)?;
        if self.0.iter().zip(&spans).any(|(wanted, (_, last))| wanted.last as usize != *last) {
            return Err(StatusCode::BadIndexRangeNoData);
        }
        let at = indices(&shape, &spans);
        let mut elements = array.elements.clone();
        match part {
            Value::Array(part) => {
                let same_shape = part.dimensions.is_empty() || part.dimensions == dimensions(&spans);
                if part.elements.len() != at.len() || !same_shape || !elements.put(&at, &part.elements) {
                    return Err(StatusCode::BadIndexRangeDataMismatch);
                }
            }
            scalar => {
                let single = Elements::of(scalar).filter(|_| at.len() == 1);
                if !single.is_some_and(|single| elements.put(&at, &single)) {
                    return Err(StatusCode::BadIndexRangeDataMismatch);
                }
            }
        }
        Ok(Value::Array(Arc::new(Array { elements, dimensions: array.dimensions.clone() })))
    }
}

fn index(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn shape_of(array: &Array) -> Vec<usize> {
    match array.dimensions[..] {
        [] => vec![array.elements.len()],
        ref dimensions => dimensions.iter().map(|n| *n as usize).collect(),
    }
}

/// First and last index inside `len` elements; the last is held at the end.
fn bounds(indices: Indices, len: usize) -> Result<(usize, usize), StatusCode> {
    let (low, high) = (indices.first as usize, indices.last as usize);
    if low >= len {
        return Err(StatusCode::BadIndexRangeNoData);
    }
    Ok((low, high.min(len - 1)))
}

fn clip(spans: &[Indices], shape: &[usize]) -> Result<Vec<(usize, usize)>, StatusCode> {
    if spans.len() != shape.len() {
        return Err(StatusCode::BadIndexRangeNoData);
    }
    spans.iter().zip(shape).map(|(span, len)| bounds(*span, *len)).collect()
}

/// Empty for one dimension, as `Array` wants it.
fn dimensions(spans: &[(usize, usize)]) -> Vec<u32> {
    match spans {
        [_] => Vec::new(),
        spans => spans.iter().map(|(first, last)| u32::try_from(last - first + 1).unwrap_or(u32::MAX)).collect(),
    }
}

/// Places of the chosen elements in the flat array, the last dimension running fastest.
fn indices(shape: &[usize], spans: &[(usize, usize)]) -> Vec<usize> {
    let mut places = vec![0];
    for (len, (first, last)) in shape.iter().zip(spans) {
        places = places.iter().flat_map(|place| (*first..=*last).map(move |at| place * len + at)).collect();
    }
    places
}

fn sub_text(text: &str, span: Indices) -> Result<Arc<str>, StatusCode> {
    let (first, last) = bounds(span, text.chars().count())?;
    Ok(text.chars().skip(first).take(last - first + 1).collect::<String>().into())
}

fn sub_bytes(bytes: &[u8], span: Indices) -> Result<Arc<[u8]>, StatusCode> {
    let (first, last) = bounds(span, bytes.len())?;
    Ok(bytes[first..=last].into())
}

fn write_text(old: &str, new: &str, span: Indices) -> Result<Value, StatusCode> {
    let mut chars: Vec<char> = old.chars().collect();
    let (first, last) = bounds(span, chars.len())?;
    if span.last as usize != last || new.chars().count() != last - first + 1 {
        return Err(StatusCode::BadIndexRangeDataMismatch);
    }
    chars.splice(first..=last, new.chars());
    Ok(Value::String(chars.into_iter().collect::<String>().into()))
}

macro_rules! each_kind {
    ($($kind:ident $built_in:ident),*) => {
        impl Elements {
            /// The elements at these places, in this order.
            fn pick(&self, at: &[usize]) -> Elements {
                match self {
                    $(Elements::$kind(v) => Elements::$kind(at.iter().map(|i| v[*i].clone()).collect()),)*
                }
            }

            /// Sets the elements at these places; false, and nothing done, when the types differ.
            fn put(&mut self, at: &[usize], from: &Elements) -> bool {
                match (self, from) {
                    $((Elements::$kind(v), Elements::$kind(from)) => {
                        for (i, element) in at.iter().zip(from) {
                            v[*i] = element.clone();
                        }
                        true
                    })*
                    _ => false,
                }
            }

            /// An array of one element; `None` for Null, arrays and encoded values.
            pub fn of(value: &Value) -> Option<Elements> {
                match value {
                    $(Value::$kind(v) => Some(Elements::$kind(vec![v.clone()])),)*
                    Value::Null | Value::Array(_) | Value::Wire(_) => None,
                }
            }

            /// The values as one array of `kind`; `None` when one of them has another type.
            pub fn collect(kind: super::BuiltIn, values: impl Iterator<Item = Value>) -> Option<Elements> {
                match kind {
                    $(super::BuiltIn::$built_in => values
                        .map(|value| if let Value::$kind(v) = value { Some(v) } else { None })
                        .collect::<Option<_>>()
                        .map(Elements::$kind),)*
                    _ => None,
                }
            }
        }
    };
}
#[rustfmt::skip]
each_kind!(
    Boolean Boolean, SByte SByte, Byte Byte, Int16 Int16, UInt16 UInt16, Int32 Int32, UInt32 UInt32, Int64 Int64,
    UInt64 UInt64, Float Float, Double Double, DateTime DateTime, String String, ByteString ByteString,
    Struct ExtensionObject
);

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> Value {
        let elements = Elements::Int16((0..12).collect());
        Value::Array(Arc::new(Array { elements, dimensions: vec![3, 4] }))
    }

    fn range(text: &str) -> IndexRange {
        IndexRange::parse(text).expect(text).expect(text)
    }

    #[test]
    fn only_wrong_syntax_is_an_invalid_range() {
        assert_eq!(IndexRange::parse(""), Ok(None));
        for text in ["abc", "4:2", "5:5", "1:", ":1", "1:2:3", " 1", "1, 2", "+1", "-1", ",", "99999999999"] {
            assert_eq!(IndexRange::parse(text), Err(StatusCode::BadIndexRangeInvalid), "{text}");
        }
    }

    #[test]
    fn a_range_reads_what_is_inside_it() {
        let row = Value::array(Elements::Byte(vec![10, 11, 12, 13]));
        let names = Value::array(Elements::String(vec!["Pump".into(), "Fan".into()]));
        let bytes = |v: &[u8]| Ok(Value::array(Elements::Byte(v.to_vec())));
        let part = |v: &[i16], dimensions: &[u32]| {
            let elements = Elements::Int16(v.to_vec());
            Ok(Value::Array(Arc::new(Array { elements, dimensions: dimensions.to_vec() })))
        };
        let none = Err(StatusCode::BadIndexRangeNoData);
        for (value, text, result) in [
            (&row, "1", bytes(&[11])),
            (&row, "1:2", bytes(&[11, 12])),
            (&row, "2:900", bytes(&[12, 13])),
            (&row, "4", none.clone()),
            (&row, "0,0", none.clone()),
            (&matrix(), "1,1:2", part(&[5, 6], &[1, 2])),
            (&matrix(), "1:9,3", part(&[7, 11], &[2, 1])),
            (&matrix(), "1", none.clone()),
            (&Value::text("Füller"), "1:2", Ok(Value::text("ül"))),
            (&Value::text(""), "0", none.clone()),
            (&names, "0:1,1", Ok(Value::array(Elements::String(vec!["u".into(), "a".into()])))),
            (&names, "0:1,3", none.clone()),
            (&Value::ByteString([1, 2, 3][..].into()), "1:7", Ok(Value::ByteString([2, 3][..].into()))),
            (&Value::Int16(1), "0", none.clone()),
        ] {
            assert_eq!(range(text).apply(value), result, "{text} of {value:?}");
        }
    }

    #[test]
    fn a_block_without_gaps_is_a_run() {
        let (none, gaps) = (Err(StatusCode::BadIndexRangeNoData), Err(StatusCode::BadWriteNotSupported));
        let run = |first, count, dimensions: &[u32]| Ok(Run { first, count, dimensions: dimensions.to_vec() });
        for (text, dimensions, result) in [
            ("1:2", &[4][..], run(1, 2, &[])),
            ("3:4", &[4], none.clone()),
            ("1,0:3", &[3, 4], run(4, 4, &[1, 4])),
            ("1,1:2", &[3, 4], run(5, 2, &[1, 2])),
            ("0:1,0:3", &[3, 4], run(0, 8, &[2, 4])),
            ("0:1,1", &[3, 4], gaps.clone()),
            ("2,3", &[3, 4], run(11, 1, &[1, 1])),
            ("1", &[3, 4], none.clone()),
            ("1,0,1", &[2, 2, 2], run(5, 1, &[1, 1, 1])),
        ] {
            assert_eq!(range(text).run(dimensions), result, "{text} of {dimensions:?}");
        }
    }

    #[test]
    fn a_range_is_written_only_by_data_of_its_size() {
        let row = Value::array(Elements::Byte(vec![10, 11, 12, 13]));
        let bytes = |v: &[u8]| Value::array(Elements::Byte(v.to_vec()));
        for (value, text, part, result) in [
            (&row, "1:2", bytes(&[1, 2]), Ok(bytes(&[10, 1, 2, 13]))),
            (&row, "3", bytes(&[9]), Ok(bytes(&[10, 11, 12, 9]))),
            (&row, "3", Value::Byte(9), Ok(bytes(&[10, 11, 12, 9]))),
            (&row, "1:2", Value::Byte(9), Err(StatusCode::BadIndexRangeDataMismatch)),
            (&row, "1:2", bytes(&[1, 2, 3]), Err(StatusCode::BadIndexRangeDataMismatch)),
            (&row, "3:4", bytes(&[1, 2]), Err(StatusCode::BadIndexRangeNoData)),
            (&row, "1", Value::Int16(1), Err(StatusCode::BadTypeMismatch)),
            (&Value::text("Pump"), "0", Value::text("J"), Ok(Value::text("Jump"))),
            (&Value::text("Pump"), "0", Value::text("Ju"), Err(StatusCode::BadIndexRangeDataMismatch)),
            (&Value::Int16(1), "0", Value::Int16(2), Err(StatusCode::BadIndexRangeNoData)),
        ] {
            assert_eq!(range(text).write(value, &part), result, "{part:?} to {text} of {value:?}");
        }
        let part = Value::array(Elements::Int16(vec![50, 60]));
        let written = range("1,1:2").write(&matrix(), &part).expect("it fits");
        assert_eq!(range("1,1:2").apply(&written).expect("there is data"), {
            let elements = Elements::Int16(vec![50, 60]);
            Value::Array(Arc::new(Array { elements, dimensions: vec![1, 2] }))
        });
    }
}
