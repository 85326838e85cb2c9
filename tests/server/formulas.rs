//! Formulas of a running server: values, status and reason, reloads, restarts, and what two tags of one Read say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opcell::testing::control::ReloadResult;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::{AttributeId, StatusCode};
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

const HEAD: &str = "schema: 1\ncell: press\nnamespace: urn:test:press\nconnections:\n  sim: { driver: simulator }\n";

fn cell(nodes: &str) -> String {
    format!("{HEAD}nodes:\n{nodes}")
}

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

fn read(client: &mut Session, path: &str) -> (StatusCode, Value) {
    let value = client.read_value(tag(path));
    (value.status.unwrap_or(StatusCode::Good), value.value.unwrap_or_default())
}

fn good(value: i32) -> (StatusCode, Value) {
    (StatusCode::Good, Value::Int32(value))
}

#[test]
fn a_formula_follows_its_tags_and_cannot_be_written() {
    let nodes = "  A: { type: Int32, value: 1, write: true }\n  B: { type: Int32, expr: A * 2 }\n  C: { type: Int32, expr: 100 / (B - 4) + A }\n";
    let server = TestServer::start(&cell(nodes));
    let mut client = Session::open(server.address);
    assert_eq!((read(&mut client, "B"), read(&mut client, "C")), (good(2), good(-49)));
    let subscription = client.subscribe(20.0, 1_000, 2);
    client.monitor(subscription, &[(tag("B"), 1), (tag("C"), 2)], 0.0, 10);
    client.publish(&[]).expect("the first values");
    assert_eq!(client.write(tag("A"), &Value::Int32(3)), StatusCode::Good);
    assert_eq!((read(&mut client, "B"), read(&mut client, "C")), (good(6), good(53)));
    let heard = client.publish(&[]).expect("a message").data;
    let values: Vec<_> = heard.into_iter().map(|(handle, value)| (handle, value.value)).collect();
    assert_eq!(values, [(1, Some(Value::Int32(6))), (2, Some(Value::Int32(53)))]);
    assert_eq!(client.write(tag("B"), &Value::Int32(3)), StatusCode::BadNotWritable);
    assert_eq!(client.write(tag("A"), &Value::Int32(2)), StatusCode::Good);
    assert_eq!(read(&mut client, "C"), (StatusCode::BadOutOfRange, Value::Null));
    let Some(Value::String(why)) = client.read_value(tag("C.StatusReason")).value else { panic!("a text") };
    assert!(why.starts_with("the formula divides by zero, since "), "{why}");
}

#[test]
fn the_reason_of_a_formula_leads_to_the_tag_at_the_end_of_the_chain() {
    let nodes = "  A: { type: Int32, source: \"counter(start=0, step=1, every=1h)\", poll: 100ms }\n  B: { type: Int32, expr: A + 1 }\n  \
                 C: { type: Int32, expr: B + 1 }\n  D: { type: Boolean, expr: bad(A) }\n  Off: { type: Int32, expr: B, enabled: false }\n";
    let server = TestServer::start(&cell(nodes));
    let mut client = Session::open(server.address);
    until("a value", || (read(&mut client, "C").0 == StatusCode::Good).then_some(()));
    assert_eq!(client.read_value(tag("C.StatusReason")).value, Some(Value::text("")));
    assert_eq!(client.write(tag("@connections.sim.Enabled"), &Value::Boolean(false)), StatusCode::Good);
    assert_eq!(read(&mut client, "C"), (StatusCode::BadOutOfService, Value::Null));
    assert_eq!(read(&mut client, "D"), (StatusCode::Good, Value::Boolean(true)));
    let Some(Value::String(why)) = client.read_value(tag("C.StatusReason")).value else { panic!("a text") };
    let end = "; sim: the connection is switched off, by `enabled: false` or by its node Enabled";
    assert!(why.starts_with("its input `B` is BadOutOfService, since ") && why.ends_with(end), "{why}");
    assert_eq!(client.write(tag("@connections.sim.Enabled"), &Value::Boolean(true)), StatusCode::Good);
    until("a value again", || (read(&mut client, "C").0 == StatusCode::Good).then_some(()));
    assert_eq!(read(&mut client, "Off").0, StatusCode::BadOutOfService);
    assert_eq!(
        client.read_value(tag("Off.StatusReason")).value,
        Some(Value::text("the tag is switched off by `enabled: false`"))
    );
}

#[test]
fn a_reload_changes_formulas_and_leaves_others_as_they_are() {
    let text = |a: &str, b: &str| {
        cell(&format!(
            "  A: {a}\n  B: {{ type: Int32, expr: {b} }}\n  N: {{ type: Int32, expr: count_rises(A > 5) }}\n"
        ))
    };
    let memory = "{ type: Int32, value: 1, write: true }";
    let server = TestServer::start(&text(memory, "A + 1"));
    let mut client = Session::open(server.address);
    for value in [9, 1, 9] {
        assert_eq!(client.write(tag("A"), &Value::Int32(value)), StatusCode::Good);
    }
    assert_eq!((read(&mut client, "B"), read(&mut client, "N")), (good(10), good(2)));
    let changed = server.reload(&text(memory, "A + 2")).report;
    assert_eq!(changed.result, ReloadResult::Applied);
    assert_eq!((read(&mut client, "B"), read(&mut client, "N")), (good(11), good(2)));
    // A formula whose tag has another type is compiled again, and counts on.
    server.reload(&text("{ type: Double, value: 1, write: true }", "A + 2"));
    assert_eq!((read(&mut client, "B"), read(&mut client, "N")), (good(3), good(2)));
    // Faults change nothing.
    let wrong = server.reload(&text(memory, "Absent + 2")).report;
    assert_eq!(wrong.result, ReloadResult::Refused);
    assert_eq!(read(&mut client, "B"), good(3));
    server.reload(&text(memory, "A + 2"));
    assert_eq!(client.write(tag("A"), &Value::Int32(1)), StatusCode::Good);
    assert_eq!(client.write(tag("A"), &Value::Int32(8)), StatusCode::Good);
    assert_eq!((read(&mut client, "B"), read(&mut client, "N")), (good(10), good(3)));
    client.close();
    let server = server.restart();
    let mut client = Session::open(server.address);
    assert_eq!((read(&mut client, "B"), read(&mut client, "N")), (good(10), good(3)), "after a restart");
    // A tag that is no formula any more is what the file says.
    server.reload(&cell(&format!("  A: {memory}\n  B: {{ type: Int32, value: 5 }}\n")));
    assert_eq!(read(&mut client, "B"), good(5));
    assert_eq!(client.write(tag("A"), &Value::Int32(70)), StatusCode::Good);
    assert_eq!(read(&mut client, "B"), good(5), "nothing of the old formula is left");
    server.reload(&text(memory, "A + 2"));
    assert_eq!((read(&mut client, "B"), read(&mut client, "N")), (good(72), good(0)), "a removed formula begins again");
}

#[test]
fn a_formula_that_reads_the_clock_runs_without_a_change() {
    let nodes = "  A: { type: Boolean, value: true }\n  T: { type: Double, poll: 100ms, expr: on_time(A) }\n  \
                 D: { type: Boolean, poll: 100ms, expr: \"on_delay(A, 300ms)\" }\n  U: { type: Double, expr: T * 2 }\n";
    let server = TestServer::start(&cell(nodes));
    let mut client = Session::open(server.address);
    until("the delay is over", || (read(&mut client, "D").1 == Value::Boolean(true)).then_some(()));
    until("the time grows", || matches!(read(&mut client, "U").1, Value::Double(twice) if twice > 0.8).then_some(()));
    // The clock may come to a cell later, and go again.
    server.reload(&cell("  A: { type: Boolean, value: true }\n"));
    server.reload(&cell(nodes));
    until("the time grows again", || {
        matches!(read(&mut client, "T").1, Value::Double(time) if time > 0.2).then_some(())
    });
}

/// A tag and its formula are never seen apart, in one Read, while a client writes as fast as it can.
#[test]
fn one_read_sees_a_tag_and_its_formulas_from_one_batch() {
    let nodes = "  A: { type: Int32, value: 0, write: true }\n  B: { type: Int32, expr: A * 2 }\n  C: { type: Int32, expr: B - A }\n";
    let server = TestServer::start(&cell(nodes));
    let (address, is_over) = (server.address, Arc::new(AtomicBool::new(false)));
    let until_over = Arc::clone(&is_over);
    let writer = std::thread::spawn(move || {
        let mut client = Session::open(address);
        let mut value = 0;
        while !until_over.load(Ordering::Relaxed) {
            value = (value + 1) % 1_000_000;
            assert_eq!(client.write(tag("A"), &Value::Int32(value)), StatusCode::Good);
        }
        value
    });
    let mut client = Session::open(server.address);
    let wanted = ["A", "B", "C"].map(|path| (tag(path), AttributeId::Value as u32));
    for _ in 0..2_000 {
        let values = client.read(&wanted).into_iter().map(|value| value.value);
        let numbers: Vec<i32> = values
            .map(|value| match value {
                Some(Value::Int32(number)) => number,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!((numbers[1], numbers[2]), (numbers[0] * 2, numbers[0]));
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(writer.join().expect("the writer ends") > 100);
}
