//! Historical access (Part 11, 1.05): HistoryRead and HistoryUpdate.
//!
//! ```text
//! connection ──read──► Reading ──Pool──► encoded response ──► connection
//!                         │ page, scan, edit
//!                      Historian
//! ```

mod annotations;
mod audit;
pub mod configuration;
mod extra;
mod modified;
mod processed;
mod raw;
pub mod read;
pub mod update;
mod values;

use opcua::StatusCode;

use crate::history::Fault;
use crate::logging;
use crate::stack::codec::NodeIdRef;
use crate::ua::history::{Subject, Target};
use crate::ua::server::Server;
use crate::ua::space::{Part, Source, Space, Viewer};

/// What a client is told of trouble; the operator reads the rest in the log.
fn refused(fault: &Fault) -> StatusCode {
    if let Fault::Store { .. } = fault {
        logging::limited(log::Level::Warn, "history request failed", None, format_args!("{fault}"));
    }
    fault.status()
}

/// Whose history a node is. A node without an archive is BadHistoryOperationUnsupported.
fn target_of(server: &Server, space: &Space, viewer: &Viewer<'_>, id: NodeIdRef<'_>) -> Result<Target, StatusCode> {
    let at = space.find(id).filter(|at| viewer.sees(space, *at)).ok_or(StatusCode::BadNodeIdUnknown)?;
    viewer.check_channel(space, at)?;
    let unsupported = StatusCode::BadHistoryOperationUnsupported;
    let subject = match space.variable(at).map(|shape| shape.source) {
        Some(Source::Tag(_)) => Subject::Values,
        Some(Source::History(Part::Annotations)) => Subject::Annotations,
        _ => return Err(unsupported),
    };
    let tag = space.historical_tag(at).ok_or(unsupported)?;
    let archive = server.archives.as_ref().and_then(|archives| archives.of(tag)).ok_or(unsupported)?;
    Ok(Target { tag, archive, subject })
}
