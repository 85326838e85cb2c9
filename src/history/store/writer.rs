//! The one thread that commits: takes what waits, writes it to the journal in one transaction, and shows it to readers.
//!
//! After a write or sync that failed nothing is promised: what the journal holds is written to a new file, which is
//! read back, and only then do commits go on.

use std::sync::Arc;
use std::time::Duration;

use super::batch::{Content, encode_edit, encode_samples};
use super::files;
use super::journal::{self, Entry, Journal};
use super::queue::Taken;
use super::shared::Shared;
use super::trouble::sql_fault;
use crate::history::Fault;
use crate::value::UaTime;

/// How long the writer waits at most before it looks at the disk again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it waits for a flush before it looks again.
const MOMENT: Duration = Duration::from_millis(20);
/// Rows that are shown under one lock of the head, so that readers wait microseconds.
const AT_ONCE: usize = 2048;

pub(crate) struct Writer {
    shared: Arc<Shared>,
    journal: Option<Journal>,
    next_seq: u64,
    trimmed: u64,
    raw: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, journal: Journal, next_seq: u64) -> Writer {
        Writer { shared, journal: Some(journal), next_seq, trimmed: 0, raw: Vec::new() }
    }

    /// Runs until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        self.serve();
        self.shared.queue.end();
    }

    fn serve(&mut self) {
        loop {
            // Memory is full of samples that are on their way into blocks: that takes a moment.
            while self.shared.is_behind() && !self.shared.queue.is_closing() {
                self.shared.maintenance.wake();
                self.shared.queue.rest(MOMENT);
            }
            let taken = self.shared.queue.take(self.shared.bounds().commit, PATIENCE);
            let closing = self.shared.queue.is_closing();
            if let Some(reason) = self.hindrance() {
                self.shared.condition.stop(Some(reason));
                // The client that edits waits for a reply; dropping the sender tells it that the edit failed.
                drop(taken.edits);
                self.shared.queue.give_back(taken.batches);
                if closing {
                    return;
                }
                self.shared.queue.refuse_edits();
                self.shared.queue.rest(PATIENCE);
                continue;
            }
            self.shared.condition.stop(None);
            if taken.is_empty() {
                self.shared.queue.settle(taken.came);
                if closing {
                    return;
                }
            } else if !self.commit(taken) && closing {
                return;
            }
        }
    }

    /// Why nothing can be written now.
    fn hindrance(&mut self) -> Option<String> {
        if let Some(reason) = self.shared.room_needed() {
            return Some(reason);
        }
        if let Some(fault) = self.shared.flush_fault() {
            self.shared.maintenance.wake();
            return Some(fault);
        }
        if self.journal.is_none()
            && let Err(fault) = self.reopen()
        {
            return Some(fault.to_string());
        }
        None
    }

    /// Answers whether everything is on disk.
    fn commit(&mut self, mut taken: Taken) -> bool {
        let now = UaTime::now();
        self.shared.archives.refuse(&mut taken.batches, now);
        let plan = self.plan(&taken);
        let trim = self.shared.commits.in_blocks();
        let Some(journal) = self.journal.as_mut() else { return false };
        if let Err(error) = journal.write(now, &plan.entries, if trim > self.trimmed { trim } else { 0 }) {
            let fault = sql_fault(journal.path())(error);
            journal.distrust();
            self.journal = None;
            self.shared.condition.stop(Some(fault.to_string()));
            // The client that edits waits for a reply; dropping the sender tells it that the edit failed.
            drop(taken.edits);
            self.shared.queue.give_back(taken.batches);
            return false;
        }
        self.trimmed = trim;
        self.next_seq += plan.entries.len() as u64;
        self.shared.commits.note_time(now);
        self.show(taken, &plan.counts);
        true
    }

    /// Rows of the journal: samples, then edits; each has a number of its own.
    fn plan(&mut self, taken: &Taken) -> Plan {
        let mut plan = Plan { entries: Vec::new(), counts: Vec::new() };
        let mut seq = self.next_seq;
        for (batch, count) in encode_samples(taken.batches.iter().flatten(), &mut self.raw) {
            plan.entries.push(Entry { seq, content: Content::Samples, batch });
            plan.counts.push((seq, count));
            seq += 1;
        }
        for edit in &taken.edits {
            plan.entries.push(Entry { seq, content: Content::Edit, batch: encode_edit(&edit.record) });
            seq += 1;
        }
        plan
    }

    /// Shows the commit to readers, and answers waiting edits.
    fn show(&mut self, taken: Taken, counts: &[(u64, usize)]) {
        let mut rows = taken.batches.into_iter().flatten();
        for (seq, count) in counts {
            let mut left = *count;
            while left > 0 {
                let part = left.min(AT_ONCE);
                let mut heads = self.shared.heads.write();
                rows.by_ref().take(part).for_each(|row| {
                    heads.active.push(row.archive, row.sample, *seq);
                });
                left -= part;
            }
        }
        let mut seq = counts.last().map_or(self.shared.commits.visible(), |(seq, _)| *seq);
        let mut done = Vec::new();
        for edit in taken.edits {
            seq += 1;
            self.shared.heads.write().active.apply(&edit.record, seq);
            done.push((edit.done, seq));
        }
        self.shared.commits.show(seq);
        for (done, seq) in done {
            if done.send(seq).is_err() {
                log::debug!("nobody waited for edit {seq}");
            }
        }
        self.shared.queue.settle(taken.came);
        if self.shared.is_flush_due() {
            self.shared.maintenance.wake();
        }
    }

    /// Opens the journal again and shows readers what the disk holds.
    fn reopen(&mut self) -> Result<(), Fault> {
        files::renew(&self.shared.settings.path.join(journal::FILE))?;
        let (journal, replay) = self.shared.open_journal()?;
        self.next_seq = self.next_seq.max(replay.last + 1);
        self.shared.commits.show(replay.last);
        self.journal = Some(journal);
        Ok(())
    }
}

struct Plan {
    entries: Vec<Entry>,
    /// Number and rows of each entry that holds samples.
    counts: Vec<(u64, usize)>,
}
