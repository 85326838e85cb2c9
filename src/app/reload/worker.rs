//! The thread that reads, checks and compares, with low priority.
//!
//! It is one thread for the life of the server: the C library gives each thread a heap of its own, and a plant that is made by
//! one thread after the other would leave a heap full of holes in each.

use std::sync::mpsc;

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// A thread of low priority, which ends when this is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    jobs: mpsc::SyncSender<Job>,
}

/// Jobs that may wait. There is one reload at a time.
const QUEUE: usize = 4;

impl Worker {
    pub(crate) fn start() -> std::io::Result<Worker> {
        let (jobs, todo) = mpsc::sync_channel::<Job>(QUEUE);
        let run = move || {
            // On Linux this is the niceness of the thread. At worst the work competes with all others.
            if let Err(error) = rustix::process::nice(10) {
                log::debug!("a reload has the priority of all other work: {error}");
            }
            for job in todo {
                // A panic ends the job alone; its sender is dropped, and the one who asked hears of it.
                drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)));
            }
        };
        std::thread::Builder::new().name("reload".into()).spawn(run)?;
        Ok(Worker { jobs })
    }

    /// Runs a job; the error says that it ended without a result.
    pub(crate) async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move || drop(done.send(job())));
        let ended = "the reload ended unexpectedly; nothing was changed";
        self.jobs.try_send(job).map_err(|_| ended.to_owned())?;
        result.await.map_err(|_| ended.to_owned())
    }
}
