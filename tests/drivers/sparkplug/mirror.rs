//! Edge nodes that are listed and mirrored: by a broker that is one, and by another people's edge node over mosquitto.

use std::process::Stdio;

use opcell::value::Value;
use opcua::StatusCode;
use testkit::broker::{Broker, Lines};
use testkit::peers::{self, Peer};
use testkit::program::{folder, opcell};
use testkit::request::text_id;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

use super::edge::{Edge, Is, M, m, payload};

fn text(port: u16, nodes: &str) -> String {
    format!(
        "schema: 1\ncell: press\nconnections:\n  spb: {{ driver: sparkplug, url: \"mqtt://127.0.0.1:{port}\", allow_write: true, \
         reconnect_max: 200ms }}\ndefaults: {{ connection: spb }}\nnodes:\n{nodes}"
    )
}

fn status(session: &mut Session, name: &str) -> StatusCode {
    session.read_value(text_id(name)).status.unwrap_or(StatusCode::Good)
}

fn until_status(session: &mut Session, name: &str, wanted: StatusCode) {
    until(&format!("{name} is {wanted}"), || {
        let status = status(session, name);
        if status == wanted { Ok(()) } else { Err(status.to_string()) }
    });
}

const DOUBLE: u64 = 10;

fn double(name: &str, alias: u64, value: f64) -> M<'_> {
    m(name, alias, DOUBLE, Is::Double(value))
}

#[test]
fn a_birth_is_mirrored_and_a_metric_that_a_later_birth_lacks_has_gone() {
    let edge = Edge::start();
    let nodes = "  Line:\n    browse: { address: Plant1/Line3, write: true }\n    children:\n      Own: { type: Float, value: 1 }\n";
    let server = TestServer::start(&text(edge.fake.port, nodes));
    let mut session = Session::open(server.address);
    until("a rebirth is asked for", || edge.rebirths() > 0);
    edge.birth(
        1,
        0,
        &[
            double("Temp", 1, 21.5),
            double("Own", 2, 9.0),
            m("Node Control/Rebirth", 3, 11, Is::Boolean(false)),
            m("Table", 4, 16, Is::Null),
        ],
    );
    edge.send(
        "DBIRTH",
        "Line3/Filler",
        &payload(Some(1), &[double("Heads/3/Weight.kg", 5, 7.0), m("Name", 6, 12, Is::Text("F"))]),
    );
    until("the mirror asks for the values of its nodes", || {
        let world = server.server.world();
        world.plant.tags.len() == 4
    });
    let births = |seq: u64, temp: f64| {
        edge.birth(1, seq, &[double("Temp", 1, temp), double("Own", 2, 9.0)]);
        edge.send(
            "DBIRTH",
            "Line3/Filler",
            &payload(Some(seq + 1), &[double("Heads/3/Weight.kg", 5, 7.0), m("Name", 6, 12, Is::Text("F"))]),
        );
    };
    births(0, 22.5);
    session.until_is("Line.Temp", &Value::Double(22.5));
    session.until_is("Line.Filler.Heads.3.Weight.kg", &Value::Double(7.0));
    session.until_is("Line.Filler.Name", &Value::text("F"));
    session.until_is("Line.Own", &Value::Float(1.0));
    let before = server.server.world().revision();
    births(0, 23.5);
    session.until_is("Line.Temp", &Value::Double(23.5));
    // Values come with data, and a command goes out.
    edge.send("DDATA", "Line3/Filler", &payload(Some(2), &[m("", 5, 0, Is::Double(8.0))]));
    session.until_is("Line.Filler.Heads.3.Weight.kg", &Value::Double(8.0));
    assert_eq!(session.write(text_id("Line.Temp"), &Value::Double(1.0)), StatusCode::GoodCompletesAsynchronously);
    assert_eq!(server.server.world().revision(), before, "the same birth changes nothing");
    // Another birth of the node: its device is as it was.
    edge.birth(1, 0, &[double("New", 7, 3.0)]);
    until_status(&mut session, "Line.Temp", StatusCode::BadNodeIdUnknown);
    assert_ne!(status(&mut session, "Line.Filler.Name"), StatusCode::BadNodeIdUnknown);
    edge.birth(1, 0, &[double("New", 7, 3.0)]);
    session.until_is("Line.New", &Value::Double(3.0));
    // After a restart without any birth the nodes are there, and Bad.
    drop(session);
    let server = server.restart();
    let mut session = Session::open(server.address);
    for name in ["Line.New", "Line.Filler.Name"] {
        until_status(&mut session, name, StatusCode::BadNotConnected);
    }
    assert_eq!(status(&mut session, "Line.Temp"), StatusCode::BadNodeIdUnknown);
}

#[test]
fn edge_nodes_of_another_stack_are_listed_and_mirrored_by_their_group() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(dir.path()) else { return };
    let Some(mut command) = peers::python("mqtt_spb_wrapper", "sparkplug_edge.py") else { return };
    command.args([&broker.port.to_string(), "Plant1", "Line3", "Filler"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
    let mut lines = Lines::of(&mut child);
    let _orders = child.stdin.take();
    let _peer = Peer(child);
    while lines.line() != "ready" {}
    let one = folder(&[("cell.yaml", &text(broker.port, "  A: { type: Float, value: 0 }\n"))]);
    let said = opcell(one.path(), &["browse", "spb", "cell.yaml", "--from", "Plant1/Line3"], "");
    for line in [
        "Temp: { type: Double, source: \"Plant1/Line3:DATA/Temp\" }",
        "Name: { type: String, source: \"Plant1/Line3:DATA/Name\" }",
        "Open: { type: Boolean, source: \"Plant1/Line3:DATA/Open\" }",
        "Weight: { type: Double, source: \"Plant1/Line3/Filler:DATA/Weight\" }",
    ] {
        assert!(said.out.contains(line), "{line} in\n{}{}", said.out, said.err);
    }
    let pasted = text(broker.port, "").replace("defaults: { connection: spb }\nnodes:\n", &said.out);
    std::fs::write(one.path().join("pasted.yaml"), pasted).expect("written");
    let checked = opcell(one.path(), &["check", "pasted.yaml"], "");
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    let said = opcell(one.path(), &["browse", "spb", "cell.yaml", "--from", "Nowhere/Line9"], "");
    assert!(said.err.contains("no edge node was born"), "{}", said.err);
    // A group: the node is heard of by its data, or by its answer to a rebirth of another host.
    let server = TestServer::start(&text(broker.port, "  P: { browse: Plant1 }\n"));
    let mut session = Session::open(server.address);
    until("a birth is heard", || {
        opcell(one.path(), &["browse", "spb", "cell.yaml", "--from", "Plant1/Line3"], "");
        status(&mut session, "P.Line3.DATA.Temp") != StatusCode::BadNodeIdUnknown
    });
    session.until_is("P.Line3.DATA.Temp", &Value::Double(21.5));
    session.until_is("P.Line3.Filler.DATA.Weight", &Value::Double(5.0));
}
