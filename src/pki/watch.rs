//! Keeps the store as the folders are: told by inotify, and by a listing for folders that inotify does not see.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use tokio::time::MissedTickBehavior;

use super::Pki;
use super::folders::{DECISIVE, fingerprint};
use super::rejected::{Rejected, Rejection, Waiting};
use crate::logging;
use crate::value::UaTime;

/// NFS and bind mounts tell nothing.
const LISTING: Duration = Duration::from_secs(5);
/// A file is written in steps; wait for the last.
const SETTLE: Duration = Duration::from_millis(50);

impl Pki {
    /// Never returns; its owner drops it. A second call only waits. Cancel-safe.
    pub async fn watch(self: Arc<Self>) {
        let Some(mut rejections) = self.waiting.lock().take() else { return std::future::pending().await };
        let mut changes = self.told_of_changes();
        let mut listing = tokio::time::interval(LISTING);
        listing.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Nothing is known of the time between `open` and now, so the first listing reads all.
        let mut known = None;
        let mut rejected = Rejected::default();
        loop {
            let is_told = tokio::select! {
                () = next_change(&mut changes) => true,
                _ = listing.tick() => false,
                rejection = next_rejection(&mut rejections) => {
                    rejected = self.note(rejected, rejection).await;
                    continue;
                }
            };
            if is_told {
                tokio::time::sleep(SETTLE).await;
            }
            let pki = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || pki.look(known, is_told)).await;
            known = looked.ok();
        }
    }

    /// Reads the folders when something changed; tells how they are now.
    fn look(&self, known: Option<Fingerprint>, is_told: bool) -> Fingerprint {
        let now = fingerprint(&self.dir);
        if (is_told || known.as_ref() != Some(&now))
            && let Err(error) = self.reload()
        {
            log::warn!("certificates stay as they were: {error}");
        }
        now
    }

    /// Writes down the certificates that were refused, where nothing watches the folders.
    pub(crate) fn file_refused(&self) {
        let Some(mut rejections) = self.waiting.lock().take() else { return };
        let (folder, mut rejected) = (self.dir.join("rejected"), Rejected::default());
        while let Ok(rejection) = rejections.try_recv() {
            if let Err(error) = rejected.note(&folder, &rejection, UaTime::now().unix_seconds()) {
                let line = format_args!("{}: a refused certificate is not written down: {error}", folder.display());
                logging::limited(log::Level::Warn, "refused certificate not written", None, line);
            }
        }
    }

    async fn note(self: &Arc<Self>, mut rejected: Rejected, rejection: Rejection) -> Rejected {
        let folder = self.dir.join("rejected");
        rejected.note_lost(self.lost_rejections.swap(0, Ordering::Relaxed));
        let noted = tokio::task::spawn_blocking(move || {
            if let Err(error) = rejected.note(&folder, &rejection, UaTime::now().unix_seconds()) {
                let line = format_args!("{}: a refused certificate is not written down: {error}", folder.display());
                logging::limited(log::Level::Warn, "refused certificate not written", None, line);
            }
            rejected
        });
        noted.await.unwrap_or_default()
    }

    /// `None` where the system gives no inotify; the listing is left then.
    fn told_of_changes(&self) -> Option<EventStream<[u8; 4096]>> {
        let start = || {
            let inotify = Inotify::init()?;
            for folder in DECISIVE.map(|name| self.dir.join(name)) {
                for folder in [folder.clone(), folder.join("certs"), folder.join("crl")] {
                    if folder.is_dir() {
                        let mask = WatchMask::CLOSE_WRITE | WatchMask::MOVE | WatchMask::DELETE | WatchMask::CREATE;
                        inotify.watches().add(&folder, mask)?;
                    }
                }
            }
            inotify.into_event_stream([0; 4096])
        };
        let started: std::io::Result<_> = start();
        started.inspect_err(|error| log::warn!("the certificate folders are only listed each 5 s: {error}")).ok()
    }
}

type Fingerprint = Vec<(std::path::PathBuf, u64, Option<std::time::SystemTime>)>;

async fn next_change(changes: &mut Option<EventStream<[u8; 4096]>>) {
    let Some(stream) = changes else { return std::future::pending().await };
    match stream.next().await {
        Some(Ok(_)) => {}
        Some(Err(_)) | None => *changes = None,
    }
}

async fn next_rejection(waiting: &mut Waiting) -> Rejection {
    match waiting.recv().await {
        Some(rejection) => rejection,
        None => std::future::pending().await,
    }
}
