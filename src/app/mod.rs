//! The only owner of tasks: from a checked cell to a running server and back.
//!
//! ```text
//! assemble (opens nothing) ──► start (state, certificates, links, then the listener) ──► run ──► stop
//! ```

mod alarm_states;
mod application;
mod audit;
mod bare;
mod build;
#[cfg(test)]
mod driver_tests;
mod files;
mod formulas;
pub(crate) mod history;
mod housekeeping;
mod listener;
mod memory;
mod mirror;
mod once;
mod outputs;
mod publish;
mod reload;
mod retained;
mod scan;
mod signals;
mod status;
mod tasks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;

use crate::audit::{Audit, AuditError, Scribe};
use crate::config::Compiled;
use crate::drivers;
use crate::history::Fault;
use crate::logging;
use crate::model::{self, Plant, ServerPlan};
use crate::pki::{self, Keeper, OwnCertificate, OwnRequest, Pki, PkiError};
use crate::stack::crypto::{CryptoPool, Identities, Policy, PoolThreads, QueueLimits};
use crate::stack::transport;
use crate::state::{State, StateError};
use crate::tags::TagStore;
use crate::ua::application::Application;
use crate::ua::items;
use crate::ua::limits::Limits;
use crate::ua::publishing;
use crate::ua::server::Server;
use crate::ua::space::NodeVersions;
use crate::ua::world::{Rules, World};
use build::{Base, Namespaces, Opened};
use listener::Bound;
pub use mirror::{fuzz_mirror, with_mirrors};
pub(crate) use once::{AsClient, once};
pub(crate) use reload::Worker;
pub use reload::{Answered, Reloader, Source};
use reload::{Engine, Keys};
pub(crate) use scan::{Scanned, scan};
pub(crate) use signals::{Asked, Signals};
use tasks::Tasks;

/// The end is announced this long before, so that clients see ServerState and SecondsTillShutdown.
const ANNOUNCED: Duration = Duration::from_millis(1500);
/// For subscriptions to publish what the outputs are left with.
const LAST_VALUES: Duration = Duration::from_millis(250);
/// On a machine that is busy.
const LAST_VALUES_AT_MOST: Duration = Duration::from_secs(1);
/// For the request that is under way when the stop comes, and for the connection to be closed.
const LINK_CLOSES: Duration = Duration::from_secs(3);
/// For the last values of publishers, 1 s, and for what they keep.
const PUBLISHERS_END: Duration = Duration::from_secs(2);
const CRYPTO_THREADS: usize = 2;
/// Jobs that may wait: of one address, and of all.
const CRYPTO_QUEUE: QueueLimits = QueueLimits { of_address: 32, in_all: 256 };

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error("cannot listen on {address}: {source}; {}", listen_remedy(source))]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(
        "cell {cell}: the namespace {uri} is the URI of the application; give the cell another, or the application"
    )]
    Namespace { cell: String, uri: String },
    #[error(transparent)]
    History(#[from] Fault),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("no certificate can be made with these names: {0}; see `security.certificate.names` and `advertise`")]
    Certificate(String),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    #[error("{0}")]
    Unexpected(String),
}

fn listen_remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "is another server running? choose an address with --listen",
        std::io::ErrorKind::AddrNotAvailable => "this host has no such address: choose another with --listen",
        std::io::ErrorKind::PermissionDenied => "ports below 1024 are for root: choose another with --listen",
        _ => "choose an address with --listen",
    }
}

/// A server that is known to be good and has opened nothing yet.
#[derive(Debug)]
pub struct Assembly {
    compiled: Compiled,
    application: Application,
    limits: Limits,
    wire: transport::Limits,
    source: Option<Source>,
    worker: Option<Worker>,
}

/// Pure: names and limits are settled here, nothing is opened.
pub fn assemble(compiled: Compiled) -> Assembly {
    Assembly {
        limits: Limits::new(build::with_memory(&compiled.server.limits)),
        application: application(&compiled.server),
        compiled,
        wire: transport::Limits::default(),
        source: None,
        worker: None,
    }
}

fn application(plan: &ServerPlan) -> Application {
    let host = pki::host_name();
    let named = &plan.application;
    Application {
        name: if named.name.is_empty() { format!("opcell on {host}") } else { named.name.clone() },
        uri: if named.uri.is_empty() { format!("urn:{host}:opcell") } else { named.uri.clone() },
        port: plan.listen.first().map_or(4840, SocketAddr::port),
        host,
    }
}

/// Request for the server's own certificate.
pub fn own_request(plan: &ServerPlan) -> OwnRequest {
    let Application { name, uri, .. } = application(plan);
    let certificate = &plan.security.certificate;
    let mut names = certificate.names.clone();
    names.extend(plan.advertise.iter().filter(|name| !certificate.names.contains(name)).cloned());
    OwnRequest {
        application_uri: uri,
        application_name: name,
        names,
        auto_names: certificate.auto_names,
        key_bits: certificate.key_bits,
        valid_for: certificate.valid_for,
        renew_before: certificate.renew_before,
    }
}

/// A server that runs.
pub struct Running {
    pub server: Arc<Server>,
    /// The addresses that it listens on, with the ports that the system chose for port 0.
    pub addresses: Vec<SocketAddr>,
    pub certificate: PathBuf,
    pub pki_dir: PathBuf,
    tasks: Tasks,
    stop: watch::Sender<bool>,
    engine: Arc<Mutex<Engine>>,
    reloader: Arc<Reloader>,
    scribe: Option<Scribe>,
    threads: PoolThreads,
    /// Reports of the links on the values of `on_stop`.
    outputs: mpsc::UnboundedReceiver<drivers::Output>,
}

impl Assembly {
    /// Limits that a test may shrink.
    pub fn limits_mut(&mut self) -> (&mut Limits, &mut transport::Limits) {
        (&mut self.limits, &mut self.wire)
    }

    /// Lets the running server read its files again.
    #[must_use]
    pub fn reloadable(self, source: Source) -> Assembly {
        Assembly { source: Some(source), ..self }
    }

    /// Lets the thread that read the files read them again: what it frees is used again by what it makes.
    #[must_use]
    pub(crate) fn with_worker(self, worker: Worker) -> Assembly {
        Assembly { worker: Some(worker), ..self }
    }

    /// Opens everything in the order in which one thing needs the other; the listener last.
    pub async fn start(mut self) -> Result<Running, StartError> {
        let plan = Arc::new(self.compiled.server.clone());
        let state = State::open(&plan.state_dir)?;
        let (audit, scribe) = Audit::start(&plan.audit, &plan.state_dir)?;
        let pki = Pki::open(&plan.pki_dir, suppressed(plan.security.suppressed))?;
        let (identities, keeper) = own_certificate(&plan)?;
        files::raise_limit(self.limits.connections);
        // The ports are taken before anything runs, and served last of all.
        let bound = Bound::open(&plan.listen).await?;
        self.application.port = bound.addresses().first().map_or(self.application.port, SocketAddr::port);
        let (crypto, threads) = CryptoPool::start(CRYPTO_THREADS, CRYPTO_QUEUE).map_err(StartError::Thread)?;
        let base = Base::new(self.application, self.limits, self.wire, &plan);
        let opened = Opened {
            tags: Arc::new(TagStore::with_room(self.compiled.plant.tags.bound())),
            identities,
            policies: plan.security.policies.iter().copied().map(policy).collect(),
            check: Arc::clone(&pki) as Arc<_>,
            trust: pki.changes(),
            crypto,
            pinned_names: pinned_names(&pki),
            audit,
            accounts: plan.accounts.clone(),
        };
        let server = base.server(nothing(&base, &plan, self.compiled.plant.simulated), opened);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Tasks::default();
        let (report, outputs) = mpsc::unbounded_channel();
        let keys = Keys { pki: Arc::clone(&pki), wanted: keeper.wanted(), started: plan.limits.clone() };
        let named = self.compiled.named.clone();
        let engine = Engine::new(&server, base, keys, state, report, &tasks)?;
        let worker = self.worker.map_or_else(Worker::start, Ok).map_err(StartError::Thread)?;
        let engine = first_world(engine, &worker, self.compiled).await?;
        spawn_keepers(&tasks, &server, &pki, keeper);
        audit::started(&server);
        let addresses = bound.addresses().to_vec();
        bound.serve(&server, &mut tasks, &stopped);
        let (admin, state_dir) = (Arc::clone(&engine.admin), engine.state.dir().to_owned());
        let publishers = engine.publishers();
        let (application, browsing) = (Arc::clone(&engine.application), engine.browsing());
        let store = self.source.as_ref().and_then(|source| mirror::Store::of(&source.options));
        let engine = Arc::new(Mutex::new(engine));
        let reloader = Reloader::new(Arc::clone(&engine), worker, self.source, named);
        if reloader.source().is_some() {
            tasks.spawn("files".into(), Box::pin(reload::watch(Arc::clone(&server), Arc::clone(&reloader))));
        }
        if let Some(store) = store {
            let (server, reloader) = (Arc::clone(&server), Arc::clone(&reloader));
            let listings = Arc::clone(&application.listings);
            let keeper = mirror::Keeper { server, reloader, store, listings, application, browsing };
            tasks.spawn("mirrors".into(), Box::pin(mirror::run(keeper)));
        }
        if let Some(asked) = server.switches.take() {
            tasks.spawn("switches".into(), Box::pin(reload::switch_connections(asked, Arc::clone(&reloader))));
        }
        let service = status::ControlService {
            server: Arc::clone(&server),
            addresses: addresses.clone(),
            history: admin,
            pki: Arc::clone(&pki),
            reloader: Arc::clone(&reloader),
            publishers,
        };
        status::serve(&state_dir, service, &tasks);
        let certificate = plan.pki_dir.join("own/certificate.der");
        let pki_dir = plan.pki_dir.clone();
        Ok(Running { server, addresses, certificate, pki_dir, tasks, stop, engine, reloader, scribe, threads, outputs })
    }
}

/// The world of a server whose files are not taken yet.
fn nothing(base: &Base, plan: &Arc<ServerPlan>, simulated: bool) -> World {
    let plant = Plant { simulated, ..Plant::default() };
    let rules = Rules { limits: base.limits_of(plan), plan: Arc::clone(plan) };
    let namespaces = Namespaces { of_cells: &[], pinned: &[] };
    let space = base.space(&plant, &rules, &namespaces, &NodeVersions::default());
    World::new(rules, Arc::new(plant), space, None, Vec::new())
}

/// Takes the files for the first time: a reload from nothing.
async fn first_world(mut engine: Engine, worker: &Worker, compiled: Compiled) -> Result<Engine, StartError> {
    let runtime = tokio::runtime::Handle::current();
    let work = move || {
        // Links are tasks.
        let _inside = runtime.enter();
        let examined = engine.examine(compiled);
        let prepared = engine.prepare(examined)?;
        drop(engine.apply(prepared));
        Ok(engine)
    };
    worker.run_start(work).await.map_err(StartError::Unexpected)?
}

/// The tasks that look after the server itself.
fn spawn_keepers(tasks: &Tasks, server: &Arc<Server>, pki: &Arc<Pki>, keeper: Keeper) {
    tasks.spawn("own certificate".into(), Box::pin(keeper.run()));
    tasks.spawn("certificate folders".into(), Box::pin(Arc::clone(pki).watch()));
    tasks.spawn("subscription timer".into(), Box::pin(publishing::run(Arc::clone(server))));
    tasks.spawn("ended subscriptions".into(), Box::pin(items::sweep(Arc::clone(server))));
    tasks.spawn("housekeeping".into(), Box::pin(housekeeping::run(Arc::clone(server))));
    tasks.spawn("audit".into(), Box::pin(audit::run(Arc::clone(server), Arc::clone(pki))));
}

/// The certificates that the server answers with, and the task that renews them.
fn own_certificate(plan: &ServerPlan) -> Result<(Arc<Identities>, Keeper), PkiError> {
    let request = own_request(plan);
    let own = OwnCertificate::load_or_make(&plan.pki_dir, &request)?;
    let identities = Arc::new(Identities::default());
    identities.replace(own.identities());
    let keeper = Keeper::new(plan.pki_dir.clone(), request, Arc::clone(&identities));
    Ok((identities, keeper))
}

fn suppressed(of: model::Suppressed) -> pki::Suppressed {
    pki::Suppressed {
        time: of.time,
        issuer_time: of.issuer_time,
        usage: of.usage,
        revocation_unknown: of.revocation_unknown,
        issuer_revocation_unknown: of.issuer_revocation_unknown,
    }
}

fn policy(policy: model::Policy) -> Policy {
    match policy {
        model::Policy::Basic256Sha256 => Policy::Basic256Sha256,
        model::Policy::Aes128_Sha256_RsaOaep => Policy::Aes128_Sha256_RsaOaep,
        model::Policy::Aes256_Sha256_RsaPss => Policy::Aes256_Sha256_RsaPss,
    }
}

fn pinned_names(pki: &Arc<Pki>) -> crate::ua::users::PinnedNames {
    let pki = Arc::clone(pki);
    Box::new(move |der| match pki.check_user(der) {
        Ok((_, names)) => names,
        Err(refusal) => {
            logging::limited(log::Level::Warn, "user certificate refused", None, format_args!("{}", refusal.rule));
            Vec::new()
        }
    })
}

impl Running {
    /// Runs until `end` resolves; memory tags are saved meanwhile.
    pub async fn run_until(&mut self, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        let mut save = tokio::time::interval(Duration::from_secs(1));
        save.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut end => return,
                // A reload that has the engine saves nothing that could not wait.
                _ = save.tick() => {
                    if let Ok(mut engine) = self.engine.try_lock() {
                        engine.save();
                    }
                    outputs::audit(&self.server, &mut self.outputs);
                }
            }
        }
    }

    /// Reads the files again and takes what they say.
    pub fn reloader(&self) -> &Arc<Reloader> {
        &self.reloader
    }

    /// Announces the end, writes what waits and the outputs, closes links and connections, saves: within 5 s, or as long
    /// as devices take for their outputs. A reload that is under way ends first.
    pub async fn stop(mut self, reason: &str) {
        let began = Instant::now();
        self.server.status.announce_shutdown(began + ANNOUNCED, reason);
        housekeeping::announce_shutdown(&self.server, reason);
        if !self.server.sessions.is_empty() {
            tokio::time::sleep_until(began + ANNOUNCED).await;
        }
        let mut engine = self.engine.lock().await;
        engine.stop_links();
        self.tasks.join_named("link ", Instant::now() + drivers::STOP_WITHIN + LINK_CLOSES).await;
        let links_done = Instant::now();
        if outputs::report(&self.server, &mut self.outputs) > 0 && !self.server.sessions.is_empty() {
            let at_most = Instant::now() + LAST_VALUES_AT_MOST;
            tokio::time::sleep(LAST_VALUES).await;
            while self.server.subscriptions.has_news(LAST_VALUES) && Instant::now() < at_most {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        // The last values of the devices go out before the publishers end.
        engine.stop_publishers();
        self.tasks.join_named(crate::publish::TASK, Instant::now() + PUBLISHERS_END).await;
        engine.end_publishers();
        self.stop.send_replace(true);
        self.tasks.join_named("client ", links_done + Duration::from_millis(500)).await;
        engine.save();
        let history = engine.take_history();
        self.tasks.abort_all().await;
        if let Some(history) = history {
            history.stop().await;
        }
        audit::stopped(&self.server, self.scribe, reason).await;
        logging::flush(true);
        drop(engine);
        drop((self.engine, self.reloader));
        drop(self.server);
        log::info!("stopped after {} ms", began.elapsed().as_millis());
        drop(self.threads);
    }
}
