//! A publisher as an edge node: read back by driver `sparkplug` over mosquitto.

use std::net::SocketAddr;

use opcell::testing::tags::Written;
use opcell::value::{Elements, UaTime, Value};
use opcua::StatusCode;
use testkit::broker::Broker;
use testkit::relay::Relay;
use testkit::server::TestServer;
use testkit::until;

use super::bench::{count, sample, status, tag, until_state, write};

/// A cell whose edge node goes out on one port, and is read on the other.
fn cell(out: u16, back: u16, keys: &str, nodes: &str) -> String {
    format!(
        "schema: 1\ncell: cell3\nconnections:\n  mq: {{ driver: mqtt, url: \"mqtt://127.0.0.1:{out}\", reconnect_max: 200ms }}\n  \
         sp: {{ driver: sparkplug, url: \"mqtt://127.0.0.1:{back}\", reconnect_max: 200ms, allow_write: true, timeout: 1s, host_id: scada }}\n\
         defaults: {{ connection: sp }}\n\
         publish:\n  up: {{ connection: mq, format: sparkplug, group: Plant, min_interval: 0ms, nodes: [Tank, Own, Line]{keys} }}\n\
         nodes:\n{nodes}"
    )
}

const NODES: &str = "  Own: { type: Double, value: 1, write: true }
  Tank: { children: { Level: { type: Double, unit: bar, range: [0, 10], description: Filling, value: 2, write: true }, Deep: { children: { Count: { type: Int32, value: 3, write: true, history: fast } } } } }
  Line: { children: { Dead: { type: Double, connection: plc, source: 40001 }, Alive: { type: Double, value: 1, write: true } } }
  B1: { type: Double, source: \"Plant/cell3:Own\" }
  B2: { type: Double, source: { address: \"Plant/cell3/Tank:Level\", write: true } }
  B3: { type: Int32, source: \"Plant/cell3/Tank:Deep/Count\" }
  There: { type: Boolean, source: \"Plant/cell3:@online\" }
  TankThere: { type: Boolean, source: \"Plant/cell3/Tank:@online\" }
";

/// With a device that does not answer.
fn whole(out: u16, back: u16, keys: &str) -> String {
    let plc = "  plc: { driver: modbus-tcp, host: 127.0.0.1, port: 1, reconnect_max: 1s }\n";
    cell(out, back, keys, NODES).replace("defaults:", &format!("{plc}defaults:"))
}

fn read_back(server: &TestServer, path: &str, value: &Value) {
    until(path, || {
        let now = sample(server, path);
        if now.status.is_good() && now.value == *value { Ok(()) } else { Err(format!("{now:?}, {}", status(server))) }
    });
}

#[test]
fn an_edge_node_is_born_sends_changes_and_dies() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], broker.port)));
    for keys in ["", ", aliases: false"] {
        let server = TestServer::start(&whole(relay.address.port(), broker.port, keys));
        read_back(&server, "B1", &Value::Double(1.0));
        read_back(&server, "B2", &Value::Double(2.0));
        read_back(&server, "B3", &Value::Int32(3));
        read_back(&server, "There", &Value::Boolean(true));
        read_back(&server, "TankThere", &Value::Boolean(true));
        for n in 0..30 {
            write(&server, "Own", Value::Double(n.into()));
            write(&server, "Tank.Level", Value::Double(f64::from(n) / 10.0));
            write(&server, "Tank.Deep.Count", Value::Int32(n));
            read_back(&server, "B1", &Value::Double(n.into()));
            read_back(&server, "B2", &Value::Double(f64::from(n) / 10.0));
            read_back(&server, "B3", &Value::Int32(n));
        }
        // The will is the death of this session, and the next birth follows.
        for _ in 0..3 {
            relay.cut();
            until("it is gone", || !sample(&server, "B1").status.is_good());
            read_back(&server, "B1", &Value::Double(29.0));
        }
        assert_eq!(count(&server, "dropped"), 0);
    }
}

#[test]
fn values_of_all_types_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let time = UaTime(134_116_992_001_230_000);
    let cases = [
        ("Boolean", "true", Value::Boolean(false)),
        ("SByte", "1", Value::SByte(-128)),
        ("Byte", "1", Value::Byte(255)),
        ("Int16", "1", Value::Int16(-32_768)),
        ("UInt16", "1", Value::UInt16(65_535)),
        ("Int32", "1", Value::Int32(i32::MIN)),
        ("UInt32", "1", Value::UInt32(u32::MAX)),
        ("Int64", "1", Value::Int64(i64::MIN)),
        ("UInt64", "1", Value::UInt64(u64::MAX)),
        ("Float", "1", Value::Float(0.1)),
        ("Double", "1", Value::Double(-0.0)),
        ("String", "a", Value::text("ä\n\"")),
        ("DateTime", "\"2026-01-01T00:00:00Z\"", Value::DateTime(time)),
        ("ByteString", "\"00\"", Value::ByteString(vec![0, 255].into())),
        ("Int16, array: 2", "[1, 2]", Value::array(Elements::Int16(vec![-1, 7]))),
        ("String, array: 2", "[a, b]", Value::array(Elements::String(vec!["x".into(), "".into()]))),
        ("Boolean, array: 3", "[true, true, true]", Value::array(Elements::Boolean(vec![false, true, false]))),
        ("DateTime, array: 1", "[\"2026-01-01T00:00:00Z\"]", Value::array(Elements::DateTime(vec![time]))),
        ("Mode", "Stopped", Value::Int32(1)),
    ];
    let mut own =
        String::from("  Own: { type: Double, value: 1 }\n  Line: { type: Double, value: 1 }\n  Tank:\n    children:\n");
    let mut back = String::new();
    for (at, (keys, start, _)) in cases.iter().enumerate() {
        own.push_str(&format!("      A{at}: {{ type: {keys}, value: {start}, write: true }}\n"));
        back.push_str(&format!("  B{at}: {{ type: {keys}, source: \"Plant/cell3/Tank:A{at}\" }}\n"));
    }
    let types = "types: { enums: { Mode: { 0: Stopped, 1: Running } } }\n";
    let server = TestServer::start(&format!("{}{types}", cell(broker.port, broker.port, "", &format!("{own}{back}"))));
    for (at, (_, _, value)) in cases.iter().enumerate() {
        let (a, b) = (format!("Tank.A{at}"), format!("B{at}"));
        until(&b, || sample(&server, &b).status.is_good());
        write(&server, &a, value.clone());
        until(&b, || {
            let (a, b) = (sample(&server, &a), sample(&server, &b));
            let is_same = b.value.same_bits(&a.value) && a.status == b.status;
            // Sparkplug has milliseconds.
            let is_same_time = (a.source_time.0 - b.source_time.0).abs() < 10_000;
            if is_same && is_same_time { Ok(()) } else { Err(format!("{a:?} is read as {b:?}")) }
        });
    }
}

#[test]
fn values_from_before_the_broker_was_there_are_historical() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(mut broker) = Broker::open(folder.path()) else { return };
    broker.stop();
    let server = TestServer::start(&whole(broker.port, broker.port, ""));
    until_state(&server, "Waiting");
    for n in 1..=700 {
        write(&server, "Tank.Deep.Count", Value::Int32(n));
    }
    until("all are on disk", || count(&server, "buffered") >= 700);
    let server = server.restart();
    assert!(broker.start());
    until("the buffer is empty", || count(&server, "buffered") == 0);
    // The live value is that of the birth, which the server has retained; the host takes no old one for it.
    read_back(&server, "B3", &Value::Int32(700));
    write(&server, "Tank.Deep.Count", Value::Int32(9));
    read_back(&server, "B3", &Value::Int32(9));
    assert_eq!(count(&server, "dropped"), 0);
    let number = std::fs::read_to_string(walk(&server.dir().join("state/publish"), "bdseq")).expect("a number");
    assert!(number.trim().parse::<u8>().expect("a number") > 1, "{number}");
}

fn walk(folder: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            if entry.file_name() == name {
                return entry.path();
            }
            if entry.path().is_dir() {
                open.push(entry.path());
            }
        }
    }
    panic!("no {name}");
}

#[test]
fn a_host_writes_a_tag() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let server = TestServer::start(&whole(broker.port, broker.port, ", allow_write: true"));
    read_back(&server, "B2", &Value::Double(2.0));
    let (id, world) = (tag(&server, "B2"), server.server.world());
    let written = server.server.tags.write_now(&world.plant, id, &Value::Double(7.5), None, UaTime::now());
    let Written::Device { connection, write } = written else { panic!("{written:?}") };
    let answer =
        server.server.tags.enqueue(connection, vec![write], std::time::Duration::from_secs(5)).expect("queued");
    let codes = answer.blocking_recv().expect("answered");
    assert_eq!(codes, [StatusCode::GoodCompletesAsynchronously]);
    until("written", || sample(&server, "Tank.Level").value == Value::Double(7.5));
    read_back(&server, "B2", &Value::Double(7.5));
    assert_eq!(count(&server, "written"), 1);
}

#[test]
fn births_wait_for_the_primary_host_and_the_buffer_fills() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], broker.port)));
    let text = |host: &str| whole(broker.port, relay.address.port(), &format!(", primary_host: {host}"));
    // Another host, which is not there.
    let server = TestServer::start(&text("other"));
    until_state(&server, "Silent");
    write(&server, "Own", Value::Double(5.0));
    until("it is kept", || count(&server, "buffered") > 0);
    assert!(!sample(&server, "B1").status.is_good());
    server.reload(&text("scada"));
    read_back(&server, "B1", &Value::Double(5.0));
    until_state(&server, "Connected");
    // The host goes: the node dies with it, and is born again with it.
    let before = count(&server, "reconnects");
    relay.cut();
    until("it died", || count(&server, "reconnects") > before);
    read_back(&server, "B1", &Value::Double(5.0));
}

#[test]
fn new_metrics_need_a_birth_and_no_session() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let text = whole(broker.port, broker.port, "");
    let server = TestServer::start(&text);
    read_back(&server, "B1", &Value::Double(1.0));
    let more = text.replace("children: { Level:", "children: { More: { type: Int32, value: 77 }, Level:");
    server.reload(&format!("{more}  B4: {{ type: Int32, source: \"Plant/cell3/Tank:More\" }}\n"));
    read_back(&server, "B4", &Value::Int32(77));
    read_back(&server, "B1", &Value::Double(1.0));
    assert_eq!(count(&server, "reconnects"), 0);
}
