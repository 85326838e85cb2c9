//! Commands of publishers: they write tags as clients do, and are audited.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use opcua::StatusCode;
use tokio::time::timeout;

use crate::audit::{Kind, Record, Who, value_text};
use crate::control::PublisherStatus;
use crate::publish::{Command, Commands, Snapshot};
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
pub(super) fn status_of(now: Snapshot) -> PublisherStatus {
    PublisherStatus {
        name: now.name,
        state: now.state.name().to_owned(),
        since: now.connected_since.map(UaTime::unix_seconds),
        sent: now.sent,
        acknowledged: now.acknowledged,
        buffered: now.buffered,
        buffered_bytes: now.buffered_bytes,
        dropped: now.dropped,
        refused: now.refused,
        written: now.written,
        not_written: now.not_written,
        reconnects: now.reconnects,
        last_error: now.last_error,
        last_error_at: now.last_error_at.map(UaTime::unix_seconds),
        next_attempt: now.next_attempt.map(UaTime::unix_seconds),
    }
}
