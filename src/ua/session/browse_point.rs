//! A continuation point of Browse.

use std::sync::Arc;

use crate::ua::continuation::Resumable;
use crate::ua::space::{BrowseFilter, NodeIx};
use crate::ua::world::World;

/// A Browse that stopped at a limit.
pub struct BrowsePoint {
    /// The world in which it began: it continues there, whatever a reload does meanwhile.
    pub world: Arc<World>,
    pub rest: Browsing,
}

/// The references of a node that are not written yet.
#[derive(Debug, Clone)]
pub struct Browsing {
    pub node: NodeIx,
    pub filter: BrowseFilter,
    /// Index of the next reference of the node.
    pub next: usize,
    pub max_references: usize,
}

impl std::fmt::Debug for BrowsePoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrowsePoint").field("rest", &self.rest).finish_non_exhaustive()
    }
}

impl Resumable for BrowsePoint {}
