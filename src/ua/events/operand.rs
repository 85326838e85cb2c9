//! A field of an event as a client names it.

use opcua::StatusCode;

use super::Event;
use crate::stack::codec::Reader;
use crate::ua::space::{Attribute, CONDITION_ID, FieldId, NodeIx, OwnedNodeId, Space, TargetName};
use crate::value::Value;

const BASE_EVENT_TYPE: u32 = opcua::ObjectTypeId::BaseEventType as u32;
const NODE_ID: u32 = Attribute::NodeId as u32;
const VALUE: u32 = Attribute::Value as u32;

/// An element of a BrowsePath.
#[derive(Debug, Clone)]
struct PathName {
    namespace: u16,
    name: Box<str>,
}

impl PathName {
    fn borrow(&self) -> TargetName<'_> {
        TargetName { namespace: self.namespace, name: &self.name }
    }
}

/// A SimpleAttributeOperand (Part 4 §7.7.4.5, 1.05): the client's own words, and the field that they name in the present
/// address space.
#[derive(Debug, Clone)]
pub(crate) struct FieldOperand {
    /// `None`: an id that no node of this server has.
    kind: Option<OwnedNodeId>,
    path: Box<[PathName]>,
    attribute: u32,
    has_range: bool,
    pub status: StatusCode,
    /// `None` where the status is bad.
    field: Option<FieldId>,
}

impl FieldOperand {
    pub(crate) fn read(body: &mut Reader<'_>, space: &Space) -> Result<FieldOperand, StatusCode> {
        let type_id = body.node_id()?;
        let kind = match type_id.is_null() {
            true => Some(OwnedNodeId::numeric(0, BASE_EVENT_TYPE)),
            false => OwnedNodeId::of(type_id),
        };
        let count = body.count(6)?;
        let mut path = Vec::new();
        for _ in 0..count {
            let name = body.qualified_name()?;
            let text = name.name.unwrap_or_default();
            body.charge(text.len() + 24)?;
            path.push(PathName { namespace: name.namespace, name: text.into() });
        }
        let attribute = body.u32()?;
        let has_range = !body.text()?.is_empty();
        let mut operand =
            FieldOperand { kind, path: path.into(), attribute, has_range, status: StatusCode::Good, field: None };
        operand.resolve(space);
        Ok(operand)
    }

    /// Looks the type and its field up again, in another address space.
    pub(crate) fn resolve(&mut self, space: &Space) {
        let found = self.find(space);
        self.status = found.err().unwrap_or(StatusCode::Good);
        self.field = found.ok().flatten();
    }

    fn find(&self, space: &Space) -> Result<Option<FieldId>, StatusCode> {
        let kind = self.kind.as_ref().and_then(|kind| space.find(kind.borrow()));
        let is_event = |kind: &NodeIx| space.is_standard(*kind, BASE_EVENT_TYPE);
        let kind = kind.filter(is_event).ok_or(StatusCode::BadTypeDefinitionInvalid)?;
        match self.attribute {
            _ if self.has_range => Err(StatusCode::BadIndexRangeNoData),
            NODE_ID if self.path.is_empty() => Ok(Some(CONDITION_ID)),
            VALUE if !self.path.is_empty() => {
                let path: Vec<TargetName<'_>> = self.path.iter().map(PathName::borrow).collect();
                space.event_field(kind, &path).map(Some).ok_or(StatusCode::BadNodeIdUnknown)
            }
            _ => Err(StatusCode::BadAttributeIdInvalid),
        }
    }

    /// The NodeId of the event itself is the ConditionId (Part 9 §5.5.2, 1.05): null where it is of no condition.
    pub(crate) fn value(&self, event: &Event, space: &Space) -> Value {
        self.field.map_or(Value::Null, |field| event.value(field, space))
    }
}
