//! Defects that other servers have when their address space is looked at: one test each.
//!
//! The numbers are those of the project's list of defects.

use opcell::stack::codec::{NodeIdRef, QualifiedNameRef};
use opcell::value::UaTime;
use opcua::StatusCode;

use testkit::server::{CELL, TestServer};
use testkit::ua::Session;

/// One BrowseDescription; NULL is all reference types.
struct Asked<'a> {
    node: NodeIdRef<'a>,
    direction: i32,
    reference_type: NodeIdRef<'a>,
}

/// Browses one node in a null View of a time; the status and the names that were found.
fn browse(client: &mut Session, asked: &Asked<'_>) -> (StatusCode, Vec<String>) {
    let response = client.call(527, |w| {
        w.node_id(NodeIdRef::NULL);
        w.time(UaTime::now());
        w.u32(0);
        w.u32(0);
        w.count(1);
        w.node_id(asked.node);
        w.i32(asked.direction);
        w.node_id(asked.reference_type);
        w.bool(true);
        w.u32(0);
        w.u32(63);
    });
    let mut reader = response.good();
    assert_eq!(reader.count(1).expect("results"), 1);
    let status = reader.status().expect("a status");
    assert!(reader.bytes().expect("a point").is_none_or(<[u8]>::is_empty));
    let count = reader.count(1).expect("references");
    let names = (0..count).map(|_| {
        reader.node_id().expect("a type");
        reader.bool().expect("a direction");
        reader.node_id().expect("a node");
        let name = reader.qualified_name().expect("a name");
        reader.localized_text().expect("a label");
        reader.u32().expect("a class");
        reader.node_id().expect("a type definition");
        format!("{}:{}", name.namespace, name.name.unwrap_or_default())
    });
    (status, names.collect())
}

const NULL: NodeIdRef<'static> = NodeIdRef::NULL;

/// 19: what cannot be browsed says why, and a null View with a timestamp is no View at all.
#[test]
fn a_browse_that_makes_no_sense_says_so() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let number = |n| NodeIdRef::numeric(0, n);
    let pump = NodeIdRef::string(2, "Pump");
    for (node, direction, reference_type, status) in [
        (pump, 0, NULL, StatusCode::Good),
        (pump, 2, number(33), StatusCode::Good),
        (NodeIdRef::string(2, "Nobody"), 0, NULL, StatusCode::BadNodeIdUnknown),
        (number(999_999), 0, NULL, StatusCode::BadNodeIdUnknown),
        (NodeIdRef::string(99, "Pump"), 0, NULL, StatusCode::BadNodeIdUnknown),
        (NULL, 0, NULL, StatusCode::BadNodeIdUnknown),
        (pump, 3, NULL, StatusCode::BadBrowseDirectionInvalid),
        (pump, -1, NULL, StatusCode::BadBrowseDirectionInvalid),
        (pump, 0, number(58), StatusCode::BadReferenceTypeIdInvalid),
        (pump, 0, number(999_999), StatusCode::BadReferenceTypeIdInvalid),
        (pump, 0, pump, StatusCode::BadReferenceTypeIdInvalid),
    ] {
        let asked = Asked { node, direction, reference_type };
        let (got, names) = browse(&mut client, &asked);
        assert_eq!(got, status, "{node:?} {direction} {reference_type:?}");
        assert_eq!(names.is_empty(), status.is_bad(), "{node:?} {direction} {reference_type:?}");
    }
    let response = client.call(527, |w| {
        w.node_id(pump);
        w.time(UaTime::NULL);
        w.u32(0);
        w.u32(0);
        w.count(1);
        w.node_id(pump);
        w.i32(0);
        w.node_id(NULL);
        w.bool(true);
        w.u32(0);
        w.u32(63);
    });
    assert_eq!(response.result, StatusCode::BadViewIdUnknown);
}

/// 19: continuation points go on where the Browse stopped, and end when they are released or used.
#[test]
fn a_continuation_point_is_good_once() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let whole =
        browse(&mut client, &Asked { node: NodeIdRef::string(2, "Pump"), direction: 0, reference_type: NULL }).1;
    let response = client.call(527, |w| {
        w.node_id(NULL);
        w.time(UaTime::NULL);
        w.u32(0);
        w.u32(3);
        w.count(1);
        w.node_id(NodeIdRef::string(2, "Pump"));
        w.i32(0);
        w.node_id(NULL);
        w.bool(true);
        w.u32(0);
        w.u32(0);
    });
    let mut reader = response.good();
    reader.count(1).expect("results");
    let mut got = 0;
    let mut answers = 0;
    let mut used: Vec<Vec<u8>> = Vec::new();
    let (mut status, mut point) =
        (reader.status().expect("a status"), reader.bytes().expect("a point").map(<[u8]>::to_vec));
    got += reader.count(1).expect("references");
    while let Some(name) = point.filter(|name| !name.is_empty()) {
        assert_eq!(status, StatusCode::Good);
        answers += 1;
        let response = client.call(533, |w| {
            w.bool(false);
            w.count(1);
            w.bytes(Some(&name));
        });
        let mut reader = response.good();
        reader.count(1).expect("results");
        (status, point) = (reader.status().expect("a status"), reader.bytes().expect("a point").map(<[u8]>::to_vec));
        got += reader.count(1).expect("references");
        used.push(name);
    }
    assert_eq!(got, whole.len());
    assert!(answers >= 2, "{answers}");
    for name in used {
        let response = client.call(533, |w| {
            w.bool(false);
            w.count(1);
            w.bytes(Some(&name));
        });
        let mut reader = response.good();
        reader.count(1).expect("results");
        assert_eq!(reader.status(), Ok(StatusCode::BadContinuationPointInvalid));
    }
}

/// 20: every attribute of a node that does not exist is Bad_NodeIdUnknown, in the server's own namespace too.
#[test]
fn attributes_of_an_unknown_node_are_bad_node_id_unknown() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    for namespace in [0, 1, 2, 3, u16::MAX] {
        let node = NodeIdRef::string(namespace, "nobody knows this");
        let asked: Vec<(NodeIdRef<'_>, u32)> = (1..=27).map(|attribute| (node, attribute)).collect();
        for (value, attribute) in client.read(&asked).iter().zip(1..) {
            assert_eq!(value.status, Some(StatusCode::BadNodeIdUnknown), "ns={namespace}, attribute {attribute}");
        }
    }
}

/// 21: the order of references is the same in every call, session and run.
#[test]
fn the_order_of_a_browse_never_changes() {
    let mut server = TestServer::start(CELL);
    let mut seen: Option<Vec<Vec<String>>> = None;
    for _ in 0..2 {
        for _ in 0..3 {
            let mut client = Session::open(server.address);
            let nodes = [NodeIdRef::string(2, "Pump"), NodeIdRef::numeric(0, 2253), NodeIdRef::numeric(0, 85)];
            let names: Vec<Vec<String>> = nodes
                .into_iter()
                .map(|node| browse(&mut client, &Asked { node, direction: 2, reference_type: NULL }).1)
                .collect();
            assert_eq!(*seen.get_or_insert_with(|| names.clone()), names);
        }
        server = server.restart();
    }
    let names = &seen.expect("it was browsed")[0];
    let children: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix("2:")).collect();
    let order = ["press", "Speed", "Count", "State", "Setpoint", "Number", "Name", "Curve", "Fixed"];
    assert_eq!(children, order, "the parent, then the order of the cell file");
}

/// A path that leads nowhere, or makes no sense, has a status of its own.
#[test]
fn a_browse_path_has_a_status_of_its_own() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let hierarchical = NodeIdRef::numeric(0, 33);
    let good = ("Pump", hierarchical, Some("Speed"));
    let cases = [
        (good, StatusCode::Good),
        (("Pump", NULL, Some("Speed")), StatusCode::Good),
        (("Pump", hierarchical, Some("Nothing")), StatusCode::BadNoMatch),
        (("Nobody", hierarchical, Some("Speed")), StatusCode::BadNodeIdUnknown),
        (("Pump", hierarchical, None), StatusCode::BadBrowseNameInvalid),
        (("Pump", NodeIdRef::numeric(0, 58), Some("Speed")), StatusCode::BadReferenceTypeIdInvalid),
    ];
    let response = client.call(554, |w| {
        w.count(cases.len() + 1);
        for ((start, reference_type, name), _) in cases {
            w.node_id(NodeIdRef::string(2, start));
            w.count(1);
            w.node_id(reference_type);
            w.bool(false);
            w.bool(true);
            w.qualified_name(QualifiedNameRef { namespace: 2, name });
        }
        w.node_id(NodeIdRef::string(2, "Pump"));
        w.count(0);
    });
    let mut reader = response.good();
    assert_eq!(reader.count(1).expect("results"), cases.len() + 1);
    let expected = cases.into_iter().map(|(_, status)| status).chain([StatusCode::BadNothingToDo]);
    for (at, status) in expected.enumerate() {
        assert_eq!(reader.status(), Ok(status), "path {at}");
        for _ in 0..reader.count(1).expect("targets") {
            reader.node_id().expect("a target");
            assert_eq!(reader.u32(), Ok(u32::MAX));
        }
    }
}
