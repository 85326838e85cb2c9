//! Threads for calls of the system that may wait: reads of files and of devices on slow buses.
//!
//! A call cannot be interrupted. One that takes too long keeps its thread, and further calls to the same place are refused until it
//! returns; other places get another thread. These threads never hold up the end of the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// Calls that may be stuck at one time.
const MOST_STUCK: usize = 16;

type Job = Box<dyn FnOnce() + Send>;

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Late {
    /// It was made, and has not returned in time. It may still be done.
    Running,
    /// It was not made: an earlier one to the same place has not returned.
    Refused,
}

/// The threads of a link: one that works, and those that are stuck. `K` names places.
pub(super) struct Workers<K> {
    name: &'static str,
    free: Option<SyncSender<Job>>,
    stuck: Vec<Stuck<K>>,
}

struct Stuck<K> {
    place: K,
    has_returned: Arc<AtomicBool>,
}

impl<K: PartialEq> Workers<K> {
    /// Starts no thread yet; each will have this name.
    pub(super) fn new(name: &'static str) -> Workers<K> {
        Workers { name, free: None, stuck: Vec::new() }
    }

    /// Makes a call on a thread, and waits for its result at most this long. A dropped future leaves the call to itself. A panic
    /// of the call is one of the caller.
    pub(super) async fn call<T: Send + 'static>(
        &mut self,
        place: K,
        limit: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Late> {
        self.stuck.retain(|stuck| !stuck.has_returned.load(Ordering::Acquire));
        if self.stuck.len() >= MOST_STUCK || self.stuck.iter().any(|stuck| stuck.place == place) {
            return Err(Late::Refused);
        }
        let (answer, mut answered) = oneshot::channel();
        let has_returned = Arc::new(AtomicBool::new(false));
        let returned = Returned(Arc::clone(&has_returned));
        let job: Job = Box::new(move || {
            let returned = returned;
            let result = call();
            drop(returned);
            // The caller may have given up waiting.
            drop(answer.send(result));
        });
        // While the call runs, the thread is not free: a future that is dropped leaves it so.
        let worker = self.free.take().unwrap_or_else(|| worker(self.name));
        self.stuck.push(Stuck { place, has_returned });
        let worker = match worker.send(job) {
            Ok(()) => worker,
            Err(_) => panic!("a call on a thread of {} panicked", self.name),
        };
        match timeout(limit, &mut answered).await {
            Ok(Ok(result)) => {
                self.stuck.pop();
                self.free = Some(worker);
                Ok(result)
            }
            Ok(Err(_)) => panic!("a call on a thread of {} panicked", self.name),
            Err(_) => Err(Late::Running),
        }
    }
}

/// Says that the call has returned, also by a panic.
struct Returned(Arc<AtomicBool>);

impl Drop for Returned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A thread that ends when its sender is dropped and its call has returned.
fn worker(name: &str) -> SyncSender<Job> {
    let (jobs, waiting) = sync_channel::<Job>(1);
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        while let Ok(job) = waiting.recv() {
            job();
        }
    });
    // Without a thread the channel is closed, and the call fails as one that panicked: the link is opened again later.
    drop(started);
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stuck_call_holds_up_its_own_place_alone() {
        let mut workers: Workers<u8> = Workers::new("test");
        let (limit, short) = (Duration::from_secs(20), Duration::from_millis(20));
        assert_eq!(workers.call(1, limit, || 7).await, Ok(7));
        let (release, held) = sync_channel::<()>(1);
        let stuck = workers.call(1, short, move || held.recv().is_err());
        assert_eq!(stuck.await, Err(Late::Running));
        assert_eq!(workers.call(1, limit, || 8).await, Err(Late::Refused));
        assert_eq!(workers.call(2, limit, || 9).await, Ok(9));
        drop(release);
        let free = async {
            while workers.call(1, limit, || 10).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(limit, free).await.expect("the place is free again");
    }

    #[tokio::test]
    async fn stuck_calls_have_a_limit_and_a_dropped_call_counts() {
        let mut workers: Workers<usize> = Workers::new("test");
        let mut held = Vec::new();
        for place in 0..MOST_STUCK {
            let (release, wait) = sync_channel::<()>(1);
            held.push(release);
            let call = workers.call(place, Duration::from_secs(20), move || wait.recv().is_err());
            drop(timeout(Duration::from_millis(5), call).await);
        }
        assert_eq!(workers.call(99, Duration::from_secs(20), || ()).await, Err(Late::Refused));
        drop(held);
        let free = async {
            while workers.call(99, Duration::from_secs(20), || ()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), free).await.expect("free again");
    }

    #[tokio::test]
    #[should_panic(expected = "a call on a thread of test panicked")]
    async fn a_panic_of_a_call_is_one_of_its_caller() {
        let mut workers: Workers<u8> = Workers::new("test");
        drop(workers.call(1, Duration::from_secs(20), || panic!("on purpose")).await);
    }
}
