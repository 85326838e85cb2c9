//! The control socket of a running server: its status, and what the command line may change.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::RwLock;

use super::history::HistoryAdmin;
use super::publish;
use super::reload::{Answered, Reloader};
use super::tasks::Tasks;
use crate::audit::Kind;
use crate::config;
use crate::control::{Answer, CertificateStatus, LinkStatus, Listener, Request, Response, SessionStatus, Status};
use crate::model::{ConnectionIx, Network, RoleRenumbering};
use crate::pki::{Certificate, LONGEST_WINDOW, Pki};
use crate::publish::Board;
use crate::stack::crypto::Identity;
use crate::ua::server::Server;
use crate::ua::session::Session;
use crate::ua::world::World;
use crate::value::UaTime;

/// Answers the requests of the command line.
pub(crate) struct ControlService {
    pub server: Arc<Server>,
    pub addresses: Vec<SocketAddr>,
    pub history: Arc<RwLock<Option<HistoryAdmin>>>,
    pub pki: Arc<Pki>,
    pub reloader: Arc<Reloader>,
    pub publishers: Board,
}

/// Opens the control socket. A server without one still serves: the log says why there is none.
pub(crate) fn serve(state_dir: &Path, service: ControlService, tasks: &Tasks) {
    let listener = match Listener::open(state_dir) {
        Ok(listener) => listener,
        Err(error) => {
            log::warn!("no control socket in {}, so `opcell status` cannot ask: {error}", state_dir.display());
            return;
        }
    };
    let service = Arc::new(service);
    let answer: Answer = Arc::new(move |request| {
        let service = Arc::clone(&service);
        Box::pin(async move { service.answer(request).await })
    });
    tasks.spawn("control socket".into(), Box::pin(listener.serve(answer)));
}

impl ControlService {
    async fn answer(&self, request: Request) -> Response {
        let history = self.history.read().clone();
        let done = match (request, history) {
            (Request::Status, history) => {
                let history = history.map(|history| history.status());
                let status = status(&self.server, &self.addresses);
                let (reload, needs_restart) = (self.reloader.last(), self.reloader.needs_restart());
                let publishers = self.publishers.read().iter().map(|of| publish::status_of(of)).collect();
                return Response::Status(Box::new(Status { history, reload, needs_restart, publishers, ..status }));
            }
            (Request::Reload { dry_run }, _) => return self.reload(dry_run).await,
            (Request::PkiWindow { seconds, from }, _) => self.open_window(seconds, from.as_deref()),
            (Request::Accounts, _) => self.read_accounts().await,
            (Request::HistoryImport { file }, Some(history)) => history.import(file).await,
            (Request::HistoryCompact, Some(history)) => history.compact().await,
            (Request::HistoryImport { .. } | Request::HistoryCompact, None) => {
                Err("no tag of this server has a history class".to_owned())
            }
        };
        done.map_or_else(Response::Error, Response::Done)
    }

    async fn reload(&self, is_dry: bool) -> Response {
        let answer = if is_dry { self.reloader.dry_run().await } else { self.reloader.reload().await };
        match answer {
            Ok(Answered { report, text }) => Response::Reloaded { report: Box::new(report), text },
            Err(error) => Response::Error(error),
        }
    }

    /// Reads the server file again, all of it: one with a mistake changes nothing.
    async fn read_accounts(&self) -> Result<String, String> {
        // What was read later is not overtaken by what was read before.
        let _turn = self.reloader.turn().await;
        let plan = Arc::clone(&self.server.world().plan);
        let file = plan.file.clone().ok_or("the server was started without a server file; restart it")?;
        let read = move || {
            let (compiled, report) = config::load(&file, &config::Options::default());
            compiled.ok_or_else(|| report.render(config::Shown::Some))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?;
        let new =
            read.map_err(|findings| format!("the server file has mistakes; the users are unchanged\n{findings}"))?;
        let number_of = |name: &str| plan.own_roles.iter().find(|(_, own)| *own == name).map(|(role, _)| *role);
        let numbers = RoleRenumbering::between(&new.server.own_roles, number_of);
        if numbers.waiting > 0 || new.server.own_roles.len() != plan.own_roles.len() {
            return Err("the server file names other roles than before; run opcell reload".to_owned());
        }
        let mut accounts = new.server.accounts;
        accounts.renumber_roles(&numbers);
        let ended = super::reload::take_accounts(&self.server, accounts);
        log::info!("users and roles were read again; {} ended", crate::model::count(ended, "session"));
        Ok(match ended {
            0 => "applied to the running server".to_owned(),
            _ => format!("applied to the running server; {} ended", crate::model::count(ended, "session")),
        })
    }

    fn open_window(&self, seconds: u64, from: Option<&str>) -> Result<String, String> {
        let network =
            from.map(|text| Network::parse(text).ok_or_else(|| format!("`{text}` is not a network"))).transpose()?;
        let seconds = seconds.min(LONGEST_WINDOW);
        self.pki.open_window(Duration::from_secs(seconds), network);
        let from = from.map_or_else(String::new, |from| format!(" from {from}"));
        self.server.audit_own(Kind::TrustChanged, format!("window for unknown clients{from}: {seconds} s"));
        Ok(match seconds {
            0 => "the window is closed".to_owned(),
            _ => format!("unknown clients are trusted on first use for {seconds} s; the log names each one"),
        })
    }
}

fn status(server: &Server, addresses: &[SocketAddr]) -> Status {
    let mut sessions: Vec<SessionStatus> =
        server.sessions.all().iter().map(|session| session_status(session)).collect();
    sessions.sort_by_key(|session| session.since);
    let world = server.world();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        process: std::process::id(),
        started: server.status.started.unix_seconds(),
        now: UaTime::now().unix_seconds(),
        simulated: world.plant.simulated,
        listens: addresses.iter().map(SocketAddr::to_string).collect(),
        sessions,
        subscriptions: server.subscriptions.len(),
        monitored_items: server.totals.monitored_items.load(Ordering::Relaxed),
        certificate: server.channels.identities.newest().and_then(|identity| certificate_status(&identity)),
        links: world.links.iter().flat_map(|link| link_status(&world, link)).collect(),
        publishers: Vec::new(),
        history: None,
        revision: world.revision(),
        reload: None,
        needs_restart: Vec::new(),
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

fn certificate_status(identity: &Identity) -> Option<CertificateStatus> {
    let certificate = Certificate::parse(identity.leaf())?;
    Some(CertificateStatus {
        thumbprint: identity.thumbprint().iter().map(|byte| format!("{byte:02x}")).collect(),
        name: certificate.name().to_owned(),
        until: certificate.not_after,
        is_self_signed: certificate.is_self_signed(),
    })
}

/// One for each connection; connections of one link have their own state and errors.
fn link_status(world: &World, link: &crate::health::Link) -> Vec<LinkStatus> {
    let status = |ix: &ConnectionIx| {
        let now = link.of(*ix)?;
        let connection = world.plant.connections.get(*ix)?;
        let cell = &world.plant.cells.get(usize::from(connection.cell))?.name;
        Some(LinkStatus {
            name: if cell.is_empty() { connection.name.clone() } else { format!("{cell}/{}", connection.name) },
            state: now.state.name().to_owned(),
            since: now.connected_since.map(UaTime::unix_seconds),
            requests: now.requests,
            errors: now.errors,
            demoted: now.demoted,
            load: now.load,
            dropped: now.dropped,
            why: now.why(),
            last_error: now.last_error,
            last_error_at: now.last_error_at.map(UaTime::unix_seconds),
        })
    };
    link.connections.iter().filter_map(status).collect()
}
