//! Nodes by what stays the same while the address space is replaced.

use super::{NodeIx, Space};
use crate::model::TagId;
use crate::stack::codec::{IdRef, NodeIdRef, Reader, Writer};

/// A node over revisions of the address space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeIdentity {
    /// The Variable of a tag. Only for those that hold the tag's number, so that no other tag gets it.
    Tag(TagId),
    /// A node of namespace 0.
    Standard(u32),
    Numeric {
        namespace: u16,
        number: u32,
    },
    Text(Box<NamedNode>),
}

/// A text identifier and its namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedNode {
    pub namespace: u16,
    pub text: String,
}

impl Space {
    /// The identity of a node, as its NodeId has it.
    pub(crate) fn identity(&self, at: NodeIx) -> NodeIdentity {
        let mut w = Writer::new();
        self.write_id(at, &mut w);
        let id = Reader::new(&w.buf).node_id().unwrap_or(NodeIdRef::NULL);
        match id.id {
            IdRef::Numeric(number) if id.namespace == 0 => NodeIdentity::Standard(number),
            IdRef::Numeric(number) => NodeIdentity::Numeric { namespace: id.namespace, number },
            IdRef::String(text) => {
                NodeIdentity::Text(Box::new(NamedNode { namespace: id.namespace, text: text.to_owned() }))
            }
            // No node of this server has such an id.
            IdRef::Guid(_) | IdRef::Opaque(_) => NodeIdentity::Standard(0),
        }
    }

    /// The node in this address space; `None` when it has gone.
    pub(crate) fn resolve(&self, identity: &NodeIdentity) -> Option<NodeIx> {
        match identity {
            NodeIdentity::Tag(tag) => self.find_tag_node(*tag),
            NodeIdentity::Standard(number) => self.standard_node(*number),
            NodeIdentity::Numeric { namespace, number } => self.find(NodeIdRef::numeric(*namespace, *number)),
            NodeIdentity::Text(named) => self.find(NodeIdRef::string(named.namespace, &named.text)),
        }
    }

    /// The Variable of a tag; `None` when this address space has no such tag.
    pub(crate) fn find_tag_node(&self, tag: TagId) -> Option<NodeIx> {
        self.tag_nodes.get(tag.0 as usize).copied().filter(|at| at.0 != u32::MAX)
    }
}
