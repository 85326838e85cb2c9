//! Why tags have no good value, in words, and connections that clients switch off and on for maintenance.

use std::net::TcpListener;

use opcell::testing::control::ReloadResult;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::{program, until};

fn cell(keys: &str) -> String {
    format!(
        "schema: 1\ncell: press\nnamespace: urn:test:press\nconnections:\n  sim: {{ driver: simulator, allow_write: true{keys} }}\n\
         nodes:\n  A: {{ type: Int32, connection: sim, source: {{ address: \"counter(every=1ms)\", poll: 10ms }} }}\n  \
         B: {{ type: Int32, value: 7, write: true }}\n"
    )
}

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

fn status(client: &mut Session, path: &str) -> StatusCode {
    client.read_value(tag(path)).status.unwrap_or(StatusCode::Good)
}

fn text(client: &mut Session, path: &str) -> String {
    match client.read_value(tag(path)).value {
        Some(Value::String(text)) => text.to_string(),
        other => panic!("{path}: {other:?}"),
    }
}

fn is_enabled(client: &mut Session) -> Option<Value> {
    client.read_value(tag("@connections.sim.Enabled")).value
}

fn switch(client: &mut Session, on: bool) {
    assert_eq!(client.write(tag("@connections.sim.Enabled"), &Value::Boolean(on)), StatusCode::Good);
    assert_eq!(is_enabled(client), Some(Value::Boolean(on)));
}

#[test]
fn a_client_switches_a_connection_off_and_on() {
    let server = TestServer::start(&cell(""));
    let mut client = Session::open(server.address);
    until("a value", || status(&mut client, "A").is_good());
    assert_eq!(text(&mut client, "A.StatusReason"), "");
    switch(&mut client, false);
    assert_eq!(status(&mut client, "A"), StatusCode::BadOutOfService);
    assert_eq!(
        text(&mut client, "A.StatusReason"),
        "sim: the connection is switched off, by `enabled: false` or by its node Enabled"
    );
    assert!(status(&mut client, "B").is_good(), "it has no connection");
    switch(&mut client, false);
    switch(&mut client, true);
    until("a value again", || status(&mut client, "A").is_good());
    for wrong in [Value::Int32(1), Value::text("true")] {
        assert_eq!(client.write(tag("@connections.sim.Enabled"), &wrong), StatusCode::BadTypeMismatch);
    }
    assert_eq!(client.write(tag("@connections.sim.State"), &Value::text("x")), StatusCode::BadNotWritable);
    assert_eq!(client.write(tag("A.StatusReason"), &Value::text("x")), StatusCode::BadNotWritable);
    until("the records of the writes", || {
        let said = program::opcell(server.dir(), &["audit", "show", "cell.yaml"], "");
        let count = said.out.lines().filter(|line| line.contains("@connections.sim.Enabled")).count();
        if count >= 3 { Ok(()) } else { Err(format!("{}{}", said.out, said.err)) }
    });
}

#[test]
fn a_switched_connection_remains_so_until_its_key_changes_or_the_server_starts() {
    let server = TestServer::start(&cell(""));
    let mut client = Session::open(server.address);
    switch(&mut client, false);
    let answer = server.reload(&cell(", seed: 5"));
    assert_eq!(answer.report.result, ReloadResult::Applied);
    assert_eq!(is_enabled(&mut client), Some(Value::Boolean(false)), "another key changed");
    assert_eq!(status(&mut client, "A"), StatusCode::BadOutOfService);
    server.reload(&cell(", enabled: false"));
    server.reload(&cell(", enabled: true"));
    assert_eq!(is_enabled(&mut client), Some(Value::Boolean(true)), "the key changed");
    until("a value", || status(&mut client, "A").is_good());
    switch(&mut client, false);
    client.close();
    let server = server.restart();
    let mut client = Session::open(server.address);
    assert_eq!(is_enabled(&mut client), Some(Value::Boolean(true)), "the file says so at a start");
}

#[test]
fn a_tag_says_in_words_why_it_is_bad() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|at| at.local_addr()).expect("a free port").port();
    let server = TestServer::start(&format!(
        "schema: 1\ncell: press\nconnections:\n  plc: {{ driver: modbus-tcp, host: 127.0.0.1, port: {port} }}\n\
         nodes:\n  A: {{ type: UInt16, connection: plc, source: holding/1 }}\n  \
         Off: {{ type: UInt16, enabled: false, connection: plc, source: holding/2 }}\n"
    ));
    let mut client = Session::open(server.address);
    let why = until("a reason", || {
        let why = text(&mut client, "A.StatusReason");
        Some(why).filter(|why| why.contains("next try at"))
    });
    assert!(why.starts_with("plc: ") && why.contains("refused") && why.contains(", since 2"), "{why}");
    assert_eq!(text(&mut client, "Off.StatusReason"), "plc: the tag is switched off by `enabled: false`");
    let said = program::opcell(server.dir(), &["status", "cell.yaml"], "");
    let line = said.out.lines().find(|line| line.contains("press/plc")).expect("the connection");
    assert!(line.contains("refused") && line.contains("since") && line.contains("next try at"), "{line}");
}
