//! The View service set: Browse, BrowseNext and TranslateBrowsePathsToNodeIds.

use opcell::testing::stack::codec::NodeIdRef;
use opcua::{
    BrowseDescription, BrowseDirection, BrowsePath, BrowseRequest, BrowseResultMask, DateTime, ObjectId, ObjectTypeId,
    QualifiedName, ReferenceTypeId, RelativePath, RelativePathElement, StatusCode, ViewDescription,
};
use testkit::request::{ToNodeId, browse_next, browse_of, translate};
use testkit::server::{CELL, TestServer};
use testkit::ua::Session;

const NULL: NodeIdRef<'static> = NodeIdRef::NULL;

/// All fields of all references of a type and its subtypes; NULL is all types.
fn description(node: impl ToNodeId, direction: BrowseDirection, kind: impl ToNodeId) -> BrowseDescription {
    BrowseDescription {
        node_id: node.to_node_id(),
        browse_direction: direction,
        reference_type_id: kind.to_node_id(),
        include_subtypes: true,
        node_class_mask: 0,
        result_mask: BrowseResultMask::All as u32,
    }
}

/// Browses one node in a null View of a time; the status and the names that were found.
fn browse(client: &mut Session, asked: BrowseDescription) -> (StatusCode, Vec<String>) {
    let mut request = browse_of(vec![asked], 0);
    request.view.timestamp = DateTime::now();
    let mut results = client.ask(request).results.expect("results");
    assert_eq!(results.len(), 1);
    let result = results.remove(0);
    assert!(result.continuation_point.is_null_or_empty());
    let names = result.references.unwrap_or_default().into_iter().map(|reference| {
        let name = reference.browse_name;
        format!("{}:{}", name.namespace_index, name.name)
    });
    (result.status_code, names.collect())
}

/// A Browse that cannot be done returns the reason, and a null View with a timestamp is no View at all (Part 4 §5.9.2).
#[test]
fn a_browse_that_makes_no_sense_says_so() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let number = |n| NodeIdRef::numeric(0, n);
    let pump = NodeIdRef::string(2, "Pump");
    let (forward, both) = (BrowseDirection::Forward, BrowseDirection::Both);
    for (node, direction, reference_type, status) in [
        (pump, forward, NULL, StatusCode::Good),
        (pump, both, number(33), StatusCode::Good),
        (NodeIdRef::string(2, "Nobody"), forward, NULL, StatusCode::BadNodeIdUnknown),
        (number(999_999), forward, NULL, StatusCode::BadNodeIdUnknown),
        (NodeIdRef::string(99, "Pump"), forward, NULL, StatusCode::BadNodeIdUnknown),
        (NULL, forward, NULL, StatusCode::BadNodeIdUnknown),
        (pump, BrowseDirection::Invalid, NULL, StatusCode::BadBrowseDirectionInvalid),
        (pump, forward, number(58), StatusCode::BadReferenceTypeIdInvalid),
        (pump, forward, number(999_999), StatusCode::BadReferenceTypeIdInvalid),
        (pump, forward, pump, StatusCode::BadReferenceTypeIdInvalid),
    ] {
        let (got, names) = browse(&mut client, description(node, direction, reference_type));
        assert_eq!(got, status, "{node:?} {direction:?} {reference_type:?}");
        assert_eq!(names.is_empty(), status.is_bad(), "{node:?} {direction:?} {reference_type:?}");
    }
    let response = client.call(BrowseRequest {
        view: ViewDescription { view_id: pump.to_node_id(), ..ViewDescription::default() },
        ..browse_of(vec![description(pump, forward, NULL)], 0)
    });
    assert_eq!(response.result, StatusCode::BadViewIdUnknown);
}

/// No enumeration of a client's library holds this direction, so it is written by hand.
#[test]
fn a_direction_that_does_not_exist_is_refused() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let response = client.call_raw(ObjectId::BrowseRequest_Encoding_DefaultBinary, |w| {
        w.node_id(NULL);
        w.i64(0);
        w.u32(0);
        w.u32(0);
        w.count(1);
        w.node_id(NodeIdRef::string(2, "Pump"));
        w.i32(-1);
        w.node_id(NULL);
        w.bool(true);
        w.u32(0);
        w.u32(63);
    });
    let results = response.decode::<opcua::BrowseResponse>().results.expect("results");
    assert_eq!(results[0].status_code, StatusCode::BadBrowseDirectionInvalid);
}

/// A continuation point continues where the Browse stopped, and ends when it is used (Part 4 §7.9).
#[test]
fn a_continuation_point_is_good_once() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let pump = description(NodeIdRef::string(2, "Pump"), BrowseDirection::Forward, NULL);
    let whole = browse(&mut client, pump.clone()).1;
    let mut page = client.ask(browse_of(vec![pump], 3)).results.expect("results").remove(0);
    let mut got = page.references.unwrap_or_default().len();
    let mut used = Vec::new();
    while let Some(point) = page.continuation_point.value.filter(|point| !point.is_empty()) {
        assert_eq!(page.status_code, StatusCode::Good);
        page = client.ask(browse_next(false, &[&point])).results.expect("results").remove(0);
        got += page.references.unwrap_or_default().len();
        used.push(point);
    }
    assert_eq!(got, whole.len());
    assert!(used.len() >= 2, "{}", used.len());
    for point in used {
        let again = client.ask(browse_next(false, &[&point])).results.expect("results");
        assert_eq!(again[0].status_code, StatusCode::BadContinuationPointInvalid);
    }
}

/// Every attribute of a node that does not exist is Bad_NodeIdUnknown, in the server's own namespace too.
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

/// Clients that page or cache rely on it: the order of references is the same in every call, session and run.
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
                .map(|node| browse(&mut client, description(node, BrowseDirection::Both, NULL)).1)
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
    let hierarchical = ReferenceTypeId::HierarchicalReferences.to_node_id();
    let no_type = ObjectTypeId::BaseObjectType.to_node_id();
    let cases = [
        ("Pump", hierarchical.clone(), Some("Speed"), StatusCode::Good),
        ("Pump", NULL.to_node_id(), Some("Speed"), StatusCode::Good),
        ("Pump", hierarchical.clone(), Some("Nothing"), StatusCode::BadNoMatch),
        ("Nobody", hierarchical.clone(), Some("Speed"), StatusCode::BadNodeIdUnknown),
        ("Pump", hierarchical, None, StatusCode::BadBrowseNameInvalid),
        ("Pump", no_type, Some("Speed"), StatusCode::BadReferenceTypeIdInvalid),
    ];
    let path = |start: &str, elements| BrowsePath {
        starting_node: NodeIdRef::string(2, start).to_node_id(),
        relative_path: RelativePath { elements: Some(elements) },
    };
    let mut paths = Vec::new();
    for (start, kind, name, _) in &cases {
        let target_name = QualifiedName { namespace_index: 2, name: name.map(str::to_owned).into() };
        let step = RelativePathElement {
            reference_type_id: kind.clone(),
            is_inverse: false,
            include_subtypes: true,
            target_name,
        };
        paths.push(path(start, vec![step]));
    }
    paths.push(path("Pump", vec![]));
    let results = client.ask(translate(paths)).results.expect("results");
    let expected = cases.iter().map(|(.., status)| *status).chain([StatusCode::BadNothingToDo]);
    assert_eq!(results.iter().map(|result| result.status_code).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    for target in results.into_iter().flat_map(|result| result.targets.unwrap_or_default()) {
        assert_eq!(target.remaining_path_index, u32::MAX);
    }
}

/// Operations of one request do not free each other's continuation points: one too many is refused (Part 4 §7.9).
#[test]
fn one_request_gets_as_many_continuation_points_as_are_advertised() {
    let server = TestServer::with(CELL, None, |limits, _| limits.browse_continuation_points = 2);
    let mut client = Session::open(server.address);
    let pump = || description(NodeIdRef::string(2, "Pump"), BrowseDirection::Forward, NULL);
    let old = client.ask(browse_of(vec![pump()], 1)).results.expect("results").remove(0).continuation_point;
    let results = client.ask(browse_of(vec![pump(), pump(), pump()], 1)).results.expect("results");
    let statuses: Vec<StatusCode> = results.iter().map(|result| result.status_code).collect();
    assert_eq!(statuses, [StatusCode::Good, StatusCode::Good, StatusCode::BadNoContinuationPoints]);
    assert!(results[2].references.as_ref().is_none_or(Vec::is_empty));
    let old = old.value.expect("a continuation point");
    let again = client.ask(browse_next(false, &[&old])).results.expect("results");
    assert_eq!(
        again[0].status_code,
        StatusCode::BadContinuationPointInvalid,
        "the point of the earlier request is freed"
    );
    let points: Vec<_> = results[..2].iter().map(|r| r.continuation_point.value.clone().expect("a point")).collect();
    let released = client.ask(browse_next(true, &[&points[0], &points[1]])).results.expect("results");
    assert!(released.iter().all(|result| result.status_code == StatusCode::Good));
}
