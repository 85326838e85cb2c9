//! The only loop that connects, polls, writes and connects again; one task a link.
//!
//! ```text
//!            ┌─ back-off 0.5 s … reconnect_max ±20 % ◄─ it never answered ─┐
//!            ▼                                                            │
//!        connect ──► poll: a write, else the most urgent read ──► link error
//!            ▲                            │                               │
//!            │◄── quiet close: ask again ◄┘        it has answered before │
//!            └────────────────────────────────────────────────────────────┘
//! ```
//! A device that closes a quiet connection is no fault: the link is opened again when the next request is due, and a read
//! that was only just sent is sent once more. Whatever the link waits for, each class of tags is checked at least
//! once a period, so that old tags become Uncertain and Bad in time.

mod ending;
mod exchange;
mod listening;
mod load;
mod notes;
mod polling;
mod pushed;
mod refresh;
mod state;
mod writing;

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::contract::{LinkError, Samples};
use super::feed::Feed;
use super::link::{Opened, Way};
use super::plan::{ConnectionPlan, PointPlan, by_period};
use super::schedule::Schedule;
use super::settings;
use crate::health;
use crate::model::{ConnectionIx, Plant};
use crate::tags::{Miss, TagStore};
pub use ending::Output;
pub(crate) use ending::STOP_WITHIN;
use load::Load;
use notes::Notes;
use pushed::{Heard, Pushed};
use state::{LinkState, miss_of};

/// Starts a task with a name. The owner of the tasks passes it in.
pub(crate) type Spawn<'a> = dyn FnMut(String, BoxFuture<'static, ()>) + 'a;

const BACK_OFF_FIRST: Duration = Duration::from_millis(500);
/// Polls in a row without any answer after which a link is opened again.
const SILENCE: u32 = 3;
/// A pushing link that was open for this long is opened again at once.
const HEALTHY: Duration = Duration::from_secs(10);
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Starts one task a link; connections with the same host and port or serial line share one. Nothing is opened
/// before the tasks run. They end when `stop` turns true; the result of each value of `on_stop` goes to `outputs`.
pub fn start(
    plans: Vec<ConnectionPlan>,
    plant: &Arc<Plant>,
    tags: &Arc<TagStore>,
    spawn: &mut Spawn<'_>,
    stop: &watch::Receiver<bool>,
    outputs: &mpsc::UnboundedSender<Output>,
) -> Vec<Arc<health::Link>> {
    let mut links: Vec<Vec<ConnectionPlan>> = Vec::new();
    for plan in plans.into_iter().filter(|plan| plan.enabled) {
        match links.iter_mut().find(|link| link[0].settings.shares_link(&plan.settings)) {
            Some(link) => link.push(plan),
            None => links.push(vec![plan]),
        }
    }
    let mut health = Vec::new();
    for connections in links {
        let mut link =
            Supervisor::new(connections, plant, tags, stop.clone(), outputs.clone(), Box::new(settings::open));
        health.push(Arc::clone(&link.state.health));
        let name = format!("link {}", link.state.health.name);
        spawn(name, async move { link.run().await }.boxed());
    }
    health
}

/// One link with its task.
struct Supervisor {
    connections: Vec<ConnectionPlan>,
    way: Way,
    state: LinkState,
    /// Opens the driver, again after a panic.
    make: Make,
    delay: Duration,
    samples: Samples,
    outputs: mpsc::UnboundedSender<Output>,
    /// Points with `write_every`.
    refreshes: Vec<refresh::Refresh>,
    /// Points that the driver refuses.
    refused: HashSet<u32>,
}

type Make = Box<dyn FnMut(&[ConnectionPlan]) -> Opened + Send>;

/// A stop was requested.
struct Stopped;

/// An attempt to open the link.
enum Opening {
    Done,
    Failed(LinkError),
}

impl Supervisor {
    fn new(
        connections: Vec<ConnectionPlan>,
        plant: &Arc<Plant>,
        tags: &Arc<TagStore>,
        stop: watch::Receiver<bool>,
        outputs: mpsc::UnboundedSender<Output>,
        mut make: Make,
    ) -> Supervisor {
        let ixs: Vec<ConnectionIx> = connections.iter().map(|connection| connection.ix).collect();
        let name = |plan: &ConnectionPlan| {
            let cell = plant.connections.get(plan.ix).map(|connection| usize::from(connection.cell));
            let cell = cell.and_then(|cell| plant.cells.get(cell)).map_or("", |cell| &cell.name);
            if cell.is_empty() { plan.name.clone() } else { format!("{cell}/{}", plan.name) }
        };
        let names: Vec<String> = connections.iter().map(name).collect();
        let Opened { link, refused } = make(&connections);
        let points: Vec<PointPlan> = connections.iter().flat_map(|connection| connection.points.clone()).collect();
        let bad: HashSet<u32> = refused.iter().map(|(point, _)| *point).collect();
        let now = Instant::now();
        let (feed, pushed) = match &link.0 {
            Way::Poll(_) => (Feed::new(0), None),
            Way::Push { .. } => (Feed::new(points.len()), Some(pushed_of(&points, &bad, plant, now))),
        };
        let mut supervisor = Supervisor {
            refreshes: refresh::of(&points, now),
            state: LinkState {
                queue: tags.attach(&ixs),
                plant: Arc::clone(plant),
                tags: Arc::clone(tags),
                health: Arc::new(health::Link::new(names.join(" + "), ixs)),
                schedule: Schedule::new(connections.len()),
                feed,
                pushed,
                places: points.iter().map(|point| point.tag).zip(0..).collect(),
                points,
                stop,
                connected: None,
                dead: true,
                why: Miss::NeverConnected,
                unanswered: 0,
                answered_since_connect: false,
                asked: 0,
                hangs_up: false,
                logged: String::new(),
                notes: Notes::default(),
                load: Load::new(now),
            },
            connections,
            way: link.0,
            make,
            delay: BACK_OFF_FIRST,
            samples: Samples::new(),
            outputs,
            refused: bad,
        };
        for (point, error) in refused {
            supervisor.state.refuse_point(point, &error.message);
        }
        supervisor.plan(now);
        supervisor
    }

    /// Plans the requests of a polling driver, from scratch.
    fn plan(&mut self, now: Instant) {
        let Way::Poll(poll) = &mut self.way else { return };
        poll.forget_plan();
        self.state.schedule.clear();
        for (period, points) in by_period(&self.state.points) {
            let points: Vec<u32> = points.into_iter().filter(|point| !self.refused.contains(point)).collect();
            let items = poll.plan(&points).into_iter().map(|ask| self.state.item(ask)).collect();
            let stale_after = |point: &u32| self.state.plant.tag(self.state.points[*point as usize].tag).stale_after;
            let stale_after = points.iter().map(stale_after).min().unwrap_or(period);
            self.state.schedule.add(period, stale_after, items, now);
        }
    }

    /// Runs until stop; after a panic of the driver its points are Bad, and the link waits for a back-off.
    async fn run(&mut self) {
        loop {
            let outcome = AssertUnwindSafe(self.serve()).catch_unwind().await;
            match outcome {
                Ok(Stopped) => break,
                Err(_) => self.recover().await,
            }
            if self.state.is_stopped() {
                break;
            }
        }
        self.finish().await;
    }

    async fn serve(&mut self) -> Stopped {
        loop {
            if let Err(stopped) = self.connect().await {
                return stopped;
            }
            let served = match self.way {
                Way::Poll(_) => self.poll().await,
                Way::Push { .. } => self.listen().await,
            };
            let error = match served {
                Ok(error) => error,
                Err(stopped) => return stopped,
            };
            let has_answered = self.may_open_at_once();
            self.lose(&error).await;
            let is_lost = matches!(error, LinkError::Closed { .. } | LinkError::Denied(_) | LinkError::Lost(_));
            // When one device is silent, others on the same link may be alive: it is opened at once.
            let is_polled = matches!(self.way, Way::Poll(_));
            let is_alive = is_polled && !is_lost && self.state.schedule.anyone_alive();
            // Where a device closes the link again and again, not every class is due at once.
            if !(is_alive || is_lost && has_answered) {
                self.state.schedule.restart(Instant::now());
            }
            if has_answered || is_alive && self.state.unanswered < SILENCE {
                continue;
            }
            self.state.dead = true;
            if self.wait().await.is_err() {
                return Stopped;
            }
        }
    }

    /// Opens the link, with as many attempts as it needs.
    async fn connect(&mut self) -> Result<(), Stopped> {
        let mut was_away = false;
        while let Opening::Failed(error) = self.open().await? {
            was_away = true;
            self.way.disconnect().await;
            self.state.dead = true;
            let why = match (&error, self.state.why) {
                (LinkError::Denied(_), _) => Miss::Denied,
                (_, Miss::NeverConnected) => Miss::NeverConnected,
                _ => Miss::LinkDown,
            };
            self.state.down(&error.to_string(), why);
            self.state.log_error(&error.to_string());
            if why == Miss::Denied {
                self.delay = self.longest_wait();
            }
            self.wait().await?;
        }
        if let Way::Poll(poll) = &mut self.way
            && poll.wants_plan()
        {
            self.plan(Instant::now());
        }
        if was_away {
            self.state.schedule.restart(Instant::now());
        }
        self.state.up();
        Ok(())
    }

    async fn open(&mut self) -> Result<Opening, Stopped> {
        let limit = self.connections.iter().map(|connection| connection.timeout).max().unwrap_or_default();
        let limit = limit.max(Duration::from_secs(1));
        // A reopened link keeps its samples; those of a lost one are older than the quality that its tags have now.
        match self.state.connected {
            Some(_) => self.state.take_fed(),
            None => self.state.feed.drain(|_, _| {}),
        }
        let attempt = timeout(limit, self.way.connect());
        Ok(match self.state.alongside(attempt).await? {
            Ok(Ok(())) => Opening::Done,
            Ok(Err(error)) => Opening::Failed(error),
            Err(_) => Opening::Failed(LinkError::Lost(format!("no connection within {} ms", limit.as_millis()))),
        })
    }

    /// Opens the link at once after the peer closed a quiet connection.
    async fn reopen(&mut self) -> Result<Opening, Stopped> {
        drop(timeout(CLOSE_WITHIN, self.way.disconnect()).await);
        let opened = self.open().await?;
        if matches!(opened, Opening::Done) {
            self.state.reopened();
        }
        Ok(opened)
    }

    async fn wait(&mut self) -> Result<(), Stopped> {
        let longest = self.longest_wait();
        let delay = self.delay.min(longest);
        self.delay = (delay * 2).min(longest);
        let jittered = delay.mul_f64(0.8 + 0.4 * fastrand::f64());
        self.state.alongside(sleep_until(Instant::now() + jittered)).await
    }

    fn longest_wait(&self) -> Duration {
        self.connections.iter().map(|connection| connection.reconnect_max).min().unwrap_or(BACK_OFF_FIRST)
    }

    /// No back-off for a link that has answered since it was opened: a device that closes a quiet connection is no fault.
    /// A pushing one may be sent a value by each connection, so it must have been open for a while.
    fn may_open_at_once(&self) -> bool {
        match self.way {
            Way::Poll(_) => self.state.answered_since_connect,
            Way::Push { .. } => self.state.connected.is_some_and(|since| since.elapsed() >= HEALTHY),
        }
    }

    async fn lose(&mut self, error: &LinkError) {
        let was_healthy = self.may_open_at_once();
        self.state.down(&error.to_string(), miss_of(error));
        self.state.log_error(&error.to_string());
        drop(timeout(CLOSE_WITHIN, self.way.disconnect()).await);
        if was_healthy {
            self.delay = BACK_OFF_FIRST;
        }
    }

    /// After a panic: the points are BadInternalError until the next attempt ends, and the driver is made again.
    async fn recover(&mut self) {
        log::error!("{}: its driver panicked; this is a bug in opcell, the link starts again", self.state.health.name);
        self.state.dead = true;
        self.state.take_fed();
        self.state.down("the driver panicked", Miss::Panicked);
        // Tasks of the broken driver may still hold the old feed.
        self.state.feed = Feed::new(self.state.feed.points());
        self.way = (self.make)(&self.connections).link.0;
        let now = Instant::now();
        self.plan(now);
        self.state.schedule.restart(now);
        self.state.all_missed();
        // On stop the loop around ends.
        drop(self.wait().await);
    }
}

/// The points that a pushing driver feeds.
fn pushed_of(points: &[PointPlan], refused: &HashSet<u32>, plant: &Plant, now: Instant) -> Pushed {
    let heard = |(at, point): (u32, &PointPlan)| {
        let stale_after = plant.tag(point.tag).stale_after;
        (point.read && !refused.contains(&at)).then_some(Heard { tag: point.tag, stale_after, last: now })
    };
    Pushed::new((0..).zip(points).map(heard).collect())
}

#[cfg(test)]
mod tests;
