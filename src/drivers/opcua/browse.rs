//! Browse and BrowseNext (Part 4 §5.9.2 and §5.9.3, 1.05).

use opcua::StatusCode;

use super::message::{BROWSE, BROWSE_NEXT, Fault, Head, Response, Service, exactly};
use super::view::local;
use crate::stack::codec::{Decode, NodeIdRef, Reader, Writer};
use crate::value::UaTime;

/// HierarchicalReferences, HasProperty and HasSubtype.
pub(super) const HIERARCHICAL: u32 = 33;
pub(super) const HAS_PROPERTY: u32 = 46;
pub(super) const HAS_SUBTYPE: u32 = 45;
/// NodeClasses.
pub(super) const OBJECT: u32 = 1;
pub(super) const VARIABLE: u32 = 2;
pub(super) const DATA_TYPE: u32 = 64;
/// ReferenceType, BrowseName and NodeClass.
const RESULTS: u32 = 1 | 4 | 8;
/// References of one node in one response.
const MOST_REFERENCES: u32 = 1_000;

/// References that are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub is_inverse: bool,
    pub reference: u32,
    pub classes: u32,
}

/// A reference to a node on the same server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// The encoded NodeId.
    pub node: Vec<u8>,
    pub is_property: bool,
    pub namespace: u16,
    pub name: String,
    pub class: u32,
}

/// References of one node, as far as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct References {
    pub status: StatusCode,
    /// To ask for more; empty for the end.
    pub rest: Vec<u8>,
    pub all: Vec<Reference>,
}

pub(super) fn write_browse<'n>(
    out: &mut Writer,
    head: Head<'_>,
    wanted: Wanted,
    nodes: impl Iterator<Item = &'n [u8]>,
) {
    head.write(BROWSE, out);
    // No view.
    out.node_id(NodeIdRef::NULL);
    out.time(UaTime(0));
    out.u32(0);
    out.u32(MOST_REFERENCES);
    let count = out.reserve_count();
    let mut written = 0;
    for node in nodes {
        out.raw(node);
        out.i32(i32::from(wanted.is_inverse));
        out.node_id(NodeIdRef::numeric(0, wanted.reference));
        out.bool(true);
        out.u32(wanted.classes);
        out.u32(RESULTS);
        written += 1;
    }
    out.set_count(count, written);
}

pub(super) fn write_browse_next(out: &mut Writer, head: Head<'_>, is_release: bool, points: &[Vec<u8>]) {
    head.write(BROWSE_NEXT, out);
    out.bool(is_release);
    out.count(points.len());
    points.iter().for_each(|point| out.bytes(Some(point)));
}

pub(super) fn read_browsed(body: &[u8], expected: usize, namespaces: &[String]) -> Result<Vec<References>, Fault> {
    read(BROWSE, body, expected, namespaces)
}

pub(super) fn read_browsed_next(body: &[u8], expected: usize, namespaces: &[String]) -> Result<Vec<References>, Fault> {
    read(BROWSE_NEXT, body, expected, namespaces)
}

fn read(service: Service, body: &[u8], expected: usize, namespaces: &[String]) -> Result<Vec<References>, Fault> {
    let mut reader = Response::read(body)?.body(service)?;
    let count = exactly(reader.count(12)?, expected)?;
    Ok((0..count).map(|_| read_references(&mut reader, namespaces)).collect::<Decode<_>>()?)
}

fn read_references(reader: &mut Reader<'_>, namespaces: &[String]) -> Decode<References> {
    let status = reader.status()?;
    let rest = reader.bytes()?.unwrap_or_default();
    reader.charge(rest.len())?;
    let rest = rest.to_vec();
    let mut all = Vec::new();
    for _ in 0..reader.count(18)? {
        let is_property = reader.node_id()?.standard() == Some(HAS_PROPERTY);
        reader.bool()?;
        let target = reader.expanded_node_id()?;
        let name = reader.qualified_name()?;
        reader.localized_text()?;
        let class = reader.i32()?;
        reader.expanded_node_id()?;
        // A node of another server, or of a namespace that is not in its list, is none of this one.
        if let (Some(node), Some(text), Ok(class)) = (local(&target, namespaces), name.name, u32::try_from(class)) {
            reader.charge(node.len() + text.len() + size_of::<Reference>())?;
            all.push(Reference { node, is_property, namespace: name.namespace, name: text.to_owned(), class });
        }
    }
    Ok(References { status, rest, all })
}
