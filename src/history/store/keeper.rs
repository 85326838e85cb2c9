//! The thread that keeps house: flushes the head into blocks, merges small blocks, lets old data go.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::shared::Shared;

/// How often the keeper looks around.
const ROUND: Duration = Duration::from_secs(10);

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
    while shared.keeper.wait() {}
}
