//! All edge nodes of a link. Pure: the time is an argument.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::address::{Address, NodeId, Shown};
use super::births::Scope;
use super::metric::Bound;
use super::mirror::Mirror;
pub(super) use super::node::Kind;
use super::node::Node;
use super::part::{Definition, Effects, Part};
use super::proto::Payload;
use crate::drivers::listing::{BrowsePlan, Folder, Start};
use crate::drivers::plan::PointPlan;
use crate::model::TagId;

/// Edge nodes of mirrored groups that no address names.
const MOST_NODES: usize = 10_000;
/// First level of all topics.
pub(super) const NAMESPACE: &str = "spBv1.0";

/// The nodes that some address names; others are ignored.
#[derive(Debug)]
pub(super) struct Host {
    nodes: HashMap<NodeId, Node>,
    addresses: Vec<Option<Address>>,
    plans: Vec<PointPlan>,
    mirrors: Vec<Mirror>,
    reorder: Duration,
}

/// A topic of an edge node.
pub(super) struct Topic<'t> {
    pub id: NodeId,
    pub kind: Kind,
    pub device: Option<&'t str>,
}

impl<'t> Topic<'t> {
    /// `None` for commands, of this host too, and for what is none of Sparkplug.
    pub(super) fn read(topic: &'t str) -> Option<Topic<'t>> {
        let mut levels = topic.split('/');
        let NAMESPACE = levels.next()? else { return None };
        let (group, kind, node) = (levels.next()?, levels.next()?, levels.next()?);
        let (device, more) = (levels.next(), levels.next());
        let kind = match (kind, device, more) {
            ("NBIRTH", None, _) => Kind::NodeBirth,
            ("NDATA", None, _) => Kind::NodeData,
            ("NDEATH", None, _) => Kind::NodeDeath,
            ("DBIRTH", Some(_), None) => Kind::DeviceBirth,
            ("DDATA", Some(_), None) => Kind::DeviceData,
            ("DDEATH", Some(_), None) => Kind::DeviceDeath,
            _ => return None,
        };
        Some(Topic { id: NodeId { group: group.to_owned(), node: node.to_owned() }, kind, device })
    }
}

impl Host {
    /// Points that were refused are never fed.
    pub(super) fn new(plans: Vec<PointPlan>, browses: &[BrowsePlan], reorder: Duration) -> Host {
        let addresses: Vec<Option<Address>> = plans.iter().map(|plan| Address::parse(&plan.address).ok()).collect();
        let mut nodes: HashMap<NodeId, Node> = HashMap::new();
        for (at, (address, plan)) in (0..).zip(addresses.iter().zip(&plans)) {
            let Some(address) = address else { continue };
            let node = nodes.entry(address.node.clone()).or_insert_with(|| Node::new(address.node.clone()));
            let part = part_of(node, address.device.as_deref());
            match &address.shown {
                _ if !plan.read || plan.is_gone => {}
                Shown::Online => part.online.push(at),
                Shown::Birth => part.birth.push(at),
                Shown::Metric(name) => part.points.entry(name.clone()).or_default().push(Bound::new(at, plan)),
            }
        }
        let mirrors: Vec<Mirror> = browses.iter().filter_map(Mirror::new).collect();
        for id in mirrors.iter().filter_map(|mirror| mirror.scope.node_id()) {
            nodes.entry(id.clone()).or_insert_with(|| Node::new(id));
        }
        Host { nodes, addresses, plans, mirrors, reorder }
    }

    /// Filters for the messages of all nodes, with their QoS.
    pub(super) fn filters(&self, groups: &[String]) -> BTreeMap<String, u8> {
        let mirrored = self.mirrors.iter().filter(|mirror| mirror.scope.node.is_none());
        let groups: Vec<String> =
            groups.iter().cloned().chain(mirrored.filter_map(|mirror| mirror.scope.group.clone())).collect();
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
        let Some(Topic { id, kind, device }) = Topic::read(topic) else { return };
        if matches!(kind, Kind::NodeBirth | Kind::DeviceBirth)
            && self.mirrors.iter().any(|mirror| mirror.scope.has(&id, device))
            && let Ok(payload) = Payload::read(payload)
        {
            self.mirrors.iter_mut().for_each(|mirror| mirror.bear(&id, device, &payload, now));
        }
        let is_mirrored = || self.mirrors.iter().any(|mirror| mirror.scope.has_node(&id));
        if !self.nodes.contains_key(&id) && self.nodes.len() < MOST_NODES && is_mirrored() {
            // Its births are wanted, though no address names it.
            self.nodes.insert(id.clone(), Node::new(id.clone()));
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.message(kind, device, payload, now, effects);
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let of_nodes = self.nodes.values().filter_map(|node| node.next_due(self.reorder));
        of_nodes.chain(self.mirrors.iter().filter_map(Mirror::next_due)).min()
    }

    pub(super) fn tick(&mut self, now: Instant, effects: &mut Effects) {
        let reorder = self.reorder;
        self.nodes.values_mut().for_each(|node| node.tick(now, reorder, effects));
        self.mirrors.iter_mut().for_each(|mirror| mirror.tick(now, effects));
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
        let mut new: Vec<Scope> = Vec::new();
        for mirror in &mut self.mirrors {
            match old.mirrors.iter_mut().find(|old| old.is_same(mirror)) {
                Some(old) => mirror.follow(old),
                None => new.push(mirror.scope.clone()),
            }
        }
        // A new mirror waits for births.
        let is_listed = |id: &NodeId| !new.iter().any(|scope| scope.has_node(id));
        for (id, node) in &mut self.nodes {
            match old.nodes.remove(id) {
                Some(before) => node.follow(before, !changed.contains(&id) && is_listed(id), now),
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
        is_gone: false,
        structure: None,
    };
    let plans = vec![plan(0, "g/n:a"), plan(1, "g/n/d:b"), plan(2, "g/n/d:@online"), plan(3, "g/n:@birth")];
    let folder = Folder { namespace: "urn:f".to_owned(), path: "F".to_owned() };
    let start = Start { from: Some("g/n".to_owned()), depth: 10, most: 100 };
    let browse = BrowsePlan { folder, start, mirrored: 0, refused: 0, descriptions: 0 };
    let mut host = Host::new(plans, &[browse], Duration::from_secs(1));
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
    assert!(effects.listings.iter().all(|listed| listed.listing.found.len() <= 100), "a listing is bounded");
}
