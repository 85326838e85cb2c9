//! Historical access (Part 11, 1.05): HistoryRead and HistoryUpdate.
//!
//! ```text
//! connection ──read──► Reading ──Pool──► encoded response ──► connection
//!                         │ page, scan, edit
//!                      Historian
//! ```

mod annotations;
mod audit;
mod change;
pub(crate) mod configuration;
mod extra;
mod modified;
mod processed;
mod raw;
pub(crate) mod read;
pub(crate) mod update;
mod values;

use opcua::StatusCode;

use super::Context;
use crate::stack::codec::NodeIdRef;
use crate::ua::disk_pool::refused;
use crate::ua::history::{Subject, Target};
use crate::ua::space::{HistoricalProperty, Source, Space, Viewer};

/// The archive of a node. A node without an archive is BadHistoryOperationUnsupported.
fn target_of(
    context: &Context<'_>,
    space: &Space,
    viewer: &Viewer<'_>,
    id: NodeIdRef<'_>,
) -> Result<Target, StatusCode> {
    let at = space.find(id).filter(|at| viewer.sees(space, *at)).ok_or(StatusCode::BadNodeIdUnknown)?;
    viewer.check_channel(space, at)?;
    let unsupported = StatusCode::BadHistoryOperationUnsupported;
    let subject = match space.variable(at).map(|shape| shape.source) {
        Some(Source::Tag(_) | Source::Member(_)) => Subject::Values,
        Some(Source::History(HistoricalProperty::Annotations)) => Subject::Annotations,
        _ => return Err(unsupported),
    };
    let tag = space.historical_tag(at).ok_or(unsupported)?;
    let archive = context.world.archives.as_ref().and_then(|archives| archives.of(tag)).ok_or(unsupported)?;
    Ok(Target { tag, archive, subject })
}
