//! A reload as events report it: which nodes came and went, and whose meaning changed (Part 3 §9.32 and §9.33, 1.05).
//!
//! Only nodes with a NodeVersion are named, and each node that is named has a new one: the Objects of a cell, and tags whose
//! type has changed.

use std::collections::HashSet;

use super::difference::Changes;
use crate::model::{Cell, Change, Effect, Identifier, NodeChange, NodeIx, NodeKind, Plant, TagId};
use crate::ua::events::{Affected, ModelChange, verb};
use crate::ua::server::Server;
use crate::ua::space::{NodeVersions, OwnedNodeId, Sight};
use crate::ua::world::World;

/// A change of the model by the id of its node; the verbs of Part 5 §12.16 (1.05).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    id: OwnedNodeId,
    verb: u8,
    /// The child that came or went, for a reference.
    cause: Option<OwnedNodeId>,
}

/// The namespace indices of the cells of two plants, by their order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Indices<'a> {
    pub old: &'a [u16],
    pub new: &'a [u16],
}

/// The two trees of a cell that changed.
struct Trees<'a> {
    old: Option<Tree<'a>>,
    new: Option<Tree<'a>>,
    /// Nodes that are not in both.
    differ: HashSet<&'a Identifier>,
}

#[derive(Clone, Copy)]
struct Tree<'a> {
    cell: &'a Cell,
    index: u16,
}

impl Tree<'_> {
    fn id(self, identifier: &Identifier) -> OwnedNodeId {
        match identifier {
            Identifier::Numeric(number) => OwnedNodeId::numeric(self.index, *number),
            Identifier::Text(text) => OwnedNodeId::text(self.index, text.as_str()),
        }
    }

    fn parent(self, at: NodeIx) -> Option<Identifier> {
        Some(self.cell.identifier(self.cell.node(at).parent?))
    }
}

/// Names the changes of the model, and gives each node that is named the version of this revision.
pub(super) fn name_changes(
    changes: &Changes,
    old: &Plant,
    new: &Plant,
    indices: Indices<'_>,
    versions: &mut NodeVersions,
) -> Vec<Named> {
    let mut found = Vec::new();
    for change in &changes.cells {
        let before = change.old.map(|at| Tree { cell: &old.cells[at], index: indices.old[at] });
        let after = change.new.map(|at| Tree { cell: &new.cells[at], index: indices.new[at] });
        let is_one_sided = |node: &&NodeChange| !matches!(node.change, Change::Changed { .. });
        let differ = change.nodes.iter().filter(is_one_sided).map(|node| &node.identifier).collect();
        let trees = Trees { old: before, new: after, differ };
        for node in &change.nodes {
            trees.name(node, versions, &mut found);
        }
    }
    connections(old, new, indices, &mut found);
    let revision = u64::from(new.revision);
    let (gone, there): (Vec<&Named>, Vec<&Named>) = found.iter().partition(|named| named.verb == verb::NODE_DELETED);
    // Before the new ones: an Object may have the id of a tag that is gone.
    gone.iter().for_each(|named| versions.forget(&named.id));
    there.iter().for_each(|named| versions.set(named.id.clone(), revision));
    found
}

impl Trees<'_> {
    fn name(&self, node: &NodeChange, versions: &NodeVersions, found: &mut Vec<Named>) {
        match &node.change {
            Change::Added => {
                let (Some(tree), Some(at)) = (self.new, node.new) else { return };
                let id = tree.id(&node.identifier);
                if !is_tag(tree.cell, at) {
                    found.push(Named { id: id.clone(), verb: verb::NODE_ADDED, cause: None });
                }
                self.reference(tree, at, verb::REFERENCE_ADDED, &id, found);
            }
            Change::Removed => {
                let (Some(tree), Some(at)) = (self.old, node.old) else { return };
                let id = tree.id(&node.identifier);
                if !is_tag(tree.cell, at) || versions.has(&id) {
                    found.push(Named { id: id.clone(), verb: verb::NODE_DELETED, cause: None });
                }
                self.reference(tree, at, verb::REFERENCE_DELETED, &id, found);
            }
            Change::Changed { keys, effect } => {
                let has = |wanted: &[&str]| keys.iter().any(|key| wanted.contains(&key.key));
                let (Some(before), Some(was), Some(after), Some(is)) = (self.old, node.old, self.new, node.new) else {
                    return;
                };
                let id = after.id(&node.identifier);
                if has(&["name", "parent"]) {
                    self.reference(before, was, verb::REFERENCE_DELETED, &id, found);
                    self.reference(after, is, verb::REFERENCE_ADDED, &id, found);
                }
                if has(&["of"]) {
                    let verb = verb::REFERENCE_ADDED | verb::REFERENCE_DELETED;
                    found.push(Named { id: id.clone(), verb, cause: None });
                }
                if has(&["type", "array", "length"]) && is_tag(after.cell, is) && *effect == Effect::Type {
                    found.push(Named { id, verb: verb::DATA_TYPE_CHANGED, cause: None });
                }
            }
        }
    }

    /// The reference from a node's parent, unless the parent came or went with it.
    fn reference(&self, tree: Tree<'_>, at: NodeIx, verb: u8, child: &OwnedNodeId, found: &mut Vec<Named>) {
        let Some(parent) = tree.parent(at).filter(|parent| !self.differ.contains(parent)) else { return };
        found.push(Named { id: tree.id(&parent), verb, cause: Some(child.clone()) });
    }
}

fn is_tag(cell: &Cell, at: NodeIx) -> bool {
    matches!(cell.node(at).kind, NodeKind::Variable(_))
}

/// The Objects of connections that came and went, below `@connections` of their cells; it is there while its cell has a
/// connection.
fn connections(old: &Plant, new: &Plant, indices: Indices<'_>, found: &mut Vec<Named>) {
    for (plant, other, at, verbs) in [
        (new, old, indices.new, [verb::NODE_ADDED, verb::REFERENCE_ADDED]),
        (old, new, indices.old, [verb::NODE_DELETED, verb::REFERENCE_DELETED]),
    ] {
        for (ix, connection) in plant.connections.iter() {
            let cell = usize::from(connection.cell);
            let namespace = &plant.cells[cell].namespace;
            let has_cell = other.cells.iter().any(|cell| cell.namespace == *namespace);
            if other.connections.get(ix).is_some() || !has_cell {
                continue;
            }
            let Some(index) = at.get(cell) else { continue };
            let is_in_cell = |cell: u16| other.cells[usize::from(cell)].namespace == *namespace;
            let has_folder = other.connections.values().any(|connection| is_in_cell(connection.cell));
            let id = OwnedNodeId::text(*index, format!("@connections.{}", connection.name));
            let (folder, root) = (OwnedNodeId::text(*index, "@connections"), OwnedNodeId::text(*index, "@cell"));
            found.push(Named { id: id.clone(), verb: verbs[0], cause: None });
            if has_folder {
                found.push(Named { id: folder, verb: verbs[1], cause: Some(id) });
            } else {
                found.push(Named { id: folder.clone(), verb: verbs[0], cause: None });
                found.push(Named { id: root, verb: verbs[1], cause: Some(folder) });
            }
        }
    }
}

/// Raises the events of a reload: one of the model, one of semantics. Called after the swap.
pub(super) fn raise(server: &Server, before: &World, named: &[Named], semantics: &[TagId]) {
    let after = server.world();
    let affected = |id: &OwnedNodeId| -> Option<Affected> {
        let in_world = |world: &World| Some(world.space.affected(world.space.find(id.borrow())?, &world.plant));
        in_world(&after).or_else(|| in_world(before))
    };
    let parent_of = |id: &OwnedNodeId| {
        let above = |world: &World| world.space.object_above(id, &world.plant);
        above(&after).or_else(|| above(before))
    };
    let change = |named: &Named| {
        let node = affected(&named.id)?;
        Some(match &named.cause {
            None => ModelChange::of_node(node, named.verb),
            Some(child) => {
                let sight = affected(child).map_or(Sight::ALL, |child| child.seen_by);
                ModelChange::of_reference(node, named.verb, sight)
            }
        })
    };
    server.raise_model_changes(named.iter().filter_map(change).collect(), &parent_of);
    let owner = |tag: &TagId| Some(after.space.affected(after.space.find_tag_node(*tag)?, &after.plant));
    server.raise_semantic_changes(semantics.iter().filter_map(owner).collect(), &parent_of);
}
