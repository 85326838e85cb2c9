//! Commands: messages that write tags.

use opcell::value::Value;
use testkit::broker::Broker;
use testkit::server::TestServer;
use testkit::until;

use super::bench::{cell, count, sample, until_state, write};

const NODES: &str = "nodes:\n  Level: { type: Double, range: [0, 100], value: 1, write: true }\n  Fixed: { type: Double, value: 2 }\n  \
    Ready: { type: Int32, value: 0, write: true }\n";

/// Waits until commands are obeyed: the subscription has no other sign.
fn listening(broker: &Broker, server: &TestServer) {
    until_state(server, "Connected");
    until("commands are heard", || {
        broker.publish("cell3/Ready/set", "1", &[]);
        sample(server, "Ready").value == Value::Int32(1)
    });
}

#[test]
fn a_command_writes_a_tag_and_is_audited() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let server = TestServer::start(&cell(broker.port, "", ", allow_write: true", NODES));
    listening(&broker, &server);
    let level = |value: f64| until("written", || sample(&server, "Level").value == Value::Double(value));
    broker.publish("cell3/Level/set", "21.5", &[]);
    level(21.5);
    broker.publish("cell3/Level/set", "{\"value\": 22}", &[]);
    level(22.0);
    // None of these changes anything.
    let refused = count(&server, "not_written");
    for message in ["101", "warm", "null", "[1]", "{\"v\":5}", ""] {
        broker.publish("cell3/Level/set", message, &[]);
    }
    until("all were refused", || count(&server, "not_written") == refused + 6);
    assert_eq!(sample(&server, "Level").value, Value::Double(22.0));
    broker.publish("cell3/Fixed/set", "5", &[]);
    broker.publish("cell3/Level/set", "23", &[]);
    level(23.0);
    assert_eq!(sample(&server, "Fixed").value, Value::Double(2.0));
    let audit = server.dir().join("state/audit");
    until("it is audited", || {
        let files = std::fs::read_dir(&audit).into_iter().flatten().flatten();
        let text: String = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
        let is_there = text.contains("@publish.up") && text.contains("Level") && text.contains("21.5");
        if is_there { Ok(()) } else { Err(text) }
    });
}

#[test]
fn a_retained_command_is_stale_and_not_obeyed() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    broker.retain("cell3/Level/set", "77");
    let server = TestServer::start(&cell(broker.port, "", ", allow_write: true", NODES));
    listening(&broker, &server);
    until("it was seen", || count(&server, "not_written") >= 1);
    assert_eq!(sample(&server, "Level").value, Value::Double(1.0));
    // One that comes live is obeyed, although the broker keeps it.
    broker.retain("cell3/Level/set", "78");
    until("written", || sample(&server, "Level").value == Value::Double(78.0));
}

#[test]
fn without_allow_write_no_command_is_obeyed() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let mut listening = broker.listen(&["cell3/Ready"]);
    let server = TestServer::start(&cell(broker.port, "", "", NODES));
    listening.message();
    broker.publish("cell3/Level/set", "5", &[]);
    write(&server, "Ready", Value::Int32(9));
    listening.message();
    assert_eq!(sample(&server, "Level").value, Value::Double(1.0));
    assert_eq!((count(&server, "written"), count(&server, "not_written")), (0, 0));
}
