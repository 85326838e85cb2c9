//! The driver against another people's edge node (mqtt-spb-wrapper), over mosquitto.

use std::io::Write;
use std::process::Stdio;

use opcell::value::Value;
use opcua::StatusCode;
use testkit::broker::{Broker, Lines};
use testkit::peers::{self, Peer};

use super::edge::cell;
use crate::mqtt::bench::{bad, good};

const NODES: &str = r#"
nodes:
  Temp:   { type: Double, source: "Plant1/Line3:DATA/Temp" }
  Name:   { type: String, source: "Plant1/Line3:DATA/Name" }
  Open:   { type: Boolean, source: "Plant1/Line3:DATA/Open" }
  On:     { type: Boolean, source: "Plant1/Line3:@online" }
  Weight: { type: Double, source: "Plant1/Line3/Filler:DATA/Weight" }
  There:  { type: Boolean, source: "Plant1/Line3/Filler:@online" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn births_data_and_deaths_of_another_stack() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let Some(mut command) = peers::python("mqtt_spb_wrapper", "sparkplug_edge.py") else { return };
    command.args([&broker.port.to_string(), "Plant1", "Line3", "Filler"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
    let mut orders = child.stdin.take().expect("piped");
    let mut lines = Lines::of(&mut child);
    let peer = Peer(child);
    while lines.line() != "ready" {}
    // The host comes after the births, and asks for them.
    let bench = cell(folder.path(), broker.port, "", NODES);
    good(&bench, 0, Value::Double(21.5)).await;
    good(&bench, 1, Value::text("Line3")).await;
    good(&bench, 2, Value::Boolean(true)).await;
    good(&bench, 4, Value::Double(5.0)).await;
    good(&bench, 3, Value::Boolean(true)).await;
    for value in [6.0, 7.5, -1.0] {
        writeln!(orders, "set Weight {value}").expect("it reads");
        good(&bench, 4, Value::Double(value)).await;
    }
    // Its will has another number than its birth, so the node is asked first whether it is there.
    drop(peer);
    bad(&bench, 0, StatusCode::BadNoCommunication).await;
    bad(&bench, 4, StatusCode::BadNoCommunication).await;
    good(&bench, 3, Value::Boolean(false)).await;
    bench.stop().await;
}
