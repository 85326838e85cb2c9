//! Historical access (Part 11, 1.05): HistoryRead and HistoryUpdate.
//!
//! ```text
//! connection ──read──► Reading ──Pool──► encoded response ──► connection
//!                         │ page, scan, edit
//!                      Historian
//! ```

pub mod details;
pub mod point;
pub mod pool;
mod raw;
pub mod read;
mod values;

pub use point::Points;
pub use pool::{Gate, Pool};

use opcua::StatusCode;

use self::point::{Subject, Target};
use crate::stack::codec::NodeIdRef;
use crate::ua::server::Server;
use crate::ua::space::{Source, Space, Viewer};

/// Whose history a node is. A node without an archive is BadHistoryOperationUnsupported.
fn target_of(server: &Server, space: &Space, viewer: &Viewer<'_>, id: NodeIdRef<'_>) -> Result<Target, StatusCode> {
    let at = space.find(id).filter(|at| viewer.sees(space, *at)).ok_or(StatusCode::BadNodeIdUnknown)?;
    let source = space.variable(at).map(|shape| shape.source);
    let Some(Source::Tag(tag)) = source else { return Err(StatusCode::BadHistoryOperationUnsupported) };
    let archive = server.archives.as_ref().and_then(|archives| archives.of(tag));
    let archive = archive.ok_or(StatusCode::BadHistoryOperationUnsupported)?;
    Ok(Target { tag, archive, subject: Subject::Values })
}
