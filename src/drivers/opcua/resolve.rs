//! Addresses to NodeIds of a server: namespaces by its NamespaceArray, paths step by step. Pure.
//!
//! Points that begin alike share their steps, so 1,000 tags of one machine ask for its folder once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use opcua::{NodeId, StatusCode};

use super::address::{Address, Namespace, Part};
use super::view::{Name, Targets};
use crate::stack::codec::{NodeIdRef, Writer};

const ROOT: u32 = 84;
const OBJECTS: u32 = 85;
/// Namespaces among which a name without one is looked for.
const MOST_NAMESPACES: usize = 256;

/// A point's node on this server, as it is known now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolution {
    /// The encoded NodeId.
    Node(Arc<[u8]>),
    Absent {
        status: StatusCode,
        why: String,
    },
}

/// Names below a node, encoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Step {
    start: Arc<[u8]>,
    names: Names,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Names {
    Exact(Vec<Name>),
    /// In any namespace.
    Any(String),
}

/// The nodes at the end of a step, as far as the server has answered.
#[derive(Debug, Default)]
struct Found {
    nodes: Vec<Vec<u8>>,
    /// The worst answer where there is none.
    status: Option<StatusCode>,
    /// Paths that are not answered yet.
    waiting: usize,
}

/// A path to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    step: usize,
    pub start: Arc<[u8]>,
    pub names: Vec<Name>,
}

/// Finds the nodes of one session.
#[derive(Debug)]
pub(super) struct Resolver {
    pub namespaces: Vec<String>,
    steps: HashMap<Step, usize>,
    found: Vec<Found>,
    unasked: VecDeque<Ask>,
}

fn absent(status: StatusCode, why: String) -> Resolution {
    Resolution::Absent { status, why }
}

fn encoded(id: u32) -> Arc<[u8]> {
    let mut out = Writer::new();
    out.node_id(NodeIdRef::numeric(0, id));
    out.buf.into()
}

impl Resolver {
    pub(super) fn new(namespaces: Vec<String>) -> Resolver {
        Resolver { namespaces, steps: HashMap::new(), found: Vec::new(), unasked: VecDeque::new() }
    }

    /// The node of an address; `None` until the server has answered what `take` gives.
    pub(super) fn resolve(&mut self, address: &Address) -> Option<Resolution> {
        match address {
            Address::Node { namespace, id } => Some(match self.index(namespace) {
                Err(uri) => absent(StatusCode::BadNodeIdUnknown, format!("the server has no namespace `{uri}`")),
                Ok(namespace) => {
                    let mut out = Writer::new();
                    out.owned_node_id(&NodeId { namespace, identifier: id.clone() });
                    Resolution::Node(out.buf.into())
                }
            }),
            Address::Path { from_root, parts } => {
                let start = encoded(if *from_root { ROOT } else { OBJECTS });
                self.walk(start, parts)
            }
        }
    }

    fn walk(&mut self, mut node: Arc<[u8]>, parts: &[Part]) -> Option<Resolution> {
        let mut rest = parts;
        while let Some(first) = rest.first() {
            let (names, count) = match first.namespace {
                None => (Names::Any(first.name.clone()), 1),
                Some(_) => match self.exact(rest) {
                    Ok(names) => {
                        let count = names.len();
                        (Names::Exact(names), count)
                    }
                    Err(why) => return Some(absent(StatusCode::BadNoMatch, why)),
                },
            };
            if matches!(names, Names::Any(_)) && self.namespaces.len() > MOST_NAMESPACES {
                let why = format!("the server has many namespaces; write that of `{}`", first.name);
                return Some(absent(StatusCode::BadTooManyMatches, why));
            }
            let found = self.step(Step { start: node, names })?;
            let name = &rest[count - 1].name;
            node = match (found.nodes.as_slice(), found.status) {
                ([node], _) => node.as_slice().into(),
                ([], status) => {
                    let status = status.unwrap_or(StatusCode::BadNoMatch);
                    return Some(absent(status, format!("the server finds no `{name}` there ({status})")));
                }
                _ => {
                    let why = format!("the server has several nodes `{name}` there; write its namespace, or a NodeId");
                    return Some(absent(StatusCode::BadTooManyMatches, why));
                }
            };
            rest = &rest[count..];
        }
        Some(Resolution::Node(node))
    }

    /// The parts up to one without a namespace.
    fn exact(&self, parts: &[Part]) -> Result<Vec<Name>, String> {
        let mut names = Vec::new();
        for part in parts {
            let Some(namespace) = &part.namespace else { break };
            let namespace = self.index(namespace).map_err(|uri| format!("the server has no namespace `{uri}`"))?;
            names.push(Name { namespace, name: part.name.clone() });
        }
        Ok(names)
    }

    /// The index of a namespace; the URI that the server does not have.
    fn index(&self, namespace: &Namespace) -> Result<u16, String> {
        match namespace {
            Namespace::Index(index) => Ok(*index),
            Namespace::Uri(uri) => {
                let at = self.namespaces.iter().position(|known| known == uri);
                at.and_then(|at| u16::try_from(at).ok()).ok_or_else(|| uri.clone())
            }
        }
    }

    /// The outcome of a step; one that is new is asked for.
    fn step(&mut self, step: Step) -> Option<&Found> {
        let at = match self.steps.get(&step) {
            Some(at) => *at,
            None => {
                let at = self.found.len();
                self.found.push(Found::default());
                let ask = |names| Ask { step: at, start: Arc::clone(&step.start), names };
                let before = self.unasked.len();
                match &step.names {
                    Names::Exact(names) => self.unasked.push_back(ask(names.clone())),
                    Names::Any(name) => {
                        let all = 0..u16::try_from(self.namespaces.len().max(1)).unwrap_or(u16::MAX);
                        let one = |namespace| ask(vec![Name { namespace, name: name.clone() }]);
                        self.unasked.extend(all.map(one));
                    }
                }
                self.found[at].waiting = self.unasked.len() - before;
                self.steps.insert(step, at);
                return None;
            }
        };
        Some(&self.found[at]).filter(|found| found.waiting == 0)
    }

    /// The next paths to be asked for.
    pub(super) fn take(&mut self, most: usize) -> Vec<Ask> {
        let count = most.min(self.unasked.len());
        self.unasked.drain(..count).collect()
    }

    /// Paths that the server would not take in one request, to be asked for again.
    pub(super) fn put_back(&mut self, asks: Vec<Ask>) {
        asks.into_iter().rev().for_each(|ask| self.unasked.push_front(ask));
    }

    pub(super) fn answered(&mut self, ask: &Ask, targets: Targets) {
        let found = &mut self.found[ask.step];
        found.waiting = found.waiting.saturating_sub(1);
        for node in targets.nodes {
            if !found.nodes.contains(&node) {
                found.nodes.push(node);
            }
        }
        if targets.status.is_bad() && found.status.is_none_or(|status| status == StatusCode::BadNoMatch) {
            found.status = Some(targets.status);
        }
    }

    /// The server answers no such request.
    pub(super) fn refused(&mut self, asks: &[Ask], status: StatusCode) {
        for ask in asks {
            self.answered(ask, Targets { status, nodes: Vec::new() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text, None).expect(text).address
    }

    /// Nodes by the path of their names, each with its namespace.
    fn serve(resolver: &mut Resolver, tree: &[(u16, &str, u32)], most: usize) -> usize {
        let mut requests = 0;
        loop {
            let asks = resolver.take(most);
            if asks.is_empty() {
                return requests;
            }
            requests += 1;
            for ask in asks {
                let path: String = ask.names.iter().map(|name| format!("/{}", name.name)).collect();
                let last = ask.names.last().expect("a name").namespace;
                let below = tree.iter().filter(|(namespace, name, _)| *namespace == last && *name == path);
                let nodes: Vec<Vec<u8>> = below.map(|(.., id)| encoded(*id).to_vec()).collect();
                let status = if nodes.is_empty() { StatusCode::BadNoMatch } else { StatusCode::Good };
                resolver.answered(&ask, Targets { status, nodes });
            }
        }
    }

    #[test]
    fn a_path_is_found_by_its_names_and_only_if_one_node_has_them() {
        let mut resolver = Resolver::new(vec!["http://opcfoundation.org/UA/".into(), "urn:a".into(), "urn:m".into()]);
        let tree =
            [(2, "/Machine", 10), (2, "/Speed", 11), (1, "/Twice", 12), (2, "/Twice", 13), (2, "/Machine/Speed", 14)];
        for (text, wanted) in [
            ("/Machine/Speed", Ok(11)),
            ("/urn:m", Err(StatusCode::BadNoMatch)),
            ("/Twice", Err(StatusCode::BadTooManyMatches)),
            ("/2:Machine/2:Speed", Ok(14)),
            ("/2:Machine/Speed", Ok(11)),
            ("/Absent/Speed", Err(StatusCode::BadNoMatch)),
            ("nsu=urn:x;s=a", Err(StatusCode::BadNodeIdUnknown)),
            ("i=2258", Ok(2258)),
        ] {
            let address = address(text);
            let mut rounds = 0;
            let got = loop {
                if let Some(got) = resolver.resolve(&address) {
                    break got;
                }
                serve(&mut resolver, &tree, 2);
                rounds += 1;
                assert!(rounds < 5, "{text}");
            };
            match (got, wanted) {
                (Resolution::Node(node), Ok(id)) => assert_eq!(node, encoded(id), "{text}"),
                (Resolution::Absent { status, .. }, Err(wanted)) => assert_eq!(status, wanted, "{text}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }

    #[test]
    fn points_that_begin_alike_share_their_steps() {
        let mut resolver = Resolver::new(vec![String::new(), "urn:m".into()]);
        let names: Vec<String> = (0..1_000).map(|at| format!("/V{at}")).collect();
        let mut tree: Vec<(u16, &str, u32)> = names.iter().map(|name| (1, name.as_str(), 7)).collect();
        tree.push((1, "/Machine", 6));
        let addresses: Vec<Address> = names.iter().map(|name| address(&format!("/Machine{name}"))).collect();
        let mut requests = 0;
        for _ in 0..3 {
            let known = addresses.iter().filter(|address| resolver.resolve(address).is_some()).count();
            if known == addresses.len() {
                break;
            }
            requests += serve(&mut resolver, &tree, 1_000);
        }
        assert_eq!(requests, 3, "one for the folder, two for the variables in two namespaces");
    }
}
