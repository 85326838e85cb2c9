//! The condition of a store: damage that was found, and why nothing is recorded at the moment. Changes are logged.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::logging;

/// Damaged blocks that are remembered one by one.
const MOST_REPORTED: usize = 100_000;

#[derive(Default)]
pub(crate) struct Condition {
    damaged: AtomicU64,
    /// Damage that was logged, by file and block.
    reported: Mutex<HashSet<(PathBuf, i64)>>,
    /// Why nothing is recorded.
    stopped: Mutex<Option<String>>,
    /// Why the last flush failed.
    flush_fault: Mutex<Option<String>>,
}

impl Condition {
    /// Logs and counts damage, once for each block; `block` is -1 for a whole file.
    pub(crate) fn note_damage(&self, path: &Path, block: i64, what: &str) {
        let mut reported = self.reported.lock();
        if reported.len() < MOST_REPORTED && reported.insert((path.to_owned(), block)) {
            self.count_damage(1);
            log::error!("{}: block {block:#x}: {what}; it reads as BadDataLost", path.display());
        }
    }

    pub(crate) fn count_damage(&self, pieces: usize) {
        self.damaged.fetch_add(pieces as u64, Ordering::Relaxed);
    }

    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Sets why nothing is recorded, or that recording works again.
    pub(crate) fn stop(&self, reason: Option<String>) {
        let mut stopped = self.stopped.lock();
        match (&*stopped, &reason) {
            (None, Some(reason)) => {
                let line = format_args!("history is not recorded: {reason}");
                logging::limited(log::Level::Error, "history stopped", None, line);
            }
            (Some(_), None) => {
                let line = format_args!("history is recorded again");
                logging::limited(log::Level::Info, "history recorded", None, line);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        *stopped = reason;
    }

    pub(crate) fn stopped(&self) -> Option<String> {
        self.stopped.lock().clone()
    }

    /// Notes how the last flush ended.
    pub(crate) fn note_flush(&self, fault: Option<String>) {
        let mut known = self.flush_fault.lock();
        match (&*known, &fault) {
            (before, Some(fault)) if before.as_ref() != Some(fault) => {
                let line = format_args!("{fault}; its samples stay in the journal");
                logging::limited(log::Level::Error, "history not flushed", None, line);
            }
            (Some(_), None) => {
                let line = format_args!("history is written into blocks again");
                logging::limited(log::Level::Info, "history flushed", None, line);
            }
            (Some(_) | None, _) => {}
        }
        *known = fault;
    }

    pub(crate) fn flush_fault(&self) -> Option<String> {
        self.flush_fault.lock().clone()
    }
}
