//! Writes: the Value alone, in the type that the node has. The server's answer is the answer.

use std::time::Instant;

use opcua::StatusCode;

use super::attributes::{Attribute, Change, DATA_TYPE, VALUE, read_values, read_written, write_read, write_write};
use super::client::Client;
use super::message::Fault;
use super::resolve::Resolution;
use super::session::{garbage, is_session_gone};
use super::written::as_node;
use crate::drivers::contract::LinkError;
use crate::stack::codec::{DataValue, Reader};
use crate::value::{BuiltIn, Elements, Value};

/// Subtypes in namespace 0 that have the encoding of another type (Part 5 §12, 1.05): enumerations, Duration, UtcTime, …
const SUBTYPES: [(u32, BuiltIn); 10] = [
    (29, BuiltIn::Int32),
    (288, BuiltIn::UInt32),
    (289, BuiltIn::UInt32),
    (290, BuiltIn::Double),
    (291, BuiltIn::String),
    (294, BuiltIn::DateTime),
    (295, BuiltIn::String),
    (852, BuiltIn::Int32),
    (12877, BuiltIn::String),
    (12881, BuiltIn::String),
];

impl Client {
    /// One time for all that it takes: the node, its type, and the write.
    pub(super) async fn write_point(&mut self, point: u32, value: &Value, first: u32) -> Result<StatusCode, LinkError> {
        let limit = self.config.timeout;
        let end = Instant::now() + limit;
        while self.points[point as usize].resolution.is_none() && self.points[point as usize].address.is_some() {
            if Instant::now() >= end {
                return Ok(StatusCode::BadTimeout);
            }
            let next = self.advance(Instant::now())?;
            self.step(next.min(end)).await?;
        }
        let node = match &self.points[point as usize].resolution {
            Some(Resolution::Node(node)) => node.to_vec(),
            Some(Resolution::Absent { status, .. }) => return Ok(*status),
            None => return Ok(StatusCode::BadConfigurationError),
        };
        let kind = match self.points[point as usize].node_type {
            Some(kind) => kind,
            None => match self.type_of(&node, end).await? {
                Ok(kind) => {
                    self.points[point as usize].node_type = Some(kind);
                    kind
                }
                Err(code) => return Ok(code),
            },
        };
        let range = range(&self.points[point as usize].plan, value, first);
        let value = match as_node(value, kind) {
            // A part of an array is an array, also of one element.
            Ok(value) if range.is_some() => as_array(value, kind),
            Ok(value) => value,
            Err(code) => return Ok(code),
        };
        let answer = self.ask_until(end, limit, |out, head| {
            write_write(out, head, &Change { node: &node, range: range.as_deref(), value: &value });
            Ok(())
        });
        match answer.await?.map_err(Fault::Refused).and_then(|body| read_written(&body)) {
            Ok(status) => Ok(status),
            Err(Fault::Refused(code)) if is_session_gone(code) => {
                Err(LinkError::Lost(format!("the server closed the session ({code})")))
            }
            Err(Fault::Refused(code)) => Ok(code),
            Err(Fault::Garbage(code)) => Err(garbage("Write", code)),
        }
    }

    /// The type in which a node takes its value: that of its DataType, or of its present value.
    async fn type_of(&mut self, node: &[u8], end: Instant) -> Result<Result<BuiltIn, StatusCode>, LinkError> {
        let limit = self.config.timeout;
        let answer = self.ask_until(end, limit, |out, head| {
            write_read(out, head, [DATA_TYPE, VALUE].into_iter().map(|id| Attribute { node, id }));
            Ok(())
        });
        let values = match answer.await?.map_err(Fault::Refused).and_then(|body| read_values(&body, 2)) {
            Ok(values) => values,
            Err(Fault::Refused(code)) if !is_session_gone(code) => return Ok(Err(code)),
            Err(fault) => return Err(garbage("Read", fault.code())),
        };
        let [data_type, value] = values.as_slice() else { return Ok(Err(StatusCode::BadUnknownResponse)) };
        let known = built_in(data_type).or_else(|| value.value.as_ref().and_then(Value::built_in));
        Ok(known.ok_or_else(|| match data_type.status {
            Some(status) if status.is_bad() => status,
            _ => StatusCode::BadTypeMismatch,
        }))
    }
}

fn as_array(value: Value, kind: BuiltIn) -> Value {
    match value {
        Value::Array(_) => value,
        one => Elements::collect(kind, std::iter::once(one.clone())).map_or(one, Value::array),
    }
}

/// The type that a DataType attribute names, if its encoding is known without the server's type tree.
fn built_in(data_type: &DataValue) -> Option<BuiltIn> {
    let Some(Value::Wire(bytes)) = &data_type.value else { return None };
    let mut reader = Reader::new(bytes);
    let is_node_id = reader.u8().ok()? == BuiltIn::NodeId as u8;
    let id = reader.node_id().ok().filter(|_| is_node_id)?.standard()?;
    let subtype = SUBTYPES.iter().find(|(known, _)| *known == id).map(|(_, kind)| *kind);
    subtype.or_else(|| BuiltIn::from_byte(u8::try_from(id).ok()?).filter(|kind| *kind < BuiltIn::DataValue))
}

/// The elements that are written, where they are not all of an array (Part 4 §7.27, 1.05).
fn range(plan: &crate::drivers::plan::PointPlan, value: &Value, first: u32) -> Option<String> {
    let Value::Array(array) = value else {
        return plan.is_array.then(|| first.to_string());
    };
    let count = array.elements.len();
    if !plan.is_array || first == 0 && count == plan.elements {
        return None;
    }
    let last = u64::from(first) + (count as u64).saturating_sub(1);
    Some(if count == 1 { first.to_string() } else { format!("{first}:{last}") })
}
