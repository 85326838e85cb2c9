//! What a formula remembers from one run to the next.

use super::Program;

/// The memory of one formula; runs of the same formula elsewhere have their own.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Memory {}

impl Memory {
    pub fn of(_: &Program) -> Memory {
        Memory {}
    }
}
