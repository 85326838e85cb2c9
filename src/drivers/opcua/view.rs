//! TranslateBrowsePathsToNodeIds (Part 4 §5.9.4, 1.05).

use opcua::StatusCode;

use super::message::{Fault, Head, Response, TRANSLATE, exactly};
use crate::stack::codec::{ExpandedNodeIdRef, NodeIdRef, QualifiedNameRef, Writer};

/// Nodes that one path leads to and that are kept: more than one is an error for us.
const MOST_TARGETS: usize = 2;
/// HierarchicalReferences.
const HIERARCHICAL: u32 = 33;

/// A BrowseName with the index of its namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub namespace: u16,
    pub name: String,
}

/// A path from a node, whose id is encoded.
#[derive(Debug)]
pub(super) struct BrowsePath<'a> {
    pub start: &'a [u8],
    pub names: &'a [Name],
}

pub(super) fn write_translate<'a>(out: &mut Writer, head: Head<'_>, paths: impl Iterator<Item = BrowsePath<'a>>) {
    head.write(TRANSLATE, out);
    let count = out.reserve_count();
    let mut written = 0;
    for BrowsePath { start, names } in paths {
        out.raw(start);
        out.count(names.len());
        for Name { namespace, name } in names {
            out.node_id(NodeIdRef::numeric(0, HIERARCHICAL));
            out.bool(false);
            out.bool(true);
            out.qualified_name(QualifiedNameRef { namespace: *namespace, name: Some(name) });
        }
        written += 1;
    }
    out.set_count(count, written);
}

/// Nodes at the end of a path, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Targets {
    pub status: StatusCode,
    pub nodes: Vec<Vec<u8>>,
}

/// `namespaces`: to find the index of a target that is named by its URI.
pub(super) fn read_translated(body: &[u8], expected: usize, namespaces: &[String]) -> Result<Vec<Targets>, Fault> {
    let mut reader = Response::read(body)?.body(TRANSLATE)?;
    let count = exactly(reader.count(8)?, expected)?;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let status = reader.status()?;
        let mut nodes = Vec::new();
        for _ in 0..reader.count(6)? {
            let target = reader.expanded_node_id()?;
            let is_whole = reader.u32()? == u32::MAX;
            if let (true, true, Some(node)) = (is_whole, nodes.len() < MOST_TARGETS, local(&target, namespaces))
                && !nodes.contains(&node)
            {
                nodes.push(node);
            }
        }
        all.push(Targets { status, nodes });
    }
    Ok(all)
}

/// The encoded NodeId of a node on the server itself.
pub(super) fn local(target: &ExpandedNodeIdRef<'_>, namespaces: &[String]) -> Option<Vec<u8>> {
    let namespace = match target.namespace_uri.filter(|uri| !uri.is_empty()) {
        None => target.node_id.namespace,
        Some(uri) => u16::try_from(namespaces.iter().position(|known| known == uri)?).ok()?,
    };
    let mut out = Writer::new();
    out.node_id(NodeIdRef { namespace, id: target.node_id.id });
    (target.server_index == 0).then_some(out.buf)
}
