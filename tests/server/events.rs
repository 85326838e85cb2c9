//! Event types and their fields, as clients browse and select them; NodeVersion and the bit SemanticChange.

use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::ua::events::{Event, Fields};
use opcell::testing::ua::space::Field;
use opcell::value::{UaTime, Value};
use opcua::{
    AttributeId, EventFilterResult, NodeId, QualifiedName, ReferenceTypeId, SimpleAttributeOperand, StatusCode,
};

use testkit::request::{create_items, event_filter, filtered_item, of_type};
use testkit::server::TestServer;
use testkit::steps::{Id, browse_whole};
use testkit::ua::Session;

const CELL: &str = r#"
schema: 1
cell: plant
namespace: urn:test:plant
connections:
  sim: { driver: simulator }
types:
  enums:
    Mode: { 0: Off, 1: On }
    Fault: { 3: Hot, 7: Cold }
  objects:
    Drive: { children: { Torque: { type: Double, unit: m, range: [0, 9], value: 1.0 } } }
nodes:
  Line:
    children:
      Level: { type: Double, unit: m, range: [0, 9], value: 1.0 }
      Name: { type: String, length: 5, value: a }
      NodeVersion: { type: Double, value: 2.0 }
      Drive1: { of: Drive }
      Numbered: { id: 77, children: { Mode: { type: Mode, value: 0 }, Fault: { type: Fault, value: 3 } } }
"#;

const OBJECT: i32 = 1;
const VARIABLE: i32 = 2;

fn standard(number: u32) -> Id {
    Id::Number(0, number)
}

fn tag(path: &str) -> Id {
    Id::Text(2, path.to_owned())
}

fn operand(kind: &Id, path: &[&str], attribute: AttributeId) -> SimpleAttributeOperand {
    SimpleAttributeOperand {
        type_definition_id: testkit::request::ToNodeId::to_node_id(kind),
        browse_path: Some(path.iter().map(|name| QualifiedName::new(0, *name)).collect()),
        attribute_id: attribute as u32,
        ..SimpleAttributeOperand::default()
    }
}

fn value_of(kind: u32, path: &[&str]) -> SimpleAttributeOperand {
    operand(&standard(kind), path, AttributeId::Value)
}

/// An item on the events of the Server object; the status of each select clause.
fn select(session: &mut Session, subscription: u32, fields: Vec<SimpleAttributeOperand>) -> Vec<StatusCode> {
    let filter = event_filter(fields, None);
    let item = filtered_item(NodeId::new(0, 2253), AttributeId::EventNotifier as u32, 1, (0.0, 100), filter);
    let mut made = session.ask(create_items(subscription, vec![item])).results.expect("results");
    let made = made.remove(0);
    assert_eq!(made.status_code, StatusCode::Good);
    let result = made.filter_result.into_inner_as::<EventFilterResult>().expect("an EventFilterResult");
    result.select_clause_results.expect("one for each clause")
}

/// The paths of the Variables below a node.
fn paths(session: &mut Session, node: &Id, above: &[String], found: &mut Vec<Vec<String>>) {
    for reference in browse_whole(session, node, ReferenceTypeId::Aggregates, 0) {
        if ![OBJECT, VARIABLE].contains(&reference.class) {
            continue;
        }
        let path = [above, std::slice::from_ref(&reference.name)].concat();
        if reference.class == VARIABLE {
            found.push(path.clone());
        }
        paths(session, &reference.to, &path, found);
    }
}

/// Each type of the standard, with the fields that a client finds when it browses the type and those above it.
#[test]
fn every_field_of_every_event_type_of_the_standard_can_be_selected() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    let subscription = session.subscribe(1000.0, 1000, 100);
    let mut todo = vec![(standard(2041), Vec::<Vec<String>>::new())];
    let (mut types, mut fields, mut deepest) = (0, 0, 0);
    while let Some((kind, mut known)) = todo.pop() {
        paths(&mut session, &kind, &[], &mut known);
        let clause = |path: &Vec<String>| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            operand(&kind, &path, AttributeId::Value)
        };
        let clauses: Vec<SimpleAttributeOperand> = known.iter().map(clause).collect();
        let of_base = clauses
            .iter()
            .cloned()
            .map(|clause| SimpleAttributeOperand { type_definition_id: NodeId::new(0, 2041), ..clause });
        let all: Vec<SimpleAttributeOperand> = clauses.iter().cloned().chain(of_base).collect();
        for some in all.chunks(50) {
            let statuses = select(&mut session, subscription, some.to_vec());
            assert!(statuses.iter().all(|status| status.is_good()), "{kind:?}: {some:?} {statuses:?}");
        }
        types += 1;
        fields = fields.max(known.len());
        deepest = deepest.max(known.iter().map(Vec::len).max().unwrap_or(0));
        for subtype in browse_whole(&mut session, &kind, ReferenceTypeId::HasSubtype, 0) {
            todo.push((subtype.to, known.clone()));
        }
    }
    assert!(types > 80 && fields > 40 && deepest == 3, "{types} types, {fields} fields, {deepest} levels");
}

#[test]
fn each_wrong_clause_has_its_status_and_the_others_bring_their_values() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    let subscription = session.subscribe(50.0, 1000, 100);
    let base = standard(2041);
    let cases = [
        (value_of(2041, &["Message"]), StatusCode::Good),
        (value_of(2041, &["NewValue"]), StatusCode::Good),
        (value_of(2100, &["NewValue"]), StatusCode::Good),
        (value_of(2052, &["NewValue"]), StatusCode::BadNodeIdUnknown),
        (value_of(2041, &["Nonsense"]), StatusCode::BadNodeIdUnknown),
        (value_of(2041, &["Message", "Nonsense"]), StatusCode::BadNodeIdUnknown),
        (value_of(2915, &["ShelvingState", "CurrentState", "Id"]), StatusCode::Good),
        (value_of(2915, &["ShelvingState"]), StatusCode::BadNodeIdUnknown),
        (value_of(2782, &["Enable"]), StatusCode::BadNodeIdUnknown),
        (value_of(58, &["Message"]), StatusCode::BadTypeDefinitionInvalid),
        (value_of(9_999_999, &["Message"]), StatusCode::BadTypeDefinitionInvalid),
        (operand(&base, &["Message"], AttributeId::DisplayName), StatusCode::BadAttributeIdInvalid),
        (operand(&base, &[], AttributeId::Value), StatusCode::BadAttributeIdInvalid),
        (operand(&standard(2782), &[], AttributeId::NodeId), StatusCode::Good),
    ];
    let clauses = cases.iter().map(|(clause, _)| clause.clone()).collect();
    let expected: Vec<StatusCode> = cases.iter().map(|(_, status)| *status).collect();
    assert_eq!(select(&mut session, subscription, clauses), expected);

    let world = server.server.world();
    let space = &world.space;
    let node = |number| space.find(NodeIdRef::numeric(0, number)).expect("a node of the standard");
    server.server.raise(
        &world,
        &Event {
            id: [9; 16],
            kind: node(2041),
            source: node(2253),
            source_name: String::new(),
            time: UaTime::now(),
            message: "hello".to_owned(),
            severity: 1,
            fields: Fields::default().with(Field::NewValue, Value::Int32(7)),
            per_viewer: None,
        },
    );
    let mut events = session.publish(&[]).expect("a message").events;
    let values = events.remove(0).1;
    assert!(matches!(&values[0], Value::Wire(bytes) if bytes.ends_with(b"hello")), "{values:?}");
    assert_eq!(values[1..3], [Value::Int32(7), Value::Int32(7)]);
    assert!(values[3..].iter().all(|value| *value == Value::Null), "the NodeId of an event is null: {values:?}");
}

/// The type itself, its subtypes and their subtypes, and nothing else.
#[test]
fn of_type_lets_subtypes_of_every_depth_through() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    let subscription = session.subscribe(50.0, 1000, 100);
    for (handle, kind) in [(1, 2130), (2, 2041), (3, 11436)] {
        let filter = event_filter(vec![value_of(2041, &["SourceName"])], Some(of_type(kind)));
        let item = filtered_item(NodeId::new(0, 2253), AttributeId::EventNotifier as u32, handle, (0.0, 100), filter);
        let made = session.ask(create_items(subscription, vec![item])).results.expect("results");
        assert_eq!(made[0].status_code, StatusCode::Good);
    }
    let world = server.server.world();
    let space = &world.space;
    let node = |number| space.find(NodeIdRef::numeric(0, number)).expect("a node of the standard");
    // SystemEventType, ProgressEventType, DeviceFailureEventType, BaseModelChangeEventType.
    for (kind, name) in [(2130, "system"), (11436, "progress"), (2131, "device"), (2132, "model")] {
        server.server.raise(
            &world,
            &Event {
                id: [9; 16],
                kind: node(kind),
                source: node(2253),
                source_name: name.to_owned(),
                time: UaTime::now(),
                message: String::new(),
                severity: 1,
                fields: Fields::default(),
                per_viewer: None,
            },
        );
    }
    let mut heard = session.publish(&[]).expect("a message").events;
    heard.sort_by_key(|(handle, _)| *handle);
    let names = |wanted: u32| -> Vec<Value> {
        heard.iter().filter(|(handle, _)| *handle == wanted).map(|(_, fields)| fields[0].clone()).collect()
    };
    for (handle, expected) in
        [(1, &["system", "device"][..]), (2, &["system", "progress", "device", "model"]), (3, &["progress"])]
    {
        assert_eq!(names(handle), expected.iter().map(|name| Value::text(name)).collect::<Vec<_>>(), "{handle}");
    }
}

/// Part 3 §9.32.2 (1.05): the Objects of a cell have one, Variables only after their type has changed.
#[test]
fn every_object_of_a_cell_has_a_node_version() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    let version = |session: &mut Session, name: &str| session.read_value(NodeIdRef::string(2, name)).value;
    for (object, id) in [
        ("@cell", "@cell.NodeVersion"),
        ("@connections", "@connections.NodeVersion"),
        ("@connections.sim", "@connections.sim.NodeVersion"),
        // A tag of the cell has the usual id.
        ("Line", "Line.@NodeVersion"),
        ("Line.Drive1", "Line.Drive1.NodeVersion"),
    ] {
        assert_eq!(version(&mut session, id), Some(Value::text("1")), "{id}");
        let properties = browse_whole(&mut session, &tag(object), ReferenceTypeId::HasProperty, 0);
        let found: Vec<_> = properties.iter().filter(|property| property.name == "NodeVersion").collect();
        assert_eq!(found.len(), 1, "{object}");
        assert_eq!((&found[0].to, &found[0].type_definition), (&tag(id), &standard(68)), "{object}");
    }
    assert_eq!(version(&mut session, "Line.NodeVersion"), Some(Value::Double(2.0)));
    assert_eq!(version(&mut session, "Line.Numbered.NodeVersion"), Some(Value::text("1")));
    for name in ["Line.Level.NodeVersion", "@type.Drive.NodeVersion", "@connections.sim.State.NodeVersion"] {
        assert_eq!(version(&mut session, name), None, "{name}");
    }
}

/// Part 3 §5.6.2 and §8.57 (1.05).
#[test]
fn properties_whose_changes_have_an_event_have_the_bit_semantic_change() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    for (name, level) in [
        ("Line.Level", 1),
        ("Line.Level.EURange", 17),
        ("Line.Level.EngineeringUnits", 17),
        ("Line.Name.MaxStringLength", 1),
        ("Line.Drive1.NodeVersion", 1),
        ("@type.Mode.EnumStrings", 17),
        ("@type.Fault.EnumValues", 17),
        ("@type.Drive.Torque.EURange", 17),
        ("@simulated", 1),
    ] {
        let node = NodeIdRef::string(2, name);
        let levels = session.read(&[(node, 17), (node, 18), (node, 27)]);
        let levels: Vec<Option<Value>> = levels.into_iter().map(|value| value.value).collect();
        let byte = Some(Value::Byte(level));
        assert_eq!(levels, [byte.clone(), byte, Some(Value::UInt32(level.into()))], "{name}");
    }
    let standard = session.read(&[(NodeIdRef::numeric(0, 2256), 17)]).remove(0).value;
    assert_eq!(standard, Some(Value::Byte(1)), "ServerStatus");
}
