//! The buffer of a publisher for its task: each access to the disk runs off the threads of tasks, since a disk may be slow.
//!
//! The buffer belongs to the store at all times, also while work on it is under way. A future that is dropped leaves its work
//! to the next one, which waits for it first.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::Level;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use super::spool::{Numbered, Record, Spool};
use super::status::{Status, add};
use crate::logging;
use crate::state::replace_bytes;

/// Wait for another task that has the folder: that of a publisher which was just removed ends within a second.
const RETRY: Duration = Duration::from_millis(50);
const RETRIES: u32 = 60;

/// The buffer, or none.
pub(super) struct Store {
    folder: PathBuf,
    opened: Option<Arc<Opened>>,
    /// Work on the buffer that is under way.
    work: Option<JoinHandle<()>>,
    limit: u64,
    status: Arc<Status>,
}

/// An open buffer, with the lock of its folder.
struct Opened {
    spool: Mutex<Spool>,
    _lock: File,
}

impl Store {
    pub(super) fn new(folder: PathBuf, limit: u64, status: Arc<Status>) -> Store {
        Store { folder, opened: None, work: None, limit, status }
    }

    /// Opens the buffer with what an earlier run has left. Without one, the log says why.
    pub(super) async fn open(&mut self) {
        if self.limit == 0 && !self.folder.exists() {
            return;
        }
        for _ in 0..RETRIES {
            let (folder, limit) = (self.folder.clone(), self.limit);
            let opened = spawn_blocking(move || {
                std::fs::create_dir_all(&folder)?;
                let lock = File::create(folder.join("lock"))?;
                match lock.try_lock() {
                    Ok(()) => Ok(Some(Opened { spool: Mutex::new(Spool::open(&folder, limit)?), _lock: lock })),
                    Err(std::fs::TryLockError::WouldBlock) => Ok(None),
                    Err(std::fs::TryLockError::Error(error)) => Err(error),
                }
            });
            match opened.await {
                Ok(Ok(Some(opened))) => {
                    self.opened = Some(Arc::new(opened));
                    return self.note();
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
        let next = spawn_blocking(move || -> std::io::Result<u8> {
            std::fs::create_dir_all(&folder)?;
            let path = folder.join("bdseq");
            let known = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            let next = known.unwrap_or(last).wrapping_add(1);
            replace_bytes(&path, next.to_string().as_bytes())?;
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
        match self.opened {
            Some(_) => drop(self.with(move |spool| spool.set_limit(limit)).await),
            None => self.open().await,
        }
    }

    /// Whether messages can be kept at all.
    pub(super) fn is_there(&self) -> bool {
        self.limit > 0 && self.opened.is_some()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.opened.as_ref().is_none_or(|opened| opened.spool.lock().is_drained())
    }

    /// Works on the buffer. When this future is dropped, the work is done all the same, and its result is lost.
    async fn with<R: Send + 'static>(&mut self, work: impl FnOnce(&mut Spool) -> R + Send + 'static) -> Option<R> {
        self.settle().await;
        let opened = Arc::clone(self.opened.as_ref()?);
        let (result, mut done) = oneshot::channel();
        self.work = Some(spawn_blocking(move || drop(result.send(work(&mut opened.spool.lock())))));
        self.settle().await;
        done.try_recv().ok()
    }

    /// Waits for work that is under way. A future that is dropped loses nothing.
    async fn settle(&mut self) {
        let Some(work) = &mut self.work else { return };
        let done = work.await;
        self.work = None;
        if let Err(error) = done {
            // It is not known in what state a panic has left it.
            self.opened = None;
            self.complain(&error.to_string());
        }
        self.note();
    }

    fn note(&self) {
        let Some(opened) = &self.opened else { return };
        let mut spool = opened.spool.lock();
        self.status.buffered.store(spool.len(), Ordering::Relaxed);
        self.status.buffered_bytes.store(spool.bytes(), Ordering::Relaxed);
        let dropped = spool.take_dropped();
        drop(spool);
        if dropped > 0 {
            add(&self.status.dropped, dropped);
            let name = &self.status.name;
            let line = format_args!("{name}: the buffer is full: {dropped} of the oldest messages were dropped");
            logging::limited(Level::Warn, "buffer full", None, line);
        }
    }

    /// Keeps records; those that cannot be kept are counted as dropped. Returns the number of the first one.
    pub(super) async fn append(&mut self, records: Vec<Record>) -> u64 {
        self.settle().await;
        let first = self.next_number();
        if records.is_empty() {
            return first;
        }
        let count = records.len() as u64;
        if !self.is_there() {
            add(&self.status.dropped, count);
            return first;
        }
        match self.with(move |spool| spool.append(&records)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                let line = format_args!("{}: messages are lost: {error}", self.status.name);
                logging::limited(Level::Error, "buffer not written", None, line);
            }
            None => add(&self.status.dropped, count),
        }
        first
    }

    pub(super) async fn next(&mut self, most: usize) -> Vec<Numbered> {
        self.with(move |spool| spool.next(most)).await.unwrap_or_default()
    }

    /// The number that the next record gets.
    pub(super) fn next_number(&self) -> u64 {
        self.opened.as_ref().map_or(0, |opened| opened.spool.lock().next_number())
    }

    pub(super) fn acknowledge(&self, numbers: &[u64]) {
        if let Some(opened) = &self.opened {
            let mut spool = opened.spool.lock();
            numbers.iter().for_each(|number| spool.acknowledge(*number));
        }
        self.note();
    }

    /// Begins again with the oldest record, after work that is under way.
    pub(super) async fn rewind(&mut self) {
        self.settle().await;
        if let Some(opened) = &self.opened {
            opened.spool.lock().rewind();
        }
    }

    pub(super) fn skip_to(&self, number: u64) {
        if let Some(opened) = &self.opened {
            opened.spool.lock().skip_to(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::publish::fingerprint::Fingerprint;

    fn record(number: u32) -> Record {
        let payload = format!("{{\"value\":{number}}}").into_bytes();
        Record { destination: Fingerprint(1), meaning: Fingerprint(2), topic: "t".to_owned(), payload }
    }

    async fn store(folder: &std::path::Path) -> Store {
        let mut store = Store::new(folder.to_owned(), 1 << 20, Arc::new(Status::new("up".to_owned())));
        store.open().await;
        store
    }

    fn records_of(found: Vec<Numbered>) -> Vec<Record> {
        found.into_iter().map(|numbered| numbered.record).collect()
    }

    #[tokio::test]
    async fn a_future_that_is_dropped_leaves_the_buffer_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = store(folder.path()).await;
        store.append((0..5).map(record).collect()).await;
        // The disk is slow: the work waits for it until the future is dropped.
        for waits in 1..=3 {
            let opened = Arc::clone(store.opened.as_ref().expect("open"));
            let slow = opened.spool.lock();
            assert!(store.next(3).now_or_never().is_none(), "{waits}");
            drop(slow);
            assert!(store.is_there());
        }
        store.append(vec![record(5)]).await;
        store.rewind().await;
        assert_eq!(records_of(store.next(usize::MAX).await), (0..6).map(record).collect::<Vec<_>>());
        // Nor is what was to be kept lost.
        let opened = Arc::clone(store.opened.as_ref().expect("open"));
        let slow = opened.spool.lock();
        assert!(store.with(|spool| spool.append(&[record(6)])).now_or_never().is_none());
        drop(slow);
        drop(opened);
        store.append(vec![record(7)]).await;
        drop(store);
        let mut again = self::store(folder.path()).await;
        assert_eq!(records_of(again.next(usize::MAX).await), (0..8).map(record).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn the_number_of_a_session_is_kept_as_other_files_of_the_state_are() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(store(folder.path()).await.next_bd_seq(7).await, 8);
        assert_eq!(store(folder.path()).await.next_bd_seq(0).await, 9);
        let file = folder.path().join("bdseq");
        let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "for this user alone, synced and renamed");
        std::fs::write(&file, "255").expect("written");
        assert_eq!(store(folder.path()).await.next_bd_seq(0).await, 0);
        std::fs::write(&file, "x").expect("written");
        assert_eq!(store(folder.path()).await.next_bd_seq(3).await, 4);
    }

    #[tokio::test]
    async fn a_panic_costs_the_buffer_and_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = store(folder.path()).await;
        assert_eq!(store.with(|_| panic!("a fault")).await, None::<()>);
        assert!(!store.is_there());
        store.append(vec![record(1)]).await;
        assert_eq!(store.status.dropped.load(Ordering::Relaxed), 1);
    }
}
