//! Identity of nodes over revisions: a node is its NamespaceUri and its identifier (Part 3 §5.2.2, 1.05).

use std::fmt;

use super::{Cell, NodeIx, NodeName};

/// The identifier of a node in the namespace of its cell.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Identifier {
    Numeric(u32),
    Text(String),
}

impl fmt::Display for Identifier {
    /// `i=1001` or `s=Tank.Level`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identifier::Numeric(number) => write!(f, "i={number}"),
            Identifier::Text(text) => write!(f, "s={text}"),
        }
    }
}

impl Cell {
    pub(crate) fn identifier(&self, at: NodeIx) -> Identifier {
        let node = self.node(at);
        match &node.id {
            NodeName::Numeric(number) => Identifier::Numeric(*number),
            NodeName::Text(text) => Identifier::Text(text.to_string()),
            NodeName::Path => Identifier::Text(self.path(at)),
        }
    }
}
