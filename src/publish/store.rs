//! The buffer of a publisher for its task: each access runs off the threads of tasks, since a disk may be slow.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::Level;

use super::spool::{Numbered, Record, Spool};
use super::status::{Status, add};
use crate::logging;

/// Wait for another task that has the folder: that of a publisher which was just removed ends within a second.
const RETRY: Duration = Duration::from_millis(50);
const RETRIES: u32 = 60;

/// The buffer, or none.
pub(super) struct Store {
    folder: PathBuf,
    spool: Option<Box<Spool>>,
    lock: Option<std::fs::File>,
    limit: u64,
    status: Arc<Status>,
}

impl Store {
    pub(super) fn new(folder: PathBuf, limit: u64, status: Arc<Status>) -> Store {
        Store { folder, spool: None, lock: None, limit, status }
    }

    /// Opens the buffer with what an earlier run has left. Without one, the log says why.
    pub(super) async fn open(&mut self) {
        if self.limit == 0 && !self.folder.exists() {
            return;
        }
        for _ in 0..RETRIES {
            let (folder, limit) = (self.folder.clone(), self.limit);
            let opened = tokio::task::spawn_blocking(move || {
                std::fs::create_dir_all(&folder)?;
                let lock = std::fs::File::create(folder.join("lock"))?;
                match lock.try_lock() {
                    Ok(()) => Spool::open(&folder, limit).map(|spool| Some((lock, spool))),
                    Err(std::fs::TryLockError::WouldBlock) => Ok(None),
                    Err(std::fs::TryLockError::Error(error)) => Err(error),
                }
            });
            match opened.await {
                Ok(Ok(Some((lock, spool)))) => {
                    (self.lock, self.spool) = (Some(lock), Some(Box::new(spool)));
                    self.note();
                    return;
                }
                Ok(Ok(None)) => tokio::time::sleep(RETRY).await,
                Ok(Err(error)) => return self.complain(&error.to_string()),
                Err(error) => return self.complain(&error.to_string()),
            }
        }
        self.complain("it is in use");
    }

    fn complain(&self, why: &str) {
        let line = format_args!("{}: no buffer in {}: {why}", self.status.name, self.folder.display());
        logging::limited(Level::Error, "buffer", None, line);
    }

    /// The number of the next session of an edge node, which is kept: one more than that of the last one.
    pub(super) async fn next_bd_seq(&mut self, last: u8) -> u8 {
        let folder = self.folder.clone();
        let next = tokio::task::spawn_blocking(move || -> std::io::Result<u8> {
            std::fs::create_dir_all(&folder)?;
            let path = folder.join("bdseq");
            let known = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            let next = known.unwrap_or(last).wrapping_add(1);
            let new = folder.join("bdseq.new");
            std::fs::write(&new, next.to_string())?;
            std::fs::rename(&new, &path)?;
            Ok(next)
        });
        match next.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(next) => next,
            Err(error) => {
                self.complain(&error.to_string());
                last.wrapping_add(1)
            }
        }
    }

    /// Takes another limit.
    pub(super) async fn set_limit(&mut self, limit: u64) {
        if self.limit == limit {
            return;
        }
        self.limit = limit;
        match self.spool {
            Some(_) => drop(self.with(move |spool| spool.set_limit(limit)).await),
            None => self.open().await,
        }
    }

    /// Whether messages can be kept at all.
    pub(super) fn is_there(&self) -> bool {
        self.limit > 0 && self.spool.is_some()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.spool.as_ref().is_none_or(|spool| spool.is_drained())
    }

    async fn with<R: Send + 'static>(&mut self, work: impl FnOnce(&mut Spool) -> R + Send + 'static) -> Option<R> {
        let mut spool = self.spool.take()?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut spool);
            (spool, result)
        });
        match done.await {
            Ok((spool, result)) => {
                self.spool = Some(spool);
                self.note();
                Some(result)
            }
            Err(error) => {
                self.complain(&error.to_string());
                None
            }
        }
    }

    fn note(&mut self) {
        if let Some(spool) = &mut self.spool {
            self.status.buffered.store(spool.len(), Ordering::Relaxed);
            self.status.buffered_bytes.store(spool.bytes(), Ordering::Relaxed);
            let dropped = spool.take_dropped();
            if dropped > 0 {
                add(&self.status.dropped, dropped);
                let name = &self.status.name;
                let line = format_args!("{name}: the buffer is full: {dropped} of the oldest messages were dropped");
                logging::limited(Level::Warn, "buffer full", None, line);
            }
        }
    }

    /// Keeps records; those that cannot be kept are counted as dropped. Returns the number of the first one.
    pub(super) async fn append(&mut self, records: Vec<Record>) -> u64 {
        let first = self.spool.as_ref().map_or(0, |spool| spool.next_number());
        if records.is_empty() {
            return first;
        }
        let count = records.len() as u64;
        if !self.is_there() {
            add(&self.status.dropped, count);
            return first;
        }
        let done = self.with(move |spool| spool.append(&records)).await;
        if let Some(Err(error)) = done {
            let line = format_args!("{}: messages are lost: {error}", self.status.name);
            logging::limited(Level::Error, "buffer not written", None, line);
        }
        first
    }

    pub(super) async fn next(&mut self, most: usize) -> Vec<Numbered> {
        self.with(move |spool| spool.next(most)).await.unwrap_or_default()
    }

    /// The number that the next record gets.
    pub(super) fn next_number(&self) -> u64 {
        self.spool.as_ref().map_or(0, |spool| spool.next_number())
    }

    pub(super) fn acknowledge(&mut self, numbers: &[u64]) {
        if let Some(spool) = &mut self.spool {
            numbers.iter().for_each(|number| spool.acknowledge(*number));
        }
        self.note();
    }

    pub(super) fn rewind(&mut self) {
        if let Some(spool) = &mut self.spool {
            spool.rewind();
        }
    }

    pub(super) fn skip_to(&mut self, number: u64) {
        if let Some(spool) = &mut self.spool {
            spool.skip_to(number);
        }
    }
}
