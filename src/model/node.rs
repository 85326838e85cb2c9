//! Nodes of a cell in document order: a parent is always before its children.

use std::sync::Arc;

use super::{AccessIx, NodeIx, ObjectTypeIx, Scale, Shape, TagId};
use crate::value::{BuiltIn, StructKind};

/// One cell file, compiled.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    pub name: String,
    /// NamespaceUri of everything in the cell.
    pub namespace: String,
    /// The tree; entry 0 is the cell's own Object, without a parent.
    pub nodes: Vec<Node>,
    pub enums: Vec<EnumType>,
    pub structs: Vec<StructType>,
    pub flags: Vec<FlagsType>,
    pub object_types: Vec<ObjectType>,
}

/// A text, alone or by language: `(locale, text)`, the locale empty for a plain text; no entry means no text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(pub Vec<(String, String)>);

#[derive(Debug, Clone)]
pub struct Node {
    /// BrowseName, in the cell's namespace.
    pub name: Arc<str>,
    pub id: NodeName,
    /// `None` for the cell's Object, and for the top nodes of an object type.
    pub parent: Option<NodeIx>,
    pub kind: NodeKind,
    /// Empty: the name.
    pub display_name: Option<Box<Text>>,
    pub description: Option<Box<Text>>,
    pub access: AccessIx,
}

/// The identifier of a node in its cell's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeName {
    /// `s=` and the path with dots; `s=@cell` for the cell's Object.
    Path,
    Numeric(u32),
    Text(Arc<str>),
}

#[derive(Debug, Clone)]
pub enum NodeKind {
    Folder,
    /// An instance of one of the cell's object types.
    Object(ObjectTypeIx),
    Variable(TagId),
    /// A Variable inside an object type: it has attributes and no value.
    Declaration(Box<Shape>),
}

/// An ObjectType and its instance declarations, parents first.
#[derive(Debug, Clone)]
pub struct ObjectType {
    pub name: Arc<str>,
    pub description: Option<Box<Text>>,
    pub children: Vec<Node>,
}

/// An enumeration: values in the order of the file.
#[derive(Debug, Clone)]
pub struct EnumType {
    pub name: Arc<str>,
    pub values: Vec<(i32, Text)>,
}

/// A structure: its layout on the wire, and the rules of its fields.
#[derive(Debug, Clone)]
pub struct StructType {
    pub kind: Arc<StructKind>,
    /// As many as the layout has, in its order.
    pub fields: Vec<StructField>,
}

/// The rules of a field.
#[derive(Debug, Clone, PartialEq)]
pub struct StructField {
    pub description: Option<Box<Text>>,
    pub shape: Shape,
    pub scale: Option<Scale>,
}

/// An option set: an unsigned integer whose bits have names.
#[derive(Debug, Clone, PartialEq)]
pub struct FlagsType {
    pub name: Arc<str>,
    /// Byte, UInt16, UInt32 or UInt64.
    pub base: BuiltIn,
    /// In the order of the bits.
    pub bits: Vec<(u8, Text)>,
}

impl Cell {
    pub fn node(&self, at: NodeIx) -> &Node {
        &self.nodes[at.0 as usize]
    }

    /// Names from below the cell's Object down, joined by dots; empty for the Object itself.
    pub fn path(&self, at: NodeIx) -> String {
        path_in(&self.nodes, at, true)
    }
}

impl ObjectType {
    /// Names from below the type down, joined by dots.
    pub fn path(&self, at: NodeIx) -> String {
        path_in(&self.children, at, false)
    }
}

fn path_in(nodes: &[Node], at: NodeIx, rooted: bool) -> String {
    let mut names = Vec::new();
    let mut next = Some(at);
    while let Some(ix) = next {
        let node = &nodes[ix.0 as usize];
        if !(rooted && node.parent.is_none()) {
            names.push(&*node.name);
        }
        next = node.parent;
    }
    names.reverse();
    names.join(".")
}
