//! Events: the occurrence, its source and severity, its fields by the table of the address space, and how each session
//! sees it.

mod condition;
mod filter;
mod model_change;
mod operand;
mod queue;
mod seen;

pub(crate) use filter::EventFilter;
pub use model_change::{Affected, ModelChange, verb};
pub(crate) use model_change::{Changes, ParentOf};
pub(crate) use queue::EventQueue;
pub(crate) use seen::{PerViewer, Seen};

use crate::stack::codec::{LocalizedTextRef, Writer};
use crate::ua::space::{Field, FieldId, NodeIx, Space};
use crate::value::{BuiltIn, UaTime, Value};

/// Event types of namespace 0 that this server raises (Part 5 §6.4, 1.05).
pub(crate) mod kinds {
    pub(crate) const DEVICE_FAILURE: u32 = opcua::ObjectTypeId::DeviceFailureEventType as u32;
    pub(crate) const SYSTEM_STATUS_CHANGE: u32 = opcua::ObjectTypeId::SystemStatusChangeEventType as u32;
    pub(crate) const GENERAL_MODEL_CHANGE: u32 = opcua::ObjectTypeId::GeneralModelChangeEventType as u32;
    pub(crate) const SEMANTIC_CHANGE: u32 = opcua::ObjectTypeId::SemanticChangeEventType as u32;
}

/// One occurrence, before any client's select clauses. It is raised in the address space that it was made in.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: [u8; 16],
    /// The event type.
    pub kind: NodeIx,
    pub source: NodeIx,
    pub source_name: String,
    pub time: UaTime,
    pub message: String,
    /// 1 is least, 1000 is worst.
    pub severity: u16,
    /// Fields of the type itself.
    pub fields: Fields,
    /// A field of which each session gets what it may see; `None` for most events.
    pub per_viewer: Option<PerViewer>,
}

/// The fields that an event has in addition to those of every event; few, so a list is searched.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<FieldValue>);

#[derive(Debug, Clone)]
struct FieldValue {
    field: FieldId,
    value: Value,
}

impl Fields {
    pub fn with(mut self, field: impl Into<FieldId>, value: Value) -> Fields {
        self.set(field, value);
        self
    }

    /// Sets a field, or replaces its value.
    pub fn set(&mut self, field: impl Into<FieldId>, value: Value) {
        let field = field.into();
        match self.0.iter_mut().find(|known| known.field == field) {
            Some(known) => known.value = value,
            None => self.0.push(FieldValue { field, value }),
        }
    }

    fn get(&self, field: FieldId) -> Value {
        self.0.iter().find(|known| known.field == field).map_or(Value::Null, |known| known.value.clone())
    }
}

impl Event {
    /// The value of a field; null where the event has none.
    pub fn value(&self, field: FieldId, space: &Space) -> Value {
        match Field::of(field) {
            Some(Field::EventId) => Value::ByteString(self.id.as_slice().into()),
            Some(Field::EventType) => space.id_value(self.kind),
            Some(Field::SourceNode) => space.id_value(self.source),
            Some(Field::SourceName) => Value::text(&self.source_name),
            Some(Field::Time | Field::ReceiveTime) => Value::DateTime(self.time),
            Some(Field::Message) => localized(&self.message),
            Some(Field::Severity) => Value::UInt16(self.severity),
            _ => self.fields.get(field),
        }
    }
}

/// A LocalizedText without a locale as a value.
pub(crate) fn localized(text: &str) -> Value {
    let mut w = Writer::new();
    w.variant_head(BuiltIn::LocalizedText);
    w.localized_text(LocalizedTextRef { locale: None, text: Some(text) });
    Value::Wire(w.buf.into())
}
