//! Rights that change under an open session, and what roles and namespaces show.

use std::collections::BTreeMap;
use std::time::Instant;

use opcell::testing::stack::codec::{DataValue, Reader, Writer};
use opcell::testing::ua::events::Event;
use opcell::testing::ua::services::{Context, Request, RequestHeader, ResponseHead, monitored_item};
use opcell::value::{Moment, UaTime, Value};
use opcua::{BrowseDescription, BrowseDirection, BrowseResultMask, CreateMonitoredItemsRequest, StatusCode};
use testkit::interop;
use testkit::request::{self, ToNodeId, create_items, encode, item};
use testkit::server::TestServer;
use testkit::ua::{Session, TIMEOUT};

use super::people;
use super::people::find;
use super::probe::{answer, id, permissions};

const RECEIVE_EVENTS: u32 = 1 << 11;

/// CreateMonitoredItems on values and attributes; handles count from 0.
fn items(subscription: u32, items: &[(&str, u32)]) -> CreateMonitoredItemsRequest {
    let items = (0..).zip(items).map(|(handle, (node, attribute))| item(id(node), *attribute, handle, 0.0, 5));
    create_items(subscription, items.collect())
}

fn listen(session: &mut Session, wanted: &[(&str, u32)]) -> u32 {
    let subscription = session.subscribe(20.0, 1000, 1000);
    let made = session.ask(items(subscription, wanted)).results.expect("results");
    assert_eq!((made.len(), made[0].status_code), (wanted.len(), StatusCode::Good));
    subscription
}

/// Publishes until each of these handles brought something; the last of each.
fn heard(session: &mut Session, handles: &[u32]) -> BTreeMap<u32, DataValue> {
    let (mut heard, began) = (BTreeMap::new(), Instant::now());
    while !handles.iter().all(|handle| heard.contains_key(handle)) {
        assert!(began.elapsed() < TIMEOUT, "only {:?} of {handles:?} say something", heard.keys());
        heard.extend(session.publish(&[]).expect("a message").data);
    }
    heard
}

fn status(value: &DataValue) -> StatusCode {
    value.status.unwrap_or_default()
}

fn republish(session: &mut Session, subscription: u32, sequence: u32) -> StatusCode {
    session.call(request::republish(subscription, sequence)).result
}

/// The first page of what lies below a node: its continuation point.
fn begin_browse(session: &mut Session, node: &str) -> Vec<u8> {
    let both = BrowseDescription {
        node_id: id(node).to_node_id(),
        browse_direction: BrowseDirection::Both,
        include_subtypes: true,
        result_mask: BrowseResultMask::All as u32,
        ..BrowseDescription::default()
    };
    let result = session.ask(request::browse_of(vec![both], 1)).results.expect("results").remove(0);
    assert_eq!(result.status_code, StatusCode::Good);
    result.continuation_point.value.expect("a point")
}

fn go_on(session: &mut Session, point: &[u8]) -> StatusCode {
    session.ask(request::browse_next(false, &[point])).results.expect("results")[0].status_code
}

/// Part 4 §5.13.2.1 (1.05): rights that are taken away silence an item, rights that come back let it speak.
#[test]
fn a_session_with_another_user_keeps_nothing_of_the_first_user() {
    let field = people::open();
    let (engineer, operator) = (find("engineer"), find("operator"));
    let mut writer = engineer.come(&field);
    let mut session = engineer.come(&field);
    let subscription = listen(&mut session, &[("2;Line.Station.Leaf", 13), ("2;Level", 13), ("2;Level", 25)]);
    let first = heard(&mut session, &[0, 1, 2]);
    assert!(first.values().all(|value| status(value).is_good()));
    let point = begin_browse(&mut session, "2;Line");
    let other = begin_browse(&mut session, "2;Line");
    assert_eq!(republish(&mut session, subscription, 1), StatusCode::Good);

    operator.activate(&mut session, &field).good();
    let now = heard(&mut session, &[0, 2]);
    assert_eq!((status(&now[&0]), &now[&0].value), (StatusCode::BadNodeIdUnknown, &None), "as if it were gone");
    assert_ne!(now[&2].value, first[&2].value, "UserRolePermissions are the new user's");
    assert_eq!(republish(&mut session, subscription, 1), StatusCode::BadMessageNotAvailable);
    assert_eq!(go_on(&mut session, &point), StatusCode::BadContinuationPointInvalid);
    assert_eq!(writer.write(id("2;Line.Station.Leaf"), &Value::Double(7.0)), StatusCode::Good);
    assert_eq!(session.write(id("2;Level"), &Value::Double(8.0)), StatusCode::Good);
    let now = heard(&mut session, &[1]);
    assert_eq!((now[&1].value.clone(), now.contains_key(&0)), (Some(Value::Double(8.0)), false));

    engineer.activate(&mut session, &field).good();
    assert_eq!(heard(&mut session, &[0])[&0].value, Some(Value::Double(7.0)), "it speaks again");
    assert_eq!(go_on(&mut session, &other), StatusCode::BadContinuationPointInvalid, "the first user's point is gone");
}

/// A session that moves to a channel that only signs loses what needs encryption, also in items that it made before.
#[test]
fn a_session_that_moves_to_a_weaker_channel_loses_nodes_that_need_encryption() {
    let field = people::open();
    let (strong, weak) = (find("operator-encrypt"), find("operator-sign"));
    let mut session = strong.come(&field);
    let subscription = listen(&mut session, &[("2;Safe", 13), ("2;Level", 13)]);
    assert!(heard(&mut session, &[0, 1]).values().all(|value| status(value).is_good()));
    let mut moved = weak.connect(&field);
    (moved.token, moved.server_nonce) = (session.token.clone(), session.server_nonce.clone());
    assert_eq!(republish(&mut session, subscription, 1), StatusCode::Good);
    weak.activate(&mut moved, &field).good();
    assert_eq!(republish(&mut moved, subscription, 1), StatusCode::BadMessageNotAvailable);
    let now = heard(&mut moved, &[0]);
    assert_eq!((status(&now[&0]), &now[&0].value), (StatusCode::BadSecurityModeInsufficient, &None));
    assert_eq!(status(&moved.read_value(id("2;Safe"))), StatusCode::BadSecurityModeInsufficient);
    assert_eq!(moved.write(id("2;Safe"), &Value::Double(3.0)), StatusCode::BadSecurityModeInsufficient);

    let mut back = strong.connect(&field);
    (back.token, back.server_nonce) = (moved.token.clone(), moved.server_nonce.clone());
    strong.activate(&mut back, &field).good();
    assert_eq!(heard(&mut back, &[0])[&0].value, Some(Value::Double(1.0)));

    // The same user takes the subscription over on a weaker channel.
    let mut heir = weak.come(&field);
    assert_eq!(heir.transfer(subscription, true).0, StatusCode::Good);
    let now = heard(&mut heir, &[0, 1]);
    assert_eq!(status(&now[&0]), StatusCode::BadSecurityModeInsufficient);
    assert_eq!(now[&1].value, Some(Value::Double(1.0)));
}

/// Accounts that change while the server runs reach items that are there.
#[test]
fn a_role_that_is_removed_stops_its_items_at_once() {
    let field = people::open();
    let mut keeper = find("keeper").come(&field);
    listen(&mut keeper, &[("2;Own", 13)]);
    assert!(status(&heard(&mut keeper, &[0])[&0]).is_good());
    let server = &field.server().server;
    let before = (*server.users.accounts()).clone();
    let mut without = before.clone();
    without.role_rules.retain(|rule| !rule.users.contains(&"keeper".to_owned()));
    assert_eq!(server.take_accounts(without), 0, "nobody loses the login");
    assert_eq!(status(&heard(&mut keeper, &[0])[&0]), StatusCode::BadNodeIdUnknown);
    assert_eq!(status(&keeper.read_value(id("2;Own"))), StatusCode::BadNodeIdUnknown);
    server.take_accounts(before);
    assert!(status(&heard(&mut keeper, &[0])[&0]).is_good());
}

/// The role goes while a request is served that makes an item: the request still has the rights of before.
#[test]
fn an_item_created_while_its_role_is_removed_is_stopped_too() {
    let field = people::open();
    let mut keeper = find("keeper").come(&field);
    let subscription = keeper.subscribe(20.0, 1000, 1000);
    let server = &field.server().server;
    let session = server.sessions.all().into_iter().find(|session| session.id == keeper.id).expect("a session");
    let request =
        Request { id: 0, header: RequestHeader::NONE, head: ResponseHead::fault(0), bytes: &[], now: Moment::now() };
    let context = Context::new(server, &session, request, 1 << 20);
    let mut without = (*server.users.accounts()).clone();
    without.role_rules.retain(|rule| !rule.users.contains(&"keeper".to_owned()));
    server.take_accounts(without);
    let asked = items(subscription, &[("2;Own", 13)]);
    let mut body = Vec::new();
    encode(&asked.subscription_id, &mut body);
    encode(&asked.timestamps_to_return, &mut body);
    encode(&asked.items_to_create, &mut body);
    let mut answer = Writer::new();
    monitored_item::create(&context, &mut Reader::new(&body), &mut answer).expect("it was allowed");
    assert_eq!(status(&heard(&mut keeper, &[0])[&0]), StatusCode::BadNodeIdUnknown);
}

/// An event is for who has ReceiveEvents both at its source and at its type (Part 3 §8.55, 1.05).
#[test]
fn events_of_hidden_nodes_and_audits_reach_only_sessions_with_the_rights() {
    let field = people::open();
    let mut people: Vec<_> = ["plain", "security"].map(|name| (name, find(name).come(&field))).into();
    for (_, session) in &mut people {
        let subscription = session.subscribe(20.0, 1000, 1000);
        assert_eq!(answer(session, "events", id("2253"), subscription).good().count(1), Ok(1));
    }
    let server = &field.server().server;
    for (source, kind, name) in
        [("2;Vault", 2041, "the vault"), ("2253", 2052, "an audit"), ("2253", 2041, "the server")]
    {
        let world = server.world();
        let space = &world.space;
        let source = space.find(id(source)).expect("a node");
        let event = Event {
            id: server.next_event_id(),
            kind: space.standard_node(kind).expect("an event type"),
            source,
            source_name: name.to_owned(),
            time: UaTime::now(),
            message: String::new(),
            severity: 500,
            fields: Default::default(),
            per_viewer: None,
        };
        server.raise(&world, &event);
    }
    for (name, session) in &mut people {
        let (mut heard, began) = (Vec::new(), Instant::now());
        while heard.last() != Some(&Value::text("the server")) {
            assert!(began.elapsed() < TIMEOUT, "{name} hears nothing");
            let events = session.publish(&[]).expect("a message").events;
            heard.extend(events.into_iter().flat_map(|(_, fields)| fields));
        }
        let expected = match *name {
            "security" => vec!["the vault", "an audit", "the server"],
            _ => vec!["the server"],
        };
        assert_eq!(heard, expected.into_iter().map(Value::text).collect::<Vec<_>>(), "{name}");
        for (kind, hears) in [("2041", true), ("2052", *name == "security")] {
            let own = session.read(&[(id(kind), 25)]).remove(0).value.expect("the own permissions");
            let mask = permissions(&own).iter().fold(0, |all, (_, bits)| all | bits);
            assert_eq!(mask & RECEIVE_EVENTS != 0, hears, "{name} at {kind}");
        }
    }
}

fn elements(value: Option<Value>) -> Vec<Vec<u8>> {
    let mut w = Writer::new();
    w.variant(&value.expect("a value"));
    let mut reader = Reader::new(&w.buf);
    assert_eq!(reader.u8(), Ok(22 | 0x80), "an array of ExtensionObjects");
    let count = reader.count(1).expect("elements");
    (0..count).map(|_| reader.extension_object().expect("one").body.expect("a body").to_vec()).collect()
}

fn identities(value: DataValue) -> Vec<(i32, String)> {
    let of = |body: Vec<u8>| {
        let mut reader = Reader::new(&body);
        (reader.i32().expect("criteria"), reader.text().expect("a text").to_owned())
    };
    elements(value.value).into_iter().map(of).collect()
}

/// Part 18 §4.4.3 and §4.4.4 (1.05): who has a role.
#[test]
fn the_security_administrator_reads_who_has_a_role() {
    let field = people::open();
    let mut session = find("security-encrypt").come(&field);
    let hex = |holder: &interop::Holder| {
        let digits = opcell::testing::stack::crypto::thumbprint(holder.identity.leaf());
        digits.map(|byte| format!("{byte:02X}")).concat()
    };
    let own = |name: &str, part: &str| format!("1;@role.{name}.{part}");
    let thumb = hex(&interop::Holder::of("urn:test:thumb"));
    for (node, expected) in [
        ("16192".to_owned(), vec![(5, ""), (6, "")]),
        ("16203".to_owned(), vec![(6, "")]),
        ("18626".to_owned(), vec![(9, "")]),
        ("16225".to_owned(), vec![(1, "operator")]),
        (own("Keeper", "Identities"), vec![(1, "keeper")]),
        (own("ByThumb", "Identities"), vec![(2, thumb.as_str())]),
        (own("BySubject", "Identities"), vec![(8, r#"CN="urn:test:subject"/O="opcell""#)]),
        (own("ByApplication", "Identities"), vec![(7, "urn:test:application")]),
        (own("ByEndpoint", "Identities"), vec![(1, "guest")]),
    ] {
        let expected: Vec<(i32, String)> =
            expected.into_iter().map(|(criteria, text)| (criteria, text.to_owned())).collect();
        assert_eq!(identities(session.read_value(id(&node))), expected, "{node}");
    }
    for (name, part, expected) in [
        ("Keeper", "ApplicationsExclude", true),
        ("Keeper", "EndpointsExclude", true),
        ("Keeper", "CustomConfiguration", false),
        ("ByApplication", "ApplicationsExclude", false),
        ("ByEndpoint", "EndpointsExclude", false),
        ("ByThumb", "CustomConfiguration", true),
    ] {
        let told = session.read_value(id(&own(name, part))).value;
        assert_eq!(told, Some(Value::Boolean(expected)), "{name} {part}");
    }
    let endpoints = elements(session.read_value(id(&own("ByEndpoint", "Endpoints"))).value);
    let mut endpoint = Reader::new(&endpoints[0]);
    let url = format!("opc.tcp://127.0.0.2:{}", field.server().address.port());
    assert_eq!((endpoint.text(), endpoint.i32()), (Ok(url.as_str()), Ok(0)), "the mode is not compared");
}

/// Part 5 §6.3.13 (1.05): defaults of a namespace are what a node without rules of its own has.
#[test]
fn the_defaults_of_a_namespace_are_those_of_a_plain_node() {
    let field = people::open();
    let mut session = find("configure").come(&field);
    let metadata = "1;@namespace.urn:test:plant";
    for (property, attribute) in [("DefaultRolePermissions", 24), ("DefaultUserRolePermissions", 25)] {
        let default = session.read_value(id(&format!("{metadata}.{property}"))).value.expect("a value");
        let own = session.read(&[(id("2;Level"), attribute)]).remove(0).value.expect("a value");
        let default: BTreeMap<_, _> = permissions(&default).into_iter().collect();
        for (role, bits) in permissions(&own) {
            assert_eq!(default[&role] & bits, bits, "{property} of {role}");
        }
    }
    for (node, restrictions) in [(format!("{metadata}.DefaultAccessRestrictions"), 4), ("16136".to_owned(), 4)] {
        assert_eq!(session.read_value(id(&node)).value, Some(Value::UInt16(restrictions)), "{node}");
    }
    for (node, restrictions) in [("2;Level", 4), ("2;Safe", 6), ("2253", 4)] {
        assert_eq!(session.read(&[(id(node), 26)]).remove(0).value, Some(Value::UInt16(restrictions)), "{node}");
    }
    let all = session.read_value(id("16134")).value.expect("a value");
    assert!(permissions(&all).iter().any(|(role, bits)| role == "i=15644" && *bits & 1 == 1), "everybody may browse");
}

/// Where no unsecured session is let in, every node says so.
#[test]
fn a_server_without_an_open_door_requires_signing() {
    let closed = "schema: 1\ncells: [cell.yaml]\n";
    let server = TestServer::with(people::CELL, Some(&closed_with_roles(closed)), |_, _| {});
    let space = &server.server.world().space;
    for (node, restrictions) in [("2;Level", 5), ("2;Safe", 7), ("2253", 5), ("16225", 15)] {
        let at = space.find(id(node)).expect("a node");
        assert_eq!(space.restrictions(space.node(at).access, &server.server.world().plant), restrictions, "{node}");
    }
}

/// The roles that the cell names, held by nobody.
fn closed_with_roles(file: &str) -> String {
    let roles = ["Keeper", "ByThumb", "BySubject", "ByApplication", "ByEndpoint", "ByBadge"];
    format!("{file}roles: {{ {} }}\n", roles.map(|role| format!("{role}: {{}}")).join(", "))
}
