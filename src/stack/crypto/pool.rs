//! Threads for work with private keys and passwords, which takes milliseconds and must not hold up a connection. Who
//! is served next is `Fair`'s to say.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use opcua::StatusCode;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::fair::{Fair, Lane, Pushed, QueueLimits};

use crate::logging;

/// Called with true to run, or with false when its place was given to another job.
type Job = Box<dyn FnOnce(bool) + Send>;

/// How much less than other threads these want the processor (`nice`): a storm of handshakes must not be felt by who
/// is served data.
const NICE: i32 = 10;

/// The way into the pool. The threads end when the last clone is dropped and the queue is empty.
#[derive(Debug, Clone)]
pub struct CryptoPool {
    entry: Arc<Entry>,
}

#[derive(Debug)]
struct Entry(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    came: Condvar,
    /// Jobs that have begun, by lane.
    begun: [AtomicU64; 3],
}

struct State {
    queue: Fair<Job>,
    is_closed: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("begun", &self.begun).finish_non_exhaustive()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.state.lock().is_closed = true;
        self.0.came.notify_all();
    }
}

/// The threads of a pool. Join them after every `CryptoPool` was dropped.
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
    /// Starts `threads` threads.
    pub fn start(threads: usize, most: QueueLimits) -> std::io::Result<(CryptoPool, PoolThreads)> {
        let state = Mutex::new(State { queue: Fair::new(most), is_closed: false });
        let shared = Arc::new(Shared { state, came: Condvar::new(), begun: Default::default() });
        let pool = CryptoPool { entry: Arc::new(Entry(Arc::clone(&shared))) };
        let handles = (0..threads)
            .map(|number| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new().name(format!("crypto {number}")).spawn(move || work(&shared))
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok((pool, PoolThreads(handles)))
    }

    /// Runs `job` on a thread of the pool when it is this address's turn. `BadTcpServerTooBusy` when too many wait; a
    /// job whose caller is gone still runs.
    pub async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        from: IpAddr,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StatusCode> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |may_run| {
            let outcome = if may_run { Ok(job()) } else { Err(StatusCode::BadTcpServerTooBusy) };
            // A caller that no longer waits needs no answer.
            drop(answer.send(outcome));
        });
        let shared = &self.entry.0;
        let pushed = shared.state.lock().queue.push(lane, from, job);
        match pushed {
            Pushed::Waits => {}
            Pushed::Instead(out) => out(false),
            Pushed::Full(job) => job(false),
        }
        shared.came.notify_one();
        result.await.map_err(|_| StatusCode::BadInternalError)?
    }

    /// Jobs of a lane that have begun.
    pub fn begun(&self, lane: Lane) -> u64 {
        self.entry.0.begun[lane as usize].load(Ordering::Relaxed)
    }
}

fn work(shared: &Shared) {
    // On Linux this concerns the thread that asks alone (setpriority(2), "C library/kernel differences").
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        log::debug!("cryptographic threads keep the priority of all others: {error}");
    }
    let mut state = shared.state.lock();
    loop {
        let Some((lane, job)) = state.queue.pop() else {
            if state.is_closed && state.queue.is_empty() {
                return;
            }
            shared.came.wait(&mut state);
            continue;
        };
        drop(state);
        shared.begun[lane as usize].fetch_add(1, Ordering::Relaxed);
        if catch_unwind(AssertUnwindSafe(move || job(true))).is_err() {
            let line = format_args!("a cryptographic job panicked; its connection is closed");
            logging::limited(log::Level::Error, "cryptographic job panicked", None, line);
        }
        state = shared.state.lock();
        state.queue.done(lane);
        // A password that waited for this one may be another thread's.
        if lane == Lane::Password {
            shared.came.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    #[tokio::test]
    async fn a_job_that_panics_fails_alone() {
        let (pool, threads) = CryptoPool::start(1, QueueLimits { of_address: 4, in_all: 4 }).expect("threads start");
        let failed: Result<(), StatusCode> = pool.run(Lane::Handshake, ONE, || panic!("on purpose")).await;
        assert_eq!(failed, Err(StatusCode::BadInternalError));
        assert_eq!(pool.run(Lane::Password, ONE, || 6 * 7).await, Ok(42));
        assert_eq!((pool.begun(Lane::Handshake), pool.begun(Lane::Password)), (1, 1));
        drop(pool);
        threads.join();
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_gives_a_place_to_who_has_none() {
        let (pool, threads) = CryptoPool::start(1, QueueLimits { of_address: 2, in_all: 2 }).expect("threads start");
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let held = tokio::spawn({
            let pool = pool.clone();
            async move {
                pool.run(Lane::Handshake, ONE, move || {
                    started.send(()).expect("the test waits");
                    wait.recv().is_ok()
                })
                .await
            }
        });
        running.await.expect("the first job runs");
        let [mut second, mut third] = [(); 2].map(|()| Box::pin(pool.run(Lane::Handshake, ONE, || ())));
        assert!(futures_util::poll!(second.as_mut()).is_pending(), "it waits in the queue");
        assert!(futures_util::poll!(third.as_mut()).is_pending(), "it waits in the queue");
        assert_eq!(pool.run(Lane::Handshake, ONE, || ()).await, Err(StatusCode::BadTcpServerTooBusy));
        let mut newcomer = Box::pin(pool.run(Lane::Handshake, OTHER, || ()));
        assert!(futures_util::poll!(newcomer.as_mut()).is_pending(), "it has the third one's place");
        assert_eq!(third.await, Err(StatusCode::BadTcpServerTooBusy));
        release.send(()).expect("the first job waits");
        assert_eq!(held.await.expect("not cancelled"), Ok(true));
        assert_eq!((second.await, newcomer.await), (Ok(()), Ok(())));
        drop(pool);
        threads.join();
    }
}
