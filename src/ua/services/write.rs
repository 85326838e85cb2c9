//! Write (Part 4 §5.11.4, 1.05): checked on the connection's task, done at once where the tags are the server's own.

use std::sync::atomic::Ordering;
use std::time::Duration;

use opcua::StatusCode;
use tokio::sync::oneshot;

use super::attribute::ReadOperation;
use super::{Context, ResponseHead, Work, operations};
use crate::alarms::{Act, EventName};
use crate::model::{AlarmIx, ConnectionIx, TagId};
use crate::stack::codec::{QualifiedNameRef, Reader, Writer, typed_structure};
use crate::tags;
use crate::ua::audit::{ConditionAct, Done, WriteAudit, audit_condition};
use crate::ua::diagnostics;
use crate::ua::space::{Attribute, ConditionPart, ENABLED, Live, NodeIx, Source, Space, Viewer};
use crate::value::{IndexRange, Value};

/// Default deadline of a device write without a client timeoutHint.
const WRITE_DEADLINE: Duration = Duration::from_secs(2);
const LONGEST_WRITE: Duration = Duration::from_secs(60);

/// A Write under way: the results so far, and the devices that still have to answer.
struct Writing {
    results: Vec<StatusCode>,
    /// The audit record, completed at the end.
    audit: Option<WriteAudit>,
    waiting: Vec<Awaited>,
    deadline: Duration,
}

/// Statuses that come later, and their places in the request.
struct Awaited {
    reply: oneshot::Receiver<Vec<StatusCode>>,
    places: Vec<usize>,
}

/// Outcome of one operation, as far as it is known.
enum Outcome {
    Tag(tags::Written),
    /// A connection is switched on or off.
    Switch(oneshot::Receiver<Vec<StatusCode>>),
}

impl Writing {
    /// Waits for the devices. The client gets their answer; without one it gets BadTimeout, because the outcome is unknown.
    async fn finish(mut self) -> Vec<StatusCode> {
        // The queue answers within the deadline; the grace is for what was just sent.
        let until = tokio::time::Instant::now() + self.deadline + Duration::from_secs(1);
        for Awaited { reply, places } in self.waiting {
            let codes = match tokio::time::timeout_at(until, reply).await {
                Ok(Ok(codes)) => codes,
                Ok(Err(_)) => vec![StatusCode::BadResourceUnavailable; places.len()],
                Err(_) => vec![StatusCode::BadTimeout; places.len()],
            };
            for (n, place) in places.into_iter().enumerate() {
                self.results[place] = codes.get(n).copied().unwrap_or(StatusCode::BadInternalError);
            }
        }
        if let Some(audit) = self.audit {
            audit.finish(&self.results);
        }
        self.results
    }
}

/// Writes at once where the tags are the server's own; otherwise the devices' answers are the response.
pub(crate) fn write(
    context: &Context<'_>,
    reader: &mut Reader<'_>,
    w: &mut Writer,
) -> Result<Option<Work>, StatusCode> {
    let (writing, head) = (begin_write(context, reader)?, context.request.head);
    if writing.waiting.is_empty() {
        write_results(head, &writing.results, w);
        return Ok(None);
    }
    Ok(Some(Work::for_devices(async move {
        let results = writing.finish().await;
        let mut w = Writer::new();
        write_results(head, &results, &mut w);
        Ok(w.buf)
    })))
}

fn write_results(head: ResponseHead, results: &[StatusCode], w: &mut Writer) {
    head.write(w);
    w.count(results.len());
    results.iter().for_each(|status| w.status(*status));
    w.null_array();
}

/// Writes of one request to one connection, and their places in the request.
struct Batch {
    connection: ConnectionIx,
    writes: Vec<tags::Write>,
    places: Vec<usize>,
}

/// The target of a write, for the audit: the node, and its value before.
#[derive(Default)]
struct Seen {
    node: Option<NodeIx>,
    old: Value,
}

/// Checks every operation, does what can be done at once, and hands the rest to the links' queues.
fn begin_write(context: &Context<'_>, reader: &mut Reader<'_>) -> Result<Writing, StatusCode> {
    let count = operations(reader, 12, context.server.limits.operations)?;
    let space = &context.world.space;
    let viewer = context.viewer();
    let mut results = Vec::with_capacity(count);
    let (mut queued, mut waiting): (Vec<Batch>, Vec<Awaited>) = (Vec::new(), Vec::new());
    let mut audit = WriteAudit::begin(context.server, context.session, context.header.audit_entry, count);
    for place in 0..count {
        let id = reader.node_id()?;
        let attribute = reader.u32()?;
        let range = reader.string()?;
        let value = reader.data_value()?;
        let operation = ReadOperation { id, attribute, range, encoding: QualifiedNameRef { namespace: 0, name: None } };
        // For the audit: the node, and its value before.
        let mut known = Seen::default();
        let seen = audit.is_some().then_some(&mut known);
        let written = write_one(context, space, &viewer, &operation, &value, seen);
        if let Some(audit) = &mut audit {
            let status = match &written {
                Ok(Outcome::Tag(tags::Written::Done(status))) | Err(status) => *status,
                Ok(Outcome::Tag(tags::Written::Device { .. }) | Outcome::Switch(_)) => StatusCode::Uncertain,
            };
            let Seen { node, old } = known;
            audit.note(Done { id, attribute, range, node, old, new: value.value, status });
        }
        match written {
            Ok(Outcome::Tag(tags::Written::Done(status))) | Err(status) => results.push(status),
            Ok(Outcome::Switch(reply)) => {
                results.push(StatusCode::BadInternalError);
                waiting.push(Awaited { reply, places: vec![place] });
            }
            Ok(Outcome::Tag(tags::Written::Device { connection, write })) => {
                results.push(StatusCode::BadInternalError);
                match queued.iter_mut().find(|batch| batch.connection == connection) {
                    Some(batch) => {
                        batch.writes.push(write);
                        batch.places.push(place);
                    }
                    None => queued.push(Batch { connection, writes: vec![write], places: vec![place] }),
                }
            }
        }
    }
    enqueue(context, &mut results, &mut waiting, queued);
    let deadline = deadline(context);
    if let Some(audit) = audit.take_if(|_| waiting.is_empty()) {
        audit.finish(&results);
    }
    Ok(Writing { results, audit, waiting, deadline })
}

fn deadline(context: &Context<'_>) -> Duration {
    match context.header.timeout_hint {
        0 => WRITE_DEADLINE,
        millis => Duration::from_millis(u64::from(millis)).min(LONGEST_WRITE),
    }
}

/// Hands the writes to the queues of their links.
fn enqueue(context: &Context<'_>, results: &mut [StatusCode], waiting: &mut Vec<Awaited>, queued: Vec<Batch>) {
    for Batch { connection, writes, places } in queued {
        match context.server.tags.enqueue(connection, writes, deadline(context)) {
            Ok(reply) => waiting.push(Awaited { reply, places }),
            Err(status) => places.into_iter().for_each(|place| results[place] = status),
        }
    }
}

fn write_one(
    context: &Context<'_>,
    space: &Space,
    viewer: &Viewer<'_>,
    operation: &ReadOperation<'_>,
    value: &crate::stack::codec::DataValue,
    seen: Option<&mut Seen>,
) -> Result<Outcome, StatusCode> {
    let (node, attribute, range) = operation.resolve(space, viewer)?;
    if let Some(seen) = seen {
        *seen = Seen { node: Some(node), old: old_value(context, space, node, attribute, range.as_ref()) };
    }
    if attribute != Attribute::Value {
        // Every other attribute is read-only here, where the class has it at all.
        let mut scratch = Writer::new();
        space.write_attribute(node, attribute, viewer, &mut scratch)?;
        return Err(StatusCode::BadNotWritable);
    }
    let shape = space.variable(node).ok_or(StatusCode::BadAttributeIdInvalid)?;
    viewer.check_channel(space, node)?;
    if space.access_level(node, viewer.plant) & crate::ua::space::access_level::WRITE == 0 {
        return Err(StatusCode::BadNotWritable);
    }
    if !viewer.may_write(space, node) {
        if let Source::Live(Live::Condition { alarm, .. }) = shape.source {
            audit_ack(context, node, alarm, StatusCode::BadUserAccessDenied);
        }
        return Err(StatusCode::BadUserAccessDenied);
    }
    let new = value.value.as_ref().ok_or(StatusCode::BadTypeMismatch)?;
    match shape.source {
        Source::Tag(tag) | Source::Member(tag) => write_tag(context, tag, new, range.as_ref(), value).map(Outcome::Tag),
        Source::Live(Live::Condition { alarm, part: ConditionPart::PlainAck }) => {
            acknowledge(context, node, alarm, new)
        }
        Source::Live(live) => write_live(context, live, new),
        Source::None | Source::Constant(_) | Source::History(_) | Source::Default { .. } => {
            Err(StatusCode::BadNotWritable)
        }
    }
}

/// EnabledFlag, and whether a connection is enabled: Booleans both. The right to write was checked before.
fn write_live(context: &Context<'_>, live: Live, value: &Value) -> Result<Outcome, StatusCode> {
    let Value::Boolean(on) = *value else { return Err(StatusCode::BadTypeMismatch) };
    match live {
        Live::Standard(diagnostics::numbers::ENABLED_FLAG) => {
            context.server.diagnostics_enabled.store(on, Ordering::Relaxed);
            Ok(Outcome::Tag(tags::Written::Done(StatusCode::Good)))
        }
        Live::Connection { connection, variable: ENABLED } => {
            context.server.switches.ask(ConnectionIx(connection), on).map(Outcome::Switch)
        }
        Live::Standard(_)
        | Live::Connection { .. }
        | Live::Condition { .. }
        | Live::AlarmCount { .. }
        | Live::Reason(_)
        | Live::Role { .. } => Err(StatusCode::BadNotWritable),
    }
}

/// The plain mirror of Acknowledge: true acknowledges the present event without a comment.
fn acknowledge(context: &Context<'_>, node: NodeIx, alarm: AlarmIx, value: &Value) -> Result<Outcome, StatusCode> {
    let Value::Boolean(is_asked) = *value else { return Err(StatusCode::BadTypeMismatch) };
    let act = Act::Acknowledge(EventName::Present);
    let done = |status| Ok(Outcome::Tag(tags::Written::Done(status)));
    if !is_asked {
        return done(StatusCode::Good);
    }
    let user = context.session.lock().identity.name().to_owned();
    let acted = context.server.act_on_alarm(&context.world, alarm, &act, None, &user, context.now);
    let status = acted.err().unwrap_or(StatusCode::Good);
    audit_ack(context, node, alarm, status);
    done(status)
}

fn audit_ack(context: &Context<'_>, asked: NodeIx, alarm: AlarmIx, status: StatusCode) {
    let space = &context.world.space;
    let Some(condition) = space.condition_of(alarm) else { return };
    let (act, entry) = (&Act::Acknowledge(EventName::Present), context.header.audit_entry);
    let act = ConditionAct { condition, asked, act, arguments: &[], status, entry };
    audit_condition(context.server, context.session, space, &act);
}

/// The value before a write, or its part that is written (Part 5 §6.4.25, 1.05).
fn old_value(
    context: &Context<'_>,
    space: &Space,
    node: NodeIx,
    attribute: Attribute,
    range: Option<&IndexRange>,
) -> Value {
    let source = space.variable(node).filter(|_| attribute == Attribute::Value).map(|shape| shape.source);
    let tag = match source {
        Some(Source::Tag(tag) | Source::Member(tag)) => tag,
        Some(Source::Live(live @ Live::Connection { variable: ENABLED, .. })) => {
            return context.live_sample(live).value;
        }
        _ => return Value::Null,
    };
    context.server.tags.with(tag, |sample| match range {
        None => sample.value.clone(),
        Some(range) => range.apply(&sample.value).unwrap_or_default(),
    })
}

fn write_tag(
    context: &Context<'_>,
    tag: TagId,
    new: &Value,
    range: Option<&IndexRange>,
    value: &crate::stack::codec::DataValue,
) -> Result<tags::Written, StatusCode> {
    // A status cannot be written (Part 4 §5.11.4.2, 1.05, lets a server refuse it). Times are the device's or ours:
    // asyncua stamps every write, so one that a client sends is passed over, not refused.
    if value.status.is_some_and(|status| !status.is_good()) {
        return Err(StatusCode::BadWriteNotSupported);
    }
    let plant = context.plant();
    let typed = match plant.structure_of(plant.tag(tag)) {
        Some(structure) => &typed_structure(&structure.kind, new)?,
        None => new,
    };
    Ok(context.server.tags.write_now(plant, tag, typed, range, context.now.wall))
}
