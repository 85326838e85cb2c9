//! The services of Part 4, one file a service set. Each reads its request in the receive buffer and writes its response
//! straight into the connection's send buffer; only what fails as a whole becomes a ServiceFault.

pub(crate) mod attribute;
mod context;
pub(crate) mod discovery;
mod fixed;
pub(crate) mod history;
mod item_filter;
mod method;
pub(crate) mod monitored_item;
pub(crate) mod publish;
pub(crate) mod rights;
pub(crate) mod session;
pub(crate) mod subscription;
mod table;
pub(crate) mod view;
mod work;
mod write;

pub(crate) use context::Visit;
pub use context::{Context, Request, RequestHeader, ResponseHead};
pub(crate) use table::{Access, Run, Service};
pub(crate) use work::{LoggedIn, Login, Response, Work};

use opcua::StatusCode;

use crate::stack::codec::{Reader, Writer};

/// Runs work that may be long: while it computes, the runtime serves all others from another thread.
pub(crate) fn apart_if<R>(is_long: bool, work: impl FnOnce() -> R) -> R {
    let flavour = || tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor());
    match is_long && matches!(flavour(), Ok(tokio::runtime::RuntimeFlavor::MultiThread)) {
        true => tokio::task::block_in_place(work),
        false => work(),
    }
}

/// The number of operations of a request: none is BadNothingToDo, too many are BadTooManyOperations.
pub(crate) fn operations(reader: &mut Reader<'_>, least: usize, most: u32) -> Result<usize, StatusCode> {
    match reader.count(least)? {
        0 => Err(StatusCode::BadNothingToDo),
        count if count > most as usize => Err(StatusCode::BadTooManyOperations),
        count => Ok(count),
    }
}

/// Reads `count` ids, and answers each with a status of its own.
pub(crate) fn each_id(
    reader: &mut Reader<'_>,
    w: &mut Writer,
    most: u32,
    mut act: impl FnMut(u32) -> StatusCode,
) -> Result<(), StatusCode> {
    let count = operations(reader, 4, most)?;
    w.count(count);
    for _ in 0..count {
        let status = act(reader.u32()?);
        w.status(status);
    }
    Ok(())
}
