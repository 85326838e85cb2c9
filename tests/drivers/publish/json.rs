//! JSON messages as other programs see them, and as driver `mqtt` reads them back.

use opcell::value::{Array, Elements, UaTime, Value};
use opcua::StatusCode;
use testkit::broker::Broker;
use testkit::server::TestServer;
use testkit::until;

use super::bench::{cell, count, sample, status, until_state, value_of, write};

const TANK: &str = "nodes:\n  Tank: { children: { Level: { type: Double, value: 21.5, write: true }, \
    State: { type: Mode, value: Running, write: true } } }\ntypes: { enums: { Mode: { 0: Stopped, 1: Running } } }\n";

#[test]
fn tags_go_out_with_value_status_and_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let mut listening = broker.listen(&["cell3/#"]);
    let mut server = TestServer::start(&cell(broker.port, "", "", TANK));
    assert_eq!(listening.message(), "cell3/@online true");
    let mut lines = [listening.message(), listening.message()];
    lines.sort();
    assert!(lines[0].starts_with("cell3/Tank/Level {\"value\":21.5,\"status\":\"Good\",\"time\":\""), "{lines:?}");
    assert!(lines[1].starts_with("cell3/Tank/State {\"value\":1,\"status\":\"Good\",\"time\":\""), "{lines:?}");
    assert!(lines[1].ends_with(",\"text\":\"Running\"}"), "{lines:?}");
    for n in 0..50 {
        write(&server, "Tank.Level", Value::Double(n.into()));
        assert_eq!(value_of(&listening.message()), f64::from(n));
    }
    until("all is acknowledged", || (count(&server, "sent"), count(&server, "acknowledged")) == (52, 52));
    assert_eq!(count(&server, "dropped"), 0);
    // They are retained.
    let mut later = broker.listen(&["cell3/Tank/Level", "cell3/@online"]);
    let mut kept = [later.message(), later.message()];
    kept.sort();
    assert_eq!((&*kept[0], value_of(&kept[1])), ("cell3/@online true", 49.0.into()));
    // The last value goes out before the farewell.
    write(&server, "Tank.Level", Value::Double(-1.0));
    server.finish();
    assert_eq!(value_of(&listening.message()), -1.0);
    assert_eq!(listening.message(), "cell3/@online false");
    assert_eq!(later.message().split(' ').next(), Some("cell3/Tank/Level"));
    assert_eq!(later.message(), "cell3/@online false");
}

#[test]
fn a_server_that_dies_is_offline_by_its_will() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let relay = testkit::relay::Relay::to(std::net::SocketAddr::from(([127, 0, 0, 1], broker.port)));
    let mut listening = broker.listen(&["cell3/@online"]);
    let server =
        TestServer::start(&cell(relay.address.port(), "", ", qos: 0, version: 5", TANK).replace(", version: 5", ""));
    assert_eq!(listening.message(), "cell3/@online true");
    for _ in 0..3 {
        relay.cut();
        assert_eq!(listening.message(), "cell3/@online false");
        assert_eq!(listening.message(), "cell3/@online true");
    }
    drop(server);
}

#[test]
fn changes_are_gathered_and_unchanged_values_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let mut listening = broker.listen(&["cell3/Tank/Level"]);
    let text = cell(broker.port, "", ", max_interval: 1s, nodes: [Tank.Level]", TANK);
    let server = TestServer::start(&text.replace("min_interval: 0ms", "min_interval: 300ms"));
    assert_eq!(value_of(&listening.message()), 21.5);
    for n in 0..1_000 {
        write(&server, "Tank.Level", Value::Double(n.into()));
    }
    while value_of(&listening.message()) != 999.0 {}
    let sent = count(&server, "sent");
    assert!(sent < 20, "{sent} messages for 1,000 changes");
    let began = std::time::Instant::now();
    assert_eq!(value_of(&listening.message()), 999.0);
    let waited = began.elapsed();
    assert!(waited.as_millis() < 1_500, "{waited:?}");
}

#[test]
fn every_sample_of_a_tag_goes_out_where_its_history_has_them_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let mut listening = broker.listen(&["cell3/All"]);
    let nodes = "nodes:\n  All: { type: Int32, value: 0, write: true, history: fast }\n";
    let text = cell(broker.port, "", "", nodes).replace("min_interval: 0ms", "min_interval: 1s");
    let server = TestServer::start(&text);
    assert_eq!(value_of(&listening.message()), 0);
    for n in 1..=2_000 {
        write(&server, "All", Value::Int32(n));
    }
    for n in 1..=2_000 {
        assert_eq!(value_of(&listening.message()), n);
    }
}

/// Types, the keys of their tags, and values; `B` is read back from the topic of `A`.
fn pairs() -> Vec<(&'static str, Vec<Value>)> {
    let time = |ticks| Value::DateTime(UaTime(ticks));
    let list = |elements| Value::array(elements);
    vec![
        ("Boolean", vec![Value::Boolean(false), Value::Boolean(true)]),
        ("SByte", vec![Value::SByte(-128)]),
        ("Byte", vec![Value::Byte(255)]),
        ("Int16", vec![Value::Int16(-32_768)]),
        ("UInt16", vec![Value::UInt16(65_535)]),
        ("Int32", vec![Value::Int32(i32::MIN)]),
        ("UInt32", vec![Value::UInt32(u32::MAX)]),
        ("Int64", vec![Value::Int64(i64::MIN), Value::Int64(9_007_199_254_740_993)]),
        ("UInt64", vec![Value::UInt64(u64::MAX)]),
        ("Float", [0.1f32, -0.0, f32::MIN_POSITIVE, f32::MAX, 16_777_217.0, 1e-45].map(Value::Float).into()),
        ("Double", [0.1, -0.0, 5e-324, f64::MAX, 1e22, 1.0 / 3.0].map(Value::Double).into()),
        ("String", ["", "a", "\"\\\n\u{1}ä€😀", "{\"value\":1}", "null"].map(Value::text).into()),
        ("DateTime", vec![time(134_116_992_000_000_001), time(1), time(200_000_000_000_000_000)]),
        ("ByteString", vec![Value::ByteString(vec![0, 255, 10].into()), Value::ByteString(vec![].into())]),
        ("Float, array: 3", vec![list(Elements::Float(vec![0.1, -0.0, 3e38]))]),
        ("String, array: 2", vec![list(Elements::String(vec!["a,]".into(), "".into()]))]),
        ("Boolean, array: 2", vec![list(Elements::Boolean(vec![true, false]))]),
        ("DateTime, array: 2", vec![list(Elements::DateTime(vec![UaTime(5), UaTime(134_116_992_000_000_001)]))]),
        ("ByteString, array: 2", vec![list(Elements::ByteString(vec![vec![1].into(), vec![].into()]))]),
        ("Mode", vec![Value::Int32(1), Value::Int32(0)]),
    ]
}

#[test]
fn a_message_that_driver_mqtt_reads_gives_the_same_value_status_and_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let mut nodes =
        String::from("types: { enums: { Mode: { 0: Stopped, 1: Running } } }\ndefaults: { connection: mq }\nnodes:\n");
    let mut names = String::new();
    for (at, (keys, values)) in pairs().iter().enumerate() {
        let start = match &values[0] {
            Value::Array(array) => match &array.elements {
                Elements::String(_) => "[a, b]",
                Elements::Boolean(_) => "[true, true]",
                Elements::Float(_) => "[1, 2, 3]",
                Elements::DateTime(_) => "[\"2026-01-01T00:00:00Z\", \"2026-01-01T00:00:00Z\"]",
                _ => "[\"00\", \"01\"]",
            },
            Value::Boolean(_) => "true",
            Value::String(_) => "start",
            Value::DateTime(_) => "\"2026-01-01T00:00:00Z\"",
            Value::ByteString(_) => "\"00\"",
            _ if *keys == "Mode" => "Stopped",
            _ => "7",
        };
        nodes.push_str(&format!("  A{at}: {{ type: {keys}, value: {start}, write: true }}\n"));
        nodes.push_str(&format!(
            "  B{at}: {{ type: {keys}, source: {{ address: cell3/A{at}, json: /value, quality: /status, time: /time }} }}\n"
        ));
        names.push_str(&format!("A{at}, "));
    }
    let keys = format!(", nodes: [{}]", names.trim_end_matches(", "));
    let server = TestServer::start(&cell(broker.port, "", &keys, &nodes));
    let same = |a: &str, b: &str| {
        until(a, || {
            let (a, b) = (sample(&server, a), sample(&server, b));
            let is_same = b.value == a.value && b.status == a.status && b.source_time == a.source_time;
            if is_same { Ok(()) } else { Err(format!("{a:?} is read back as {b:?}")) }
        });
    };
    for (at, (_, values)) in pairs().into_iter().enumerate() {
        let (a, b) = (format!("A{at}"), format!("B{at}"));
        same(&a, &b);
        for value in values {
            write(&server, &a, value);
            same(&a, &b);
        }
    }
    // What JSON has no number for comes back as no value.
    let place = pairs().iter().position(|(keys, _)| *keys == "Double").expect("a Double");
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        write(&server, &format!("A{place}"), Value::Double(number));
        until("no value", || sample(&server, &format!("B{place}")).status == StatusCode::BadDataEncodingInvalid);
        write(&server, &format!("A{place}"), Value::Double(1.0));
        until("a value", || sample(&server, &format!("B{place}")).status.is_good());
    }
}

#[test]
fn several_dimensions_are_lists_in_lists() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let nodes = "defaults: { connection: mq }\nnodes:\n  A: { type: Int16, array: [2, 3], value: [[1, 2, 3], [4, 5, 6]], write: true }\n  \
        B: { type: Int16, array: [2, 3], source: { address: cell3/A, json: /value } }\n";
    let mut listening = broker.listen(&["cell3/A"]);
    let server = TestServer::start(&cell(broker.port, "", ", nodes: [A]", nodes));
    assert_eq!(value_of(&listening.message()), serde_json::json!([[1, 2, 3], [4, 5, 6]]));
    let grid = Array { elements: Elements::Int16(vec![6, 5, 4, 3, 2, 1]), dimensions: vec![2, 3] };
    write(&server, "A", Value::Array(std::sync::Arc::new(grid)));
    until("read back", || sample(&server, "B").value == sample(&server, "A").value);
}

#[test]
fn a_broker_that_refuses_the_credentials_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("passwords").display().to_string();
    let made = std::process::Command::new("mosquitto_passwd").args(["-b", "-c", &file, "opcell", "right"]).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let lines = "allow_anonymous false\npassword_file {folder}/passwords\n";
    let Some(broker) = Broker::with(folder.path(), lines) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("secret"), "wrong").expect("written");
    let keys = ", user: opcell, password: \"${file:secret}\"";
    std::fs::write(dir.path().join("cell.yaml"), cell(broker.port, keys, "", TANK)).expect("written");
    let server = TestServer::start_with(dir);
    until_state(&server, "Waiting");
    assert_eq!(status(&server)["last_error"], "the broker refuses user \"opcell\" (not authorized)");
    std::fs::write(server.dir().join("secret"), "right").expect("written");
    server.reload_files();
    until_state(&server, "Connected");
}
