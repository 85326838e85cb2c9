//! Calls of methods (Part 4 §6.5.9 and Part 5 §6.4.27, 1.05).
//!
//! Refusals of one request that are alike are one record with a count: a request may have a thousand of them.

use opcua::StatusCode;

use super::{AuditFields, kinds, who};
use crate::audit::{Kind, Record, value_text};
use crate::stack::codec::{Reader, Writer};
use crate::ua::budget::weight;
use crate::ua::events::Fields;
use crate::ua::server::Server;
use crate::ua::session::Session;
use crate::ua::space::{Field, NodeIx, Space};
use crate::value::{BuiltIn, Value};

/// Bytes of an argument that a record or an event holds; of a larger one its short text.
const LONGEST_ARGUMENT: usize = 1_024;

/// One operation of a Call.
pub(crate) struct Called<'a> {
    pub object: NodeIx,
    pub method: NodeIx,
    /// Those that the method takes, as the client gave them.
    pub arguments: &'a [Value],
    pub status: StatusCode,
}

/// The operations of a Call that are audited. They are recorded when it is dropped.
pub(crate) struct CallAudit<'a> {
    server: &'a Server,
    session: &'a Session,
    space: &'a Space,
    entry: &'a str,
    acts: Vec<Act>,
}

struct Act {
    object: NodeIx,
    method: NodeIx,
    arguments: Vec<Value>,
    status: StatusCode,
    is_refusal: bool,
    /// Further refusals like it.
    more: u32,
}

impl<'a> CallAudit<'a> {
    pub(crate) fn begin(server: &'a Server, session: &'a Session, space: &'a Space, entry: &'a str) -> CallAudit<'a> {
        CallAudit { server, session, space, entry, acts: Vec::new() }
    }

    pub(crate) fn note(&mut self, called: Called<'_>) {
        self.push(called, false);
    }

    /// A call that the session may not make.
    pub(crate) fn note_refused(&mut self, called: Called<'_>) {
        let Called { object, method, status, .. } = called;
        let alike =
            |act: &&mut Act| act.is_refusal && act.object == object && act.method == method && act.status == status;
        match self.acts.iter_mut().find(alike) {
            Some(act) => act.more = act.more.saturating_add(1),
            None => self.push(called, true),
        }
    }

    fn push(&mut self, called: Called<'_>, is_refusal: bool) {
        if self.server.trail.is_on() {
            let Called { object, method, arguments, status } = called;
            let arguments = arguments.iter().map(bounded).collect();
            self.acts.push(Act { object, method, arguments, status, is_refusal, more: 0 });
        }
    }

    fn record(&self, act: &Act) {
        let space = self.space;
        let name = space.browse_name(act.method).name.unwrap_or_default();
        let arguments = act.arguments.iter().map(shown).collect::<Vec<_>>().join(", ");
        let more = match act.more {
            0 => String::new(),
            more => format!("; {more} more like this in the same request"),
        };
        let record = Record {
            node: space.id_text(act.method),
            more: act.more,
            ..Record::new(Kind::MethodCalled, act.status, who(self.session))
        };
        let message = format!("{name}({arguments}) on {}{more}", space.id_text(act.object));
        self.server.audit(record.with(message), || {
            Some(AuditFields {
                kind: kinds::UPDATE_METHOD,
                source: Some(space.owned_id(act.object)),
                source_name: "Attribute/Call",
                entry: self.entry.to_owned(),
                fields: Fields::default()
                    .with(Field::MethodId, space.id_value(act.method))
                    .with(Field::InputArguments, array_of_any(&act.arguments)),
                ..AuditFields::default()
            })
        });
    }
}

impl Drop for CallAudit<'_> {
    fn drop(&mut self) {
        for act in std::mem::take(&mut self.acts) {
            self.record(&act);
        }
    }
}

pub(super) fn bounded(value: &Value) -> Value {
    if weight(value) > LONGEST_ARGUMENT { Value::text(&value_text(value)) } else { value.clone() }
}

/// An argument as people read it.
pub(super) fn shown(value: &Value) -> String {
    let text = match value {
        Value::Wire(bytes) if value.built_in() == Some(BuiltIn::LocalizedText) => {
            Reader::new(bytes.get(1..).unwrap_or_default()).localized_text().ok().and_then(|text| text.text)
        }
        _ => None,
    };
    text.map_or_else(|| value_text(value), |text| value_text(&Value::text(text)))
}

/// An array of BaseDataType; null for none.
pub(super) fn array_of_any(values: &[Value]) -> Value {
    if values.is_empty() {
        return Value::Null;
    }
    let mut w = Writer::new();
    w.variant_array_head(BuiltIn::Variant);
    w.count(values.len());
    values.iter().for_each(|value| w.variant(value));
    Value::Wire(w.buf.into())
}
