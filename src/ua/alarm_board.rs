//! The conditions of a running server with their lock, and the queue of samples for them.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::alarms::{Alarms, Kept};
use crate::model::AlarmIx;
use crate::tags::Watcher;
use crate::ua::alarm_inbox::Inbox;
use crate::value::Moment;

#[derive(Debug)]
pub(crate) struct Conditions {
    alarms: Mutex<Alarms>,
    pub inbox: Arc<Inbox>,
}

impl Conditions {
    pub(crate) fn new() -> Conditions {
        Conditions { alarms: Mutex::new(Alarms::new(fastrand::u64(..))), inbox: Arc::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock()
    }

    /// The states for the state folder, if some changed since the last call.
    pub(crate) fn take_kept(&self, now: Moment) -> Option<Vec<(AlarmIx, Kept)>> {
        let mut alarms = self.alarms.lock();
        alarms.take_dirty().then(|| alarms.kept(now).collect())
    }

    pub(crate) fn watcher(&self) -> Arc<dyn Watcher> {
        Arc::clone(&self.inbox) as Arc<dyn Watcher>
    }
}
