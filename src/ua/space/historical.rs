//! Tags that have an archive, and what clients look for beside such a tag.

use super::Space;
use crate::model::TagId;

impl Space {
    /// Makes these tags HistoricalDataNodes.
    pub fn keep_history(&mut self, tags: impl Iterator<Item = TagId>) {
        self.historical = vec![0; self.tag_nodes.len().div_ceil(64)];
        for TagId(tag) in tags {
            self.historical[tag as usize / 64] |= 1 << (tag % 64);
        }
    }

    #[inline]
    pub fn has_history(&self, TagId(tag): TagId) -> bool {
        self.historical.get(tag as usize / 64).is_some_and(|bits| bits >> (tag % 64) & 1 == 1)
    }
}
