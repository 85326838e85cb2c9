//! One chain on its way to the disk: the records that wait for it, batches, and what happens when the disk refuses.
//!
//! While the disk refuses, records are held in bounded memory and the batch is tried again each second. The two chains
//! do not wait for each other.

use std::time::{Duration, Instant};

use super::head::Class;
use super::queue::{BATCH, Queue};
use super::trail::{Bounds, Trail};
use crate::logging;
use crate::value::UaTime;

const BATCH_BYTES: usize = 4 << 20;
/// After a failed attempt.
const AGAIN: Duration = Duration::from_secs(1);
/// A fault that remains is logged once in this time.
const REMIND: Duration = Duration::from_secs(600);
/// Time between two looks at the retention.
const RETAIN: Duration = Duration::from_secs(3_600);

pub(crate) struct Track {
    trail: Trail,
    /// Taken from the queue and logged, not yet in the file.
    pub held: Queue,
    pub retry_at: Option<Instant>,
    /// Why the disk refuses.
    pub trouble: Option<String>,
    reminded: Option<Instant>,
    retained: Option<Instant>,
}

impl Track {
    pub(crate) fn new(trail: Trail) -> Track {
        Track { trail, held: Queue::default(), retry_at: None, trouble: None, reminded: None, retained: None }
    }

    /// Gives the files other bounds; old files are looked at with the next batch.
    pub(crate) fn bound(&mut self, bounds: Bounds) {
        self.trail.bounds = bounds;
        self.retained = None;
    }

    pub(crate) fn class(&self) -> Class {
        self.trail.places.class
    }

    /// Whether so much is held that nothing more should be taken before it is written.
    pub(crate) fn has_batch(&self) -> bool {
        self.held.size().records >= BATCH && self.retry_at.is_none()
    }

    /// Appends what is held, batch after batch, and confirms it.
    pub(crate) fn keep(&mut self, now: Instant) {
        let mut done = Ok(());
        while done.is_ok() && !self.held.is_empty() {
            let mut batch = Vec::new();
            let (mut records, mut bytes) = (0, 0);
            while records < BATCH && bytes < BATCH_BYTES {
                let Some(item) = self.held.pop() else { break };
                records += item.size().records;
                bytes += item.size().bytes;
                batch.push(item);
            }
            done = self.trail.append(&batch);
            if done.is_err() {
                batch.into_iter().rev().for_each(|item| self.held.unpop(item));
            }
        }
        let done = done.and_then(|()| self.trail.confirm());
        let is_due = self.retained.is_none_or(|at| now.saturating_duration_since(at) >= RETAIN);
        let rotated = self.trail.take_rotated();
        if (is_due || rotated) && done.is_ok() {
            self.retained = Some(now);
            if let Err(error) = self.trail.retain(UaTime::now()) {
                let line = format_args!("audit: old files are not removed: {error}");
                logging::limited(log::Level::Warn, "audit files not removed", None, line);
            }
        }
        match done {
            Ok(()) => self.is_well(),
            Err(error) => self.is_troubled(&error.to_string(), now),
        }
    }

    fn is_well(&mut self) {
        self.retry_at = None;
        if self.trouble.take().is_some() {
            self.reminded = None;
            let line = format_args!("audit: the files of {} are written again", self.class().name());
            logging::limited(log::Level::Info, "audit files written", None, line);
        }
    }

    fn is_troubled(&mut self, what: &str, now: Instant) {
        self.retry_at = Some(now + AGAIN);
        self.trouble = Some(what.to_owned());
        if self.reminded.is_none_or(|at| now.saturating_duration_since(at) >= REMIND) {
            self.reminded = Some(now);
            let waiting = self.held.size().records;
            let line = format_args!(
                "audit: nothing is written to its files of {}: {what}; {waiting} records wait in memory, make room on the disk",
                self.class().name()
            );
            logging::limited(log::Level::Error, "audit files not written", None, line);
        }
    }
}
