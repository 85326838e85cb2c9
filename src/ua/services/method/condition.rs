//! Methods of conditions (Part 9 §5.5 to §5.8, 1.05). A call names the condition, and its own method or the one that its
//! type declares: clients do either.

use opcua::StatusCode;

use super::Argument;
use crate::alarms::{Act, EventName, Words};
use crate::model::AlarmIx;
use crate::stack::codec::{NodeIdRef, Reader};
use crate::ua::audit::{ConditionAct, audit_condition};
use crate::ua::services::Context;
use crate::ua::space::{Class, DECLARED, NodeIx, Space, Viewer};
use crate::value::{BuiltIn, Value};

/// A call of a method of a condition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub alarm: AlarmIx,
    pub condition: NodeIx,
    pub method: NodeIx,
    verb: &'static Verb,
}

/// A method of conditions.
#[derive(Debug)]
struct Verb {
    name: &'static str,
    arguments: &'static [Argument],
    act: fn(&[Value]) -> Act,
}

const EVENT_AND_COMMENT: &[Argument] = &[Argument::ByteString, Argument::LocalizedText];
const COMMENT: &[Argument] = &[Argument::LocalizedText];

const VERBS: [Verb; 13] = [
    Verb { name: "Enable", arguments: &[], act: |_| Act::Enable },
    Verb { name: "Disable", arguments: &[], act: |_| Act::Disable },
    Verb { name: "AddComment", arguments: EVENT_AND_COMMENT, act: |given| Act::AddComment(event(given)) },
    Verb { name: "Acknowledge", arguments: EVENT_AND_COMMENT, act: |given| Act::Acknowledge(event(given)) },
    Verb { name: "Confirm", arguments: EVENT_AND_COMMENT, act: |given| Act::Confirm(event(given)) },
    Verb { name: "TimedShelve", arguments: &[Argument::Duration], act: |given| Act::TimedShelve(millis(given)) },
    Verb {
        name: "TimedShelve2",
        arguments: &[Argument::Duration, Argument::LocalizedText],
        act: |given| Act::TimedShelve(millis(given)),
    },
    Verb { name: "OneShotShelve", arguments: &[], act: |_| Act::OneShotShelve },
    Verb { name: "OneShotShelve2", arguments: COMMENT, act: |_| Act::OneShotShelve },
    Verb { name: "Unshelve", arguments: &[], act: |_| Act::Unshelve },
    Verb { name: "Unshelve2", arguments: COMMENT, act: |_| Act::Unshelve },
    Verb { name: "Reset", arguments: &[], act: |_| Act::Reset },
    Verb { name: "Reset2", arguments: COMMENT, act: |_| Act::Reset },
];

fn event(arguments: &[Value]) -> EventName {
    match arguments.first() {
        Some(Value::ByteString(id)) => id.as_ref().try_into().map_or(EventName::Unknown, EventName::Id),
        _ => EventName::Unknown,
    }
}

fn millis(arguments: &[Value]) -> f64 {
    match arguments.first() {
        Some(Value::Double(millis)) => *millis,
        _ => 0.0,
    }
}

/// The comment of a call; `None` for methods without one.
fn words(arguments: &[Value]) -> Option<Words> {
    match arguments.last() {
        Some(Value::Wire(bytes)) if bytes.first() == Some(&(BuiltIn::LocalizedText as u8)) => {
            let text = Reader::new(bytes.get(1..).unwrap_or_default()).localized_text().unwrap_or_default();
            let part = |text: Option<&str>| text.unwrap_or_default().into();
            Some(Words { locale: part(text.locale), text: part(text.text) })
        }
        Some(Value::Null) => Some(Words::default()),
        _ => None,
    }
}

/// The call of a condition's method; `None`: the object is no condition, and no condition type with one of its methods.
pub(super) fn resolve(
    space: &Space,
    viewer: &Viewer<'_>,
    object: NodeIx,
    method: NodeIdRef<'_>,
) -> Option<Result<Call, StatusCode>> {
    let is_declared = |at: NodeIx| DECLARED.iter().any(|number| space.is_node(at, *number as u32));
    let named = space.find(method).filter(|at| viewer.sees(space, *at));
    let Some(alarm) = space.alarm_of(object) else {
        // The type is no condition (Part 9 §5.7.3, 1.05).
        let is_type = space.node(object).class == Class::ObjectType && named.is_some_and(is_declared);
        return is_type.then_some(Err(StatusCode::BadNodeIdInvalid));
    };
    let condition = space.condition_of(alarm)?;
    let call = || {
        let named = named.ok_or(StatusCode::BadMethodInvalid)?;
        let name = space.browse_name(named).name.unwrap_or_default();
        let own = space.component(condition, name).or_else(|| {
            let shelving = space.component(condition, "ShelvingState")?;
            space.component(shelving, name)
        });
        let own = own.filter(|own| space.node(*own).class == Class::Method).ok_or(StatusCode::BadMethodInvalid)?;
        let verb = VERBS.iter().find(|verb| verb.name == name).ok_or(StatusCode::BadMethodInvalid)?;
        let is_meant = own == named || is_declared(named);
        let call = Call { alarm, condition, method: named, verb };
        if is_meant { Ok(call) } else { Err(StatusCode::BadMethodInvalid) }
    };
    Some(call())
}

impl Call {
    pub(super) fn arguments(&self) -> &'static [Argument] {
        self.verb.arguments
    }

    pub(super) fn run(&self, context: &Context<'_>, arguments: &[Value]) -> Result<Vec<Value>, StatusCode> {
        let user = context.session.lock().identity.name().to_owned();
        let (act, words) = ((self.verb.act)(arguments), words(arguments));
        let (server, world) = (context.server, &context.world);
        server.act_on_alarm(world, self.alarm, &act, words.as_ref(), &user, context.now)?;
        Ok(Vec::new())
    }

    /// Records the call, also one that was refused.
    pub(super) fn audit(&self, context: &Context<'_>, arguments: &[Value], status: StatusCode) {
        let act = &(self.verb.act)(arguments);
        let (condition, asked, entry) = (self.condition, self.method, context.header.audit_entry);
        let act = ConditionAct { condition, asked, act, arguments, status, entry };
        audit_condition(context.server, context.session, &context.world.space, &act);
    }
}
