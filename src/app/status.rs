//! What a running server tells of itself over the control socket.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::history::Hands;
use super::tasks::Tasks;
use crate::control::{Answer, LinkStatus, Listener, Request, Response, SessionStatus, Status};
use crate::ua::server::Server;
use crate::ua::session::Session;
use crate::value::UaTime;

/// Opens the control socket. A server without one still serves: the log says why there is none.
pub fn serve(state_dir: &Path, server: &Arc<Server>, addresses: &[SocketAddr], history: Option<Hands>, tasks: &Tasks) {
    let listener = match Listener::open(state_dir) {
        Ok(listener) => listener,
        Err(error) => {
            log::warn!("no control socket in {}, so `opcell status` cannot ask: {error}", state_dir.display());
            return;
        }
    };
    let (server, addresses) = (Arc::clone(server), addresses.to_vec());
    let answer: Answer = Arc::new(move |request| {
        let (server, addresses, history) = (Arc::clone(&server), addresses.clone(), history.clone());
        Box::pin(async move { answer(request, &server, &addresses, history).await })
    });
    tasks.spawn("control socket".into(), Box::pin(listener.serve(answer)));
}

async fn answer(request: Request, server: &Server, addresses: &[SocketAddr], history: Option<Hands>) -> Response {
    let done = match (request, history) {
        (Request::Status, history) => {
            let history = history.map(|history| history.status());
            return Response::Status(Box::new(Status { history, ..status(server, addresses) }));
        }
        (Request::HistoryImport { file }, Some(history)) => history.import(file).await,
        (Request::HistoryCompact, Some(history)) => history.compact().await,
        (Request::HistoryImport { .. } | Request::HistoryCompact, None) => {
            Err("no tag of this server has a history class".to_owned())
        }
    };
    done.map_or_else(Response::Error, Response::Done)
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
        history: None,
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
