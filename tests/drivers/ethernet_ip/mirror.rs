//! A folder that mirrors tags of a PLC.

use opcell::value::{Elements, Value};
use opcua::StatusCode;
use testkit::logix::{DINT, DWORD, Logix, MOTOR, REAL, STRING};
use testkit::plc::Faults;
use testkit::relay::Relay;
use testkit::request::text_id;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

use super::cell;

#[test]
fn tags_of_a_program_are_mirrored_and_follow_a_download() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let plc = Logix::new(10);
    plc.set("Program:Main.Speed", REAL, &[1], &1.5_f32.to_le_bytes());
    plc.set("Program:Main.Motor", MOTOR, &[1], &[0]);
    plc.set("Program:Main.Recipe", STRING, &[1], &[3, 0, 0, 0, 65, 66, 67]);
    plc.set("Program:Main.Flags", DWORD, &[2], &[1]);
    let listening = runtime.block_on(plc.listen(Faults::none()));
    let relay = Relay::to(([127, 0, 0, 1], listening.port).into());
    let port = relay.address.port();
    let nodes = "Main: { browse: { address: \"Program:Main\", write: true }, children: { Recipe: { type: Float, value: 1 } } }\nAll: { browse: T3 }";
    let server = TestServer::start(&cell(port, "", nodes));
    let mut session = Session::open(server.address);
    session.until_is("Main.Speed", &Value::Float(1.5));
    session.until_is("Main.Recipe", &Value::Float(1.0));
    until("its members", || {
        session.read_value(text_id("Main.Motor.Speed")).status.is_none_or(|status| status.is_good())
    });
    let flags: Vec<bool> = (0..64).map(|bit| bit == 0).collect();
    session.until_is("Main.Flags", &Value::array(Elements::Boolean(flags)));
    until("the tag itself", || session.read_value(text_id("All.T3")).status.is_none_or(|status| status.is_good()));
    assert_eq!(session.write(text_id("Main.Speed"), &Value::Float(2.5)), StatusCode::Good);
    session.until_is("Main.Speed", &Value::Float(2.5));
    // A download brings another tag; the PLC drops its connections.
    plc.set("Program:Main.New", DINT, &[1], &7_i32.to_le_bytes());
    until("it was connected", || relay.cut() > 0);
    session.until_is("Main.New", &Value::Int32(7));
    session.until_is("Main.Speed", &Value::Float(2.5));
    drop(listening);
    drop(relay);
    drop(session);
    let server = server.restart();
    let mut session = Session::open(server.address);
    let status = session.read_value(text_id("Main.New")).status.expect("nothing is there");
    assert!(status.is_bad() && status != StatusCode::BadNodeIdUnknown, "it was kept: {status}");
}
