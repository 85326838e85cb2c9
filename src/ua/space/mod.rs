//! The address space: plain immutable data that is swapped as a whole. Nodes and references lie in flat tables;
//! a service borrows from them and copies nothing.
//!
//! Live values are not here: a Variable names its tag, or one of the server's own live variables.

mod attribute;
mod attributes;
mod browse;
mod by_name;
mod cell;
mod condition_parts;
mod condition_table;
mod conditions;
mod draft;
mod event_types;
mod historical;
mod identity;
mod kinds;
mod metadata;
mod methods;
mod names;
mod node_version;
mod notifiers;
mod owned_id;
mod permissions;
mod prepare_history;
mod roles;
mod standard;
mod types;

pub use attribute::Attribute;
pub(crate) use attribute::access_level;
pub(crate) use browse::{BrowseFilter, Direction, ResultMask};
pub(crate) use by_name::TargetName;
pub use cell::CONNECTION_VARIABLES;
pub(crate) use cell::ENABLED;
pub(crate) use cell::{compose, extension};
pub(crate) use condition_parts::{ConditionPart, DECLARED, condition_type, has_part};
pub(crate) use draft::Draft;
#[cfg(test)]
pub(crate) use draft::NewNode;
pub use event_types::Field;
pub(crate) use event_types::{CONDITION_ID, EventTypes, FieldId};
pub(crate) use historical::HistoricalProperty;
pub use identity::NodeIdentity;
pub(crate) use methods::callable;
pub(crate) use names::Texts;
pub use node_version::NodeVersions;
pub use owned_id::OwnedNodeId;
pub use permissions::Sight;
pub(crate) use permissions::{Viewer, restriction};
pub(crate) use prepare_history::prepare_history;
pub(crate) use roles::{RolePart, describe_roles};

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};

use crate::model::{AccessIx, AlarmIx, Role, TagId, Text};
use crate::stack::codec::{IdRef, NodeIdRef, QualifiedNameRef, Reader, Writer};
use crate::value::{BuiltIn, Value};

/// EnabledFlag of the diagnostics: the one variable of the server itself that may be written.
pub(crate) const ENABLED_FLAG: u32 = opcua::VariableId::Server_ServerDiagnostics_EnabledFlag as u32;
/// Variables of the server itself are looked at no more often.
pub(crate) const LIVE_INTERVAL: std::time::Duration = std::time::Duration::from_millis(50);

/// A node by its place in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIx(pub u32);

/// NodeClass (Part 3 §8.29, 1.05); the number is the bit of a NodeClassMask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    Object = 1,
    Variable = 2,
    Method = 4,
    ObjectType = 8,
    VariableType = 16,
    ReferenceType = 32,
    DataType = 64,
    View = 128,
}

/// A piece of `Texts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: u32,
    pub length: u32,
}

/// The identifier of a node without its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    Numeric(u32),
    Text(Span),
}

/// A DisplayName or Description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// No text at all: a null LocalizedText.
    None,
    /// The BrowseName's own.
    Browse,
    Plain(Span),
    /// Texts by language: an index into `Space::labels`.
    Local(u32),
}

#[derive(Debug, Clone, Copy)]
pub struct Node {
    pub class: Class,
    pub namespace: u16,
    pub browse_namespace: u16,
    pub browse: Span,
    pub id: Id,
    pub display: Label,
    pub description: Label,
    /// The rule for access to it; `None` is open to every session (the Server object and the types).
    pub access: Option<AccessIx>,
    /// Target of HasTypeDefinition; the node itself where it has none.
    pub type_definition: NodeIx,
    /// Attributes that only its class has.
    pub detail: Detail,
}

#[derive(Debug, Clone, Copy)]
pub enum Detail {
    Object {
        event_notifier: u8,
    },
    /// An index into `Space::variables`.
    Variable(u32),
    VariableType {
        is_abstract: bool,
        shape: u32,
    },
    ObjectType {
        is_abstract: bool,
    },
    ReferenceType {
        is_abstract: bool,
        symmetric: bool,
        inverse_name: Span,
    },
    DataType {
        is_abstract: bool,
        definition: Option<u32>,
    },
    Method {
        /// A call of it is answered; of a method that a type only declares it is not.
        is_executable: bool,
    },
}

/// The common part of Variables and VariableTypes.
#[derive(Debug, Clone, Copy)]
pub struct VariableShape {
    pub data_type: NodeIx,
    /// -1 scalar, n dimensions, -2 any … (Part 3 §5.6.2, 1.05).
    pub value_rank: i32,
    /// First and number of ArrayDimensions in `Space::dimensions`.
    pub dimensions: (u32, u32),
    pub source: Source,
}

/// The source of a Variable's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// No value: an instance declaration, or one of the standard's that is not filled here.
    None,
    Tag(TagId),
    /// A structure, or a part of one: within one request all of them are of one sample.
    Member(TagId),
    /// An index into `Space::values`.
    Constant(u32),
    /// A value that the server computes when it is asked.
    Live(Live),
    /// A property of a tag's history; the tag follows from the node.
    History(HistoricalProperty),
    /// A default of a namespace, from a rule of a plant; `None` is open.
    Default {
        access: Option<AccessIx>,
        of: DefaultOf,
    },
}

impl Source {
    /// The tag that has the value, or a part of it.
    pub fn tag(self) -> Option<TagId> {
        match self {
            Source::Tag(tag) | Source::Member(tag) => Some(tag),
            Source::None | Source::Constant(_) | Source::Live(_) | Source::History(_) | Source::Default { .. } => None,
        }
    }
}

/// Properties of NamespaceMetadataType about permissions (Part 5 §6.3.13, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefaultOf {
    RolePermissions,
    UserRolePermissions,
    AccessRestrictions,
}

/// The server's own variables whose value moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(private_interfaces, reason = "tests outside name no condition")]
pub enum Live {
    /// A node of namespace 0, by its number: ServerStatus, diagnostics.
    Standard(u32),
    /// Diagnostics of a connection: which, and which of its variables.
    Connection { connection: u32, variable: u8 },
    /// Why a tag has no good value.
    Reason(TagId),
    /// A Variable of a condition.
    Condition { alarm: AlarmIx, part: ConditionPart },
    /// A counter of the alarms of a cell, by its namespace: which of `conditions::COUNTERS`.
    AlarmCount { namespace: u16, of: u8 },
    /// A property of a role: its number, and which property.
    Role { role: u8, part: RolePart },
}

impl Live {
    /// Whether some client may write it.
    pub(crate) fn is_writable(self) -> bool {
        match self {
            Live::Standard(number) => number == ENABLED_FLAG,
            Live::Connection { variable, .. } => variable == ENABLED,
            Live::Condition { part, .. } => part == ConditionPart::PlainAck,
            Live::Reason(_) | Live::Role { .. } | Live::AlarmCount { .. } => false,
        }
    }
}

/// A reference as it is stored: both directions lie with both nodes.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    /// `NodeIx` of the reference type.
    pub kind: u32,
    pub target: NodeIx,
    pub forward: bool,
}

#[derive(Debug)]
pub struct Space {
    pub(super) texts: Texts,
    pub(super) nodes: Vec<Node>,
    /// `references[first_reference[n]..first_reference[n + 1]]` are those of node n.
    pub(super) first_reference: Vec<u32>,
    pub(super) references: Vec<Reference>,
    pub(super) variables: Vec<VariableShape>,
    pub(super) dimensions: Vec<u32>,
    pub(super) values: Vec<Value>,
    pub(super) labels: Vec<Text>,
    /// NamespaceArray; index 1 is the application's own.
    pub(super) namespaces: Vec<String>,
    /// Numbers of namespace 0 to nodes; `u32::MAX` for none.
    pub(super) standard: Vec<u32>,
    pub(super) numeric: HashMap<(u16, u32), NodeIx, foldhash::fast::FixedState>,
    pub(super) textual: HashTable<u32>,
    pub(super) hasher: foldhash::fast::FixedState,
    /// The Variable node of each tag, by `TagId`.
    pub(super) tag_nodes: Vec<NodeIx>,
    /// Supertypes of reference, data, object and variable types, by `NodeIx`.
    pub(super) supertype: HashMap<u32, u32, foldhash::fast::FixedState>,
    pub(super) historical: historical::Historical,
    /// The Object of each role, by `Role`.
    pub(super) roles: BTreeMap<Role, NodeIx>,
    /// AccessRestrictions of every node.
    pub(super) restrictions: u16,
    pub(super) by_name: by_name::ByName,
    pub(super) event_types: Arc<EventTypes>,
    pub(super) notifiers: notifiers::Notifiers,
    pub(super) conditions: condition_table::Conditions,
}

impl Space {
    /// The node of an id, read in the request; allocates nothing.
    #[inline]
    pub fn find(&self, id: NodeIdRef<'_>) -> Option<NodeIx> {
        match id.id {
            IdRef::Numeric(number) if id.namespace == 0 => self.standard_node(number),
            IdRef::Numeric(number) => self.numeric.get(&(id.namespace, number)).copied(),
            IdRef::String(text) => self.find_text(id.namespace, text),
            IdRef::Guid(_) | IdRef::Opaque(_) => None,
        }
    }

    /// A node of namespace 0 by its number.
    pub fn standard_node(&self, number: u32) -> Option<NodeIx> {
        match self.standard.get(number as usize) {
            Some(&at) if at != u32::MAX => Some(NodeIx(at)),
            _ => None,
        }
    }

    #[inline]
    fn find_text(&self, namespace: u16, text: &str) -> Option<NodeIx> {
        self.find_stored_text(namespace, text).or_else(|| self.find_made(namespace, text))
    }

    fn find_stored_text(&self, namespace: u16, text: &str) -> Option<NodeIx> {
        let hash = self.hasher.hash_one((namespace, text));
        let found = self.textual.find(hash, |at| {
            let node = &self.nodes[*at as usize];
            node.namespace == namespace && matches!(node.id, Id::Text(span) if self.texts.get(span) == text)
        });
        found.map(|at| NodeIx(*at))
    }

    #[inline]
    pub fn node(&self, at: NodeIx) -> Node {
        match self.nodes.get(at.0 as usize) {
            Some(node) => *node,
            None => self.made_node(at),
        }
    }

    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    fn stored_references(&self, at: NodeIx) -> &[Reference] {
        let (first, end) = (self.first_reference[at.0 as usize], self.first_reference[at.0 as usize + 1]);
        &self.references[first as usize..end as usize]
    }

    /// The id of a node of the tables; `write_id` knows every node's.
    fn stored_id(&self, at: NodeIx) -> NodeIdRef<'_> {
        let node = self.nodes[at.0 as usize];
        let id = match node.id {
            Id::Numeric(number) => IdRef::Numeric(number),
            Id::Text(span) => IdRef::String(self.texts.get(span)),
        };
        NodeIdRef { namespace: node.namespace, id }
    }

    /// The id as a value.
    pub fn id_value(&self, at: NodeIx) -> Value {
        let mut w = Writer::new();
        w.variant_head(BuiltIn::NodeId);
        self.write_id(at, &mut w);
        Value::Wire(w.buf.into())
    }

    /// The id as people write it: `ns=2;s=Tank1.Level`.
    pub fn id_text(&self, at: NodeIx) -> String {
        let mut w = Writer::new();
        self.write_id(at, &mut w);
        Reader::new(&w.buf).node_id().map_or_else(|_| String::new(), |id| id.to_owned().to_string())
    }

    pub fn browse_name(&self, at: NodeIx) -> QualifiedNameRef<'_> {
        let node = self.node(at);
        QualifiedNameRef { namespace: node.browse_namespace, name: Some(self.texts.get(node.browse)) }
    }

    pub fn variable(&self, at: NodeIx) -> Option<&VariableShape> {
        match self.node(at).detail {
            Detail::Variable(shape) | Detail::VariableType { shape, .. } => self.variables.get(shape as usize),
            _ => None,
        }
    }

    pub fn tag_node(&self, tag: TagId) -> NodeIx {
        self.tag_nodes[tag.0 as usize]
    }

    pub fn constant(&self, at: u32) -> &Value {
        &self.values[at as usize]
    }

    pub fn supertype_of(&self, kind: NodeIx) -> Option<NodeIx> {
        self.supertype.get(&kind.0).copied().map(NodeIx)
    }

    /// Whether `kind` is `ancestor` or one of its subtypes.
    pub fn is_a(&self, kind: NodeIx, ancestor: NodeIx) -> bool {
        let mut next = Some(kind.0);
        while let Some(at) = next {
            if at == ancestor.0 {
                return true;
            }
            next = self.supertype.get(&at).copied();
        }
        false
    }

    /// `is_a` for two types of namespace 0, by number.
    pub fn is_standard(&self, kind: NodeIx, ancestor: u32) -> bool {
        self.standard_node(ancestor).is_some_and(|ancestor| self.is_a(kind, ancestor))
    }
}
