//! From a PLC to an OPC UA client and back: the example, the real server, and a PLC of the tests.

use std::path::Path;

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::{Elements, Value};
use opcua::StatusCode;
use testkit::logix::{BOOL, DINT, DWORD, INT, Logix, Member, Of, REAL, STRING, Structure};
use testkit::plc::Faults;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

fn plc() -> std::sync::Arc<Logix> {
    let mut plc = Logix::new(0);
    let own = std::sync::Arc::get_mut(&mut plc).expect("alone");
    let member = Member { name: "Data", of: INT, elements: 0, offset: 0 };
    own.structures.push(Structure { name: "Input", handle: 7, size: 4, members: vec![member] });
    plc.set("Running", BOOL, &[1], &[0xff]);
    plc.set("Command", DINT, &[1], &[1, 0, 0, 0]);
    plc.set("Alarms", DWORD, &[1], &[0x21, 0, 0, 0]);
    let motor = 48 * 3;
    let mut motors = vec![0; motor + 48];
    motors[motor..motor + 4].copy_from_slice(&1_450_f32.to_le_bytes());
    plc.set("Motors", testkit::logix::MOTOR, &[4], &motors);
    plc.set("Program:Main.Target", REAL, &[1], &100_f32.to_le_bytes());
    plc.set("Count", DINT, &[1], &[0; 4]);
    plc.set("Mode", DINT, &[1], &[1, 0, 0, 0]);
    plc.set("Matrix", DINT, &[2, 3], &(0..6_i32).flat_map(i32::to_le_bytes).collect::<Vec<u8>>());
    plc.set("Local:1:I", Of::Structure(4), &[1], &4_095_i16.to_le_bytes());
    plc.set("Recipe", STRING, &[1], b"\x03\0\0\0F\xd6l");
    plc
}

#[test]
fn the_example_serves_a_plc_and_follows_it() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let plc = plc();
    let listening = runtime.block_on(plc.listen(Faults::none()));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("address-space/drivers/ethernet-ip.yaml");
    let text = std::fs::read_to_string(path).expect("the example").replace("10818", &listening.port.to_string());
    let server = TestServer::start(&text.replace("poll: 500ms", "poll: 100ms, stale_after: 500ms"));
    let mut client = Session::open(server.address);
    let alarms = (0..12).map(|at| at == 0 || at == 5).collect();
    for (path, wanted) in [
        ("Bits.Running", Value::Boolean(true)),
        ("Bits.Start", Value::Boolean(true)),
        ("Bits.Alarms", Value::array(Elements::Boolean(alarms))),
        ("Bits.Fifth", Value::Boolean(true)),
        ("Numbers.Speed", Value::Float(1_450.0)),
        ("Numbers.Target", Value::Float(100.0)),
        ("Numbers.Mode", Value::Int32(1)),
        ("Numbers.Three", Value::array(Elements::Int32(vec![3, 4, 5]))),
        ("Numbers.Pressure", Value::Double(10.0)),
        ("Texts.Recipe", Value::text("FÖl")),
    ] {
        client.until_is(path, &wanted);
    }
    for (path, value) in [
        ("Bits.Start", Value::Boolean(false)),
        ("Numbers.Mode", Value::Int32(2)),
        ("Numbers.Target", Value::Float(7.5)),
        ("Texts.Recipe", Value::text("Füller")),
    ] {
        assert_eq!(client.write(tag(path), &value), StatusCode::Good, "{path}");
        client.until_is(path, &value);
    }
    assert_eq!(client.write(tag("Numbers.Target"), &Value::Float(3_000.5)), StatusCode::BadOutOfRange);
    let port = listening.port;
    drop(listening);
    until("it is lost", || client.read_value(tag("Bits.Running")).status == Some(StatusCode::BadNoCommunication));
    assert_eq!(client.write(tag("Bits.Start"), &Value::Boolean(true)), StatusCode::BadNoCommunication);
    let _again = runtime.block_on(plc.listen_on(port, Faults::none()));
    client.until_is("Bits.Running", &Value::Boolean(true));
    client.close();
}
