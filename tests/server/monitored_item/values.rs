//! Values as a monitored item sees them: status and time of the device, queues, index ranges, deadbands.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opcell::testing::model::TagId;
use opcell::testing::stack::codec::{DataValue, NodeIdRef};
use opcell::testing::tags::{Miss, RawSample, Stamp};
use opcell::value::{Elements, UaTime, Value};
use opcua::{
    AttributeId, DataChangeFilter, DataChangeTrigger, ExtensionObject, MonitoredItemCreateRequest, MonitoringMode,
    ObjectId, StatusCode,
};
use testkit::request::{create_items, delete_subscriptions, item, range, raw_structure, set_mode, write};
use testkit::server::{CELL, TestServer};
use testkit::ua::Session;

const VALUE: u32 = AttributeId::Value as u32;

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

/// The settings of a monitored item.
struct Asked<'a> {
    range: Option<&'a str>,
    sampling: f64,
    queue: u32,
    discard_oldest: bool,
    /// Trigger, kind of deadband and its amount.
    filter: Option<(DataChangeTrigger, u32, f64)>,
}

const PLAIN: Asked<'static> = Asked { range: None, sampling: 0.0, queue: 10, discard_oldest: true, filter: None };

fn request(node: NodeIdRef<'_>, asked: &Asked<'_>) -> MonitoredItemCreateRequest {
    let mut request = item(node, VALUE, 1, asked.sampling, asked.queue);
    request.item_to_monitor.index_range = range(asked.range);
    request.requested_parameters.discard_oldest = asked.discard_oldest;
    if let Some((trigger, deadband_type, deadband_value)) = asked.filter {
        let filter = DataChangeFilter { trigger, deadband_type, deadband_value };
        request.requested_parameters.filter = ExtensionObject::from_message(filter);
    }
    request
}

/// CreateMonitoredItems with one item: its status and id.
fn create(client: &mut Session, subscription: u32, item: MonitoredItemCreateRequest) -> (StatusCode, u32) {
    let results = client.ask(create_items(subscription, vec![item])).results.expect("results");
    assert_eq!(results.len(), 1);
    (results[0].status_code, results[0].monitored_item_id)
}

fn monitor(client: &mut Session, subscription: u32, node: NodeIdRef<'_>, asked: &Asked<'_>) -> StatusCode {
    create(client, subscription, request(node, asked)).0
}

/// The values of the item that come with the next message that has data.
fn heard(client: &mut Session) -> Vec<DataValue> {
    client.next_data().data.into_iter().map(|(_, value)| value).collect()
}

fn tag_id(server: &TestServer, path: &str) -> TagId {
    let plant = Arc::clone(&server.server.world().plant);
    let ids = plant.tags.iter().map(|(id, _)| id);
    ids.into_iter().find(|id| plant.tag_name(*id).to_string().ends_with(path)).expect("a tag of that name")
}

/// A Modbus device that answers every read with the same number, until it falls silent.
fn device(number: u16) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let is_silent = Arc::new(AtomicBool::new(false));
    let silent = Arc::clone(&is_silent);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let silent = Arc::clone(&silent);
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut request = [0; 12];
                while stream.read_exact(&mut request).is_ok() {
                    if silent.load(Ordering::Relaxed) {
                        continue;
                    }
                    let count = request[11];
                    let mut answer = [&request[..4], &[0, 3 + count * 2, request[6], request[7], count * 2]].concat();
                    (0..count).for_each(|_| answer.extend(number.to_be_bytes()));
                    if stream.write_all(&answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, is_silent)
}

/// A value that stays the same turns Bad when its device falls silent: clients are notified, without a value.
#[test]
fn a_device_that_falls_silent_is_reported_as_bad() {
    let (address, is_silent) = device(7);
    let cell = format!(
        "schema: 1\ncell: device\nnamespace: urn:test:device\nconnections:\n  plc: {{ driver: modbus-tcp, host: \
         {}, port: {}, timeout: 100ms }}\nnodes:\n  Level: {{ type: UInt16, source: holding/0, poll: 50ms, \
         stale_after: 300ms }}\n",
        address.ip(),
        address.port()
    );
    let server = TestServer::start(&cell);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(50.0, 1_000, 10);
    assert_eq!(monitor(&mut client, subscription, tag("Level"), &PLAIN), StatusCode::Good);
    let mut all = Vec::new();
    while all.last().is_none_or(|last: &DataValue| last.value != Some(Value::UInt16(7))) {
        all.extend(heard(&mut client));
    }
    is_silent.store(true, Ordering::Relaxed);
    while all.last().is_none_or(|last| !last.status.unwrap_or(StatusCode::Good).is_bad()) {
        all.extend(heard(&mut client));
    }
    let last = all.last().expect("one");
    assert_eq!(last.value.clone().unwrap_or_default(), Value::Null, "{last:?}");
}

const SLOW: &str = r#"
schema: 1
cell: slow
namespace: urn:test:slow
connections:
  sim: { driver: simulator }
nodes:
  Level: { type: UInt32, source: "counter(start=5, step=1, every=1h)", poll: 1h, stale_after: 10h }
"#;

/// Uncertain with the same value is a change (Part 4 §7.22.2, trigger StatusValue).
#[test]
fn a_change_of_status_alone_is_reported() {
    let server = TestServer::start(SLOW);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(50.0, 1_000, 10);
    assert_eq!(monitor(&mut client, subscription, tag("Level"), &PLAIN), StatusCode::Good);
    let mut last = heard(&mut client).pop().expect("one");
    while last.value != Some(Value::UInt32(5)) {
        last = heard(&mut client).pop().expect("one");
    }
    server.server.tags.miss(&server.server.world().plant, &[tag_id(&server, "Level")], Miss::LinkDown, Stamp::now());
    let told = heard(&mut client).pop().expect("one");
    assert_eq!(told.value, Some(Value::UInt32(5)));
    assert_eq!(told.status, Some(StatusCode::UncertainLastUsableValue));
}

/// SourceTimestamp is the device's, not the time of sampling.
#[test]
fn the_source_timestamp_is_the_devices() {
    let server = TestServer::start(SLOW);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(50.0, 1_000, 10);
    assert_eq!(monitor(&mut client, subscription, tag("Level"), &Asked { sampling: 70.0, ..PLAIN }), StatusCode::Good);
    let id = tag_id(&server, "Level");
    for n in 0..3i64 {
        let source = UaTime(133_000_000_000_000_001 + 12_345_677 * n);
        let value = Value::UInt32(100 + u32::try_from(n).expect("small"));
        let raw = RawSample::from(Ok(value.clone()));
        server.server.tags.commit(&server.server.world().plant, &[(id, raw)], Stamp { source, ..Stamp::now() });
        assert_eq!(client.read_value(tag("Level")).source_time, Some(source));
        let told = loop {
            let told = heard(&mut client).pop().expect("one");
            if told.value == Some(value.clone()) {
                break told;
            }
        };
        assert_eq!(told.source_time, Some(source));
    }
}

fn number(value: &DataValue) -> (Option<Value>, u32) {
    (value.value.clone(), value.status.unwrap_or(StatusCode::Good).bits())
}

/// The Overflow bit is on the value next to the gap, and never on a queue of one (Part 4 §5.13.1.5).
#[test]
fn an_overflow_is_marked_on_the_right_value() {
    const OVERFLOW: u32 = 0x480;
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    for (queue, discard_oldest, left) in [
        (3, true, vec![(4, OVERFLOW), (5, 0), (6, 0)]),
        (3, false, vec![(0, 0), (1, 0), (6, OVERFLOW)]),
        (1, true, vec![(6, 0)]),
        (1, false, vec![(6, 0)]),
    ] {
        assert_eq!(client.write(tag("Pump.Number"), &Value::Int32(0)), StatusCode::Good);
        let subscription = client.subscribe(200.0, 1_000, 10);
        let asked = Asked { queue, discard_oldest, ..PLAIN };
        assert_eq!(monitor(&mut client, subscription, tag("Pump.Number"), &asked), StatusCode::Good);
        let node = tag("Pump.Number");
        let values: Vec<Value> = (1..=6).map(Value::Int32).collect();
        client.ask(write(&values.iter().map(|value| (node, None, value)).collect::<Vec<_>>()));
        let heard: Vec<_> = heard(&mut client).iter().map(number).collect();
        let expected: Vec<_> = left.into_iter().map(|(n, status)| (Some(Value::Int32(n)), status)).collect();
        assert_eq!(heard, expected, "queue {queue}, discard oldest {discard_oldest}");
        client.ask(delete_subscriptions(&[subscription]));
    }
}

/// An index range is applied once, to the first value and to each that follows; not again to a part.
#[test]
fn an_index_range_is_applied_once() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(50.0, 1_000, 10);
    let asked = Asked { range: Some("1:2"), ..PLAIN };
    assert_eq!(monitor(&mut client, subscription, tag("Pump.Curve"), &asked), StatusCode::Good);
    let floats = |all: &[f32]| Some(Value::array(Elements::Float(all.to_vec())));
    assert_eq!(heard(&mut client)[0].value, floats(&[2.0, 3.0]));
    let whole = Value::array(Elements::Float(vec![9.0, 8.0, 7.0, 6.0, 5.0]));
    assert_eq!(client.write(tag("Pump.Curve"), &whole), StatusCode::Good);
    assert_eq!(heard(&mut client)[0].value, floats(&[8.0, 7.0]));
    let bad = Asked { range: Some("4:2"), ..PLAIN };
    assert_eq!(monitor(&mut client, subscription, tag("Pump.Curve"), &bad), StatusCode::BadIndexRangeInvalid);
    let response = client.call_raw(ObjectId::CreateMonitoredItemsRequest_Encoding_DefaultBinary, |w| {
        w.u32(subscription);
        w.i32(2);
        w.count(1);
        w.node_id(tag("Pump.Curve"));
        w.u32(VALUE);
        w.text("abc");
        w.u16(0);
        w.string(None);
        w.i32(2);
        w.u32(1);
        w.f64(0.0);
        w.null_extension_object();
        w.u32(10);
        w.bool(true);
    });
    let results = response.decode::<opcua::CreateMonitoredItemsResponse>().results.expect("results");
    assert_eq!(results[0].status_code, StatusCode::BadIndexRangeInvalid, "a range that is no range");
}

/// A percent deadband needs an EURange, and any deadband a number.
#[test]
fn a_deadband_that_makes_no_sense_is_refused() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(1_000.0, 1_000, 10);
    for (node, filter, status) in [
        ("Pump.Setpoint", (DataChangeTrigger::StatusValue, 2, 10.0), StatusCode::Good),
        ("Pump.Number", (DataChangeTrigger::StatusValue, 2, 10.0), StatusCode::BadMonitoredItemFilterUnsupported),
        ("Pump.Setpoint", (DataChangeTrigger::StatusValue, 2, 101.0), StatusCode::BadDeadbandFilterInvalid),
        ("Pump.Setpoint", (DataChangeTrigger::StatusValue, 1, -1.0), StatusCode::BadDeadbandFilterInvalid),
        ("Pump.Setpoint", (DataChangeTrigger::StatusValue, 1, f64::NAN), StatusCode::BadDeadbandFilterInvalid),
        ("Pump.Name", (DataChangeTrigger::StatusValue, 1, 1.0), StatusCode::BadFilterNotAllowed),
        ("Pump.Name", (DataChangeTrigger::StatusValue, 2, 1.0), StatusCode::BadFilterNotAllowed),
        ("Pump.Name", (DataChangeTrigger::StatusValue, 0, 0.0), StatusCode::Good),
    ] {
        let asked = Asked { filter: Some(filter), ..PLAIN };
        assert_eq!(monitor(&mut client, subscription, tag(node), &asked), status, "{node} {filter:?}");
    }
    let mut unknown = request(tag("Pump.Number"), &PLAIN);
    unknown.requested_parameters.filter = raw_structure(ObjectId::DataChangeFilter_Encoding_DefaultBinary, |w| {
        w.i32(9);
        w.u32(0);
        w.f64(0.0);
    });
    let status = create(&mut client, subscription, unknown).0;
    assert_eq!(status, StatusCode::BadMonitoredItemFilterInvalid, "a trigger that does not exist");
}

/// An item on an attribute other than Value shows that attribute again when it wakes up.
#[test]
fn an_attribute_that_never_changes_is_shown_again_when_its_item_wakes() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(50.0, 1_000, 10);
    let rank = item(tag("Pump.Number"), AttributeId::ValueRank as u32, 1, 0.0, 10);
    let (status, id) = create(&mut client, subscription, rank);
    assert_eq!(status, StatusCode::Good);
    assert_eq!(heard(&mut client)[0].value, Some(Value::Int32(-1)), "ValueRank");
    for mode in [MonitoringMode::Disabled, MonitoringMode::Reporting] {
        client.ask(set_mode(subscription, mode, &[id]));
    }
    assert_eq!(heard(&mut client)[0].value, Some(Value::Int32(-1)), "ValueRank");
}

/// The queues of one session are bounded in bytes, and a queue that is cut for that is marked with Overflow.
#[test]
fn the_queues_of_a_session_are_bounded_in_bytes() {
    let server = TestServer::with(CELL, None, |limits, _| limits.queue_bytes = 20_000);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(400.0, 1_000, 10);
    let asked = Asked { queue: 1_000, ..PLAIN };
    assert_eq!(monitor(&mut client, subscription, tag("Pump.Number"), &asked), StatusCode::Good);
    let values: Vec<Value> = (0..900).map(Value::Int32).collect();
    client.ask(write(&values.iter().map(|value| (tag("Pump.Number"), None, value)).collect::<Vec<_>>()));
    let heard: Vec<_> = heard(&mut client).iter().map(number).collect();
    assert!((100..500).contains(&heard.len()), "{} values", heard.len());
    assert_eq!(heard[0].1, 0x480, "the first one is next to the gap");
    assert_eq!(heard.last().map(|last| last.0.clone()), Some(Some(Value::Int32(899))));
}
