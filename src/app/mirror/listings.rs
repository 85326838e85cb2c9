//! Listings on their way from drivers to the keeper of mirrors: the newest of each folder.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::drivers::{Folder, Listing};

#[derive(Debug, Default)]
pub(crate) struct Listings {
    waiting: Mutex<BTreeMap<Folder, Listing>>,
    news: Notify,
}

impl Listings {
    /// Never waits. There are as many folders as the files have, and each listing is bounded.
    pub(crate) fn put(&self, folder: &Folder, listing: Listing) {
        let mut waiting = self.waiting.lock();
        match waiting.get_mut(folder) {
            Some(before) => before.absorb(listing),
            None => drop(waiting.insert(folder.clone(), listing)),
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// All that wait.
    pub(super) fn take(&self) -> BTreeMap<Folder, Listing> {
        std::mem::take(&mut self.waiting.lock())
    }

    /// Resolves when there may be some.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }
}
