//! HistoryRead (Part 4 §5.11.3, 1.05): taken apart on the connection's task, read and encoded in the pool.
//!
//! Values that do not fit into one response, or into the time that the client gives, come with continuation points; the
//! share of each node is what is left, divided by the nodes that are left.

use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::Instant;

use super::processed::Asked;
use super::values::{Room, Values};
use super::{annotations, modified, processed, raw, target_of, values};
use crate::history::Archives;
use crate::history::aggregate::Bounding;
use crate::stack::codec::{NodeIdRef, QualifiedNameRef, Reader, Timestamps, Writer};
use crate::ua::continuation::Begun;
use crate::ua::disk_pool::Abandoned;
use crate::ua::history::{Details, Point, Progress, Subject, Target};
use crate::ua::server::Server;
use crate::ua::services::{Context, Response, ResponseHead, Work, operations};
use crate::ua::session::Session;
use crate::ua::space::{Space, Viewer};
use crate::ua::world::World;
use crate::value::IndexRange;

/// Default Binary encodings (Part 6 annex A, 1.05).
const HISTORY_DATA: u32 = opcua::ObjectId::HistoryData_Encoding_DefaultBinary as u32;
const HISTORY_MODIFIED_DATA: u32 = opcua::ObjectId::HistoryModifiedData_Encoding_DefaultBinary as u32;
/// Bytes of a HistoryReadResult without its values.
const RESULT: usize = 64;
/// Bytes of the response that a node gets at least, while there are any.
const LEAST_SHARE: usize = 4096;
/// Without a hint the client's patience is taken to be this.
const PATIENCE: Duration = Duration::from_secs(10);

/// A HistoryRead that is ready for the pool.
struct Reading {
    server: Arc<Server>,
    world: Arc<World>,
    session: Arc<Session>,
    head: ResponseHead,
    nodes: Vec<Result<Point, StatusCode>>,
    /// Bytes of the response.
    most_bytes: usize,
    /// Nothing more is begun after this.
    until: Instant,
}

/// A HistoryReadValueId (Part 4 §5.11.3.2, 1.05).
struct NodeToRead<'a> {
    id: NodeIdRef<'a>,
    range: Option<&'a str>,
    encoding: QualifiedNameRef<'a>,
    continuation: &'a [u8],
}

impl<'a> NodeToRead<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<NodeToRead<'a>, StatusCode> {
        Ok(NodeToRead {
            id: reader.node_id()?,
            range: reader.string()?,
            encoding: reader.qualified_name()?,
            continuation: reader.bytes()?.unwrap_or_default(),
        })
    }
}

/// Sends the request to the pool; continuation points are given back at once.
pub(crate) fn read(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<Option<Work>, StatusCode> {
    let limits = &context.server.limits;
    let object = reader.extension_object()?;
    let details = Details::read(object, reader, limits.history_values as usize, limits.history_nodes as usize)?;
    let timestamps = Timestamps::from_wire(reader.i32()?).ok_or(StatusCode::BadTimestampsToReturnInvalid)?;
    if timestamps == Timestamps::Neither && details != Details::Events {
        return Err(StatusCode::BadTimestampsToReturnInvalid);
    }
    let release = reader.bool()?;
    let count = operations(reader, 14, limits.history_nodes)?;
    if let Details::Processed(processed) = &details
        && processed.aggregates.len() != count
    {
        return Err(StatusCode::BadAggregateListMismatch);
    }
    let details = Arc::new(details);
    let (space, viewer) = (&context.world.space, context.viewer());
    if release {
        context.write_head(w);
        w.count(count);
        for _ in 0..count {
            write_status(give_back(context, &NodeToRead::read(reader)?), w);
        }
        w.null_array();
        return Ok(None);
    }
    let mut nodes = Vec::with_capacity(count);
    for place in 0..count {
        let node = NodeToRead::read(reader)?;
        let asked = Wanted { details: &details, place, timestamps };
        nodes.push(begin(context, space, &viewer, &node, asked));
    }
    let patience = match context.header.timeout_hint {
        0 => PATIENCE,
        millis => Duration::from_millis(u64::from(millis)).min(PATIENCE),
    };
    let reading = Reading {
        server: Arc::clone(context.server),
        world: Arc::clone(&context.world),
        session: Arc::clone(context.session),
        head: context.request.head,
        nodes,
        most_bytes: context.most_bytes.min(limits.history_bytes),
        until: context.now.mono + patience.mul_f64(0.8),
    };
    Work::in_disk_pool(context, move |abandoned| reading.run(abandoned)).map(Some)
}

/// The part of a request that concerns one of its nodes.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    details: &'a Arc<Details>,
    /// Place of the node in the request.
    place: usize,
    timestamps: Timestamps,
}

fn give_back(context: &Context<'_>, node: &NodeToRead<'_>) -> StatusCode {
    match context.session.lock().history.take(node.continuation) {
        Some(_) => StatusCode::Good,
        None => StatusCode::BadContinuationPointInvalid,
    }
}

/// A read at its beginning, or where its continuation point left off.
fn begin(
    context: &Context<'_>,
    space: &Space,
    viewer: &Viewer<'_>,
    node: &NodeToRead<'_>,
    Wanted { details, place, timestamps }: Wanted<'_>,
) -> Result<Point, StatusCode> {
    let target = target_of(context, space, viewer, node.id);
    if !node.continuation.is_empty() {
        let point = context.session.lock().history.take(node.continuation);
        let is_same = |point: &Point| Ok(point.target) == target && point.details.is_like(details);
        return point.filter(is_same).ok_or(StatusCode::BadContinuationPointInvalid);
    }
    let target = target?;
    if let Some(name) = node.encoding.name.filter(|name| !name.is_empty())
        && (node.encoding.namespace != 0 || name != "Default Binary")
    {
        return Err(StatusCode::BadDataEncodingUnsupported);
    }
    let range = IndexRange::parse(node.range.unwrap_or_default())?;
    if range.is_some() && !(target.subject == Subject::Values && context.plant().tag(target.tag).shape.has_parts()) {
        return Err(StatusCode::BadIndexRangeNoData);
    }
    let (details, progress) = (Arc::clone(details), Progress::Start);
    Ok(Point { target, details, place, timestamps, range, progress })
}

fn write_status(status: StatusCode, w: &mut Writer) {
    w.status(status);
    w.bytes(None);
    w.null_extension_object();
}

impl Reading {
    /// The whole response, encoded. Runs in the pool.
    fn run(self, abandoned: &Abandoned) -> Response {
        let Reading { server, world, session, head, nodes, most_bytes, until } = self;
        // Without archives no node was found to have one.
        let archives = world.archives.as_ref().ok_or(StatusCode::BadHistoryOperationUnsupported);
        let begun = session.lock().history.begin();
        let mut w = Writer::new();
        head.write(&mut w);
        let count = nodes.len();
        w.count(count);
        for (n, node) in nodes.into_iter().enumerate() {
            if abandoned.is_set() || session.lock().is_closed {
                return Err(StatusCode::BadSessionClosed);
            }
            let (point, archives) = match node.and_then(|point| Ok((point, archives?))) {
                Ok(found) => found,
                Err(status) => {
                    write_status(status, &mut w);
                    continue;
                }
            };
            let left = count - n;
            let bytes = most_bytes.saturating_sub(w.mark() + left * RESULT);
            let is_late = n > 0 && Instant::now() >= until;
            let share = if is_late { 0 } else { (bytes / left).max(LEAST_SHARE).min(bytes) };
            let turn = Turn {
                server: &server,
                world: &world,
                session: &session,
                archives,
                begun,
                share,
                is_alone: left == 1 && n == 0,
            };
            turn.write_result(point, &mut w);
        }
        w.null_array();
        if w.mark() > most_bytes { Err(StatusCode::BadResponseTooLarge) } else { Ok(w.buf) }
    }
}

/// One node's part of a response.
struct Turn<'a> {
    server: &'a Server,
    world: &'a World,
    session: &'a Session,
    archives: &'a Archives,
    /// Points kept since then are the request's own.
    begun: Begun,
    /// Bytes.
    share: usize,
    /// The whole response is for this node: what does not fit now never will.
    is_alone: bool,
}

impl Turn<'_> {
    /// A HistoryReadResult: as many values as have room, then a continuation point. Without a place for a point the
    /// values are not given at all (Part 4 §7.9, 1.05: Bad_NoContinuationPoints).
    fn write_result(&self, point: Point, w: &mut Writer) {
        let start = w.mark();
        w.status(StatusCode::Good);
        let name_at = w.mark();
        w.bytes(Some(&[0; 8]));
        let mut written = Ok((0, None));
        let is_modified = matches!(*point.details, Details::Modified(_));
        let encoding = if is_modified { HISTORY_MODIFIED_DATA } else { HISTORY_DATA };
        w.extension_object(encoding, |w| written = self.write_values(&point, w));
        let status = match written {
            Err(status) => Err(status),
            Ok((0, Some(_))) if self.is_alone => Err(StatusCode::BadResponseTooLarge),
            Ok((_, Some(progress))) => {
                let kept = self.session.lock().history.keep(self.begun, Point { progress, ..point });
                kept.map(|name| w.buf[name_at + 4..name_at + 12].copy_from_slice(&name))
                    .ok_or(StatusCode::BadNoContinuationPoints)
            }
            Ok((count, None)) => {
                let status = if count == 0 { StatusCode::GoodNoData } else { StatusCode::Good };
                w.set_u32(start, status.bits());
                drop(w.buf.drain(name_at + 4..name_at + 12));
                w.set_u32(name_at, u32::MAX); // the null ByteString
                Ok(())
            }
        };
        if let Err(status) = status {
            w.rewind(start);
            write_status(status, w);
        }
    }

    /// The body of a HistoryData or HistoryModifiedData; the number of values, and where to continue.
    fn write_values(&self, point: &Point, w: &mut Writer) -> Result<(usize, Option<Progress>), StatusCode> {
        let historian = &*self.archives.historian;
        let Target { tag, archive, subject } = point.target;
        let end = w.mark() + self.share;
        let page = self.server.limits.history_values as usize;
        let most = match &*point.details {
            Details::Raw(raw) | Details::Modified(raw) if raw.count > 0 => page.min(raw.count as usize),
            _ => page,
        };
        let shape = &self.world.plant.tag(tag).shape;
        let size = match &*point.details {
            _ if subject == Subject::Annotations || point.range.is_some() => None,
            Details::Annotations { .. } => None,
            // What an aggregate gives is at most a Double, or a value of the tag.
            Details::Processed(_) => values::size_of_data_value(shape, point.timestamps).map(|size| size.max(30)),
            _ => values::size_of_data_value(shape, point.timestamps),
        };
        let mut values = Values::new(w, Room { values: most, end }, point.timestamps, point.range.as_ref(), size);
        let of = Asked { historian, plant: &self.world.plant, target: point.target };
        let next = match (&*point.details, subject) {
            (Details::Raw(raw), Subject::Values) => raw::write(historian, archive, raw, point.progress, &mut values)?,
            (Details::Raw(raw), Subject::Annotations) => {
                annotations::write(historian, archive, raw, point.progress, &mut values)?
            }
            (Details::Modified(raw), Subject::Values) => {
                return modified::write(historian, archive, raw, point.progress, values);
            }
            (Details::Annotations { times }, _) => {
                annotations::write_at(historian, archive, times, point.progress, &mut values)?
            }
            (Details::Processed(processed), Subject::Values) => {
                processed::write(of, processed, point.place, point.progress, &mut values)?
            }
            (Details::AtTime { times, simple_bounds }, Subject::Values) => {
                let bounding = if *simple_bounds { Bounding::Simple } else { Bounding::Interpolated };
                processed::write_at(of, times, bounding, point.progress, &mut values)?
            }
            (Details::Modified(_) | Details::Processed(_) | Details::AtTime { .. } | Details::Events, _) => {
                return Err(StatusCode::BadHistoryOperationUnsupported);
            }
        };
        Ok((values.finish().0, next))
    }
}
