//! The difference between two plants, node by node. Pure.
//!
//! Two files are compared by the nodes that they expand to, not by their text. The order of nodes and of keys is no
//! difference.

use std::collections::HashMap;

use super::change::{Change, Side, SourceDifferences};
use super::compare::{Compared, compare};
use super::{Cell, Identifier, NodeIx, NodeKind, Plant};

/// A node that differs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodeChange {
    pub identifier: Identifier,
    /// Path in its cell; `@cell` for the cell's own Object.
    pub path: String,
    pub change: Change,
    /// Place in the tree of the old cell, unless the node is new.
    pub old: Option<NodeIx>,
    /// Place in the tree of the new cell, unless the node is removed.
    pub new: Option<NodeIx>,
}

/// The differences of one cell, in the order of the new cell; removed nodes last.
#[derive(Debug, Clone, Default)]
pub(crate) struct CellChange {
    pub name: String,
    pub namespace: String,
    /// Index in the old plant, unless the cell is new.
    pub old: Option<usize>,
    /// Index in the new plant, unless the cell is removed.
    pub new: Option<usize>,
    pub nodes: Vec<NodeChange>,
    pub untouched: usize,
}

/// Cells by their namespace, those of the new plant first.
pub(crate) fn diff(old: &Plant, new: &Plant, sources: &SourceDifferences) -> Vec<CellChange> {
    let mut left: HashMap<&str, usize> =
        old.cells.iter().enumerate().map(|(at, cell)| (cell.namespace.as_str(), at)).collect();
    let mut all = Vec::with_capacity(new.cells.len());
    for (at, cell) in new.cells.iter().enumerate() {
        let before = left.remove(cell.namespace.as_str());
        all.push(
            Pair {
                old: before.map(|at| Side { plant: old, cell: &old.cells[at] }),
                new: Some(Side { plant: new, cell }),
            }
            .changes(sources, before, Some(at)),
        );
    }
    for (at, cell) in old.cells.iter().enumerate() {
        if left.contains_key(cell.namespace.as_str()) {
            all.push(Pair { old: Some(Side { plant: old, cell }), new: None }.changes(sources, Some(at), None));
        }
    }
    all
}

/// One cell before and after.
struct Pair<'a> {
    old: Option<Side<'a>>,
    new: Option<Side<'a>>,
}

/// The nodes of a cell by identifier.
fn identified(side: Option<Side<'_>>) -> Vec<(Identifier, NodeIx)> {
    let Some(Side { cell, .. }) = side else { return Vec::new() };
    let places = (0..cell.nodes.len()).map(|at| NodeIx(u32::try_from(at).expect("nodes are counted in u32")));
    places.map(|at| (cell.identifier(at), at)).collect()
}

impl Pair<'_> {
    fn changes(self, sources: &SourceDifferences, old_at: Option<usize>, new_at: Option<usize>) -> CellChange {
        let side = self.new.or(self.old).expect("a cell is old or new");
        let mut found = CellChange {
            name: side.cell.name.clone(),
            namespace: side.cell.namespace.clone(),
            old: old_at,
            new: new_at,
            ..CellChange::default()
        };
        let mut before: HashMap<Identifier, NodeIx> = identified(self.old).into_iter().collect();
        for (identifier, at) in identified(self.new) {
            let new = self.new.expect("its nodes are being looked at");
            let known = self.old.and_then(|old| Some((old, before.get(&identifier).copied()?)));
            let is_same_kind =
                known.is_some_and(|(old, was)| is_like(&old.cell.node(was).kind, &new.cell.node(at).kind));
            match known.filter(|_| is_same_kind) {
                None => {
                    let path = path_of(new.cell, at);
                    found.nodes.push(NodeChange { identifier, path, change: Change::Added, old: None, new: Some(at) });
                }
                Some((old, was)) => {
                    before.remove(&identifier);
                    match compare(Compared { side: old, at: was }, Compared { side: new, at }, sources) {
                        None => found.untouched += usize::from(new.cell.node(at).parent.is_some()),
                        Some(change) => {
                            let path = path_of(new.cell, at);
                            found.nodes.push(NodeChange { identifier, path, change, old: Some(was), new: Some(at) });
                        }
                    }
                }
            }
        }
        let mut removed: Vec<(NodeIx, Identifier)> = before.into_iter().map(|(id, at)| (at, id)).collect();
        removed.sort_by_key(|(at, _)| *at);
        for (at, identifier) in removed {
            let path = self.old.map(|old| path_of(old.cell, at)).unwrap_or_default();
            found.nodes.push(NodeChange { identifier, path, change: Change::Removed, old: Some(at), new: None });
        }
        found
    }
}

fn path_of(cell: &Cell, at: NodeIx) -> String {
    let path = cell.path(at);
    if path.is_empty() { "@cell".to_owned() } else { path }
}

/// Whether both are Objects, or both are Variables. A node of another class is another node.
fn is_like(old: &NodeKind, new: &NodeKind) -> bool {
    let is_variable = |kind: &NodeKind| matches!(kind, NodeKind::Variable(_) | NodeKind::Declaration(_));
    is_variable(old) == is_variable(new)
}

impl CellChange {
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.old.is_some() && self.new.is_some()
    }

    /// Number of nodes whose change is of this kind.
    pub(crate) fn count(&self, is_it: impl Fn(&Change) -> bool) -> usize {
        // The cell's own Object is no entry of `nodes:`.
        let is_entry = |node: &&NodeChange| matches!(node.change, Change::Changed { .. }) || node.path != "@cell";
        self.nodes.iter().filter(is_entry).filter(|node| is_it(&node.change)).count()
    }
}
