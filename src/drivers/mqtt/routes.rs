//! Topics to the groups of points that they feed: one look-up for a topic that is named, and one step a level for filters with
//! wildcards.

use std::collections::HashMap;

/// An index of filters.
#[derive(Debug, Default)]
pub(super) struct Routes {
    exact: HashMap<Box<str>, usize>,
    /// The first is the root; empty without wildcards.
    levels: Vec<Level>,
}

#[derive(Debug, Default)]
struct Level {
    names: HashMap<Box<str>, usize>,
    /// The level below `+`.
    any: Option<usize>,
    /// Group of the filter that ends here.
    group: Option<usize>,
    /// Group of the filter that ends here with `#`.
    rest: Option<usize>,
}

impl Routes {
    /// The group of a filter, or the next one for a new filter.
    pub(super) fn group(&mut self, filter: &str, next: usize) -> usize {
        if !crate::drivers::broker::has_wildcard(filter) {
            return *self.exact.entry(filter.into()).or_insert(next);
        }
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let mut at = 0;
        for name in filter.split('/') {
            at = match name {
                "#" => return *self.levels[at].rest.get_or_insert(next),
                "+" => self.step(at, None),
                name => self.step(at, Some(name)),
            };
        }
        *self.levels[at].group.get_or_insert(next)
    }

    /// The group of a filter without wildcards.
    pub(super) fn exact(&self, filter: &str) -> Option<usize> {
        self.exact.get(filter).copied()
    }

    fn step(&mut self, at: usize, name: Option<&str>) -> usize {
        let known = match name {
            None => self.levels[at].any,
            Some(name) => self.levels[at].names.get(name).copied(),
        };
        if let Some(known) = known {
            return known;
        }
        let new = self.levels.len();
        self.levels.push(Level::default());
        match name {
            None => self.levels[at].any = Some(new),
            Some(name) => drop(self.levels[at].names.insert(name.into(), new)),
        }
        new
    }

    /// The groups whose filter matches a topic, into `found`.
    pub(super) fn find(&self, topic: &str, found: &mut Vec<usize>) {
        found.clear();
        found.extend(self.exact.get(topic));
        if !self.levels.is_empty() {
            // A wildcard in the first level does not match `$SYS` (3.1.1 §4.7.2).
            self.walk(0, Some(topic), topic.starts_with('$'), found);
        }
    }

    /// `rest` is what follows of the topic; `None` at its end. Filters are written in the cell, so depth is bounded by them.
    fn walk(&self, at: usize, rest: Option<&str>, is_hidden: bool, found: &mut Vec<usize>) {
        let level = &self.levels[at];
        if !is_hidden {
            found.extend(level.rest);
        }
        let Some(rest) = rest else {
            found.extend(level.group);
            return;
        };
        let (name, below) = match rest.split_once('/') {
            Some((name, below)) => (name, Some(below)),
            None => (rest, None),
        };
        if let Some(next) = level.names.get(name) {
            self.walk(*next, below, false, found);
        }
        if let Some(next) = level.any.filter(|_| !is_hidden) {
            self.walk(next, below, false, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::drivers::broker::{check_filter, covers};

    fn level(words: &'static [&'static str]) -> impl Strategy<Value = String> {
        proptest::collection::vec(proptest::sample::select(words), 1..5).prop_map(|levels| levels.join("/"))
    }

    proptest! {
        #[test]
        fn a_topic_finds_each_filter_that_matches_once(
            filters in proptest::collection::btree_set(level(&["a", "b", "", "+", "#", "$x"]), 1..12),
            topics in proptest::collection::vec(level(&["a", "b", "", "c", "$x"]), 1..20),
        ) {
            let filters: Vec<String> =
                filters.into_iter().filter(|filter| check_filter(filter).is_ok()).collect();
            let mut routes = Routes::default();
            for (at, filter) in filters.iter().enumerate() {
                prop_assert_eq!(routes.group(filter, at), at);
                prop_assert_eq!(routes.group(filter, 99), at);
            }
            for topic in topics.iter().filter(|topic| !topic.is_empty()) {
                let mut found = Vec::new();
                routes.find(topic, &mut found);
                found.sort_unstable();
                let wanted: Vec<usize> =
                    (0..filters.len()).filter(|at| covers(&filters[*at], topic)).collect();
                prop_assert_eq!(found, wanted, "{} in {:?}", topic, filters);
            }
        }
    }
}
