//! A source as the file has it.

use crate::config::at::At;
use crate::config::source::Ix;
use crate::config::spec::SourceSpec;

/// A source before its driver looked at it.
pub(super) struct Wanted {
    pub address: At<String>,
    /// All of them where `address` is a list.
    pub words: Vec<String>,
    pub spec: Option<SourceSpec>,
    pub mapping: Option<Ix>,
    /// All keys were understood.
    pub is_whole: bool,
}
