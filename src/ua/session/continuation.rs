//! Continuation points of Browse: where to go on, a bounded number a session; the oldest gives way.

use std::collections::VecDeque;

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

#[derive(Debug)]
pub struct ContinuationPoints {
    held: VecDeque<(u64, BrowsePoint)>,
    next_id: u64,
    most: usize,
}

impl ContinuationPoints {
    pub fn new(most: usize) -> ContinuationPoints {
        ContinuationPoints { held: VecDeque::new(), next_id: 1, most }
    }

    pub fn is_full(&self) -> bool {
        self.held.len() >= self.most
    }

    /// Keeps a point and names it; `None` when as many as allowed are held.
    pub fn keep(&mut self, point: BrowsePoint) -> Option<[u8; 8]> {
        if self.is_full() {
            return None;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.held.push_back((id, point));
        Some(id.to_le_bytes())
    }

    pub fn clear(&mut self) {
        self.held.clear();
    }

    pub fn take(&mut self, name: &[u8]) -> Option<BrowsePoint> {
        let id = u64::from_le_bytes(name.try_into().ok()?);
        let at = self.held.iter().position(|(held, _)| *held == id)?;
        self.held.remove(at).map(|(_, point)| point)
    }
}
