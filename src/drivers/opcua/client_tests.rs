//! State of a client that it keeps or forgets with its session, without a server.

use std::time::{Duration, Instant};

use opcua::StatusCode;

use super::client::{Client, Config};
use super::items::Made;
use super::points::Point;
use super::publish::{Arrived, Notifications};
use super::resolve::Resolution;
use super::session::{ItemState, Last, Session};
use super::settings::{OpcUa, OpcUaPoint};
use super::url::Url;
use crate::drivers::contract::LinkError;
use crate::drivers::driver::PointOf;
use crate::drivers::plan::PointPlan;
use crate::stack::codec::{DataValue, Writer};
use crate::value::{Elements, Hidden, UaTime, Value};

const NODES: u32 = 3;

fn node(id: u32) -> Resolution {
    Resolution::Node([0, u8::try_from(id).expect("small")].as_slice().into())
}

/// A client with some points, that has no line.
pub(super) fn client() -> Client {
    let settings = serde_json::json!({ "url": "opc.tcp://x:4840", "user": "opal", "password": "secret" });
    let settings: OpcUa = serde_json::from_value(settings).expect("settings");
    let url = Url { host: "x".to_owned(), port: 4840, text: settings.url.clone() };
    let points = (0..NODES).map(|tag| {
        let plan = PointPlan { address: format!("ns=1;i={tag}"), ..PointPlan::sample(tag) };
        Point::new(PointOf { plan: &plan, keys: &OpcUaPoint::default() }, &settings)
    });
    let points = points.collect();
    let timeout = Duration::from_millis(500);
    Client::new(Config { settings, url, name: "peer".to_owned(), timeout, identity: None }, None, points)
}

fn session() -> Session {
    Session::new(Hidden(vec![0, 1]), Hidden(Vec::new()), Duration::from_secs(30))
}

/// The client has an open session, and finds these nodes for its points.
fn resume(client: &mut Client, nodes: [u32; NODES as usize]) {
    let now = Instant::now();
    client.resumed(now).expect("a session");
    resolve(client, nodes);
}

fn resolve(client: &mut Client, nodes: [u32; NODES as usize]) {
    for (point, id) in client.points.iter_mut().zip(nodes) {
        point.resolution = Some(node(id));
    }
    client.make_items(Instant::now());
}

/// The server has made each item that it was asked for.
fn make(client: &mut Client) {
    let session = client.session.as_mut().expect("a session");
    for one in &mut session.subscriptions {
        let every = Duration::from_millis(500);
        one.made(Made { id: 7, every, keep_alive: every }, Instant::now());
    }
    for (id, item) in (100..).zip(&mut session.items) {
        if item.state == ItemState::New {
            item.state = ItemState::Live(id);
        }
    }
}

/// A client whose items are all there.
pub(super) fn monitoring() -> Client {
    let mut client = client();
    client.session = Some(session());
    resume(&mut client, [1, 2, 3]);
    make(&mut client);
    client
}

/// Points whose items the present session has.
fn monitored(client: &Client) -> usize {
    let items = &client.session.as_ref().expect("a session").items;
    let has = |at: u32, point: &Point| point.item.is_some_and(|item| items[item as usize].point == Some(at));
    (0..).zip(&client.points).filter(|(at, point)| has(*at, point)).count()
}

fn read(value: Value) -> DataValue {
    DataValue { value: Some(value), ..DataValue::default() }
}

fn facts(started: i64) -> [DataValue; 5] {
    let names = Elements::String(vec!["http://opcfoundation.org/UA/".into(), "urn:m".into()]);
    let zero = || read(Value::UInt32(0));
    [read(Value::array(names)), read(Value::DateTime(UaTime(started))), zero(), zero(), zero()]
}

#[test]
fn each_new_session_gets_an_item_for_each_point() {
    for end in ["another start of the server", "a goodbye", "a connect that was given up"] {
        let mut client = monitoring();
        assert_eq!(monitored(&client), 3);
        match end {
            "another start of the server" => {
                client.facts(&facts(1)).expect("the first start");
                let error = client.facts(&facts(2)).expect_err("another start");
                assert!(error.to_string().contains("started again"), "{error}");
                let known = |point: &Point| point.item.is_some() || point.resolution.is_some();
                assert!(!client.points.iter().any(known), "{end}");
            }
            "a goodbye" => client.forget_session(),
            _ => client.session = None,
        }
        client.session = Some(session());
        resume(&mut client, [1, 2, 3]);
        assert_eq!(monitored(&client), 3, "{end}");
    }
}

#[test]
fn a_session_that_is_resumed_or_inherits_keeps_its_items() {
    let mut client = monitoring();
    resume(&mut client, [1, 2, 3]);
    let old = client.session.take().expect("a session");
    let mut new = session();
    new.inherit(old);
    client.session = Some(new);
    resume(&mut client, [1, 2, 3]);
    let items = &client.session.as_ref().expect("a session").items;
    let states: Vec<ItemState> = items.iter().map(|item| item.state).collect();
    assert_eq!(states, [100, 101, 102].map(ItemState::Live));
    assert_eq!(monitored(&client), 3);
}

#[tokio::test]
async fn a_request_whose_time_is_over_is_not_sent() {
    let mut client = monitoring();
    let limit = client.config.timeout;
    let asked = client.ask_until(Instant::now(), limit, |_, _| Err(StatusCode::BadUnexpectedError)).await;
    assert!(matches!(asked, Err(LinkError::Timeout { waited_ms: 500, usable: true })), "{asked:?}");
}

#[test]
fn the_name_of_a_user_is_not_said() {
    for code in [StatusCode::BadIdentityTokenRejected, StatusCode::BadUserAccessDenied, StatusCode::BadInternalError] {
        let said = client().login_refused(code).to_string();
        assert!(said.contains(&code.to_string()) && !said.contains("opal"), "{said}");
    }
}

fn states(client: &Client) -> Vec<ItemState> {
    client.session.as_ref().expect("a session").items.iter().map(|item| item.state).collect()
}

#[test]
fn an_item_is_made_again_where_its_point_has_another_node() {
    let mut client = monitoring();
    client.resumed(Instant::now()).expect("a session");
    client.points[2].resolution =
        Some(Resolution::Absent { status: StatusCode::BadNoMatch, why: "the server has none".to_owned() });
    (client.points[0].resolution, client.points[1].resolution) = (Some(node(1)), Some(node(9)));
    client.make_items(Instant::now());
    let session = client.session.as_ref().expect("a session");
    let items: Vec<Option<u32>> = session.items.iter().map(|item| item.point).collect();
    assert_eq!(items, [Some(0), None, None, Some(1)], "the items of the second and third point are deleted");
    assert_eq!(&*session.items[3].node, [0, 9]);
    assert_eq!(states(&client)[3], ItemState::New);
    assert_eq!([0, 1, 2].map(|at| client.points[at].item), [Some(0), Some(3), None]);
}

#[test]
fn an_item_without_a_node_is_made_again_in_its_place() {
    let mut client = monitoring();
    for (item, status) in [(0, StatusCode::BadNodeIdUnknown), (1, StatusCode::BadNoCommunication)] {
        let value = DataValue { status: Some(status), ..DataValue::default() };
        client.session.as_mut().expect("a session").items[item].last = Some(Last::of(&value));
    }
    client.look_for_absent(Instant::now());
    assert_eq!(states(&client), [ItemState::Stale(100), ItemState::Live(101), ItemState::Live(102)]);
    let known: Vec<bool> = client.points.iter().map(|point| point.resolution.is_some()).collect();
    assert_eq!((known, client.is_settled), (vec![false, true, true], false));
    resolve(&mut client, [1, 2, 3]);
    assert_eq!(states(&client).len(), 3, "no further place");
    assert!(client.delete_items().is_some());
    assert_eq!(states(&client)[0], ItemState::New);
    make(&mut client);
    // The second time its path leads elsewhere.
    client.look_for_absent(Instant::now());
    resolve(&mut client, [8, 2, 3]);
    let session = client.session.as_ref().expect("a session");
    assert_eq!((session.items[0].point, &*session.items[3].node), (None, &[0, 8][..]));
}

#[test]
fn a_large_message_is_taken_in_slices() {
    const COUNT: u32 = 2_000;
    let mut client = monitoring();
    let handle = client.session.as_ref().expect("a session").first_handle;
    let mut out = Writer::new();
    out.count(2);
    for part in 0..2 {
        out.extension_object(811, |out| {
            out.count(COUNT as usize);
            for number in 0..COUNT {
                out.u32(handle);
                out.data_value(&Value::UInt32(part * COUNT + number), StatusCode::Good, None, None);
            }
            out.null_array();
        });
    }
    client.arrived.push_back(Arrived::Message { place: 0, notifications: Notifications::new(&out.buf) });
    let mut slices = Vec::new();
    loop {
        let is_more = client.take_some(512).expect("no fault");
        slices.push(client.samples.drain(..).count());
        if !is_more {
            break;
        }
    }
    assert_eq!(slices.iter().sum::<usize>(), 2 * COUNT as usize, "{slices:?}");
    assert!(slices.iter().all(|count| *count <= 512), "{slices:?}");
}
