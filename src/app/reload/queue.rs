//! Reloads in turn: one at a time; a second request waits, and a third gets the answer of the second.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex as Plain;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::report::Answer;
use super::{Engine, Prepared};
use crate::config::{self, Compiled, Options, Report, Shown};
use crate::control::{LastReload, ReloadReport, ReloadResult};
use crate::history::export;
use crate::model::count;
use crate::value::UaTime;

/// Where the configuration of a server is, and the options that it was started with.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: PathBuf,
    pub options: Options,
}

/// Reloads a running server.
pub struct Reloader {
    engine: Arc<Mutex<Engine>>,
    source: Option<Source>,
    /// The reload that ended last, for those who asked before it began.
    done: Mutex<Option<Done>>,
    last: Plain<Option<LastReload>>,
    /// Keys of the server file that wait for a restart.
    waiting: Plain<Vec<String>>,
}

struct Done {
    began: Instant,
    answer: Answer,
}

/// Files that were read and checked.
struct Read {
    compiled: Option<Compiled>,
    report: Report,
}

impl Reloader {
    pub(crate) fn new(engine: Arc<Mutex<Engine>>, source: Option<Source>) -> Arc<Reloader> {
        Arc::new(Reloader { engine, source, done: Mutex::default(), last: Plain::default(), waiting: Plain::default() })
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
        let asked = Instant::now();
        let mut done = self.done.lock().await;
        if let Some(done) = done.as_ref().filter(|done| done.began > asked) {
            return Ok(done.answer.clone());
        }
        let began = Instant::now();
        let answer = self.run(false).await?;
        self.note(&answer.report);
        *done = Some(Done { began, answer: answer.clone() });
        Ok(answer)
    }

    /// Reloads for one who is not there to hear the answer: the log has it.
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
        let _turn = self.done.lock().await;
        self.run(true).await
    }

    fn note(&self, report: &ReloadReport) {
        let at = export::time_to_text(UaTime::now());
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
        let read = quietly(move || {
            let (compiled, report) = config::load(&source.path, &source.options);
            Read { compiled, report }
        })
        .await?;
        let engine = Arc::clone(&self.engine).lock_owned().await;
        let findings = read.report.json();
        let mut shown = read.report.render(Shown::Some);
        let Some(compiled) = read.compiled else {
            shown.push_str(&format!("{}\n", read.report.summary()));
            return Ok(refused(&engine, shown, findings, began.elapsed()));
        };
        let examine = quietly(move || {
            let examined = engine.examine(compiled);
            (engine, examined)
        });
        let (engine, examined) = examine.await?;
        let world = Arc::clone(&engine.server.world());
        let revision = world.revision();
        if is_dry || examined.is_unchanged() {
            let result = if is_dry { ReloadResult::DryRun } else { ReloadResult::Unchanged };
            let told = examined.told(&world.plant);
            let mut report = told.report(result, revision, findings);
            report.check_ms = millis(began.elapsed());
            let tail = if is_dry { "nothing was changed\n".to_owned() } else { unchanged_text(&report) };
            return Ok(Answer { text: format!("{shown}{}{tail}", told.lines()), report });
        }
        let prepared = quietly(move || {
            let mut engine = engine;
            let prepared = engine.prepare(examined);
            (engine, prepared)
        });
        let (engine, prepared) = prepared.await?;
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                let finding = serde_json::json!([{ "severity": "error", "message": error.to_string() }]);
                return Ok(refused(&engine, format!("error: {error}\n"), finding, began.elapsed()));
            }
        };
        let check_ms = millis(began.elapsed());
        let told = prepared.told(&world.plant);
        let (mut report, lines) = (told.report(ReloadResult::Applied, revision + 1, findings), told.lines());
        let apply_ms = apply(engine, prepared).await?;
        (report.check_ms, report.apply_ms) = (check_ms, apply_ms);
        let tail = format!("revision {}, checked in {check_ms} ms, applied in {apply_ms} ms\n", report.revision);
        Ok(Answer { text: format!("{shown}{lines}{tail}"), report })
    }
}

/// Applies a prepared revision off the threads that serve clients; returns the milliseconds that it took.
async fn apply(mut engine: OwnedMutexGuard<Engine>, prepared: Prepared) -> Result<u64, String> {
    let done = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        engine.apply(prepared);
        millis(began.elapsed())
    });
    done.await.map_err(|error| error.to_string())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn unchanged_text(report: &ReloadReport) -> String {
    format!("unchanged: revision {} stays in use, checked in {} ms\n", report.revision, report.check_ms)
}

fn refused(engine: &Engine, text: String, findings: serde_json::Value, took: Duration) -> Answer {
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

/// Work in a thread of its own with low priority.
async fn quietly<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (send, receive) = tokio::sync::oneshot::channel();
    let run = move || {
        // On Linux this is the niceness of the thread. At worst the work competes with all others.
        if let Err(error) = rustix::process::nice(10) {
            log::debug!("a reload has the priority of all other work: {error}");
        }
        drop(send.send(work()));
    };
    std::thread::Builder::new().name("reload".into()).spawn(run).map_err(|error| error.to_string())?;
    receive.await.map_err(|_| "the reload ended unexpectedly; nothing was changed".to_owned())
}
