//! Alarms and conditions (Part 9, 1.05): a client sees, acknowledges, confirms, shelves and resets them.

mod client;
mod many;
mod nodes;
mod restart;

use std::time::Duration;

use client::{Alarms, Seen};
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;
use testkit::server::TestServer;

const CELL: &str = r#"
schema: 1
cell: plant
namespace: urn:test:plant
types:
  enums:
    State: { 0: Stopped, 1: Running, 2: Faulted }
  objects:
    Valve:
      children:
        Fault: { type: Boolean, value: false, write: true, alarms: { Position: { when: true, severity: 700, message: "{parent} is {value}" } } }
nodes:
  Line:
    children:
      Tank:
        children:
          Level:
            type: Double
            unit: "%"
            range: [0, 100]
            value: 50
            write: true
            alarms:
              Level:
                limits: { high_high: { at: 95, severity: 800 }, high: 90, low: 10 }
                severity: 600
                hysteresis: 1
                message: "Level at {value:unit}"
      Valve1: { of: Valve }
  State:
    type: State
    value: Stopped
    write: true
    alarms:
      Faulted: { when: Faulted, severity: 900, confirm: true, latched: true, shelve: 1h, class: safety }
  Empty: {}
  Plain: { type: Int32, value: 1, write: true }
"#;

const LEVEL: &str = "Line.Tank.Level.@alarms.Level";
const FAULTED: &str = "State.@alarms.Faulted";

fn write(client: &mut Alarms, tag: &str, value: Value) {
    assert_eq!(client.session.write(NodeIdRef::string(2, tag), &value), StatusCode::Good, "{tag}");
}

fn level(client: &mut Alarms, value: f64) {
    write(client, "Line.Tank.Level", Value::Double(value));
}

#[test]
fn a_limit_alarm_is_raised_gets_worse_is_acknowledged_and_returns() {
    let server = TestServer::start(CELL);
    let mut client = Alarms::open(server.address, NodeIdRef::numeric(0, 2253));
    level(&mut client, 91.5);
    let raised = client.next();
    let expected = Seen {
        condition: LEVEL.into(),
        kind: 9482,
        source_name: "Line.Tank.Level".into(),
        message: "Level at 91.5 %".into(),
        severity: 600,
        active: Some(true),
        acked: Some(false),
        confirmed: None,
        enabled: Some(true),
        retain: Some(true),
        limit: "High".into(),
        shelving: "Unshelved".into(),
        suppressed: Some(false),
        comment: String::new(),
        user: String::new(),
        event_id: raised.event_id.clone(),
    };
    assert_eq!(raised, expected);
    level(&mut client, 92.0);
    level(&mut client, 97.0);
    let worse = client.next();
    assert_eq!((worse.limit.as_str(), worse.severity, worse.acked), ("HighHigh", 800, Some(false)));
    assert_eq!(client.acknowledge(LEVEL, &raised, ""), StatusCode::BadEventIdUnknown);
    assert_eq!(client.acknowledge(LEVEL, &worse, "on my way"), StatusCode::Good);
    let acked = client.next();
    assert_eq!((acked.acked, acked.active, acked.comment.as_str()), (Some(true), Some(true), "on my way"));
    assert_eq!(client.acknowledge(LEVEL, &acked, ""), StatusCode::BadConditionBranchAlreadyAcked);
    level(&mut client, 50.0);
    let gone = client.next();
    assert_eq!((gone.active, gone.retain, gone.limit.as_str(), gone.severity), (Some(false), Some(false), "", 800));
    assert_ne!(gone.event_id, acked.event_id);
}

#[test]
fn a_latched_alarm_is_confirmed_shelved_and_reset_by_the_methods_of_its_type_or_its_own() {
    let server = TestServer::start(CELL);
    let mut client = Alarms::open(server.address, NodeIdRef::numeric(0, 2253));
    write(&mut client, "State", Value::Int32(2));
    let raised = client.next();
    assert_eq!((raised.kind, raised.confirmed, raised.message.as_str()), (10523, Some(true), "State"));
    let id = Value::ByteString(raised.event_id.clone().into());
    let text = client::localized("", "");
    let own = |name: &str| format!("{FAULTED}.{name}");
    let call = |client: &mut Alarms, object: &str, method: &str, arguments: &[Value]| {
        let object = NodeIdRef::string(2, object);
        match method.parse() {
            Ok(number) => client.session.call_method(object, NodeIdRef::numeric(0, number), arguments).status_code,
            Err(_) => client.session.call_method(object, NodeIdRef::string(2, method), arguments).status_code,
        }
    };
    let shelving = own("ShelvingState");
    // The object, the method, the arguments, the status, and what the event then says.
    for (object, method, arguments, status, after) in [
        (FAULTED, "9113", vec![id.clone(), text.clone()], StatusCode::BadConditionBranchAlreadyConfirmed, ""),
        (FAULTED, "9111", vec![id.clone(), text.clone()], StatusCode::Good, "true true false Unshelved"),
        (FAULTED, &own("Confirm"), vec![id.clone(), text.clone()], StatusCode::Good, "true true true Unshelved"),
        (FAULTED, "9029", vec![id.clone(), text.clone()], StatusCode::Good, "true true true Unshelved"),
        (FAULTED, "2949", vec![Value::Double(3_600_001.0)], StatusCode::BadShelvingTimeOutOfRange, ""),
        (FAULTED, "2949", vec![Value::Double(60_000.0)], StatusCode::Good, "true true true Timed Shelved"),
        (&shelving, &own("ShelvingState.Unshelve"), vec![], StatusCode::Good, "true true true Unshelved"),
        (&shelving, "9212", vec![], StatusCode::Good, "true true true One Shot Shelved"),
        (FAULTED, "18199", vec![], StatusCode::BadInvalidState, ""),
        (FAULTED, "9112", vec![], StatusCode::BadMethodInvalid, ""),
        (FAULTED, "9111", vec![], StatusCode::BadArgumentsMissing, ""),
        (FAULTED, "9111", vec![Value::Int32(1), text.clone()], StatusCode::BadInvalidArgument, ""),
        (FAULTED, "3875", vec![Value::UInt32(1)], StatusCode::BadMethodInvalid, ""),
        (LEVEL, &own("Confirm"), vec![id.clone(), text.clone()], StatusCode::BadMethodInvalid, ""),
        (LEVEL, "18199", vec![], StatusCode::BadMethodInvalid, ""),
    ] {
        assert_eq!(call(&mut client, object, method, &arguments), status, "{method} on {object}");
        if status.is_good() {
            let seen = client.next();
            let flag = |is: Option<bool>| is.map_or("null", |is| if is { "true" } else { "false" });
            let found = [flag(seen.active), flag(seen.acked), flag(seen.confirmed), &seen.shelving].join(" ");
            assert_eq!(found, after, "{method} on {object}");
        }
    }
    let on_type = client.session.call_method(NodeIdRef::numeric(0, 2881), NodeIdRef::numeric(0, 9111), &[id, text]);
    assert_eq!(on_type.status_code, StatusCode::BadNodeIdInvalid);
    write(&mut client, "State", Value::Int32(0));
    let latched = client.next();
    assert_eq!((latched.active, latched.retain, latched.shelving.as_str()), (Some(false), Some(true), "Unshelved"));
    assert_eq!(call(&mut client, FAULTED, &own("Reset"), &[]), StatusCode::Good);
    assert_eq!(client.next().retain, Some(false));
}

#[test]
fn a_disabled_condition_says_nothing_but_that_it_is() {
    let server = TestServer::start(CELL);
    let mut client = Alarms::open(server.address, NodeIdRef::numeric(0, 2253));
    let call = |client: &mut Alarms, number: u32| {
        client.session.call_method(NodeIdRef::string(2, LEVEL), NodeIdRef::numeric(0, number), &[]).status_code
    };
    level(&mut client, 91.0);
    let raised = client.next();
    assert_eq!(call(&mut client, 9028), StatusCode::Good);
    let disabled = client.next();
    let expected = Seen {
        enabled: Some(false),
        retain: Some(false),
        active: None,
        acked: None,
        suppressed: None,
        limit: String::new(),
        shelving: String::new(),
        event_id: disabled.event_id.clone(),
        ..raised.clone()
    };
    assert_eq!(disabled, expected);
    assert_eq!(call(&mut client, 9028), StatusCode::BadConditionAlreadyDisabled);
    assert_eq!(client.acknowledge(LEVEL, &raised, ""), StatusCode::BadConditionDisabled);
    assert_eq!(call(&mut client, 9027), StatusCode::Good);
    let enabled = client.next();
    assert_eq!((enabled.active, enabled.acked), (Some(true), Some(false)), "it is evaluated again");
    assert_eq!(client.acknowledge(LEVEL, &raised, ""), StatusCode::BadEventIdUnknown);
}

/// A refresh shows the present event of each retained condition, between its begin and its end; on an Object those at or
/// below it.
#[test]
fn a_refresh_brings_the_retained_conditions_of_the_object_that_is_listened_to() {
    let server = TestServer::start(CELL);
    let mut client = Alarms::open(server.address, NodeIdRef::numeric(0, 2253));
    level(&mut client, 91.0);
    write(&mut client, "Line.Valve1.Fault", Value::Boolean(true));
    write(&mut client, "State", Value::Int32(2));
    let mut raised = [client.next(), client.next(), client.next()];
    raised.sort_by(|a, b| a.condition.cmp(&b.condition));
    for (notifier, conditions) in [
        (NodeIdRef::numeric(0, 2253), &[LEVEL, "Line.Valve1.Fault.@alarms.Position", FAULTED][..]),
        (NodeIdRef::string(2, "@cell"), &[LEVEL, "Line.Valve1.Fault.@alarms.Position", FAULTED]),
        (NodeIdRef::string(2, "Line"), &[LEVEL, "Line.Valve1.Fault.@alarms.Position"]),
        (NodeIdRef::string(2, "Line.Tank"), &[LEVEL]),
        (NodeIdRef::string(2, "Line.Valve1"), &["Line.Valve1.Fault.@alarms.Position"]),
    ] {
        let mut one = Alarms::open(server.address, notifier);
        let mut seen = one.refresh(NodeIdRef::numeric(0, 2782));
        seen.sort_by(|a, b| a.condition.cmp(&b.condition));
        let names: Vec<&str> = seen.iter().map(|seen| seen.condition.as_str()).collect();
        assert_eq!(names, conditions, "{notifier:?}");
        for seen in &seen {
            let known = raised.iter().find(|raised| raised.condition == seen.condition).expect("it was raised");
            assert_eq!(seen, known, "the present event, with its EventId");
        }
    }
    let mut through_server = Alarms::open(server.address, NodeIdRef::numeric(0, 2253));
    assert_eq!(through_server.refresh(NodeIdRef::numeric(0, 2253)).len(), 3, "ObjectId Server is taken, too");
    let empty = client::try_hear(&mut client.session, NodeIdRef::string(2, "Empty"));
    assert!(empty.is_bad(), "an Object without alarms reports no events: {empty}");
}

#[test]
fn an_alarm_of_a_type_has_the_names_of_its_instance() {
    let server = TestServer::start(CELL);
    let mut client = Alarms::open(server.address, NodeIdRef::string(2, "Line.Valve1"));
    write(&mut client, "Line.Valve1.Fault", Value::Boolean(true));
    let raised = client.next();
    assert_eq!((raised.kind, raised.message.as_str()), (10637, "Valve1 is true"));
    assert_eq!(raised.condition, "Line.Valve1.Fault.@alarms.Position");
}

/// A delay runs in the server's own task.
#[test]
fn a_delay_and_a_shelving_end_without_a_sample() {
    let cell = CELL.replace("hysteresis: 1", "hysteresis: 1\n                delay: 300ms");
    let server = TestServer::start(&cell);
    let mut client = Alarms::open(server.address, NodeIdRef::numeric(0, 2253));
    let began = std::time::Instant::now();
    level(&mut client, 91.0);
    assert_eq!(client.next().active, Some(true));
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let shelve = NodeIdRef::numeric(0, 2949);
    let status = client.session.call_method(NodeIdRef::string(2, LEVEL), shelve, &[Value::Double(200.0)]).status_code;
    assert_eq!(status, StatusCode::Good);
    assert_eq!(client.next().shelving, "Timed Shelved");
    assert_eq!(client.next().shelving, "Unshelved");
}
