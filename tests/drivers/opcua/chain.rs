//! opcell behind opcell: values, writes, addresses, loss and return of the server, reload.

use opcell::value::{Elements, Value};
use opcua::StatusCode;
use testkit::peers::free_port;
use testkit::relay::Relay;
use testkit::request::text_id;
use testkit::server::TestServer;
use testkit::until;

use super::{Follower, cell};

const SOURCE: &str = r#"
schema: 1
cell: press
namespace: urn:test:press
connections:
  sim: { driver: simulator }
nodes:
  Pump:
    children:
      Speed:    { type: Double, value: 12.5, write: true }
      Number:   { type: Int32, value: 5, write: true }
      Limited:  { type: Double, range: [0, 100], value: 1, write: true }
      Fixed:    { type: String, value: FC3 }
      Curve:    { type: Float, array: 5, value: [1, 2, 3, 4, 5], write: true }
      Count:    { type: UInt32, source: "counter(start=0, step=1, every=150ms)", poll: 30ms }
"#;

const NODES: &str = r#"
  Speed:   { type: Double, source: { address: "p:s=Pump.Speed", write: true } }
  Path:    { type: Double, source: "/Objects/p:press/p:Pump/p:Speed" }
  Any:     { type: Float, source: "/press/Pump/Speed" }
  Number:  { type: Int16, source: { address: "nsu=urn:test:press;s=Pump.Number", write: true } }
  Limited: { type: Double, source: { address: "p:s=Pump.Limited", write: true } }
  Fixed:   { type: String, length: 20, source: { address: "p:s=Pump.Fixed", write: true } }
  Text:    { type: Double, source: "p:s=Pump.Fixed" }
  Curve:   { type: Float, array: 5, source: { address: "p:s=Pump.Curve", write: true } }
  Count:   { type: UInt32, source: { address: "p:s=Pump.Count", queue: 100 } }
  State:   { type: Int32, source: i=2259 }
  Wrong:   { type: Double, source: "p:s=Pump.Speeed" }
  Foreign: { type: Double, source: "nsu=urn:nobody;s=Pump.Speed" }
  Nowhere: { type: Double, source: /press/Pomp/Speed }
"#;

const SETTINGS: &str = r#"policy: None, allow_unsecured: true, namespaces: { p: "urn:test:press" }"#;

#[test]
fn values_and_writes_of_another_opcell_and_a_wrong_address_is_that_tags_alone() {
    let source = TestServer::start(SOURCE);
    let mut follower = Follower::start(&cell(&source.url(), SETTINGS, NODES));
    for (name, value) in [
        ("Speed", Value::Double(12.5)),
        ("Path", Value::Double(12.5)),
        ("Any", Value::Float(12.5)),
        ("Number", Value::Int16(5)),
        ("Fixed", Value::text("FC3")),
        ("Curve", Value::array(Elements::Float(vec![1.0, 2.0, 3.0, 4.0, 5.0]))),
        ("State", Value::Int32(0)),
    ] {
        follower.until_is(name, &value);
    }
    for (name, status) in [
        ("Wrong", StatusCode::BadNodeIdUnknown),
        ("Foreign", StatusCode::BadNodeIdUnknown),
        ("Nowhere", StatusCode::BadNoMatch),
        ("Text", StatusCode::BadDataEncodingInvalid),
    ] {
        follower.until_status(name, status);
    }
    let mut write = |name: &str, value: &Value| follower.session.write(text_id(name), value);
    assert_eq!(write("Speed", &Value::Double(13.5)), StatusCode::Good);
    assert_eq!(write("Number", &Value::Int16(-7)), StatusCode::Good, "the node is an Int32");
    assert_eq!(write("Limited", &Value::Double(500.0)), StatusCode::BadOutOfRange, "the server's answer");
    assert_eq!(write("Fixed", &Value::text("x")), StatusCode::BadNotWritable, "the server's answer");
    follower.until_is("Any", &Value::Float(13.5));
    follower.until_is("Number", &Value::Int16(-7));
    let part = Value::array(Elements::Float(vec![30.0, 40.0]));
    assert_eq!(follower.session.write_range(text_id("Curve"), Some("2:3"), &part), StatusCode::Good);
    follower.until_is("Curve", &Value::array(Elements::Float(vec![1.0, 2.0, 30.0, 40.0, 5.0])));
}

#[test]
fn a_server_that_comes_late_goes_and_returns_is_followed() {
    let address = format!("127.0.0.1:{}", free_port());
    let dir = testkit::program::folder(&[("cell.yaml", SOURCE)]);
    let relay = Relay::to(address.parse().expect("an address"));
    let mut follower = Follower::start(&cell(&relay.url(), SETTINGS, NODES));
    follower.until_status("Speed", StatusCode::BadNotConnected);
    assert_eq!(follower.session.write(text_id("Speed"), &Value::Double(1.0)), StatusCode::BadNotConnected);
    let source = TestServer::start_at(dir, &address);
    follower.until_is("Speed", &Value::Double(12.5));
    // The same session on a new channel: no value is lost, the unchanged ones are Good again.
    for _ in 0..3 {
        until("the link is there", || relay.cut() > 0);
        follower.until_is("Fixed", &Value::text("FC3"));
        follower.until_is("Speed", &Value::Double(12.5));
    }
    let sessions = source.server.sessions.all().len();
    assert_eq!(sessions, 1, "the session is the same");
    // Nothing arrives, and nothing says that the link is gone.
    relay.mute();
    until("it is not Good for ever", || !follower.status("Speed").is_good());
    relay.cut();
    follower.until_is("Speed", &Value::Double(12.5));
    // A new process: another session, other subscriptions.
    let source = source.restart();
    follower.until_is("Fixed", &Value::text("FC3"));
    assert_eq!(follower.session.write(text_id("Speed"), &Value::Double(3.0)), StatusCode::Good);
    follower.until_is("Any", &Value::Float(3.0));
    drop(source);
    until("the tags are Bad", || follower.status("Speed").is_bad());
}

#[test]
fn a_reload_of_one_tag_leaves_the_connection_and_the_others_alone() {
    let source = TestServer::start(SOURCE);
    let cell_of = |nodes: &str| cell(&source.url(), SETTINGS, nodes);
    let mut follower = Follower::start(&cell_of(NODES));
    follower.until_is("Speed", &Value::Double(12.5));
    let session = source.server.sessions.all();
    let subscription = follower.session.subscribe(50.0, 1_000, 20);
    follower.session.monitor(subscription, &[(text_id("Count"), 1)], 0.0, 1_000);
    let mut counts: Vec<u32> = Vec::new();
    for round in 0..4 {
        let more = match round % 2 {
            0 => NODES.replace(
                "  Any: ",
                "  New:     { type: Double, source: { address: \"p:s=Pump.Speed\", queue: 5 } }\n  Any: ",
            ),
            _ => NODES.replace("  Path: ", "  Also: "),
        };
        follower.server.reload(&cell_of(&more));
        let name = if round % 2 == 0 { "New" } else { "Also" };
        follower.until_is(name, &Value::Double(12.5));
        // Values from before and from after the reload, however the messages share them.
        let enough = counts.len() + 2;
        while counts.len() < enough {
            for (_, value) in &follower.session.next_data().data {
                if let Some(Value::UInt32(count)) = value.value {
                    counts.push(count);
                }
            }
        }
    }
    assert!(counts.windows(2).all(|pair| pair[1] == pair[0] + 1), "{counts:?}");
    assert_eq!(source.server.sessions.all().len(), session.len());
    assert_eq!(follower.server.server.world().links[0].snapshot().reconnects, 0);
}
