//! Events about changes of the address space: one for each change, with the entries that a session may see (Part 3 §9.32
//! and §9.33, 1.05).

use std::time::Instant;

use opcell::testing::ua::events::{Affected, ModelChange, verb};
use opcell::testing::ua::server::Server;
use opcell::testing::ua::space::{OwnedNodeId, Sight};
use testkit::changes::{ChangeEvent, Entry, FIELDS, MODEL_CHANGE, SEMANTIC_CHANGE};
use testkit::ua::{Session, TIMEOUT};

use super::people::{self, find};
use super::probe::id;

fn entry(node: &str, kind: &str, verb: u8) -> Entry {
    Entry { node: node.to_owned(), kind: kind.to_owned(), verb }
}

/// The next `count` events.
fn heard(session: &mut Session, name: &str, count: usize) -> Vec<ChangeEvent> {
    let (began, mut heard) = (Instant::now(), Vec::new());
    while heard.len() < count {
        assert!(began.elapsed() < TIMEOUT, "{name} hears {heard:?} only");
        for (_, fields) in session.publish(&[]).expect("a message").events {
            heard.push(ChangeEvent::read(&fields));
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
        let first = found.remove(0);
        assert_eq!((first.kind, sorted(first.entries)), (MODEL_CHANGE, sorted(expected)), "{name}");
        if sees_line {
            let entries = vec![entry("ns=2;s=Line.Station", "i=61", verb::REFERENCE_ADDED)];
            assert_eq!(found.remove(0), ChangeEvent { kind: MODEL_CHANGE, entries });
        }
        let mut expected = vec![entry("ns=2;s=Level", "i=63", 0)];
        if sees_line {
            expected.push(entry("ns=2;s=Line.Station", "i=61", 0));
        }
        assert_eq!(found.remove(0), ChangeEvent { kind: SEMANTIC_CHANGE, entries: expected }, "{name}");
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
        let found = heard(session, name, 1).remove(0);
        assert_eq!((found.kind, sorted(found.entries)), (MODEL_CHANGE, sorted(expected)), "{name}");
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
