//! Conditions in the address space: their nodes, the plain mirrors, the counters, and who may act.

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::{ReferenceTypeId, StatusCode};
use testkit::server::TestServer;
use testkit::steps::{Id, browse_whole, tree};
use testkit::ua::Session;

use super::client::Alarms;
use super::{CELL, FAULTED, LEVEL, level, write};

fn value(session: &mut Session, id: &str) -> Option<Value> {
    session.read_value(NodeIdRef::string(2, id)).value
}

fn node(id: &str) -> Id {
    Id::Text(2, id.to_owned())
}

#[test]
fn a_condition_is_below_the_folder_of_its_object_and_its_tag_refers_to_it() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    for (from, kind, to) in [
        ("Line.Tank", ReferenceTypeId::Organizes, "Line.Tank.@alarms"),
        ("Line.Tank.@alarms", ReferenceTypeId::HasComponent, LEVEL),
        ("Line.Tank.Level", ReferenceTypeId::HasCondition, LEVEL),
        ("Line.Valve1", ReferenceTypeId::HasComponent, "Line.Valve1.@alarms"),
        ("@cell", ReferenceTypeId::Organizes, "@alarms"),
        ("@alarms", ReferenceTypeId::HasComponent, FAULTED),
        ("@cell", ReferenceTypeId::HasNotifier, "Line"),
        ("Line", ReferenceTypeId::HasNotifier, "Line.Tank"),
        ("Line.Tank", ReferenceTypeId::HasEventSource, "Line.Tank.Level"),
        ("@cell", ReferenceTypeId::HasEventSource, "State"),
    ] {
        let found = browse_whole(&mut session, &node(from), kind, 0);
        assert!(found.iter().any(|reference| reference.to == node(to)), "{from} {kind:?} {to}: {found:?}");
    }
    let on_server = browse_whole(&mut session, &Id::Number(0, 2253), ReferenceTypeId::HasNotifier, 0);
    assert!(on_server.iter().any(|reference| reference.to == node("@cell")), "{on_server:?}");
    for (object, bits) in [("@cell", 1), ("Line", 1), ("Line.Tank", 1), ("Line.Valve1", 1), ("Empty", 0), (LEVEL, 0)] {
        let found = session.read(&[(NodeIdRef::string(2, object), 12)]).remove(0).value;
        assert_eq!(found, Some(Value::Byte(bits)), "{object}");
    }
}

/// Every Variable below a condition can be read, and has a value of the type that it states or none.
#[test]
fn every_variable_of_a_condition_can_be_read_and_only_those_that_it_has_are_there() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    for (condition, count, has, lacks) in [
        (LEVEL, 51, "LimitState.CurrentState.Id", "LatchedState"),
        (FAULTED, 41, "ConfirmedState.Id", "LimitState"),
        ("Line.Valve1.Fault.@alarms.Position", 39, "NormalValue", "HighLimit"),
    ] {
        let nodes = tree(&mut session, node(condition), ReferenceTypeId::Aggregates);
        let variables: Vec<_> = nodes.iter().filter(|reference| reference.class == 2).collect();
        for variable in &variables {
            let read = session.read_value(variable.to.borrowed());
            assert!(read.status.is_none_or(|status| status.is_good()), "{:?}: {:?}", variable.to, read.status);
        }
        let own = variables.iter().filter(|variable| variable.name != "InputArguments").count();
        assert_eq!(own, count, "{condition}");
        let is_there = |name: &str| nodes.iter().any(|reference| reference.to == node(&format!("{condition}.{name}")));
        assert!(is_there(has) && !is_there(lacks), "{condition}");
    }
}

#[test]
fn plain_mirrors_and_counters_follow_and_ack_acknowledges() {
    let server = TestServer::start(CELL);
    let mut client = Alarms::open(server.address, NodeIdRef::numeric(0, 2253));
    level(&mut client, 97.0);
    client.next();
    write(&mut client, "State", Value::Int32(2));
    client.next();
    let session = &mut client.session;
    let own = |name: &str| format!("{LEVEL}.{name}");
    for (id, expected) in [
        (own("Active"), Value::Boolean(true)),
        (own("Acked"), Value::Boolean(false)),
        (own("HighHigh"), Value::Boolean(true)),
        (own("High"), Value::Boolean(true)),
        (own("Low"), Value::Boolean(false)),
        (own("Ack"), Value::Boolean(false)),
        (own("HighLimit"), Value::Double(90.0)),
        (own("SeverityHighHigh"), Value::UInt16(800)),
        (own("ActiveState.Id"), Value::Boolean(true)),
        ("@alarms.ActiveCount".into(), Value::UInt32(2)),
        ("@alarms.UnackedCount".into(), Value::UInt32(2)),
        ("@alarms.SuppressedCount".into(), Value::UInt32(0)),
        ("@alarms.WorstSeverity".into(), Value::UInt16(900)),
    ] {
        assert_eq!(value(session, &id), Some(expected), "{id}");
    }
    let ack = own("Ack");
    let ack = NodeIdRef::string(2, &ack);
    assert_eq!(session.write(ack, &Value::Boolean(false)), StatusCode::Good);
    assert_eq!(value(session, &own("Acked")), Some(Value::Boolean(false)), "false does nothing");
    assert_eq!(session.write(ack, &Value::Int32(1)), StatusCode::BadTypeMismatch);
    assert_eq!(session.write(ack, &Value::Boolean(true)), StatusCode::Good);
    assert_eq!(value(session, &own("Acked")), Some(Value::Boolean(true)));
    assert_eq!(value(session, &own("Ack")), Some(Value::Boolean(false)));
    assert_eq!(session.write(ack, &Value::Boolean(true)), StatusCode::BadConditionBranchAlreadyAcked);
    assert_eq!(session.write(NodeIdRef::string(2, &own("Active")), &Value::Boolean(true)), StatusCode::BadNotWritable);
    assert_eq!(client.next().acked, Some(true));
}

/// An item on a mirror gets its changes.
#[test]
fn a_mirror_can_be_subscribed_to() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    let subscription = session.subscribe(50.0, 1_000, 100);
    session.monitor(subscription, &[(NodeIdRef::string(2, &format!("{LEVEL}.Active")), 13)], 0.0, 10);
    let first = session.next_data();
    assert_eq!(first.data[0].1.value, Some(Value::Boolean(false)));
    assert_eq!(session.write(NodeIdRef::string(2, "Line.Tank.Level"), &Value::Double(99.0)), StatusCode::Good);
    assert_eq!(session.next_data().data[0].1.value, Some(Value::Boolean(true)));
}

/// Acting needs `access.call` of the tag, by method and by mirror; each refusal is in the audit.
#[test]
fn who_may_not_call_may_not_acknowledge_and_the_audit_says_so() {
    let server_file = "
schema: 1
cells: [cell.yaml]
anonymous: [Operator]
security: { allow_unsecured: true }
";
    let cell = CELL.replace(
        "nodes:\n",
        "defaults: { access: { read: [Operator], write: [Operator], call: [SecurityAdmin] } }\nnodes:\n",
    );
    let server = TestServer::with(&cell, Some(server_file), |_, _| {});
    let mut client = Alarms::open(server.address, NodeIdRef::numeric(0, 2253));
    level(&mut client, 91.0);
    let raised = client.next();
    assert_eq!(client.acknowledge(LEVEL, &raised, ""), StatusCode::BadUserAccessDenied);
    let ack = format!("{LEVEL}.Ack");
    let status = client.session.write(NodeIdRef::string(2, &ack), &Value::Boolean(true));
    assert_eq!(status, StatusCode::BadUserAccessDenied);
    assert_eq!(value(&mut client.session, &format!("{LEVEL}.Acked")), Some(Value::Boolean(false)));
    let dir = server.dir().to_owned();
    testkit::until::until("both refusals are recorded", || {
        let files = std::fs::read_dir(dir.join("state/audit")).into_iter().flatten().flatten();
        let text: String = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
        text.matches("condition.acknowledge").count() == 2
    });
}
