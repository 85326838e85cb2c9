//! Commercial clients when they connect, step by step, with their numbers. None of them could be run here:
//! the sequences are from their documents, their source and the bug threads of servers that they met.

use std::time::{Duration, Instant};

use opcell::testing::stack::codec::DataValue;
use opcell::testing::stack::crypto::{MessageSecurityMode, Policy};
use opcell::value::{Elements, Value};
use opcua::{ObjectId, StatusCode, VariableId};
use testkit::request::{self, find_servers};
use testkit::server::{CELL, TestServer};
use testkit::steps::{HAS_ENCODING, HAS_SUBTYPE, HIERARCHICAL, Id, Made, Reference, tree};
use testkit::ua::{Session, settings};
use testkit::{server, steps, ua};

const INVALID: StatusCode = StatusCode::BadAttributeIdInvalid;

/// A node of the standard, by its number as those clients have it in their code.
fn standard(number: u32) -> Id {
    Id::Number(0, number)
}

fn tag(path: &str) -> Id {
    Id::Text(2, path.to_owned())
}

/// How a client connects: its own numbers, which the server keeps.
struct Connect {
    /// Behind the address in the URL.
    path: &'static str,
    channel: Duration,
    session_ms: f64,
    /// Interval, lifetime count and keep-alive count of its subscription.
    subscription: (f64, u32, u32),
}

/// Channel, discovery, session and subscription as asked: nothing is shortened.
fn connect(server: &TestServer, how: &Connect) -> (Session, u32) {
    let url = format!("{}{}", server.url(), how.path);
    let began = Instant::now();
    let wanted = opcell::testing::stack::channel::ClientSettings {
        lifetime: how.channel,
        ..settings(Policy::None, MessageSecurityMode::None)
    };
    let mut session = Session::connect(server.address, wanted).expect("a channel");
    let renew = session.client.channel().renew_at().expect("an open channel") - began;
    // A client renews when three quarters are over.
    assert!(renew >= how.channel * 7 / 10 && renew <= how.channel * 8 / 10, "{renew:?} of {:?}", how.channel);
    assert_eq!(steps::find_servers(&mut session, &url), 1);
    let endpoints = steps::endpoints(&mut session, &url);
    let (revised, rest) = steps::create_session(&mut session, &url, how.session_ms);
    assert_eq!(revised, how.session_ms);
    assert!(rest.starts_with(&endpoints), "CreateSession returns other endpoints than GetEndpoints");
    session.activate_anonymous().good();
    let (interval, lifetime, keep_alive) = how.subscription;
    let (id, revised) = steps::subscribe(&mut session, interval, lifetime, keep_alive);
    assert_eq!(revised, how.subscription);
    (session, id)
}

fn status(value: &DataValue) -> StatusCode {
    value.status.unwrap_or(StatusCode::Good)
}

fn find<'r>(all: &'r [Reference], name: &str) -> &'r Reference {
    all.iter().find(|reference| reference.name == name).unwrap_or_else(|| panic!("no {name}"))
}

const UAEXPERT: Connect =
    Connect { path: "", channel: Duration::from_secs(3600), session_ms: 1_200_000.0, subscription: (500.0, 2400, 10) };

#[test]
fn uaexpert_finds_what_it_looks_for_when_it_connects() {
    let mut server = TestServer::start(CELL);
    // Its C stack drops the connection when a channel is to live for less than ten minutes.
    drop(connect(&server, &Connect { channel: Duration::from_secs(600), ..UAEXPERT }));
    let (mut session, subscription) = connect(&server, &UAEXPERT);
    // The OPC Binary type system must be there, or "Browsing binary DataTypeSystem failed".
    let systems = steps::browse_whole(&mut session, &standard(93), HIERARCHICAL, 0);
    assert!(systems.iter().any(|reference| reference.name == "Opc.Ua"), "{systems:?}");
    // Model changes, though no event view is open; and events of all kinds for the event view.
    let made = |session: &mut Session, handle: u32, of_type: Option<u32>| {
        let filter = steps::event_filter(&["EventType", "SourceName", "Message"], of_type);
        steps::monitor_with(session, subscription, &[(standard(2253), handle)], (0.0, 1000), (12, filter))[0].status
    };
    assert_eq!(made(&mut session, 1, Some(2132)), StatusCode::Good);
    assert_eq!(made(&mut session, 2, None), StatusCode::Good);
    assert_eq!(made(&mut session, 3, Some(2133)), StatusCode::Good);
    server.begin_stop();
    let heard = loop {
        let publication = session.publish(&[]).expect("a message");
        if !publication.events.is_empty() {
            break publication.events;
        }
    };
    assert!(heard.iter().all(|(handle, _)| *handle == 2), "events of other types pass OfType: {heard:?}");
}

#[test]
fn uaexpert_reads_all_attributes_of_what_is_clicked() {
    let server = TestServer::start(CELL);
    let (mut session, _) = connect(&server, &UAEXPERT);
    const BASE: [u32; 6] = [1, 2, 3, 4, 25, 26];
    const VARIABLE: [u32; 6] = [13, 14, 15, 17, 18, 20];
    for (node, must, may) in [
        (standard(84), &[12][..], &[][..]),
        (standard(61), &[8], &[]),
        (standard(93), &[12], &[]),
        (standard(2256), &VARIABLE, &[16, 19, 27]),
        (tag("Pump"), &[12], &[]),
        (tag("Pump.Setpoint"), &VARIABLE, &[16, 19, 27]),
        (tag("Pump.Curve"), &VARIABLE, &[16, 19, 27]),
    ] {
        let all: Vec<(Id, u32)> = (1..=27).map(|attribute| (node.clone(), attribute)).collect();
        for ((_, attribute), value) in all.iter().zip(session.read(&all)) {
            let status = status(&value);
            let is_optional = may.contains(attribute) || [5, 6, 7].contains(attribute);
            let is_right = match status {
                StatusCode::Good => is_optional || BASE.contains(attribute) || must.contains(attribute),
                // RolePermissions are for administrators.
                StatusCode::BadUserAccessDenied => *attribute == 24,
                INVALID => !BASE.contains(attribute) && !must.contains(attribute),
                _ => false,
            };
            assert!(is_right, "{node:?} attribute {attribute}: {status}");
        }
    }
    let kinds = session.read(&[(tag("Pump.Curve"), 27), (tag("Pump.Curve"), 16), (standard(2256), 13)]);
    assert!(matches!(kinds[0].value, Some(Value::UInt32(_))), "AccessLevelEx: {:?}", kinds[0]);
    assert_eq!(kinds[1].value, Some(Value::array(Elements::UInt32(vec![5]))), "ArrayDimensions");
    // ServerStatus: an ExtensionObject with the id of its encoding (864), not of its type (862).
    let Some(Value::Wire(bytes)) = &kinds[2].value else { panic!("ServerStatus: {:?}", kinds[2]) };
    assert_eq!(bytes[..5], [22, 1, 0, 0x60, 0x03], "{:?}", &bytes[..8]);
}

const MILO: Connect = Connect {
    path: "/milo",
    channel: Duration::from_secs(3600),
    session_ms: 120_000.0,
    subscription: (1000.0, 50, 10),
};

/// The cell with ten tags more.
fn many_tags() -> String {
    (0..10).fold(CELL.to_owned(), |cell, n| cell + &format!("  Tag{n}: {{ type: Int32, value: 5 }}\n"))
}

#[test]
fn milo_and_ignition_learn_namespaces_limits_and_types() {
    let server = TestServer::start(&many_tags());
    let (mut session, subscription) = connect(&server, &MILO);
    let arrays = session.read(&[(standard(2255), 13), (standard(2254), 13)]);
    let namespaces = steps::texts(&arrays[0].value);
    assert_eq!((namespaces[0].as_str(), namespaces[2].as_str()), ("http://opcfoundation.org/UA/", "urn:test:press"));
    assert_eq!(steps::texts(&arrays[1].value), [namespaces[1].as_str()], "ServerArray[0] is namespace 1");
    // All twelve in one Read; a missing one, or 0, would mean "no limit".
    let limits = [11705, 12165, 11707, 12167, 11709, 12166, 12168, 11710, 11711, 11712, 11713, 11714];
    for (number, value) in limits.iter().zip(session.read(&limits.map(|number| (standard(number), 13)))) {
        assert!(matches!(value.value, Some(Value::UInt32(limit)) if limit > 0), "i={number}: {value:?}");
    }
    // The tree of data types, with encodings and definitions.
    let types = tree(&mut session, standard(24), HAS_SUBTYPE);
    let ids: Vec<Id> = types.iter().map(|reference| reference.to.clone()).collect();
    assert!(ids.len() > 200, "{} data types", ids.len());
    for page in steps::browse(&mut session, &ids, HAS_ENCODING, 0) {
        assert_eq!(page.status, StatusCode::Good);
    }
    let asked: Vec<(Id, u32)> = ids.iter().flat_map(|id| [(id.clone(), 8), (id.clone(), 23)]).collect();
    for ((id, attribute), value) in asked.iter().zip(session.read(&asked)) {
        let right = status(&value) == StatusCode::Good || (*attribute == 23 && status(&value) == INVALID);
        assert!(right, "{id:?} attribute {attribute}: {value:?}");
    }
    let own = find(&types, "State");
    assert!(matches!(own.to, Id::Text(2, _) | Id::Number(2, _)), "{own:?}");
    let definition = session.read(&[(own.to.clone(), 23)]).remove(0);
    assert!(matches!(definition.value, Some(Value::Wire(_))), "{definition:?}");
    // The most items of one call, as many on one tag as a session may have, each with a queue of one.
    let items: Vec<(Id, u32)> = (0..10_000).map(|handle| (tag(&format!("Tag{}", handle / 1_000)), handle)).collect();
    let expected = Made { status: StatusCode::Good, sampling: 1000.0, queue: 1 };
    assert!(steps::monitor(&mut session, subscription, &items, 1000.0, 1).iter().all(|made| *made == expected));
    let mut heard = 0;
    while heard < items.len() {
        heard += session.publish(&[]).expect("a message").data.len();
    }
    assert_eq!(heard, items.len());
    // Its keep-alive must be answered in five seconds, whatever else is being served.
    let began = Instant::now();
    assert_eq!(session.read(&[(standard(2259), 13)])[0].value, Some(Value::Int32(0)));
    assert!(began.elapsed() < Duration::from_secs(1));
}

const KEPWARE: Connect =
    Connect { path: "", channel: Duration::from_secs(3600), session_ms: 60_000.0, subscription: (1000.0, 60, 5) };

#[test]
fn kepware_imports_tags_and_keeps_a_queue_of_one() {
    let server = TestServer::start(CELL);
    let (mut session, subscription) = connect(&server, &KEPWARE);
    let nodes = tree(&mut session, standard(85), HIERARCHICAL);
    let attributes = [2, 3, 4, 5, 14, 15, 16, 17, 18];
    let asked: Vec<(Id, u32)> =
        nodes.iter().flat_map(|node| attributes.map(|attribute| (node.to.clone(), attribute))).collect();
    let values: Vec<DataValue> = asked.chunks(9_000).flat_map(|chunk| session.read(chunk)).collect();
    for (node, values) in nodes.iter().zip(values.chunks(attributes.len())) {
        let codes: Vec<StatusCode> = values.iter().map(status).collect();
        assert_eq!(codes[..3], [StatusCode::Good; 3], "{node:?}");
        assert_eq!(values[0].value, Some(Value::Int32(node.class)), "{node:?}");
        if node.class != 2 {
            assert_eq!(codes[4..], [INVALID; 5], "{node:?}: attributes of Variables on another class");
            continue;
        }
        assert_ne!(node.type_definition, standard(0), "{node:?} has no type");
        let (rank, dimensions) = (&values[5].value, &values[6].value);
        match (rank, dimensions) {
            (Some(Value::Int32(1)), None | Some(Value::Null)) => {}
            (Some(Value::Int32(rank)), Some(Value::Array(array))) if *rank > 0 => {
                assert_eq!(array.elements.len(), usize::try_from(*rank).expect("positive"), "{node:?}");
            }
            (Some(Value::Int32(rank)), None | Some(Value::Null)) if *rank < 0 => {}
            other => panic!("{node:?}: ValueRank and ArrayDimensions do not fit: {other:?}"),
        }
    }
    assert!(nodes.iter().any(|node| node.to == tag("Pump.Setpoint")), "the cell is below Objects");
    // A counter that changes every 50 ms, a queue of one: the latest value, each second, no overflow bit.
    let made = steps::monitor(&mut session, subscription, &[(tag("Pump.Count"), 1)], 500.0, 1);
    assert_eq!(made, [Made { status: StatusCode::Good, sampling: 500.0, queue: 1 }]);
    for _ in 0..2 {
        let data = session.next_data().data;
        assert_eq!(data.len(), 1);
        assert_eq!(status(&data[0].1), StatusCode::Good, "an overflow bit for a queue of one");
    }
}

const FUXA: Connect =
    Connect { path: "", channel: Duration::from_secs(600), session_ms: 60_000.0, subscription: (500.0, 600, 10) };

#[test]
fn fuxa_browses_by_clicks_and_monitors_tag_by_tag() {
    let server = TestServer::start(CELL);
    let (mut session, subscription) = connect(&server, &FUXA);
    // Root, Objects, the cell's folder, the pump: each click one Browse and what BrowseNext brings.
    let mut at = standard(84);
    for name in ["Objects", "press", "Pump"] {
        at = find(&steps::browse_whole(&mut session, &at, HIERARCHICAL, 2), name).to.clone();
    }
    let tags = steps::browse_whole(&mut session, &at, HIERARCHICAL, 3);
    assert_eq!(tags.iter().filter(|reference| reference.class == 2).count(), 9);
    for reference in &tags {
        let read = session.read(&[14, 17, 18].map(|attribute| (reference.to.clone(), attribute)));
        assert!(read.iter().all(|value| status(value) == StatusCode::Good), "{reference:?}: {read:?}");
    }
    // A thousand calls with an item each.
    let began = Instant::now();
    for handle in 0..1000 {
        let made = steps::monitor(&mut session, subscription, &[(tag("Pump.Number"), handle)], 1000.0, 1);
        assert_eq!(made, [Made { status: StatusCode::Good, sampling: 1000.0, queue: 1 }]);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?} for 1,000 calls", began.elapsed());
    // It writes with the type that it read.
    assert_eq!(session.write(tag("Pump.Number").borrowed(), &Value::Int32(77)), StatusCode::Good);
    let mut heard = std::collections::HashSet::new();
    while heard.len() < 1000 {
        let data = session.publish(&[]).expect("a message").data;
        heard.extend(data.iter().filter(|(_, value)| value.value == Some(Value::Int32(77))).map(|(handle, _)| *handle));
    }
}

#[test]
fn aveva_connects_with_and_without_a_path_in_the_url() {
    let server = TestServer::start(CELL);
    for path in ["", "/", "/OICellServer", "/a/b?c"] {
        let (session, _) = connect(&server, &Connect { path, ..KEPWARE });
        session.close();
    }
    let mut session = Session::open(server.address);
    let told = steps::endpoints(&mut session, &format!("{}/discovery", server.url()));
    let has = |text: &str| told.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has(&server.url()) && !has("/discovery"), "endpoint URLs carry no /discovery");
}

#[test]
fn limits_count_operations_and_a_missing_service_is_a_fault() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    let most = 10_000;
    for (count, expected) in [(most, StatusCode::Good), (most + 1, StatusCode::BadTooManyOperations)] {
        // Three attributes of a node are three operations.
        let status = VariableId::Server_ServerStatus;
        let asked: Vec<_> = (0..count).map(|at| (status, [1, 2, 3][at % 3])).collect();
        let response = session.call(request::read(&asked));
        assert_eq!(response.result, expected, "{count} operations");
    }
    // AddNodes, AddReferences, QueryFirst: the service as a whole is refused, so that no client waits for results.
    for (name, service) in [
        ("AddNodes", ObjectId::AddNodesRequest_Encoding_DefaultBinary),
        ("AddReferences", ObjectId::AddReferencesRequest_Encoding_DefaultBinary),
        ("QueryFirst", ObjectId::QueryFirstRequest_Encoding_DefaultBinary),
    ] {
        let response = session.call_raw(service, |w| w.null_array());
        assert_eq!(response.type_id, ObjectId::ServiceFault_Encoding_DefaultBinary as u32, "{name}");
        assert_eq!(response.result, StatusCode::BadServiceUnsupported, "{name}");
    }
}

/// Every URL in these bytes.
fn urls(bytes: &[u8]) -> Vec<String> {
    let starts = (4..bytes.len()).filter(|at| bytes[*at..].starts_with(b"opc.tcp://"));
    let text = |at: usize| {
        let length = u32::from_le_bytes(bytes[at - 4..at].try_into().expect("four bytes")) as usize;
        String::from_utf8(bytes[at..at + length].to_vec()).expect("text")
    };
    starts.map(text).collect()
}

#[test]
fn the_url_that_was_dialled_is_repeated_to_the_letter() {
    let server = TestServer::start(server::CELL);
    let port = server.address.port();
    for path in ["", "/", "/Line-3/cell_7", "//"] {
        for host in ["127.0.0.1", "localhost", "LocalHost", "plc.example.com"] {
            for url in [format!("opc.tcp://{host}:{port}{path}"), format!("opc.tcp://{host}{path}")] {
                let mut session = Session::connect(server.address, ua::unsecured()).expect("a channel");
                let servers = session.call(find_servers(&url));
                let endpoints = steps::endpoints(&mut session, &url);
                let (_, created) = steps::create_session(&mut session, &url, 60_000.0);
                for (service, bytes) in
                    [("FindServers", &servers.body), ("GetEndpoints", &endpoints), ("CreateSession", &created)]
                {
                    let told = urls(bytes);
                    assert!(!told.is_empty() && told.iter().all(|told| *told == url), "{service} of {url}: {told:?}");
                }
            }
        }
    }
}
