//! The thread that reads, checks and compares; for a reload with low priority.
//!
//! It is one thread for the life of the server: the C library gives each thread a heap of its own, and a plant that is made by
//! one thread after the other would leave a heap full of holes in each.

use std::sync::mpsc;

use tokio::sync::oneshot;

/// Work of the thread.
struct Job {
    /// Before the server runs nothing else is to be spared.
    is_start: bool,
    work: Box<dyn FnOnce() + Send>,
}

/// The thread; it ends when this is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    jobs: mpsc::SyncSender<Job>,
}

/// Jobs that may wait. There is one reload at a time.
const QUEUE: usize = 4;

impl Worker {
    pub(crate) fn start() -> std::io::Result<Worker> {
        let (jobs, todo) = mpsc::sync_channel::<Job>(QUEUE);
        std::thread::Builder::new().name("reload".into()).spawn(move || serve(&todo))?;
        Ok(Worker { jobs })
    }

    /// Reads the files for a start, and waits for it; `None` when the work panicked.
    pub(crate) fn run_first<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (done, result) = mpsc::sync_channel(1);
        let work: Box<dyn FnOnce() + Send> = Box::new(move || drop(done.send(work())));
        self.jobs.send(Job { is_start: true, work }).ok()?;
        result.recv().ok()
    }

    /// Work of a start; the error says that it ended without a result.
    pub(crate) async fn run_start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        self.send(true, work).await
    }

    /// Work of a reload, with low priority; the error says that it ended without a result.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        self.send(false, work).await
    }

    async fn send<T: Send + 'static>(
        &self,
        is_start: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let (done, result) = oneshot::channel();
        let work: Box<dyn FnOnce() + Send> = Box::new(move || drop(done.send(work())));
        let ended = "the work on the files ended unexpectedly; nothing was changed";
        self.jobs.try_send(Job { is_start, work }).map_err(|_| ended.to_owned())?;
        result.await.map_err(|_| ended.to_owned())
    }
}

fn serve(todo: &mpsc::Receiver<Job>) {
    let mut is_low = false;
    while let Ok(Job { is_start, work }) = todo.recv() {
        if !is_start && !std::mem::replace(&mut is_low, true) {
            // On Linux this is the niceness of the thread. At worst the work competes with all others.
            if let Err(error) = rustix::process::nice(10) {
                log::debug!("a reload has the priority of all other work: {error}");
            }
        }
        // A panic ends the job alone; its sender is dropped, and its caller gets an error.
        drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)));
    }
}
