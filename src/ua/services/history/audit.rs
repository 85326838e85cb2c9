//! Changes of history in the audit: one record and one audit event for each node (Part 11 §5.8, 1.05).

use super::annotations;
use super::change::{Change, Outcome, Perform};
use opcua::StatusCode;

use crate::audit::{Kind, Record};
use crate::history::{Direction, Historian, Span, Who};
use crate::stack::codec::{NodeIdRef, Writer};
use crate::ua::audit::{self, AuditFields};
use crate::ua::events::Fields;
use crate::ua::history::Target;
use crate::ua::server::Server;
use crate::ua::session::Session;
use crate::ua::space::{Field, NodeIx, OwnedNodeId, Space};
use crate::value::{BuiltIn, Elements, Sample, UaTime, Value, time_to_text};

/// Event types (Part 6 annex A, 1.05).
mod kind {
    pub(crate) const VALUE_UPDATE: u32 = opcua::ObjectTypeId::AuditHistoryValueUpdateEventType as u32;
    pub(crate) const RAW_MODIFY_DELETE: u32 = opcua::ObjectTypeId::AuditHistoryRawModifyDeleteEventType as u32;
    pub(crate) const AT_TIME_DELETE: u32 = opcua::ObjectTypeId::AuditHistoryAtTimeDeleteEventType as u32;
    pub(crate) const ANNOTATION_UPDATE: u32 = opcua::ObjectTypeId::AuditHistoryAnnotationUpdateEventType as u32;
}
/// DataTypes of the details.
mod details {
    pub(crate) const UPDATE_DATA: u32 = opcua::DataTypeId::UpdateDataDetails as u32;
    pub(crate) const UPDATE_STRUCTURE: u32 = opcua::DataTypeId::UpdateStructureDataDetails as u32;
    pub(crate) const DELETE_RAW_MODIFIED: u32 = opcua::DataTypeId::DeleteRawModifiedDetails as u32;
    pub(crate) const DELETE_AT_TIME: u32 = opcua::DataTypeId::DeleteAtTimeDetails as u32;
}
/// An event that would carry more old or new values carries none.
const VALUES: usize = 1_000;

/// A change that is about to be made.
pub(crate) struct Changed<'a> {
    pub target: Target,
    pub node: NodeIx,
    pub change: &'a Change,
}

/// A change as the audit knows it before it is made.
pub(crate) struct Audit {
    node: OwnedNodeId,
    /// The node's id as text.
    id: String,
    kind: u32,
    message: String,
    count: usize,
    acting: crate::audit::Who,
    /// Fields of the event's own type.
    fields: Fields,
}

impl Audit {
    pub(crate) fn begin(
        server: &Server,
        space: &Space,
        session: &Session,
        historian: &dyn Historian,
        changed: Changed<'_>,
    ) -> Audit {
        let Changed { target, node, change } = changed;
        let old = || old_values(historian, target, change).unwrap_or_default();
        let is_heard = server.trail.is_on() && server.is_audit_heard();
        let id = space.id_text(node);
        let (kind, details, message, count, mut fields) = match change {
            Change::Values(perform, entries) => {
                let new = data_values(&entries.good);
                let verb = verb(*perform);
                let fields = performed(*perform, new);
                let message = format!("{verb} values of {id}");
                (kind::VALUE_UPDATE, details::UPDATE_DATA, message, entries.good.len(), fields)
            }
            Change::Annotations(perform, entries) => {
                let new: Vec<Sample> = entries.good.iter().map(annotations::sample).collect();
                let new = if *perform == Perform::Remove { Value::Null } else { data_values(&new) };
                let fields = performed(*perform, new);
                let message = format!("{} annotations of {id}", verb(*perform));
                (kind::ANNOTATION_UPDATE, details::UPDATE_STRUCTURE, message, entries.good.len(), fields)
            }
            Change::DeleteAt(entries) => {
                let times = Value::array(Elements::DateTime(entries.good.clone()));
                let message = format!("deleted values of {id}");
                let fields = Fields::default().with(Field::ReqTimes, times);
                (kind::AT_TIME_DELETE, details::DELETE_AT_TIME, message, entries.good.len(), fields)
            }
            Change::DeleteSpan { is_modified, start, end } => {
                let fields = Fields::default()
                    .with(Field::IsDeleteModified, Value::Boolean(*is_modified))
                    .with(Field::StartTime, Value::DateTime(*start))
                    .with(Field::EndTime, Value::DateTime(*end));
                let what = if *is_modified { "modified values" } else { "values" };
                let message = format!("deleted {what} of {id} from {} to {}", time_to_text(*start), time_to_text(*end));
                (kind::RAW_MODIFY_DELETE, details::DELETE_RAW_MODIFIED, message, 0, fields)
            }
        };
        if is_heard {
            fields.set(Field::OldValues, old());
        }
        fields.set(Field::UpdatedNode, space.id_value(node));
        fields.set(Field::ParameterDataTypeId, standard_id(details));
        let node = space.owned_id(node);
        Audit { node, id, kind, message, count, acting: audit::who(session), fields }
    }

    /// Records the outcome.
    pub(crate) fn end(self, server: &Server, who: &Who, audit_entry: &str, outcome: &Outcome) {
        let Audit { node, id, kind, message, count, acting, fields } = self;
        let refused = match outcome {
            Ok((status, entries)) => {
                usize::from(status.is_bad()) + entries.iter().filter(|status| status.is_bad()).count()
            }
            Err(_) => count.max(1),
        };
        let user = if who.user.is_empty() { "an anonymous user" } else { who.user.as_str() };
        let how = match (count, refused) {
            (0, 0) => String::new(),
            (0, _) => ", in vain".to_owned(),
            (count, 0) => format!(": {count}"),
            (_, refused) => format!(", of which {refused} were refused"),
        };
        let status = match outcome {
            Ok((status, _)) if status.is_bad() => *status,
            Ok((_, entries)) => entries.iter().copied().find(StatusCode::is_bad).unwrap_or(StatusCode::Good),
            Err(status) => *status,
        };
        let record = Record { time: who.time, node: id, ..Record::new(Kind::HistoryUpdate, status, acting) };
        server.audit(record.with(format!("{user} {message}{how}")), || {
            Some(AuditFields {
                kind,
                source: Some(node),
                source_name: "Attribute/HistoryUpdate",
                entry: audit_entry.to_owned(),
                fields,
                ..AuditFields::default()
            })
        });
    }
}

fn performed(perform: Perform, new_values: Value) -> Fields {
    let perform = Value::Int32(perform as i32);
    Fields::default().with(Field::PerformInsertReplace, perform).with(Field::NewValues, new_values)
}

fn verb(perform: Perform) -> &'static str {
    match perform {
        Perform::Insert => "inserted",
        Perform::Replace => "replaced",
        Perform::Update => "updated",
        Perform::Remove => "removed",
    }
}

/// A NodeId of namespace 0 as a value.
fn standard_id(number: u32) -> Value {
    let mut w = Writer::new();
    w.variant_head(BuiltIn::NodeId);
    w.node_id(NodeIdRef::numeric(0, number));
    Value::Wire(w.buf.into())
}

/// The values before the change, unless they are many.
fn old_values(historian: &dyn Historian, target: Target, change: &Change) -> Option<Value> {
    let at = |times: &[UaTime]| {
        let found = if times.len() > VALUES { None } else { historian.at(target.archive, times).ok() }?;
        Some(data_values(&found.into_iter().flatten().collect::<Vec<_>>()))
    };
    match change {
        Change::Values(Perform::Insert, _) | Change::Annotations(..) => None,
        Change::Values(_, entries) => at(&entries.good.iter().map(|sample| sample.source_time).collect::<Vec<_>>()),
        Change::DeleteAt(entries) => at(&entries.good),
        Change::DeleteSpan { is_modified: true, .. } => None,
        Change::DeleteSpan { start, end, .. } => {
            let span = Span { first: *start, last: if start == end { *end } else { UaTime(end.0 - 1) } };
            let page = historian.page(target.archive, span, Direction::Forward, VALUES, None).ok()?;
            page.resume.is_none().then(|| data_values(&page.samples))
        }
    }
}

/// DataValues as a value; null when they are too many.
fn data_values(samples: &[Sample]) -> Value {
    if samples.len() > VALUES {
        return Value::Null;
    }
    let mut w = Writer::new();
    w.variant_array_head(BuiltIn::DataValue);
    w.count(samples.len());
    for sample in samples {
        w.data_value(&sample.value, sample.status, Some(sample.source_time), Some(sample.server_time));
    }
    Value::Wire(w.buf.into())
}
