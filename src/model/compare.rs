//! One node before and after: which of its keys differ, and what that means to clients.

use std::fmt::{Debug, Display};

use super::change::{Change, Difference, Effect, Side, SourceDifferences, Texts};
use super::{
    Cell, DataType, Derivation, EnumType, FlagsType, Identifier, Node, NodeIx, NodeKind, ObjectType, Origin, Period,
    Plant, Scale, Shape, StructField, StructIx, Tag, TagId, Text,
};

/// A node of a side.
#[derive(Clone, Copy)]
pub(super) struct Compared<'a> {
    pub side: Side<'a>,
    pub at: NodeIx,
}

/// The differences that were found so far.
struct Found {
    keys: Vec<Difference>,
    effect: Effect,
}

impl Found {
    fn note(&mut self, key: &'static str, effect: Effect, texts: Option<Texts>) {
        self.effect = self.effect.max(effect);
        self.keys.push(Difference { key, texts });
    }

    /// A key whose value is not shown.
    fn key<T: PartialEq>(&mut self, key: &'static str, effect: Effect, old: &T, new: &T) {
        if old != new {
            self.note(key, effect, None);
        }
    }

    /// A key whose values are shown.
    fn shown<T: PartialEq, S: Display>(
        &mut self,
        key: &'static str,
        effect: Effect,
        old: &T,
        new: &T,
        show: impl Fn(&T) -> S,
    ) {
        if old != new {
            let texts = Texts { before: show(old).to_string(), after: show(new).to_string() };
            self.note(key, effect, Some(texts));
        }
    }
}

/// `None`: nothing differs.
pub(super) fn compare(old: Compared<'_>, new: Compared<'_>, sources: &SourceDifferences) -> Option<Change> {
    let mut found = Found { keys: Vec::new(), effect: Effect::Live };
    let (before, after) = (old.node(), new.node());
    found.shown("name", Effect::Live, &before.name, &after.name, |name| name.to_string());
    found.key("parent", Effect::Live, &old.parent(), &new.parent());
    found.key("display_name", Effect::Live, &before.display_name, &after.display_name);
    found.key("description", Effect::Live, &before.description, &after.description);
    found.key("access", Effect::Live, &old.side.plant.rule(before.access), &new.side.plant.rule(after.access));
    match (&before.kind, &after.kind) {
        (NodeKind::Variable(was), NodeKind::Variable(is)) => {
            found.tags(old.side, old.side.plant.tag(*was), new.side, new.side.plant.tag(*is));
            found.histories(old.side.plant, *was, new.side.plant, *is);
            for difference in sources.get(is).into_iter().flatten() {
                found.note(difference.key, effect_of_source(difference.key), difference.texts.clone());
            }
        }
        (NodeKind::Folder, NodeKind::Folder) => {}
        (was, is) => {
            found.shown("of", Effect::Type, &old.type_name(was), &new.type_name(is), |name| (*name).to_owned())
        }
    }
    found.keys.sort_by_key(|difference| difference.key);
    found.keys.dedup_by_key(|difference| difference.key);
    (!found.keys.is_empty()).then_some(Change::Changed { keys: found.keys, effect: found.effect })
}

/// Keys of a source that say when and how often, and not what.
fn effect_of_source(key: &str) -> Effect {
    match key {
        "poll" | "write" | "write_every" | "on_stop" => Effect::Live,
        _ => Effect::Fresh,
    }
}

impl<'a> Compared<'a> {
    fn node(&self) -> &'a Node {
        self.side.cell.node(self.at)
    }

    fn parent(&self) -> Option<Identifier> {
        self.node().parent.map(|parent| self.side.cell.identifier(parent))
    }

    fn type_name(&self, kind: &NodeKind) -> &'a str {
        match kind {
            NodeKind::Object(at) => &self.side.cell.object_types[at.0 as usize].name,
            NodeKind::Folder | NodeKind::Variable(_) | NodeKind::Declaration(_) => "a folder",
        }
    }
}

impl Found {
    fn tags(&mut self, old: Side<'_>, was: &Tag, new: Side<'_>, is: &Tag) {
        self.shapes(old.cell, &was.shape, new.cell, &is.shape);
        self.shown("scale", Effect::Fresh, &was.scale, &is.scale, scale_text);
        self.shown("deadband", Effect::Live, &was.deadband, &is.deadband, |band| *band);
        self.key("wraps", Effect::Live, &was.wraps, &is.wraps);
        self.shown("poll", Effect::Live, &was.poll, &is.poll, |poll| Period(*poll));
        self.shown("stale_after", Effect::Live, &was.stale_after, &is.stale_after, |after| match *after {
            std::time::Duration::MAX => "never".to_owned(),
            after => Period(after).to_string(),
        });
        self.shown("enabled", Effect::Live, &was.enabled, &is.enabled, |is| *is);
        match (&was.origin, &is.origin) {
            (
                Origin::Device { connection: from, read, write, on_stop },
                Origin::Device { connection: to, read: reads, write: writes, on_stop: stops },
            ) => {
                let name = |side: Side<'_>, ix| side.plant.connections[ix].name.clone();
                self.shown("connection", Effect::Fresh, &name(old, *from), &name(new, *to), String::clone);
                // A tag that is not read any more shows no value that was read.
                self.shown("read", Effect::Fresh, read, reads, |is| *is);
                self.shown("write", Effect::Live, write, writes, |is| *is);
                self.key("on_stop", Effect::Live, on_stop, stops);
            }
            (Origin::Memory { initial, write }, Origin::Memory { initial: starts, write: writes }) => {
                self.key("value", Effect::Live, initial, starts);
                self.shown("write", Effect::Live, write, writes, |is| *is);
            }
            (Origin::Part { write, .. }, Origin::Part { write: writes, .. }) => {
                self.shown("write", Effect::Live, write, writes, |is| *is);
            }
            (Origin::Derived(was), Origin::Derived(is)) => self.derivations(was, is),
            (was, is) => {
                self.note(origin_key(was), Effect::Fresh, None);
                self.note(origin_key(is), Effect::Fresh, None);
            }
        }
    }

    fn derivations(&mut self, was: &Derivation, is: &Derivation) {
        match (was, is) {
            // The same words may mean other tags, or tags of another type.
            (Derivation::Formula(was), Derivation::Formula(is)) if was.text == is.text => {
                self.key("expr", Effect::Fresh, was, is);
            }
            (Derivation::Formula(was), Derivation::Formula(is)) => {
                self.shown("expr", Effect::Fresh, &was.text, &is.text, |text| text.to_string());
            }
        }
    }

    fn shapes(&mut self, old: &Cell, was: &Shape, new: &Cell, is: &Shape) {
        let (before, after) = (old.type_name(was.data_type), new.type_name(is.data_type));
        self.shown("type", Effect::Type, &before, &after, String::clone);
        if before == after {
            self.types(old, was.data_type, new, is.data_type);
        }
        self.shown("array", Effect::Type, &was.dimensions, &is.dimensions, |sizes| format!("{sizes:?}"));
        let length = |length: &Option<u32>| length.map_or("none".to_owned(), |length| length.to_string());
        self.shown("length", Effect::Type, &was.length, &is.length, length);
        let unit = |unit: &Option<std::sync::Arc<super::Unit>>| match unit {
            Some(unit) => unit.symbol.clone(),
            None => "none".to_owned(),
        };
        self.shown("unit", Effect::Semantics, &was.unit, &is.unit, unit);
        self.shown("range", Effect::Semantics, &was.range, &is.range, |range| match range {
            Some((low, high)) => format!("[{low}, {high}]"),
            None => "none".to_owned(),
        });
    }

    /// Types of one name.
    fn types(&mut self, old: &Cell, was: DataType, new: &Cell, is: DataType) {
        match (was, is) {
            (DataType::Enum(from), DataType::Enum(to)) => {
                let (from, to) = (&old.enums[from.0 as usize], &new.enums[to.0 as usize]);
                if !has_same_values(from, to) {
                    let has = |number: i32| to.values.iter().any(|(value, _)| *value == number);
                    let is_lost = from.values.iter().any(|(value, _)| !has(*value));
                    self.note("type", if is_lost { Effect::Type } else { Effect::Semantics }, None);
                }
            }
            (DataType::Flags(from, before), DataType::Flags(to, after)) => {
                if before != after {
                    self.note("type", Effect::Type, None);
                } else if old.flags[from.0 as usize] != new.flags[to.0 as usize] {
                    self.note("type", Effect::Semantics, None);
                }
            }
            (DataType::Struct(from), DataType::Struct(to)) => {
                // What a field means on the device, or may hold, is part of the type.
                if !has_same_fields(Fields { cell: old, at: from }, Fields { cell: new, at: to }) {
                    self.note("type", Effect::Type, None);
                }
            }
            (DataType::BuiltIn(_), DataType::BuiltIn(_)) => {}
            _ => self.note("type", Effect::Type, None),
        }
    }

    fn histories(&mut self, old: &Plant, was: TagId, new: &Plant, is: TagId) {
        let class = |plant: &Plant, tag| plant.history_of(tag).cloned();
        let name =
            |class: &Option<super::HistoryClass>| class.as_ref().map_or("none".into(), |class| class.name.clone());
        let (before, after) = (class(old, was), class(new, is));
        match name(&before) == name(&after) {
            true => self.key("history", Effect::Live, &before, &after),
            false => self.shown("history", Effect::Live, &before, &after, |class| name(class).to_string()),
        }
    }
}

/// The key of a node that says where its value comes from.
fn origin_key(origin: &Origin) -> &'static str {
    match origin {
        Origin::Device { .. } => "source",
        Origin::Memory { .. } => "value",
        // The tag was, or is, no part of a structure.
        Origin::Part { .. } => "type",
        Origin::Derived(derivation) => match **derivation {
            Derivation::Formula(_) => "expr",
        },
    }
}

/// The order of the values is no difference.
fn has_same_values(old: &EnumType, new: &EnumType) -> bool {
    let sorted = |kind: &EnumType| {
        let mut values = kind.values.clone();
        values.sort_by_key(|(number, _)| *number);
        values
    };
    sorted(old) == sorted(new)
}

/// A structure of a cell.
#[derive(Clone, Copy)]
struct Fields<'a> {
    cell: &'a Cell,
    at: StructIx,
}

/// Whether two structures have the same layout and the same rules, also of structures in them.
fn has_same_fields(old: Fields<'_>, new: Fields<'_>) -> bool {
    let (was, is) = (old.cell.structure(old.at), new.cell.structure(new.at));
    let is_same = |was: &StructField, is: &StructField| {
        let inner = match (was.shape.data_type, is.shape.data_type) {
            (DataType::Struct(from), DataType::Struct(to)) => {
                has_same_fields(Fields { cell: old.cell, at: from }, Fields { cell: new.cell, at: to })
            }
            (from, to) => old.cell.type_name(from) == new.cell.type_name(to),
        };
        let rules = |field: &StructField| {
            let Shape { data_type: _, dimensions, length, unit, range } = field.shape.clone();
            (dimensions, length, unit, range, field.scale, field.description.clone())
        };
        inner && rules(was) == rules(is)
    };
    was.kind == is.kind && was.fields.iter().zip(&is.fields).all(|(was, is)| is_same(was, is))
}

/// Whether two cells have the same types, used or not, in any order.
pub(crate) fn has_same_types(old: &Cell, new: &Cell) -> bool {
    let enumeration =
        |kind: &EnumType| new.enums.iter().any(|other| other.name == kind.name && has_same_values(kind, other));
    let is_same = |kind: &ObjectType, other: &ObjectType| {
        let members = |cell: &Cell, kind: &ObjectType| {
            let mut all: Vec<_> = (0..kind.children.len()).map(|at| member(cell, kind, at)).collect();
            all.sort_by(|one, two| one.0.cmp(&two.0));
            all
        };
        kind.name == other.name && kind.description == other.description && members(old, kind) == members(new, other)
    };
    let object = |kind: &ObjectType| new.object_types.iter().any(|other| is_same(kind, other));
    let flags = |kind: &FlagsType| new.flags.contains(kind);
    let structure = |at: usize| {
        let name = &old.structs[at].kind.name;
        let same = new.structs.iter().position(|other| other.kind.name == *name);
        let place = |cell, at: usize| Fields { cell, at: StructIx(u32::try_from(at).unwrap_or(u32::MAX)) };
        same.is_some_and(|other| has_same_fields(place(old, at), place(new, other)))
    };
    let counts = |cell: &Cell| [cell.enums.len(), cell.object_types.len(), cell.structs.len(), cell.flags.len()];
    let has_same_data = old.enums.iter().all(enumeration) && old.flags.iter().all(flags);
    let has_same_others = (0..old.structs.len()).all(structure) && old.object_types.iter().all(object);
    counts(old) == counts(new) && has_same_data && has_same_others
}

/// A member of an object type: its path, its texts, and the rest as text, with types by name.
fn member(cell: &Cell, kind: &ObjectType, at: usize) -> (String, [Option<Box<Text>>; 2], String) {
    let at = NodeIx(u32::try_from(at).expect("nodes are counted in u32"));
    let node = &kind.children[at.0 as usize];
    let rest = match &node.kind {
        NodeKind::Object(of) => cell.object_types[of.0 as usize].name.to_string(),
        NodeKind::Declaration(shape) => {
            let name = cell.type_name(shape.data_type);
            let Shape { data_type: _, dimensions, length, unit, range } = &**shape;
            format!("{name} {dimensions:?} {length:?} {unit:?} {range:?}")
        }
        NodeKind::Folder | NodeKind::Variable(_) => String::new(),
    };
    (kind.path(at), [node.display_name.clone(), node.description.clone()], rest)
}

fn scale_text(scale: &Option<Scale>) -> String {
    let short = |value: &dyn Debug| format!("{value:?}");
    match scale {
        None => "none".to_owned(),
        Some(Scale::Factor { factor, offset }) => format!("factor {}, offset {}", short(factor), short(offset)),
        Some(Scale::Range { raw, eu, .. }) => {
            format!("[{}, {}] to [{}, {}]", raw.0, raw.1, eu.0, eu.1)
        }
    }
}
