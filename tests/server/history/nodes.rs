//! Nodes that clients look for next to a tag with history: HA Configuration, Annotations, capabilities, aggregates.

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::{UaTime, Value};
use opcua::{
    BrowseDescription, BrowseDirection, BrowsePath, BrowseResultMask, Identifier, QualifiedName, RelativePath,
    RelativePathElement, StatusCode,
};
use testkit::history::{HistoryServer, sample};
use testkit::request::{ToNodeId, browse_of, read, translate};
use testkit::ua::Session;

const CELL: &str = "
schema: 1
cell: press
namespace: urn:test:press
defaults: { access: { edit_history: [Operator] } }
history:
  slow: { deadband: 0.5, max_interval: 10min, keep: 30d }
nodes:
  Tank:
    children:
      Level:     { type: Double, range: [0, 100], value: 0.0, write: true, history: slow }
      Numbered:  { type: Int32, id: i=1001, value: 0, history: process }
      Named:     { type: Boolean, id: another.name, value: false, history: process }
      Secret:    { type: Double, value: 0.0, history: slow, access: { read: [Engineer] } }
      Forgotten: { type: Double, value: 0.0 }
";

/// A ReferenceDescription: reference type, forward, target, BrowseName, class, type definition.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    kind: u32,
    forward: bool,
    target: String,
    name: String,
    class: i32,
    type_definition: u32,
}

fn browse(session: &mut Session, id: NodeIdRef<'_>) -> Result<Vec<Found>, StatusCode> {
    let both = BrowseDescription {
        node_id: id.to_node_id(),
        browse_direction: BrowseDirection::Both,
        include_subtypes: true,
        result_mask: BrowseResultMask::All as u32,
        ..BrowseDescription::default()
    };
    let result = session.ask(browse_of(vec![both], 0)).results.expect("results").remove(0);
    let found = result.references.unwrap_or_default().into_iter().map(|reference| Found {
        kind: reference.reference_type_id.as_u32().expect("a standard type"),
        forward: reference.is_forward,
        target: reference.node_id.node_id.to_string(),
        name: reference.browse_name.name.to_string(),
        class: reference.node_class as i32,
        type_definition: reference.type_definition.node_id.as_u32().unwrap_or_default(),
    });
    if result.status_code.is_good() { Ok(found.collect()) } else { Err(result.status_code) }
}

fn text(id: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, id)
}

fn found(kind: u32, target: &str, class: i32, type_definition: u32) -> Found {
    let name = target.rsplit('.').next().expect("a name").to_owned();
    Found { kind, forward: true, target: format!("ns=2;s={target}"), name, class, type_definition }
}

#[test]
fn a_tag_with_history_has_a_configuration_and_annotations_and_another_has_none() {
    let server = HistoryServer::start(CELL);
    let mut session = Session::open(server.address);
    let below = |session: &mut Session, id: NodeIdRef<'_>| -> Vec<Found> {
        browse(session, id).expect("a node").into_iter().filter(|found| found.forward && found.kind != 40).collect()
    };
    let of_tag = below(&mut session, text("Tank.Level"));
    let configuration = "Tank.Level.HA Configuration";
    for expected in [
        found(46, "Tank.Level.EURange", 2, 68),
        found(56, configuration, 1, 2318),
        found(46, "Tank.Level.Annotations", 2, 68),
    ] {
        assert!(of_tag.contains(&expected), "{expected:?} in {of_tag:#?}");
    }
    let names: Vec<String> = below(&mut session, text(configuration)).into_iter().map(|found| found.name).collect();
    assert_eq!(
        names,
        [
            "Stepped",
            "MaxTimeInterval",
            "ExceptionDeviation",
            "ExceptionDeviationFormat",
            "StartOfArchive",
            "StartOfOnlineArchive",
            "ServerTimestampSupported",
            "MaxTimeStoredValues",
            "AggregateConfiguration",
            "AggregateFunctions",
        ]
    );
    let aggregates = below(&mut session, text("Tank.Level.HA Configuration.AggregateFunctions"));
    assert!(aggregates.len() >= 37 && aggregates.iter().all(|found| found.kind == 35 && found.type_definition == 2340));
    let inverse: Vec<Found> =
        browse(&mut session, text(configuration)).expect("a node").into_iter().filter(|found| !found.forward).collect();
    assert_eq!(inverse.len(), 1);
    assert_eq!((inverse[0].kind, inverse[0].target.as_str()), (56, "ns=2;s=Tank.Level"));
    let forgotten = below(&mut session, text("Tank.Forgotten"));
    assert!(forgotten.iter().all(|found| found.kind != 56 && found.name != "Annotations"), "{forgotten:?}");
    for id in ["Tank.Forgotten.Annotations", "Tank.Forgotten.HA Configuration", "Tank.HA Configuration", ".Annotations"]
    {
        assert_eq!(browse(&mut session, text(id)), Err(StatusCode::BadNodeIdUnknown), "{id}");
    }
}

#[test]
fn a_browse_is_the_same_each_time_and_leads_back() {
    let server = HistoryServer::start(CELL);
    let mut session = Session::open(server.address);
    let mut ahead = vec!["Tank.Level".to_owned()];
    let mut seen = Vec::new();
    while let Some(id) = ahead.pop() {
        let first = browse(&mut session, text(&id)).expect("a node");
        assert_eq!(first, browse(&mut session, text(&id)).expect("a node"), "{id}");
        for found in first.into_iter().filter(|found| found.forward) {
            let Some(target) = found.target.strip_prefix("ns=2;s=") else { continue };
            let back = browse(&mut session, text(target)).expect("the target");
            let leads_back =
                back.iter().any(|b| !b.forward && b.kind == found.kind && b.target == format!("ns=2;s={id}"));
            assert!(leads_back, "{target} does not lead back to {id}");
            ahead.push(target.to_owned());
        }
        seen.push(id);
    }
    assert_eq!(seen.len(), 1 + 1 + 16, "the tag, its EURange and sixteen nodes that are made");
}

#[test]
fn the_properties_tell_the_truth() {
    let server = HistoryServer::start(CELL);
    server.put("Tank.Level", [sample(UaTime(77_000), Value::Double(1.0)), sample(UaTime(88_000), Value::Double(2.0))]);
    let mut session = Session::open(server.address);
    for (name, value) in [
        ("Stepped", Value::Boolean(false)),
        ("MaxTimeInterval", Value::Double(600_000.0)),
        ("ExceptionDeviation", Value::Double(0.5)),
        ("ExceptionDeviationFormat", Value::Int32(0)),
        ("StartOfArchive", Value::DateTime(UaTime(77_000))),
        ("StartOfOnlineArchive", Value::DateTime(UaTime(77_000))),
        ("ServerTimestampSupported", Value::Boolean(true)),
        ("MaxTimeStoredValues", Value::Double(30.0 * 86_400_000.0)),
        ("AggregateConfiguration.TreatUncertainAsBad", Value::Boolean(true)),
        ("AggregateConfiguration.PercentDataBad", Value::Byte(100)),
        ("AggregateConfiguration.PercentDataGood", Value::Byte(100)),
        ("AggregateConfiguration.UseSlopedExtrapolation", Value::Boolean(false)),
    ] {
        let id = format!("Tank.Level.HA Configuration.{name}");
        let read = session.read_value(text(&id));
        assert_eq!((read.value, read.status), (Some(value), None), "{name}");
    }
    let empty = session.read_value(text("another.name.HA Configuration.StartOfArchive"));
    let Some(Value::DateTime(start)) = empty.value else { panic!("{empty:?}") };
    assert!(UaTime::now().0 - start.0 < 600_000_000, "nothing is there before this moment");
    assert_eq!(session.read_value(text("another.name.HA Configuration.Stepped")).value, Some(Value::Boolean(true)));
    let annotations = session.read(&[(text("Tank.Level.Annotations"), 13), (text("Tank.Level.Annotations"), 17)]);
    assert_eq!(annotations[0].status, Some(StatusCode::BadNotReadable));
    assert_eq!(annotations[1].value, Some(Value::Byte(12)));
}

#[test]
fn a_slow_disk_delays_the_start_of_an_archive_and_nothing_else() {
    let server = HistoryServer::start(CELL);
    server.put("Tank.Level", [sample(UaTime(77_000), Value::Double(1.0))]);
    let (mut session, mut other) = (Session::open(server.address), Session::open(server.address));
    server.historian.hesitate();
    let start = text("Tank.Level.HA Configuration.StartOfArchive");
    session.send(read(&[(start, 13)])).expect("sent");
    session.client.flush().expect("sent");
    assert_eq!(other.read_value(NodeIdRef::numeric(0, 2259)).value, Some(Value::Int32(0)));
    server.historian.go_on();
    let answer = session.receive().expect("an answer");
    let mut reader = answer.good();
    reader.count(1).expect("results");
    assert_eq!(reader.data_value().expect("a value").value, Some(Value::DateTime(UaTime(77_000))));
    server.historian.hesitate();
    assert_eq!(other.read_value(start).value, Some(Value::DateTime(UaTime(77_000))), "it is remembered");
}

/// NodeId, NodeClass, BrowseName, DisplayName and so on: UaExpert reads all 27 of a node that is clicked.
#[test]
fn every_attribute_of_a_made_node_has_an_answer() {
    let server = HistoryServer::start(CELL);
    let mut session = Session::open(server.address);
    for (id, object) in [
        ("Tank.Level.HA Configuration", true),
        ("Tank.Level.HA Configuration.AggregateConfiguration", true),
        ("Tank.Level.HA Configuration.AggregateFunctions", true),
        ("Tank.Level.HA Configuration.Stepped", false),
        ("Tank.Level.Annotations", false),
        ("i=1001.HA Configuration", true),
        ("i=1001.HA Configuration.Stepped", false),
        ("another.name.Annotations", false),
    ] {
        let asked: Vec<(NodeIdRef<'_>, u32)> = (1..=27).map(|attribute| (text(id), attribute)).collect();
        let read = session.read(&asked);
        let answered: Vec<u32> =
            (1..=27).filter(|n| !read[*n as usize - 1].status.unwrap_or_default().is_bad()).collect();
        let expected = match (object, id.ends_with("Annotations")) {
            (true, _) => vec![1, 2, 3, 4, 5, 6, 7, 12, 25, 26],
            // The value of Annotations can't be read; its history can.
            (false, true) => vec![1, 2, 3, 4, 5, 6, 7, 14, 15, 17, 18, 20, 25, 26, 27],
            (false, false) => vec![1, 2, 3, 4, 5, 6, 7, 13, 14, 15, 17, 18, 20, 25, 26, 27],
        };
        assert_eq!(answered, expected, "{id}");
        let own = opcell::testing::ua::space::Attribute::NodeId as usize - 1;
        let Some(Value::Wire(bytes)) = &read[own].value else { panic!("an id") };
        let mut reader = opcell::testing::stack::codec::Reader::new(&bytes[1..]);
        assert_eq!(reader.node_id().expect("an id"), text(id));
    }
}

#[test]
fn a_tag_that_may_not_be_seen_hides_the_nodes_that_belong_to_it() {
    let server = HistoryServer::start(CELL);
    let mut session = Session::open(server.address);
    for id in ["Tank.Secret", "Tank.Secret.Annotations", "Tank.Secret.HA Configuration.Stepped"] {
        assert_eq!(session.read_value(text(id)).status, Some(StatusCode::BadNodeIdUnknown), "{id}");
        assert_eq!(browse(&mut session, text(id)), Err(StatusCode::BadNodeIdUnknown), "{id}");
    }
}

#[test]
fn browse_paths_lead_to_made_nodes() {
    let server = HistoryServer::start(CELL);
    let mut session = Session::open(server.address);
    for (start, path, target) in [
        (text("Tank.Level"), &["HA Configuration", "Stepped"][..], Some("Tank.Level.HA Configuration.Stepped")),
        (NodeIdRef::numeric(2, 1001), &["HA Configuration"], Some("i=1001.HA Configuration")),
        (text("another.name"), &["Annotations"], Some("another.name.Annotations")),
        (
            text("Tank.Level"),
            &["HA Configuration", "AggregateConfiguration", "PercentDataGood"],
            Some("Tank.Level.HA Configuration.AggregateConfiguration.PercentDataGood"),
        ),
        (text("Tank.Forgotten"), &["HA Configuration"], None),
    ] {
        let step = |name: &&str| RelativePathElement {
            include_subtypes: true,
            target_name: QualifiedName::new(0, *name),
            ..RelativePathElement::default()
        };
        let path_of = BrowsePath {
            starting_node: start.to_node_id(),
            relative_path: RelativePath { elements: Some(path.iter().map(step).collect()) },
        };
        let result = session.ask(translate(vec![path_of])).results.expect("results").remove(0);
        let status = result.status_code;
        let found =
            result.targets.unwrap_or_default().first().map(|target| match &target.target_id.node_id.identifier {
                Identifier::String(text) => text.to_string(),
                other => panic!("{other:?}"),
            });
        // HasHistoricalConfiguration is an aggregation, so a path without a type follows it.
        assert_eq!(found.as_deref(), target, "{path:?}: {status}");
    }
}

fn flags(session: &mut Session, numbers: &[u32]) -> Vec<Option<Value>> {
    let asked: Vec<_> = numbers.iter().map(|number| (NodeIdRef::numeric(0, *number), 13)).collect();
    session.read(&asked).into_iter().map(|read| read.value).collect()
}

#[test]
fn capabilities_are_true_with_history_and_false_without() {
    let without = "schema: 1\ncell: press\nnamespace: urn:test:press\nnodes:\n  A: { type: Double, value: 1.0 }\n";
    for (cell, is_kept) in [(CELL, true), (without, false)] {
        let server = HistoryServer::start(cell);
        let mut session = Session::open(server.address);
        // Data, server times, insert, replace, update, delete, delete at times, annotations.
        let data = flags(&mut session, &[11_193, 19_091, 11_196, 11_197, 11_198, 11_199, 11_200, 11_275]);
        assert_eq!(data, vec![Some(Value::Boolean(is_kept)); 8]);
        let events = flags(&mut session, &[11_242, 11_281, 11_282, 11_283, 11_502]);
        assert_eq!(events, vec![Some(Value::Boolean(false)); 5]);
        let limits = flags(&mut session, &[12_165, 12_167]);
        assert_eq!(limits, vec![Some(Value::UInt32(1_000)); 2]);
        assert_eq!(flags(&mut session, &[11_273]), [Some(Value::UInt32(if is_kept { 10_000 } else { 0 }))]);
        // Monitored items calculate without history too.
        let [of_items, of_history] = [2997, 11_201].map(|folder| -> Vec<String> {
            let organized = browse(&mut session, NodeIdRef::numeric(0, folder)).expect("a folder").into_iter();
            organized.filter(|found| found.kind == 35 && found.forward).map(|found| found.target).collect()
        });
        assert!(of_items.len() >= 37, "{of_items:?}");
        assert_eq!(of_history, if is_kept { of_items } else { Vec::new() }, "history offers the same functions");
        let profiles = session.read_value(NodeIdRef::numeric(0, 2269)).value;
        let raw = format!("{profiles:?}").contains("UA-Profile/Server/HistoricalRawData");
        assert_eq!(raw, is_kept, "{profiles:?}");
        let capabilities = browse(&mut session, NodeIdRef::numeric(0, 2268)).expect("ServerCapabilities");
        assert!(capabilities.iter().any(|found| found.target == "i=11192" && found.forward), "{capabilities:?}");
    }
}
