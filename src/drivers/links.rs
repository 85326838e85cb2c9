//! stub
use super::plan::{ConnectionPlan, PointPlan};
use super::supervisor::{Output, Spawn, start};
use crate::health;
use crate::model::{ConnectionIx, Plant};
use crate::tags::TagStore;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkChanges {
    pub kept: Vec<ConnectionIx>,
    pub reopened: Vec<ConnectionIx>,
    pub added: Vec<ConnectionIx>,
    pub removed: Vec<ConnectionIx>,
}
pub(crate) fn compare_links(_old: &[ConnectionPlan], _new: &[ConnectionPlan]) -> LinkChanges {
    LinkChanges::default()
}
pub(crate) struct Links {
    tags: Arc<TagStore>,
    outputs: mpsc::UnboundedSender<Output>,
    stop: watch::Sender<bool>,
    health: Vec<Arc<health::Link>>,
}
impl Links {
    pub(crate) fn new(tags: &Arc<TagStore>, outputs: mpsc::UnboundedSender<Output>) -> Links {
        Links { tags: Arc::clone(tags), outputs, stop: watch::channel(false).0, health: Vec::new() }
    }
    pub(crate) fn apply(
        &mut self,
        plans: Vec<ConnectionPlan>,
        plant: &Arc<Plant>,
        spawn: &mut Spawn<'_>,
    ) -> Vec<Arc<health::Link>> {
        if self.health.is_empty() {
            self.health = start(plans, plant, &self.tags, spawn, &self.stop.subscribe(), &self.outputs);
        }
        self.health.clone()
    }
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
}
impl ConnectionPlan {
    pub(crate) fn is_same_source(&self, new: &ConnectionPlan) -> bool {
        self.settings == new.settings
    }
}
impl PointPlan {
    pub(crate) fn changed_keys(&self, new: &PointPlan) -> Vec<&'static str> {
        if self == new { vec![] } else { vec!["address"] }
    }
}
