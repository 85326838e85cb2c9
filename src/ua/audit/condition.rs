//! Acts of operators on conditions (Part 9 §5.10, 1.05), also those that were refused.

use opcua::StatusCode;

use super::call::{array_of_any, bounded, shown};
use super::{AuditFields, kinds, who};
use crate::alarms::Act;
use crate::audit::{Kind, Record};
use crate::ua::events::Fields;
use crate::ua::server::Server;
use crate::ua::session::Session;
use crate::ua::space::{Field, NodeIx, Space};
use crate::value::Value;

/// An act that was asked of a condition.
pub(crate) struct ConditionAct<'a> {
    pub condition: NodeIx,
    /// The method that was called, or the Variable that was written in its place.
    pub asked: NodeIx,
    pub act: &'a Act,
    pub arguments: &'a [Value],
    pub status: StatusCode,
    /// The name by which the client finds this act in its own audit log.
    pub entry: &'a str,
}

/// Records an act, and raises its event for those who may hear it.
pub(crate) fn audit_condition(server: &Server, session: &Session, space: &Space, act: &ConditionAct<'_>) {
    if !server.trail.is_on() {
        return;
    }
    let (kind, event, name) = match act.act {
        Act::Enable => (Kind::ConditionEnable, kinds::CONDITION_ENABLE, "Method/Enable"),
        Act::Disable => (Kind::ConditionEnable, kinds::CONDITION_ENABLE, "Method/Disable"),
        Act::AddComment(_) => (Kind::ConditionComment, kinds::CONDITION_COMMENT, "Method/AddComment"),
        Act::Acknowledge(_) => (Kind::ConditionAcknowledge, kinds::CONDITION_ACKNOWLEDGE, "Method/Acknowledge"),
        Act::Confirm(_) => (Kind::ConditionConfirm, kinds::CONDITION_CONFIRM, "Method/Confirm"),
        Act::TimedShelve(_) => (Kind::ConditionShelve, kinds::CONDITION_SHELVING, "Method/TimedShelve"),
        Act::OneShotShelve => (Kind::ConditionShelve, kinds::CONDITION_SHELVING, "Method/OneShotShelve"),
        Act::Unshelve => (Kind::ConditionShelve, kinds::CONDITION_SHELVING, "Method/Unshelve"),
        Act::Reset => (Kind::ConditionReset, kinds::CONDITION_RESET, "Method/Reset"),
    };
    let arguments: Vec<Value> = act.arguments.iter().map(bounded).collect();
    let texts = arguments.iter().map(shown).collect::<Vec<_>>().join(", ");
    let asked = space.browse_name(act.asked).name.unwrap_or_default();
    let message = format!("{asked}({texts}) on {}", space.id_text(act.condition));
    let record = Record { node: space.id_text(act.condition), ..Record::new(kind, act.status, who(session)) };
    server.audit(record.with(message), || {
        let mut fields = Fields::default()
            .with(Field::MethodId, space.id_value(act.asked))
            .with(Field::InputArguments, array_of_any(&arguments));
        match act.act {
            Act::AddComment(_) | Act::Acknowledge(_) | Act::Confirm(_) => {
                fields.set(Field::ConditionEventId, arguments.first().cloned().unwrap_or_default());
                fields.set(Field::Comment, arguments.get(1).cloned().unwrap_or_default());
            }
            Act::TimedShelve(millis) => fields.set(Field::ShelvingTime, Value::Double(*millis)),
            Act::Enable | Act::Disable | Act::OneShotShelve | Act::Unshelve | Act::Reset => {}
        }
        Some(AuditFields {
            kind: event,
            source: Some(space.owned_id(act.condition)),
            source_name: name,
            entry: act.entry.to_owned(),
            fields,
            ..AuditFields::default()
        })
    });
}
