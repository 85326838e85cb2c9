//! The binary encoding (Part 6 §5.2, 1.05) as a streaming reader and writer over bytes.
//!
//! Every byte that a peer sends is read here and nowhere else. No length that a peer states is allocated for
//! or looped over before it was held against the bytes that are really there; one depth counts through all
//! nests; what a message makes us own is bounded by eight times its own size.

mod fuzz;
mod id;
mod reader;
mod skip;
mod structure;
mod structure_fuzz;
mod value;
mod writer;

pub use fuzz::{fuzz_value, random_value};
pub(crate) use id::{ExpandedNodeIdRef, LocalizedTextRef};
pub use id::{IdRef, NodeIdRef, QualifiedNameRef};
pub(crate) use reader::Decode;
pub use reader::{ExtensionRef, Reader};
pub(crate) use structure::typed_structure;
pub use structure_fuzz::fuzz_structure;
pub use value::{DataValue, Timestamps};
pub use writer::Writer;

/// Nests of Variants and arrays, at most (Part 6 §5.1.8 asks decoders for 100; 1.05).
pub(crate) const MAX_DEPTH: u8 = 100;
/// Nests of DiagnosticInfo, at most (Part 6 §5.2.2.12, 1.05).
pub(crate) const MAX_DIAGNOSTIC_DEPTH: u8 = 10;

#[cfg(test)]
mod tests;
