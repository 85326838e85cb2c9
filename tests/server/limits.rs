//! Limits that the server advertises, each reached and then exceeded by one.

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::{
    AttributeId, BrowseDescription, BrowseDirection, MethodId, MonitoredItemCreateResult, NodeId, ObjectId,
    RegisterNodesRequest, StatusCode, VariableId,
};
use testkit::request::{
    self, ToNodeId, browse, browse_next, browse_of, browse_path, create_items, create_subscription,
    delete_subscriptions, item, method, publish, read, translate, write,
};
use testkit::server::{CELL, TestServer};
use testkit::ua::{Session, unsecured};

const VALUE: u32 = AttributeId::Value as u32;

fn number() -> NodeIdRef<'static> {
    NodeIdRef::string(2, "Pump.Number")
}

/// Asks a service for `count` operations on the same thing.
type Ask = fn(&mut Session, usize) -> StatusCode;

const READ: Ask =
    |client, count| client.call(read(&vec![(VariableId::Server_ServerStatus_State, VALUE); count])).result;
const WRITE: Ask = |client, count| client.call(write(&vec![(number(), None, &Value::Int32(7)); count])).result;
const BROWSE: Ask = |client, count| client.call(browse(&vec![number(); count], NodeId::null(), 0)).result;
const REGISTER: Ask = |client, count| {
    let nodes = vec![VariableId::Server_ServerStatus_State.to_node_id(); count];
    client.call(RegisterNodesRequest { nodes_to_register: Some(nodes), ..RegisterNodesRequest::default() }).result
};
const TRANSLATE: Ask =
    |client, count| client.call(translate(vec![browse_path(ObjectId::ObjectsFolder, [(0, "Server")]); count])).result;
const CALL: Ask = |client, count| {
    let resend = method(ObjectId::Server, MethodId::Server_ResendData, &[Value::UInt32(77)]);
    client.call(request::call(vec![resend; count])).result
};
const CREATE_ITEMS: Ask = |client, count| {
    let subscription = client.subscribe(1_000.0, 100, 10);
    let status = client.call(create_items(subscription, vec![item(number(), VALUE, 1, 0.0, 10); count])).result;
    client.ask(delete_subscriptions(&[subscription]));
    status
};

/// As many operations as are advertised are served, and one more is Bad_TooManyOperations.
#[test]
fn each_advertised_number_of_operations_is_reachable_and_one_more_is_refused() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    for (name, limit, call) in [
        ("MaxNodesPerRead", VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead, READ),
        ("MaxNodesPerWrite", VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite, WRITE),
        ("MaxNodesPerBrowse", VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse, BROWSE),
        (
            "MaxNodesPerRegisterNodes",
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes,
            REGISTER,
        ),
        (
            "MaxNodesPerTranslateBrowsePathsToNodeIds",
            VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
            TRANSLATE,
        ),
        (
            "MaxMonitoredItemsPerCall",
            VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
            CREATE_ITEMS,
        ),
        ("MaxNodesPerMethodCall", VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall, CALL),
    ] {
        let Some(Value::UInt32(most)) = client.read_value(limit).value else { panic!("{name}") };
        assert_eq!(most, if name == "MaxNodesPerMethodCall" { 1_000 } else { 10_000 }, "{name}");
        let most = most as usize;
        assert_eq!(call(&mut client, most), StatusCode::Good, "{name}");
        assert_eq!(call(&mut client, most + 1), StatusCode::BadTooManyOperations, "{name}");
        assert_eq!(call(&mut client, 0), StatusCode::BadNothingToDo, "{name}");
    }
}

/// The other advertised limits, small ones: each is reachable, and one more gets its own code.
#[test]
fn each_advertised_number_of_things_is_reachable_and_one_more_is_refused() {
    let server = TestServer::with(CELL, None, |limits, _| {
        let configured = &mut limits.configured;
        configured.max_sessions = 3;
        configured.max_subscriptions = 4;
        configured.max_subscriptions_per_session = 3;
        configured.max_monitored_items = 6;
        configured.max_items_per_subscription = 4;
        configured.max_queue = 5;
        limits.browse_continuation_points = 2;
    });
    let mut client = Session::open(server.address);
    for (name, variable, most) in [
        ("MaxSessions", VariableId::Server_ServerCapabilities_MaxSessions, 3),
        ("MaxSubscriptions", VariableId::Server_ServerCapabilities_MaxSubscriptions, 4),
        ("MaxMonitoredItems", VariableId::Server_ServerCapabilities_MaxMonitoredItems, 6),
        ("MaxSubscriptionsPerSession", VariableId::Server_ServerCapabilities_MaxSubscriptionsPerSession, 3),
        ("MaxMonitoredItemsPerSubscription", VariableId::Server_ServerCapabilities_MaxMonitoredItemsPerSubscription, 4),
        ("MaxMonitoredItemsQueueSize", VariableId::Server_ServerCapabilities_MaxMonitoredItemsQueueSize, 5),
    ] {
        assert_eq!(client.read_value(variable).value, Some(Value::UInt32(most)), "{name}");
    }
    assert_eq!(
        client.read_value(VariableId::Server_ServerCapabilities_MaxBrowseContinuationPoints).value,
        Some(Value::UInt16(2))
    );

    let mut second = Session::open(server.address);
    let _third = Session::open(server.address);
    let mut fourth = Session::connect(server.address, unsecured()).expect("a channel");
    assert_eq!(fourth.create("urn:test:client", b"").result, StatusCode::BadTooManySessions);

    let create = |client: &mut Session| client.call(create_subscription(1_000.0, 100, 10));
    let mut made: Vec<u32> = (0..3).map(|_| create(&mut client).good().u32().expect("an id")).collect();
    assert_eq!(create(&mut client).result, StatusCode::BadTooManySubscriptions, "a fourth of one session");
    made.push(create(&mut second).good().u32().expect("an id"));
    assert_eq!(create(&mut second).result, StatusCode::BadTooManySubscriptions, "a fifth of the server");

    let mut monitor = |subscription: u32| -> MonitoredItemCreateResult {
        let greedy = vec![item(number(), VALUE, 1, 0.0, 1_000)];
        client.ask(create_items(subscription, greedy)).results.expect("results").remove(0)
    };
    for n in 0..4 {
        let made = monitor(made[0]);
        assert_eq!((made.status_code, made.revised_queue_size), (StatusCode::Good, 5), "item {n}");
    }
    let full = StatusCode::BadTooManyMonitoredItems;
    assert_eq!(monitor(made[0]).status_code, full, "a fifth of one subscription");
    assert_eq!(monitor(made[1]).status_code, StatusCode::Good);
    assert_eq!(monitor(made[1]).status_code, StatusCode::Good);
    assert_eq!(monitor(made[1]).status_code, full, "a seventh of the server");

    let mut browse = || {
        let server = BrowseDescription {
            node_id: ObjectId::Server.into(),
            browse_direction: BrowseDirection::Both,
            include_subtypes: true,
            ..BrowseDescription::default()
        };
        client.ask(browse_of(vec![server], 1)).results.expect("results").remove(0)
    };
    // A request that needs a continuation point frees the oldest one of an earlier request (Part 4 §7.9, 1.05).
    let got: Vec<_> = (0..3).map(|_| browse()).collect();
    assert!(got.iter().all(|result| result.status_code == StatusCode::Good), "{got:?}");
    let next = [2, 1, 0].map(|at| {
        let point = got[at].continuation_point.value.clone().expect("a continuation point");
        client.ask(browse_next(false, &[&point])).results.expect("results")[0].status_code
    });
    assert_eq!(next, [StatusCode::Good, StatusCode::Good, StatusCode::BadContinuationPointInvalid]);
}

/// No more Publish requests are queued than allowed; the oldest is answered (Part 4 §5.14.5).
#[test]
fn a_publish_request_too_many_ends_the_oldest() {
    let server = TestServer::with(CELL, None, |limits, _| limits.publish_requests = 3);
    let mut client = Session::open(server.address);
    client.subscribe(60_000.0, 100, 10);
    let first = client.send(publish(&[])).expect("sent");
    for _ in 0..3 {
        client.send(publish(&[])).expect("sent");
    }
    client.client.flush().expect("sent");
    let answer = client.receive().expect("an answer");
    assert_eq!((answer.handle, answer.result), (first, StatusCode::BadTooManyPublishRequests));
}
