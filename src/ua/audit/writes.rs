//! Writes: what stood there, what was written, and how it ended (Part 5 §6.4.25, 1.05).

use std::sync::Arc;

use opcua::StatusCode;

use super::{AuditFields, kinds, who};
use crate::audit::{Content, Kind, Names, Node, Record, Write, Writes};
use crate::stack::codec::NodeIdRef;
use crate::ua::events::Fields;
use crate::ua::server::Server;
use crate::ua::session::Session;
use crate::ua::space::{Field, NodeIx, Space};
use crate::value::{UaTime, Value};

impl Names for Space {
    fn node(&self, number: u32) -> String {
        self.id_text(NodeIx(number))
    }
}

/// A Write request in progress. Dropped before its devices answered, it is recorded with the status Uncertain: what
/// was sent may have been done.
pub(crate) struct WriteAudit {
    server: Arc<Server>,
    session: Arc<Session>,
    entry: String,
    time: UaTime,
    space: Arc<Space>,
    writes: Vec<Write>,
    held: usize,
    /// The whole values, old and new, while a client listens for events.
    values: Option<Vec<(Value, Value)>>,
}

/// One operation, as far as it went.
pub(crate) struct Done<'a> {
    /// The node as the client named it.
    pub id: NodeIdRef<'a>,
    pub attribute: u32,
    pub range: Option<&'a str>,
    pub node: Option<NodeIx>,
    pub old: Value,
    pub new: Option<Value>,
    pub status: StatusCode,
}

impl WriteAudit {
    /// `None` when writes are neither recorded nor listened for.
    pub(crate) fn begin(server: &Arc<Server>, session: &Arc<Session>, entry: &str, count: usize) -> Option<WriteAudit> {
        let is_heard = server.trail.is_on() && server.is_audit_heard();
        (server.trail.keeps_writes() || is_heard).then(|| WriteAudit {
            server: Arc::clone(server),
            session: Arc::clone(session),
            entry: if is_heard { entry.to_owned() } else { String::new() },
            time: UaTime::now(),
            space: Arc::clone(&server.world().space),
            writes: Vec::with_capacity(count),
            held: 0,
            values: is_heard.then(|| Vec::with_capacity(count)),
        })
    }

    pub(crate) fn note(&mut self, done: Done<'_>) {
        let Done { id, attribute, range, node, old, new, status } = done;
        if let Some(values) = &mut self.values {
            values.push((old.clone(), new.clone().unwrap_or_default()));
        }
        let (old, new) = (Content::of(old), new.map_or(Content::None, Content::of));
        let range = range.filter(|range| !range.is_empty());
        self.held += old.weight() + new.weight() + range.map_or(0, str::len);
        self.writes.push(Write {
            node: node.map_or_else(|| Node::Given(given(id)), |node| Node::Known(node.0)),
            attribute,
            range: range.map(|range| range.chars().take(256).collect()),
            old,
            new,
            status,
        });
    }

    /// Fills in the status of each operation, and ends the record.
    pub(crate) fn finish(mut self, results: &[StatusCode]) {
        for (write, status) in self.writes.iter_mut().zip(results) {
            write.status = *status;
        }
    }

    fn raise(&self) {
        let who = who(&self.session);
        let space = &self.space;
        for (write, (old, new)) in self.writes.iter().zip(self.values.iter().flatten()) {
            let (source, name) = match &write.node {
                Node::Known(number) => (Some(space.owned_id(NodeIx(*number))), space.id_text(NodeIx(*number))),
                Node::Given(name) => (None, name.to_string()),
            };
            let record = Record { time: self.time, ..Record::new(Kind::Write, write.status, who.clone()) };
            let record = record.with(format!("write to {name}: {}", write.status));
            let told = AuditFields {
                kind: kinds::WRITE_UPDATE,
                source,
                source_name: "Attribute/Write",
                entry: self.entry.clone(),
                fields: Fields::default()
                    .with(Field::AttributeId, Value::UInt32(write.attribute))
                    .with(Field::IndexRange, write.range.as_deref().map_or(Value::Null, Value::text))
                    .with(Field::OldValue, old.clone())
                    .with(Field::NewValue, new.clone()),
                ..AuditFields::default()
            };
            self.server.raise_audit(&record, told);
        }
    }
}

impl Drop for WriteAudit {
    fn drop(&mut self) {
        if self.values.is_some() {
            self.raise();
        }
        self.server.trail.tell_writes(Writes {
            time: self.time,
            who: who(&self.session),
            names: Arc::clone(&self.space) as Arc<dyn Names>,
            writes: std::mem::take(&mut self.writes),
            held: self.held,
        });
    }
}

/// The node as the client named it.
fn given(id: NodeIdRef<'_>) -> Box<str> {
    id.to_owned().to_string().chars().take(256).collect()
}
