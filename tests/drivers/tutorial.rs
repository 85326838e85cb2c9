//! The cell of docs/tutorial.md, with a broker and a device that come and go.

use std::path::Path;

use opcell::testing::drivers::modbus::Framing;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;
use testkit::broker::Broker;
use testkit::server::TestServer;
use testkit::slave::{Faults, Slave, mark};
use testkit::ua::Session;
use testkit::{peers, until};

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a file of the repository")
}

fn status(client: &mut Session, path: &str) -> StatusCode {
    client.read_value(tag(path)).status.unwrap_or(StatusCode::Good)
}

fn reason(client: &mut Session, path: &str) -> String {
    match client.read_value(tag(&format!("{path}.StatusReason"))).value {
        Some(Value::String(why)) => why.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

#[test]
fn the_page_shows_the_file() {
    let (page, file) = (read("docs/tutorial.md"), read("address-space/tutorial.yaml"));
    let shown = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the cell");
    assert!(file.ends_with(shown), "docs/tutorial.md has another cell than address-space/tutorial.yaml");
}

#[test]
fn four_sources_live_and_fail_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(mut broker) = Broker::open(folder.path()) else { return };
    broker.stop();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let port = peers::free_port();
    let text = read("address-space/tutorial.yaml")
        .replace("drivers/tank.csv", "tank.csv")
        .replace("1883", &broker.port.to_string())
        .replace("5020", &port.to_string())
        .replace("connection: pump,", "connection: pump, poll: 100ms, stale_after: 500ms,");
    let cell = tempfile::tempdir().expect("a folder");
    for (name, text) in [("cell.yaml", text), ("tank.csv", read("address-space/drivers/tank.csv"))] {
        std::fs::write(cell.path().join(name), text).expect("written");
    }
    let server = TestServer::start_with(cell);
    let mut client = Session::open(server.address);
    // The recorded level fails for a while.
    let lasting = ["Tank.Valve", "Room.Pressure"];
    // The server starts without its broker and its device, and says what is missing.
    for path in lasting.into_iter().chain(["Tank.Level"]) {
        until(path, || status(&mut client, path).is_good());
    }
    for path in ["Room.Temp", "Pump.Speed"] {
        until(path, || status(&mut client, path) == StatusCode::BadNotConnected);
        let why = reason(&mut client, path);
        assert!(why.contains("refused"), "{path}: {why}");
    }
    // The broker comes.
    assert!(broker.start());
    until("the broker is heard", || {
        broker.publish("line1/room", "{\"temp\": 21.5}", &[]);
        client.read_value(tag("Room.Temp")).value == Some(Value::Double(21.5))
    });
    let mut lamp = broker.listen(&["line1/lamp/set"]);
    let answer = client.write(tag("Room.Lamp"), &Value::Boolean(true));
    assert!(answer.is_good(), "{answer}");
    assert_eq!(lamp.message(), "line1/lamp/set true");
    broker.publish("line1/lamp", "on", &[]);
    client.until_is("Room.Lamp", &Value::Boolean(true));
    // The device comes.
    let slave = Slave::new();
    let listening = runtime.block_on(slave.listen_on(port, Framing::Tcp, Faults::none()));
    client.until_is("Pump.Speed", &Value::UInt16(mark(100)));
    assert_eq!(client.write(tag("Pump.Setpoint"), &Value::UInt16(4_000)), StatusCode::BadOutOfRange);
    assert_eq!(client.write(tag("Pump.Setpoint"), &Value::UInt16(1_500)), StatusCode::Good);
    client.until_is("Pump.Setpoint", &Value::UInt16(1_500));
    assert_eq!(reason(&mut client, "Pump.Speed"), "");
    // One goes, then the other; the rest goes on.
    drop(listening);
    until("the pump is lost", || status(&mut client, "Pump.Speed") == StatusCode::BadNoCommunication);
    for path in lasting.into_iter().chain(["Room.Temp", "Room.Lamp"]) {
        assert!(status(&mut client, path).is_good(), "{path}");
    }
    broker.stop();
    until("the broker is lost", || status(&mut client, "Room.Temp").is_bad());
    for path in lasting {
        assert!(status(&mut client, path).is_good(), "{path}");
    }
    client.close();
}
