//! The tags that a link holds among its points, for the tag store; given up at the latest when the link is dropped.

use std::sync::Arc;

use crate::drivers::plan::PointPlan;
use crate::model::TagId;
use crate::tags::TagStore;

pub(super) struct Claims {
    tags: Arc<TagStore>,
    held: Vec<TagId>,
}

impl Claims {
    pub(super) fn new(tags: &Arc<TagStore>, points: &[PointPlan]) -> Claims {
        let mut claims = Claims { tags: Arc::clone(tags), held: Vec::new() };
        claims.replace(points);
        claims
    }

    /// Claims the tags of these points and gives up the others.
    pub(super) fn replace(&mut self, points: &[PointPlan]) {
        let new: Vec<TagId> = points.iter().map(|point| point.tag).collect();
        self.tags.claim(&new);
        self.tags.give_up(&std::mem::replace(&mut self.held, new));
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.tags.give_up(&self.held);
    }
}
