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

use std::fmt::Debug;
use std::sync::Arc;

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
pub struct Fields {
    own: Vec<FieldValue>,
    source: Option<Arc<dyn FieldSource>>,
}

/// Fields that are made when a client asks for them: a condition has more than most clients select.
pub(crate) trait FieldSource: Debug + Send + Sync {
    /// Null where the event has no such field.
    fn value(&self, field: FieldId, space: &Space) -> Value;
}

#[derive(Debug, Clone)]
struct FieldValue {
    field: FieldId,
    value: Value,
}

impl Fields {
    pub(crate) fn of(source: Arc<dyn FieldSource>) -> Fields {
        Fields { own: Vec::new(), source: Some(source) }
    }

    pub fn with(mut self, field: impl Into<FieldId>, value: Value) -> Fields {
        self.set(field, value);
        self
    }

    /// Sets a field, or replaces its value.
    pub fn set(&mut self, field: impl Into<FieldId>, value: Value) {
        let field = field.into();
        match self.own.iter_mut().find(|known| known.field == field) {
            Some(known) => known.value = value,
            None => self.own.push(FieldValue { field, value }),
        }
    }

    fn get(&self, field: FieldId, space: &Space) -> Value {
        match (self.own.iter().find(|known| known.field == field), &self.source) {
            (Some(known), _) => known.value.clone(),
            (None, Some(source)) => source.value(field, space),
            (None, None) => Value::Null,
        }
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
            Some(Field::ReceiveTime) if self.fields.source.is_some() => self.fields.get(field, space),
            Some(Field::Time | Field::ReceiveTime) => Value::DateTime(self.time),
            Some(Field::Message) => localized(&self.message),
            Some(Field::Severity) => Value::UInt16(self.severity),
            _ => self.fields.get(field, space),
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
