//! A change of one node: the keys that differ, and their effect on clients.

use std::collections::HashMap;

use super::{Cell, Plant, TagId};

/// The strongest effect of a change on clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    /// Attributes and settings.
    Live,
    /// The value means something else to people: unit, range, texts of an enumeration (Part 8 §5.3, 1.05).
    Semantics,
    /// The value comes from another place or is converted in another way: the last one does not count any more.
    Fresh,
    /// The value has another type or shape.
    Type,
}

/// A difference of one node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Added,
    Removed,
    Changed {
        /// Keys of schema 1 whose value differs.
        keys: Vec<Difference>,
        effect: Effect,
    },
}

/// A key whose value differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub key: &'static str,
    /// The value before and after, for a key that can be shown on a line.
    pub texts: Option<Texts>,
}

/// A value before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Texts {
    pub before: String,
    pub after: String,
}

/// Keys of the sources whose value differs, as the drivers have them, by tag.
pub(crate) type SourceDifferences = HashMap<TagId, Vec<Difference>>;

/// One cell of a plant.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub plant: &'a Plant,
    pub cell: &'a Cell,
}
