//! A formula as a tree, before names and types.

use std::ops::Range;

use super::program::{Binary, Comparison};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    pub kind: Kind,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Integer(i64),
    Double(f64),
    Text(String),
    Boolean(bool),
    Null,
    Path(Path),
    /// An argument of a method.
    Argument(String),
    Call {
        name: Name,
        arguments: Vec<Tree>,
    },
    Negate(Box<Tree>),
    Not(Box<Tree>),
    /// Operands of equal strength, from the left: one more than operators. A long chain is no deep tree.
    Chain {
        first: Box<Tree>,
        rest: Vec<Link>,
    },
    Index {
        of: Box<Tree>,
        indices: Vec<Tree>,
    },
    Field {
        of: Box<Tree>,
        name: Name,
    },
}

/// An operator and what follows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Link {
    pub operator: Operator,
    /// Of the operator.
    pub span: Range<usize>,
    pub right: Tree,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    And,
    Or,
    Compare(Comparison),
    Binary(Binary),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    /// With a leading `.`.
    pub from_cell: bool,
    pub names: Vec<Name>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Name {
    pub text: String,
    pub span: Range<usize>,
}

impl Operator {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Operator::And => "and",
            Operator::Or => "or",
            Operator::Compare(comparison) => comparison.sign(),
            Operator::Binary(binary) => binary.sign(),
        }
    }
}

impl Path {
    /// The name, if it is one without dots.
    pub(super) fn bare(&self) -> Option<&Name> {
        match &self.names[..] {
            [name] if !self.from_cell => Some(name),
            _ => None,
        }
    }
}
