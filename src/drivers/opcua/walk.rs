//! A listing of a server's variables: a walk over its references, level by level.
//!
//! Each node is visited once, so a graph with circles ends. Names, nodes and requests are bounded by the values that are wanted.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::StatusCode;

use super::address::{Address, written};
use super::attributes::{Attribute, NODE_CLASS, VALUE, read_values, write_read};
use super::browse::{
    HIERARCHICAL, OBJECT, Reference, References, VARIABLE, Wanted, read_browsed, read_browsed_next, write_browse,
    write_browse_next,
};
use super::client::Client;
use super::message::Fault;
use super::resolve::{Resolution, Resolver};
use super::seen::{Meta, Property, Seen};
use super::session::{Limits, is_too_much};
use super::setup::standard;
use super::view::{BrowsePath, read_translated, write_translate};
use crate::drivers::listing::{Listing, Start};
use crate::drivers::reading::ProbeError;
use crate::stack::codec::{DataValue, Writer};
use crate::value::{Elements, Value};

/// NamespaceArray, MaxNodesPerRead, MaxNodesPerBrowse.
const FACTS: [u32; 3] = [2255, 11705, 11710];
const OBJECTS: u32 = 85;
/// Nodes of one Browse; servers have few continuation points.
const AT_ONCE: usize = 50;
/// Bytes of a name that are kept; longer ones are left out later.
const MOST_NAME: usize = 600;
/// A listing ends after this time, whatever the server does.
const WITHIN: Duration = Duration::from_secs(300);
/// Nodes that are visited beyond four for each value.
const SPARE_NODES: usize = 10_000;
/// Rounds of questions for one path.
const MOST_ROUNDS: usize = 200;

/// Answers to the Browse of one node that do not pass: this user sees nothing below it.
const NOTHING_BELOW: [StatusCode; 4] = [
    StatusCode::BadUserAccessDenied,
    StatusCode::BadSecurityModeInsufficient,
    StatusCode::BadNodeIdUnknown,
    StatusCode::BadNotSupported,
];

/// The client in a listing.
pub(super) struct Walk<'a> {
    client: &'a mut Client,
    pub start: &'a Start,
    pub namespaces: Vec<String>,
    read: usize,
    browse: usize,
    until: Instant,
}

/// A node whose references are to be followed.
struct Open {
    node: Vec<u8>,
    path: Vec<String>,
    /// Place among the variables, if it is one.
    variable: Option<usize>,
}

impl Open {
    fn name(&self) -> String {
        if self.path.is_empty() { "the start".to_owned() } else { self.path.join("/") }
    }
}

pub(super) fn failed(text: impl Into<String>) -> ProbeError {
    ProbeError::Failed(text.into())
}

fn refused(service: &str, code: StatusCode) -> ProbeError {
    failed(format!("the server answers {service} with {code}"))
}

impl<'a> Walk<'a> {
    /// The client is connected.
    pub(super) async fn new(client: &'a mut Client, start: &'a Start) -> Result<Walk<'a>, ProbeError> {
        let limits = Limits::default();
        let mut walk = Walk {
            client,
            start,
            namespaces: Vec::new(),
            read: limits.read,
            browse: AT_ONCE,
            until: Instant::now() + WITHIN,
        };
        let nodes = FACTS.map(standard);
        let facts = walk.values(nodes.iter().map(|node| Attribute { node, id: VALUE }).collect()).await?;
        if let Some(Value::Array(array)) = &facts[0].value
            && let Elements::String(uris) = &array.elements
        {
            walk.namespaces = uris.iter().map(|uri| uri.to_string()).collect();
        }
        walk.read = Limits::of(&facts[1]);
        walk.browse = Limits::of(&facts[2]).min(AT_ONCE);
        Ok(walk)
    }

    /// All variables from the start on, parents before what is below them.
    pub(super) async fn variables(&mut self, listing: &mut Listing) -> Result<Vec<Seen>, ProbeError> {
        let root = self.root().await?;
        let mut seen = Vec::new();
        let mut visited = HashSet::from([root.clone()]);
        let first = self.itself(&root).await?;
        let mut open = VecDeque::from([Open { node: root, path: Vec::new(), variable: None }]);
        if let (Some(first), Some(at)) = (first, open.front_mut()) {
            at.path.clone_from(&first.path);
            at.variable = Some(0);
            seen.push(first);
        }
        let most_nodes = self.start.most.saturating_mul(4).saturating_add(SPARE_NODES);
        while !open.is_empty() {
            let batch: Vec<Open> = open.drain(..open.len().min(self.browse)).collect();
            let wanted = Wanted { is_inverse: false, reference: HIERARCHICAL, classes: OBJECT | VARIABLE };
            let nodes: Vec<&[u8]> = batch.iter().map(|one| &*one.node).collect();
            let most = most_nodes - visited.len().min(most_nodes);
            let all = self.references(wanted, &nodes, most).await?;
            for (parent, References { all, status, .. }) in batch.iter().zip(all) {
                // What is below this node is not known: it must not pass for gone.
                if status.is_bad() && !NOTHING_BELOW.contains(&status) {
                    return Err(failed(format!("the server answers the Browse of {} with {status}", parent.name())));
                }
                for reference in all {
                    if visited.len() >= most_nodes || seen.len() >= self.start.most && reference.class == VARIABLE {
                        listing.is_cut |= parent.variable.is_none() || !reference.is_property;
                        continue;
                    }
                    if let Some(of) = parent.variable
                        && reference.is_property
                    {
                        if let Some(meta) = Meta::of(&reference) {
                            seen[of].properties.push(Property { meta, node: reference.node });
                        }
                        continue;
                    }
                    if reference.is_property && reference.namespace == 0 {
                        // NodeVersion, NamingRule and the like say nothing of the machine.
                        continue;
                    }
                    self.take(parent, reference, &mut visited, &mut seen, &mut open);
                }
            }
            if listing.is_cut {
                // The properties of those that are listed are wanted yet.
                open.retain(|one| one.variable.is_some());
            }
        }
        Ok(seen)
    }

    /// Takes a node that was not visited yet.
    fn take(
        &self,
        parent: &Open,
        reference: Reference,
        visited: &mut HashSet<Vec<u8>>,
        seen: &mut Vec<Seen>,
        open: &mut VecDeque<Open>,
    ) {
        let Reference { node, name, class, is_property, .. } = reference;
        // Nodes of the standard itself, as Server, are on every server.
        if is_standard(&node) || parent.variable.is_some() && class == OBJECT || !visited.insert(node.clone()) {
            return;
        }
        let end = (0..=MOST_NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
        let path = [&parent.path[..], &[name[..end].to_owned()]].concat();
        if !self.start.reaches(&path) {
            return;
        }
        let variable = (class == VARIABLE).then_some(seen.len());
        if variable.is_some() {
            seen.push(Seen { node: node.clone(), path: path.clone(), properties: Vec::new() });
        }
        // A property has neither properties nor parts.
        if !is_property && (variable.is_some() || path.len() < self.start.depth) {
            open.push_back(Open { node, path, variable });
        }
    }

    /// The start, where it is a variable.
    async fn itself(&mut self, node: &[u8]) -> Result<Option<Seen>, ProbeError> {
        let class = self.values(vec![Attribute { node, id: NODE_CLASS }]).await?;
        let class = class[0].value.as_ref().and_then(Value::as_integer);
        if class != Some(i128::from(VARIABLE)) {
            return match class {
                Some(_) => Ok(None),
                None => Err(failed(format!("the server has no node {}", self.start.from.as_deref().unwrap_or("")))),
            };
        }
        let name = self.start.from.as_deref().unwrap_or_default();
        let name = name.rsplit(['/', ';', '=', ':', '.']).next().unwrap_or(name).to_owned();
        Ok(Some(Seen { node: node.to_vec(), path: vec![name], properties: Vec::new() }))
    }

    /// The node at which the listing begins.
    async fn root(&mut self) -> Result<Vec<u8>, ProbeError> {
        let Some(from) = &self.start.from else { return Ok(standard(OBJECTS)) };
        let parsed = Address::parse(from, Some(&self.client.config.settings.namespaces));
        let parsed = parsed.map_err(|error| failed(format!("{}; {}", error.message, error.help)))?;
        let mut resolver = Resolver::new(self.namespaces.clone());
        for _ in 0..MOST_ROUNDS {
            match resolver.resolve(&parsed.address) {
                Some(Resolution::Node(node)) => return Ok(node.to_vec()),
                Some(Resolution::Absent { why, .. }) => return Err(failed(format!("{from}: {why}"))),
                None => {}
            }
            let asks = resolver.take(self.browse);
            let paths: Vec<_> = asks.iter().map(|ask| (Arc::clone(&ask.start), ask.names.clone())).collect();
            let body = self
                .ask("TranslateBrowsePathsToNodeIds", |out, head| {
                    let paths = paths.iter().map(|(start, names)| BrowsePath { start, names });
                    write_translate(out, head, paths);
                })
                .await?
                .map_err(|code| refused("TranslateBrowsePathsToNodeIds", code))?;
            let targets = read_translated(&body, asks.len(), &self.namespaces).map_err(garbage)?;
            asks.iter().zip(targets).for_each(|(ask, targets)| resolver.answered(ask, targets));
        }
        Err(failed(format!("{from}: the server does not say where it leads")))
    }

    /// The references of nodes, in their order. Those of a node that the server does not browse are none.
    pub(super) async fn references(
        &mut self,
        wanted: Wanted,
        nodes: &[&[u8]],
        most: usize,
    ) -> Result<Vec<References>, ProbeError> {
        let none = || References { status: StatusCode::Good, rest: Vec::new(), all: Vec::new() };
        let mut all: Vec<References> = nodes.iter().map(|_| none()).collect();
        let mut waiting: VecDeque<usize> = (0..nodes.len()).collect();
        let mut at_once = self.browse;
        while !waiting.is_empty() {
            let places: Vec<usize> = waiting.drain(..waiting.len().min(at_once)).collect();
            let asked = self
                .ask("Browse", |out, head| write_browse(out, head, wanted, places.iter().map(|at| nodes[*at])))
                .await?;
            let body = match asked {
                Ok(body) => read_browsed(&body, places.len(), &self.namespaces),
                Err(code) => Err(Fault::Refused(code)),
            };
            let some = match body {
                Ok(some) => some,
                Err(fault) if is_too_much(fault.code()) && places.len() > 1 => {
                    at_once = places.len() / 2;
                    self.browse = at_once;
                    places.into_iter().rev().for_each(|at| waiting.push_front(at));
                    continue;
                }
                Err(Fault::Refused(code)) => return Err(refused("Browse", code)),
                Err(fault) => return Err(garbage(fault)),
            };
            for (at, one) in places.iter().zip(some) {
                // No place for another continuation point: alone it gets one.
                if one.status == StatusCode::BadNoContinuationPoints && places.len() > 1 {
                    waiting.push_back(*at);
                    at_once = 1;
                } else {
                    all[*at] = one;
                }
            }
            self.follow(&mut all, most).await?;
        }
        Ok(all)
    }

    /// Asks for the rest of what a response had no place for.
    async fn follow(&mut self, all: &mut [References], most: usize) -> Result<(), ProbeError> {
        loop {
            let open: Vec<usize> = (0..all.len()).filter(|at| !all[*at].rest.is_empty()).collect();
            if open.is_empty() {
                return Ok(());
            }
            let points: Vec<Vec<u8>> = open.iter().map(|at| std::mem::take(&mut all[*at].rest)).collect();
            let is_enough = all.iter().map(|one| one.all.len()).sum::<usize>() > most;
            let asked = self.ask("BrowseNext", |out, head| write_browse_next(out, head, is_enough, &points)).await?;
            if is_enough {
                return Ok(());
            }
            let body = asked.map_err(|code| refused("BrowseNext", code))?;
            let some = read_browsed_next(&body, points.len(), &self.namespaces).map_err(garbage)?;
            for (at, more) in open.into_iter().zip(some) {
                // A server that gives nothing and a continuation point would never end.
                if more.status.is_bad() {
                    all[at].status = more.status;
                }
                all[at].rest = if more.all.is_empty() { Vec::new() } else { more.rest };
                all[at].all.extend(more.all);
            }
        }
    }

    /// Attributes, in their order.
    pub(super) async fn values(&mut self, wanted: Vec<Attribute<'_>>) -> Result<Vec<DataValue>, ProbeError> {
        let mut all = Vec::with_capacity(wanted.len());
        while all.len() < wanted.len() {
            let some = &wanted[all.len()..];
            let some = &some[..some.len().min(self.read)];
            let asked = self.ask("Read", |out, head| write_read(out, head, some.iter().copied())).await?;
            let read = match asked {
                Ok(body) => read_values(&body, some.len()),
                Err(code) => Err(Fault::Refused(code)),
            };
            match read {
                Ok(values) => all.extend(values),
                Err(fault) if is_too_much(fault.code()) && some.len() > 1 => self.read = some.len() / 2,
                Err(Fault::Refused(code)) => return Err(refused("Read", code)),
                Err(fault) => return Err(garbage(fault)),
            }
        }
        Ok(all)
    }

    async fn ask(
        &mut self,
        service: &str,
        body: impl FnOnce(&mut Writer, super::message::Head<'_>),
    ) -> Result<Result<Vec<u8>, StatusCode>, ProbeError> {
        if Instant::now() >= self.until {
            return Err(failed(format!("the listing takes longer than {} s; begin at a node", WITHIN.as_secs())));
        }
        let limit = self.client.patience();
        let asked = self.client.ask(limit, |out, head| {
            body(out, head);
            Ok(())
        });
        asked.await.map_err(|error| failed(format!("{service}: {error}")))
    }

    /// The address of a node, as a cell file has it.
    pub(super) fn address(&self, node: &[u8]) -> Option<String> {
        written(node, &self.namespaces)
    }
}

fn garbage(fault: Fault) -> ProbeError {
    failed(format!("the server's answer cannot be read ({})", fault.code()))
}

/// Whether a node is of namespace 0.
fn is_standard(node: &[u8]) -> bool {
    crate::stack::codec::Reader::new(node).node_id().is_ok_and(|id| id.namespace == 0)
}
