//! Orders to the task of a link: newer plans, and the end. The newest one wins.

use std::sync::Arc;

use tokio::sync::watch;

use crate::drivers::plan::ConnectionPlan;
use crate::health;
use crate::model::Plant;

/// Plans that a running link shall follow.
#[derive(Debug)]
pub(crate) struct Update {
    pub plant: Arc<Plant>,
    /// Empty: the link ends; its outputs that are no longer in the plant are left with their values of `on_stop`.
    pub connections: Arc<[ConnectionPlan]>,
    /// One device a connection, in their order.
    pub health: Arc<health::Link>,
}

/// The sending end; the link ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Command {
    stop: watch::Sender<bool>,
    updates: watch::Sender<Option<Arc<Update>>>,
}

/// The link's end.
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    stop: watch::Receiver<bool>,
    updates: watch::Receiver<Option<Arc<Update>>>,
}

pub(crate) fn orders() -> (Command, Orders) {
    let (stop, stopped) = watch::channel(false);
    let (updates, newest) = watch::channel(None);
    (Command { stop, updates }, Orders { stop: stopped, updates: newest })
}

impl Command {
    pub(crate) fn follow(&self, update: Update) {
        self.updates.send_replace(Some(Arc::new(update)));
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// The link has closed its connection and dropped its points.
    pub(crate) fn is_ended(&self) -> bool {
        self.stop.is_closed()
    }

    pub(crate) async fn ended(&self) {
        self.stop.closed().await;
    }
}

impl Orders {
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    /// Resolves when a stop is requested, or when the sender is dropped.
    pub(crate) async fn stopped(&mut self) {
        drop(self.stop.wait_for(|stopped| *stopped).await);
    }

    pub(crate) fn has_update(&self) -> bool {
        self.updates.has_changed().unwrap_or(false)
    }

    /// Resolves when there is an update that was not taken.
    pub(crate) async fn updated(&mut self) {
        if self.updates.changed().await.is_err() {
            // The stop is seen elsewhere.
            std::future::pending::<()>().await;
        }
    }

    /// Takes the newest update, if it was not taken before.
    pub(crate) fn take(&mut self) -> Option<Arc<Update>> {
        match self.updates.has_changed() {
            Ok(false) => None,
            // The last update counts also when its sender is gone.
            Ok(true) => self.updates.borrow_and_update().clone(),
            Err(_) => self.updates.borrow_and_update().clone(),
        }
    }
}
