//! The changes of a reload: the plants are compared, and each change is given its effect on slots, links and clients.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::config::Compiled;
use crate::drivers::{self, ConnectionPlan, LinkChanges, PointPlan};
use crate::model::{
    Cell, CellChange, Change, Connection, ConnectionIx, Difference, Effect, NodeKind, Origin, Plant, Renumbering,
    SourceDifferences, Tag, TagId, diff, has_same_types,
};
use crate::tags::Turn;

/// The running plant and the plans of its connections.
#[derive(Clone, Copy)]
pub(super) struct Running<'a> {
    pub plant: &'a Plant,
    pub drivers: &'a [ConnectionPlan],
}

/// The difference between what runs and what the files say.
#[derive(Debug)]
pub(super) struct Changes {
    pub cells: Vec<CellChange>,
    pub links: LinkChanges,
    /// Slots that change.
    pub turns: Vec<SlotTurn>,
    /// Tags whose unit, range or texts changed.
    pub semantics: Vec<TagId>,
    /// Types, namespaces or connections that are off differ, although no node does.
    pub has_other: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotTurn {
    pub tag: TagId,
    pub turn: Turn,
    pub retained: Retained,
}

/// The fate of the value that was retained for a memory tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retained {
    /// The tag begins with it.
    Back,
    /// It is of a tag that has gone, or of a start value that has gone.
    Dropped,
    Stays,
}

/// A revision with its plans, before it is compared.
pub(super) struct Made {
    pub plant: Plant,
    pub drivers: Vec<ConnectionPlan>,
}

impl Made {
    pub(super) fn set(&mut self, ix: ConnectionIx, enabled: bool) {
        if let Some(connection) = self.plant.connections.get(ix) {
            let switched = Connection { enabled, ..connection.clone() };
            self.plant.connections.put(ix, switched);
        }
        self.drivers.iter_mut().filter(|plan| plan.ix == ix).for_each(|plan| plan.enabled = enabled);
    }
}

/// The plant and the plans of a compiled cell with the numbers that they will have.
pub(super) fn renumbered(compiled: Compiled, numbers: &Renumbering, revision: u32) -> Made {
    let plant = compiled.plant.renumbered(numbers, revision);
    let mut plans = compiled.drivers;
    for plan in &mut plans {
        plan.ix = numbers.connection(plan.ix);
        for point in Arc::make_mut(&mut plan.points) {
            point.tag = numbers.tag(point.tag);
        }
    }
    Made { plant, drivers: plans }
}

impl Changes {
    pub(super) fn between(old: Running<'_>, new: Running<'_>) -> Changes {
        let cells = diff(old.plant, new.plant, &source_differences(old.drivers, new.drivers));
        let links = drivers::compare_links(old.drivers, new.drivers);
        let fresh = fresh_connections(old, new);
        let mut changes = Changes { cells, links, turns: Vec::new(), semantics: Vec::new(), has_other: false };
        changes.has_other = has_other(old.plant, new.plant) || has_other_at_rest(old.drivers, new.drivers);
        changes.has_other |= has_other_mirrors(old.drivers, new.drivers);
        changes.find_turns(old.plant, new.plant, &fresh);
        changes
    }

    pub(super) fn is_empty(&self) -> bool {
        let LinkChanges { reopened, added, removed, .. } = &self.links;
        let is_same = reopened.is_empty() && added.is_empty() && removed.is_empty();
        is_same && !self.has_other && self.cells.iter().all(CellChange::is_empty)
    }

    fn find_turns(&mut self, old: &Plant, new: &Plant, fresh: &HashSet<ConnectionIx>) {
        let mut turned = HashSet::new();
        let mut turn = |tag: TagId, turn: Turn, retained: Retained| {
            if turned.insert(tag) {
                self.turns.push(SlotTurn { tag, turn, retained });
            }
        };
        for cell in &self.cells {
            let of_old = cell.old.map(|at| &old.cells[at]);
            let of_new = cell.new.map(|at| &new.cells[at]);
            for node in &cell.nodes {
                let was = node.old.zip(of_old).and_then(|(at, cell)| tag_of(&cell.node(at).kind));
                let is = node.new.zip(of_new).and_then(|(at, cell)| tag_of(&cell.node(at).kind));
                match (&node.change, was, is) {
                    (Change::Removed, Some(was), _) => turn(was, Turn::End, Retained::Dropped),
                    (Change::Added, _, Some(is)) => turn(is, Turn::Begin, Retained::Back),
                    (Change::Changed { keys, effect }, Some(_), Some(is)) => {
                        if let Some(kind) = turn_of(keys, *effect, new.tag(is)) {
                            turn(is, kind, retained_of(keys));
                        }
                        if keys.iter().any(|difference| is_semantic(difference, *effect)) {
                            self.semantics.push(is);
                        }
                    }
                    _ => {}
                }
            }
        }
        for (id, tag) in new.tags.iter() {
            if tag.connection().is_some_and(|connection| fresh.contains(&connection)) {
                turn(id, Turn::Begin, Retained::Stays);
            }
        }
    }
}

fn tag_of(kind: &NodeKind) -> Option<TagId> {
    match kind {
        NodeKind::Variable(tag) => Some(*tag),
        NodeKind::Folder | NodeKind::Object(_) | NodeKind::Declaration(_) => None,
    }
}

fn retained_of(keys: &[Difference]) -> Retained {
    let has = |key: &str| keys.iter().any(|difference| difference.key == key);
    // The words of a formula differ, and not only what they mean.
    let is_rewritten = keys.iter().any(|difference| difference.key == "expr" && difference.texts.is_some());
    match (has("value") || has("source") || is_rewritten, has("enabled")) {
        (true, _) => Retained::Dropped,
        (false, true) => Retained::Back,
        (false, false) => Retained::Stays,
    }
}

fn turn_of(keys: &[Difference], effect: Effect, tag: &Tag) -> Option<Turn> {
    let has = |key: &str| keys.iter().any(|difference| difference.key == key);
    match effect {
        Effect::Type if matches!(tag.origin, Origin::Memory { .. }) && !has("source") && !has("value") => {
            Some(Turn::Retype)
        }
        Effect::Type | Effect::Fresh => Some(Turn::Begin),
        // The values of a constant and a memory tag are those of the file when it changes.
        Effect::Live | Effect::Semantics => (has("enabled") || has("value")).then_some(Turn::Begin),
    }
}

/// A change of type has its own event, although the unit may have changed with it.
fn is_semantic(difference: &Difference, effect: Effect) -> bool {
    matches!(difference.key, "unit" | "range") || difference.key == "type" && effect == Effect::Semantics
}

/// Connections whose values mean something else, or that were switched on or off.
fn fresh_connections(old: Running<'_>, new: Running<'_>) -> HashSet<ConnectionIx> {
    let before: HashMap<ConnectionIx, &ConnectionPlan> = old.drivers.iter().map(|plan| (plan.ix, plan)).collect();
    let is_fresh = |plan: &&ConnectionPlan| {
        before.get(&plan.ix).is_some_and(|old| old.enabled != plan.enabled || !old.is_same_source(plan))
    };
    new.drivers.iter().filter(is_fresh).map(|plan| plan.ix).collect()
}

/// Connections without a link that differ: a client may switch them on.
fn has_other_at_rest(old: &[ConnectionPlan], new: &[ConnectionPlan]) -> bool {
    let before: HashMap<ConnectionIx, &ConnectionPlan> = old.iter().map(|plan| (plan.ix, plan)).collect();
    new.iter().any(|plan| !plan.enabled && before.get(&plan.ix).is_some_and(|old| *old != plan))
}

/// Folders that mirror their devices differ, although no node does.
fn has_other_mirrors(old: &[ConnectionPlan], new: &[ConnectionPlan]) -> bool {
    let before: HashMap<ConnectionIx, &ConnectionPlan> = old.iter().map(|plan| (plan.ix, plan)).collect();
    new.iter().any(|plan| before.get(&plan.ix).is_some_and(|old| old.browses != plan.browses))
}

/// The keys of each tag's source that differ, as its driver has them.
fn source_differences(old: &[ConnectionPlan], new: &[ConnectionPlan]) -> SourceDifferences {
    let before: HashMap<TagId, &PointPlan> =
        old.iter().flat_map(|plan| plan.points.iter()).map(|point| (point.tag, point)).collect();
    let mut found = SourceDifferences::new();
    for point in new.iter().flat_map(|plan| plan.points.iter()) {
        let Some(was) = before.get(&point.tag).filter(|was| **was != point) else { continue };
        let keys = was.changed_keys(point).into_iter();
        let texts = |key| {
            (key == "address")
                .then(|| crate::model::Texts { before: was.address.clone(), after: point.address.clone() })
        };
        found.insert(point.tag, keys.map(|key| Difference { key, texts: texts(key) }).collect());
    }
    found
}

/// Differences that no node shows: a cell's name, settings and texts of connections, types, publishers.
fn has_other(old: &Plant, new: &Plant) -> bool {
    let differs = |cell: &Cell| {
        let before = old.cells.iter().find(|before| before.namespace == cell.namespace);
        before.is_some_and(|before| before.name != cell.name || !has_same_types(before, cell))
    };
    let is_other = |(ix, connection): (ConnectionIx, &Connection)| {
        old.connections
            .get(ix)
            .is_some_and(|before| Connection { cell: connection.cell, ..before.clone() } != *connection)
    };
    let is_published = old.publishers != new.publishers;
    let has_alarms = !old.alarms.iter().eq(new.alarms.iter());
    is_published || has_alarms || new.cells.iter().any(differs) || new.connections.iter().any(is_other)
}
