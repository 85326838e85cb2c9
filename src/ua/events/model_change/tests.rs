//! Compression and views of changes, on a made-up cell: no server and no address space.

use super::verb::{DATA_TYPE_CHANGED, NODE_ADDED, NODE_DELETED, REFERENCE_ADDED, REFERENCE_DELETED};
use super::*;
use crate::model::{Access, AccessIx, Role, Roles};
use crate::stack::codec::Reader;

/// Rules 0 and 1: for operators, and for engineers.
fn plant() -> Plant {
    let rule = |role| Access { read: Roles::NONE.with(role), ..Access::OPEN };
    Plant { access: vec![rule(Role::OPERATOR), rule(Role::ENGINEER)], ..Plant::default() }
}

fn node(id: &str, seen_by: Sight) -> Affected {
    Affected { id: OwnedNodeId::text(2, id), type_definition: OwnedNodeId::numeric(0, 61), seen_by }
}

/// The parent by the path: `A.B` is below `A`.
fn parent_of(id: &OwnedNodeId) -> Option<Affected> {
    let text = id.borrow().to_owned().to_string();
    let (parent, _) = text.strip_prefix("ns=2;s=")?.rsplit_once('.')?;
    Some(node(parent, Sight::ALL))
}

fn entries(value: Option<Value>) -> Vec<(String, u8)> {
    let Some(Value::Wire(bytes)) = value else { return Vec::new() };
    let mut reader = Reader::new(&bytes);
    assert_eq!(reader.u8(), Ok(22 | 0x80), "an array of ExtensionObjects");
    let count = reader.count(1).expect("entries");
    let mut found = Vec::new();
    for _ in 0..count {
        let object = reader.extension_object().expect("an entry");
        let mut body = Reader::new(object.body.expect("a body"));
        let id = body.node_id().expect("Affected").to_owned().to_string();
        assert_eq!(body.node_id().expect("AffectedType").standard(), Some(61));
        let verb = match object.type_id.standard() {
            Some(879) => body.u8().expect("Verb"),
            Some(899) => 0,
            other => panic!("encoding {other:?}"),
        };
        found.push((id.trim_start_matches("ns=2;s=").to_owned(), verb));
    }
    found
}

fn seen(changes: &Changes, role: Role) -> Vec<(String, u8)> {
    let plant = plant();
    let viewer = Viewer { roles: Roles::NONE.with(role), is_encrypted: true, locales: &[], plant: &plant };
    entries(changes.value_for(&viewer))
}

fn pairs(list: &[(&str, u8)]) -> Vec<(String, u8)> {
    list.iter().map(|(id, verb)| ((*id).to_owned(), *verb)).collect()
}

#[test]
fn a_node_has_one_entry_with_its_verbs_joined_and_only_for_sessions_that_see_it() {
    let plant = plant();
    let [operators, engineers] = [0, 1].map(|rule| Sight::of(Some(AccessIx(rule)), &plant));
    let all = Sight::ALL;
    let changes = Changes::of_model(
        vec![
            ModelChange::of_reference(node("Line", all), REFERENCE_ADDED, operators),
            ModelChange::of_node(node("Line.New", operators), NODE_ADDED),
            ModelChange::of_reference(node("Line", all), REFERENCE_DELETED, engineers),
            ModelChange::of_node(node("Line.Gone", engineers), NODE_DELETED),
            ModelChange::of_node(node("Line.Gone", engineers), REFERENCE_DELETED),
            ModelChange::of_node(node("Speed", operators), DATA_TYPE_CHANGED),
        ],
        &parent_of,
    );
    let expected = [("Line", REFERENCE_ADDED), ("Line.New", NODE_ADDED), ("Speed", DATA_TYPE_CHANGED)];
    assert_eq!(seen(&changes, Role::OPERATOR), pairs(&expected));
    let expected = [("Line", REFERENCE_DELETED), ("Line.Gone", NODE_DELETED | REFERENCE_DELETED)];
    assert_eq!(seen(&changes, Role::ENGINEER), pairs(&expected));
    assert_eq!(seen(&changes, Role::OBSERVER), [], "no entry, so no event");
}

#[test]
fn owners_of_changed_properties_have_no_verb() {
    let owners = vec![node("Speed", Sight::ALL), node("Level", Sight::ALL), node("Speed", Sight::ALL)];
    let changes = Changes::of_semantics(owners, &parent_of);
    assert_eq!(seen(&changes, Role::OBSERVER), pairs(&[("Speed", 0), ("Level", 0)]));
}

/// 3 lines with 10 machines with 5 tags, and a tag of a line.
fn many(verb: u8, count: usize) -> Vec<ModelChange> {
    let tag = |n: usize| node(&format!("Line{}.Machine{}.Tag{}", n / 50, n / 5 % 10, n % 5), Sight::ALL);
    let mut changes: Vec<ModelChange> = (0..count).map(|n| ModelChange::of_node(tag(n), verb)).collect();
    changes.push(ModelChange::of_node(node("Line0.State", Sight::ALL), DATA_TYPE_CHANGED));
    changes
}

#[test]
fn more_entries_than_the_limit_are_reported_by_the_objects_above_level_by_level() {
    let shown = |changes: Vec<ModelChange>| -> Vec<(String, u8)> {
        let list = compress(changes, 31, &parent_of);
        seen(&Changes { list, is_semantic: false }, Role::OBSERVER)
    };
    assert_eq!(shown(many(NODE_ADDED, 30)).len(), 31, "as many as the limit stay as they are");
    let one_level = shown(many(NODE_ADDED, 150));
    assert_eq!(one_level.len(), 31, "the 30 machines, and the tag of the same level");
    assert!(one_level.contains(&("Line0.State".to_owned(), DATA_TYPE_CHANGED)));
    assert!(one_level.contains(&("Line2.Machine9".to_owned(), REFERENCE_ADDED)));
    let both = REFERENCE_ADDED | REFERENCE_DELETED;
    let list = compress(many(NODE_DELETED, 150), 30, &parent_of);
    let two_levels = seen(&Changes { list, is_semantic: false }, Role::OBSERVER);
    let expected = [("Line0", both), ("Line1", REFERENCE_DELETED), ("Line2", REFERENCE_DELETED)];
    assert_eq!(two_levels, pairs(&expected));
}

#[test]
fn a_node_without_a_parent_and_a_circle_of_parents_end_the_climb() {
    let alone: Vec<ModelChange> = (0..9).map(|n| ModelChange::of_node(node(&format!("T{n}"), Sight::ALL), 1)).collect();
    assert_eq!(compress(alone.clone(), 3, &parent_of).len(), 9);
    let circle = |_: &OwnedNodeId| Some(node("T0", Sight::ALL));
    assert_eq!(compress(alone, 3, &circle).len(), 1);
}

#[test]
fn a_lifted_entry_is_for_those_who_see_the_node_that_changed() {
    let hidden = Sight::of(Some(AccessIx(1)), &plant());
    let changes = (0..3).map(|n| ModelChange::of_node(node(&format!("Line.T{n}"), hidden), NODE_ADDED)).collect();
    let changes = Changes { list: compress(changes, 1, &parent_of), is_semantic: false };
    assert_eq!(seen(&changes, Role::ENGINEER), pairs(&[("Line", REFERENCE_ADDED)]));
    assert_eq!(seen(&changes, Role::OPERATOR), []);
}
