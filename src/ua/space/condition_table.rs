//! Conditions by their nodes, and the parts of a condition by the fields of its events.

use std::collections::HashMap;

use super::condition_parts::{ConditionPart, PARTS, PartKind};
use super::{NodeIx, Space};
use crate::model::AlarmIx;

/// The nodes of conditions.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    /// The alarm of a condition's Object, and of its ShelvingState.
    pub(super) alarms: HashMap<NodeIx, AlarmIx>,
    pub(super) nodes: HashMap<AlarmIx, NodeIx>,
}

impl Space {
    /// The alarm whose condition, or ShelvingState, a node is.
    pub(crate) fn alarm_of(&self, at: NodeIx) -> Option<AlarmIx> {
        self.conditions.alarms.get(&at).copied()
    }

    /// A child of a condition, by its BrowseName.
    pub(crate) fn component(&self, of: NodeIx, name: &str) -> Option<NodeIx> {
        let children = self.stored_references(of).iter().filter(|reference| reference.forward);
        children.map(|reference| reference.target).find(|at| self.browse_name(*at).name == Some(name))
    }

    /// The Object of a condition.
    pub(crate) fn condition_of(&self, alarm: AlarmIx) -> Option<NodeIx> {
        self.conditions.nodes.get(&alarm).copied()
    }
}

impl Space {
    /// The part of a condition that a field of its events reports; `None` for fields of other events.
    pub(super) fn part_of_path(path: &str) -> Option<ConditionPart> {
        PARTS.iter().find(|part| part.path == path && part.kind != PartKind::Plain).and_then(|part| part.value)
    }
}
