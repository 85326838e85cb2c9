//! The answer to a reload, as data and as lines for people.

use std::fmt::Write as _;

use super::Examined;
use super::difference::Changes;
use crate::control::{ConnectionNames, NodeCounts, NodeReport, ReloadReport, ReloadResult};
use crate::model::{CellChange, Change, ConnectionIx, Difference, Effect, NodeChange, Plant, count};

/// Changes that an answer holds.
const MOST: usize = 1_000;
/// Lines of changes for people; the rest is counted.
const MOST_LINES: usize = 40;

/// An answer as data and as text.
#[derive(Debug, Clone)]
pub struct Answer {
    pub report: ReloadReport,
    pub text: String,
}

/// The changes of a reload with the plants that they lie between.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub changes: &'a Changes,
    pub needs_restart: &'a [String],
    pub old: &'a Plant,
    pub new: &'a Plant,
}

impl Examined {
    pub(super) fn told<'a>(&'a self, old: &'a Plant) -> Told<'a> {
        Told { changes: &self.changes, needs_restart: &self.server.needs_restart, old, new: &self.plant }
    }
}

/// The name of a connection as `CELL:NAME`.
fn connection_name(plant: &Plant, ix: ConnectionIx) -> Option<String> {
    let connection = plant.connections.get(ix)?;
    let cell = &plant.cells.get(usize::from(connection.cell))?.name;
    Some(if cell.is_empty() { connection.name.clone() } else { format!("{cell}:{}", connection.name) })
}

impl Told<'_> {
    /// The answer without its times.
    pub(super) fn report(self, result: ReloadResult, revision: u32, findings: serde_json::Value) -> ReloadReport {
        let cells = &self.changes.cells;
        let sum = |of: &dyn Fn(&CellChange) -> usize| cells.iter().map(of).sum::<usize>();
        let nodes = NodeCounts {
            added: sum(&|cell| cell.count(|change| *change == Change::Added)),
            removed: sum(&|cell| cell.count(|change| *change == Change::Removed)),
            changed: sum(&|cell| cell.count(|change| matches!(change, Change::Changed { .. }))),
            untouched: sum(&|cell| cell.untouched),
        };
        let all = cells.iter().flat_map(|cell| cell.nodes.iter().map(move |node| (cell, node)));
        let total = all.clone().count();
        let changes: Vec<NodeReport> = all.take(MOST).map(|(cell, node)| node_report(cell, node)).collect();
        let links = &self.changes.links;
        let names = |plant: &Plant, list: &[ConnectionIx]| -> Vec<String> {
            list.iter().filter_map(|ix| connection_name(plant, *ix)).collect()
        };
        let connections = ConnectionNames {
            kept: names(self.new, &links.kept),
            reopened: names(self.new, &links.reopened),
            added: names(self.new, &links.added),
            removed: names(self.old, &links.removed),
        };
        let left_off = total - changes.len();
        let needs_restart = self.needs_restart.to_vec();
        ReloadReport {
            result,
            revision,
            check_ms: 0,
            apply_ms: 0,
            nodes,
            connections,
            changes,
            left_off,
            needs_restart,
            findings,
        }
    }

    /// A line for each cell that changed, and one for each change.
    pub(super) fn lines(self) -> String {
        let mut out = String::new();
        for cell in self.changes.cells.iter() {
            let links = self.links_of(cell);
            if cell.is_empty() && links.is_empty() {
                continue;
            }
            let sum = |word: &str, number: usize| (number > 0).then(|| format!("{} {word}", grouped(number)));
            let parts = [
                sum("changed", cell.count(|change| matches!(change, Change::Changed { .. }))),
                sum("added", cell.count(|change| *change == Change::Added)),
                sum("removed", cell.count(|change| *change == Change::Removed)),
                Some(format!("{} untouched", grouped(cell.untouched))),
            ];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            let links = if links.is_empty() { String::new() } else { format!("; links: {links}") };
            let name = if cell.name.is_empty() { &cell.namespace } else { &cell.name };
            writeln!(out, "{name}: {}{links}", parts.join(", ")).expect("a String takes all");
            for node in cell.nodes.iter().take(MOST_LINES) {
                writeln!(out, "  {}", self.node_line(cell, node)).expect("a String takes all");
            }
            if let Some(more) = cell.nodes.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
                writeln!(out, "  and {}", count(more, "more change")).expect("a String takes all");
            }
        }
        for key in self.needs_restart {
            writeln!(out, "  ! {key:<13} takes effect at the next start").expect("a String takes all");
        }
        out
    }

    /// `2 kept, 1 reopened` of the connections of a cell; empty when it has none.
    fn links_of(self, cell: &CellChange) -> String {
        let links = &self.changes.links;
        let is_of = |plant: &Plant, ix: ConnectionIx| {
            let connection = plant.connections.get(ix);
            let index = connection.map(|connection| usize::from(connection.cell));
            index.and_then(|index| plant.cells.get(index)).is_some_and(|of| of.namespace == cell.namespace)
        };
        let sum = |plant: &Plant, list: &[ConnectionIx], word: &str| {
            let number = list.iter().filter(|ix| is_of(plant, **ix)).count();
            (number > 0).then(|| format!("{number} {word}"))
        };
        let parts = [
            sum(self.new, &links.kept, "kept"),
            sum(self.new, &links.reopened, "reopened"),
            sum(self.new, &links.added, "added"),
            sum(self.old, &links.removed, "removed"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn node_line(self, cell: &CellChange, node: &NodeChange) -> String {
        let path = &node.path;
        match &node.change {
            Change::Added => format!("+ {path:<13}").trim_end().to_owned(),
            Change::Removed => {
                let history = cell.old.zip(node.old).is_some_and(|(cell, at)| {
                    matches!(&self.old.cells[cell].node(at).kind, crate::model::NodeKind::Variable(tag)
                        if self.old.history_of(*tag).is_some())
                });
                let note = if history { " its history stays as long as its class keeps it" } else { "" };
                format!("- {path:<13}{note}").trim_end().to_owned()
            }
            Change::Changed { keys, effect } => {
                let keys: Vec<String> = keys.iter().map(key_text).collect();
                format!("~ {path:<13} {:<32} {}", keys.join(", "), effect_text(*effect)).trim_end().to_owned()
            }
        }
    }
}

fn node_report(cell: &CellChange, node: &NodeChange) -> NodeReport {
    let (change, keys, effect) = match &node.change {
        Change::Added => ("added", Vec::new(), "added"),
        Change::Removed => ("removed", Vec::new(), "removed"),
        Change::Changed { keys, effect } => {
            ("changed", keys.iter().map(|key| key.key.to_owned()).collect(), effect_name(*effect))
        }
    };
    NodeReport {
        cell: cell.name.clone(),
        node: node.path.clone(),
        change: change.to_owned(),
        keys,
        effect: effect.to_owned(),
    }
}

fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Live => "live",
        Effect::Semantics => "semantics",
        Effect::Fresh => "fresh",
        Effect::Type => "type",
    }
}

fn effect_text(effect: Effect) -> &'static str {
    match effect {
        Effect::Live => "",
        Effect::Semantics => "clients re-read its properties",
        Effect::Fresh => "waits for its first sample",
        Effect::Type => "clients re-read its type",
    }
}

fn key_text(difference: &Difference) -> String {
    match &difference.texts {
        Some(texts) => format!("{} {} -> {}", difference.key, texts.before, texts.after),
        None => difference.key.to_owned(),
    }
}

/// `99,997`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (99_997, "99,997"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
