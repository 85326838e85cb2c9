//! Method service set (Part 4 §5.12, 1.05): Call.
//!
//! A method is a row of `METHODS` and a function. Its arguments have been checked by the row when the function gets
//! them; `space::callable` makes its node executable.

mod condition;
mod refresh;

use std::sync::Arc;

use opcua::{ObjectId, ObjectTypeId, StatusCode};

use super::{Context, Work, operations};
use crate::stack::codec::{NodeIdRef, Reader, Writer};
use crate::ua::audit::{CallAudit, Called};
use crate::ua::space::{Class, NodeIx, Space, Viewer, callable};
use crate::ua::subscription::Subscription;
use crate::value::{BuiltIn, Elements, Value};

/// A method that can be called.
struct Method {
    /// Its node in namespace 0.
    id: u32,
    /// Objects and object types in namespace 0 that it is called on.
    objects: &'static [u32],
    arguments: &'static [Argument],
    run: Run,
    /// Each call of it is audited: it modifies the state of the system (Part 4 §6.5.9, 1.05). Calls of others are audited
    /// when they are refused for want of rights.
    is_audited: bool,
}

/// Answers a call with its output arguments.
type Run = fn(&Context<'_>, &[Value]) -> Result<Vec<Value>, StatusCode>;

/// The type of an input argument; each is a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Argument {
    UInt32,
    Boolean,
    DateTime,
    LocalizedText,
    ByteString,
    /// Double, in milliseconds.
    Duration,
    /// Int32 of an enumeration with the values from 0 to `last`.
    Enumeration {
        last: i32,
    },
}

const SERVER: &[u32] = &[ObjectId::Server as u32];
const CONDITION_TYPE: &[u32] = &[ObjectTypeId::ConditionType as u32];
/// ServerState (Part 5 §12.6, 1.05).
const SERVER_STATE: Argument = Argument::Enumeration { last: 7 };

const METHODS: [Method; callable::ALL.len()] = [
    Method {
        id: callable::GET_MONITORED_ITEMS,
        objects: SERVER,
        arguments: &[Argument::UInt32],
        run: get_monitored_items,
        is_audited: false,
    },
    Method {
        id: callable::RESEND_DATA,
        objects: SERVER,
        arguments: &[Argument::UInt32],
        run: resend_data,
        is_audited: false,
    },
    Method {
        id: callable::REQUEST_SERVER_STATE_CHANGE,
        objects: SERVER,
        arguments: &[SERVER_STATE, Argument::DateTime, Argument::UInt32, Argument::LocalizedText, Argument::Boolean],
        run: request_server_state_change,
        is_audited: true,
    },
    Method {
        id: callable::CONDITION_REFRESH,
        objects: CONDITION_TYPE,
        arguments: &[Argument::UInt32],
        run: condition_refresh,
        is_audited: false,
    },
    Method {
        id: callable::CONDITION_REFRESH_2,
        objects: CONDITION_TYPE,
        arguments: &[Argument::UInt32, Argument::UInt32],
        run: condition_refresh_2,
        is_audited: false,
    },
];

/// The object and the method that an operation means.
struct Target {
    object: NodeIx,
    method: NodeIx,
    row: Row,
}

#[derive(Clone, Copy)]
enum Row {
    Standard(&'static Method),
    Condition(condition::Call),
}

impl Row {
    fn arguments(self) -> &'static [Argument] {
        match self {
            Row::Standard(method) => method.arguments,
            Row::Condition(call) => call.arguments(),
        }
    }
}

/// Why an operation was not done.
enum Refused {
    Whole(StatusCode),
    /// Bad_InvalidArgument, with the status of each argument.
    Arguments(Vec<StatusCode>),
}

impl From<StatusCode> for Refused {
    fn from(status: StatusCode) -> Refused {
        Refused::Whole(status)
    }
}

/// Calls each method at once, in the order of the request.
pub(crate) fn call(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<Option<Work>, StatusCode> {
    let count = operations(reader, 8, context.server.limits.method_calls)?;
    let space = &context.world.space;
    let viewer = context.viewer();
    let start = w.mark();
    context.write_head(w);
    w.count(count);
    let mut audit = CallAudit::begin(context.server, context.session, space, context.header.audit_entry);
    for _ in 0..count {
        let (object, method) = (reader.node_id()?, reader.node_id()?);
        let target = resolve(space, &viewer, object, method);
        let most = target.as_ref().map_or(0, |target| target.row.arguments().len());
        let given = Given::read(reader, most)?;
        let outcome = match &target {
            Err(status) => Err(Refused::Whole(*status)),
            Ok(target) => {
                let outcome = check_and_run(context, space, &viewer, target, &given);
                note(context, &mut audit, target, &given, &outcome);
                outcome
            }
        };
        write_result(&outcome, w);
        context.check_size(start, w)?;
    }
    w.null_array();
    Ok(None)
}

/// The method of an object (Part 4 §5.12.2, 1.05). What the session may not browse is not there.
fn resolve(
    space: &Space,
    viewer: &Viewer<'_>,
    object: NodeIdRef<'_>,
    method: NodeIdRef<'_>,
) -> Result<Target, StatusCode> {
    let object = space.find(object).filter(|at| viewer.sees(space, *at)).ok_or(StatusCode::BadNodeIdUnknown)?;
    if !matches!(space.node(object).class, Class::Object | Class::ObjectType) {
        return Err(StatusCode::BadNodeIdInvalid);
    }
    if let Some(call) = condition::resolve(space, viewer, object, method) {
        let call = call?;
        return Ok(Target { object: call.condition, method: call.method, row: Row::Condition(call) });
    }
    let named = space.find(method).filter(|at| viewer.sees(space, *at)).ok_or(StatusCode::BadMethodInvalid)?;
    let is_refresh =
        [callable::CONDITION_REFRESH, callable::CONDITION_REFRESH_2].iter().any(|one| space.is_node(named, *one));
    // Some clients name the Server object in place of the type.
    let of = match space.standard_node(ObjectTypeId::ConditionType as u32) {
        Some(kind) if is_refresh && space.is_node(object, ObjectId::Server as u32) => kind,
        _ => object,
    };
    let method = space.method_of(of, named).filter(|at| viewer.sees(space, *at));
    let method = method.ok_or(StatusCode::BadMethodInvalid)?;
    let row = METHODS.iter().find(|row| space.is_node(method, row.id)).ok_or(StatusCode::BadNotExecutable)?;
    // ConditionRefresh is called on ConditionType alone, not on its subtypes (Part 9 §5.5.7, 1.05).
    let is_here = row.objects.iter().any(|number| space.is_node(of, *number));
    if is_here { Ok(Target { object, method, row: Row::Standard(row) }) } else { Err(StatusCode::BadMethodInvalid) }
}

/// Input arguments as the client gave them: those that the method takes, and how many there were.
struct Given {
    values: Vec<Value>,
    count: usize,
}

impl Given {
    /// Reads all arguments, and keeps `most` of them.
    fn read(reader: &mut Reader<'_>, most: usize) -> Result<Given, StatusCode> {
        let count = reader.count(1)?;
        let mut values = Vec::with_capacity(count.min(most));
        for n in 0..count {
            let value = reader.variant()?;
            if n < most {
                values.push(value);
            }
        }
        Ok(Given { values, count })
    }
}

fn check_and_run(
    context: &Context<'_>,
    space: &Space,
    viewer: &Viewer<'_>,
    target: &Target,
    given: &Given,
) -> Result<Vec<Value>, Refused> {
    let Target { object, method, row } = target;
    // The permission is needed on both (Part 3 §8.55, 1.05).
    if !viewer.may_call(space, *object) || !viewer.may_call(space, *method) {
        return Err(StatusCode::BadUserAccessDenied.into());
    }
    viewer.check_channel(space, *object)?;
    viewer.check_channel(space, *method)?;
    let arguments = row.arguments();
    if given.count < arguments.len() {
        return Err(StatusCode::BadArgumentsMissing.into());
    }
    if given.count > arguments.len() {
        return Err(StatusCode::BadTooManyArguments.into());
    }
    let checked: Vec<StatusCode> =
        arguments.iter().zip(&given.values).map(|(argument, value)| argument.check(value)).collect();
    if checked.iter().any(StatusCode::is_bad) {
        return Err(Refused::Arguments(checked));
    }
    Ok(match row {
        Row::Standard(method) => (method.run)(context, &given.values)?,
        Row::Condition(call) => call.run(context, &given.values)?,
    })
}

impl Argument {
    fn check(self, value: &Value) -> StatusCode {
        let fits = match (self, value) {
            (Argument::UInt32, Value::UInt32(_)) | (Argument::Boolean, Value::Boolean(_)) => true,
            (Argument::ByteString, Value::ByteString(_) | Value::Null) | (Argument::Duration, Value::Double(_)) => true,
            // These types have a null value of their own.
            (Argument::DateTime, Value::DateTime(_) | Value::Null) | (Argument::LocalizedText, Value::Null) => true,
            (Argument::LocalizedText, Value::Wire(bytes)) => bytes.first() == Some(&(BuiltIn::LocalizedText as u8)),
            (Argument::Enumeration { last }, Value::Int32(number)) => {
                return if (0..=last).contains(number) { StatusCode::Good } else { StatusCode::BadOutOfRange };
            }
            _ => false,
        };
        if fits { StatusCode::Good } else { StatusCode::BadTypeMismatch }
    }
}

fn note(
    context: &Context<'_>,
    audit: &mut CallAudit<'_>,
    target: &Target,
    given: &Given,
    outcome: &Result<Vec<Value>, Refused>,
) {
    let status = match outcome {
        Ok(_) => StatusCode::Good,
        Err(Refused::Whole(status)) => *status,
        Err(Refused::Arguments(_)) => StatusCode::BadInvalidArgument,
    };
    let (object, method) = (target.object, target.method);
    let is_audited = match target.row {
        Row::Standard(method) => method.is_audited,
        Row::Condition(call) => return call.audit(context, &given.values, status),
    };
    let called = Called { object, method, arguments: &given.values, status };
    if matches!(status, StatusCode::BadUserAccessDenied | StatusCode::BadSecurityModeInsufficient) {
        audit.note_refused(called);
    } else if is_audited {
        audit.note(called);
    }
}

/// A CallMethodResult. Statuses of arguments are there only with Bad_InvalidArgument.
fn write_result(outcome: &Result<Vec<Value>, Refused>, w: &mut Writer) {
    let (status, arguments, outputs) = match outcome {
        Ok(outputs) => (StatusCode::Good, &[][..], outputs.as_slice()),
        Err(Refused::Whole(status)) => (*status, &[][..], &[][..]),
        Err(Refused::Arguments(arguments)) => (StatusCode::BadInvalidArgument, arguments.as_slice(), &[][..]),
    };
    w.status(status);
    w.count(arguments.len());
    arguments.iter().for_each(|status| w.status(*status));
    w.null_array();
    w.count(outputs.len());
    outputs.iter().for_each(|value| w.variant(value));
}

/// A number among checked arguments.
fn number(arguments: &[Value], at: usize) -> Result<u32, StatusCode> {
    match arguments.get(at) {
        Some(Value::UInt32(number)) => Ok(*number),
        _ => Err(StatusCode::BadInternalError),
    }
}

/// The subscription that the first argument names; one of another session is Bad_UserAccessDenied (Part 5 §9.1, 1.05).
/// To name it is a sign of life of its client.
fn own_subscription(context: &Context<'_>, arguments: &[Value]) -> Result<Arc<Subscription>, StatusCode> {
    let id = number(arguments, 0)?;
    let Some(subscription) = context.session.subscription(id) else {
        let is_foreign = context.server.subscriptions.get(id).is_some();
        return Err(if is_foreign { StatusCode::BadUserAccessDenied } else { StatusCode::BadSubscriptionIdInvalid });
    };
    subscription.lock().touch();
    Ok(subscription)
}

/// Server and client handles of all items of a subscription (Part 5 §9.1, 1.05).
fn get_monitored_items(context: &Context<'_>, arguments: &[Value]) -> Result<Vec<Value>, StatusCode> {
    let subscription = own_subscription(context, arguments)?;
    let (server_handles, client_handles): (Vec<u32>, Vec<u32>) =
        subscription.lock().items().map(|(_, item)| (item.id, item.client_handle)).unzip();
    Ok([server_handles, client_handles].map(|handles| Value::array(Elements::UInt32(handles))).into())
}

/// The next message has a value of each reporting data item (Part 5 §9.2, 1.05).
fn resend_data(context: &Context<'_>, arguments: &[Value]) -> Result<Vec<Value>, StatusCode> {
    own_subscription(context, arguments)?.lock().resend_data();
    Ok(Vec::new())
}

/// No requested state is accepted: the server runs for as long as its operator lets it run (Part 5 §9.4, 1.05).
fn request_server_state_change(_: &Context<'_>, _: &[Value]) -> Result<Vec<Value>, StatusCode> {
    Err(StatusCode::BadInvalidState)
}

/// The subscription of a refresh: there is no other status for one of another session (Part 9 §5.5.7, Table 14, 1.05).
fn refreshed_subscription(context: &Context<'_>, arguments: &[Value]) -> Result<Arc<Subscription>, StatusCode> {
    own_subscription(context, arguments).map_err(|_| StatusCode::BadSubscriptionIdInvalid)
}

/// Part 9 §5.5.7 (1.05).
fn condition_refresh(context: &Context<'_>, arguments: &[Value]) -> Result<Vec<Value>, StatusCode> {
    let subscription = refreshed_subscription(context, arguments)?;
    refresh::refresh(context, &subscription, None)?;
    Ok(Vec::new())
}

/// The same for one item (Part 9 §5.5.8, 1.05).
fn condition_refresh_2(context: &Context<'_>, arguments: &[Value]) -> Result<Vec<Value>, StatusCode> {
    let subscription = refreshed_subscription(context, arguments)?;
    let item = number(arguments, 1)?;
    let key = subscription.lock().key_of(item).ok_or(StatusCode::BadMonitoredItemIdInvalid)?;
    let refreshed = refresh::refresh(context, &subscription, Some(key));
    // An item that takes no events is not one that can be refreshed.
    refreshed.map_err(|_| StatusCode::BadMonitoredItemIdInvalid)?;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests;
