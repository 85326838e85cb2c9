//! Method service set: Call, and the methods of the Server object and of ConditionType.

use opcell::testing::stack::codec::{NodeIdRef, Writer};
use opcell::testing::stack::crypto::MessageSecurityMode::{None as Open, SignAndEncrypt};
use opcell::value::{BuiltIn, Elements, UaTime, Value};
use opcua::{
    Argument, AttributeId, ContentFilterElement, MethodId, MonitoringMode, ObjectId, ObjectTypeId, ReferenceTypeId,
    SessionDiagnosticsDataType, StatusCode, VariableId, Variant,
};
use testkit::interop::Field;
use testkit::login::Login;
use testkit::request::{self, browse, create_items, event_field, event_filter, filtered_item, item, method};
use testkit::server::{CELL, TestServer};
use testkit::ua::{Publication, Session};

const CLIENT: &str = "urn:test:method";
const VALUE: u32 = AttributeId::Value as u32;
const SERVER: ObjectId = ObjectId::Server;
const CONDITION_TYPE: ObjectTypeId = ObjectTypeId::ConditionType;
/// Methods whose first argument is a subscription.
const OF_SUBSCRIPTIONS: [(u32, MethodId, usize); 4] = [
    (2253, MethodId::Server_GetMonitoredItems, 1),
    (2253, MethodId::Server_ResendData, 1),
    (2782, MethodId::ConditionType_ConditionRefresh, 1),
    (2782, MethodId::ConditionType_ConditionRefresh2, 2),
];

fn node(name: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, name)
}

fn standard(number: u32) -> NodeIdRef<'static> {
    NodeIdRef::numeric(0, number)
}

fn localized(text: &str) -> Value {
    let mut w = Writer::new();
    w.variant_head(BuiltIn::LocalizedText);
    w.u8(2); // a text without a locale
    w.text(text);
    Value::Wire(w.buf.into())
}

/// Arguments of RequestServerStateChange: to shut down now.
fn shutdown() -> [Value; 5] {
    [Value::Int32(4), Value::DateTime(UaTime(0)), Value::UInt32(0), localized("maintenance"), Value::Boolean(false)]
}

/// Every way in which a call is wrong, one by one, has its own status (Part 4 §5.12.2.4, 1.05).
#[test]
fn each_mistake_in_a_call_has_its_own_status() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(1_000.0, 100, 10);
    let id = Value::UInt32(subscription);
    let ids = Value::array(Elements::UInt32(vec![subscription]));
    let get = standard(MethodId::Server_GetMonitoredItems as u32);
    let of_type = standard(MethodId::ServerType_GetMonitoredItems as u32);
    let (object, pump) = (standard(2253), node("Pump"));
    let one = std::slice::from_ref(&id);
    for (name, object, method, arguments, status) in [
        ("right", object, get, one, StatusCode::Good),
        ("by the declaration at its type", object, of_type, one, StatusCode::Good),
        ("unknown object", node("Nothing"), get, one, StatusCode::BadNodeIdUnknown),
        ("null object", NodeIdRef::NULL, get, one, StatusCode::BadNodeIdUnknown),
        ("object is a Variable", node("Pump.Number"), get, one, StatusCode::BadNodeIdInvalid),
        ("object is a Method", get, get, one, StatusCode::BadNodeIdInvalid),
        ("unknown method", object, node("Nothing"), one, StatusCode::BadMethodInvalid),
        ("null method", object, NodeIdRef::NULL, one, StatusCode::BadMethodInvalid),
        ("method is an Object", object, pump, one, StatusCode::BadMethodInvalid),
        ("method of another object", pump, get, one, StatusCode::BadMethodInvalid),
        ("method of a type that is not the object's", pump, of_type, one, StatusCode::BadMethodInvalid),
        // SetSubscriptionDurable is optional, and the Server object has none.
        ("method that the object does not have", object, standard(12_746), one, StatusCode::BadMethodInvalid),
        ("declaration, called on its type", standard(2004), of_type, one, StatusCode::BadNotExecutable),
        ("refresh on the Server object", object, standard(3875), one, StatusCode::BadNothingToDo),
        ("refresh on a subtype of ConditionType", standard(2881), standard(3875), one, StatusCode::BadMethodInvalid),
        ("no arguments", object, get, &[], StatusCode::BadArgumentsMissing),
        ("too many", object, get, &[id.clone(), id.clone()], StatusCode::BadTooManyArguments),
        ("wrong type", object, get, &[Value::Int32(1)], StatusCode::BadInvalidArgument),
        ("text", object, get, &[Value::text("1")], StatusCode::BadInvalidArgument),
        ("null", object, get, &[Value::Null], StatusCode::BadInvalidArgument),
        ("array in place of a scalar", object, get, &[ids], StatusCode::BadInvalidArgument),
        ("unknown subscription", object, get, &[Value::UInt32(!subscription)], StatusCode::BadSubscriptionIdInvalid),
    ] {
        let result = client.call_method(object, method, arguments);
        assert_eq!(result.status_code, status, "{name}");
        let expected = (status == StatusCode::BadInvalidArgument).then(|| vec![StatusCode::BadTypeMismatch]);
        assert_eq!(result.input_argument_results.filter(|all| !all.is_empty()), expected, "{name}");
        let outputs = result.output_arguments.unwrap_or_default().len();
        assert_eq!(outputs, if status.is_good() { 2 } else { 0 }, "{name}");
    }
    assert_eq!(client.call(request::call(Vec::new())).result, StatusCode::BadNothingToDo);
}

/// One wrong operation leaves the others as they are.
#[test]
fn operations_of_a_request_have_their_own_results() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(1_000.0, 100, 10);
    let get = |id: u32| method(SERVER, MethodId::Server_GetMonitoredItems, &[Value::UInt32(id)]);
    let three = request::call(vec![get(!subscription), get(subscription), method(SERVER, SERVER, &[])]);
    let results = client.ask(three).results.expect("results");
    let statuses: Vec<StatusCode> = results.iter().map(|result| result.status_code).collect();
    let expected = [StatusCode::BadSubscriptionIdInvalid, StatusCode::Good, StatusCode::BadMethodInvalid];
    assert_eq!(statuses, expected);
}

/// Arguments that end early, or an array that is longer than the message, are no request at all.
#[test]
fn a_call_that_ends_early_is_refused_as_a_whole() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    for (name, arguments) in [("missing", 2), ("more than the message holds", i32::MAX)] {
        let response = client.call_raw(ObjectId::CallRequest_Encoding_DefaultBinary, |w| {
            w.count(1);
            w.node_id(standard(2253));
            w.node_id(standard(11_492));
            w.i32(arguments);
            w.variant(&Value::UInt32(1));
        });
        assert_eq!(response.result, StatusCode::BadDecodingError, "{name}");
    }
    // A thousand bytes, of which each would be an array of arrays of arrays.
    let response = client.call_raw(ObjectId::CallRequest_Encoding_DefaultBinary, |w| {
        w.count(1);
        w.node_id(standard(2253));
        w.node_id(standard(11_492));
        w.count(1);
        for _ in 0..200 {
            w.variant_array_head(BuiltIn::Variant);
            w.count(1);
        }
        w.u8(0);
    });
    assert_eq!(response.result, StatusCode::BadEncodingLimitsExceeded);
}

/// A subscription of another session is refused for want of rights, one that is not there as such.
#[test]
fn subscriptions_of_other_sessions_are_refused() {
    let field = Field::open(CLIENT);
    let opal = Login { client: &field.client, mode: SignAndEncrypt, user: Some("opal") };
    let (mut owner, mut other) = (opal.open(&field), opal.open(&field));
    let subscription = owner.subscribe(1_000.0, 100, 10);
    for (object, method, count) in OF_SUBSCRIPTIONS {
        let arguments = |id: u32| vec![Value::UInt32(id); count];
        let mut call = |id: u32| other.call_method(standard(object), method, &arguments(id)).status_code;
        // A refresh has no other status (Part 9 §5.5.7, Table 14, 1.05).
        let of_other = match object {
            2782 => StatusCode::BadSubscriptionIdInvalid,
            _ => StatusCode::BadUserAccessDenied,
        };
        assert_eq!(call(subscription), of_other, "{method:?}");
        assert_eq!(call(!subscription), StatusCode::BadSubscriptionIdInvalid, "{method:?}");
        let own = owner.call_method(standard(object), method, &arguments(subscription)).status_code;
        assert_ne!(own, StatusCode::BadUserAccessDenied, "{method:?}");
    }
    owner.ask(request::delete_subscriptions(&[subscription]));
    let gone = owner.call_method(SERVER, MethodId::Server_ResendData, &[Value::UInt32(subscription)]);
    assert_eq!(gone.status_code, StatusCode::BadSubscriptionIdInvalid, "after its end");
}

fn handles(outputs: &[Variant]) -> Vec<Vec<u32>> {
    let number = |value: &Variant| if let Variant::UInt32(number) = value { *number } else { panic!("{value:?}") };
    let numbers = |output: &Variant| {
        let Variant::Array(array) = output else { panic!("{output:?}") };
        array.values.iter().map(number).collect()
    };
    outputs.iter().map(numbers).collect()
}

/// Items of every kind are listed: of tags, of the server's own variables, of attributes, of events; whatever their mode.
#[test]
fn get_monitored_items_lists_items_of_every_kind() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(1_000.0, 100, 10);
    let ask = |client: &mut Session| {
        let result = client.call_method(SERVER, MethodId::Server_GetMonitoredItems, &[Value::UInt32(subscription)]);
        assert_eq!(result.status_code, StatusCode::Good);
        handles(&result.output_arguments.expect("outputs"))
    };
    assert_eq!(ask(&mut client), [Vec::<u32>::new(), Vec::new()], "none yet");
    let fields = vec![event_field(ObjectTypeId::BaseEventType as u32, "Message")];
    let made = client.ask(create_items(
        subscription,
        vec![
            item(node("Pump.Number"), VALUE, 40, 0.0, 1),
            item(VariableId::Server_ServerStatus_CurrentTime, VALUE, 30, 0.0, 1),
            item(node("Pump"), AttributeId::DisplayName as u32, 20, 0.0, 1),
            filtered_item(SERVER, AttributeId::EventNotifier as u32, 10, (0.0, 1), event_filter(fields, None)),
            item(node("Pump.Name"), VALUE, 40, 0.0, 1),
        ],
    ));
    let ids: Vec<u32> = made.results.expect("results").iter().map(|made| made.monitored_item_id).collect();
    client.ask(request::set_mode(subscription, MonitoringMode::Disabled, &ids[..1]));
    let found = ask(&mut client);
    assert_eq!(found, [ids.clone(), vec![40, 30, 20, 10, 40]]);
    client.ask(request::delete_items(subscription, &ids[1..3]));
    assert_eq!(ask(&mut client), [vec![ids[0], ids[3], ids[4]], vec![40, 10, 40]]);
}

fn numbers(publication: &Publication) -> Vec<(u32, Option<Value>)> {
    let mut all: Vec<_> = publication.data.iter().map(|(handle, value)| (*handle, value.value.clone())).collect();
    all.sort_by_key(|(handle, _)| *handle);
    all
}

/// The last value of a reporting item comes once more; where newer ones wait in its queue, these alone.
#[test]
fn resend_data_repeats_values_and_doubles_none() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(50.0, 1_000, 100);
    let items = [(node("Pump.Number"), 1), (node("Pump.Setpoint"), 2), (node("Pump.Name"), 3), (node("Pump.Fixed"), 4)];
    let made = client.monitor(subscription, &items, 0.0, 10);
    client.ask(request::set_mode(subscription, MonitoringMode::Sampling, &[made[2].1]));
    assert_eq!(client.next_data().data.len(), 3, "the first values");

    let resend = |client: &mut Session| {
        let result = client.call_method(SERVER, MethodId::Server_ResendData, &[Value::UInt32(subscription)]);
        assert_eq!((result.status_code, result.output_arguments.unwrap_or_default().len()), (StatusCode::Good, 0));
    };
    resend(&mut client);
    let again = client.next_data();
    let (fixed, five) = (Some(Value::text("FC3")), Some(Value::Int32(5)));
    let expected = [(1, five.clone()), (2, Some(Value::Double(100.0))), (4, fixed.clone())];
    assert_eq!(numbers(&again), expected, "what did not change");

    // Without a Publish request both new values wait.
    assert_eq!(client.write(node("Pump.Setpoint"), &Value::Double(101.0)), StatusCode::Good);
    assert_eq!(client.write(node("Pump.Setpoint"), &Value::Double(102.0)), StatusCode::Good);
    resend(&mut client);
    resend(&mut client);
    let mixed = client.next_data();
    let expected = [(1, five), (2, Some(Value::Double(101.0))), (2, Some(Value::Double(102.0))), (4, fixed)];
    assert_eq!(numbers(&mixed), expected, "newer ones in their order, and no value twice");
    let keep_alive = client.ask(request::set_mode(subscription, MonitoringMode::Reporting, &[made[2].1]));
    assert_eq!(keep_alive.results, Some(vec![StatusCode::Good]));
    assert_eq!(numbers(&client.next_data()), [(3, Some(Value::text("press")))], "nothing else was left");
}

/// Fields of the events that a refresh is told with.
const REFRESH_FIELDS: [&str; 3] = ["EventType", "EventId", "SourceName"];

fn listener(handle: u32, only: Option<ContentFilterElement>) -> opcua::MonitoredItemCreateRequest {
    let fields = REFRESH_FIELDS.map(|name| event_field(ObjectTypeId::BaseEventType as u32, name)).to_vec();
    filtered_item(SERVER, AttributeId::EventNotifier as u32, handle, (0.0, 10), event_filter(fields, only))
}

/// Client handle and type of each event, in the order of the message.
fn refreshed(publication: &Publication) -> Vec<(u32, Value)> {
    publication.events.iter().map(|(handle, fields)| (*handle, fields[0].clone())).collect()
}

fn type_id(kind: ObjectTypeId) -> Value {
    let mut w = Writer::new();
    w.variant_head(BuiltIn::NodeId);
    w.node_id(standard(kind as u32));
    Value::Wire(w.buf.into())
}

/// Without conditions a refresh is its begin and its end, for every item that listens, whatever its where-clause
/// (Part 9 §5.5.7 and §4.5, 1.05).
#[test]
fn a_refresh_of_conditions_begins_and_ends() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(50.0, 1_000, 100);
    let id = Value::UInt32(subscription);
    let one = std::slice::from_ref(&id);
    client.monitor(subscription, &[(node("Pump.Fixed"), 9)], 0.0, 1);
    let none = client.call_method(CONDITION_TYPE, MethodId::ConditionType_ConditionRefresh, one);
    assert_eq!(none.status_code, StatusCode::BadNothingToDo, "no item listens for events");

    let only = request::of_type(ObjectTypeId::DeviceFailureEventType as u32);
    let made = client.ask(create_items(subscription, vec![listener(1, None), listener(2, Some(only))]));
    let ids: Vec<u32> = made.results.expect("results").iter().map(|made| made.monitored_item_id).collect();
    let done = client.call_method(CONDITION_TYPE, MethodId::ConditionType_ConditionRefresh, one);
    assert_eq!(done.status_code, StatusCode::Good);
    let mut events = Vec::new();
    while events.len() < 4 {
        events.extend(client.publish(&[]).expect("a message").events);
    }
    let (start, end) = (type_id(ObjectTypeId::RefreshStartEventType), type_id(ObjectTypeId::RefreshEndEventType));
    for handle in [1, 2] {
        let own: Vec<&Vec<Value>> = events.iter().filter(|(of, _)| *of == handle).map(|(_, fields)| fields).collect();
        assert_eq!(own.iter().map(|fields| &fields[0]).collect::<Vec<_>>(), [&start, &end], "item {handle}");
        assert!(own.iter().all(|fields| fields[2] == Value::text("Server")), "item {handle}");
    }
    let id_of = |kind: &Value| {
        let all: Vec<&Value> = events.iter().filter(|(_, f)| f[0] == *kind).map(|(_, fields)| &fields[1]).collect();
        assert_eq!(all[0], all[1], "copies have the same EventId");
        all[0].clone()
    };
    assert_ne!(id_of(&start), id_of(&end));

    let refresh = |client: &mut Session, item: u32| {
        let arguments = [id.clone(), Value::UInt32(item)];
        client.call_method(CONDITION_TYPE, MethodId::ConditionType_ConditionRefresh2, &arguments).status_code
    };
    assert_eq!(refresh(&mut client, 77), StatusCode::BadMonitoredItemIdInvalid, "unknown");
    assert_eq!(refresh(&mut client, ids[0] - 1), StatusCode::BadMonitoredItemIdInvalid, "an item of data");
    assert_eq!(refresh(&mut client, ids[1]), StatusCode::Good);
    let publication = loop {
        let publication = client.publish(&[]).expect("a message");
        if !publication.events.is_empty() {
            break publication;
        }
    };
    assert_eq!(refreshed(&publication), [(2, start), (2, end)], "one item alone");
}

/// The standard's nodeset lets ConfigureAdmin and SecurityAdmin call it, over a secured channel; no state is accepted.
#[test]
fn a_change_of_the_server_s_state_is_refused_to_all() {
    let field = Field::open(CLIENT);
    let state_change = MethodId::Server_RequestServerStateChange;
    let server = &field.server().server;
    let old = server.users.accounts();
    let mut users = old.users.clone();
    users.get_mut("opal").expect("a user").roles =
        [opcell::testing::model::Role::CONFIGURE_ADMIN].into_iter().collect();
    server.take_accounts(opcell::testing::model::Accounts { users, ..opcell::testing::model::Accounts::clone(&old) });
    let open = |mode, user| Login { client: &field.client, mode, user }.open(&field);
    for (name, mut session, status, may) in [
        ("an operator", open(SignAndEncrypt, Some("otto")), StatusCode::BadUserAccessDenied, false),
        ("anonymous", open(Open, None), StatusCode::BadUserAccessDenied, false),
        ("an administrator, unsecured", open(Open, Some("opal")), StatusCode::BadSecurityModeInsufficient, true),
        ("an administrator", open(SignAndEncrypt, Some("opal")), StatusCode::BadInvalidState, true),
    ] {
        assert_eq!(session.call_method(SERVER, state_change, &shutdown()).status_code, status, "{name}");
        let read = session.read(&[(state_change, 21), (state_change, 22)]);
        let shown = [&read[0].value, &read[1].value];
        assert_eq!(shown, [&Some(Value::Boolean(true)), &Some(Value::Boolean(may))], "{name}");
    }
    // Each argument has its status.
    let mut session = open(SignAndEncrypt, Some("opal"));
    let (good, mismatch) = (StatusCode::Good, StatusCode::BadTypeMismatch);
    for (at, value, status) in [
        (0, Value::Int32(8), StatusCode::BadOutOfRange),
        (0, Value::Int32(-1), StatusCode::BadOutOfRange),
        (0, Value::UInt32(4), mismatch),
        (1, Value::Int64(0), mismatch),
        (2, Value::Null, mismatch),
        (3, Value::text("now"), mismatch),
        (4, Value::Byte(1), mismatch),
    ] {
        let mut arguments = shutdown();
        arguments[at] = value;
        let result = session.call_method(SERVER, state_change, &arguments);
        let mut expected = vec![good; 5];
        expected[at] = status;
        assert_eq!(result.status_code, StatusCode::BadInvalidArgument, "argument {at}");
        assert_eq!(result.input_argument_results, Some(expected), "argument {at}");
    }
    let mut nulls = shutdown();
    (nulls[1], nulls[3]) = (Value::Null, Value::Null);
    let result = session.call_method(SERVER, state_change, &nulls);
    assert_eq!(result.status_code, StatusCode::BadInvalidState, "no time and no reason");
}

/// Browsing finds the methods below their objects, with their arguments.
#[test]
fn methods_are_found_with_their_arguments() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let mut children = |id: NodeIdRef<'_>, kind: ReferenceTypeId| -> Vec<(String, opcua::NodeId)> {
        let results = client.ask(browse(&[id], kind, 0)).results.expect("results");
        let references = results[0].references.clone().unwrap_or_default().into_iter();
        references.map(|found| (found.browse_name.name.to_string(), found.node_id.node_id)).collect()
    };
    let below = children(standard(2253), ReferenceTypeId::HasComponent);
    let mut found = Vec::new();
    for name in ["GetMonitoredItems", "ResendData", "RequestServerStateChange"] {
        let (_, id) = below.iter().find(|(of, _)| of == name).expect(name);
        let number = id.as_u32().expect("a number");
        found.push((name, number, children(standard(number), ReferenceTypeId::HasProperty)));
    }
    assert!(below.iter().all(|(name, _)| name != "SetSubscriptionDurable"));
    let arguments = |client: &mut Session, id: &opcua::NodeId| -> Vec<String> {
        let read = client.read_value(id.clone()).value.expect("arguments");
        let Variant::Array(array) = request::variant(&read) else { panic!("{read:?}") };
        let name = |variant: &Variant| match variant {
            Variant::ExtensionObject(object) => object.inner_as::<Argument>().expect("an Argument").name.to_string(),
            other => panic!("{other:?}"),
        };
        array.values.iter().map(name).collect()
    };
    for (name, number, properties) in found {
        let of = |wanted: &str| properties.iter().find(|(of, _)| of == wanted).map(|(_, id)| id.clone());
        let inputs = arguments(&mut client, &of("InputArguments").expect("InputArguments"));
        let outputs = of("OutputArguments").map(|id| arguments(&mut client, &id));
        let state = ["State", "EstimatedReturnTime", "SecondsTillShutdown", "Reason", "Restart"];
        let expected = if name == "RequestServerStateChange" { &state[..] } else { &["SubscriptionId"] };
        assert_eq!(inputs, expected, "{name}");
        let expected = (name == "GetMonitoredItems").then(|| vec!["ServerHandles", "ClientHandles"]);
        assert_eq!(outputs, expected.map(|all| all.into_iter().map(str::to_owned).collect()), "{name}");
        let read = client.read(&[(standard(number), 21)]);
        assert_eq!(read[0].value, Some(Value::Boolean(true)), "{name}");
    }
    // A method that a type only declares is not executable.
    let declared = client.read(&[(standard(11_489), 21), (standard(11_489), 22), (standard(3875), 22)]);
    let values: Vec<_> = declared.into_iter().map(|read| read.value).collect();
    assert_eq!(values, [false, false, true].map(|value| Some(Value::Boolean(value))));
}

/// CallCount of the session diagnostics counts requests, those that failed as a whole among them.
#[test]
fn calls_are_counted_in_the_session_diagnostics() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    client.call_method(SERVER, MethodId::Server_ResendData, &[Value::UInt32(1)]);
    client.call(request::call(Vec::new()));
    let array = VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray;
    let read = client.read_value(array).value.expect("an array");
    let Variant::Array(sessions) = request::variant(&read) else { panic!("{read:?}") };
    let Variant::ExtensionObject(session) = &sessions.values[0] else { panic!("{sessions:?}") };
    let session = session.inner_as::<SessionDiagnosticsDataType>().expect("session diagnostics");
    assert_eq!((session.call_count.total_count, session.call_count.error_count), (2, 1));
}
