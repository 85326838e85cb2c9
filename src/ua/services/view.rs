//! View service set (Part 4 §5.9, 1.05): Browse, BrowseNext, TranslateBrowsePathsToNodeIds, RegisterNodes.

use std::sync::Arc;

use opcua::{ReferenceTypeId, StatusCode};

use super::{Context, operations};
use crate::stack::codec::{NodeIdRef, Reader, Writer};
use crate::ua::continuation::Begun;
use crate::ua::session::{BrowsePoint, Browsing};
use crate::ua::space::{BrowseFilter, Direction, NodeIx, ResultMask, Space, TargetName, Viewer};
use crate::ua::world::World;

/// Registered nodes are answered with their own ids: looking one up costs no more than an alias would.
const REGISTERED_PER_SESSION: u32 = 100_000;
/// A node that TranslateBrowsePaths may reach on one path, at most.
const TARGETS: usize = 1_000;
/// Elements of a RelativePath, at most.
const PATH_ELEMENTS: usize = 100;
/// References that the paths of one request may look at, in all; the paths that remain are BadResourceUnavailable.
const STEPS: usize = 2_000_000;
const HIERARCHICAL_REFERENCES: u32 = ReferenceTypeId::HierarchicalReferences as u32;

pub(crate) fn browse(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let view = reader.node_id()?;
    reader.time()?;
    reader.u32()?;
    let asked = reader.u32()?;
    let count = operations(reader, 15, context.server.limits.operations)?;
    // There are no views; a null one with a timestamp is still null (clients send one).
    if !view.is_null() {
        return Err(StatusCode::BadViewIdUnknown);
    }
    let max_references = max_references(context, asked);
    let (begin, begun) = (w.mark(), context.session.lock().browse.begin());
    context.write_head(w);
    w.count(count);
    let space = &context.world.space;
    let viewer = context.viewer();
    for _ in 0..count {
        let node = reader.node_id()?;
        let direction = reader.i32()?;
        let reference_type = reader.node_id()?;
        let include_subtypes = reader.bool()?;
        let classes = reader.u32()?;
        let mask = ResultMask(reader.u32()?);
        let filter = find(space, &viewer, node).and_then(|at| {
            let direction = Direction::from_wire(direction).ok_or(StatusCode::BadBrowseDirectionInvalid)?;
            BrowseFilter::new(space, direction, reference_type, include_subtypes, classes, mask)
                .map(|filter| (at, filter))
        });
        match filter {
            Ok((node, filter)) => {
                let rest = Browsing { node, filter, next: 0, max_references };
                write_result(context, &context.world, begun, rest, w);
            }
            Err(status) => write_failure(status, w),
        }
        context.check_size(begin, w)?;
    }
    w.null_array();
    Ok(())
}

fn max_references(context: &Context<'_>, asked: u32) -> usize {
    let most = context.server.limits.references_per_browse;
    (if asked == 0 { most } else { asked.min(most) }) as usize
}

fn find(space: &Space, viewer: &Viewer<'_>, id: NodeIdRef<'_>) -> Result<NodeIx, StatusCode> {
    space.find(id).filter(|at| viewer.sees(space, *at)).ok_or(StatusCode::BadNodeIdUnknown)
}

fn write_failure(status: StatusCode, w: &mut Writer) {
    w.status(status);
    w.bytes(None);
    w.null_array();
}

/// A BrowseResult: as many references as fit, then a continuation point. Where this request has taken all places for
/// points the references of this operation are not given at all (Part 4 §5.9.2.2, 1.05: Bad_NoContinuationPoints).
fn write_result(context: &Context<'_>, world: &Arc<World>, begun: Begun, rest: Browsing, w: &mut Writer) {
    let (space, viewer) = (&world.space, &context.viewer_in(world));
    let start = w.mark();
    w.status(StatusCode::Good);
    let name_at = w.mark();
    w.bytes(None);
    let count_at = w.reserve_count();
    let mut written = 0;
    let mut next = None;
    for (at, reference) in space.references(rest.node).iter().enumerate().skip(rest.next) {
        if !rest.filter.passes(space, viewer, reference) {
            continue;
        }
        if written == rest.max_references {
            next = Some(at);
            break;
        }
        space.write_reference(reference, rest.filter.mask, viewer.locales, w);
        written += 1;
    }
    w.set_count(count_at, written);
    let Some(next) = next else { return };
    match context
        .session
        .lock()
        .browse
        .keep(begun, BrowsePoint { world: Arc::clone(world), rest: Browsing { next, ..rest } })
    {
        Some(name) => {
            w.set_count(name_at, name.len());
            w.buf.splice(name_at + 4..name_at + 4, name);
        }
        None => {
            w.rewind(start);
            write_failure(StatusCode::BadNoContinuationPoints, w);
        }
    }
}

pub(crate) fn browse_next(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let release = reader.bool()?;
    let count = operations(reader, 4, context.server.limits.operations)?;
    let (begin, begun) = (w.mark(), context.session.lock().browse.begin());
    context.write_head(w);
    w.count(count);
    for _ in 0..count {
        let name = reader.bytes()?.unwrap_or_default();
        let point = context.session.lock().browse.take(name);
        match point {
            // The session may have another user now.
            Some(point) if !context.viewer_in(&point.world).sees(&point.world.space, point.rest.node) => {
                write_failure(StatusCode::BadContinuationPointInvalid, w);
            }
            None => write_failure(StatusCode::BadContinuationPointInvalid, w),
            Some(_) if release => write_failure(StatusCode::Good, w),
            Some(point) => write_result(context, &point.world, begun, point.rest, w),
        }
        context.check_size(begin, w)?;
    }
    w.null_array();
    Ok(())
}

pub(crate) fn translate(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let count = operations(reader, 6, context.server.limits.operations)?;
    let begin = w.mark();
    context.write_head(w);
    w.count(count);
    let space = &context.world.space;
    let viewer = context.viewer();
    let mut steps = STEPS;
    for _ in 0..count {
        match translate_one(space, &viewer, reader, &mut steps)? {
            PathEnd::Targets(targets) => {
                w.status(StatusCode::Good);
                w.count(targets.len());
                for target in targets {
                    space.write_id(target, w);
                    w.u32(u32::MAX); // nothing of the path is left
                }
            }
            PathEnd::Refused(status) => {
                w.status(status);
                w.null_array();
            }
        }
        context.check_size(begin, w)?;
    }
    w.null_array();
    Ok(())
}

/// The end of one BrowsePath: the result of the operation. A request that cannot be read is the error.
fn translate_one(
    space: &Space,
    viewer: &Viewer<'_>,
    reader: &mut Reader<'_>,
    steps: &mut usize,
) -> Result<PathEnd, StatusCode> {
    let mut at = find(space, viewer, reader.node_id()?).map(|at| vec![at]);
    let count = reader.count(10)?;
    if count == 0 {
        return Ok(at.map_or_else(PathEnd::Refused, |_| PathEnd::Refused(StatusCode::BadNothingToDo)));
    }
    for n in 0..count {
        let reference_type = reader.node_id()?;
        let is_inverse = reader.bool()?;
        let include_subtypes = reader.bool()?;
        let name = reader.qualified_name()?;
        let Ok(nodes) = &at else { continue };
        at = match name.name {
            _ if n >= PATH_ELEMENTS => Err(StatusCode::BadBrowseNameInvalid),
            None | Some("") => Err(StatusCode::BadBrowseNameInvalid),
            Some(text) => {
                let direction = if is_inverse { Direction::Inverse } else { Direction::Forward };
                // A null type means all hierarchical references (Part 4 §7.31, 1.05).
                let (kind, subtypes) = match reference_type.is_null() {
                    true => (NodeIdRef::numeric(0, HIERARCHICAL_REFERENCES), true),
                    false => (reference_type, include_subtypes),
                };
                match BrowseFilter::new(space, direction, kind, subtypes, 0, ResultMask(0)) {
                    Err(_) => Err(StatusCode::BadReferenceTypeIdInvalid),
                    Ok(filter) => {
                        let name = TargetName { namespace: name.namespace, name: text };
                        step(space, viewer, nodes, &filter, name, steps)
                    }
                }
            }
        };
    }
    Ok(match at {
        Ok(targets) if targets.is_empty() => PathEnd::Refused(StatusCode::BadNoMatch),
        Ok(targets) => PathEnd::Targets(targets),
        Err(status) => PathEnd::Refused(status),
    })
}

/// The end of a BrowsePath.
enum PathEnd {
    Targets(Vec<NodeIx>),
    Refused(StatusCode),
}

fn step(
    space: &Space,
    viewer: &Viewer<'_>,
    from: &[NodeIx],
    filter: &BrowseFilter,
    name: TargetName<'_>,
    steps: &mut usize,
) -> Result<Vec<NodeIx>, StatusCode> {
    let mut found: Vec<NodeIx> = Vec::new();
    let mut known: hashbrown::HashSet<NodeIx> = hashbrown::HashSet::new();
    for node in from {
        let done = space.follow(*node, filter, viewer, name, steps, |target| {
            if found.len() < TARGETS && known.insert(target) {
                found.push(target);
            }
        });
        done.ok_or(StatusCode::BadResourceUnavailable)?;
    }
    Ok(found)
}

pub(crate) fn register(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let count = operations(reader, 2, context.server.limits.operations)?;
    {
        let mut state = context.session.lock();
        let total = state.registered.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        if total > REGISTERED_PER_SESSION {
            return Err(StatusCode::BadTooManyOperations);
        }
        state.registered = total;
    }
    context.write_head(w);
    w.count(count);
    for _ in 0..count {
        let id = reader.node_id()?;
        w.node_id(id);
    }
    Ok(())
}

pub(crate) fn unregister(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let count = operations(reader, 2, context.server.limits.operations)?;
    for _ in 0..count {
        reader.node_id()?;
    }
    {
        let mut state = context.session.lock();
        state.registered = state.registered.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
    }
    context.write_head(w);
    Ok(())
}
