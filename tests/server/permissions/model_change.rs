//! Events about changes of the address space: one for each change, with the entries that a session may see (Part 3 §9.32
//! and §9.33, 1.05).

use std::time::Instant;

use opcell::testing::stack::codec::Reader;
use opcell::testing::ua::events::{Affected, ModelChange, verb};
use opcell::testing::ua::server::Server;
use opcell::testing::ua::space::{OwnedNodeId, Sight};
use opcell::value::Value;
use testkit::ua::{Session, TIMEOUT};

use super::people::{self, find};
use super::probe::id;

/// GeneralModelChangeEventType and SemanticChangeEventType.
const FIELDS: [(u32, &str); 6] = [
    (2041, "EventType"),
    (2041, "SourceName"),
    (2041, "Severity"),
    (2041, "SourceNode"),
    (2133, "Changes"),
    (2738, "Changes"),
];

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    node: String,
    kind: String,
    verb: u8,
}

fn entry(node: &str, kind: &str, verb: u8) -> Entry {
    Entry { node: node.to_owned(), kind: kind.to_owned(), verb }
}

fn entries(value: &Value) -> Vec<Entry> {
    let Value::Wire(bytes) = value else { panic!("no Changes: {value:?}") };
    let mut reader = Reader::new(bytes);
    assert_eq!(reader.u8(), Ok(22 | 0x80), "an array of ExtensionObjects");
    let count = reader.count(1).expect("entries");
    let mut found = Vec::new();
    for _ in 0..count {
        let object = reader.extension_object().expect("an entry");
        let mut body = Reader::new(object.body.expect("a body"));
        let mut id = || body.node_id().expect("a NodeId").to_owned().to_string();
        let (node, kind) = (id(), id());
        // ModelChangeStructureDataType and SemanticChangeStructureDataType.
        let verb = match object.type_id.standard() {
            Some(879) => body.u8().expect("a verb"),
            Some(899) => 0,
            other => panic!("encoding {other:?}"),
        };
        assert_eq!(body.remaining(), 0);
        found.push(Entry { node, kind, verb });
    }
    found
}

/// An event: its type and its entries.
type Heard = (u32, Vec<Entry>);

/// The next `count` events.
fn heard(session: &mut Session, name: &str, count: usize) -> Vec<Heard> {
    let (began, mut heard) = (Instant::now(), Vec::new());
    while heard.len() < count {
        assert!(began.elapsed() < TIMEOUT, "{name} hears {heard:?} only");
        for (_, fields) in session.publish(&[]).expect("a message").events {
            let Value::Wire(kind) = &fields[0] else { panic!("an EventType") };
            let kind = Reader::new(&kind[1..]).node_id().expect("a NodeId").standard().expect("of the standard");
            assert_eq!(fields[1..3], [Value::text("Server"), Value::UInt16(100)]);
            assert_eq!(fields[4], fields[5], "both are the path `Changes`");
            heard.push((kind, entries(&fields[4])));
        }
    }
    assert_eq!(heard.len(), count, "{name}");
    heard
}

fn node(server: &Server, name: &str) -> Affected {
    let world = server.world();
    world.space.affected(world.space.find(id(name)).expect("a node"), &world.plant)
}

/// A Variable that is in no address space any more.
fn gone(name: &str, seen_by: Sight) -> Affected {
    Affected { id: OwnedNodeId::text(2, name), type_definition: OwnedNodeId::numeric(0, 63), seen_by }
}

fn listeners(field: &testkit::interop::Field) -> Vec<(&'static str, Session)> {
    let mut people: Vec<_> = ["operator", "engineer"].map(|name| (name, find(name).come(field))).into();
    for (_, session) in &mut people {
        session.hear_events(&FIELDS);
    }
    people
}

#[test]
fn a_model_change_reaches_each_session_with_the_nodes_that_it_may_browse() {
    let field = people::open();
    let mut people = listeners(&field);
    let server = &field.server().server;
    let [root, line, station] = ["2;@cell", "2;Line", "2;Line.Station"].map(|name| node(server, name));
    let hidden = line.seen_by;
    server.raise_model_changes(
        vec![
            ModelChange::of_reference(root.clone(), verb::REFERENCE_ADDED, hidden),
            ModelChange::of_node(line, verb::NODE_ADDED),
            ModelChange::of_reference(root, verb::REFERENCE_DELETED, Sight::ALL),
            ModelChange::of_node(gone("Old", Sight::ALL), verb::NODE_DELETED),
            ModelChange::of_node(station.clone(), verb::REFERENCE_ADDED),
            ModelChange::of_node(station.clone(), verb::REFERENCE_DELETED),
        ],
        &|_| None,
    );
    // Changes that the operator may not see raise no event for the operator: its next one is the last.
    server.raise_model_changes(vec![ModelChange::of_node(station.clone(), verb::REFERENCE_ADDED)], &|_| None);
    let level = node(server, "2;Level");
    server.raise_semantic_changes(vec![level.clone(), station, level], &|_| None);
    let both = verb::REFERENCE_ADDED | verb::REFERENCE_DELETED;
    for (name, session) in &mut people {
        let sees_line = *name == "engineer";
        let mut expected = vec![entry("ns=2;s=@cell", "i=61", if sees_line { both } else { verb::REFERENCE_DELETED })];
        if sees_line {
            expected.push(entry("ns=2;s=Line", "i=61", verb::NODE_ADDED));
        }
        expected.push(entry("ns=2;s=Old", "i=63", verb::NODE_DELETED));
        if sees_line {
            expected.push(entry("ns=2;s=Line.Station", "i=61", both));
        }
        let mut found = heard(session, name, if sees_line { 3 } else { 2 });
        let (kind, first) = found.remove(0);
        assert_eq!((kind, sorted(first)), (2133, sorted(expected)), "{name}");
        if sees_line {
            assert_eq!(found.remove(0), (2133, vec![entry("ns=2;s=Line.Station", "i=61", verb::REFERENCE_ADDED)]));
        }
        let mut expected = vec![entry("ns=2;s=Level", "i=63", 0)];
        if sees_line {
            expected.push(entry("ns=2;s=Line.Station", "i=61", 0));
        }
        assert_eq!(found.remove(0), (2738, expected), "{name}");
    }
}

#[test]
fn more_than_ten_thousand_changes_name_the_objects_above_them() {
    let field = people::open();
    let mut people = listeners(&field);
    let server = &field.server().server;
    let [line, station, pump] = ["2;Line", "2;Line.Station", "2;Pump1"].map(|name| node(server, name));
    let mut changes: Vec<ModelChange> = (0..10_000)
        .map(|n| ModelChange::of_node(gone(&format!("Line.Station.T{n}"), station.seen_by), verb::NODE_DELETED))
        .collect();
    changes.push(ModelChange::of_node(gone("Pump1.Extra", Sight::ALL), verb::NODE_ADDED));
    let above = |id: &OwnedNodeId| match id {
        id if *id == pump.id || *id == line.id => None,
        id if *id == station.id => Some(line.clone()),
        id if *id == gone("Pump1.Extra", Sight::ALL).id => Some(pump.clone()),
        _ => Some(station.clone()),
    };
    server.raise_model_changes(changes, &above);
    for (name, session) in &mut people {
        let mut expected = Vec::new();
        if *name == "engineer" {
            expected.push(entry("ns=2;s=Line.Station", "i=61", verb::REFERENCE_DELETED));
        }
        expected.push(entry("ns=2;s=Pump1.Extra", "i=63", verb::NODE_ADDED));
        let (kind, found) = heard(session, name, 1).remove(0);
        assert_eq!((kind, sorted(found)), (2133, sorted(expected)), "{name}");
    }
    let world = server.world();
    let of = |name: &str| world.space.object_above(&node(server, name).id, &world.plant).map(|above| above.id);
    assert_eq!(of("2;Line.Station.Leaf"), Some(station.id));
    assert_eq!(of("2;Own.EURange"), of("2;Own"), "a property belongs to the Object of its Variable");
    assert_eq!(of("2;Line"), Some(OwnedNodeId::text(2, "@cell")));
    assert_eq!(of("2;@cell"), None);
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by(|one, other| one.node.cmp(&other.node));
    entries
}
