//! The audit trail: each act is a line in the log and a record in files that show later changes to them.
//!
//! ```text
//! server.audit ──► Queue (bounded) ──► one thread ──┬─► log line
//!                                                   ├─► STATE_DIR/audit/audit-000001.jsonl, synced a batch
//!                                                   │   └─► STATE_DIR/audit.head, signed with audit.key
//!                                                   └─► STATE_DIR/audit/writes-000001.jsonl, audit-writes.head
//! ```
//! Each line holds the SHA-256 of the hash before it and its own text; the head holds the last of them under an HMAC.
//! Full queue: further records are counted in `audit.lost`. Writes have a chain of their own, and cannot take the room in
//! the queue or on the disk that security needs.

mod budget;
mod change;
mod evidence;
mod head;
mod limit;
mod line;
mod queue;
mod record;
mod recover;
mod show;
mod text;
mod track;
mod trail;
mod verify;
mod walk;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};

pub(crate) use change::Prepared;
pub use record::{Content, Kind, Names, Node, Record, Who, Write, Writes};
pub use show::{Filter, show};
pub(crate) use text::value_text;
pub(crate) use verify::{Finding, Kept};
pub use verify::{Verdict, verify};
pub use walk::Fault;

use crate::model::AuditPlan;
use change::{Change, bounds};
use limit::Limiter;
use queue::{Item, Lost, Queue};
use recover::Opened;
use trail::Trail;
use writer::Writer;

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} can be read by others (mode {mode:03o}), who could forge the audit; run: chmod 600 {}",
        path.display(), path.display()
    )]
    OpenKey { path: PathBuf, mode: u32 },
    #[error("{} is not a key of 32 bytes; restore it from a backup, or move it away to begin with a new one", path.display())]
    DamagedKey { path: PathBuf },
    #[error("there is no audit in {}; a server with `audit: {{ file: true }}` makes it", path.display())]
    None { path: PathBuf },
    #[error("{} has no number left for a file; move it away", path.display())]
    Full { path: PathBuf },
    #[error("`{text}` is no time; write 2026-11-21T10:00:00Z, or 8h for 8 hours ago")]
    Time { text: String },
    #[error("the audit is still busy with the change before; reload again in a moment")]
    Busy,
    #[error("cannot start the audit's thread: {0}")]
    Thread(io::Error),
}

impl AuditError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> AuditError {
        move |source| AuditError::Io { path: path.to_owned(), source }
    }
}

/// Where records go. Clones share it; one that is off takes nothing.
#[derive(Debug, Clone)]
pub struct Audit {
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    /// Settings by which records are taken.
    plan: ArcSwap<AuditPlan>,
    state: Mutex<State>,
    /// Wakes the thread.
    wake: Condvar,
    /// Wakes the next change: the thread has done the one before.
    done: Condvar,
    limiter: Mutex<Limiter>,
    /// Why nothing is written to the files just now.
    trouble: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    change: Option<Change>,
    is_closed: bool,
}

/// The thread of an `Audit`. When it is dropped, it writes the waiting records and ends.
#[derive(Debug)]
pub struct Scribe {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Audit {
    pub fn off() -> Audit {
        Audit { shared: None }
    }

    /// Opens the files and starts the thread, which runs without files and log too: a change may bring them.
    pub fn start(plan: &AuditPlan, state_dir: &Path) -> Result<(Audit, Option<Scribe>), AuditError> {
        let opened = match plan.file {
            true => Trail::open(state_dir, bounds(plan))?.into_iter().collect(),
            false => Vec::new(),
        };
        let shared = Arc::new(Shared {
            plan: ArcSwap::from_pointee(plan.clone()),
            state: Mutex::default(),
            wake: Condvar::new(),
            done: Condvar::new(),
            limiter: Mutex::default(),
            trouble: Mutex::default(),
        });
        let audit = Audit { shared: Some(Arc::clone(&shared)) };
        let mut trails = Vec::new();
        for Opened { trail, told } in opened {
            told.into_iter().for_each(|record| audit.tell(record));
            trails.push(trail);
        }
        let writer = Writer::new(Arc::clone(&shared), trails);
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run());
        let scribe = Scribe { shared, thread: Some(thread.map_err(AuditError::Thread)?) };
        Ok((audit, Some(scribe)))
    }

    pub fn is_on(&self) -> bool {
        self.shared_if_on().is_some()
    }

    fn shared_if_on(&self) -> Option<&Arc<Shared>> {
        self.shared.as_ref().filter(|shared| shared.plan.load().is_on())
    }

    /// Whether writes of clients are recorded.
    pub fn keeps_writes(&self) -> bool {
        self.shared_if_on().is_some_and(|shared| shared.plan.load().writes)
    }

    /// Rules on a record that a client may cause at any rate: `None` when it is only counted, else what is to be written
    /// before it.
    pub fn admit(&self, record: &Record, now: Instant) -> Option<Vec<Record>> {
        self.shared_if_on()?.limiter.lock().admit(record, now)
    }

    /// The records of what was only counted; to be asked each second, and in the end with `is_last`.
    pub fn take_folded(&self, now: Instant, is_last: bool) -> Vec<Record> {
        self.shared_if_on().map_or_else(Vec::new, |shared| shared.limiter.lock().take_folded(now, is_last))
    }

    pub fn tell(&self, record: Record) {
        self.push(Item::Record(Box::new(record)));
    }

    pub fn tell_writes(&self, writes: Writes) {
        if self.keeps_writes() && !writes.writes.is_empty() {
            self.push(Item::Writes(Box::new(writes)));
        }
    }

    fn push(&self, item: Item) {
        let Some(shared) = self.shared_if_on() else { return };
        let (before, now) = {
            let mut state = shared.state.lock();
            let before = state.queue.size().records;
            state.queue.push(item);
            (before, state.queue.size().records)
        };
        // While it gathers what comes, it is woken only for a whole batch.
        if before == 0 || before < queue::BATCH && now >= queue::BATCH {
            shared.wake.notify_one();
        }
    }

    /// Why nothing is written to the files just now.
    pub fn trouble(&self) -> Option<String> {
        self.shared.as_ref()?.trouble.lock().clone()
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.shared.state.lock().is_closed = true;
        self.shared.wake.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the audit's thread panicked; its last records are lost");
        }
    }
}

/// A record that counts the records that found no room.
fn lost(lost: Lost) -> Record {
    let message = format!("{} writes and {} other records were lost: there was no room", lost.writes, lost.others);
    Record::new(Kind::AuditLost, opcua::StatusCode::BadDataLost, Who::default()).with(message)
}

/// Two lines and a head, for the fuzzer to begin with.
pub fn fuzz_seeds() -> Vec<Vec<u8>> {
    let mut lines = String::new();
    let who = Who { user: "opal".to_owned(), session: 7, ..Who::default() };
    let record = Record::new(Kind::SessionActivated, opcua::StatusCode::Good, who).with("a \"quoted\"\nword");
    let first = line::push_chained(&mut lines, 1, &line::BEGINNING, &record);
    line::push_chained(&mut lines, 2, &first, &record);
    let head = head::Head::new().signed(&crate::stack::crypto::MacKey::new(b"fuzz"));
    vec![lines.into_bytes(), head]
}

/// Feeds any bytes to what reads lines and heads, and a line of any texts through the writer and back.
pub fn fuzz(bytes: &[u8]) {
    let key = crate::stack::crypto::MacKey::new(b"fuzz");
    drop(head::Head::parse(bytes, &key));
    for part in bytes.split(|byte| *byte == b'\n') {
        if let Some(line) = line::Line::parse(part) {
            line.follows(&line::BEGINNING);
        }
        drop(show::Shown::parse(part));
    }
    let text = String::from_utf8_lossy(bytes);
    let who = Who { user: text.clone().into_owned(), application: text.clone().into_owned(), ..Who::default() };
    let record = Record { node: text.clone().into_owned(), ..Record::new(Kind::Write, opcua::StatusCode::Good, who) };
    let record = record.with(text.into_owned());
    let mut out = String::new();
    line::push_chained(&mut out, 1, &line::BEGINNING, &record);
    let whole = out.strip_suffix('\n').expect("a line ends");
    assert!(!whole.contains(char::is_control), "{whole:?}");
    assert!(!line::text(&record).contains(char::is_control));
    let line = line::Line::parse(whole.as_bytes()).expect("what is written is read");
    assert!(line.follows(&line::BEGINNING));
    let shown = show::Shown::parse(whole.as_bytes()).expect("what is written is read");
    assert_eq!(shown.field("user").unwrap_or_default(), text::bounded(&record.who.user));
}
