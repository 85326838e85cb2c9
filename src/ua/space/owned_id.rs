//! The id of a node as a value of its own: it remains valid when the address space is replaced.
//!
//! The nodes of this server have numeric and textual ids; Guids and opaque ids name no node.

use std::hash::{Hash, Hasher};

use hashbrown::Equivalent;

use super::{NodeIx, Space};
use crate::stack::codec::{IdRef, NodeIdRef, Reader, Writer};

/// A NodeId that can be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedNodeId {
    namespace: u16,
    id: Identifier,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Identifier {
    Numeric(u32),
    Text(Box<str>),
}

impl OwnedNodeId {
    pub const NULL: OwnedNodeId = OwnedNodeId::numeric(0, 0);

    pub const fn numeric(namespace: u16, number: u32) -> OwnedNodeId {
        OwnedNodeId { namespace, id: Identifier::Numeric(number) }
    }

    pub fn text(namespace: u16, text: impl Into<Box<str>>) -> OwnedNodeId {
        OwnedNodeId { namespace, id: Identifier::Text(text.into()) }
    }

    /// `None` for the ids that no node of this server has.
    pub fn of(id: NodeIdRef<'_>) -> Option<OwnedNodeId> {
        match id.id {
            IdRef::Numeric(number) => Some(OwnedNodeId::numeric(id.namespace, number)),
            IdRef::String(text) => Some(OwnedNodeId::text(id.namespace, text)),
            IdRef::Guid(_) | IdRef::Opaque(_) => None,
        }
    }

    pub fn borrow(&self) -> NodeIdRef<'_> {
        match &self.id {
            Identifier::Numeric(number) => NodeIdRef::numeric(self.namespace, *number),
            Identifier::Text(text) => NodeIdRef::string(self.namespace, text),
        }
    }
}

/// As its borrowed form, so that a table is searched by either.
impl Hash for OwnedNodeId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrow().hash(state);
    }
}

impl Equivalent<OwnedNodeId> for NodeIdRef<'_> {
    fn equivalent(&self, key: &OwnedNodeId) -> bool {
        *self == key.borrow()
    }
}

impl Space {
    /// The id of any node, to be kept.
    pub fn owned_id(&self, at: NodeIx) -> OwnedNodeId {
        let mut w = Writer::new();
        self.write_id(at, &mut w);
        let id = Reader::new(&w.buf).node_id().ok();
        id.and_then(OwnedNodeId::of).unwrap_or(OwnedNodeId::NULL)
    }
}
