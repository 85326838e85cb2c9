//! The points of a link, as they are wanted, whatever server answers.

use std::time::Duration;

use super::address::Address;
use super::resolve::Resolution;
use super::settings::{OpcUa, OpcUaPoint};
use crate::drivers::driver::PointOf;
use crate::drivers::plan::PointPlan;
use crate::value::BuiltIn;

/// A point and what is known of its node.
#[derive(Debug)]
pub(super) struct Point {
    pub plan: PointPlan,
    /// `None`: `check_point` refuses it.
    pub address: Option<Address>,
    /// PublishingInterval of its connection.
    pub every: Duration,
    pub queue: u32,
    /// In the present session; `None`: not yet known.
    pub resolution: Option<Resolution>,
    /// Type of the node, once it was written.
    pub node_type: Option<BuiltIn>,
    /// Handle of its monitored item, counted from 0.
    pub item: Option<u32>,
}

impl Point {
    pub(super) fn new(point: PointOf<'_, OpcUaPoint>, settings: &OpcUa) -> Point {
        let parsed = Address::parse(&point.address, Some(&settings.namespaces));
        Point {
            plan: point.plan.clone(),
            // A node that has gone is not asked for.
            address: parsed.ok().filter(|_| !point.is_gone).map(|parsed| parsed.address),
            every: settings.publish_every.0,
            queue: point.keys.queue,
            resolution: None,
            node_type: None,
            item: None,
        }
    }

    /// Nothing is known of it on the server of the next session.
    pub(super) fn forget(&mut self) {
        (self.resolution, self.node_type, self.item) = (None, None, None);
    }

    pub(super) fn is_read(&self) -> bool {
        self.plan.read && self.address.is_some()
    }

    /// The node, if it is known.
    pub(super) fn node(&self) -> Option<&[u8]> {
        match &self.resolution {
            Some(Resolution::Node(node)) => Some(node),
            _ => None,
        }
    }

    /// It is monitored in the same way, and its values mean the same.
    pub(super) fn is_same_item(&self, new: &Point) -> bool {
        self.plan == new.plan && self.address == new.address && (self.every, self.queue) == (new.every, new.queue)
    }
}
