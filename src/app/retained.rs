//! Memory tags over a restart: saved within a second of a write, restored with their old SourceTimestamp.
//!
//! A start value that was edited in the cell file since then wins over what was retained.

use std::collections::BTreeMap;

use crate::logging;
use crate::model::{Origin, Plant, TagId};
use crate::stack::codec::{Reader, Writer};
use crate::state::{Retained, State, StateError};
use crate::tags::TagStore;
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

    /// Puts the retained values of these tags back, where they are memory tags that clients may write.
    pub(crate) fn restore(&self, plant: &Plant, tags: &TagStore, new: impl Iterator<Item = TagId>) {
        for id in new {
            let Some(tag) = plant.tags.get(id) else { continue };
            let Origin::Memory { initial, write: true } = &tag.origin else { continue };
            let Some(kept) = self.values.get(&key(plant, id)) else { continue };
            if kept.start != to_hex(initial) {
                continue;
            }
            let Some(value) = from_hex(&kept.value) else {
                log::warn!("{}: the retained value cannot be read; using the start value", plant.tag_name(id));
                continue;
            };
            if let Err(status) = tags.restore(plant, id, &value, UaTime(kept.source_time)) {
                log::warn!(
                    "{}: the retained value no longer fits ({status}); using the start value",
                    plant.tag_name(id)
                );
            }
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

fn key(plant: &Plant, id: TagId) -> String {
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
