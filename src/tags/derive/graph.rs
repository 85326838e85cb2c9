//! Which derived tag uses which tag, and the derived tags of one batch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;

use super::Result;
use crate::formula::{Cause, Memory, Outcome};
use crate::model::{DataType, Derivation, Number, Origin, Plant, Tag, TagId};
use crate::value::{Array, Elements, Value};

/// The derived tags of a plant. A rank is a place in the order of evaluation: each tag comes after the ones that it uses.
#[derive(Default)]
pub(super) struct Graph {
    /// Of the plant.
    pub revision: u32,
    /// By rank.
    pub nodes: Vec<Node>,
    ranks: HashMap<TagId, u32>,
    /// For each tag of the plant, where its part of `dependents` begins; and the end of the last one.
    begins: Vec<u32>,
    /// Ranks.
    dependents: Vec<u32>,
}

/// A derived tag.
pub(super) struct Node {
    pub tag: TagId,
    pub derivation: Arc<Derivation>,
    pub enabled: bool,
    pub deadband: f64,
    /// Period of its runs by the clock.
    pub period: Option<Duration>,
    /// Its memory outlives it.
    pub keeps: bool,
    /// Greatest length of a text in bytes.
    length: Option<usize>,
    dimensions: Box<[u32]>,
    /// Values of its enumeration.
    known: Option<Box<[i32]>>,
}

impl Graph {
    pub(super) fn of(plant: &Plant) -> Graph {
        if plant.derived.is_empty() {
            return Graph::default();
        }
        let nodes: Vec<Node> = plant.derived.iter().filter_map(|id| Node::of(plant, *id)).collect();
        let ranks = nodes.iter().zip(0..).map(|(node, rank)| (node.tag, rank)).collect();
        // Counted first, so that each tag's part has its place.
        let mut begins = vec![0u32; plant.tags.bound() + 1];
        let used = || nodes.iter().zip(0u32..).flat_map(|(node, rank)| node.used().map(move |tag| (tag, rank)));
        used().for_each(|(tag, _)| begins[tag.place() + 1] += 1);
        for at in 1..begins.len() {
            begins[at] += begins[at - 1];
        }
        let mut next = begins.clone();
        let mut dependents = vec![0; begins.last().map_or(0, |count| *count as usize)];
        for (tag, rank) in used() {
            dependents[next[tag.place()] as usize] = rank;
            next[tag.place()] += 1;
        }
        Graph { revision: plant.revision, nodes, ranks, begins, dependents }
    }

    /// The ranks of the derived tags that use this one.
    pub(super) fn dependents(&self, tag: TagId) -> &[u32] {
        match self.begins.get(tag.place()..tag.place() + 2) {
            Some(ends) => &self.dependents[ends[0] as usize..ends[1] as usize],
            None => &[],
        }
    }

    pub(super) fn rank(&self, tag: TagId) -> Option<u32> {
        self.ranks.get(&tag).copied()
    }
}

impl Node {
    fn of(plant: &Plant, id: TagId) -> Option<Node> {
        let tag: &Tag = plant.tags.get(id)?;
        let Origin::Derived(derivation) = &tag.origin else { return None };
        let Derivation::Formula(formula) = &**derivation;
        let known = match tag.shape.data_type {
            DataType::Enum(at) => {
                let kind = &plant.cells[usize::from(tag.cell)].enums[at.0 as usize];
                Some(kind.values.iter().map(|(number, _)| *number).collect())
            }
            DataType::BuiltIn(_) | DataType::Flags(..) | DataType::Struct(_) => None,
        };
        Some(Node {
            tag: id,
            derivation: Arc::clone(derivation),
            enabled: tag.enabled,
            deadband: tag.deadband,
            period: (formula.program.reads_clock() && tag.enabled).then_some(tag.poll),
            keeps: formula.program.keeps(),
            length: tag.shape.length.map(|length| length as usize),
            dimensions: tag.shape.dimensions.as_slice().into(),
            known,
        })
    }

    /// The tags that it uses, each once.
    fn used(&self) -> impl Iterator<Item = TagId> {
        let inputs = self.derivation.inputs();
        inputs.iter().enumerate().filter(|(at, tag)| !inputs[..*at].contains(tag)).map(|(_, tag)| *tag)
    }

    pub(super) fn memory(&self) -> Memory {
        let Derivation::Formula(formula) = &*self.derivation;
        Memory::of(&formula.program)
    }

    /// The outcome, or Bad_OutOfRange where the tag cannot have the value.
    pub(super) fn checked(&self, outcome: Outcome) -> Result {
        let Outcome { value, status, source_time: source, cause } = outcome;
        let fits = match &value {
            Value::Array(array) => self.has_shape(array) && self.holds_each(&array.elements),
            value => self.holds(value),
        };
        match fits {
            true => Result { value, status, source, cause },
            false => {
                Result { value: Value::Null, status: StatusCode::BadOutOfRange, source, cause: Some(Cause::TooLarge) }
            }
        }
    }
}

impl Node {
    fn has_shape(&self, array: &Array) -> bool {
        let count: usize = self.dimensions.iter().map(|size| *size as usize).product();
        let is_same = self.dimensions.len() < 2 || *array.dimensions == *self.dimensions;
        !self.dimensions.is_empty() && is_same && array.elements.len() == count
    }

    /// Whether the enumeration and the length of texts allow the value.
    fn holds(&self, value: &Value) -> bool {
        match value {
            Value::Int32(number) => self.known.as_deref().is_none_or(|known| known.contains(number)),
            Value::String(text) => self.length.is_none_or(|most| text.len() <= most),
            _ => true,
        }
    }

    fn holds_each(&self, elements: &Elements) -> bool {
        let is_limited = self.known.is_some() || self.length.is_some();
        !is_limited || (0..elements.len()).all(|at| elements.get(at).is_none_or(|value| self.holds(&value)))
    }
}

/// The ranks to evaluate, the lowest first. It is made once, so a batch allocates nothing.
#[derive(Default)]
pub(super) struct Dirty {
    words: Vec<u64>,
    /// All marks are in these words or after them.
    first: usize,
    /// Marks that were made and not taken.
    count: usize,
}

impl Dirty {
    pub(super) fn of(ranks: usize) -> Dirty {
        let words = vec![0; ranks.div_ceil(64)];
        Dirty { first: words.len(), words, count: 0 }
    }

    pub(super) fn mark(&mut self, rank: u32) {
        let (word, bit) = (rank as usize / 64, 1 << (rank % 64));
        self.count += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
        self.first = self.first.min(word);
    }

    /// Takes the lowest mark away.
    pub(super) fn take(&mut self) -> Option<usize> {
        if self.count == 0 {
            self.first = self.words.len();
            return None;
        }
        self.first += self.words[self.first..].iter().position(|word| *word != 0)?;
        let bit = self.words[self.first].trailing_zeros();
        self.words[self.first] &= !(1 << bit);
        self.count -= 1;
        Some(self.first * 64 + bit as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_from_the_lowest_on_each_once() {
        let mut dirty = Dirty::of(200);
        [130, 3, 199, 3, 64].into_iter().for_each(|rank| dirty.mark(rank));
        assert_eq!((dirty.take(), dirty.take()), (Some(3), Some(64)));
        // A derived tag marks later ones while it is evaluated.
        [65, 131].into_iter().for_each(|rank| dirty.mark(rank));
        let rest: Vec<usize> = std::iter::from_fn(|| dirty.take()).collect();
        assert_eq!(rest, [65, 130, 131, 199]);
        dirty.mark(0);
        assert_eq!((dirty.take(), dirty.take()), (Some(0), None));
    }
}
