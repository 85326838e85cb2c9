//! Text, arrays and structures: each different value once, packed, and for each sample its place among them.

use super::super::batch::{put_value, take_variant};
use super::super::bytes::{Input, put_packed, put_var, unpacked};
use super::super::trouble::{Damage, Intact};
use super::numbers::{Column, Width, encode};
use crate::value::Value;

/// Bytes of all different values of one block, at most; more are cut into several blocks.
pub(crate) const MOST_BYTES: usize = 4 << 20;

/// Bytes that a value takes here, about.
pub(crate) fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::ByteString(bytes) | Value::Wire(bytes) => bytes.len(),
        Value::Struct(of) => of.weight(),
        Value::Array(array) => {
            let elements = array.elements.len();
            let heap = match &array.elements {
                crate::value::Elements::String(texts) => texts.iter().map(|text| text.len()).sum(),
                crate::value::Elements::ByteString(parts) => parts.iter().map(|part| part.len()).sum(),
                _ => 0,
            };
            elements * 8 + heap
        }
        _ => 8,
    }
}

pub(crate) fn encode_values(out: &mut Vec<u8>, values: &[Value]) {
    let mut known: std::collections::HashMap<Vec<u8>, u64> = std::collections::HashMap::new();
    let mut raw = Vec::new();
    let mut places = Vec::with_capacity(values.len());
    let mut bytes = Vec::new();
    for value in values {
        bytes.clear();
        put_value(&mut bytes, value);
        let next = known.len() as u64;
        let place = match known.get(&bytes) {
            Some(place) => *place,
            None => {
                raw.extend_from_slice(&bytes);
                known.insert(bytes.clone(), next);
                next
            }
        };
        places.push(place);
    }
    let mut column = Vec::new();
    encode(&mut column, Width::U32, &places);
    put_var(out, column.len() as u64);
    out.extend_from_slice(&column);
    put_var(out, known.len() as u64);
    put_packed(out, &raw);
}

/// The different values of a block, and for each sample the place of its value.
pub(crate) struct Others {
    places: Column,
    values: Vec<Value>,
}

impl Others {
    pub(crate) fn open(bytes: &[u8], start: usize, end: usize, count: usize) -> Intact<Others> {
        let mut input = Input::new(bytes.get(start..end).ok_or(Damage("a column is missing"))?);
        let length = input.count(input.rest().len())?;
        let at = end - input.rest().len();
        input.take(length)?;
        let places = Column::open(bytes, at, at + length, Width::U32, count)?;
        let different = input.count(count)?;
        let raw = unpacked(&mut input)?;
        let mut input = Input::new(&raw);
        let values = (0..different).map(|_| take_variant(&mut input)).collect::<Intact<_>>()?;
        Ok(Others { places, values })
    }

    pub(crate) fn frame(&mut self, bytes: &[u8], frame: usize, count: usize, out: &mut Vec<Value>) -> Intact<()> {
        let mut places = Vec::with_capacity(count);
        self.places.frame(bytes, frame, count, &mut places)?;
        for place in places {
            let value = usize::try_from(place).ok().and_then(|place| self.values.get(place));
            out.push(value.ok_or(Damage("a value is missing"))?.clone());
        }
        Ok(())
    }
}
