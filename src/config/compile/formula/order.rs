//! The order of derived tags: each comes after the ones that it uses. A loop is a finding.

use std::collections::{HashMap, HashSet};

use super::Compiler;
use crate::model::{Origin, Plant, TagId};

/// Derived tags in order, and the loops among them.
pub(super) struct Ordered {
    pub order: Vec<TagId>,
    /// Each closed: the first tag is also the last.
    pub loops: Vec<Vec<TagId>>,
}

fn inputs(plant: &Plant, tag: TagId) -> &[TagId] {
    match plant.tags.get(tag).map(|tag| &tag.origin) {
        Some(Origin::Derived(derivation)) => derivation.inputs(),
        _ => &[],
    }
}

fn is_derived(plant: &Plant, tag: TagId) -> bool {
    matches!(plant.tags.get(tag).map(|tag| &tag.origin), Some(Origin::Derived(_)))
}

/// Visits each derived tag after its inputs. Chains may be long, so the walk has a stack of its own.
pub(super) fn order(plant: &Plant) -> Ordered {
    let mut found = Ordered { order: Vec::new(), loops: Vec::new() };
    let mut done: HashSet<TagId> = HashSet::new();
    let mut on_path: HashSet<TagId> = HashSet::new();
    for (start, _) in plant.tags.iter().filter(|(id, _)| is_derived(plant, *id)) {
        let mut path: Vec<(TagId, usize)> = Vec::new();
        if !done.contains(&start) {
            path.push((start, 0));
            on_path.insert(start);
        }
        while let Some((tag, next)) = path.last_mut() {
            let tag = *tag;
            let Some(input) = inputs(plant, tag).get(*next).copied() else {
                found.order.push(tag);
                done.insert(tag);
                on_path.remove(&tag);
                path.pop();
                continue;
            };
            *next += 1;
            if on_path.contains(&input) {
                let from = path.iter().position(|(known, _)| *known == input).unwrap_or(0);
                found.loops.push(path[from..].iter().map(|(tag, _)| *tag).chain([input]).collect());
            } else if !done.contains(&input) && is_derived(plant, input) {
                path.push((input, 0));
                on_path.insert(input);
            }
        }
    }
    found
}

/// Number of derived tags in the longest chain.
pub(crate) fn longest_chain(plant: &Plant) -> usize {
    let mut lengths: HashMap<TagId, usize> = HashMap::new();
    for tag in &plant.derived {
        let longest = inputs(plant, *tag).iter().filter_map(|input| lengths.get(input)).max();
        lengths.insert(*tag, longest.copied().unwrap_or(0) + 1);
    }
    lengths.values().copied().max().unwrap_or(0)
}

impl Compiler<'_> {
    /// Puts the derived tags of all cells in order.
    pub(in crate::config::compile) fn order_derived(&mut self) {
        let Ordered { order, loops } = order(&self.plant);
        for tags in &loops {
            let names: Vec<String> = tags.iter().map(|tag| self.derived_path(*tag)).collect();
            let Some(first) = tags.first().and_then(|tag| self.formula_places.get(tag)).copied() else { continue };
            let mut others: Vec<_> = tags[1..tags.len() - 1]
                .iter()
                .filter_map(|tag| Some((*self.formula_places.get(tag)?, self.derived_path(*tag))))
                .collect();
            let second = if others.is_empty() { None } else { Some(others.remove(0)) };
            let places: Vec<String> = others
                .iter()
                .map(|(place, name)| {
                    let (line, column) = self.source.line_column(place.file, place.start);
                    format!("`{name}` is at {}:{line}:{column}", self.source.files[usize::from(place.file)].name)
                })
                .collect();
            let finding = self.findings.error_at(first, format!("loop: {}", names.join(" -> ")));
            if let Some((place, name)) = second {
                finding.also(place, format!("`{name}`"));
            }
            for place in places {
                finding.help(place);
            }
            finding.help(match tags.len() {
                2 => "for the value before this run write `prev()`",
                _ => "a formula cannot use a tag that uses its own",
            });
        }
        self.plant.derived = order;
    }

    fn derived_path(&self, id: TagId) -> String {
        let tag = self.plant.tag(id);
        self.plant.cells[usize::from(tag.cell)].path(tag.node)
    }
}
