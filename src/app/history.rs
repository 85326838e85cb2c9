//! The history while the server runs: opened before the tags are watched, closed after the last link.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::{Instant, MissedTickBehavior};

use crate::control::HistoryStatus;
use crate::history::export::{self, Imported};
use crate::history::store::{OnFull, Partition, Settings, Store};
use crate::history::{Archives, Direction, Fault, Gather, Historian, SWEEP, Span, Stats};
use crate::logging;
use crate::model::{HistoryPartition, HistoryPlan, Plant, ServerPlan};
use crate::tags::TagStore;
use crate::ua::events::{Fields, kinds};
use crate::ua::server::{OwnEvent, Server};
use crate::ua::space::Field;
use crate::value::{UaTime, Value};

/// Time between two transfers of collected samples to the store; far below the time between group commits.
const HAND_OVER: Duration = Duration::from_millis(50);

/// A file in the store's folder that exists while the store is closed after an orderly stop.
const CLOSED: &str = "closed";

/// Recording that stops is as urgent as a lost device.
const SEVERITY_STOPPED: u16 = 700;
const SEVERITY_BACK: u16 = 100;

/// Ends the archives where a server crashed, before another program changes its store: the next start would take that
/// change for the last thing that the server did.
pub(crate) fn finish(store: &Store) -> Result<(), Fault> {
    let closed = store.folder().join(CLOSED);
    let Some(last) = store.last_commit().filter(|_| !closed.exists()) else { return Ok(()) };
    let mut open = Vec::new();
    for (archive, _) in store.archives() {
        let newest = store.page(archive, Span::ALL, Direction::Backward, 1, None)?;
        if newest.samples.first().is_some_and(|sample| sample.status != StatusCode::BadDataLost) {
            open.push(archive);
        }
    }
    Gather::mark_lost(store, open.into_iter(), last);
    store.commit()?;
    if let Err(error) = std::fs::write(&closed, "") {
        log::warn!("{}: {error}; the next start marks this time as lost again", closed.display());
    }
    Ok(())
}

/// The store of a server that has tags with history.
pub(crate) struct History {
    store: Arc<Store>,
    gather: Option<Arc<Gather>>,
    closed: PathBuf,
    /// The last commit of a run that did not stop in order.
    crashed: Option<UaTime>,
}

/// The folder of the store.
pub(crate) fn folder(plan: &HistoryPlan, state_dir: &Path) -> PathBuf {
    plan.path.clone().unwrap_or_else(|| state_dir.join("history"))
}

pub(crate) fn settings(plan: &HistoryPlan, state_dir: &Path) -> Settings {
    let partition = plan.partition.map(|partition| match partition {
        HistoryPartition::Day => Partition::Day,
        HistoryPartition::Month => Partition::Month,
    });
    Settings {
        commit: plan.commit,
        min_free: plan.min_free,
        max_size: plan.max_size,
        on_full: if plan.drop_oldest { OnFull::DropOldest } else { OnFull::Stop },
        partition,
        ..Settings::new(folder(plan, state_dir))
    }
}

/// Effect of `History::record`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recording {
    /// Nothing was recorded before: `History::run` is to be started.
    Begun,
    Changed,
}

impl History {
    /// Opens the store; nothing is recorded yet.
    pub(crate) fn open(plan: &ServerPlan) -> Result<History, Fault> {
        let settings = settings(&plan.history, &plan.state_dir);
        let closed = settings.path.join(CLOSED);
        let store = Store::open(settings)?;
        let was_closed = std::fs::remove_file(&closed).is_ok();
        let crashed = store.last_commit().filter(|_| !was_closed);
        if crashed.is_some() {
            log::warn!("the last run of the server did not stop in order: history since its end is marked as lost");
        }
        Ok(History { store, gather: None, closed, crashed })
    }

    /// Takes the settings of the server file that do not need a restart.
    pub(crate) fn take(&self, plan: &ServerPlan) {
        self.store.take(settings(&plan.history, &plan.state_dir).bounds());
    }

    /// The archives of the tags of a plant; new ones are made, and classes that changed are noted.
    pub(crate) fn archives(&self, plant: &Plant) -> Result<Arc<Archives>, Fault> {
        Archives::open(Arc::clone(&self.store) as Arc<dyn Historian>, plant).map(Arc::new)
    }

    pub(crate) fn is_recording(&self) -> bool {
        self.gather.is_some()
    }

    /// Ends the recording of tags that get another archive, or none.
    pub(crate) fn end_others(&self, archives: &Archives, now: UaTime) {
        if let Some(gather) = &self.gather {
            gather.end_others(archives, now);
        }
    }

    /// Records the tags of this plant from now on, and no others.
    pub(crate) fn record(
        &mut self,
        archives: &Archives,
        plant: &Plant,
        tags: &Arc<TagStore>,
        now: UaTime,
    ) -> Recording {
        if let Some(last) = self.crashed.take() {
            Gather::mark_lost(&*self.store, archives.tags().map(|(_, archive)| archive), last);
        }
        if let Some(gather) = &self.gather {
            gather.apply(archives, plant, now);
            return Recording::Changed;
        }
        self.gather = Some(Gather::start(archives, plant, tags, now));
        Recording::Begun
    }

    /// HistoryAdmin over, looks after silent tags, and reports when recording stops and resumes.
    pub(crate) fn run(&self, server: &Arc<Server>) -> impl Future<Output = ()> + Send + 'static {
        let (store, server) = (Arc::clone(&self.store), Arc::clone(server));
        let gather = self.gather.clone();
        async move {
            let Some(gather) = gather else { return };
            let mut tick = tokio::time::interval(HAND_OVER);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut swept = Instant::now();
            let mut stopped: Option<String> = None;
            let mut dropped = 0;
            loop {
                let now = tick.tick().await;
                if now - swept < SWEEP {
                    gather.hand_over();
                    continue;
                }
                swept = now;
                gather.sweep(UaTime::now());
                let stats = store.stats();
                if stats.stopped != stopped {
                    tell(&server, stats.stopped.as_deref());
                    stopped = stats.stopped;
                }
                if stats.dropped > dropped {
                    let lost = stats.dropped - dropped;
                    let line = format_args!("history: {lost} samples were lost, the disk is too slow");
                    logging::limited(log::Level::Error, "samples lost", None, line);
                    dropped = stats.dropped;
                }
            }
        }
    }

    /// Ends every archive and closes the store; everything is on disk then.
    pub(crate) async fn stop(self) {
        let done = tokio::task::spawn_blocking(move || {
            if let Some(gather) = &self.gather {
                gather.stop(UaTime::now());
            }
            // What could not be written is not closed in order: the next start marks where the recording ended.
            let is_whole = self.store.commit().map_err(|fault| log::error!("{fault}")).is_ok();
            self.store.close();
            if is_whole && let Err(error) = std::fs::write(&self.closed, "") {
                log::warn!("{}: {error}; the next start will treat this stop as a crash", self.closed.display());
            }
        });
        if let Err(error) = done.await {
            log::error!("the history could not be closed: {error}");
        }
    }

    /// Work on the live store that the command line may ask for.
    pub(crate) fn admin(&self) -> HistoryAdmin {
        HistoryAdmin { store: Arc::clone(&self.store) }
    }
}

/// Reports to clients that listen for events; the store itself has logged it.
fn tell(server: &Server, stopped: Option<&str>) {
    let (message, severity) = match stopped {
        Some(why) => (format!("History is not recorded: {why}"), SEVERITY_STOPPED),
        None => ("History is recorded again".to_owned(), SEVERITY_BACK),
    };
    let fields = Fields::default().with(Field::SystemState, Value::Int32(server.status.state()));
    server.raise_own(OwnEvent { kind: kinds::SYSTEM_STATUS_CHANGE, message, severity, fields, per_viewer: None });
}

/// A live store, as the control socket needs it.
#[derive(Clone)]
pub(crate) struct HistoryAdmin {
    store: Arc<Store>,
}

impl HistoryAdmin {
    /// Inserts the rows of a CSV file.
    pub(crate) async fn import(self, file: PathBuf) -> Result<String, String> {
        let done = tokio::task::spawn_blocking(move || {
            let input =
                std::fs::File::open(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            let known = self.store.archives();
            let imported = export::import_csv(&*self.store, &known, std::io::BufReader::new(input));
            imported.map(imported_text).map_err(|error| format!("{}: {error}", file.display()))
        });
        done.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    pub(crate) async fn compact(self) -> Result<String, String> {
        let done = tokio::task::spawn_blocking(move || {
            let before = self.store.stats().bytes_on_disk;
            self.store.compact().map_err(|error| error.to_string())?;
            Ok(compacted_text(before, self.store.stats().bytes_on_disk))
        });
        done.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    pub(crate) fn status(&self) -> HistoryStatus {
        status_of(&self.store.stats())
    }
}

pub(crate) fn imported_text(imported: Imported) -> String {
    let Imported { inserted, present, refused } = imported;
    let (were, are) = (if present == 1 { "was" } else { "were" }, if refused == 1 { "is" } else { "are" });
    let inserted = crate::model::count(inserted, "sample");
    format!("{inserted} inserted, {present} {were} there already, {refused} {are} older than is kept")
}

pub(crate) fn compacted_text(before: u64, after: u64) -> String {
    format!("{} before, {after} after", crate::model::count(before, "byte"))
}

pub(crate) fn status_of(stats: &Stats) -> HistoryStatus {
    HistoryStatus {
        archives: stats.archives,
        samples: stats.samples,
        bytes: stats.bytes_on_disk,
        partitions: stats.partitions,
        oldest: stats.oldest.map(UaTime::unix_seconds),
        newest: stats.newest.map(UaTime::unix_seconds),
        queued: stats.queued,
        dropped: stats.dropped,
        too_old: stats.too_old,
        damaged_blocks: stats.damaged_blocks,
        stopped: stats.stopped.clone(),
    }
}
