//! A continuation point of Browse.

use crate::ua::continuation::Resumable;
use crate::ua::space::{BrowseFilter, NodeIx};

/// A Browse that stopped at a limit.
#[derive(Debug, Clone)]
pub struct BrowsePoint {
    pub node: NodeIx,
    pub filter: BrowseFilter,
    /// Index of the next reference of the node.
    pub next: usize,
    pub max_references: usize,
}

impl Resumable for BrowsePoint {}
