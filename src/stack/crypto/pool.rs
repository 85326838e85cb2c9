//! Threads for work with private keys and passwords, which takes milliseconds and must not hold up a connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use opcua::StatusCode;
use parking_lot::Mutex;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The way into the pool. The threads end when the last clone is dropped and the queue is empty.
#[derive(Debug, Clone)]
pub struct CryptoPool {
    queue: SyncSender<Job>,
}

/// The threads; whoever started the pool joins them after dropping every `CryptoPool`.
#[derive(Debug)]
pub struct PoolThreads(Vec<JoinHandle<()>>);

impl PoolThreads {
    pub fn join(self) {
        for thread in self.0 {
            // Jobs cannot unwind out of `work`.
            thread.join().expect("a pool thread catches panics of its jobs");
        }
    }
}

impl CryptoPool {
    /// Starts `threads` threads with room for `queue` waiting jobs.
    pub fn start(threads: usize, queue: usize) -> std::io::Result<(CryptoPool, PoolThreads)> {
        let (sender, receiver) = sync_channel(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        let handles = (0..threads)
            .map(|number| {
                let receiver = Arc::clone(&receiver);
                std::thread::Builder::new().name(format!("crypto {number}")).spawn(move || work(&receiver))
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok((CryptoPool { queue: sender }, PoolThreads(handles)))
    }

    /// Runs `job` on a thread of the pool. `BadTcpServerTooBusy` at once when the queue is full; a job whose caller
    /// is gone still runs.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, StatusCode> {
        let (answer, result) = oneshot::channel();
        let job = Box::new(move || {
            // A caller that no longer waits needs no answer.
            drop(answer.send(job()));
        });
        self.queue.try_send(job).map_err(|_| StatusCode::BadTcpServerTooBusy)?;
        result.await.map_err(|_| StatusCode::BadInternalError)
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let Ok(job) = queue.lock().recv() else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            log::error!("a cryptographic job panicked; its connection is closed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_fails_alone() {
        let (pool, threads) = CryptoPool::start(1, 4).expect("threads start");
        let failed: Result<(), StatusCode> = pool.run(|| panic!("on purpose")).await;
        assert_eq!(failed, Err(StatusCode::BadInternalError));
        assert_eq!(pool.run(|| 6 * 7).await, Ok(42));
        drop(pool);
        threads.join();
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let (pool, threads) = CryptoPool::start(1, 1).expect("threads start");
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let held = tokio::spawn({
            let pool = pool.clone();
            async move {
                pool.run(move || {
                    started.send(()).expect("the test waits");
                    wait.recv().is_ok()
                })
                .await
            }
        });
        running.await.expect("the first job runs");
        let mut queued = Box::pin(pool.run(|| ()));
        assert!(futures_util::poll!(queued.as_mut()).is_pending(), "the second waits in the queue");
        assert_eq!(pool.run(|| ()).await, Err(StatusCode::BadTcpServerTooBusy));
        release.send(()).expect("the first job waits");
        assert_eq!(held.await.expect("not cancelled"), Ok(true));
        assert_eq!(queued.await, Ok(()));
        drop(pool);
        threads.join();
    }
}
