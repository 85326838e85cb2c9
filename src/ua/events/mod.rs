//! Events: the occurrence, its source and severity, and the queue of each item that listens.

mod condition;
mod field;
mod filter;

pub(crate) use filter::EventFilter;

use std::collections::VecDeque;
use std::sync::Arc;

use opcua::StatusCode;

use crate::stack::codec::{LocalizedTextRef, Writer};
use crate::ua::budget::{Budget, weight};
use crate::ua::space::{NodeIx, Space};
use crate::value::{BuiltIn, UaTime, Value};

/// Event types of namespace 0 that this server raises (Part 5 §6.4, 1.05).
pub(crate) mod kinds {
    pub(crate) const DEVICE_FAILURE: u32 = opcua::ObjectTypeId::DeviceFailureEventType as u32;
    pub(crate) const SYSTEM_STATUS_CHANGE: u32 = opcua::ObjectTypeId::SystemStatusChangeEventType as u32;
}

/// One occurrence, before any client's select clauses.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: [u8; 16],
    /// Number of the event type in namespace 0.
    pub kind: u32,
    pub source: NodeIx,
    pub source_name: String,
    pub time: UaTime,
    pub message: String,
    /// 1 is least, 1000 is worst.
    pub severity: u16,
    /// Fields of the type itself, by BrowseName.
    pub extra: Vec<(&'static str, Value)>,
}

impl Event {
    /// The value of a field by its BrowsePath in namespace 0; null where the event has none.
    pub fn field(&self, space: &Space, path: &[String]) -> Value {
        let [name] = path else { return Value::Null };
        match name.as_str() {
            "EventId" => Value::ByteString(self.id.as_slice().into()),
            "EventType" => space.standard_node(self.kind).map_or(Value::Null, |kind| node_id(space, kind)),
            "SourceNode" => node_id(space, self.source),
            "SourceName" => Value::text(&self.source_name),
            "Time" | "ReceiveTime" => Value::DateTime(self.time),
            "Message" => localized(&self.message),
            "Severity" => Value::UInt16(self.severity),
            _ => self.extra.iter().find(|(field, _)| field == name).map_or(Value::Null, |(_, value)| value.clone()),
        }
    }
}

fn node_id(space: &Space, at: NodeIx) -> Value {
    space.id_value(at)
}

/// A LocalizedText without a locale as a value.
pub(crate) fn localized(text: &str) -> Value {
    let mut w = Writer::new();
    w.variant_head(BuiltIn::LocalizedText);
    w.localized_text(LocalizedTextRef { locale: None, text: Some(text) });
    Value::Wire(w.buf.into())
}

/// The event queue of one item: the fields that its select clauses ask for.
#[derive(Debug)]
pub struct EventQueue {
    held: VecDeque<Vec<Value>>,
    size: usize,
    discard_oldest: bool,
    budget: Arc<Budget>,
    /// Bytes of the budget that the item's filter takes.
    filter_bytes: usize,
}

impl EventQueue {
    pub fn new(size: u32, discard_oldest: bool, budget: &Arc<Budget>) -> EventQueue {
        EventQueue {
            held: VecDeque::new(),
            size: size.max(1) as usize,
            discard_oldest,
            budget: Arc::clone(budget),
            filter_bytes: 0,
        }
    }

    /// Books a filter by its encoded bytes, in place of the previous one.
    pub fn book_filter(&mut self, encoded: usize) -> Result<(), StatusCode> {
        // Decoded it takes several times its bytes.
        let bytes = encoded * 8;
        if !self.budget.has(bytes) {
            return Err(StatusCode::BadTooManyMonitoredItems);
        }
        self.budget.spend(bytes);
        self.budget.give_back(std::mem::replace(&mut self.filter_bytes, bytes));
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns whether an event was lost.
    pub fn push(&mut self, fields: Vec<Value>) -> bool {
        let cost = cost(&fields);
        let has_room = self.held.is_empty() || (self.held.len() < self.size && self.budget.has(cost));
        self.budget.spend(cost);
        if !has_room {
            self.drop_one();
        }
        self.held.push_back(fields);
        !has_room
    }

    pub fn resize(&mut self, size: u32, discard_oldest: bool) {
        self.size = size.max(1) as usize;
        self.discard_oldest = discard_oldest;
        while self.held.len() > self.size {
            self.drop_one();
        }
    }

    fn drop_one(&mut self) {
        let gone = if self.discard_oldest { self.held.pop_front() } else { self.held.pop_back() };
        self.budget.give_back(gone.map_or(0, |gone| cost(&gone)));
    }

    pub fn pop(&mut self) -> Option<Vec<Value>> {
        let fields = self.held.pop_front()?;
        self.budget.give_back(cost(&fields));
        Some(fields)
    }

    pub fn clear(&mut self) {
        while self.pop().is_some() {}
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        self.clear();
        self.budget.give_back(self.filter_bytes);
    }
}

fn cost(fields: &[Value]) -> usize {
    fields.iter().map(|field| size_of::<Value>() + weight(field)).sum()
}
