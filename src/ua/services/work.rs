//! Work of a request whose response comes later, while the connection serves other requests.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use opcua::StatusCode;

use super::Context;
use crate::ua::disk_pool::Abandoned;
use crate::ua::session::Session;

/// A whole response, encoded, or the status of the fault in its place.
pub(crate) type Response = Result<Vec<u8>, StatusCode>;

/// A login in the making: a session is made or activated.
pub(crate) type Login<'v> = BoxFuture<'v, Result<LoggedIn, StatusCode>>;

/// A login that succeeded.
pub(crate) struct LoggedIn {
    /// The whole response, encoded.
    pub response: Vec<u8>,
    /// The session that this connection carries from now on.
    pub activated: Option<Arc<Session>>,
}

/// A response in the making. It is dropped with its connection.
pub(crate) struct Work {
    pub response: BoxFuture<'static, Response>,
    /// The data is on the server's own disk, so it comes soon; a device may take longer.
    pub is_at_disk: bool,
}

impl Work {
    /// Work that waits for devices.
    pub(crate) fn for_devices(response: impl Future<Output = Response> + Send + 'static) -> Work {
        Work { response: response.boxed(), is_at_disk: false }
    }

    /// Work that waits for history.
    pub(crate) fn for_disk(response: impl Future<Output = Response> + Send + 'static) -> Work {
        Work { response: response.boxed(), is_at_disk: true }
    }

    /// A job that makes the whole response in the disk pool, when it is its turn. Its client may cancel it.
    pub(crate) fn in_disk_pool(
        context: &Context<'_>,
        job: impl FnOnce(&Abandoned) -> Response + Send + 'static,
    ) -> Result<Work, StatusCode> {
        let (server, session) = (context.server, context.session);
        let most = server.limits.history_requests.per_session;
        let job = server.history.pool.run(&session.history_gate, most, job)?;
        let cancelled = session.lock().let_cancel(context.header.handle);
        Ok(Work::for_disk(async move {
            tokio::select! {
                response = job => response.and_then(|response| response),
                Ok(()) = cancelled => Err(StatusCode::BadRequestCancelledByClient),
            }
        }))
    }
}
