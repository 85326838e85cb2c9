//! Structures and their parts: one sample for all of them.
//!
//! A part has a slot of its own, which follows that of the structure under its lock. So watchers of a part hear its changes
//! as those of any tag, and value, status and source time of all parts are those of one sample. Locks are taken from the
//! structure to its parts, never the other way.

use std::sync::Arc;

use opcua::StatusCode;

use super::derive::Batch;
use super::slot::Slot;
use super::{RawSample, Stamp, TagStore, convert, write};
use crate::model::{DataType, Origin, Plant, Scale, Shape, StructIx, Tag, TagId};
use crate::value::{Array, Elements, Moment, Sample, Struct, Value};

/// The sample of a part, taken from the sample of its structure, whose layout has this number.
pub(crate) fn part_of(sample: &Sample, number: u32, part: u16) -> Sample {
    let (value, status) = match &sample.value {
        Value::Struct(of) if of.kind.number == number => match of.part(part) {
            Err(code) => (Value::Null, code),
            Ok(value) => match value.fault() {
                Some(code) => (value.clone(), code),
                // The other parts of a structure that is not whole have their values.
                None if of.fault().is_some() => (value.clone(), of.rest()),
                None => (value.clone(), sample.status),
            },
        },
        _ if sample.status.is_bad() => (Value::Null, sample.status),
        // A value of a layout that a reload is about to replace.
        _ => (Value::Null, StatusCode::BadInvalidState),
    };
    Sample { value, status, source_time: sample.source_time, server_time: sample.server_time }
}

impl TagStore {
    /// Hands the state of a structure on to its parts; called under its lock.
    pub(super) fn hand_on(&self, plant: &Plant, id: TagId, slot: &Slot, now: Moment, batch: &mut Batch<'_>) {
        let Some(number) = number_of(plant, plant.tag(id)) else { return };
        for (part, tag) in (0..).zip(plant.parts_of(id)) {
            let mut follower = self.slot(*tag).lock();
            // A newer revision has made something else of the number.
            if follower.since <= plant.revision {
                let is_new = follower.follow(part_of(&slot.sample, number, part), now);
                drop(follower);
                batch.note(*tag, is_new);
            }
        }
    }

    /// Offers a sample of the past to the watchers of a structure's parts.
    pub(super) fn recall_parts(&self, plant: &Plant, id: TagId, value: &Value, raw: &RawSample, stamp: Stamp) {
        let Value::Struct(of) = value else { return };
        for (part, tag) in (0..).zip(plant.parts_of(id)) {
            let value = of.part(part).and_then(|value| value.fault().map_or(Ok(value), Err));
            self.slot(*tag).lock().recall(value.cloned(), raw, stamp);
        }
    }

    /// The first state of a part, under the lock of its structure.
    pub(super) fn begin_part(&self, plant: &Plant, id: TagId, stamp: Stamp) -> bool {
        let Some(Origin::Part { of, part, .. }) = plant.tags.get(id).map(|tag| &tag.origin) else { return false };
        let structure = self.slot(*of).lock();
        let sample = match number_of(plant, plant.tag(*of)) {
            Some(number) => part_of(&structure.sample, number, *part),
            None => {
                Sample { value: Value::Null, status: StatusCode::BadConfigurationError, ..structure.sample.clone() }
            }
        };
        let mut slot = self.slot(id).lock();
        slot.since = plant.revision;
        let times = Stamp { source: sample.source_time, server: sample.server_time, now: stamp.now };
        slot.begin(Slot::new(sample.value, sample.status, times), true, stamp);
        true
    }

    /// A memory structure with another value of one part, which is checked; the lock of the structure is held.
    pub(super) fn with_part(
        plant: &Plant,
        structure: &Tag,
        present: &Value,
        part: u16,
        value: Value,
    ) -> Result<Value, StatusCode> {
        let Value::Struct(of) = present else { return Err(StatusCode::BadInvalidState) };
        if number_of(plant, structure) != Some(of.kind.number) {
            return Err(StatusCode::BadInvalidState);
        }
        let whole = of.with_part(part, value).ok_or(StatusCode::BadInvalidState)?;
        Ok(Value::Struct(Arc::new(whole)))
    }
}

/// The number of the layout of a structure tag that has parts.
fn number_of(plant: &Plant, tag: &Tag) -> Option<u32> {
    match tag.shape.data_type {
        DataType::Struct(_) if tag.shape.is_scalar() => Some(plant.structure_of(tag)?.kind.number),
        _ => None,
    }
}

/// The value of a structure tag, scalar or array, of raw fields: each by its own type, scale and enumeration. A field that
/// cannot be is kept as its status.
pub(super) fn to_tag(plant: &Plant, tag: &Tag, ix: StructIx, raw: &Value) -> Result<Value, StatusCode> {
    let converter = Converter { plant, cell: tag.cell };
    match raw {
        Value::Array(array) if !array.dimensions.is_empty() && array.dimensions != tag.shape.dimensions => {
            Err(StatusCode::BadDataEncodingInvalid)
        }
        _ => converter.of_structure(&tag.shape, ix, raw),
    }
}

struct Converter<'a> {
    plant: &'a Plant,
    cell: u16,
}

impl Converter<'_> {
    fn of_structure(&self, shape: &Shape, ix: StructIx, raw: &Value) -> Result<Value, StatusCode> {
        match raw {
            Value::Struct(raw) if shape.is_scalar() => Ok(Value::Struct(self.structure(ix, raw)?)),
            Value::Array(array) => {
                let Elements::Struct(all) = &array.elements else { return Err(StatusCode::BadDataEncodingInvalid) };
                if all.len() != shape.element_count() {
                    return Err(StatusCode::BadDataEncodingInvalid);
                }
                let all = all.iter().map(|raw| self.structure(ix, raw)).collect::<Result<_, _>>()?;
                let dimensions = if shape.dimensions.len() > 1 { shape.dimensions.clone() } else { Vec::new() };
                Ok(Value::Array(Arc::new(Array { elements: Elements::Struct(all), dimensions })))
            }
            _ => Err(StatusCode::BadDataEncodingInvalid),
        }
    }

    fn structure(&self, ix: StructIx, raw: &Struct) -> Result<Arc<Struct>, StatusCode> {
        let of = self.plant.cells[usize::from(self.cell)].structure(ix);
        if *raw.kind != *of.kind {
            return Err(StatusCode::BadDataEncodingInvalid);
        }
        let fields = (0..).zip(&of.fields).map(|(at, field)| {
            let raw = raw.field(at)?;
            match field.shape.data_type {
                DataType::Struct(ix) => self.of_structure(&field.shape, ix, raw),
                _ => self.plain(&field.shape, field.scale, raw),
            }
        });
        Ok(Arc::new(Struct::of_results(Arc::clone(&of.kind), fields.collect())))
    }

    fn plain(&self, shape: &Shape, scale: Option<Scale>, raw: &Value) -> Result<Value, StatusCode> {
        let value = convert::to_tag(shape, scale, raw, None)?;
        let rule = write::Rule { plant: self.plant, cell: self.cell, shape, counts_letters: true };
        rule.check_enum(&value).map_err(|_| StatusCode::BadDataEncodingInvalid)?;
        Ok(value)
    }
}

/// The raw value of a structure tag's value, field by field.
pub(super) fn to_raw(plant: &Plant, cell: u16, ix: StructIx, value: &Value) -> Result<Value, StatusCode> {
    match value {
        Value::Struct(of) => Ok(Value::Struct(raw_structure(plant, cell, ix, of)?)),
        Value::Array(array) => {
            let Elements::Struct(all) = &array.elements else { return Err(StatusCode::BadTypeMismatch) };
            let all = all.iter().map(|of| raw_structure(plant, cell, ix, of)).collect::<Result<_, _>>()?;
            let dimensions = array.dimensions.clone();
            Ok(Value::Array(Arc::new(Array { elements: Elements::Struct(all), dimensions })))
        }
        _ => Err(StatusCode::BadTypeMismatch),
    }
}

fn raw_structure(plant: &Plant, cell: u16, ix: StructIx, value: &Struct) -> Result<Arc<Struct>, StatusCode> {
    let of = plant.cells[usize::from(cell)].structure(ix);
    let fields = (0..).zip(&of.fields).map(|(at, field)| match field.shape.data_type {
        DataType::Struct(ix) => to_raw(plant, cell, ix, value.field(at)?),
        _ => convert::to_raw(field.scale, value.field(at)?, None),
    });
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(Struct::new(Arc::clone(&of.kind), fields)))
}
