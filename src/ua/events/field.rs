//! A field of an event as a client names it.

use opcua::StatusCode;

use super::Event;
use crate::ua::space::Space;
use crate::value::Value;

/// A SimpleAttributeOperand (Part 4 §7.7.4.5, 1.05).
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub path: Vec<String>,
    /// The NodeId attribute of the event itself instead of a Value.
    pub is_node_id: bool,
    pub status: StatusCode,
}

impl Field {
    pub(crate) fn value(&self, event: &Event, space: &Space) -> Value {
        if self.status.is_bad() || self.is_node_id { Value::Null } else { event.field(space, &self.path) }
    }
}
