//! Writes: the type must be the tag's own, and the value inside its limits.
//!
//! A type that differs is Bad_TypeMismatch, a value outside EURange or an enumeration Bad_OutOfRange
//! (Part 4 §5.11.4.4, 1.05). Nothing is converted here: a Double for an Int32 is a client's mistake.

use opcua::StatusCode;
use tokio::time::Instant;

use super::derive::Batch;
use super::{Stamp, TagStore, Write, Written};
use crate::model::{DataType, Origin, Plant, Shape, Tag, TagId};
use crate::value::{Elements, IndexRange, Struct, UaTime, Value};

impl TagStore {
    /// Checks a write; memory tags are written at once, values for devices come back to be enqueued.
    pub fn write_now(
        &self,
        plant: &Plant,
        tag: TagId,
        value: &Value,
        range: Option<&IndexRange>,
        at: UaTime,
    ) -> Written {
        self.try_write(plant, tag, value, range, at).unwrap_or_else(Written::Done)
    }

    fn try_write(
        &self,
        plant: &Plant,
        id: TagId,
        value: &Value,
        range: Option<&IndexRange>,
        at: UaTime,
    ) -> Result<Written, StatusCode> {
        let tag = plant.tag(id);
        check_writable(plant, tag)?;
        // The tag that has the value: for a part it is the structure.
        let (whole_id, part) = match tag.origin {
            Origin::Part { of, part, .. } => (of, Some(part)),
            Origin::Device { .. } | Origin::Memory { .. } | Origin::Derived(_) => (id, None),
        };
        let owner = plant.tag(whole_id);
        let mut batch = match owner.origin {
            Origin::Memory { .. } => self.batch(),
            Origin::Device { .. } | Origin::Derived(_) | Origin::Part { .. } => Batch::none(),
        };
        let mut slot = self.slot(whole_id).lock();
        if slot.is_out_of_service() {
            return Err(StatusCode::BadOutOfService);
        }
        if slot.since > plant.revision {
            // A reload changed the tag since the request began.
            return Err(StatusCode::BadInvalidState);
        }
        if let Origin::Device { connection, .. } = owner.origin {
            drop(slot);
            let first = check_part(plant, tag, value, range)?;
            let write = Write { tag: id, value: value.clone(), first, revision: plant.revision };
            return Ok(Written::Device { connection, write });
        }
        let present = match (part, &slot.good) {
            (None, present) => present.clone(),
            (Some(part), Value::Struct(of)) => of.part(part).map_err(|_| StatusCode::BadInvalidState)?.clone(),
            (Some(_), _) => return Err(StatusCode::BadInvalidState),
        };
        let new = match range {
            None => value.clone(),
            Some(range) => range.write(&present, value)?,
        };
        check_whole(plant, tag, &new)?;
        let whole = match part {
            None => new,
            Some(part) => TagStore::with_part(plant, owner, &slot.good, part, new)?,
        };
        let stamp = Stamp { source: at, server: at, now: Instant::now() };
        let is_new = slot.take(whole, StatusCode::Good, 0.0, stamp);
        self.hand_on(plant, whole_id, &slot, stamp.moment(), &mut batch);
        let was_noted = std::mem::replace(&mut slot.dirty, true);
        drop(slot);
        if !was_noted {
            self.changed.lock().push(whole_id);
        }
        batch.note(whole_id, is_new);
        self.settle(batch, stamp);
        Ok(Written::Done(StatusCode::Good))
    }
}

pub(crate) fn check_writable(plant: &Plant, tag: &Tag) -> Result<(), StatusCode> {
    let open = match tag.origin {
        Origin::Device { connection, .. } => plant.connections[connection].allow_write,
        Origin::Part { of, .. } => return check_writable_part(plant, tag, plant.tag(of)),
        Origin::Memory { .. } => true,
        Origin::Derived(_) => false,
    };
    if open && tag.is_writable() { Ok(()) } else { Err(StatusCode::BadNotWritable) }
}

fn check_writable_part(plant: &Plant, part: &Tag, structure: &Tag) -> Result<(), StatusCode> {
    let is_open = structure.connection().is_none_or(|connection| plant.connections[connection].allow_write);
    if is_open && part.is_writable() { Ok(()) } else { Err(StatusCode::BadNotWritable) }
}

/// A whole value: type, rank, dimensions, length, range, enumeration.
pub(crate) fn check_whole(plant: &Plant, tag: &Tag, value: &Value) -> Result<(), StatusCode> {
    Rule::of(plant, tag).check(value)
}

/// Checks a value of the past: as a whole value, but a device may have left its EURange.
pub(crate) fn check_recorded(plant: &Plant, tag: &Tag, value: &Value) -> Result<(), StatusCode> {
    let rule = Rule::of(plant, tag);
    rule.check_type(value)?;
    rule.check_length(value)?;
    rule.check_enum(value)
}

pub(crate) fn check_enum(plant: &Plant, tag: &Tag, value: &Value) -> Result<(), StatusCode> {
    Rule::of(plant, tag).check_enum(value)
}

/// A value for a device, whole or by index range; gives the first element of a part. Only elements
/// that follow each other can be sent without the rest: anything else would need the rest, which may be stale.
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
    if tag.shape.is_scalar() {
        return Err(StatusCode::BadWriteNotSupported);
    }
    let run = range.run(&tag.shape.dimensions)?;
    let rule = Rule::of(plant, tag);
    rule.check_built_in(value)?;
    let fits = match value {
        Value::Array(part) => {
            let has_shape = part.dimensions.is_empty() || part.dimensions == run.dimensions;
            part.elements.len() == run.count && has_shape
        }
        _ => run.count == 1,
    };
    if !fits {
        return Err(StatusCode::BadIndexRangeDataMismatch);
    }
    rule.check_limits(value)?;
    Ok(Some(run.first))
}

/// A rule for written values.
pub(super) struct Rule<'a> {
    pub plant: &'a Plant,
    pub cell: u16,
    pub shape: &'a Shape,
    /// A device counts the bytes of its own encoding, which has a byte or more for each letter: its driver counts them.
    pub counts_letters: bool,
}

impl<'a> Rule<'a> {
    fn of(plant: &'a Plant, tag: &'a Tag) -> Rule<'a> {
        let counts_letters = plant.owner(tag).connection().is_some();
        Rule { plant, cell: tag.cell, shape: &tag.shape, counts_letters }
    }

    fn check(&self, value: &Value) -> Result<(), StatusCode> {
        self.check_type(value)?;
        self.check_limits(value)
    }

    fn check_type(&self, value: &Value) -> Result<(), StatusCode> {
        self.check_built_in(value)?;
        if has_shape(self.shape, value) { Ok(()) } else { Err(StatusCode::BadTypeMismatch) }
    }

    fn check_built_in(&self, value: &Value) -> Result<(), StatusCode> {
        let wanted = self.shape.data_type.wire();
        if value.built_in() == Some(wanted) { Ok(()) } else { Err(StatusCode::BadTypeMismatch) }
    }

    fn check_limits(&self, value: &Value) -> Result<(), StatusCode> {
        self.check_length(value)?;
        check_range(self.shape, value)?;
        self.check_enum(value)?;
        self.check_structure(value)
    }

    fn check_length(&self, value: &Value) -> Result<(), StatusCode> {
        let Some(limit) = self.shape.length else { return Ok(()) };
        let limit = limit as usize;
        let holds = |text: &str| if self.counts_letters { text.chars().count() <= limit } else { text.len() <= limit };
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

    pub(super) fn check_enum(&self, value: &Value) -> Result<(), StatusCode> {
        let DataType::Enum(at) = self.shape.data_type else { return Ok(()) };
        let names = &self.plant.cells[usize::from(self.cell)].enums[at.0 as usize].values;
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

    /// The structure must be the tag's own, and each field inside its limits.
    fn check_structure(&self, value: &Value) -> Result<(), StatusCode> {
        if !matches!(self.shape.data_type, DataType::Struct(_)) {
            return Ok(());
        }
        match value {
            Value::Struct(of) => self.check_fields(of),
            Value::Array(array) => match &array.elements {
                Elements::Struct(all) => all.iter().try_for_each(|of| self.check_fields(of)),
                _ => Err(StatusCode::BadTypeMismatch),
            },
            _ => Err(StatusCode::BadTypeMismatch),
        }
    }

    fn check_fields(&self, value: &Struct) -> Result<(), StatusCode> {
        let DataType::Struct(ix) = self.shape.data_type else { return Err(StatusCode::BadTypeMismatch) };
        let of = self.plant.cells[usize::from(self.cell)].structure(ix);
        if *value.kind != *of.kind || value.fault().is_some() {
            return Err(StatusCode::BadTypeMismatch);
        }
        of.fields.iter().zip(&value.fields).try_for_each(|(field, value)| {
            let rule = Rule { shape: &field.shape, ..*self };
            rule.check(value)
        })
    }
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

fn check_range(shape: &Shape, value: &Value) -> Result<(), StatusCode> {
    let Some((low, high)) = shape.range else { return Ok(()) };
    let inside = |value: &Value| value.as_f64().is_none_or(|number| (low..=high).contains(&number));
    let fits = match value {
        Value::Array(array) => (0..array.elements.len()).all(|at| array.elements.get(at).is_none_or(|v| inside(&v))),
        value => inside(value),
    };
    if fits { Ok(()) } else { Err(StatusCode::BadOutOfRange) }
}
