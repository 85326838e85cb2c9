//! The pool that reads and edits history: on threads of its own, a few requests at a time.
//!
//! A session has one request at work; its others wait, so that one client's year of data does not
//! delay another client's last five minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use opcua::StatusCode;
use tokio::sync::Semaphore;

use crate::history::Fault;
use crate::logging;

/// The status that a client gets for trouble with the store; the operator reads the rest in the log.
pub(crate) fn refused(fault: &Fault) -> StatusCode {
    if let Fault::Store { .. } = fault {
        logging::limited(log::Level::Warn, "history request failed", None, format_args!("{fault}"));
    }
    fault.status()
}

/// Requests at work at once.
const AT_WORK: usize = 4;

#[derive(Debug)]
pub struct DiskPool {
    at_work: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    most_waiting: usize,
}

/// One session's way into the pool.
#[derive(Debug)]
pub struct Gate {
    turn: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate { turn: Arc::new(Semaphore::new(1)), waiting: Arc::default() }
    }
}

/// Set when no client waits for a job any more.
#[derive(Debug, Clone, Default)]
pub struct Abandoned(Arc<AtomicBool>);

impl Abandoned {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct AbandonOnDrop(Abandoned);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// A counted place in a queue.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>, most: usize) -> Option<Place> {
        let place = Place(Arc::clone(count));
        // Dropped again when it was one too many.
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl DiskPool {
    pub fn new(most_waiting: usize) -> DiskPool {
        DiskPool { at_work: Arc::new(Semaphore::new(AT_WORK)), waiting: Arc::default(), most_waiting }
    }

    /// Runs a job when it is its turn. BadTooManyOperations at once when the session has too many waiting,
    /// BadServerTooBusy when all sessions together have. Dropping the future drops a waiting job and sets the flag of a running one.
    pub fn run<T: Send + 'static>(
        &self,
        gate: &Gate,
        most_of_session: usize,
        job: impl FnOnce(&Abandoned) -> T + Send + 'static,
    ) -> Result<impl Future<Output = Result<T, StatusCode>> + Send + 'static, StatusCode> {
        let own = Place::take(&gate.waiting, most_of_session).ok_or(StatusCode::BadTooManyOperations)?;
        let place = Place::take(&self.waiting, self.most_waiting).ok_or(StatusCode::BadServerTooBusy)?;
        let (turn, at_work) = (Arc::clone(&gate.turn), Arc::clone(&self.at_work));
        Ok(async move {
            let closed = |_| StatusCode::BadShutdown;
            let turn = turn.acquire_owned().await.map_err(closed)?;
            let permit = at_work.acquire_owned().await.map_err(closed)?;
            let abandoned = Abandoned::default();
            let told = abandoned.clone();
            let _guard = AbandonOnDrop(abandoned);
            let run = tokio::task::spawn_blocking(move || {
                let result = job(&told);
                drop((permit, turn, place, own));
                result
            });
            run.await.map_err(|error| {
                let line = format_args!("a request for history was not finished: {error}");
                logging::limited(log::Level::Error, "history request not finished", None, line);
                StatusCode::BadInternalError
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_session_waits_for_its_own_requests_and_delays_no_other() {
        let pool = DiskPool::new(3);
        let (one, other) = (Gate::default(), Gate::default());
        let (release, held) = mpsc::channel::<()>();
        let (started, running) = tokio::sync::oneshot::channel();
        let hold = move |_: &Abandoned| {
            started.send(()).expect("the test waits");
            held.recv().is_ok()
        };
        let first = tokio::spawn(pool.run(&one, 2, hold).expect("there is room"));
        running.await.expect("the first runs");
        let mut second = Box::pin(pool.run(&one, 2, |_| 2).expect("there is room"));
        assert!(futures_util::poll!(second.as_mut()).is_pending(), "the first is at work");
        assert_eq!(pool.run(&one, 2, |_| 3).err(), Some(StatusCode::BadTooManyOperations));
        assert_eq!(pool.run(&other, 2, |_| 4).expect("there is room").await, Ok(4));
        let third = pool.run(&other, 2, |_| 5).expect("there is room");
        assert_eq!(pool.run(&other, 2, |_| 6).err(), Some(StatusCode::BadServerTooBusy));
        drop(third);
        release.send(()).expect("the first waits");
        assert_eq!(first.await.expect("not cancelled"), Ok(true));
        assert_eq!(second.await, Ok(2));
        assert_eq!(pool.waiting.load(Ordering::Relaxed), 0, "every place is free again");
    }

    #[tokio::test]
    async fn a_job_learns_that_no_client_waits_for_it() {
        let pool = DiskPool::new(3);
        let (seen, told) = mpsc::channel();
        let (started, running) = mpsc::channel();
        let mut job = Box::pin(
            pool.run(&Gate::default(), 1, move |abandoned| {
                started.send(()).expect("the test waits");
                while !abandoned.is_set() {
                    std::thread::yield_now();
                }
                seen.send(()).expect("the test waits");
            })
            .expect("there is room"),
        );
        assert!(futures_util::poll!(job.as_mut()).is_pending());
        running.recv().expect("it runs");
        drop(job);
        told.recv().expect("it was told");
    }

    #[tokio::test]
    async fn a_job_that_panics_fails_alone() {
        let pool = DiskPool::new(3);
        let gate = Gate::default();
        let failed: Result<(), StatusCode> = pool.run(&gate, 1, |_| panic!("on purpose")).expect("room").await;
        assert_eq!(failed, Err(StatusCode::BadInternalError));
        assert_eq!(pool.run(&gate, 1, |_| 7).expect("the place is free").await, Ok(7));
    }
}
