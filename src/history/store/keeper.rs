//! The thread that keeps house: flushes the head into blocks, merges small blocks, lets old data go.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::flush::flush;
use super::house::{Effort, keep};
use super::retention::by_size;
use super::shared::Shared;
use crate::history::Fault;
use crate::logging;
use crate::value::UaTime;

/// How often the keeper looks around.
const ROUND: Duration = Duration::from_secs(10);
/// How often small blocks are merged.
const TIDY: Duration = Duration::from_secs(3600);
/// And for the first time after a start, so that a server that never runs for long merges too.
const FIRST_TIDY: Duration = Duration::from_secs(300);
/// How often the size of everything is looked at.
const WEIGH: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Calls {
    is_awake: bool,
    is_closing: bool,
}

/// By which others wake the keeper.
#[derive(Default)]
pub struct Keeper {
    calls: Mutex<Calls>,
    bell: Condvar,
}

impl Keeper {
    pub fn wake(&self) {
        self.calls.lock().is_awake = true;
        self.bell.notify_one();
    }

    pub fn close(&self) {
        self.calls.lock().is_closing = true;
        self.bell.notify_one();
    }

    /// The store is about to end: long work gives up where it can.
    pub fn is_closing(&self) -> bool {
        self.calls.lock().is_closing
    }

    /// False when it is time to end.
    fn wait(&self) -> bool {
        let mut calls = self.calls.lock();
        if !calls.is_awake && !calls.is_closing {
            self.bell.wait_for(&mut calls, ROUND);
        }
        calls.is_awake = false;
        !calls.is_closing
    }
}

pub fn run(shared: &Shared) {
    let (mut flushed, mut weighed) = (Instant::now(), Instant::now());
    let mut tidy_at = flushed + FIRST_TIDY;
    while shared.keeper.wait() {
        if shared.is_flush_due() || shared.flush_failed() || flushed.elapsed() >= shared.settings.flush_every {
            let _house = shared.house.lock();
            let outcome = flush(shared);
            shared.note_flush_fault(outcome.as_ref().err().map(ToString::to_string));
            if outcome.is_ok() {
                flushed = Instant::now();
            }
        }
        if weighed.elapsed() >= WEIGH {
            weighed = Instant::now();
            let _house = shared.house.lock();
            if let Err(fault) = by_size(shared) {
                logging::limited(log::Level::Error, "history not kept", None, format_args!("{fault}"));
            }
        }
        if Instant::now() >= tidy_at {
            tidy_at = Instant::now() + TIDY;
            let _house = shared.house.lock();
            match keep(shared, UaTime::now(), Effort::Usual) {
                Ok(()) | Err(Fault::Closed) => {}
                Err(fault) => logging::limited(log::Level::Error, "history not kept", None, format_args!("{fault}")),
            }
        }
    }
}
