//! The address space of the cells as text, one node a line with its NodeId; equal cells give equal text.

use std::fmt::Write;

use super::{
    Cell, Derivation, Node, NodeIx, NodeKind, NodeName, ObjectType, Origin, Period, Plant, Shape, TagId, Text,
};

/// Address of a tag in its device, if that is known.
pub(crate) type Address<'a> = &'a dyn Fn(TagId) -> Option<String>;

/// Place of a node in the drawn tree.
struct Place<'a> {
    depth: usize,
    /// Path for the NodeId; empty for a declaration of a type.
    path: &'a str,
}

impl Plant {
    /// Types first, then nodes, each below its parent. `address` gives the address of a tag in its device.
    pub fn tree(&self, address: Address<'_>) -> String {
        let mut out = String::new();
        for cell in &self.cells {
            line(&mut out, 0, format_args!("{}  {}  s=@cell", cell.name, cell.namespace));
            for kind in &cell.enums {
                let values: Vec<_> =
                    kind.values.iter().map(|(number, text)| format!("{number}={}", shown(text))).collect();
                line(&mut out, 1, format_args!("enum {}: {}", kind.name, values.join(" ")));
            }
            for kind in &cell.flags {
                let bits: Vec<_> = kind.bits.iter().map(|(bit, text)| format!("{bit}={}", shown(text))).collect();
                line(&mut out, 1, format_args!("flags {}: {:?} {}", kind.name, kind.base, bits.join(" ")));
            }
            for kind in &cell.structs {
                line(&mut out, 1, format_args!("struct {0}  s=@type.{0}  i={1}", kind.kind.name, kind.kind.number));
                for (field, rules) in kind.kind.fields.iter().zip(&kind.fields) {
                    let mut text = field.name.to_string();
                    shape_text(&mut text, &rules.shape, cell);
                    if let Some(about) = &rules.description {
                        text.push_str(&format!("  # {}", shown(about)));
                    }
                    line(&mut out, 2, format_args!("{text}"));
                }
            }
            for kind in &cell.object_types {
                self.object_type(&mut out, cell, kind, address);
            }
            self.nodes(&mut out, cell, &cell.nodes, Some(NodeIx(0)), address);
        }
        out
    }

    fn object_type(&self, out: &mut String, cell: &Cell, kind: &ObjectType, address: Address<'_>) {
        let about = kind.description.as_ref().map(|text| format!("  # {}", shown(text))).unwrap_or_default();
        line(out, 1, format_args!("type {0}  s=@type.{0}{about}", kind.name));
        self.nodes(out, cell, &kind.children, None, address);
    }

    /// Nodes are in document order, so a depth for each is enough to draw the tree.
    fn nodes(&self, out: &mut String, cell: &Cell, nodes: &[Node], root: Option<NodeIx>, address: Address<'_>) {
        let base = if root.is_some() { 0 } else { 2 };
        let mut depths: Vec<usize> = Vec::with_capacity(nodes.len());
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        let mut tops = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            let depth = node.parent.map_or(base, |parent| depths[parent.0 as usize] + 1);
            depths.push(depth);
            match node.parent {
                Some(parent) => children[parent.0 as usize].push(at),
                None => tops.push(at),
            }
        }
        // Included files may add to a level later, so lines follow the tree and not the list.
        let mut open: Vec<usize> = tops.into_iter().rev().collect();
        while let Some(at) = open.pop() {
            let ix = NodeIx(u32::try_from(at).unwrap_or(u32::MAX));
            if Some(ix) != root {
                // Declarations of a type have the ids of their instances.
                let path = if root.is_some() { cell.path(ix) } else { String::new() };
                self.node(out, cell, &nodes[at], Place { depth: depths[at], path: &path }, address);
            }
            open.extend(children[at].iter().rev());
        }
    }

    fn node(&self, out: &mut String, cell: &Cell, node: &Node, place: Place<'_>, address: Address<'_>) {
        let mut text = node.name.to_string();
        match &node.kind {
            NodeKind::Folder => {}
            NodeKind::Object(ix) => text.push_str(&format!(": {}", cell.object_types[ix.0 as usize].name)),
            NodeKind::Variable(id) => self.tag_text(&mut text, cell, *id, address),
            NodeKind::Declaration(shape) => shape_text(&mut text, shape, cell),
        }
        match &node.id {
            NodeName::Path if place.path.is_empty() => {}
            NodeName::Path => text.push_str(&format!("  s={}", place.path)),
            NodeName::Numeric(number) => text.push_str(&format!("  i={number}")),
            NodeName::Text(name) => text.push_str(&format!("  s={name}")),
        }
        if let Some(name) = &node.display_name {
            text.push_str(&format!("  \"{}\"", shown(name)));
        }
        if let Some(about) = &node.description {
            text.push_str(&format!("  # {}", shown(about)));
        }
        line(out, place.depth, format_args!("{text}"));
    }

    fn tag_text(&self, text: &mut String, cell: &Cell, id: TagId, address: Address<'_>) {
        let tag = self.tag(id);
        shape_text(text, &tag.shape, cell);
        match &tag.origin {
            Origin::Device { connection, read, write, .. } => {
                let way = match (read, write) {
                    (true, true) => "<->",
                    (false, _) => "->",
                    (true, false) => "<-",
                };
                text.push_str(&format!("  {way} {}", self.connections[*connection].name));
                if let Some(address) = address(id) {
                    text.push_str(&format!(" {address}"));
                }
                if *read && !tag.poll.is_zero() {
                    text.push_str(&format!(", every {}", Period(tag.poll)));
                }
            }
            Origin::Memory { write: true, .. } => text.push_str("  memory"),
            Origin::Memory { write: false, .. } => text.push_str("  constant"),
            Origin::Part { .. } => text.push_str("  part"),
            Origin::Derived(derivation) => match &**derivation {
                Derivation::Formula(formula) => text.push_str(&format!("  = {}", shown_formula(&formula.text))),
            },
        }
        if let Some(class) = self.history_of(id) {
            text.push_str(&format!("  history {}", class.name));
        }
        if !tag.enabled {
            text.push_str("  off");
        }
    }
}

/// A formula on one line.
fn shown_formula(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shape_text(text: &mut String, shape: &Shape, cell: &Cell) {
    text.push_str(&format!(": {}", cell.type_name(shape.data_type)));
    if let Some(length) = shape.length {
        text.push_str(&format!("({length})"));
    }
    if !shape.dimensions.is_empty() {
        let sizes: Vec<_> = shape.dimensions.iter().map(u32::to_string).collect();
        text.push_str(&format!("[{}]", sizes.join(", ")));
    }
    if let Some(unit) = &shape.unit {
        text.push_str(&format!(" {}", unit.symbol));
    }
    if let Some((low, high)) = shape.range {
        text.push_str(&format!(" {low}..{high}"));
    }
}

fn shown(text: &Text) -> String {
    let one = |(locale, text): &(String, String)| match locale.as_str() {
        "" => text.clone(),
        locale => format!("{locale}:{text}"),
    };
    text.0.iter().map(one).collect::<Vec<_>>().join(" | ")
}

fn line(out: &mut String, depth: usize, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{:indent$}{text}", "", indent = depth * 2).expect("a String takes every text");
}
