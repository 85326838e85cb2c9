//! Derived tags: tags whose values follow from those of other tags.

use std::sync::Arc;

use super::TagId;
use crate::formula::Program;

/// How a tag's value follows from other tags. `tags::derive` evaluates it whenever one of the inputs changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Derivation {
    /// `expr`.
    Formula(Formula),
}

/// A formula with the tags that it uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Formula {
    /// As the file has it, with the values of parameters.
    pub text: Arc<str>,
    pub program: Arc<Program>,
    /// The tag of each input of the program.
    pub inputs: Box<[TagId]>,
}

impl Derivation {
    /// The tags whose changes change the value.
    pub fn inputs(&self) -> &[TagId] {
        match self {
            Derivation::Formula(formula) => &formula.inputs,
        }
    }
}
