//! Defects that other servers have with values, limits and monitored items: one test each.
//!
//! The numbers are those of the project's list of defects. What a Write must not accept (15) is in `server.rs`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opcell::model::TagId;
use opcell::stack::codec::{DataValue, NodeIdRef, QualifiedNameRef, Writer};
use opcell::tags::{Miss, RawSample, Stamp};
use opcell::value::{Elements, UaTime, Value};
use opcua::StatusCode;

use testkit::server::{CELL, TestServer};
use testkit::ua::{Session, unsecured};

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

fn ns0(number: u32) -> NodeIdRef<'static> {
    NodeIdRef::numeric(0, number)
}

/// What a monitored item asks for beside its node.
struct Asked<'a> {
    range: Option<&'a str>,
    sampling: f64,
    queue: u32,
    discard_oldest: bool,
    /// Trigger, kind of deadband and its amount.
    filter: Option<(i32, u32, f64)>,
}

const PLAIN: Asked<'static> = Asked { range: None, sampling: 0.0, queue: 10, discard_oldest: true, filter: None };

/// CreateMonitoredItems with one item: its status, id and revised queue size.
fn monitor(client: &mut Session, subscription: u32, node: NodeIdRef<'_>, asked: &Asked<'_>) -> (StatusCode, u32, u32) {
    let response = client.call(751, |w| {
        w.u32(subscription);
        w.i32(2);
        w.count(1);
        w.node_id(node);
        w.u32(13);
        w.string(asked.range);
        w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
        w.i32(2);
        write_parameters(w, asked);
    });
    let mut reader = response.good();
    assert_eq!(reader.count(1).expect("results"), 1);
    let status = reader.status().expect("a status");
    let id = reader.u32().expect("an id");
    reader.f64().expect("an interval");
    (status, id, reader.u32().expect("a queue size"))
}

fn write_parameters(w: &mut Writer, asked: &Asked<'_>) {
    w.u32(1);
    w.f64(asked.sampling);
    match asked.filter {
        None => w.null_extension_object(),
        Some((trigger, kind, amount)) => w.extension_object(724, |w| {
            w.i32(trigger);
            w.u32(kind);
            w.f64(amount);
        }),
    }
    w.u32(asked.queue);
    w.bool(asked.discard_oldest);
}

/// The values of the item that come with the next message that has data.
fn heard(client: &mut Session) -> Vec<DataValue> {
    client.next_data().data.into_iter().map(|(_, value)| value).collect()
}

fn tag_id(server: &TestServer, path: &str) -> TagId {
    let plant = &server.server.plant;
    let ids = (0..u32::try_from(plant.tags.len()).expect("few")).map(TagId);
    ids.into_iter().find(|id| plant.tag_name(*id).to_string().ends_with(path)).expect("a tag of that name")
}

/// 8: a range that is none, an attribute that is none and an unknown node spoil their own operation alone.
#[test]
fn one_bad_operation_does_not_fault_the_request() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let cases: [(&str, u32, Option<&str>, &str, StatusCode); 9] = [
        ("Pump.Curve", 13, None, "", StatusCode::Good),
        ("Pump.Curve", 13, Some("abc"), "", StatusCode::BadIndexRangeInvalid),
        ("Pump.Curve", 13, Some("4:2"), "", StatusCode::BadIndexRangeInvalid),
        ("Pump.Curve", 13, Some("7:9"), "", StatusCode::BadIndexRangeNoData),
        ("Pump.Curve", 13, Some("1:2"), "", StatusCode::Good),
        ("Pump.Curve", 99, None, "", StatusCode::BadAttributeIdInvalid),
        ("Pump.Curve", 13, None, "Default XML", StatusCode::BadDataEncodingUnsupported),
        ("Pump.Curve", 4, None, "Default Binary", StatusCode::BadDataEncodingInvalid),
        ("Nobody", 13, None, "", StatusCode::BadNodeIdUnknown),
    ];
    let response = client.call(631, |w| {
        w.f64(0.0);
        w.i32(2);
        w.count(cases.len());
        for (node, attribute, range, encoding, _) in cases {
            w.node_id(tag(node));
            w.u32(attribute);
            w.string(range);
            w.qualified_name(QualifiedNameRef { namespace: 0, name: Some(encoding).filter(|name| !name.is_empty()) });
        }
    });
    let mut reader = response.good();
    assert_eq!(reader.count(1).expect("results"), cases.len());
    for (node, attribute, range, encoding, expected) in cases {
        let status = reader.data_value().expect("a DataValue").status.unwrap_or(StatusCode::Good);
        assert_eq!(status, expected, "{node} {attribute} {range:?} {encoding}");
    }
}

/// Asks a service for `count` operations on the same things over and over.
type Ask = fn(&mut Session, usize) -> StatusCode;

fn ask(client: &mut Session, service: u32, body: impl FnOnce(&mut Writer)) -> StatusCode {
    client.call(service, body).result
}

const READ: Ask = |client, count| {
    ask(client, 631, |w| {
        w.f64(0.0);
        w.i32(2);
        w.count(count);
        for _ in 0..count {
            w.node_id(ns0(2259));
            w.u32(13);
            w.string(None);
            w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
        }
    })
};
const WRITE: Ask = |client, count| {
    ask(client, 673, |w| {
        w.count(count);
        for n in 0..count {
            w.node_id(tag("Pump.Number"));
            w.u32(13);
            w.string(None);
            w.data_value(&Value::Int32(i32::try_from(n).expect("small")), StatusCode::Good, None, None);
        }
    })
};
const BROWSE: Ask = |client, count| {
    ask(client, 527, |w| {
        w.node_id(NodeIdRef::NULL);
        w.i64(0);
        w.u32(0);
        w.u32(0);
        w.count(count);
        for _ in 0..count {
            w.node_id(tag("Pump.Number"));
            w.i32(0);
            w.node_id(NodeIdRef::NULL);
            w.bool(true);
            w.u32(0);
            w.u32(0);
        }
    })
};
const REGISTER: Ask = |client, count| {
    ask(client, 560, |w| {
        w.count(count);
        (0..count).for_each(|_| w.node_id(ns0(2259)));
    })
};
const TRANSLATE: Ask = |client, count| {
    ask(client, 554, |w| {
        w.count(count);
        for _ in 0..count {
            w.node_id(ns0(85));
            w.count(1);
            w.node_id(NodeIdRef::NULL);
            w.bool(false);
            w.bool(true);
            w.qualified_name(QualifiedNameRef { namespace: 0, name: Some("Server") });
        }
    })
};
const CREATE_ITEMS: Ask = |client, count| {
    let subscription = client.subscribe(1_000.0, 100, 10);
    let status = ask(client, 751, |w| {
        w.u32(subscription);
        w.i32(2);
        w.count(count);
        for _ in 0..count {
            w.node_id(tag("Pump.Number"));
            w.u32(13);
            w.string(None);
            w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
            w.i32(2);
            write_parameters(w, &PLAIN);
        }
    });
    client.call(847, |w| {
        w.count(1);
        w.u32(subscription);
    });
    status
};

/// 9: as many operations as are advertised are served, and one more is Bad_TooManyOperations.
#[test]
fn each_advertised_number_of_operations_is_reachable_and_one_more_is_refused() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    for (name, limit, call) in [
        ("MaxNodesPerRead", 11_705, READ),
        ("MaxNodesPerWrite", 11_707, WRITE),
        ("MaxNodesPerBrowse", 11_710, BROWSE),
        ("MaxNodesPerRegisterNodes", 11_711, REGISTER),
        ("MaxNodesPerTranslateBrowsePathsToNodeIds", 11_712, TRANSLATE),
        ("MaxMonitoredItemsPerCall", 11_714, CREATE_ITEMS),
    ] {
        let Some(Value::UInt32(most)) = client.read_value(ns0(limit)).value else { panic!("{name}") };
        assert_eq!(most, 10_000, "{name}");
        assert_eq!(call(&mut client, 10_000), StatusCode::Good, "{name}");
        assert_eq!(call(&mut client, 10_001), StatusCode::BadTooManyOperations, "{name}");
        assert_eq!(call(&mut client, 0), StatusCode::BadNothingToDo, "{name}");
    }
}

/// 9: the other advertised limits, small ones: each is reachable, and one more gets its own code.
#[test]
fn each_advertised_number_of_things_is_reachable_and_one_more_is_refused() {
    let server = TestServer::with(CELL, None, |limits, _| {
        let configured = &mut limits.configured;
        configured.max_sessions = 3;
        configured.max_subscriptions = 4;
        configured.max_subscriptions_per_session = 3;
        configured.max_monitored_items = 6;
        configured.max_items_per_subscription = 4;
        configured.max_queue = 5;
        limits.browse_continuation_points = 2;
    });
    let mut client = Session::open(server.address);
    for (name, number, most) in [
        ("MaxSessions", 24_095, 3),
        ("MaxSubscriptions", 24_096, 4),
        ("MaxMonitoredItems", 24_097, 6),
        ("MaxSubscriptionsPerSession", 24_098, 3),
        ("MaxMonitoredItemsPerSubscription", 24_104, 4),
        ("MaxMonitoredItemsQueueSize", 31_916, 5),
    ] {
        assert_eq!(client.read_value(ns0(number)).value, Some(Value::UInt32(most)), "{name}");
    }
    assert_eq!(client.read_value(ns0(2735)).value, Some(Value::UInt16(2)), "MaxBrowseContinuationPoints");

    let mut second = Session::open(server.address);
    let _third = Session::open(server.address);
    let mut fourth = Session::connect(server.address, unsecured()).expect("a channel");
    assert_eq!(fourth.create("urn:test:client", b"").result, StatusCode::BadTooManySessions);

    let create = |client: &mut Session| {
        client.call(787, |w| {
            w.f64(1_000.0);
            w.u32(100);
            w.u32(10);
            w.u32(0);
            w.bool(true);
            w.u8(0);
        })
    };
    let mut made: Vec<u32> = (0..3).map(|_| create(&mut client).good().u32().expect("an id")).collect();
    assert_eq!(create(&mut client).result, StatusCode::BadTooManySubscriptions, "a fourth of one session");
    made.push(create(&mut second).good().u32().expect("an id"));
    assert_eq!(create(&mut second).result, StatusCode::BadTooManySubscriptions, "a fifth of the server");

    let greedy = Asked { queue: 1_000, ..PLAIN };
    for n in 0..4 {
        let (status, _, queue) = monitor(&mut client, made[0], tag("Pump.Number"), &greedy);
        assert_eq!((status, queue), (StatusCode::Good, 5), "item {n}");
    }
    let full = StatusCode::BadTooManyMonitoredItems;
    assert_eq!(monitor(&mut client, made[0], tag("Pump.Number"), &greedy).0, full, "a fifth of one subscription");
    assert_eq!(monitor(&mut client, made[1], tag("Pump.Number"), &greedy).0, StatusCode::Good);
    assert_eq!(monitor(&mut client, made[1], tag("Pump.Number"), &greedy).0, StatusCode::Good);
    assert_eq!(monitor(&mut client, made[1], tag("Pump.Number"), &greedy).0, full, "a seventh of the server");

    let browse = |client: &mut Session| {
        let response = client.call(527, |w| {
            w.node_id(NodeIdRef::NULL);
            w.i64(0);
            w.u32(0);
            w.u32(1);
            w.count(1);
            w.node_id(ns0(2253));
            w.i32(2);
            w.node_id(NodeIdRef::NULL);
            w.bool(true);
            w.u32(0);
            w.u32(0);
        });
        let mut reader = response.good();
        reader.count(1).expect("results");
        reader.status().expect("a status")
    };
    let none_left = StatusCode::BadNoContinuationPoints;
    let got: Vec<StatusCode> = (0..3).map(|_| browse(&mut client)).collect();
    assert_eq!(got, [StatusCode::Good, StatusCode::Good, none_left]);
}

/// 9: no more Publish requests are kept than allowed; the oldest gives way.
#[test]
fn the_oldest_publish_request_gives_way() {
    let server = TestServer::with(CELL, None, |limits, _| limits.publish_requests = 3);
    let mut client = Session::open(server.address);
    client.subscribe(60_000.0, 100, 10);
    let first = client.send(826, |w| w.count(0)).expect("sent");
    for _ in 0..3 {
        client.send(826, |w| w.count(0)).expect("sent");
    }
    client.client.flush().expect("sent");
    let answer = client.receive().expect("an answer");
    assert_eq!((answer.handle, answer.result), (first, StatusCode::BadTooManyPublishRequests));
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

/// 13: the value stays the same and turns Bad when its device falls silent: that is told, without a value.
#[test]
fn a_device_that_falls_silent_is_told_of() {
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
    assert_eq!(monitor(&mut client, subscription, tag("Level"), &PLAIN).0, StatusCode::Good);
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

/// 13: Uncertain with the same value is news as well.
#[test]
fn a_change_of_status_alone_is_told() {
    let server = TestServer::start(SLOW);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(50.0, 1_000, 10);
    assert_eq!(monitor(&mut client, subscription, tag("Level"), &PLAIN).0, StatusCode::Good);
    let mut last = heard(&mut client).pop().expect("one");
    while last.value != Some(Value::UInt32(5)) {
        last = heard(&mut client).pop().expect("one");
    }
    server.server.tags.miss(&[tag_id(&server, "Level")], Miss::LinkDown, Stamp::now());
    let told = heard(&mut client).pop().expect("one");
    assert_eq!(told.value, Some(Value::UInt32(5)));
    assert_eq!(told.status, Some(StatusCode::UncertainLastUsableValue));
}

/// 14: SourceTimestamp is the device's, whatever the sampling interval.
#[test]
fn the_source_timestamp_is_the_devices() {
    let server = TestServer::start(SLOW);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(50.0, 1_000, 10);
    assert_eq!(
        monitor(&mut client, subscription, tag("Level"), &Asked { sampling: 70.0, ..PLAIN }).0,
        StatusCode::Good
    );
    let id = tag_id(&server, "Level");
    for n in 0..3i64 {
        let source = UaTime(133_000_000_000_000_001 + 12_345_677 * n);
        let value = Value::UInt32(100 + u32::try_from(n).expect("small"));
        let raw = RawSample::from(Ok(value.clone()));
        server.server.tags.commit(&[(id, raw)], Stamp { source, ..Stamp::now() });
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

/// 16: the Overflow bit stands on the value next to the gap, and never on a queue of one.
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
        assert_eq!(monitor(&mut client, subscription, tag("Pump.Number"), &asked).0, StatusCode::Good);
        let response = client.call(673, |w| {
            w.count(6);
            for n in 1..=6 {
                w.node_id(tag("Pump.Number"));
                w.u32(13);
                w.string(None);
                w.data_value(&Value::Int32(n), StatusCode::Good, None, None);
            }
        });
        response.good();
        let heard: Vec<_> = heard(&mut client).iter().map(number).collect();
        let expected: Vec<_> = left.into_iter().map(|(n, status)| (Some(Value::Int32(n)), status)).collect();
        assert_eq!(heard, expected, "queue {queue}, discard oldest {discard_oldest}");
        client.call(847, |w| {
            w.count(1);
            w.u32(subscription);
        });
    }
}

/// 16: an index range is applied once, to the first value and to each that follows.
#[test]
fn an_index_range_is_applied_once() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(50.0, 1_000, 10);
    let asked = Asked { range: Some("1:2"), ..PLAIN };
    assert_eq!(monitor(&mut client, subscription, tag("Pump.Curve"), &asked).0, StatusCode::Good);
    let floats = |all: &[f32]| Some(Value::array(Elements::Float(all.to_vec())));
    assert_eq!(heard(&mut client)[0].value, floats(&[2.0, 3.0]));
    let whole = Value::array(Elements::Float(vec![9.0, 8.0, 7.0, 6.0, 5.0]));
    assert_eq!(client.write(tag("Pump.Curve"), &whole), StatusCode::Good);
    assert_eq!(heard(&mut client)[0].value, floats(&[8.0, 7.0]));
    let bad = Asked { range: Some("abc"), ..PLAIN };
    assert_eq!(monitor(&mut client, subscription, tag("Pump.Curve"), &bad).0, StatusCode::BadIndexRangeInvalid);
}

/// 17: a percent deadband needs an EURange, and any deadband a number.
#[test]
fn a_deadband_that_means_nothing_is_refused() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(1_000.0, 1_000, 10);
    for (node, filter, status) in [
        ("Pump.Setpoint", (1, 2, 10.0), StatusCode::Good),
        ("Pump.Number", (1, 2, 10.0), StatusCode::BadMonitoredItemFilterUnsupported),
        ("Pump.Setpoint", (1, 2, 101.0), StatusCode::BadDeadbandFilterInvalid),
        ("Pump.Setpoint", (1, 1, -1.0), StatusCode::BadDeadbandFilterInvalid),
        ("Pump.Setpoint", (1, 1, f64::NAN), StatusCode::BadDeadbandFilterInvalid),
        ("Pump.Name", (1, 1, 1.0), StatusCode::BadFilterNotAllowed),
        ("Pump.Name", (1, 2, 1.0), StatusCode::BadFilterNotAllowed),
        ("Pump.Name", (1, 0, 0.0), StatusCode::Good),
        ("Pump.Number", (9, 0, 0.0), StatusCode::BadMonitoredItemFilterInvalid),
    ] {
        let asked = Asked { filter: Some(filter), ..PLAIN };
        assert_eq!(monitor(&mut client, subscription, tag(node), &asked).0, status, "{node} {filter:?}");
    }
}

/// An item on an attribute other than Value shows that attribute again when it wakes up.
#[test]
fn an_attribute_that_never_changes_is_shown_again_when_its_item_wakes() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(50.0, 1_000, 10);
    let response = client.call(751, |w| {
        w.u32(subscription);
        w.i32(2);
        w.count(1);
        w.node_id(tag("Pump.Number"));
        w.u32(15);
        w.string(None);
        w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
        w.i32(2);
        write_parameters(w, &PLAIN);
    });
    let mut reader = response.good();
    reader.count(1).expect("results");
    assert_eq!(reader.status(), Ok(StatusCode::Good));
    let id = reader.u32().expect("an id");
    assert_eq!(heard(&mut client)[0].value, Some(Value::Int32(-1)), "ValueRank");
    for mode in [0, 2] {
        let response = client.call(769, |w| {
            w.u32(subscription);
            w.i32(mode);
            w.count(1);
            w.u32(id);
        });
        response.good();
    }
    assert_eq!(heard(&mut client)[0].value, Some(Value::Int32(-1)), "ValueRank");
}

/// What waits in the queues of one session is bounded in bytes, and a queue that is cut so says Overflow.
#[test]
fn the_queues_of_a_session_are_bounded_in_bytes() {
    let server = TestServer::with(CELL, None, |limits, _| limits.queue_bytes = 20_000);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(400.0, 1_000, 10);
    let asked = Asked { queue: 1_000, ..PLAIN };
    assert_eq!(monitor(&mut client, subscription, tag("Pump.Number"), &asked).0, StatusCode::Good);
    assert_eq!(WRITE(&mut client, 900), StatusCode::Good);
    let heard: Vec<_> = heard(&mut client).iter().map(number).collect();
    assert!((100..500).contains(&heard.len()), "{} values", heard.len());
    assert_eq!(heard[0].1, 0x480, "the first one is next to the gap");
    assert_eq!(heard.last().map(|last| last.0.clone()), Some(Some(Value::Int32(899))));
}
