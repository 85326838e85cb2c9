//! The names that a formula sees: siblings first, then those of each level above, up to the cell.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::docs::nearest;
use crate::formula::{Dimensions, Enumeration, Found, Lookup, Names, Type};
use crate::model::{DataType, EnumIx, Node, NodeIx, NodeKind, Plant, Shape, Tag, TagId};
use crate::value::BuiltIn;

/// The names of one cell. It holds no part of the plant, which gets its formulas meanwhile.
pub(super) struct CellNames {
    nodes: Vec<Known>,
    children: HashMap<(NodeIx, Arc<str>), NodeIx>,
    enumerations: HashMap<EnumIx, Arc<Enumeration>>,
    mirrors: Vec<NodeIx>,
    /// The node whose formula is compiled.
    owner: NodeIx,
    /// Folders with nodes that are not known yet, which the formula names.
    unknown: Vec<String>,
    /// Names that are still looked for among all nodes: a wrong file may have very many.
    hints_left: u32,
}

struct Known {
    name: Arc<str>,
    parent: Option<NodeIx>,
    /// The entry of a tag.
    tag: Option<Found>,
}

/// How far a path leads.
enum Descent {
    /// To its end.
    Whole(NodeIx),
    /// To this node, which has no child of the next name; this number of names was used.
    Part(NodeIx, usize),
}

impl CellNames {
    pub(super) fn of(plant: &Plant, index: u16, mirrors: &[NodeIx]) -> CellNames {
        let cell = &plant.cells[usize::from(index)];
        let enumerations = (0..).map(EnumIx).zip(cell.enums.iter().map(|kind| Arc::new(enumeration(kind)))).collect();
        let mut names = CellNames {
            nodes: Vec::with_capacity(cell.nodes.len()),
            children: HashMap::new(),
            enumerations,
            mirrors: mirrors.to_vec(),
            owner: NodeIx(0),
            unknown: Vec::new(),
            hints_left: 200,
        };
        for (node, at) in cell.nodes.iter().zip((0..).map(NodeIx)) {
            names.add(plant, node, at);
        }
        names
    }

    fn add(&mut self, plant: &Plant, node: &Node, at: NodeIx) {
        let tag = match node.kind {
            NodeKind::Variable(id) => plant.tags.get(id).map(|tag| self.found(plant, id, tag)),
            NodeKind::Folder | NodeKind::Object(_) | NodeKind::Declaration(_) => None,
        };
        self.nodes.push(Known { name: Arc::clone(&node.name), parent: node.parent, tag });
        if let Some(parent) = node.parent {
            self.children.entry((parent, Arc::clone(&node.name))).or_insert(at);
        }
    }

    fn found(&self, plant: &Plant, id: TagId, tag: &Tag) -> Found {
        let kind = tag.shape.data_type.wire();
        let wraps_at = match (tag.shape.range, kind.limits()) {
            (Some((_, high)), _) => Some(if kind.is_integer() { high + 1.0 } else { high }),
            (None, Some((_, high))) if kind.is_integer() => Some(high + 1.0),
            (None, _) => None,
        };
        Found {
            key: id.0,
            of: self.type_of(&tag.shape),
            used: 0,
            wraps_at: wraps_at.filter(|_| tag.wraps),
            is_sloped: plant.history_of(id).is_some() && !plant.is_stepped(id),
        }
    }

    /// The type that values of this shape have in formulas.
    pub(super) fn type_of(&self, shape: &Shape) -> Type {
        let of = match shape.data_type {
            DataType::BuiltIn(_) | DataType::Flags(..) | DataType::Struct(_) => Type::of(shape.data_type.wire()),
            DataType::Enum(at) => match self.enumerations.get(&at) {
                Some(of) => Type::Enumeration(Arc::clone(of)),
                None => Type::of(BuiltIn::Int32),
            },
        };
        match (of, shape.dimensions.len()) {
            (of, 0) => of,
            (Type::Other(name), _) => Type::Other(name),
            (of, count) => Type::Array(Box::new(of), Dimensions(count)),
        }
    }

    /// Begins with the formula of a node.
    pub(super) fn enter(&mut self, owner: NodeIx) {
        self.owner = owner;
    }

    pub(super) fn take_unknown(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unknown)
    }

    fn node(&self, at: NodeIx) -> &Known {
        &self.nodes[at.0 as usize]
    }

    /// Where names are looked for, the innermost first.
    fn levels(&self, from_cell: bool) -> Vec<NodeIx> {
        if from_cell {
            return vec![NodeIx(0)];
        }
        std::iter::successors(self.node(self.owner).parent, |at| self.node(*at).parent).collect()
    }

    fn descend(&self, from: NodeIx, names: &[&str]) -> Descent {
        let mut at = from;
        for (used, name) in names.iter().enumerate() {
            match self.children.get(&(at, Arc::from(*name))) {
                Some(child) => at = *child,
                None => return Descent::Part(at, used),
            }
        }
        Descent::Whole(at)
    }

    /// Path from the cell, as a formula has it.
    fn path(&self, at: NodeIx) -> String {
        let up = std::iter::successors(Some(at), |at| self.node(*at).parent);
        let mut names: Vec<String> = up.map(|at| written(&self.node(at).name)).collect();
        names.pop();
        names.reverse();
        names.join(".")
    }

    fn names_below(&self, at: NodeIx) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter(move |node| node.parent == Some(at)).map(|node| &*node.name)
    }

    /// The name that is probably meant.
    fn help(&self, levels: &[NodeIx], names: &[&str]) -> String {
        let mut furthest: Option<(usize, NodeIx)> = None;
        for level in levels {
            if let Descent::Part(at, used) = self.descend(*level, names)
                && furthest.is_none_or(|(most, _)| used > most)
            {
                furthest = Some((used, at));
            }
        }
        let wrong = furthest.map_or(0, |(used, _)| used);
        // As far as the path is right, its next name; else a name of any level.
        let places = furthest.filter(|(used, _)| *used > 0).map_or(levels.to_vec(), |(_, at)| vec![at]);
        for place in places {
            if let Some(near) = nearest(names[wrong], self.names_below(place)) {
                let meant: Vec<String> =
                    names.iter().enumerate().map(|(at, name)| written(if at == wrong { near } else { name })).collect();
                return format!("did you mean `{}`?", meant.join("."));
            }
        }
        let last = names.last().copied().unwrap_or_default();
        let elsewhere = self.nodes.iter().position(|node| node.tag.is_some() && &*node.name == last);
        match elsewhere.and_then(|at| u32::try_from(at).ok()) {
            Some(at) => format!("there is `.{}`", self.path(NodeIx(at))),
            None => String::new(),
        }
    }
}

impl Names for CellNames {
    fn find(&mut self, from_cell: bool, names: &[&str]) -> Lookup {
        let levels = self.levels(from_cell);
        let descents: Vec<Descent> = levels.iter().map(|level| self.descend(*level, names)).collect();
        let whole = descents.iter().find_map(|descent| match descent {
            Descent::Whole(at) => Some(*at),
            Descent::Part(..) => None,
        });
        if let Some(at) = whole {
            return match &self.node(at).tag {
                Some(found) => Lookup::Tag(Found { used: names.len(), ..found.clone() }),
                None => Lookup::NoTag,
            };
        }
        for descent in descents {
            let Descent::Part(at, used) = descent else { continue };
            if let Some(found) = self.node(at).tag.as_ref().filter(|_| used > 0) {
                return Lookup::Tag(Found { used, ..found.clone() });
            }
            let mirror =
                std::iter::successors(Some(at), |at| self.node(*at).parent).find(|at| self.mirrors.contains(at));
            if let Some(mirror) = mirror.filter(|_| used > 0) {
                let path = self.path(mirror);
                if !self.unknown.contains(&path) {
                    self.unknown.push(path);
                }
                return Lookup::Reported;
            }
        }
        self.hints_left = self.hints_left.saturating_sub(1);
        Lookup::Absent(if self.hints_left > 0 { self.help(&levels, names) } else { String::new() })
    }

    fn argument(&mut self, _: &str) -> Option<Found> {
        None
    }
}

/// A name as a formula has it.
fn written(name: &str) -> String {
    let begins = name.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
    let is_word = begins && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    let is_taken = matches!(name, "and" | "or" | "not" | "true" | "false" | "null");
    if is_word && !is_taken { name.to_owned() } else { format!("`{name}`") }
}

fn enumeration(kind: &crate::model::EnumType) -> Enumeration {
    let texts = |text: &crate::model::Text| text.0.iter().map(|(_, text)| text.clone()).collect();
    Enumeration {
        name: kind.name.to_string(),
        values: kind.values.iter().map(|(value, text)| (*value, texts(text))).collect(),
    }
}
