//! The head in two halves: the one that the writer fills, and the one that a flush turns into blocks.

use std::sync::Arc;

use super::head::Head;
use super::rows::Rows;
use super::settings::LANE;
use super::tombstone::Tombstone;
use crate::history::{ArchiveId, Span};

#[derive(Default)]
pub(crate) struct Heads {
    pub active: Head,
    /// The head that is being written into blocks.
    pub frozen: Option<Arc<Head>>,
}

impl Heads {
    /// Takes the head away from the writer and gives it a new one. A head whose flush failed comes first again. `None`
    /// when there is nothing to flush.
    pub(crate) fn freeze(&mut self) -> Option<Arc<Head>> {
        if self.frozen.is_none() && !self.active.is_empty() {
            let next = self.active.successor();
            self.frozen = Some(Arc::new(std::mem::replace(&mut self.active, next)));
        }
        self.frozen.clone()
    }

    /// The samples of a span in both halves; the spans that edits cleared are added to `tombstones`.
    pub(crate) fn rows(&self, archive: ArchiveId, span: Span, tombstones: &mut Vec<Tombstone>) -> Vec<Rows> {
        let mut parts = Vec::new();
        for head in self.frozen.as_deref().into_iter().chain([&self.active]) {
            tombstones.extend_from_slice(head.tombstones(archive));
            parts.push(head.rows(archive, span));
        }
        parts
    }

    pub(crate) fn samples(&self) -> usize {
        self.active.samples + self.frozen.as_deref().map_or(0, |head| head.samples)
    }

    /// Times between which all samples lie, for each half that has some.
    pub(crate) fn extents(&self) -> impl Iterator<Item = (i64, i64)> {
        [self.active.extent(), self.frozen.as_deref().and_then(Head::extent)].into_iter().flatten()
    }

    /// The active half holds twice the samples that it should.
    pub(crate) fn is_overfull(&self, head_samples: usize) -> bool {
        self.active.samples > head_samples.saturating_mul(2)
    }

    pub(crate) fn is_flush_due(&self, head_samples: usize) -> bool {
        let head = &self.active;
        head.samples >= head_samples || head.longest_lane >= LANE || head.is_full_of_commits()
    }
}
