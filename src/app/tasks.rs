//! Every task with its name and its end. A panic ends only its own task, and the log names it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::logging;

/// All tasks of a running server; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    running: JoinSet<()>,
    names: Vec<(String, AbortHandle)>,
}

impl Tasks {
    pub(crate) fn spawn(&self, name: String, task: BoxFuture<'static, ()>) {
        let told = name.clone();
        let guarded = async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                let line = format_args!("the task `{told}` panicked and has ended; all other tasks continue");
                logging::limited(log::Level::Error, "task panicked", None, line);
            }
        };
        let mut inner = self.inner.lock();
        let handle = inner.running.spawn(guarded);
        inner.names.push((name, handle));
        // Tasks that ended leave their place.
        while inner.running.try_join_next().is_some() {}
        inner.names.retain(|(_, handle)| !handle.is_finished());
    }

    /// Waits for all tasks whose name begins so, but not longer than `until`.
    pub(crate) async fn join_named(&self, prefix: &str, until: Instant) {
        while Instant::now() < until && self.count(prefix) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let late = self.count(prefix);
        if late > 0 {
            log::warn!("{late} tasks named `{prefix}…` did not end in time");
        }
    }

    fn count(&self, prefix: &str) -> usize {
        let inner = self.inner.lock();
        inner.names.iter().filter(|(name, handle)| name.starts_with(prefix) && !handle.is_finished()).count()
    }

    pub(crate) async fn abort_all(&self) {
        let mut running = std::mem::take(&mut self.inner.lock().running);
        running.shutdown().await;
    }
}
