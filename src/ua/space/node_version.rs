//! NodeVersion of the nodes of a cell: the revision in which each last changed (Part 3 §9.32.2, 1.05).
//!
//! Every Object of a cell has one. A Variable gets one with the first change of its type, because only nodes that have
//! one may be named by a GeneralModelChangeEvent.

use hashbrown::HashMap;

use super::draft::{Draft, NewId, NewNode};
use super::{Class, Detail, Label, NodeIx, OwnedNodeId, kinds};
use crate::stack::codec::NodeIdRef;
use crate::value::Value;

const NODE_VERSION: &str = "NodeVersion";
const STRING: u32 = opcua::DataTypeId::String as u32;
const PROPERTY_TYPE: u32 = opcua::VariableTypeId::PropertyType as u32;

/// The revisions in which nodes last changed; a node that is not in the table has not changed since the first.
#[derive(Debug, Clone, Default)]
pub struct NodeVersions(HashMap<OwnedNodeId, u64>);

impl NodeVersions {
    const FIRST: u64 = 1;

    /// A node changed with this revision of the address space.
    pub fn set(&mut self, node: OwnedNodeId, revision: u64) {
        self.0.insert(node, revision);
    }

    /// A node that is no more.
    pub fn forget(&mut self, node: &OwnedNodeId) {
        self.0.remove(node);
    }

    /// Whether a node changed after the first revision.
    pub fn has(&self, node: &OwnedNodeId) -> bool {
        self.0.contains_key(node)
    }

    fn get(&self, node: NodeIdRef<'_>) -> Option<u64> {
        self.0.get(&node).copied()
    }
}

/// Gives nodes their property; the value of one revision is kept once.
pub(super) struct VersionWriter<'v> {
    versions: &'v NodeVersions,
    shapes: HashMap<u64, u32>,
}

impl<'v> VersionWriter<'v> {
    pub(super) fn new(versions: &'v NodeVersions) -> VersionWriter<'v> {
        VersionWriter { versions, shapes: HashMap::new() }
    }

    /// Whether no node has changed since the first revision: no Variable has the property then.
    pub(super) fn is_first(&self) -> bool {
        self.versions.0.is_empty()
    }

    /// Adds the property to an Object, and to a Variable that has changed; `path` is the path of the owner.
    pub(super) fn write(&mut self, draft: &mut Draft, owner: NodeIx, path: &str) {
        let node = draft.space().node(owner);
        let changed = self.versions.get(draft.space().stored_id(owner));
        let Some(revision) = changed.or((node.class == Class::Object).then_some(NodeVersions::FIRST)) else { return };
        let shape = *self.shapes.entry(revision).or_insert_with(|| {
            let source = draft.constant(Value::text(&revision.to_string()));
            draft.shape(draft.standard(STRING), -1, &[], source)
        });
        let mut id = format!("{path}.{NODE_VERSION}");
        if draft.find(NodeIdRef::string(node.namespace, &id)).is_some() {
            // A node of the cell has this name; none begins with `@`.
            id = format!("{path}.@{NODE_VERSION}");
        }
        let at = draft.add(NewNode {
            class: Class::Variable,
            namespace: node.namespace,
            browse_namespace: 0,
            id: NewId::Text(&id),
            browse: NODE_VERSION,
            display: Label::Browse,
            description: Label::None,
            access: node.access,
            detail: Detail::Variable(shape),
        });
        let property_type = draft.standard(PROPERTY_TYPE);
        draft.refer(at, kinds::HAS_TYPE_DEFINITION, property_type);
        draft.refer(owner, kinds::HAS_PROPERTY, at);
    }
}
