//! Births, deaths, gaps and commands.

use std::time::Duration;

use opcell::value::{UaTime, Value};
use opcua::StatusCode;
use testkit::history::raw;
use testkit::request::text_id;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;
use testkit::until::until_async;

use super::edge::{Edge, Is, M, TIME, m, payload, write_cell};
use crate::mqtt::bench::{bad, good};

const NODES: &str = r#"
nodes:
  Temp:   { type: Double, source: "Plant1/Line3:Temp" }
  Count:  { type: Int32, source: "Plant1/Line3:Count" }
  On:     { type: Boolean, source: "Plant1/Line3:@online" }
  Born:   { type: DateTime, source: "Plant1/Line3:@birth" }
  Weight: { type: Double, source: { address: "Plant1/Line3/Filler:Heads/3/Weight", write: true } }
  There:  { type: Boolean, source: "Plant1/Line3/Filler:@online" }
  Nix:    { type: Double, source: "Plant1/Line3:Nix" }
  Reborn: { type: Boolean, source: { address: "Plant1/Line3:Node Control/Rebirth", read: false, write: true } }
"#;

fn node_metrics() -> [M<'static>; 2] {
    [m("Temp", 1, 10, Is::Double(21.5)), m("Count", 2, 1, Is::Int(0xfe))]
}

fn device_birth(seq: u64) -> Vec<u8> {
    payload(Some(seq), &[m("Heads/3/Weight", 3, 10, Is::Double(5.0))])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_birth_defines_metrics_and_data_changes_them() {
    let edge = Edge::start();
    let folder = tempfile::tempdir().expect("a folder");
    let bench = edge.cell(folder.path(), "", NODES).await;
    let why = bad(&bench, 0, StatusCode::BadNotConnected).await;
    assert_eq!(why, "edge node Line3 has not been born");
    // A metric that no tag has does no harm.
    edge.birth(7, 0, &[&node_metrics()[..], &[m("Flag", 6, 11, Is::Boolean(true))]].concat());
    good(&bench, 0, Value::Double(21.5)).await;
    assert_eq!(bench.sample(0).source_time, UaTime::from_unix(Duration::from_millis(TIME)));
    good(&bench, 1, Value::Int32(-2)).await;
    good(&bench, 2, Value::Boolean(true)).await;
    good(&bench, 3, Value::DateTime(UaTime::from_unix(Duration::from_millis(TIME)))).await;
    let why = bad(&bench, 6, StatusCode::BadConfigurationError).await;
    assert_eq!(why, "the birth of Plant1/Line3 has no metric Nix");
    edge.send("DBIRTH", "Line3/Filler", &device_birth(1));
    good(&bench, 4, Value::Double(5.0)).await;
    good(&bench, 5, Value::Boolean(true)).await;
    edge.send("NDATA", "Line3", &payload(Some(2), &[m("", 1, 0, Is::Double(22.0))]));
    good(&bench, 0, Value::Double(22.0)).await;
    edge.send("DDATA", "Line3/Filler", &payload(Some(3), &[m("Heads/3/Weight", 0, 0, Is::Double(6.0))]));
    good(&bench, 4, Value::Double(6.0)).await;
    for (seq, is, quality, status) in [
        (4, Is::Null, None, StatusCode::BadSensorFailure),
        (5, Is::Double(1.0), Some(500), StatusCode::UncertainLastUsableValue),
        (6, Is::Double(1.0), Some(0), StatusCode::BadSensorFailure),
        (7, Is::Double(1.0), Some(0x8000_0200), StatusCode::BadSensorFailure),
        (8, Is::Double(1.0), Some(64), StatusCode::Uncertain),
        (9, Is::Double(f64::NAN), None, StatusCode::BadSensorFailure),
        (10, Is::Text("x"), None, StatusCode::BadDataEncodingInvalid),
        (11, Is::Double(1.5), Some(192), StatusCode::Good),
    ] {
        edge.send("NDATA", "Line3", &payload(Some(seq), &[M { quality, ..m("", 1, 0, is) }]));
        bench.until_status(0, status).await;
    }
    // Values of the past are no live values.
    let old = M { past: Some(60), ..m("", 1, 0, Is::Double(99.0)) };
    edge.send("NDATA", "Line3", &payload(Some(12), &[old]));
    edge.send("NDATA", "Line3", &payload(Some(13), &[m("", 2, 0, Is::Int(3))]));
    good(&bench, 1, Value::Int32(3)).await;
    assert_eq!(bench.sample(0).value, Value::Double(1.5));
    assert_eq!(edge.rebirths(), 0);
    bench.stop().await;
}

#[test]
fn values_of_the_past_go_into_the_history_alone() {
    let edge = Edge::start();
    let folder = tempfile::tempdir().expect("a folder");
    let nodes = "history:\n  long: { keep: 10y }\nnodes:\n  Temp: { type: Double, history: long, source: \"Plant1/Line3:Temp\" }\n";
    write_cell(folder.path(), edge.fake.port, "", nodes);
    let server = TestServer::start_with(folder);
    let mut client = Session::open(server.address);
    let mut live = |value: f64| {
        until(&format!("{value}"), || client.read_value(text_id("Temp")).value == Some(Value::Double(value)));
    };
    until("a subscription comes", || edge.fake.subscriptions() > 0);
    edge.birth(7, 0, &node_metrics());
    live(21.5);
    let past = |seconds, value| M { past: Some(seconds), ..m("", 1, 0, Is::Double(value)) };
    // The oldest comes last; one has no value.
    let gone = M { past: Some(90), ..m("", 1, 0, Is::Null) };
    edge.send("NDATA", "Line3", &payload(Some(1), &[past(120, 1.0), past(60, 3.0), gone]));
    edge.send("NDATA", "Line3", &payload(Some(2), &[past(180, 0.5), m("", 1, 0, Is::Double(22.0))]));
    live(22.0);
    let at = |seconds: u64| UaTime::from_unix(Duration::from_millis(TIME - seconds * 1_000));
    let span = raw(at(200).0, at(1).0, 0, false);
    let mut read = Vec::new();
    until("all are on disk", || {
        read = client.history("Temp", &span).values;
        read.len() >= 4
    });
    let rows: Vec<_> = read
        .into_iter()
        .map(|row| (row.source_time.expect("a time"), row.value, row.status.unwrap_or(StatusCode::Good)))
        .collect();
    let good = |seconds, value| (at(seconds), Some(Value::Double(value)), StatusCode::Good);
    let lost = (at(90), None, StatusCode::BadSensorFailure);
    assert_eq!(rows, [good(180, 0.5), good(120, 1.0), lost, good(60, 3.0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_counts_for_its_own_session_alone() {
    let edge = Edge::start();
    let folder = tempfile::tempdir().expect("a folder");
    let bench = edge.cell(folder.path(), "", NODES).await;
    edge.birth(7, 0, &node_metrics());
    edge.send("DBIRTH", "Line3/Filler", &device_birth(1));
    good(&bench, 4, Value::Double(5.0)).await;
    edge.send("DDEATH", "Line3/Filler", &payload(Some(2), &[]));
    let why = bad(&bench, 4, StatusCode::BadNoCommunication).await;
    assert_eq!(why, "device Plant1/Line3/Filler died at 2026-01-02T03:04:05Z");
    good(&bench, 5, Value::Boolean(false)).await;
    good(&bench, 0, Value::Double(21.5)).await;
    // The will of the session before.
    edge.death(6);
    edge.send("NDATA", "Line3", &payload(Some(3), &[m("", 1, 0, Is::Double(22.0))]));
    good(&bench, 0, Value::Double(22.0)).await;
    edge.death(7);
    let why = bad(&bench, 0, StatusCode::BadNoCommunication).await;
    assert_eq!(why, "edge node Line3 died at 2026-01-02T03:04:05Z");
    good(&bench, 2, Value::Boolean(false)).await;
    // Data after a death belongs to no session.
    edge.send("NDATA", "Line3", &payload(Some(4), &[m("", 1, 0, Is::Double(23.0))]));
    edge.until_rebirths(1).await;
    assert_eq!(bench.sample(0).status, StatusCode::BadNoCommunication);
    edge.birth(8, 0, &node_metrics());
    good(&bench, 0, Value::Double(21.5)).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_out_of_order_wait_and_a_gap_asks_for_a_rebirth() {
    let edge = Edge::start();
    let folder = tempfile::tempdir().expect("a folder");
    let bench = edge.cell(folder.path(), ", reorder: 300ms", NODES).await;
    edge.birth(7, 254, &node_metrics());
    good(&bench, 0, Value::Double(21.5)).await;
    let data = |seq, value| payload(Some(seq), &[m("", 1, 0, Is::Double(value))]);
    edge.send("NDATA", "Line3", &data(0, 2.0));
    edge.send("NDATA", "Line3", &data(1, 3.0));
    edge.send("NDATA", "Line3", &data(255, 1.0));
    good(&bench, 0, Value::Double(3.0)).await;
    assert_eq!(edge.rebirths(), 0);
    // The last one twice, as at QoS 1.
    edge.send("NDATA", "Line3", &data(1, 3.0));
    edge.send("NDATA", "Line3", &data(2, 4.0));
    good(&bench, 0, Value::Double(4.0)).await;
    assert_eq!(edge.rebirths(), 0);
    edge.send("NDATA", "Line3", &data(4, 99.0));
    edge.until_rebirths(1).await;
    assert_eq!(bench.sample(0).value, Value::Double(4.0), "what follows a gap is not used");
    edge.birth(7, 0, &node_metrics());
    good(&bench, 0, Value::Double(21.5)).await;
    edge.send("NDATA", "Line3", &data(1, 5.0));
    good(&bench, 0, Value::Double(5.0)).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_birth_defined_is_not_believed() {
    let unknown_alias = payload(Some(1), &[m("", 9, 0, Is::Double(99.0))]);
    let unknown_name = payload(Some(1), &[m("Other", 0, 10, Is::Double(99.0))]);
    let nameless = payload(Some(1), &[m("", 0, 10, Is::Double(99.0))]);
    let broken = vec![0x12, 0xff];
    let of_device = payload(Some(1), &[m("", 1, 0, Is::Double(99.0))]);
    for (kind, of, bytes) in [
        ("NDATA", "Line3", unknown_alias),
        ("NDATA", "Line3", unknown_name),
        ("NDATA", "Line3", nameless),
        ("NDATA", "Line3", broken),
        ("DDATA", "Line3/Filler", of_device),
    ] {
        let edge = Edge::start();
        let folder = tempfile::tempdir().expect("a folder");
        let bench = edge.cell(folder.path(), "", NODES).await;
        edge.birth(7, 0, &node_metrics());
        good(&bench, 0, Value::Double(21.5)).await;
        edge.send(kind, of, &bytes);
        edge.until_rebirths(1).await;
        assert_eq!(bench.sample(0).value, Value::Double(21.5));
        // Until the birth nothing is believed.
        edge.send("NDATA", "Line3", &payload(Some(1), &[m("", 1, 0, Is::Double(99.0))]));
        edge.birth(7, 0, &[m("Temp", 4, 10, Is::Double(1.0))]);
        good(&bench, 0, Value::Double(1.0)).await;
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_two_metrics_have_means_neither() {
    let edge = Edge::start();
    let folder = tempfile::tempdir().expect("a folder");
    let bench = edge.cell(folder.path(), "", NODES).await;
    edge.birth(7, 0, &[m("Temp", 1, 10, Is::Double(21.5)), m("Other", 1, 10, Is::Double(0.0))]);
    good(&bench, 0, Value::Double(21.5)).await;
    edge.send("NDATA", "Line3", &payload(Some(1), &[m("", 1, 0, Is::Double(99.0))]));
    edge.until_rebirths(1).await;
    assert_eq!(bench.sample(0).value, Value::Double(21.5));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_born_in_time_is_asked_and_one_that_never_is_is_offline() {
    let edge = Edge::start();
    let folder = tempfile::tempdir().expect("a folder");
    let bench = edge.cell(folder.path(), "", NODES).await;
    edge.until_rebirths(1).await;
    good(&bench, 2, Value::Boolean(false)).await;
    assert_eq!(bench.sample(0).status, StatusCode::BadNotConnected);
    edge.birth(7, 0, &node_metrics());
    good(&bench, 2, Value::Boolean(true)).await;
    // The device does not come.
    bad(&bench, 4, StatusCode::BadNoCommunication).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_commands_by_the_type_of_the_birth() {
    let edge = Edge::start();
    let folder = tempfile::tempdir().expect("a folder");
    let bench = edge.cell(folder.path(), "", NODES).await;
    assert_eq!(bench.write(4, &Value::Double(1.0)).await, StatusCode::BadNotConnected);
    assert_eq!(bench.write(7, &Value::Boolean(true)).await, StatusCode::GoodCompletesAsynchronously);
    edge.until_rebirths(1).await;
    edge.birth(7, 0, &node_metrics());
    edge.send("DBIRTH", "Line3/Filler", &device_birth(1));
    good(&bench, 4, Value::Double(5.0)).await;
    assert_eq!(bench.write(4, &Value::Double(7.5)).await, StatusCode::GoodCompletesAsynchronously);
    let topic = "spBv1.0/Plant1/DCMD/Line3/Filler";
    until_async("a command", || (!edge.said(topic).is_empty()).then_some(())).await;
    let command = edge.said(topic).remove(0);
    // Alias 3 and not its name, type Double, 7.5.
    assert!(command.windows(2).any(|part| part == [0x10, 3]), "{command:02x?}");
    assert!(command.windows(9).any(|part| part == [&[0x69][..], &7.5f64.to_le_bytes()].concat()));
    assert!(!command.windows(5).any(|part| part == b"Heads"));
    good(&bench, 4, Value::Double(5.0)).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_says_whether_the_host_is_there() {
    let edge = Edge::start();
    let folder = tempfile::tempdir().expect("a folder");
    let bench = edge.cell(folder.path(), ", host_id: scada", NODES).await;
    let topic = "spBv1.0/STATE/scada";
    let said = || edge.said(topic).iter().map(|state| String::from_utf8_lossy(state).into_owned()).collect::<Vec<_>>();
    until_async("a STATE", || (said().len() == 1).then_some(())).await;
    assert!(said()[0].starts_with("{\"online\":true,\"timestamp\":"), "{:?}", said());
    edge.fake.send(&crate::mqtt::fake::message(topic, said()[0].replace("true", "false").as_bytes()));
    until_async("a second STATE", || (said().len() == 2).then_some(())).await;
    assert_eq!(said()[0], said()[1]);
    bench.stop().await;
    until_async("a last STATE", || (said().len() == 3).then_some(())).await;
    assert!(said()[2].starts_with("{\"online\":false,"), "{:?}", said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_tag_asks_for_a_birth_and_the_connection_stays() {
    let edge = Edge::start();
    let folder = tempfile::tempdir().expect("a folder");
    let mut bench = edge.cell(folder.path(), "", NODES).await;
    edge.birth(7, 0, &[m("Temp", 1, 10, Is::Double(21.5)), m("New", 5, 10, Is::Double(8.0))]);
    good(&bench, 0, Value::Double(21.5)).await;
    let file = write_cell(folder.path(), edge.fake.port, "", &NODES.replace("Line3:Nix", "Line3:New"));
    bench.change_file(&file, 1);
    edge.until_rebirths(1).await;
    // The session is the same meanwhile.
    edge.send("NDATA", "Line3", &payload(Some(1), &[m("", 1, 0, Is::Double(22.0))]));
    good(&bench, 0, Value::Double(22.0)).await;
    edge.birth(7, 0, &[m("Temp", 1, 10, Is::Double(23.0)), m("New", 5, 10, Is::Double(8.0))]);
    good(&bench, 6, Value::Double(8.0)).await;
    assert_eq!(bench.links[0].snapshot().reconnects, 0);
    bench.stop().await;
}
