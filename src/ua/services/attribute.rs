//! Attribute service set (Part 4 §5.11, 1.05): Read and Write; `history` has HistoryRead and HistoryUpdate.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use opcua::StatusCode;

use super::{Context, Request, RequestHeader, ResponseHead, Work, apart_if, history, operations};
use crate::model::TagId;
use crate::stack::codec::{NodeIdRef, QualifiedNameRef, Reader, Timestamps, Writer};
use crate::ua::disk_pool::Abandoned;
use crate::ua::server::Server;
use crate::ua::session::Session;
use crate::ua::space::{Attribute, NodeIx, Source, Space, Viewer};
use crate::value::{IndexRange, Moment, Sample, UaTime, Value};

/// A Read of more bytes leaves the thread to other connections meanwhile.
pub(crate) const LONG_READ: usize = 64 * 1024;
/// Answers from the tag store: maxAge asks for nothing newer than what the last poll brought. Where the disk has to be
/// asked first the request is served again after that.
pub(crate) fn read(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<Option<Work>, StatusCode> {
    read_all(context, reader, w)?;
    let is_whole = context.wanted.borrow().is_empty();
    if is_whole { Ok(None) } else { ReadAgain::of(context).work(context.wanted.take()).map(Some) }
}

/// A Read that waits for what the disk knows of archives.
struct ReadAgain {
    server: Arc<Server>,
    session: Arc<Session>,
    channel: u32,
    head: ResponseHead,
    bytes: Vec<u8>,
    most_bytes: usize,
}

impl ReadAgain {
    fn of(context: &Context<'_>) -> ReadAgain {
        ReadAgain {
            server: Arc::clone(context.server),
            session: Arc::clone(context.session),
            channel: context.session.lock().channel,
            head: context.request.head,
            bytes: context.request.bytes.to_vec(),
            most_bytes: context.most_bytes,
        }
    }

    fn work(self, tags: Vec<TagId>) -> Result<Work, StatusCode> {
        let first = self.find_starts(tags)?;
        Ok(Work::for_disk(async move {
            first.await?;
            loop {
                let mut w = Writer::new();
                let missing = self.serve(&mut w)?;
                if missing.is_empty() {
                    return Ok(w.buf);
                }
                self.find_starts(missing)?.await?;
            }
        }))
    }

    fn find_starts(&self, tags: Vec<TagId>) -> Result<BoxFuture<'static, Result<(), StatusCode>>, StatusCode> {
        let server = Arc::clone(&self.server);
        let find = move |_: &Abandoned| {
            if let Some(archives) = &server.world().archives {
                server.history.starts.find(archives, &tags);
            }
        };
        let most = self.server.limits.history_requests.per_session;
        Ok(self.server.history.pool.run(&self.session.history_gate, most, find)?.boxed())
    }

    /// Serves the request from its beginning; returns the archives whose start is not known (any more).
    fn serve(&self, w: &mut Writer) -> Result<Vec<TagId>, StatusCode> {
        self.session.lock().check_channel(self.channel)?;
        let mut reader = Reader::new(&self.bytes);
        reader.node_id()?;
        let header = RequestHeader::read(&mut reader)?;
        let request = Request { id: 0, header, head: self.head, bytes: &self.bytes, now: Moment::now() };
        let context = Context::new(&self.server, &self.session, request, self.most_bytes);
        apart_if(self.bytes.len() > LONG_READ, || read_all(&context, &mut reader, w))?;
        Ok(context.wanted.take())
    }
}

fn read_all(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let max_age = reader.f64()?;
    let timestamps = Timestamps::from_wire(reader.i32()?).ok_or(StatusCode::BadTimestampsToReturnInvalid)?;
    // NaN is no age either.
    if max_age.is_nan() || max_age < 0.0 {
        return Err(StatusCode::BadMaxAgeInvalid);
    }
    let count = operations(reader, 16, context.server.limits.operations)?;
    let begin = w.mark();
    context.write_head(w);
    w.count(count);
    let space = &context.world.space;
    let now = context.now.wall;
    let viewer = context.viewer();
    // Tags that follow from each other come from one batch.
    let _steady = context.server.tags.steady();
    for _ in 0..count {
        let id = reader.node_id()?;
        let attribute = reader.u32()?;
        let range = reader.string()?;
        let encoding = reader.qualified_name()?;
        let start = w.mark();
        let operation = ReadOperation { id, attribute, range, encoding };
        if let Err(status) = read_one(context, space, &viewer, &operation, timestamps, now, w) {
            w.rewind(start);
            let server = timestamps.server().then_some(now);
            w.data_value(&Value::Null, status, None, server);
        }
        context.check_size(begin, w)?;
    }
    w.null_array();
    Ok(())
}

/// A ReadValueId (Part 4 §7.29, 1.05), borrowed.
pub(crate) struct ReadOperation<'a> {
    pub id: NodeIdRef<'a>,
    pub attribute: u32,
    pub range: Option<&'a str>,
    pub encoding: QualifiedNameRef<'a>,
}

impl ReadOperation<'_> {
    /// The node, the attribute and the range, or the status of this operation.
    pub(crate) fn resolve(
        &self,
        space: &Space,
        viewer: &Viewer<'_>,
    ) -> Result<(NodeIx, Attribute, Option<IndexRange>), StatusCode> {
        let at = space.find(self.id).filter(|at| viewer.sees(space, *at)).ok_or(StatusCode::BadNodeIdUnknown)?;
        let attribute = Attribute::from_wire(self.attribute).ok_or(StatusCode::BadAttributeIdInvalid)?;
        if let Some(name) = self.encoding.name.filter(|name| !name.is_empty()) {
            if attribute != Attribute::Value {
                return Err(StatusCode::BadDataEncodingInvalid);
            }
            if self.encoding.namespace != 0 || name != "Default Binary" {
                return Err(StatusCode::BadDataEncodingUnsupported);
            }
        }
        let range = IndexRange::parse(self.range.unwrap_or_default())?;
        Ok((at, attribute, range))
    }
}

fn read_one(
    context: &Context<'_>,
    space: &Space,
    viewer: &Viewer<'_>,
    operation: &ReadOperation<'_>,
    timestamps: Timestamps,
    now: UaTime,
    w: &mut Writer,
) -> Result<(), StatusCode> {
    let (at, attribute, range) = operation.resolve(space, viewer)?;
    if attribute == Attribute::Value {
        viewer.check_read(space, at, attribute)?;
        return read_value(context, space, at, range.as_ref(), timestamps, now, w);
    }
    // Attributes other than Value carry no source timestamp (Part 4 §7.11.3, 1.05).
    w.u8(if timestamps.server() { 0x09 } else { 0x01 });
    let value = w.mark();
    space.write_attribute(at, attribute, viewer, w)?;
    if let Some(range) = range {
        let whole = Reader::new(&w.buf[value..]).variant()?;
        let part = range.apply(&whole)?;
        w.rewind(value);
        w.variant(&part);
    }
    if timestamps.server() {
        w.time(now);
    }
    Ok(())
}

fn read_value(
    context: &Context<'_>,
    space: &Space,
    at: NodeIx,
    range: Option<&IndexRange>,
    timestamps: Timestamps,
    now: UaTime,
    w: &mut Writer,
) -> Result<(), StatusCode> {
    let shape = match space.node(at).class {
        crate::ua::space::Class::Variable | crate::ua::space::Class::VariableType => space.variable(at),
        _ => None,
    };
    let shape = shape.ok_or(StatusCode::BadAttributeIdInvalid)?;
    let mut put = |sample: &Sample| write_sample(sample, range, timestamps, w);
    match shape.source {
        Source::Tag(tag) => context.server.tags.with(tag, put),
        Source::Member(tag) => put(&context.member_sample(tag)),
        Source::Live(live) => put(&context.live_sample(live)),
        Source::History(part) => {
            let tag = space.historical_tag(at).ok_or(StatusCode::BadNotReadable)?;
            put(&history::configuration::sample(context, tag, part)?)
        }
        Source::Constant(value) => put(&fixed(space.constant(value).clone(), now)),
        Source::Default { access, of } => put(&fixed(space.default_value(access, of, &context.viewer()), now)),
        // The Value of a VariableType is optional (Part 3 §5.9, 1.05): one without a default does not have it.
        Source::None if space.node(at).class == crate::ua::space::Class::VariableType => {
            Err(StatusCode::BadAttributeIdInvalid)
        }
        Source::None => Err(StatusCode::BadNotReadable),
    }
}

fn fixed(value: Value, server_time: UaTime) -> Sample {
    Sample { value, status: StatusCode::Good, source_time: UaTime::NULL, server_time }
}

fn write_sample(
    sample: &Sample,
    range: Option<&IndexRange>,
    timestamps: Timestamps,
    w: &mut Writer,
) -> Result<(), StatusCode> {
    let source = timestamps.source().then_some(sample.source_time);
    let server = timestamps.server().then_some(sample.server_time);
    match range {
        Some(range) if !sample.status.is_bad() => {
            let part = range.apply(&sample.value)?;
            w.data_value(&part, sample.status, source, server);
        }
        _ => w.data_value(&sample.value, sample.status, source, server),
    }
    Ok(())
}
