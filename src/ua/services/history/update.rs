//! HistoryUpdate (Part 4 §5.11.5 and Part 11 §6.9, 1.05): taken apart and checked on the connection's task, done in the
//! pool, reported in the log and as audit events.

use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;

use super::annotations::{self, Author};
use super::audit::{Audit, Changed};
use super::change::{Change, Entries, Perform};
use super::target_of;
use crate::history::Who;
use crate::model::Plant;
use crate::stack::codec::{DataValue, ExtensionRef, Reader, Writer};
use crate::tags;
use crate::ua::disk_pool::Abandoned;
use crate::ua::history::{Subject, Target};
use crate::ua::server::Server;
use crate::ua::services::{Context, Response, ResponseHead, Work, operations};
use crate::ua::session::Session;
use crate::ua::space::{NodeIx, Space, Viewer};
use crate::ua::world::World;
use crate::value::{Sample, UaTime, Value};

/// Default Binary encodings (Part 6 annex A, 1.05).
mod encoding {
    pub(crate) const UPDATE_DATA: u32 = opcua::ObjectId::UpdateDataDetails_Encoding_DefaultBinary as u32;
    pub(crate) const UPDATE_STRUCTURE: u32 = opcua::ObjectId::UpdateStructureDataDetails_Encoding_DefaultBinary as u32;
    pub(crate) const DELETE_RAW_MODIFIED: u32 = opcua::ObjectId::DeleteRawModifiedDetails_Encoding_DefaultBinary as u32;
    pub(crate) const DELETE_AT_TIME: u32 = opcua::ObjectId::DeleteAtTimeDetails_Encoding_DefaultBinary as u32;
    pub(crate) const UPDATE_EVENT: u32 = opcua::ObjectId::UpdateEventDetails_Encoding_DefaultBinary as u32;
    pub(crate) const DELETE_EVENT: u32 = opcua::ObjectId::DeleteEventDetails_Encoding_DefaultBinary as u32;
}
/// Entries of one request, over all its nodes.
const ENTRIES: usize = 100_000;
/// A source time further ahead than this is a mistake.
const AHEAD: Duration = Duration::from_hours(24);

/// A HistoryUpdate that is ready for the pool.
struct Updating {
    server: Arc<Server>,
    world: Arc<World>,
    session: Arc<Session>,
    head: ResponseHead,
    user: String,
    audit_entry: String,
    changes: Vec<Result<(Target, NodeIx, Change), StatusCode>>,
    most_bytes: usize,
}

/// Checks the changes and sends them to the pool.
pub(crate) fn update(
    context: &Context<'_>,
    reader: &mut Reader<'_>,
    _: &mut Writer,
) -> Result<Option<Work>, StatusCode> {
    let count = operations(reader, 3, context.server.limits.history_nodes)?;
    let (space, viewer) = (&context.world.space, context.viewer());
    let user = context.session.lock().identity.name().to_owned();
    let mut changes = Vec::with_capacity(count);
    let now = context.now.wall;
    let mut details = Body { context, space, viewer: &viewer, user: &user, now, left: ENTRIES };
    for _ in 0..count {
        let object = reader.extension_object()?;
        changes.push(details.read(object, reader));
    }
    let updating = Updating {
        server: Arc::clone(context.server),
        world: Arc::clone(&context.world),
        session: Arc::clone(context.session),
        head: context.request.head,
        user,
        audit_entry: context.header.audit_entry.to_owned(),
        changes,
        most_bytes: context.most_bytes,
    };
    Work::in_disk_pool(context, move |abandoned| updating.run(abandoned)).map(Some)
}

/// The HistoryUpdateDetails of a request on their way in.
struct Body<'a> {
    context: &'a Context<'a>,
    space: &'a Space,
    viewer: &'a Viewer<'a>,
    user: &'a str,
    now: UaTime,
    /// Entries that this request may still have.
    left: usize,
}

impl Body<'_> {
    fn read(&mut self, object: ExtensionRef<'_>, message: &Reader<'_>) -> Result<(Target, NodeIx, Change), StatusCode> {
        let number = object.type_id.standard().ok_or(StatusCode::BadHistoryOperationInvalid)?;
        let body = &mut message.nested(object.body.ok_or(StatusCode::BadHistoryOperationInvalid)?);
        match number {
            encoding::UPDATE_DATA
            | encoding::UPDATE_STRUCTURE
            | encoding::DELETE_RAW_MODIFIED
            | encoding::DELETE_AT_TIME => {}
            encoding::UPDATE_EVENT | encoding::DELETE_EVENT => {
                return Err(StatusCode::BadHistoryOperationUnsupported);
            }
            _ => return Err(StatusCode::BadHistoryOperationInvalid),
        }
        let id = body.node_id()?;
        let target = target_of(self.context, self.space, self.viewer, id)?;
        let node = self.space.find(id).ok_or(StatusCode::BadNodeIdUnknown)?;
        if !self.viewer.may_edit_history(self.space, node) {
            return Err(StatusCode::BadUserAccessDenied);
        }
        let change = match (number, target.subject) {
            (encoding::UPDATE_DATA, Subject::Values) => self.values(target, body)?,
            (encoding::UPDATE_STRUCTURE, Subject::Annotations) => self.annotations(body)?,
            (encoding::DELETE_RAW_MODIFIED, Subject::Values) => delete_span(body)?,
            (encoding::DELETE_AT_TIME, Subject::Values) => self.delete_at(body)?,
            _ => return Err(StatusCode::BadHistoryOperationUnsupported),
        };
        Ok((target, node, change))
    }

    fn values(&mut self, target: Target, body: &mut Reader<'_>) -> Result<Change, StatusCode> {
        let perform = Perform::from_wire(body.i32()?)?;
        // Removing is for structures only (Part 11 §6.9.2.1, 1.05).
        if perform == Perform::Remove {
            return Err(StatusCode::BadInvalidArgument);
        }
        let plant = self.context.plant();
        let keep = plant.history_of(target.tag).map(|class| class.keep);
        let oldest = keep.map_or(0, |keep| self.now.0.saturating_sub(UaTime(0).plus(keep).0));
        let given = self.data_values(body)?;
        let entries = Entries::check(given, |value| {
            let at = source_time(&value, self.now)?;
            if at.0 < oldest {
                return Err(StatusCode::BadOutOfRange);
            }
            checked(plant, target, value, at, self.now)
        });
        Ok(Change::Values(perform, entries))
    }

    fn annotations(&mut self, body: &mut Reader<'_>) -> Result<Change, StatusCode> {
        let perform = Perform::from_wire(body.i32()?)?;
        let is_new = matches!(perform, Perform::Insert | Perform::Update);
        let given = self.data_values(body)?;
        let entries = Entries::check(given, |value| {
            let at = source_time(&value, self.now)?;
            let written = value.value.as_ref().ok_or(StatusCode::BadTypeMismatch)?;
            annotations::read(written, at, Author { user: self.user, now: self.now, is_new })
        });
        Ok(Change::Annotations(perform, entries))
    }

    fn delete_at(&mut self, body: &mut Reader<'_>) -> Result<Change, StatusCode> {
        let count = self.entry_count(body, 8)?;
        body.charge(count * 8)?;
        let times = (0..count).map(|_| body.time()).collect::<Result<Vec<_>, _>>()?;
        let entries = Entries::check(times, |at| if at.0 > 0 { Ok(at) } else { Err(StatusCode::BadInvalidTimestamp) });
        Ok(Change::DeleteAt(entries))
    }

    fn data_values(&mut self, body: &mut Reader<'_>) -> Result<Vec<DataValue>, StatusCode> {
        let count = self.entry_count(body, 1)?;
        body.charge(count * size_of::<DataValue>())?;
        (0..count).map(|_| body.data_value()).collect()
    }

    fn entry_count(&mut self, body: &mut Reader<'_>, least: usize) -> Result<usize, StatusCode> {
        let count = body.count(least)?;
        if count == 0 {
            return Err(StatusCode::BadNothingToDo);
        }
        self.left = self.left.checked_sub(count).ok_or(StatusCode::BadTooManyOperations)?;
        Ok(count)
    }
}

fn source_time(value: &DataValue, now: UaTime) -> Result<UaTime, StatusCode> {
    let at = value.source_time.filter(|time| time.0 > 0).ok_or(StatusCode::BadInvalidTimestamp)?;
    if at > now.plus(AHEAD) { Err(StatusCode::BadOutOfRange) } else { Ok(at) }
}

/// The sample that a client wrote. What is Bad has no value.
fn checked(plant: &Plant, target: Target, written: DataValue, at: UaTime, now: UaTime) -> Result<Sample, StatusCode> {
    let status = written.status.unwrap_or(StatusCode::Good);
    let value = if status.is_bad() {
        Value::Null
    } else {
        let value = written.value.ok_or(StatusCode::BadTypeMismatch)?;
        tags::check_recorded(plant, plant.tag(target.tag), &value)?;
        value
    };
    let server_time = written.server_time.filter(|time| time.0 > 0).unwrap_or(now);
    Ok(Sample { value, status, source_time: at, server_time })
}

/// Values from the start up to, without, the end; when both are the same, the one value there (Part 11 §6.9.5, 1.05).
fn delete_span(body: &mut Reader<'_>) -> Result<Change, StatusCode> {
    let is_modified = body.bool()?;
    let (start, end) = (body.time()?, body.time()?);
    if start.0 <= 0 || end < start {
        return Err(StatusCode::BadInvalidTimestampArgument);
    }
    Ok(Change::DeleteSpan { is_modified, start, end })
}

impl Updating {
    /// Does it, entry by entry, and returns the whole response, encoded. Runs in the pool. A change that has begun is
    /// finished and audited, even when no client waits for the answer any more.
    fn run(self, abandoned: &Abandoned) -> Response {
        let Updating { server, world, session, head, user, audit_entry, changes, most_bytes } = self;
        let archives = world.archives.as_ref().ok_or(StatusCode::BadHistoryOperationUnsupported);
        let mut w = Writer::new();
        head.write(&mut w);
        w.count(changes.len());
        for change in changes {
            if abandoned.is_set() {
                return Err(StatusCode::BadSessionClosed);
            }
            let done = change.and_then(|(target, node, change)| {
                let historian = &*archives?.historian;
                let who = Who { user: user.clone(), time: UaTime::now() };
                let audit =
                    Audit::begin(&server, &world.space, &session, historian, Changed { target, node, change: &change });
                let done = change.run(historian, target, &who);
                audit.end(&server, &who, &audit_entry, &done);
                done
            });
            let (status, entries) = done.unwrap_or_else(|status| (status, Vec::new()));
            w.status(status);
            w.count(entries.len());
            entries.iter().for_each(|status| w.status(*status));
            w.null_array();
        }
        w.null_array();
        if w.mark() > most_bytes { Err(StatusCode::BadResponseTooLarge) } else { Ok(w.buf) }
    }
}
