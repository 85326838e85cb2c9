//! From an S7 server to an OPC UA client and back: the example, the real server, other people's PLC.

use std::path::Path;

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::{Elements, Value};
use opcua::StatusCode;
use testkit::peers;
use testkit::peers::Snap7;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

const IMAGE: &[&str] = &[
    "db1.0=05",
    "db1.4=41460000",
    "db1.40=140346d66c",
    "db1.62=000a000220ac006c",
    "db1.100=07ea0b1d0117080f0754d4c0",
    "db1.116=01020304",
    "db1.120=3f800000c000000040600000",
    "db1.140=2611292308151231",
    "db1.148=0000000000000064",
    "db1.158=1127",
    "db1.170=1234",
    "db1.180=0001",
    "db1.184=40200000",
    "pe.64=3600",
    "tm.2=1127",
    "ct.1=0123",
];

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

#[test]
fn the_example_serves_a_plc_and_follows_it() {
    let port = peers::free_port();
    let Some(peer) = peers::snap7(Snap7::C, port, IMAGE) else { return };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("address-space/drivers/s7.yaml");
    let text = std::fs::read_to_string(path).expect("the example").replace("10102", &port.to_string());
    let server = TestServer::start(&text.replace("poll: 500ms", "poll: 100ms, stale_after: 500ms"));
    let mut client = Session::open(server.address);
    for (path, wanted) in [
        ("Bits.Start", Value::Boolean(true)),
        ("Numbers.Real", Value::Float(12.375)),
        ("Numbers.Three", Value::array(Elements::Float(vec![1.0, -2.0, 3.5]))),
        ("Numbers.Bcd", Value::UInt16(1_234)),
        ("Numbers.Mode", Value::Int32(1)),
        ("Analog.Pressure", Value::Double(5.0)),
        ("Analog.Setpoint", Value::Float(2.5)),
        ("Texts.Name", Value::text("FÖl")),
        ("Times.Delay", Value::UInt32(12_700)),
        ("Times.Timer", Value::UInt32(12_700)),
        ("Times.Counter", Value::UInt16(123)),
    ] {
        client.until_is(path, &wanted);
    }
    for path in
        ["Bits.Running", "Bits.Alarms", "Bits.Valve", "Texts.Wide", "Times.Changed", "Times.Begun", "Times.Made"]
    {
        until(path, || client.read_value(tag(path)).status.is_none_or(|status| status.is_good()));
    }
    for (path, value) in [
        ("Bits.Start", Value::Boolean(false)),
        ("Numbers.Mode", Value::Int32(2)),
        ("Analog.Setpoint", Value::Float(7.5)),
        ("Texts.Name", Value::text("Füller")),
    ] {
        assert_eq!(client.write(tag(path), &value), StatusCode::Good, "{path}");
        client.until_is(path, &value);
    }
    assert_eq!(client.write(tag("Analog.Setpoint"), &Value::Float(10.5)), StatusCode::BadOutOfRange);
    assert_eq!(client.write(tag("Texts.Name"), &Value::text("€")), StatusCode::BadOutOfRange);
    drop(peer);
    until("it is lost", || client.read_value(tag("Numbers.Real")).status == Some(StatusCode::BadNoCommunication));
    assert_eq!(client.write(tag("Bits.Start"), &Value::Boolean(true)), StatusCode::BadNoCommunication);
    let Some(_peer) = peers::snap7(Snap7::C, port, IMAGE) else { return };
    client.until_is("Numbers.Real", &Value::Float(12.375));
    client.close();
}
