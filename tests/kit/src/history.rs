//! A server on a free port whose history lies in memory, and the words of HistoryRead.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opcell::testing::app;
use opcell::testing::audit::{Audit, Scribe};
use opcell::testing::config::{self, Options, Shown};
use opcell::testing::history::{ArchiveId, Historian};
use opcell::testing::model::AuditPlan;
use opcell::testing::stack::codec::{DataValue, NodeIdRef, Reader};
use opcell::testing::ua::connection;
use opcell::testing::ua::limits::Limits;
use opcell::testing::ua::publishing;
use opcell::testing::ua::server::Server;
use opcell::value::{Sample, UaTime, Value};
use opcua::{
    AggregateConfiguration, ByteString, DeleteAtTimeDetails, DeleteRawModifiedDetails, ExtensionObject,
    HistoryReadRequest, HistoryReadValueId, HistoryUpdateRequest, HistoryUpdateResponse, NodeId, ObjectId,
    PerformUpdateType, QualifiedName, ReadAtTimeDetails, ReadProcessedDetails, ReadRawModifiedDetails, StatusCode,
    TimestampsToReturn, UpdateDataDetails, UpdateStructureDataDetails, Variant,
};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::historian::InMemory;
use crate::request::{ToNodeId, data_value, encode, range, time};
use crate::ua::{Response, Session};

const DATA: u32 = ObjectId::HistoryData_Encoding_DefaultBinary as u32;
const MODIFIED_DATA: u32 = ObjectId::HistoryModifiedData_Encoding_DefaultBinary as u32;

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
    _threads: opcell::testing::stack::crypto::PoolThreads,
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
        runtime.spawn(publishing::run(Arc::clone(&server)));
        let serving = Arc::clone(&server);
        runtime.spawn(async move {
            while let Ok((socket, peer)) = listener.accept().await {
                tokio::spawn(connection::serve(Arc::clone(&serving), socket, peer, Arc::default(), stopped.clone()));
            }
        });
        HistoryServer { address, server, historian, stop, runtime: Some(runtime), _threads: threads, _scribe: scribe }
    }

    pub fn archive(&self, name: &str) -> ArchiveId {
        let space = &self.server.world().space;
        let at = space.find(node(name)).expect("a node");
        let source = space.variable(at).expect("a variable").source;
        let opcell::testing::ua::space::Source::Tag(tag) = source else { panic!("{name} is a tag") };
        self.server.world().archives.as_ref().expect("archives").of(tag).expect("an archive")
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

pub fn raw(start: i64, end: i64, count: u32, bounds: bool) -> ExtensionObject {
    raw_or_modified(false, start, end, count, bounds)
}

pub fn modified(start: i64, end: i64, count: u32) -> ExtensionObject {
    raw_or_modified(true, start, end, count, false)
}

pub fn raw_or_modified(is_modified: bool, start: i64, end: i64, count: u32, bounds: bool) -> ExtensionObject {
    ExtensionObject::from_message(ReadRawModifiedDetails {
        is_read_modified: is_modified,
        start_time: time(start),
        end_time: time(end),
        num_values_per_node: count,
        return_bounds: bounds,
    })
}

pub fn at_time(times: &[i64], simple_bounds: bool) -> ExtensionObject {
    let times = times.iter().map(|at| time(*at)).collect();
    ExtensionObject::from_message(ReadAtTimeDetails { req_times: Some(times), use_simple_bounds: simple_bounds })
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

pub fn processed(asked: Processed<'_>) -> ExtensionObject {
    ExtensionObject::from_message(ReadProcessedDetails {
        start_time: time(asked.start),
        end_time: time(asked.end),
        processing_interval: asked.interval,
        aggregate_type: Some(asked.aggregates.iter().map(|number| NodeId::new(0, *number)).collect()),
        aggregate_configuration: AggregateConfiguration {
            use_server_capabilities_defaults: asked.defaults,
            treat_uncertain_as_bad: false,
            percent_data_bad: asked.percent.0,
            percent_data_good: asked.percent.1,
            use_sloped_extrapolation: false,
        },
    })
}

/// HistoryRead with both timestamps.
pub fn history_read(details: &ExtensionObject, nodes: &[Asked<'_>]) -> HistoryReadRequest {
    let node = |asked: &Asked<'_>| HistoryReadValueId {
        node_id: asked.id.map_or_else(NodeId::null, |id| id.to_node_id()),
        index_range: range(asked.range),
        data_encoding: asked.encoding.map_or_else(QualifiedName::null, |(space, name)| QualifiedName::new(space, name)),
        continuation_point: asked.continuation.clone().map_or_else(ByteString::null, ByteString::from),
    };
    HistoryReadRequest {
        history_read_details: details.clone(),
        timestamps_to_return: TimestampsToReturn::Both,
        nodes_to_read: Some(nodes.iter().map(node).collect()),
        ..HistoryReadRequest::default()
    }
}

/// HistoryUpdate with these details.
pub fn history_update(details: Vec<ExtensionObject>) -> HistoryUpdateRequest {
    HistoryUpdateRequest { history_update_details: Some(details), ..HistoryUpdateRequest::default() }
}

/// UpdateDataDetails.
pub fn update_data(id: NodeIdRef<'_>, perform: PerformUpdateType, samples: &[Sample]) -> ExtensionObject {
    ExtensionObject::from_message(UpdateDataDetails {
        node_id: id.to_node_id(),
        perform_insert_replace: perform,
        update_values: Some(samples.iter().map(value_of).collect()),
    })
}

/// UpdateStructureDataDetails.
pub fn update_structure(id: NodeIdRef<'_>, perform: PerformUpdateType, samples: &[Sample]) -> ExtensionObject {
    ExtensionObject::from_message(UpdateStructureDataDetails {
        node_id: id.to_node_id(),
        perform_insert_replace: perform,
        update_values: Some(samples.iter().map(value_of).collect()),
    })
}

fn value_of(sample: &Sample) -> opcua::DataValue {
    data_value(&sample.value, sample.status, Some((sample.source_time, sample.server_time)))
}

pub fn delete_span(id: NodeIdRef<'_>, is_modified: bool, start: i64, end: i64) -> ExtensionObject {
    ExtensionObject::from_message(DeleteRawModifiedDetails {
        node_id: id.to_node_id(),
        is_delete_modified: is_modified,
        start_time: time(start),
        end_time: time(end),
    })
}

pub fn delete_at(id: NodeIdRef<'_>, times: &[i64]) -> ExtensionObject {
    let times = times.iter().map(|at| time(*at)).collect();
    ExtensionObject::from_message(DeleteAtTimeDetails { node_id: id.to_node_id(), req_times: Some(times) })
}

/// An Annotation as a value.
pub fn annotation(message: &str, user: &str, at: i64) -> Value {
    let annotation = opcua::Annotation { message: message.into(), user_name: user.into(), annotation_time: time(at) };
    let mut bytes = Vec::new();
    encode(&Variant::from(ExtensionObject::from_message(annotation)), &mut bytes);
    Value::Wire(bytes.into())
}

/// The status of each HistoryUpdateResult, and of its entries.
pub fn update_results(response: &Response) -> Vec<(StatusCode, Vec<StatusCode>)> {
    let results = response.decode::<HistoryUpdateResponse>().results.unwrap_or_default();
    results.into_iter().map(|result| (result.status_code, result.operation_results.unwrap_or_default())).collect()
}

/// The results of a HistoryReadResponse.
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
        Some(DATA) => {}
        Some(MODIFIED_DATA) => {
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
    pub fn history_read(&mut self, details: &ExtensionObject, nodes: &[Asked<'_>]) -> Vec<Read> {
        results(&self.call(history_read(details, nodes)))
    }

    /// One node, both times.
    pub fn history(&mut self, name: &str, details: &ExtensionObject) -> Read {
        self.history_read(details, &[Asked::of(node(name))]).remove(0)
    }

    /// HistoryUpdate with one details.
    pub fn history_update(&mut self, details: ExtensionObject) -> (StatusCode, Vec<StatusCode>) {
        update_results(&self.call(history_update(vec![details]))).remove(0)
    }

    /// The next page of a node.
    pub fn continue_history(&mut self, name: &str, details: &ExtensionObject, point: &[u8]) -> Read {
        let asked = Asked { continuation: Some(point.to_vec()), ..Asked::of(node(name)) };
        self.history_read(details, &[asked]).remove(0)
    }

    /// All pages of a node, put together.
    pub fn whole_history(&mut self, name: &str, details: &ExtensionObject) -> Read {
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

    pub fn release_history(&mut self, name: &str, details: &ExtensionObject, point: &[u8]) -> StatusCode {
        let asked = Asked { continuation: Some(point.to_vec()), ..Asked::of(node(name)) };
        let mut request = history_read(details, &[asked]);
        request.release_continuation_points = true;
        results(&self.call(request)).remove(0).status
    }
}
