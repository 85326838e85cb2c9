//! What a running server tells of itself over the control socket.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::tasks::Tasks;
use crate::control::{LinkStatus, Listener, Request, Response, SessionStatus, Status};
use crate::ua::server::Server;
use crate::ua::session::Session;
use crate::value::UaTime;

/// Opens the control socket. A server without one still serves: the log says why there is none.
pub fn serve(state_dir: &Path, server: &Arc<Server>, addresses: &[SocketAddr], tasks: &Tasks) {
    let listener = match Listener::open(state_dir) {
        Ok(listener) => listener,
        Err(error) => {
            log::warn!("no control socket in {}, so `opcell status` cannot ask: {error}", state_dir.display());
            return;
        }
    };
    let (server, addresses) = (Arc::clone(server), addresses.to_vec());
    let answer = move |request| match request {
        Request::Status => Response::Status(Box::new(status(&server, &addresses))),
    };
    tasks.spawn("control socket".into(), Box::pin(listener.serve(answer)));
}

fn status(server: &Server, addresses: &[SocketAddr]) -> Status {
    let mut sessions: Vec<SessionStatus> =
        server.sessions.all().iter().map(|session| session_status(session)).collect();
    sessions.sort_by_key(|session| session.since);
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        process: std::process::id(),
        started: server.status.started.unix_seconds(),
        now: UaTime::now().unix_seconds(),
        listens: addresses.iter().map(SocketAddr::to_string).collect(),
        sessions,
        subscriptions: server.subscription_count(),
        monitored_items: server.monitored_items.load(Ordering::Relaxed),
        links: server.links.iter().map(|link| link_status(link)).collect(),
    }
}

fn session_status(session: &Session) -> SessionStatus {
    let state = session.lock();
    SessionStatus {
        name: session.name.clone(),
        user: state.identity.name().to_owned(),
        application: session.client.application_uri.clone(),
        from: session.peer.to_string(),
        since: session.connected.unix_seconds(),
        secured: state.is_secured(),
        subscriptions: state.subscriptions.len(),
    }
}

fn link_status(link: &crate::health::Link) -> LinkStatus {
    let now = link.snapshot();
    LinkStatus {
        name: link.name.clone(),
        state: now.state.name().to_owned(),
        since: now.connected_since.map(UaTime::unix_seconds),
        requests: now.requests,
        errors: now.errors,
        demoted: now.demoted,
        last_error: now.last_error,
        last_error_at: now.last_error_at.map(UaTime::unix_seconds),
    }
}
