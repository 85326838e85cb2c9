//! Changes of the address space as events report them: compressed to one entry a node, and only those entries that a
//! session may see (Part 3 §9.32 and §9.33, 1.05).
//!
//! An entry says itself who may browse its node: a node that was removed is in no address space any more.

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::seen::Viewed;
use crate::model::Plant;
use crate::stack::codec::{NodeIdRef, Writer};
use crate::ua::space::{Class, NodeIx, OwnedNodeId, Sight, Space, Viewer};
use crate::value::{BuiltIn, Value};

/// Default Binary encodings (Part 6 annex A, 1.05).
const MODEL_CHANGE: u32 = opcua::ObjectId::ModelChangeStructureDataType_Encoding_DefaultBinary as u32;
const SEMANTIC_CHANGE: u32 = opcua::ObjectId::SemanticChangeStructureDataType_Encoding_DefaultBinary as u32;
const HIERARCHICAL: u32 = opcua::ReferenceTypeId::HierarchicalReferences as u32;
/// With more entries, an event names the Objects that contain the nodes.
const MOST_ENTRIES: usize = 10_000;

/// ModelChangeStructureVerbMask (Part 5 §12.16, 1.05).
pub mod verb {
    pub const NODE_ADDED: u8 = 1;
    pub const NODE_DELETED: u8 = 1 << 1;
    pub const REFERENCE_ADDED: u8 = 1 << 2;
    pub const REFERENCE_DELETED: u8 = 1 << 3;
    pub const DATA_TYPE_CHANGED: u8 = 1 << 4;
}

/// A node as an event names it, whether it is still there or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    pub id: OwnedNodeId,
    /// Null for nodes that are neither Object nor Variable.
    pub type_definition: OwnedNodeId,
    pub seen_by: Sight,
}

/// One change of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChange {
    affected: Affected,
    verb: u8,
    /// Sessions that may browse the node that was added, removed or changed: a parent's entry is for them alone.
    cause: Sight,
}

impl ModelChange {
    /// A node that was added, removed, or got another DataType.
    pub fn of_node(affected: Affected, verb: u8) -> ModelChange {
        let cause = affected.seen_by;
        ModelChange { affected, verb, cause }
    }

    /// A reference of `affected` that came or went, to or from a node that these sessions may browse.
    pub fn of_reference(affected: Affected, verb: u8, other: Sight) -> ModelChange {
        ModelChange { affected, verb, cause: other }
    }

    /// The change as the Object above reports it.
    fn lifted(&self, parent: Affected) -> ModelChange {
        let mut lifted = 0;
        if self.verb & (verb::NODE_ADDED | verb::REFERENCE_ADDED | verb::DATA_TYPE_CHANGED) != 0 {
            lifted |= verb::REFERENCE_ADDED;
        }
        if self.verb & (verb::NODE_DELETED | verb::REFERENCE_DELETED | verb::DATA_TYPE_CHANGED) != 0 {
            lifted |= verb::REFERENCE_DELETED;
        }
        ModelChange { affected: parent, verb: lifted, cause: self.cause }
    }

    fn is_for(&self, viewer: &Viewer<'_>) -> bool {
        self.affected.seen_by.includes(viewer) && self.cause.includes(viewer)
    }
}

/// The Object that contains a node; `None` for the Object of a cell, and for a node that is in none.
pub(crate) type ParentOf<'f> = &'f dyn Fn(&OwnedNodeId) -> Option<Affected>;

/// The field `Changes` of an event.
#[derive(Debug)]
pub(crate) struct Changes {
    list: Vec<ModelChange>,
    is_semantic: bool,
}

impl Changes {
    pub(crate) fn of_model(changes: Vec<ModelChange>, parent_of: ParentOf<'_>) -> Changes {
        Changes { list: compress(changes, MOST_ENTRIES, parent_of), is_semantic: false }
    }

    /// The owners of properties whose values changed.
    pub(crate) fn of_semantics(owners: Vec<Affected>, parent_of: ParentOf<'_>) -> Changes {
        let changes = owners.into_iter().map(|owner| ModelChange::of_node(owner, 0)).collect();
        Changes { list: compress(changes, MOST_ENTRIES, parent_of), is_semantic: true }
    }
}

impl Viewed for Changes {
    fn value_for(&self, viewer: &Viewer<'_>) -> Option<Value> {
        let mut shown: Vec<Shown<'_>> = Vec::new();
        let mut places: HashMap<NodeIdRef<'_>, usize> = HashMap::new();
        for change in self.list.iter().filter(|change| change.is_for(viewer)) {
            let at = *places.entry(change.affected.id.borrow()).or_insert(shown.len());
            match shown.get_mut(at) {
                Some(known) => known.verb |= change.verb,
                None => shown.push(Shown { node: &change.affected, verb: change.verb }),
            }
        }
        (!shown.is_empty()).then(|| encode(&shown, self.is_semantic))
    }
}

/// An entry of one session's event.
struct Shown<'a> {
    node: &'a Affected,
    verb: u8,
}

fn encode(shown: &[Shown<'_>], is_semantic: bool) -> Value {
    let mut w = Writer::new();
    w.variant_array_head(BuiltIn::ExtensionObject);
    w.count(shown.len());
    for Shown { node, verb } in shown {
        w.extension_object(if is_semantic { SEMANTIC_CHANGE } else { MODEL_CHANGE }, |w| {
            w.node_id(node.id.borrow());
            w.node_id(node.type_definition.borrow());
            if !is_semantic {
                w.u8(*verb);
            }
        });
    }
    Value::Wire(w.buf.into())
}

/// Changes by node and cause, each once with its verbs joined, in the order in which they came.
#[derive(Default)]
struct Merged {
    list: Vec<ModelChange>,
    places: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

impl Merged {
    fn add(&mut self, change: ModelChange) {
        use std::hash::BuildHasher;
        let Merged { list, places, hasher } = self;
        let hash = |change: &ModelChange| hasher.hash_one((&change.affected.id, change.cause));
        let is_it = |at: &usize| list[*at].cause == change.cause && list[*at].affected.id == change.affected.id;
        match places.find(hash(&change), is_it) {
            Some(at) => list[*at].verb |= change.verb,
            None => {
                places.insert_unique(hash(&change), list.len(), |at| hash(&list[*at]));
                list.push(change);
            }
        }
    }
}

/// Joins the changes of each node. While there are more than `most`, those of the deepest level are reported by the
/// Objects above them.
fn compress(changes: Vec<ModelChange>, most: usize, parent_of: ParentOf<'_>) -> Vec<ModelChange> {
    let mut all = Merged::default();
    changes.into_iter().for_each(|change| all.add(change));
    if all.list.len() <= most {
        return all.list;
    }
    let mut parents = Parents { parent_of, known: HashMap::new() };
    let mut levels: Vec<Merged> = Vec::new();
    for change in all.list {
        let depth = parents.depth(&change.affected.id);
        if levels.len() <= depth {
            levels.resize_with(depth + 1, Merged::default);
        }
        levels[depth].add(change);
    }
    while levels.len() > 1 && levels.iter().map(|level| level.list.len()).sum::<usize>() > most {
        let Some(deepest) = levels.pop() else { break };
        let above = levels.len() - 1;
        for change in deepest.list {
            match parents.of(&change.affected.id) {
                Some(parent) => levels[above].add(change.lifted(parent)),
                None => levels[0].add(change),
            }
        }
    }
    levels.into_iter().flat_map(|level| level.list).collect()
}

/// The Objects above nodes, each asked for once.
struct Parents<'f> {
    parent_of: ParentOf<'f>,
    known: HashMap<OwnedNodeId, Above>,
}

struct Above {
    parent: Option<Affected>,
    depth: usize,
}

impl Parents<'_> {
    /// Objects above a node.
    fn depth(&mut self, id: &OwnedNodeId) -> usize {
        let (mut unknown, mut next, mut depth) = (Vec::new(), Some(id.clone()), 0);
        while let Some(id) = next {
            if let Some(above) = self.known.get(&id) {
                depth = above.depth + 1;
                break;
            }
            let parent = (self.parent_of)(&id);
            // Before the parent is looked at: a circle ends here.
            self.known.insert(id.clone(), Above { parent: parent.clone(), depth: 0 });
            unknown.push(id);
            next = parent.map(|parent| parent.id);
        }
        for id in unknown.into_iter().rev() {
            if let Some(above) = self.known.get_mut(&id) {
                above.depth = depth;
            }
            depth += 1;
        }
        self.known.get(id).map_or(0, |above| above.depth)
    }

    fn of(&self, id: &OwnedNodeId) -> Option<Affected> {
        self.known.get(id)?.parent.clone()
    }
}

impl Space {
    /// A node as events name it.
    pub fn affected(&self, at: NodeIx, plant: &Plant) -> Affected {
        let node = self.node(at);
        let type_definition = match node.class {
            Class::Object | Class::Variable => self.owned_id(node.type_definition),
            _ => OwnedNodeId::NULL,
        };
        Affected { id: self.owned_id(at), type_definition, seen_by: Sight::of(node.access, plant) }
    }

    /// The Object of a cell that contains a node of this address space; `None` for the cell's own.
    pub fn object_above(&self, id: &OwnedNodeId, plant: &Plant) -> Option<Affected> {
        let mut at = self.find(id.borrow())?;
        loop {
            let up = |reference: &&crate::ua::space::Reference| {
                !reference.forward && self.is_standard(NodeIx(reference.kind), HIERARCHICAL)
            };
            at = self.references(at).iter().find(up)?.target;
            let node = self.node(at);
            match node.class {
                _ if node.namespace == 0 => return None,
                Class::Object => return Some(self.affected(at, plant)),
                Class::Variable => {}
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests;
