//! Memory tags and what formulas remember, over a restart: saved within a second, restored with their old SourceTimestamp.
//!
//! A start value that was edited in the cell file since then wins over what was retained.

use std::collections::BTreeMap;

use crate::logging;
use crate::model::{Derivation, Identifier, Origin, Plant, Tag, TagId};
use crate::stack::codec::{Reader, Writer, typed_structure};
use crate::state::{Retained, State, StateError};
use crate::tags::{Kept, TagStore};
use crate::value::{UaTime, Value};

pub(crate) struct Retention {
    values: BTreeMap<String, Retained>,
    /// Something was noted and is not on disk yet.
    is_due: bool,
    has_failed: bool,
}

impl Retention {
    pub(crate) fn read(state: &State) -> Result<Retention, StateError> {
        Ok(Retention { values: state.retained()?, is_due: false, has_failed: false })
    }

    /// The retained value of a memory tag that clients may write; `None` when there is none, or when the start value in the
    /// cell file is another one since.
    pub(crate) fn value_of(&mut self, plant: &Plant, id: TagId) -> Option<Kept> {
        let tag = plant.tags.get(id)?;
        let Origin::Memory { initial, write: true } = &tag.origin else { return None };
        let key = key(plant, id);
        if !self.values.contains_key(&key)
            && let Some(kept) = self.values.remove(&old_key(plant, id))
        {
            // Written by a version that named a tag with an `id` by its path.
            self.values.insert(key.clone(), kept);
            self.is_due = true;
        }
        let kept = self.values.get(&key).filter(|kept| kept.start == to_hex(initial))?;
        let value = from_hex(&kept.value).and_then(|value| match plant.structure_of(tag) {
            Some(structure) => typed_structure(&structure.kind, &value).ok(),
            None => Some(value),
        });
        if value.is_none() {
            log::warn!("{}: the retained value cannot be read; using the start value", plant.tag_name(id));
        }
        Some(Kept { value: value?, source: UaTime(kept.source_time) })
    }

    /// Values that a formula remembered; `None` when it is another formula since.
    pub(crate) fn memory_of(&self, plant: &Plant, id: TagId) -> Option<Vec<Value>> {
        let start = formula_start(plant.tags.get(id)?)?;
        let kept = self.values.get(&key(plant, id)).filter(|kept| kept.start == start)?;
        let values: Option<Vec<Value>> = kept.value.split(';').map(from_hex).collect();
        if values.is_none() {
            log::warn!("{}: what the formula remembered cannot be read; it begins again", plant.tag_name(id));
        }
        values
    }

    /// Drops the retained value of a tag that is removed, or whose value in the cell file is another one.
    pub(crate) fn forget(&mut self, plant: &Plant, id: TagId) {
        if plant.tags.get(id).is_some() && self.values.remove(&key(plant, id)).is_some() {
            self.is_due = true;
        }
    }

    /// Notes what changed since the last call, under the names that the tags have in this plant.
    pub(crate) fn note(&mut self, plant: &Plant, tags: &TagStore) {
        let changed = tags.take_changed();
        self.is_due |= !changed.is_empty();
        for (id, sample) in changed {
            let Some(Origin::Memory { initial, .. }) = plant.tags.get(id).map(|tag| &tag.origin) else { continue };
            let retained =
                Retained { value: to_hex(&sample.value), source_time: sample.source_time.0, start: to_hex(initial) };
            self.values.insert(key(plant, id), retained);
        }
        for (id, values) in tags.take_memories() {
            let Some(start) = plant.tags.get(id).and_then(formula_start) else { continue };
            let value = values.iter().map(to_hex).collect::<Vec<_>>().join(";");
            let source_time = tags.with(id, |sample| sample.source_time.0);
            self.values.insert(key(plant, id), Retained { value, source_time, start });
            self.is_due = true;
        }
    }

    /// Writes what changed since the last call. A disk fault is logged once, until a write succeeds again.
    pub(crate) fn save(&mut self, state: &State, plant: &Plant, tags: &TagStore) {
        self.note(plant, tags);
        if !self.is_due && !self.has_failed {
            return;
        }
        match state.save_retained(&self.values) {
            Ok(()) => {
                self.is_due = false;
                if self.has_failed {
                    let line = format_args!("memory tags are saved again");
                    logging::limited(log::Level::Info, "memory tags saved", None, line);
                }
                self.has_failed = false;
            }
            Err(error) => {
                if !self.has_failed {
                    let line = format_args!("memory tags cannot be saved: {error}");
                    logging::limited(log::Level::Error, "memory tags not saved", None, line);
                }
                self.has_failed = true;
            }
        }
    }
}

/// The formula that a memory belongs to, with the type of its tag.
fn formula_start(tag: &Tag) -> Option<String> {
    let Origin::Derived(derivation) = &tag.origin else { return None };
    let Derivation::Formula(formula) = &**derivation;
    Some(format!("{:?} = {}", tag.shape.data_type.wire(), formula.text))
}

/// A tag by its NodeId: `NAMESPACE|TEXT`, or `NAMESPACE||NUMBER`.
fn key(plant: &Plant, id: TagId) -> String {
    let tag = plant.tag(id);
    let cell = &plant.cells[usize::from(tag.cell)];
    match cell.identifier(tag.node) {
        Identifier::Text(text) => format!("{}|{text}", cell.namespace),
        Identifier::Numeric(number) => format!("{}||{number}", cell.namespace),
    }
}

/// A tag by its path, as the first version of the file had it.
fn old_key(plant: &Plant, id: TagId) -> String {
    let tag = plant.tag(id);
    let cell = &plant.cells[usize::from(tag.cell)];
    format!("{}|{}", cell.namespace, cell.path(tag.node))
}

fn to_hex(value: &Value) -> String {
    let mut w = Writer::new();
    w.variant(value);
    w.buf.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Value> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes: Option<Vec<u8>> = digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
    Reader::new(&bytes?).variant().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_its_text_form() {
        for value in [Value::Double(-0.5), Value::text("Füllstand"), Value::Boolean(true), Value::Null] {
            assert_eq!(from_hex(&to_hex(&value)), Some(value));
        }
        assert_eq!(from_hex("0g"), None);
    }
}
