//! Numbers of tags and connections that stay while a cell changes.
//!
//! A compiled plant counts from 0. Before it replaces another one its tags and connections take over the numbers of the same
//! nodes and connections there; new ones get numbers that nothing uses.

use std::collections::HashMap;

use super::{
    Alarm, AlarmIx, Connection, ConnectionIx, Derivation, Formula, Identifier, NodeKind, Number, Numbered, Origin,
    Plant, Tag, TagId,
};

/// A node or connection of any cell: the NamespaceUri, and its identifier or name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key<I> {
    namespace: String,
    id: I,
}

/// A number whose thing was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left<N> {
    pub number: N,
    /// The first revision without the thing.
    pub since: u32,
}

/// The numbers that were given so far. A thing that comes back finds its own as long as something holds it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    tags: Given<Identifier, TagId>,
    connections: Given<String, ConnectionIx>,
    alarms: Given<AlarmOf, AlarmIx>,
}

/// An alarm by its tag and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct AlarmOf {
    tag: Identifier,
    name: std::sync::Arc<str>,
}

#[derive(Debug, Clone)]
struct Given<I, N> {
    /// Of things that were removed.
    left: HashMap<Key<I>, Left<N>>,
    free: Vec<N>,
    /// All numbers are below it.
    bound: usize,
}

impl<I, N> Default for Given<I, N> {
    fn default() -> Given<I, N> {
        Given { left: HashMap::new(), free: Vec::new(), bound: 0 }
    }
}

/// The number of each thing of a plant that was compiled, by the number that it has there.
#[derive(Debug)]
pub(crate) struct Renumbering {
    tags: Vec<TagId>,
    connections: Vec<ConnectionIx>,
    alarms: Vec<AlarmIx>,
}

impl Renumbering {
    pub(crate) fn tag(&self, compiled: TagId) -> TagId {
        self.tags[compiled.place()]
    }

    pub(crate) fn connection(&self, compiled: ConnectionIx) -> ConnectionIx {
        self.connections[compiled.place()]
    }
}

impl<I: std::hash::Hash + Eq, N: Number> Given<I, N> {
    /// Gives each of the new things a number. `revision` is the first one without the old things that are not among them.
    fn assign(
        &mut self,
        old: HashMap<Key<I>, N>,
        new: Vec<Key<I>>,
        revision: u32,
        is_used: impl Fn(Left<N>) -> bool,
    ) -> Vec<N> {
        let mut old = old;
        let known: Vec<Option<N>> =
            new.iter().map(|key| old.remove(key).or_else(|| self.left.remove(key).map(|left| left.number))).collect();
        let free = &mut self.free;
        self.left.retain(|_, left| {
            let stays = is_used(*left);
            if !stays {
                free.push(left.number);
            }
            stays
        });
        let mut next = || {
            self.free.pop().unwrap_or_else(|| {
                self.bound += 1;
                N::of(self.bound - 1)
            })
        };
        let numbers = known.into_iter().map(|known| known.unwrap_or_else(&mut next)).collect();
        self.left.extend(old.into_iter().map(|(key, number)| (key, Left { number, since: revision })));
        numbers
    }
}

impl Numbers {
    /// Numbers for a compiled plant that is to follow `old`. `is_used` says whether something may still hold the number
    /// of a removed tag.
    pub(crate) fn assign(
        &mut self,
        old: &Plant,
        new: &Plant,
        revision: u32,
        is_used: impl Fn(Left<TagId>) -> bool,
    ) -> Renumbering {
        let tags = |plant: &Plant| -> Vec<(Key<Identifier>, TagId)> {
            let key = |(id, tag): (TagId, &Tag)| {
                let cell = &plant.cells[usize::from(tag.cell)];
                (Key { namespace: cell.namespace.clone(), id: cell.identifier(tag.node) }, id)
            };
            plant.tags.iter().map(key).collect()
        };
        let connections = |plant: &Plant| -> Vec<(Key<String>, ConnectionIx)> {
            let key = |(ix, connection): (ConnectionIx, &Connection)| {
                let namespace = plant.cells[usize::from(connection.cell)].namespace.clone();
                (Key { namespace, id: connection.name.clone() }, ix)
            };
            plant.connections.iter().map(key).collect()
        };
        self.tags.bound = self.tags.bound.max(old.tags.bound());
        self.connections.bound = self.connections.bound.max(old.connections.bound());
        let keys = |things: Vec<(Key<Identifier>, TagId)>| things.into_iter().map(|(key, _)| key).collect();
        let of_tags = self.tags.assign(tags(old).into_iter().collect(), keys(tags(new)), revision, is_used);
        let names = connections(new).into_iter().map(|(key, _)| key).collect();
        // The number of a removed connection waits for its name: there are few of them.
        let of_connections = self.connections.assign(connections(old).into_iter().collect(), names, revision, |_| true);
        let alarms = |plant: &Plant| -> Vec<(Key<AlarmOf>, AlarmIx)> {
            let key = |(ix, alarm): (AlarmIx, &Alarm)| {
                let tag = plant.tag(alarm.tag);
                let cell = &plant.cells[usize::from(tag.cell)];
                let id = AlarmOf { tag: cell.identifier(tag.node), name: alarm.name.clone() };
                (Key { namespace: cell.namespace.clone(), id }, ix)
            };
            plant.alarms.iter().map(key).collect()
        };
        self.alarms.bound = self.alarms.bound.max(old.alarms.bound());
        let names = alarms(new).into_iter().map(|(key, _)| key).collect();
        // Like a connection's: an item on a removed alarm must never see another one.
        let of_alarms = self.alarms.assign(alarms(old).into_iter().collect(), names, revision, |_| true);
        Renumbering { tags: of_tags, connections: of_connections, alarms: of_alarms }
    }
}

impl Plant {
    /// The plant with other numbers, as this revision.
    pub(crate) fn renumbered(self, numbers: &Renumbering, revision: u32) -> Plant {
        let renumber = |(of, parts): (TagId, Box<[TagId]>)| {
            (numbers.tag(of), parts.iter().map(|part| numbers.tag(*part)).collect())
        };
        let parts = self.parts.into_iter().map(renumber).collect();
        let (tags, connections, alarms) = (Numbered::default(), Numbered::default(), Numbered::default());
        let mut plant = Plant { tags, connections, alarms, revision, parts, ..self };
        for (compiled, connection) in self.connections.into_entries() {
            plant.connections.put(numbers.connection(compiled), connection);
        }
        for (compiled, mut tag) in self.tags.into_entries() {
            match &mut tag.origin {
                Origin::Device { connection, .. } => *connection = numbers.connection(*connection),
                Origin::Part { of, .. } => *of = numbers.tag(*of),
                Origin::Derived(derivation) => *derivation = renumbered(derivation, numbers).into(),
                Origin::Memory { .. } => {}
            }
            plant.tags.put(numbers.tag(compiled), tag);
        }
        plant.derived.iter_mut().for_each(|tag| *tag = numbers.tag(*tag));
        for (compiled, mut alarm) in self.alarms.into_entries() {
            alarm.tag = numbers.tag(alarm.tag);
            plant.alarms.put(numbers.alarms[compiled.place()], alarm);
        }
        for node in plant.cells.iter_mut().flat_map(|cell| &mut cell.nodes) {
            if let NodeKind::Variable(tag) = &mut node.kind {
                *tag = numbers.tag(*tag);
            }
        }
        plant
    }
}

fn renumbered(derivation: &Derivation, numbers: &Renumbering) -> Derivation {
    match derivation {
        Derivation::Formula(formula) => {
            let inputs = formula.inputs.iter().map(|tag| numbers.tag(*tag)).collect();
            Derivation::Formula(Formula { inputs, ..formula.clone() })
        }
    }
}
