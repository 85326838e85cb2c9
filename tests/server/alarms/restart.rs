//! Conditions over restarts and reloads.

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;
use testkit::server::TestServer;

use super::client::Alarms;
use super::{CELL, FAULTED, LEVEL, level, write};

const SERVER: NodeIdRef<'static> = NodeIdRef::numeric(0, 2253);
const CONDITION_TYPE: NodeIdRef<'static> = NodeIdRef::numeric(0, 2782);
const REFRESH_REQUIRED: u32 = 2789;

#[test]
fn after_a_restart_the_same_state_has_the_same_event_and_is_still_acknowledged() {
    let server = TestServer::start(CELL);
    let mut client = Alarms::open(server.address, SERVER);
    level(&mut client, 91.0);
    let raised = client.next();
    assert_eq!(client.acknowledge(LEVEL, &raised, "seen"), StatusCode::Good);
    let acked = client.next();
    write(&mut client, "State", Value::Int32(2));
    let faulted = client.next();
    let shelve = NodeIdRef::numeric(0, 2948);
    let shelved = client.session.call_method(NodeIdRef::string(2, FAULTED), shelve, &[]).status_code;
    assert_eq!(shelved, StatusCode::Good);
    let shelved = client.next();
    let server = server.restart();
    let mut client = Alarms::open(server.address, SERVER);
    // A new value of another tag is evaluated after the first values of all: nothing else came before it.
    write(&mut client, "Line.Valve1.Fault", Value::Boolean(true));
    assert_eq!(client.next().source_name, "Line.Valve1.Fault");
    let mut kept = client.refresh(CONDITION_TYPE);
    kept.retain(|seen| seen.source_name != "Line.Valve1.Fault");
    kept.sort_by(|a, b| a.condition.cmp(&b.condition));
    assert_eq!(kept, [acked, shelved]);
    assert_eq!(client.acknowledge(FAULTED, &faulted, ""), StatusCode::Good, "an event of the run before");
    client.next();
    level(&mut client, 97.0);
    assert_eq!((client.next().limit.as_str(), 1), ("HighHigh", 1));
}

#[test]
fn a_reload_keeps_the_state_of_a_condition_and_tells_clients_to_refresh() {
    let server = TestServer::start(CELL);
    let mut client = Alarms::open(server.address, SERVER);
    level(&mut client, 91.0);
    let raised = client.next();
    assert_eq!(client.acknowledge(LEVEL, &raised, ""), StatusCode::Good);
    let acked = client.next();

    // Nothing of an alarm changes: nobody hears of it.
    server.reload(&CELL.replace("Empty: {}", "Empty: { description: none }"));
    write(&mut client, "Line.Valve1.Fault", Value::Boolean(true));
    let mut kinds = Vec::new();
    while kinds.last() != Some(&10637) {
        kinds.push(client.next_kind());
    }
    assert!(!kinds.contains(&REFRESH_REQUIRED) && !kinds.contains(&9482), "{kinds:?}");
    write(&mut client, "Line.Valve1.Fault", Value::Boolean(false));
    let gone = client.next();
    assert_eq!(client.acknowledge(&gone.condition, &gone, ""), StatusCode::Good);
    client.next();
    // Another limit: the state stays, and the events until then hold no other one.
    server.reload(&CELL.replace("high: 90", "high: 80"));
    let mut kinds = vec![client.next_kind()];
    while kinds.last() != Some(&REFRESH_REQUIRED) {
        kinds.push(client.next_kind());
    }
    assert!(!kinds.contains(&9482), "{kinds:?}");
    assert_eq!(client.refresh(CONDITION_TYPE), [acked]);
    let limit = client.session.read_value(NodeIdRef::string(2, &format!("{LEVEL}.HighLimit"))).value;
    assert_eq!(limit, Some(Value::Double(80.0)));

    // A limit beyond the value: it returns to normal.
    server.reload(&CELL.replace("high: 90", "high: 93"));
    let gone = client.next();
    assert_eq!((gone.active, gone.retain), (Some(false), Some(false)));

    // An alarm that leaves the file is forgotten after one event.
    level(&mut client, 94.0);
    assert_eq!(client.next().acked, Some(false));
    let start = CELL.find("            alarms:\n").expect("the alarms of the level");
    let end = CELL.find("      Valve1").expect("the node after it");
    let without = format!("{}{}", &CELL[..start], &CELL[end..]);
    server.reload(&without);
    let last = client.next();
    assert_eq!((last.condition.as_str(), last.retain), (LEVEL, Some(false)));
    assert!(client.refresh(CONDITION_TYPE).is_empty());
    let called = client.session.call_method(NodeIdRef::string(2, LEVEL), NodeIdRef::numeric(0, 9027), &[]);
    assert_eq!(called.status_code, StatusCode::BadNodeIdUnknown);
    assert_eq!(server.server.tags.watchers(tag(&server, "Line.Tank.Level")), 0);

    // It comes back as a new one, which asks for an acknowledgement.
    server.reload(CELL);
    assert_eq!(client.next().acked, Some(false));
}

fn tag(server: &TestServer, path: &str) -> opcell::testing::model::TagId {
    let world = server.server.world();
    let found = world.plant.tags.iter().find(|(id, _)| world.plant.tag_name(*id).ends_with(path));
    found.expect("the tag").0
}

#[test]
fn a_cell_without_alarms_has_no_watcher_and_no_folder() {
    let cell =
        "schema: 1\ncell: plant\nnamespace: urn:test:plant\nnodes:\n  A: { type: Double, value: 1, write: true }\n";
    let server = TestServer::start(cell);
    let mut client = testkit::ua::Session::open(server.address);
    assert_eq!(server.server.tags.watchers(tag(&server, "A")), 0);
    assert_eq!(client.read_value(NodeIdRef::string(2, "@alarms.ActiveCount")).value, None);
    let bits = client.read(&[(NodeIdRef::string(2, "@cell"), 12)]).remove(0).value;
    assert_eq!(bits, Some(Value::Byte(0)));
    assert!(!server.dir().join("state/alarms.json").exists());
}
