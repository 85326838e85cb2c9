//! Values over reloads: what was written and retained, what is no longer read, and types whose values changed.

use opcell::testing::control::ReloadResult;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::{AttributeId, StatusCode};
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

const HEAD: &str = "schema: 1\ncell: press\nnamespace: urn:test:press\n";

fn cell(nodes: &str) -> String {
    format!("{HEAD}connections:\n  sim: {{ driver: simulator, allow_write: true }}\nnodes:\n{nodes}")
}

fn with_states(states: &str, nodes: &str) -> String {
    format!("{HEAD}types: {{ enums: {{ Mode: {{ {states} }} }} }}\nnodes:\n{nodes}")
}

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

fn good(value: i32) -> (StatusCode, Value) {
    (StatusCode::Good, Value::Int32(value))
}

fn read(client: &mut Session, path: &str) -> (StatusCode, Value) {
    let value = client.read_value(tag(path));
    (value.status.unwrap_or(StatusCode::Good), value.value.unwrap_or_default())
}

#[test]
fn a_value_that_the_file_gives_wins_over_what_was_written_before() {
    let text = |value: i32| cell(&format!("  T: {{ type: Int32, value: {value}, write: true }}\n"));
    let server = TestServer::start(&text(0));
    let mut client = Session::open(server.address);
    assert_eq!(client.write(tag("T"), &Value::Int32(42)), StatusCode::Good);
    for value in [5, 0] {
        server.reload(&text(value));
        assert_eq!(read(&mut client, "T"), good(value), "also where it is the one of before the write");
    }
}

#[test]
fn a_written_value_belongs_to_the_node_and_not_to_its_path() {
    let server = TestServer::start(&cell("  T: { id: own, type: Int32, value: 0, write: true }\n"));
    let mut client = Session::open(server.address);
    assert_eq!(client.write(tag("own"), &Value::Int32(42)), StatusCode::Good);
    let renamed = "  U: { id: own, type: Int32, value: 0, write: true }\n";
    let other = "  T: { id: another, type: Int32, value: 0, write: true }\n";
    server.reload(&cell(&format!("{renamed}{other}")));
    assert_eq!((read(&mut client, "own"), read(&mut client, "another")), (good(42), good(0)));
    client.close();
    let server = server.restart();
    let mut client = Session::open(server.address);
    assert_eq!((read(&mut client, "own"), read(&mut client, "another")), (good(42), good(0)));
    // A removed tag takes its value along.
    server.reload(&cell(other));
    server.reload(&cell(&format!("{renamed}{other}")));
    assert_eq!(read(&mut client, "own"), good(0));
}

#[test]
fn a_tag_that_is_enabled_again_shows_the_written_value_and_never_the_start_value() {
    let server = TestServer::start(&cell("  T: { type: Int32, value: 0, write: true }\n"));
    let mut client = Session::open(server.address);
    assert_eq!(client.write(tag("T"), &Value::Int32(42)), StatusCode::Good);
    let subscription = client.subscribe(20.0, 1_000, 2);
    client.monitor(subscription, &[(tag("T"), 1)], 0.0, 10);
    server.reload(&cell("  T: { type: Int32, value: 0, write: true, enabled: false }\n"));
    server.reload(&cell("  T: { type: Int32, value: 0, write: true }\n"));
    let mut heard = Vec::new();
    while heard.last() != Some(&Some(Value::Int32(42))) || heard.len() < 3 {
        heard.extend(client.publish(&[]).expect("a message").data.into_iter().map(|(_, value)| value.value));
        assert!(!heard.contains(&Some(Value::Int32(0))), "{heard:?}");
    }
}

#[test]
fn a_tag_that_is_not_read_any_more_shows_no_value_that_was_read() {
    let text = |more: &str| {
        let source = "address: \"sine(mean=1500, amp=500, period=10s)\", poll: 50ms";
        cell(&format!("  T: {{ type: Double, stale_after: 200ms, source: {{ {source}{more} }} }}\n"))
    };
    let server = TestServer::start(&text(""));
    let mut client = Session::open(server.address);
    until("the device answers", || (read(&mut client, "T").0 == StatusCode::Good).then_some(()));
    assert_eq!(server.reload(&text(", write: true, read: false")).report.result, ReloadResult::Applied);
    assert!(read(&mut client, "T").0.is_bad());
}

#[test]
fn an_enumeration_that_loses_a_value_leaves_no_tag_with_it() {
    let node = "  T: { type: Mode, value: A, write: true }\n";
    let server = TestServer::start(&with_states("0: A, 1: B, 2: C", node));
    let mut client = Session::open(server.address);
    assert_eq!(client.write(tag("T"), &Value::Int32(2)), StatusCode::Good);
    server.reload(&with_states("0: A, 1: B", node));
    assert_eq!(read(&mut client, "T"), good(0));
    let reordered = server.reload(&with_states("1: B, 0: A", node)).report;
    assert_eq!(reordered.result, ReloadResult::Unchanged, "the order of the values is no difference");
}

#[test]
fn texts_that_no_node_of_the_cell_shows_are_taken_too() {
    let text = |description: &str, kind: &str| {
        format!(
            "{HEAD}connections:\n  sim: {{ driver: simulator, description: {description} }}\ntypes:\n  objects:\n    Drive:\n      \
             children: {{ Torque: {{ type: {kind}, value: 1 }} }}\nnodes:\n  T: {{ type: Int32, value: 1 }}\n"
        )
    };
    let server = TestServer::start(&text("old", "Int32"));
    let mut client = Session::open(server.address);
    let mut seen = || {
        let wanted = [
            (tag("@connections.sim"), AttributeId::Description as u32),
            (tag("@type.Drive.Torque"), AttributeId::DataType as u32),
        ];
        let values: Vec<Option<Value>> = client.read(&wanted).into_iter().map(|value| value.value).collect();
        values
    };
    let before = seen();
    for (description, kind, differs) in [("new", "Int32", [true, false]), ("new", "Double", [true, true])] {
        assert_eq!(server.reload(&text(description, kind)).report.result, ReloadResult::Applied);
        let now = seen();
        assert_eq!([now[0] != before[0], now[1] != before[1]], differs, "{now:?}");
    }
    assert_eq!(server.reload(&text("new", "Double")).report.result, ReloadResult::Unchanged);
}
