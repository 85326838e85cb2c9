//! Reloads in turn: one at a time; a second request waits, and a third gets the answer of the second.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use parking_lot::Mutex as Plain;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use super::report::Answer;
use super::worker::Worker;
use super::{Engine, Prepared};
use crate::config::{self, Compiled, Named, Options, Shown};
use crate::control::{LastReload, ReloadReport, ReloadResult};
use crate::model::{ConnectionIx, count};
use crate::ua::world::World;
use crate::value::{UaTime, time_to_text};

/// Where the configuration of a server is, and the options that it was started with.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: PathBuf,
    pub options: Options,
}

/// Reloads a running server.
pub struct Reloader {
    engine: Arc<Mutex<Engine>>,
    worker: Worker,
    source: Option<Source>,
    /// The reload that ended last: the answer for requests that came before it began.
    done: Mutex<Option<Done>>,
    last: Plain<Option<LastReload>>,
    /// Keys of the server file that wait for a restart.
    waiting: Plain<Vec<String>>,
    /// Places for requests: one runs, the others wait.
    places: Semaphore,
    /// The files that were read last, and those that were looked for.
    named: watch::Sender<Arc<Named>>,
}

/// Outcome of a reload that new listings of devices want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MirrorReload {
    Done,
    /// The files have changed since they were read last: nobody has asked for what they say now.
    OtherFiles,
    Failed(String),
}

/// Below the number of requests that the control socket answers at a time.
const PLACES: usize = 4;

struct Done {
    began: Instant,
    answer: Answer,
}

/// Files that were read and checked.
struct Read {
    compiled: Option<Compiled>,
    findings: Value,
    text: String,
    named: Named,
}

impl Reloader {
    /// `named`: the files of the start.
    pub(crate) fn new(
        engine: Arc<Mutex<Engine>>,
        worker: Worker,
        source: Option<Source>,
        named: Named,
    ) -> Arc<Reloader> {
        let named = watch::Sender::new(Arc::new(named));
        let (done, last, waiting) = (Mutex::default(), Plain::default(), Plain::default());
        let places = Semaphore::new(PLACES);
        Arc::new(Reloader { engine, worker, source, done, last, waiting, places, named })
    }

    /// A place for a request. The control socket answers a few requests at a time: reloads leave some of them to others.
    fn wait(&self) -> Result<SemaphorePermit<'_>, String> {
        let place = self.places.try_acquire();
        place.map_err(|_| format!("{PLACES} reloads run or wait already; ask again when they are done"))
    }

    /// Wakes after each reload, also after one that was refused.
    pub(crate) fn named(&self) -> watch::Receiver<Arc<Named>> {
        self.named.subscribe()
    }

    /// No reload begins while this is held.
    pub(crate) async fn turn(&self) -> impl Drop + '_ {
        self.done.lock().await
    }

    /// The last reload, if there was one.
    pub(crate) fn last(&self) -> Option<LastReload> {
        self.last.lock().clone()
    }

    pub(crate) fn needs_restart(&self) -> Vec<String> {
        self.waiting.lock().clone()
    }

    pub(crate) fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Reads the files again and takes what they say. The error says why the files cannot be read at all.
    pub async fn reload(&self) -> Result<Answer, String> {
        let _waits = self.wait()?;
        let asked = Instant::now();
        let mut done = self.done.lock().await;
        if let Some(done) = done.as_ref().filter(|done| done.began > asked) {
            return Ok(done.answer.clone());
        }
        let began = Instant::now();
        let ran = self.run(false).await;
        // A reload that wakes the watching task has ended.
        self.named.send_modify(|_| {});
        let answer = ran?;
        self.note(&answer.report);
        *done = Some(Done { began, answer: answer.clone() });
        Ok(answer)
    }

    /// Reloads, and writes the answer to the log.
    pub(crate) async fn reload_and_log(&self) {
        match self.reload().await {
            Ok(answer) => {
                let level = match answer.report.result {
                    ReloadResult::Refused => log::Level::Error,
                    _ => log::Level::Info,
                };
                answer.text.lines().for_each(|line| log::log!(level, "reload: {line}"));
            }
            Err(error) => log::error!("reload: {error}"),
        }
    }

    /// The same as `reload` without changing anything.
    pub async fn dry_run(&self) -> Result<Answer, String> {
        let _waits = self.wait()?;
        let _turn = self.done.lock().await;
        self.run(true).await
    }

    /// Switches a connection on or off, as if its key `enabled` had changed.
    pub(crate) async fn switch(&self, connection: ConnectionIx, on: bool) -> StatusCode {
        let _turn = self.done.lock().await;
        let engine = Arc::clone(&self.engine).lock_owned().await;
        let ready = self.worker.run(move || make_switched(engine, connection, on)).await;
        match ready {
            Ok(Ok(None)) => StatusCode::Good,
            Ok(Ok(Some(Switching { engine, prepared, name }))) => match apply(engine, *prepared).await {
                Ok((_, before)) => {
                    log::info!("{name}: switched {} by a client", if on { "on" } else { "off" });
                    // Many nodes are freed: off the threads that serve clients.
                    drop(self.worker.run(move || drop(before)).await);
                    StatusCode::Good
                }
                Err(error) => failed(&error),
            },
            Ok(Err(status)) => status,
            Err(error) => failed(&error),
        }
    }

    /// Takes new nodes of mirrored devices, with the files as they were read last.
    pub(crate) async fn reload_mirrored(&self) -> MirrorReload {
        let _turn = self.done.lock().await;
        match self.take_mirrored().await {
            Ok(done) => done,
            Err(error) => MirrorReload::Failed(error),
        }
    }

    /// Does something while no reload runs.
    pub(crate) async fn undisturbed(&self, work: impl FnOnce()) {
        let _turn = self.done.lock().await;
        work();
    }

    async fn take_mirrored(&self) -> Result<MirrorReload, String> {
        let source = self.source.clone().ok_or("the server was started without files; restart it")?;
        let load = move || {
            let (compiled, report) = config::load(&source.path, &source.options);
            (compiled, report.named)
        };
        let (compiled, named) = self.worker.run(load).await?;
        if named != **self.named.borrow() {
            return Ok(MirrorReload::OtherFiles);
        }
        let compiled = compiled.ok_or("the files have errors, see `opcell check`")?;
        let engine = Arc::clone(&self.engine).lock_owned().await;
        let ready = self.worker.run(move || make_ready(engine, compiled, Value::Null, false)).await?;
        match ready {
            Ready::Answer(..) => Ok(MirrorReload::Done),
            Ready::Failed(_, error) => Err(error),
            Ready::Prepared(engine, prepared, report, _) => {
                let (apply_ms, before) = apply(engine, *prepared).await?;
                // Many nodes are freed: off the threads that serve clients.
                self.worker.run(move || drop(before)).await?;
                self.note(&ReloadReport { apply_ms, ..*report });
                Ok(MirrorReload::Done)
            }
        }
    }

    fn note(&self, report: &ReloadReport) {
        let at = time_to_text(UaTime::now());
        *self.last.lock() = Some(LastReload { result: report.result, at, revision: report.revision });
        if report.result != ReloadResult::Refused {
            self.waiting.lock().clone_from(&report.needs_restart);
        }
        let nodes = report.nodes;
        match report.result {
            ReloadResult::Applied => log::info!(
                "reload.applied: revision {}; {} changed, {} added, {} removed, in {} ms",
                report.revision,
                count(nodes.changed, "node"),
                nodes.added,
                nodes.removed,
                report.apply_ms
            ),
            ReloadResult::Unchanged => log::info!("reload.unchanged: revision {}", report.revision),
            ReloadResult::Refused => log::error!("reload.refused: revision {} stays in use", report.revision),
            ReloadResult::DryRun => {}
        }
    }

    async fn run(&self, is_dry: bool) -> Result<Answer, String> {
        let source = self.source.clone().ok_or("the server was started without files; restart it")?;
        let began = Instant::now();
        let read = move || {
            let (compiled, report) = config::load(&source.path, &source.options);
            let (findings, mut text) = (report.json(), report.render(Shown::Some));
            if compiled.is_none() {
                text.push_str(&format!("{}\n", report.summary()));
            }
            Read { compiled, findings, text, named: report.named }
        };
        let read = self.worker.run(read).await?;
        let engine = Arc::clone(&self.engine).lock_owned().await;
        let Read { compiled, findings, text, named } = read;
        if !is_dry {
            // The receivers are woken when the reload has ended.
            self.named.send_if_modified(|known| {
                *known = Arc::new(named);
                false
            });
        }
        let Some(compiled) = compiled else {
            return Ok(refused(&engine, text, findings, began.elapsed()));
        };
        let ready = self.worker.run(move || make_ready(engine, compiled, findings, is_dry)).await?;
        let check_ms = millis(began.elapsed());
        match ready {
            Ready::Answer(mut report, lines) => {
                report.check_ms = check_ms;
                let tail = if is_dry { "nothing was changed\n".to_owned() } else { unchanged_text(&report) };
                Ok(Answer { text: format!("{text}{lines}{tail}"), report: *report })
            }
            Ready::Failed(engine, error) => {
                let finding = serde_json::json!([{ "severity": "error", "message": error }]);
                Ok(refused(&engine, format!("error: {error}\n"), finding, began.elapsed()))
            }
            Ready::Prepared(engine, prepared, mut report, lines) => {
                let (apply_ms, before) = apply(engine, *prepared).await?;
                // Many nodes are freed: off the threads that serve clients.
                self.worker.run(move || drop(before)).await?;
                (report.check_ms, report.apply_ms) = (check_ms, apply_ms);
                let revision = report.revision;
                let tail = format!("revision {revision}, checked in {check_ms} ms, applied in {apply_ms} ms\n");
                Ok(Answer { text: format!("{text}{lines}{tail}"), report: *report })
            }
        }
    }
}

fn failed(error: &str) -> StatusCode {
    log::error!("a connection could not be switched: {error}");
    StatusCode::BadInternalError
}

/// A switched connection before the swap.
struct Switching {
    engine: OwnedMutexGuard<Engine>,
    prepared: Box<Prepared>,
    name: String,
}

/// `None`: the connection is so already.
fn make_switched(
    mut engine: OwnedMutexGuard<Engine>,
    connection: ConnectionIx,
    on: bool,
) -> Result<Option<Switching>, StatusCode> {
    if engine.is_stopped {
        return Err(StatusCode::BadShutdown);
    }
    let Some(examined) = engine.switched(connection, on)? else { return Ok(None) };
    let name = examined.connection_name(connection);
    match engine.prepare(examined) {
        Ok(prepared) => Ok(Some(Switching { engine, prepared: Box::new(prepared), name })),
        Err(error) => Err(failed(&error.to_string())),
    }
}

/// A reload before its swap.
enum Ready {
    /// There is nothing to swap: the answer, and its lines.
    Answer(Box<ReloadReport>, String),
    Failed(OwnedMutexGuard<Engine>, String),
    Prepared(OwnedMutexGuard<Engine>, Box<Prepared>, Box<ReloadReport>, String),
}

fn make_ready(mut engine: OwnedMutexGuard<Engine>, compiled: Compiled, findings: Value, is_dry: bool) -> Ready {
    if engine.is_stopped {
        return Ready::Failed(engine, "the server stops".to_owned());
    }
    let examined = engine.examine(compiled);
    let world = Arc::clone(&engine.server.world());
    let told = examined.told(&world.plant);
    let (result, revision) = match (is_dry, examined.is_unchanged()) {
        (true, _) => (ReloadResult::DryRun, world.revision()),
        (false, true) => (ReloadResult::Unchanged, world.revision()),
        (false, false) => (ReloadResult::Applied, world.revision() + 1),
    };
    let (report, lines) = (Box::new(told.report(result, revision, findings)), told.lines());
    if result != ReloadResult::Applied {
        return Ready::Answer(report, lines);
    }
    match engine.prepare(examined) {
        Ok(prepared) => Ready::Prepared(engine, Box::new(prepared), report, lines),
        Err(error) => Ready::Failed(engine, error.to_string()),
    }
}

/// Applies a prepared revision off the threads that serve clients, and not in the worker: a thread that holds the lock of a
/// slot must not wait for the processor. Returns the milliseconds that it took, and the world before.
async fn apply(mut engine: OwnedMutexGuard<Engine>, prepared: Prepared) -> Result<(u64, Arc<World>), String> {
    let done = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let before = engine.apply(prepared);
        (millis(began.elapsed()), before)
    });
    done.await.map_err(|error| error.to_string())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn unchanged_text(report: &ReloadReport) -> String {
    format!("unchanged: revision {} stays in use, checked in {} ms\n", report.revision, report.check_ms)
}

fn refused(engine: &Engine, text: String, findings: Value, took: Duration) -> Answer {
    let revision = engine.server.world().revision();
    let report = ReloadReport {
        result: ReloadResult::Refused,
        revision,
        check_ms: millis(took),
        apply_ms: 0,
        nodes: Default::default(),
        connections: Default::default(),
        changes: Vec::new(),
        left_off: 0,
        needs_restart: Vec::new(),
        findings,
    };
    Answer { report, text: format!("{text}refused: revision {revision} stays in use\n") }
}
