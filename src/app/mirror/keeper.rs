//! Keeps mirrors as their devices list: asks after each connect, takes what devices list by themselves, and reloads.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::listings::Listings;
use super::store::{Lister, Store, Taken};
use crate::app::reload::{MirrorReload, Reloader};
use crate::drivers::{self, Application, BrowsePlan, ConnectionPlan, Folder, Listing, Mirroring};
use crate::health::State;
use crate::model::{ConnectionIx, count};
use crate::tags::Stamp;
use crate::ua::server::Server;
use crate::value::UaTime;

/// Time between two looks at the connections.
const LOOK: Duration = Duration::from_millis(200);
/// A listing that failed is tried again after this time, while the connection is there.
const AGAIN: Duration = Duration::from_secs(30);
/// Time between two reloads: it grows while devices list something else each time.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// After this time without a change the pause is the shortest again.
const CALM: Duration = Duration::from_secs(600);

/// The connections whose folders mirror, of the running revision.
pub(crate) type Browsing = watch::Receiver<Arc<[ConnectionPlan]>>;

/// Everything that a keeper needs.
pub(crate) struct Keeper {
    pub server: Arc<Server>,
    pub reloader: Arc<Reloader>,
    pub store: Arc<Store>,
    pub listings: Arc<Listings>,
    pub application: Arc<dyn Application>,
    pub browsing: Browsing,
}

/// A listing that ended.
struct Listed {
    connection: ConnectionIx,
    plan: BrowsePlan,
    outcome: Result<Listing, String>,
}

/// The last listing of a folder.
#[derive(Debug, Clone, PartialEq)]
struct Last {
    connected: UaTime,
    plan: BrowsePlan,
    /// It failed, and is due again at this time.
    again: Option<Instant>,
}

/// Never returns; its owner drops it.
pub(crate) async fn run(keeper: Keeper) {
    let Keeper { server, reloader, store, listings, application, mut browsing } = keeper;
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way: FuturesUnordered<BoxFuture<'static, Listed>> = FuturesUnordered::new();
    let mut lasts: HashMap<Folder, Last> = HashMap::new();
    let mut busy: HashSet<ConnectionIx> = HashSet::new();
    let mut pace = Pace::new(Instant::now());
    let mut told: HashMap<Folder, BrowsePlan> = HashMap::new();
    loop {
        let plans = Arc::clone(&browsing.borrow_and_update());
        tell(&plans, &mut told);
        let wanted: HashSet<Folder> =
            plans.iter().flat_map(|plan| plan.browses.iter()).map(|browse| browse.folder.clone()).collect();
        lasts.retain(|folder, _| wanted.contains(folder));
        store.keep_only(&wanted);
        for plan in plans.iter() {
            let Some((connected, browse)) = due(plan, &server, &lasts).filter(|_| !busy.contains(&plan.ix)) else {
                continue;
            };
            busy.insert(plan.ix);
            lasts.insert(browse.folder.clone(), Last { connected, plan: asked(browse), again: None });
            under_way.push(Box::pin(list(plan.clone(), asked(browse), Arc::clone(&application))));
        }
        if pace.is_due(Instant::now()) {
            pace.reload(&reloader).await;
        }
        tokio::select! {
            _ = look.tick() => {}
            () = listings.news() => {}
            changed = browsing.changed() => if changed.is_err() {
                return std::future::pending().await;
            },
            Some(listed) = under_way.next(), if !under_way.is_empty() => {
                let Listed { connection, plan, outcome } = listed;
                busy.remove(&connection);
                match outcome {
                    Ok(listing) => listings.put(&plan.folder, listing),
                    Err(error) => {
                        log::warn!("mirror {}: {error}; listed again in {} s", plan.folder.path, AGAIN.as_secs());
                        if let Some(last) = lasts.get_mut(&plan.folder) {
                            last.again = Some(Instant::now() + AGAIN);
                        }
                    }
                }
            }
        }
        let plans = Arc::clone(&browsing.borrow());
        for (folder, listing) in listings.take() {
            let (plans, store) = (Arc::clone(&plans), Arc::clone(&store));
            // It names up to a million nodes, and waits for the disk.
            let of = folder.clone();
            let taken = tokio::task::spawn_blocking(move || take(&plans, &store, &of, listing)).await;
            match taken {
                Ok(taken) if taken.is_change() => {
                    reloader.undisturbed(|| hold(&server, &browsing.borrow(), &folder, &taken)).await;
                    pace.changed(Instant::now());
                }
                Ok(_) => {}
                Err(error) => log::error!("mirror: a listing was not taken: {error}"),
            }
        }
    }
}

/// A folder's keys, without what is mirrored now.
fn asked(plan: &BrowsePlan) -> BrowsePlan {
    BrowsePlan { mirrored: 0, refused: 0, descriptions: 0, ..plan.clone() }
}

/// A folder of a connected device that was not listed since it connected.
fn due<'p>(
    plan: &'p ConnectionPlan,
    server: &Server,
    lasts: &HashMap<Folder, Last>,
) -> Option<(UaTime, &'p BrowsePlan)> {
    let driver = drivers::driver(plan.settings.driver())?;
    if driver.mirrors != Mirroring::Connected {
        return None;
    }
    let world = server.world();
    let state = world.links.iter().find_map(|link| link.of(plan.ix))?;
    let connected = state.connected_since.filter(|_| state.state == State::Connected)?;
    let is_due = |browse: &&BrowsePlan| {
        let Some(last) = lasts.get(&browse.folder) else { return true };
        let is_same = last.connected == connected && last.plan == asked(browse);
        !is_same || last.again.is_some_and(|again| Instant::now() >= again)
    };
    plan.browses.iter().find(is_due).map(|browse| (connected, browse))
}

async fn list(plan: ConnectionPlan, browse: BrowsePlan, application: Arc<dyn Application>) -> Listed {
    let alone = plan.scan();
    let listing = drivers::browse(&alone, Some(&application), &browse.start);
    // A panic of one driver must not end the mirrors of all.
    let listed = AssertUnwindSafe(listing).catch_unwind().await;
    let outcome = listed.map_or_else(
        |_| Err("the listing ended unexpectedly".to_owned()),
        |listed| listed.map_err(|error| error.to_string()),
    );
    Listed { connection: plan.ix, plan: browse, outcome }
}

/// Keeps a listing, and says what it lacks.
fn take(plans: &[ConnectionPlan], store: &Store, folder: &Folder, listing: Listing) -> Taken {
    let mut all = plans.iter().flat_map(|plan| plan.browses.iter().map(move |browse| (plan, browse)));
    let Some((plan, browse)) = all.find(|(_, browse)| browse.folder == *folder) else { return Taken::default() };
    let (untyped, is_cut) = (listing.untyped, listing.is_cut);
    let taken = store.take(Lister { folder, driver: plan.settings.driver(), start: &browse.start }, listing);
    let name = &folder.path;
    if taken.is_change() {
        let Taken { added, changed, gone, .. } = &taken;
        log::info!("mirror {name}: {added} new, {changed} changed, {gone} gone on {}", plan.name);
        if untyped > 0 {
            log::info!("mirror {name}: {} left out, for no tag has their type", count(untyped, "node"));
        }
        if taken.left_out > 0 {
            log::warn!("mirror {name}: {} left out, for their names are too long", count(taken.left_out, "node"));
        }
        if is_cut {
            let most = browse.start.most;
            log::warn!("mirror {name}: there are more than {most} nodes, the others are left out; raise `max_nodes`");
        }
    }
    taken
}

/// Takes the values from the tags that mean something else now, until the reload that gives them their new unit, range or texts. That
/// may have happened since the listing was kept; no other may begin meanwhile.
fn hold(server: &Server, plans: &[ConnectionPlan], folder: &Folder, taken: &Taken) {
    let mut all = plans.iter().flat_map(|plan| plan.browses.iter().map(move |browse| (plan, browse)));
    let Some((plan, browse)) = all.find(|(_, browse)| browse.folder == *folder) else { return };
    if taken.redescribed.is_empty() || browse.descriptions >= taken.descriptions {
        return;
    }
    let redescribed: HashSet<&str> = taken.redescribed.iter().map(String::as_str).collect();
    let tags = plan.points.iter().filter(|point| redescribed.contains(&*point.address)).map(|point| point.tag);
    server.tags.hold(&server.world().plant, tags, Stamp::now());
}

/// Says what could not be made of a folder, once.
fn tell(plans: &[ConnectionPlan], told: &mut HashMap<Folder, BrowsePlan>) {
    let mut now = HashMap::new();
    for browse in plans.iter().flat_map(|plan| plan.browses.iter()) {
        if browse.refused > 0 && told.get(&browse.folder) != Some(browse) {
            let (name, refused) = (&browse.folder.path, count(browse.refused, "node"));
            log::warn!("mirror {name}: {refused} left out, of which no tag can be made");
        }
        now.insert(browse.folder.clone(), browse.clone());
    }
    *told = now;
}

/// When the next reload may be.
struct Pace {
    is_changed: bool,
    next: Instant,
    pause: Duration,
    last: Instant,
}

impl Pace {
    fn new(now: Instant) -> Pace {
        Pace { is_changed: false, next: now, pause: PAUSE, last: now }
    }

    fn changed(&mut self, now: Instant) {
        if now.duration_since(self.last) > CALM {
            self.pause = PAUSE;
        }
        self.is_changed = true;
    }

    fn is_due(&self, now: Instant) -> bool {
        self.is_changed && now >= self.next
    }

    async fn reload(&mut self, reloader: &Reloader) {
        let done = reloader.reload_mirrored().await;
        let now = Instant::now();
        (self.next, self.last) = (now + self.pause, now);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.is_changed = false;
        match done {
            MirrorReload::Done => {}
            MirrorReload::OtherFiles => {
                log::warn!(
                    "mirror: the files have changed since they were read; the new nodes come with the next reload"
                );
            }
            MirrorReload::Failed(why) => log::error!("mirror: the new nodes cannot be taken: {why}"),
        }
    }
}
