//! All edge nodes of a link. Pure: the time is an argument.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::address::{Address, NodeId, Shown};
use super::metric::Bound;
use super::node::{Kind, Node};
use super::part::{Definition, Effects, Part};
use crate::drivers::plan::PointPlan;
use crate::model::TagId;

/// First level of all topics.
pub(super) const NAMESPACE: &str = "spBv1.0";

/// The nodes that some address names; others are ignored.
#[derive(Debug)]
pub(super) struct Host {
    nodes: HashMap<NodeId, Node>,
    addresses: Vec<Option<Address>>,
    plans: Vec<PointPlan>,
    reorder: Duration,
}

impl Host {
    /// Points that were refused are never fed.
    pub(super) fn new(plans: Vec<PointPlan>, reorder: Duration) -> Host {
        let addresses: Vec<Option<Address>> = plans.iter().map(|plan| Address::parse(&plan.address).ok()).collect();
        let mut nodes: HashMap<NodeId, Node> = HashMap::new();
        for (at, (address, plan)) in (0..).zip(addresses.iter().zip(&plans)) {
            let Some(address) = address else { continue };
            let node = nodes.entry(address.node.clone()).or_insert_with(|| Node::new(address.node.clone()));
            let part = part_of(node, address.device.as_deref());
            match &address.shown {
                _ if !plan.read => {}
                Shown::Online => part.online.push(at),
                Shown::Birth => part.birth.push(at),
                Shown::Metric(name) => part.points.entry(name.clone()).or_default().push(Bound::new(at, plan)),
            }
        }
        Host { nodes, addresses, plans, reorder }
    }

    /// Filters for the messages of all nodes, with their QoS.
    pub(super) fn filters(&self, groups: &[String]) -> BTreeMap<String, u8> {
        let of_group = groups.iter().map(|group| format!("{NAMESPACE}/{group}/#"));
        let of_node = self.nodes.keys().filter(|id| !groups.contains(&id.group));
        let of_node = of_node.map(|NodeId { group, node }| format!("{NAMESPACE}/{group}/+/{node}/#"));
        of_group.chain(of_node).map(|filter| (filter, 1)).collect()
    }

    pub(super) fn begin(&mut self, now: Instant, effects: &mut Effects) {
        self.nodes.values_mut().for_each(|node| node.begin(now, effects));
    }

    /// Takes a message of a broker; one of another kind or node is ignored.
    pub(super) fn message(&mut self, topic: &str, payload: &[u8], now: Instant, effects: &mut Effects) {
        let mut levels = topic.split('/');
        let Some(NAMESPACE) = levels.next() else { return };
        let (Some(group), Some(kind), Some(node)) = (levels.next(), levels.next(), levels.next()) else { return };
        let (device, more) = (levels.next(), levels.next());
        let kind = match (kind, device, more) {
            ("NBIRTH", None, _) => Kind::NodeBirth,
            ("NDATA", None, _) => Kind::NodeData,
            ("NDEATH", None, _) => Kind::NodeDeath,
            ("DBIRTH", Some(_), None) => Kind::DeviceBirth,
            ("DDATA", Some(_), None) => Kind::DeviceData,
            ("DDEATH", Some(_), None) => Kind::DeviceDeath,
            // Commands, of this host too, and what is none of Sparkplug.
            _ => return,
        };
        let id = NodeId { group: group.to_owned(), node: node.to_owned() };
        if let Some(node) = self.nodes.get_mut(&id) {
            node.message(kind, device, payload, now, effects);
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.nodes.values().filter_map(|node| node.next_due(self.reorder)).min()
    }

    pub(super) fn tick(&mut self, now: Instant, effects: &mut Effects) {
        let reorder = self.reorder;
        self.nodes.values_mut().for_each(|node| node.tick(now, reorder, effects));
    }

    /// The tags of all points.
    pub(super) fn tags(&self) -> Vec<TagId> {
        self.plans.iter().map(|plan| plan.tag).collect()
    }

    pub(super) fn address(&self, point: u32) -> Option<&Address> {
        self.addresses.get(point as usize)?.as_ref()
    }

    pub(super) fn definition(&self, address: &Address) -> Option<Definition> {
        let Shown::Metric(name) = &address.shown else { return None };
        self.nodes.get(&address.node)?.definition(address.device.as_deref(), name)
    }

    /// Takes over the sessions of the nodes before a reload.
    pub(super) fn follow(&mut self, mut old: Host, now: Instant, effects: &mut Effects) {
        let before: HashMap<_, _> = old.plans.iter().map(|plan| (plan.tag, plan)).collect();
        let mut changed: Vec<&NodeId> = Vec::new();
        for (plan, address) in self.plans.iter().zip(&self.addresses) {
            let is_same = before.get(&plan.tag).is_some_and(|old| *old == plan);
            changed.extend(address.iter().filter(|_| !is_same).map(|address| &address.node));
        }
        for (id, node) in &mut self.nodes {
            match old.nodes.remove(id) {
                Some(before) => node.follow(before, !changed.contains(&id), now),
                None => node.begin(now, effects),
            }
        }
    }
}

fn part_of<'n>(node: &'n mut Node, device: Option<&str>) -> &'n mut Part {
    match device {
        None => &mut node.own,
        Some(device) => node.devices.entry(Arc::from(device)).or_default(),
    }
}

/// Reads bytes as messages of a node, after a birth; for fuzzing.
pub(super) fn fuzz(bytes: &[u8]) {
    let plan = |tag: u32, address: &str| PointPlan {
        tag: TagId(tag),
        address: address.to_owned(),
        words: Vec::new(),
        exponent: None,
        settings: crate::drivers::plan::PointSettings::of(crate::drivers::driver::NoKeys {}),
        kind: crate::value::BuiltIn::Double,
        elements: 1,
        is_array: false,
        length: None,
        poll: Duration::ZERO,
        read: true,
        write: false,
        write_every: None,
        enumeration: None,
        has_scale: false,
    };
    let plans = vec![plan(0, "g/n:a"), plan(1, "g/n/d:b"), plan(2, "g/n/d:@online"), plan(3, "g/n:@birth")];
    let mut host = Host::new(plans, Duration::from_secs(1));
    let (mut effects, mut now) = (Effects::default(), Instant::now());
    host.begin(now, &mut effects);
    let kinds = ["NBIRTH/n", "DBIRTH/n/d", "NDATA/n", "DDATA/n/d", "DDEATH/n/d", "NDEATH/n"];
    let mut rest = bytes;
    while let Some((first, more)) = rest.split_first() {
        let (length, more) = more.split_first().map_or((0, more), |(length, more)| (usize::from(*length), more));
        let (payload, after) = more.split_at(length.min(more.len()));
        let topic = format!("{NAMESPACE}/g/{}", kinds[usize::from(*first) % kinds.len()]);
        host.message(&topic, payload, now, &mut effects);
        now += Duration::from_millis(u64::from(*first) * 10);
        host.tick(now, &mut effects);
        rest = after;
    }
    assert!(effects.samples.iter().all(|(point, _)| *point < 4), "samples are of points");
}
