//! Commands of publishers: they write tags as clients do, and are audited.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use opcua::StatusCode;
use tokio::time::timeout;

use crate::audit::{Kind, Record, Who, value_text};
use crate::control::PublisherStatus;
use crate::publish::{Command, Commands, Status, Trouble};
use crate::tags::Written;
use crate::ua::server::Server;
use crate::value::UaTime;

/// Longest wait for a device.
const DEADLINE: Duration = Duration::from_secs(2);

/// The server, which does not live by its publishers.
pub(crate) struct Commander(pub Weak<Server>);

impl Commands for Commander {
    fn write(&self, command: Command) -> BoxFuture<'static, StatusCode> {
        let server = self.0.upgrade();
        async move {
            let Some(server) = server else { return StatusCode::BadShutdown };
            let status = written(&server, &command).await;
            let Command { plant, tag, value, user, from } = command;
            let value = value.as_ref().map_or_else(|_| "a message that is no value".to_owned(), value_text);
            let who = Who { user, application: from, ..Who::default() };
            let node = plant.tag_name(tag);
            let record = Record::new(Kind::Write, status, who).with(format!("command: {value}"));
            server.audit(Record { node, ..record }, || None);
            status
        }
        .boxed()
    }
}

async fn written(server: &Arc<Server>, command: &Command) -> StatusCode {
    let value = match &command.value {
        Ok(value) => value,
        Err(status) => return *status,
    };
    // By the revision that the command was read with: a tag that changed since then takes nothing.
    match server.tags.write_now(&command.plant, command.tag, value, None, UaTime::now()) {
        Written::Done(status) => status,
        Written::Device { connection, write } => match server.tags.enqueue(connection, vec![write], DEADLINE) {
            Err(status) => status,
            Ok(answer) => match timeout(DEADLINE + Duration::from_secs(1), answer).await {
                Ok(Ok(codes)) => codes.first().copied().unwrap_or(StatusCode::BadInternalError),
                Ok(Err(_)) => StatusCode::BadResourceUnavailable,
                Err(_) => StatusCode::BadTimeout,
            },
        },
    }
}

/// A publisher for the command line.
pub(super) fn status_of(of: &Status) -> PublisherStatus {
    let Trouble { state, since, error, error_at, next } = of.trouble();
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    PublisherStatus {
        name: of.name.clone(),
        state: state.name().to_owned(),
        since: since.map(UaTime::unix_seconds),
        sent: count(&of.sent),
        acknowledged: count(&of.acknowledged),
        buffered: count(&of.buffered),
        buffered_bytes: count(&of.buffered_bytes),
        dropped: count(&of.dropped),
        refused: count(&of.refused),
        written: count(&of.written),
        not_written: count(&of.not_written),
        reconnects: count(&of.reconnects),
        last_error: error,
        last_error_at: error_at.map(UaTime::unix_seconds),
        next_attempt: next.map(UaTime::unix_seconds),
    }
}
