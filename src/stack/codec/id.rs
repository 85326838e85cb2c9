//! Identifiers and names as they lie in the message: borrowed, so that looking a node up allocates nothing.

use opcua::{Identifier, NodeId};

/// The identifier of a NodeId, without its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdRef<'a> {
    Numeric(u32),
    String(&'a str),
    /// As it lies on the wire (Part 6 §5.2.2.6, 1.05).
    Guid([u8; 16]),
    Opaque(&'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeIdRef<'a> {
    pub namespace: u16,
    pub id: IdRef<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpandedNodeIdRef<'a> {
    pub node_id: NodeIdRef<'a>,
    pub namespace_uri: Option<&'a str>,
    pub server_index: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QualifiedNameRef<'a> {
    pub namespace: u16,
    /// `None` is the null string.
    pub name: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LocalizedTextRef<'a> {
    pub locale: Option<&'a str>,
    pub text: Option<&'a str>,
}

impl<'a> NodeIdRef<'a> {
    pub const NULL: NodeIdRef<'static> = NodeIdRef { namespace: 0, id: IdRef::Numeric(0) };

    pub const fn numeric(namespace: u16, id: u32) -> NodeIdRef<'static> {
        NodeIdRef { namespace, id: IdRef::Numeric(id) }
    }

    pub const fn string(namespace: u16, id: &'a str) -> NodeIdRef<'a> {
        NodeIdRef { namespace, id: IdRef::String(id) }
    }

    /// A null NodeId in any of its encodings: zero or empty, in namespace 0 (Part 3 §8.2.4, 1.05).
    pub fn is_null(&self) -> bool {
        self.namespace == 0
            && match self.id {
                IdRef::Numeric(id) => id == 0,
                IdRef::String(text) => text.is_empty(),
                IdRef::Guid(guid) => guid == [0; 16],
                IdRef::Opaque(bytes) => bytes.is_empty(),
            }
    }

    /// The number of a NodeId of namespace 0.
    pub fn standard(&self) -> Option<u32> {
        match *self {
            NodeIdRef { namespace: 0, id: IdRef::Numeric(id) } => Some(id),
            _ => None,
        }
    }

    pub fn to_owned(&self) -> NodeId {
        match self.id {
            IdRef::Numeric(id) => NodeId::new(self.namespace, id),
            IdRef::String(text) => NodeId::new(self.namespace, text),
            IdRef::Guid(bytes) => {
                NodeId { namespace: self.namespace, identifier: Identifier::Guid(guid_from_wire(bytes)) }
            }
            IdRef::Opaque(bytes) => NodeId::new(self.namespace, opcua::ByteString::from(bytes.to_vec())),
        }
    }
}

/// The first three fields of a Guid are little-endian on the wire (Part 6 §5.2.2.6, 1.05).
fn guid_from_wire(wire: [u8; 16]) -> opcua::Guid {
    let mut bytes = wire;
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    opcua::Guid::from_bytes(bytes)
}
