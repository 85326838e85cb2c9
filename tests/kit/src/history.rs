//! A server on a free port whose history lies in memory, and the words of HistoryRead.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opcell::app;
use opcell::audit::{Audit, Scribe};
use opcell::config::{self, Options, Shown};
use opcell::history::{ArchiveId, Historian};
use opcell::model::AuditPlan;
use opcell::stack::codec::{DataValue, NodeIdRef, QualifiedNameRef, Reader, Writer};
use opcell::ua::connection;
use opcell::ua::limits::Limits;
use opcell::ua::server::Server;
use opcell::ua::subscription;
use opcell::value::{Sample, UaTime, Value};
use opcua::StatusCode;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::historian::InMemory;
use crate::ua::{Response, Session};

/// Tags with and without history.
pub const CELL: &str = "
schema: 1
cell: press
namespace: urn:test:press
defaults: { access: { edit_history: [Operator] } }
types:
  enums:
    State: { 0: Stopped, 1: Running, 2: Faulted }
nodes:
  Tank:
    children:
      Level:   { type: Double, unit: rpm, range: [0, 100], value: 0.0, write: true, history: process }
      Count:   { type: UInt32, value: 0, write: true, history: process }
      Recipe:  { type: String, value: none, write: true, history: process }
      Curve:   { type: Float, array: 5, value: [1, 2, 3, 4, 5], write: true, history: process }
      State:   { type: State, value: Stopped, write: true, history: process }
      Locked:  { type: Double, value: 0.0, history: process, access: { edit_history: [Engineer] } }
      Forgotten: { type: Double, value: 0.0, write: true }
";

pub fn node(name: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, name)
}

/// Serves until it is dropped.
pub struct HistoryServer {
    pub address: SocketAddr,
    pub server: Arc<Server>,
    pub historian: Arc<InMemory>,
    stop: watch::Sender<bool>,
    runtime: Option<Runtime>,
    _threads: opcell::stack::crypto::PoolThreads,
    _scribe: Option<Scribe>,
}

impl HistoryServer {
    pub fn start(cell: &str) -> HistoryServer {
        HistoryServer::with(cell, |_| {})
    }

    pub fn with(cell: &str, shrink: impl FnOnce(&mut Limits)) -> HistoryServer {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("cell.yaml");
        std::fs::write(&path, cell).expect("written");
        let loopback = "127.0.0.1:4840".parse().expect("an address");
        let (compiled, report) = config::load(&path, &Options { listen: Some(vec![loopback]), ..Options::default() });
        let mut assembly = app::assemble(compiled.unwrap_or_else(|| panic!("{}", report.render(Shown::Some))));
        shrink(assembly.limits_mut().0);
        let historian = Arc::new(InMemory::default());
        let held: Arc<dyn Historian> = Arc::clone(&historian) as Arc<_>;
        let plan = AuditPlan { file: false, ..AuditPlan::default() };
        let (audit, scribe) = Audit::start(&plan, dir.path()).expect("an audit");
        let (server, threads) = assembly.bare_audited(Some(held), audit).expect("it starts");
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = watch::channel(false);
        runtime.spawn(subscription::timer::run(Arc::clone(&server)));
        let serving = Arc::clone(&server);
        runtime.spawn(async move {
            while let Ok((socket, peer)) = listener.accept().await {
                tokio::spawn(connection::serve(Arc::clone(&serving), socket, peer, Arc::default(), stopped.clone()));
            }
        });
        HistoryServer { address, server, historian, stop, runtime: Some(runtime), _threads: threads, _scribe: scribe }
    }

    pub fn archive(&self, name: &str) -> ArchiveId {
        let space = self.server.space();
        let at = space.find(node(name)).expect("a node");
        let source = space.variable(at).expect("a variable").source;
        let opcell::ua::space::Source::Tag(tag) = source else { panic!("{name} is a tag") };
        self.server.archives.as_ref().expect("archives").of(tag).expect("an archive")
    }

    pub fn put(&self, name: &str, samples: impl IntoIterator<Item = Sample>) {
        self.historian.put(self.archive(name), samples);
    }
}

impl Drop for HistoryServer {
    fn drop(&mut self) {
        self.historian.go_on();
        self.stop.send_replace(true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// A sample whose server time is a tick after its source time.
pub fn sample(at: UaTime, value: Value) -> Sample {
    Sample { value, status: StatusCode::Good, source_time: at, server_time: UaTime(at.0.saturating_add(1)) }
}

/// A HistoryReadResult, taken apart.
#[derive(Debug, Default, PartialEq)]
pub struct Read {
    pub status: StatusCode,
    pub continuation: Option<Vec<u8>>,
    pub values: Vec<DataValue>,
    /// ModificationTime, UpdateType, UserName.
    pub modifications: Vec<(UaTime, i32, String)>,
}

/// A node of a HistoryRead.
#[derive(Clone, Default)]
pub struct Asked<'a> {
    pub id: Option<NodeIdRef<'a>>,
    pub range: Option<&'a str>,
    pub encoding: Option<(u16, &'a str)>,
    pub continuation: Option<Vec<u8>>,
}

impl<'a> Asked<'a> {
    pub fn of(id: NodeIdRef<'a>) -> Asked<'a> {
        Asked { id: Some(id), ..Asked::default() }
    }
}

/// Details as ExtensionObjects, by the number of their encoding.
pub fn raw(start: i64, end: i64, count: u32, bounds: bool) -> impl Fn(&mut Writer) + Clone {
    raw_or_modified(false, start, end, count, bounds)
}

pub fn modified(start: i64, end: i64, count: u32) -> impl Fn(&mut Writer) + Clone {
    raw_or_modified(true, start, end, count, false)
}

pub fn raw_or_modified(
    is_modified: bool,
    start: i64,
    end: i64,
    count: u32,
    bounds: bool,
) -> impl Fn(&mut Writer) + Clone {
    move |w| {
        w.extension_object(649, |w| {
            w.bool(is_modified);
            w.i64(start);
            w.i64(end);
            w.u32(count);
            w.bool(bounds);
        });
    }
}

pub fn at_time(times: &[i64], simple_bounds: bool) -> impl Fn(&mut Writer) + Clone {
    let times = times.to_vec();
    move |w| {
        w.extension_object(655, |w| {
            w.count(times.len());
            times.iter().for_each(|time| w.i64(*time));
            w.bool(simple_bounds);
        });
    }
}

/// ReadProcessedDetails.
#[derive(Clone, Copy)]
pub struct Processed<'a> {
    pub start: i64,
    pub end: i64,
    pub interval: f64,
    /// Numbers of AggregateFunction objects.
    pub aggregates: &'a [u32],
    pub defaults: bool,
    /// PercentDataBad and PercentDataGood.
    pub percent: (u8, u8),
}

pub fn processed(asked: Processed<'_>) -> impl Fn(&mut Writer) + Clone {
    move |w| {
        w.extension_object(652, |w| {
            w.i64(asked.start);
            w.i64(asked.end);
            w.f64(asked.interval);
            w.count(asked.aggregates.len());
            asked.aggregates.iter().for_each(|number| w.node_id(NodeIdRef::numeric(0, *number)));
            w.bool(asked.defaults);
            w.bool(false);
            w.u8(asked.percent.0);
            w.u8(asked.percent.1);
            w.bool(false);
        });
    }
}

pub fn history_request(
    w: &mut Writer,
    details: &impl Fn(&mut Writer),
    timestamps: i32,
    release: bool,
    nodes: &[Asked<'_>],
) {
    details(w);
    w.i32(timestamps);
    w.bool(release);
    w.count(nodes.len());
    for asked in nodes {
        w.node_id(asked.id.unwrap_or(NodeIdRef::NULL));
        w.string(asked.range);
        let (namespace, name) = asked.encoding.map_or((0, None), |(namespace, name)| (namespace, Some(name)));
        w.qualified_name(QualifiedNameRef { namespace, name });
        w.bytes(asked.continuation.as_deref());
    }
}

/// UpdateDataDetails (682) or UpdateStructureDataDetails (11300) of samples as DataValues.
pub fn update_details(w: &mut Writer, encoding: u32, id: NodeIdRef<'_>, perform: i32, samples: &[Sample]) {
    w.extension_object(encoding, |w| {
        w.node_id(id);
        w.i32(perform);
        w.count(samples.len());
        for sample in samples {
            w.data_value(&sample.value, sample.status, Some(sample.source_time), Some(sample.server_time));
        }
    });
}

pub fn delete_span(w: &mut Writer, id: NodeIdRef<'_>, is_modified: bool, start: i64, end: i64) {
    w.extension_object(688, |w| {
        w.node_id(id);
        w.bool(is_modified);
        w.i64(start);
        w.i64(end);
    });
}

pub fn delete_at(w: &mut Writer, id: NodeIdRef<'_>, times: &[i64]) {
    w.extension_object(691, |w| {
        w.node_id(id);
        w.count(times.len());
        times.iter().for_each(|time| w.i64(*time));
    });
}

/// An Annotation as a value.
pub fn annotation(message: &str, user: &str, time: i64) -> Value {
    let mut w = Writer::new();
    w.u8(22);
    w.extension_object(893, |w| {
        w.text(message);
        w.text(user);
        w.i64(time);
    });
    Value::Wire(w.buf.into())
}

/// The status of each HistoryUpdateResult, and of its entries.
pub fn update_results(response: &Response) -> Vec<(StatusCode, Vec<StatusCode>)> {
    let mut reader = response.good();
    let count = reader.count(12).expect("results");
    let results = (0..count).map(|_| {
        let status = reader.status().expect("a status");
        let entries = reader.count(4).expect("entries");
        let entries = (0..entries).map(|_| reader.status().expect("a status")).collect();
        reader.count(1).expect("diagnostics");
        (status, entries)
    });
    results.collect()
}

/// What a HistoryReadResponse brought.
pub fn results(response: &Response) -> Vec<Read> {
    let mut reader = response.good();
    let count = reader.count(6).expect("results");
    let read = (0..count).map(|_| result(&mut reader)).collect();
    reader.count(1).expect("diagnostics");
    assert!(reader.is_at_end(), "{} bytes follow", reader.remaining());
    read
}

fn result(reader: &mut Reader<'_>) -> Read {
    let mut read = Read {
        status: reader.status().expect("a status"),
        continuation: reader.bytes().expect("a point").map(<[u8]>::to_vec),
        ..Read::default()
    };
    let data = reader.extension_object().expect("history data");
    let Some(body) = data.body else { return read };
    let mut body = Reader::new(body);
    let count = body.count(1).expect("values");
    read.values = (0..count).map(|_| body.data_value().expect("a value")).collect();
    match data.type_id.standard() {
        Some(658) => {}
        Some(11_227) => {
            for _ in 0..body.count(16).expect("modifications") {
                let (time, kind) = (body.time().expect("a time"), body.i32().expect("a kind"));
                read.modifications.push((time, kind, body.text().expect("a user").to_owned()));
            }
        }
        other => panic!("unknown history data {other:?}"),
    }
    assert!(body.is_at_end(), "{} bytes of history data are left", body.remaining());
    read
}

impl Read {
    pub fn times(&self) -> Vec<i64> {
        self.values.iter().map(|value| value.source_time.unwrap_or_default().0).collect()
    }
}

impl Session {
    pub fn try_history_read(&mut self, details: &impl Fn(&mut Writer), nodes: &[Asked<'_>]) -> Response {
        self.call(664, |w| history_request(w, details, 2, false, nodes))
    }

    pub fn history_read(&mut self, details: &impl Fn(&mut Writer), nodes: &[Asked<'_>]) -> Vec<Read> {
        results(&self.try_history_read(details, nodes))
    }

    /// One node, both times.
    pub fn history(&mut self, name: &str, details: &impl Fn(&mut Writer)) -> Read {
        self.history_read(details, &[Asked::of(node(name))]).remove(0)
    }

    /// HistoryUpdate with one details.
    pub fn history_update(&mut self, details: impl FnOnce(&mut Writer)) -> (StatusCode, Vec<StatusCode>) {
        let response = self.call(700, |w| {
            w.count(1);
            details(w);
        });
        update_results(&response).remove(0)
    }

    /// The next page of a node.
    pub fn continue_history(&mut self, name: &str, details: &impl Fn(&mut Writer), point: &[u8]) -> Read {
        let asked = Asked { continuation: Some(point.to_vec()), ..Asked::of(node(name)) };
        self.history_read(details, &[asked]).remove(0)
    }

    /// All pages of a node, put together.
    pub fn whole_history(&mut self, name: &str, details: &impl Fn(&mut Writer)) -> Read {
        let mut whole = self.history(name, details);
        while let Some(point) = whole.continuation.take() {
            let page = self.continue_history(name, details, &point);
            assert!(page.status.is_good(), "{}", page.status);
            whole.values.extend(page.values);
            whole.modifications.extend(page.modifications);
            whole.continuation = page.continuation;
        }
        whole
    }

    pub fn release_history(&mut self, name: &str, details: &impl Fn(&mut Writer), point: &[u8]) -> StatusCode {
        let asked = Asked { continuation: Some(point.to_vec()), ..Asked::of(node(name)) };
        let response = self.call(664, |w| history_request(w, details, 2, true, std::slice::from_ref(&asked)));
        results(&response).remove(0).status
    }
}
