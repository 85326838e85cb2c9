//! Rows on their way to the group commit. Bounded: the oldest give way, are counted, and the next sample of their tag
//! says so.

use std::collections::{HashSet, VecDeque};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use opcua::StatusCode;
use parking_lot::{Condvar, Mutex};

use super::batch::EditRecord;
use crate::history::{ArchiveId, Row};

/// InfoType DataValue with the Overflow bit (Part 4 §7.39.1, 1.05).
const OVERFLOW: u32 = 0x0480;
/// Rows that make a commit due at once: about 1 MiB in the journal.
const COMMIT_ROWS: usize = 65_536;

/// An edit that waits for its commit; its sender hears the commit's number once it is on disk, and nothing otherwise.
pub(crate) struct PendingEdit {
    pub record: EditRecord,
    pub done: Sender<u64>,
}

#[derive(Default)]
struct Pending {
    batches: VecDeque<Vec<Row>>,
    rows: usize,
    since: Option<Instant>,
    edits: Vec<PendingEdit>,
    dropped: u64,
    overflowed: HashSet<ArchiveId>,
    /// Batches and edits that ever came, and those that are settled.
    came: u64,
    settled: u64,
    is_wanted: bool,
    is_closing: bool,
    has_ended: bool,
    failures: u64,
}

pub(crate) struct Queue {
    most: usize,
    pending: Mutex<Pending>,
    due: Condvar,
    settled: Condvar,
}

/// The samples and edits of one commit.
pub(crate) struct Taken {
    pub batches: VecDeque<Vec<Row>>,
    pub edits: Vec<PendingEdit>,
    /// Everything that came up to here is in this commit or an earlier one.
    pub came: u64,
}

impl Taken {
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.edits.is_empty()
    }
}

impl Queue {
    pub(crate) fn new(most: usize) -> Queue {
        Queue { most, pending: Mutex::default(), due: Condvar::new(), settled: Condvar::new() }
    }

    pub(crate) fn append(&self, rows: &mut Vec<Row>) {
        if rows.is_empty() {
            return;
        }
        let rows = std::mem::take(rows);
        let mut pending = self.pending.lock();
        if pending.is_closing {
            pending.dropped += rows.len() as u64;
            return;
        }
        pending.rows += rows.len();
        pending.came += 1;
        pending.batches.push_back(rows);
        let was_waiting = pending.since.is_some();
        pending.since.get_or_insert_with(Instant::now);
        pending.shed(self.most);
        if !was_waiting || pending.rows >= COMMIT_ROWS {
            self.due.notify_one();
        }
    }

    /// An edit is due at once.
    pub(crate) fn edit(&self, edit: PendingEdit) {
        let mut pending = self.pending.lock();
        if pending.is_closing {
            return;
        }
        pending.edits.push(edit);
        pending.came += 1;
        self.due.notify_one();
    }

    /// Waits until all that came before is settled; false when a commit fails meanwhile or has failed for good.
    pub(crate) fn commit(&self) -> bool {
        let mut pending = self.pending.lock();
        let (goal, failures) = (pending.came, pending.failures);
        pending.is_wanted |= pending.settled < goal;
        self.due.notify_one();
        while pending.settled < goal && pending.failures == failures && !pending.has_ended {
            self.settled.wait(&mut pending);
        }
        pending.settled >= goal
    }

    /// Waits until a commit is due, at most `patience`; then takes everything.
    pub(crate) fn take(&self, commit: Duration, patience: Duration) -> Taken {
        let until = Instant::now() + patience;
        let mut pending = self.pending.lock();
        while !pending.is_due(commit) {
            let due = pending.since.map_or(until, |since| (since + commit).min(until));
            if self.due.wait_until(&mut pending, due).timed_out() && Instant::now() >= until {
                break;
            }
        }
        if !pending.is_due(commit) {
            return Taken { batches: VecDeque::new(), edits: Vec::new(), came: pending.settled };
        }
        pending.rows = 0;
        pending.since = None;
        pending.is_wanted = false;
        let mut batches = std::mem::take(&mut pending.batches);
        pending.mark_overflow(&mut batches);
        Taken { batches, edits: std::mem::take(&mut pending.edits), came: pending.came }
    }

    /// Tells that everything up to `came` is on disk.
    pub(crate) fn settle(&self, came: u64) {
        let mut pending = self.pending.lock();
        pending.settled = pending.settled.max(came);
        self.settled.notify_all();
    }

    /// Puts samples back that could not be written; they are the oldest, and the first to give way.
    pub(crate) fn give_back(&self, mut batches: VecDeque<Vec<Row>>) {
        let mut pending = self.pending.lock();
        batches.append(&mut pending.batches);
        pending.rows = batches.iter().map(Vec::len).sum();
        pending.batches = batches;
        if pending.rows > 0 {
            pending.since.get_or_insert_with(Instant::now);
        }
        pending.shed(self.most);
        pending.failures += 1;
        self.settled.notify_all();
    }

    /// Waits for a while, or until the queue is closed.
    pub(crate) fn rest(&self, patience: Duration) {
        let mut pending = self.pending.lock();
        if !pending.is_closing {
            self.due.wait_for(&mut pending, patience);
        }
    }

    /// Lets the edits that wait know that nothing can be written: their senders go.
    pub(crate) fn refuse_edits(&self) {
        self.pending.lock().edits.clear();
    }

    /// From now on rows are dropped; what waits is still taken.
    pub(crate) fn close(&self) {
        let mut pending = self.pending.lock();
        pending.is_closing = true;
        pending.is_wanted = true;
        self.due.notify_one();
    }

    /// Nobody takes anything any more.
    pub(crate) fn end(&self) {
        let mut pending = self.pending.lock();
        pending.has_ended = true;
        pending.edits.clear();
        self.settled.notify_all();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.pending.lock().is_closing
    }

    /// Rows that wait, and rows that were dropped.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let pending = self.pending.lock();
        (pending.rows as u64, pending.dropped)
    }
}

impl Pending {
    fn is_due(&self, commit: Duration) -> bool {
        self.is_closing
            || !self.edits.is_empty()
            || self.is_wanted
            || self.rows >= COMMIT_ROWS
            || self.since.is_some_and(|since| since.elapsed() >= commit)
    }

    /// Drops the oldest rows until no more than `most` wait.
    fn shed(&mut self, most: usize) {
        while self.rows > most {
            let Some(oldest) = self.batches.front_mut() else { return };
            let count = (self.rows - most).min(oldest.len());
            self.overflowed.extend(oldest.drain(..count).map(|row| row.archive));
            if oldest.is_empty() {
                self.batches.pop_front();
            }
            self.rows -= count;
            self.dropped += count as u64;
        }
    }

    fn mark_overflow(&mut self, batches: &mut VecDeque<Vec<Row>>) {
        if self.overflowed.is_empty() {
            return;
        }
        for row in batches.iter_mut().flatten() {
            if self.overflowed.remove(&row.archive) {
                row.sample.status = StatusCode::from(row.sample.status.bits() | OVERFLOW);
            }
        }
    }
}
