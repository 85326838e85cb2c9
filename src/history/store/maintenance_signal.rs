//! The signal between the store and its maintenance thread.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

#[derive(Default)]
struct Calls {
    is_awake: bool,
    is_closing: bool,
}

/// Wakes the maintenance thread, and ends it.
#[derive(Default)]
pub(crate) struct MaintenanceSignal {
    calls: Mutex<Calls>,
    bell: Condvar,
}

impl MaintenanceSignal {
    pub(crate) fn wake(&self) {
        self.calls.lock().is_awake = true;
        self.bell.notify_one();
    }

    pub(crate) fn close(&self) {
        self.calls.lock().is_closing = true;
        self.bell.notify_one();
    }

    /// The store closes: long work stops where it can.
    pub(crate) fn is_closing(&self) -> bool {
        self.calls.lock().is_closing
    }

    /// Waits until it is woken, for `longest` at most; false when the store closes.
    pub(crate) fn wait(&self, longest: Duration) -> bool {
        let mut calls = self.calls.lock();
        if !calls.is_awake && !calls.is_closing {
            self.bell.wait_for(&mut calls, longest);
        }
        calls.is_awake = false;
        !calls.is_closing
    }
}
