//! `watch: true`: reloads when the files have changed and then rested.
//!
//! inotify only says when to look; how the files are now decides. So a noisy folder starts no reload, and file systems on
//! which inotify sees nothing are looked at all the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use inotify::{EventStream, Inotify, WatchMask};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::Reloader;
use crate::config::{self, Named};
use crate::ua::server::Server;

/// NFS and bind mounts report nothing.
const LISTING: Duration = Duration::from_secs(5);
/// Files are taken when they have not changed for this long.
const REST: Duration = Duration::from_secs(1);
/// Shortest time between two looks at the files.
const PAUSE: Duration = Duration::from_millis(100);

/// Never returns; its owner drops it.
pub(in crate::app) async fn watch(server: Arc<Server>, reloader: Arc<Reloader>) {
    let mut named = reloader.named();
    loop {
        if server.world().plan.watch {
            watch_until_off(&server, &reloader, &mut named).await;
        }
        if named.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn watch_until_off(server: &Server, reloader: &Reloader, named: &mut watch::Receiver<Arc<Named>>) {
    log::info!("the files are watched: a change reloads them");
    let mut taken = Arc::clone(&named.borrow_and_update());
    let mut events = events_of(&taken);
    let mut listing = tokio::time::interval(LISTING);
    listing.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Files of a reload that ended without reading them.
    let mut tried = None;
    loop {
        tokio::select! {
            () = next_event(&mut events) => tokio::time::sleep(PAUSE).await,
            _ = listing.tick() => {}
            changed = named.changed() => if changed.is_err() {
                return;
            },
        }
        if !server.world().plan.watch {
            log::info!("the files are no longer watched");
            return;
        }
        let latest = Arc::clone(&named.borrow_and_update());
        if latest != taken {
            events = events_of(&latest);
            taken = latest;
        }
        let Some(rested) = rested(&taken).await else { continue };
        // A reload that a user or a program asked for may have taken them meanwhile.
        let latest = Arc::clone(&named.borrow());
        if tried.as_ref() == Some(&rested) || look(&latest).await == *latest {
            continue;
        }
        log::info!("reload: {}", change_text(&latest, &rested));
        reloader.reload_and_log().await;
        tried = Some(rested);
    }
}

/// The files once they have rested; `None` where they are as they were taken.
async fn rested(taken: &Named) -> Option<Named> {
    let mut now = look(taken).await;
    while now != *taken {
        tokio::time::sleep(REST).await;
        let later = look(taken).await;
        if later == now {
            return Some(now);
        }
        now = later;
    }
    None
}

async fn look(named: &Named) -> Named {
    let named = named.clone();
    let looked = tokio::task::spawn_blocking(move || config::look_again(&named));
    looked.await.unwrap_or_default()
}

/// `cells/press.yaml and 2 more files changed`.
fn change_text(taken: &Named, now: &Named) -> String {
    let files = now.files.iter().filter(|file| !taken.files.contains(file)).map(|file| &file.path);
    let patterns = now.patterns.iter().filter(|pattern| !taken.patterns.contains(pattern)).map(|of| &of.pattern);
    let mut all = files.chain(patterns);
    let Some(first) = all.next() else { return "the files have changed".to_owned() };
    match all.count() {
        0 => format!("{} has changed", first.display()),
        more => format!("{} and {} have changed", first.display(), crate::model::count(more, "more file")),
    }
}

/// `None` where the system gives no inotify; the listing is left then.
fn events_of(named: &Named) -> Option<EventStream<[u8; 4096]>> {
    let start = || {
        let inotify = Inotify::init()?;
        for folder in folders(named) {
            let mask =
                WatchMask::CLOSE_WRITE | WatchMask::MODIFY | WatchMask::MOVE | WatchMask::DELETE | WatchMask::CREATE;
            if let Err(error) = inotify.watches().add(&folder, mask) {
                log::debug!("{} is only listed each 5 s: {error}", folder.display());
            }
        }
        inotify.into_event_stream([0; 4096])
    };
    let started: std::io::Result<_> = start();
    started.inspect_err(|error| log::warn!("the files are only listed each 5 s: {error}")).ok()
}

/// The folders of the files, of what links lead to, and of the part of each pattern before its first wildcard.
fn folders(named: &Named) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for file in &named.files {
        folders.insert(folder_of(&file.path));
        folders.extend(std::fs::canonicalize(&file.path).ok().map(|real| folder_of(&real)));
    }
    for of in &named.patterns {
        let is_plain = |part: &Path| !part.to_string_lossy().contains(['*', '?', '[']);
        folders.extend(of.pattern.ancestors().skip(1).find(|part| is_plain(part)).map(|part| whole(part.to_owned())));
        folders.extend(of.found.iter().map(|path| folder_of(path)));
    }
    folders
}

fn folder_of(path: &Path) -> PathBuf {
    whole(path.parent().map(Path::to_owned).unwrap_or_default())
}

fn whole(folder: PathBuf) -> PathBuf {
    if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder }
}

/// Waits for the next change; those that came at the same time are one.
async fn next_event(events: &mut Option<EventStream<[u8; 4096]>>) {
    let Some(stream) = events else { return std::future::pending().await };
    let mut next = stream.next().await;
    while let Some(Ok(_)) = next {
        match stream.next().now_or_never() {
            Some(more) => next = more,
            None => return,
        }
    }
    *events = None;
}
