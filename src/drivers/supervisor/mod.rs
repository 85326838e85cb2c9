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

mod changing;
mod claims;
mod ending;
mod exchange;
mod listening;
mod load;
mod notes;
mod orders;
mod polling;
mod pushed;
mod refresh;
mod requests;
mod state;
mod writing;

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::contract::{LinkError, Samples};
use super::feed::Feed;
use super::link::{Opened, Way};
use super::plan::{ConnectionPlan, PointPlan};
use super::schedule::Schedule;
use crate::health;
use crate::model::{Plant, TagId};
use crate::tags::{Miss, TagStore, WriteRequest};
use crate::value::UaTime;
use claims::Claims;
pub use ending::Output;
pub(crate) use ending::STOP_WITHIN;
use load::Load;
use notes::Notes;
use orders::Orders;
pub(super) use orders::{Command, Update, orders};
use pushed::{Heard, Pushed};
use requests::Requests;
use state::{LinkState, miss_of};

const BACK_OFF_FIRST: Duration = Duration::from_millis(500);
/// Polls in a row without any answer after which a link is opened again.
const SILENCE: u32 = 3;
/// A pushing link that was open for this long is opened again at once.
const HEALTHY: Duration = Duration::from_secs(10);
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Everything that a new link is given.
pub(super) struct Seat {
    pub connections: Arc<[ConnectionPlan]>,
    pub plant: Arc<Plant>,
    pub tags: Arc<TagStore>,
    pub health: Arc<health::Link>,
    pub queue: mpsc::Receiver<WriteRequest>,
    pub orders: Orders,
    /// The result of each value of `on_stop` goes here.
    pub outputs: mpsc::UnboundedSender<Output>,
    pub make: Make,
}

/// Makes the driver of connections that share a link. It opens nothing.
pub(super) type Make = Arc<dyn Fn(&[ConnectionPlan]) -> Opened + Send + Sync>;

/// Result of a time in which the link was used.
enum Ended {
    Failed(LinkError),
    /// Closed for new plans: it is opened again.
    Closed,
}

/// One link with its task.
pub(super) struct Supervisor {
    connections: Arc<[ConnectionPlan]>,
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
    claims: Claims,
    /// Plans that the link does not follow yet.
    pending: Option<Arc<Update>>,
    /// The link waits before it is opened again.
    has_panicked: bool,
    /// Tags whose `on_stop` value was reported, because the plans that are pending leave them out.
    reported: HashSet<TagId>,
}

/// A stop was requested.
struct Stopped;

/// An attempt to open the link.
enum Opening {
    Done,
    Failed(LinkError),
}

impl Supervisor {
    /// Opens nothing: `run` does.
    pub(super) fn new(seat: Seat) -> Supervisor {
        let Seat { connections, plant, tags, health, queue, orders, outputs, make } = seat;
        let Opened { link, refused } = make(&connections);
        let points: Vec<PointPlan> = connections.iter().flat_map(|plan| plan.points.iter().cloned()).collect();
        let bad: HashSet<u32> = refused.iter().map(|(point, _)| *point).collect();
        let now = Instant::now();
        let (feed, pushed) = match &link.0 {
            Way::Poll(_) => (Feed::new(0), None),
            Way::Push { .. } => (Feed::new(points.len()), Some(pushed_of(&points, &bad, &plant, now))),
        };
        let mut supervisor = Supervisor {
            refreshes: refresh::of(&points, now),
            claims: Claims::new(&tags, &points),
            state: LinkState {
                requests: Requests::new(queue),
                plant,
                tags,
                health,
                schedule: Schedule::new(connections.len()),
                feed,
                pushed,
                places: points.iter().map(|point| point.tag).zip(0..).collect(),
                points,
                orders,
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
            pending: None,
            has_panicked: false,
            reported: HashSet::new(),
        };
        for (point, error) in refused {
            supervisor.state.refuse_point(point, &error.message);
        }
        supervisor.plan(now);
        supervisor
    }

    /// Runs until stop; after a panic of the driver its points are Bad, and the link waits for a back-off.
    pub(super) async fn run(&mut self) {
        loop {
            let outcome = AssertUnwindSafe(self.serve()).catch_unwind().await;
            match outcome {
                Ok(Stopped) => break,
                Err(_) => self.recover(),
            }
            if self.state.orders.is_stopped() {
                break;
            }
        }
        self.finish().await;
    }

    async fn serve(&mut self) -> Stopped {
        if std::mem::take(&mut self.has_panicked)
            && let Err(stopped) = self.wait().await
        {
            return stopped;
        }
        loop {
            if let Err(stopped) = self.connect().await {
                return stopped;
            }
            let served = match self.way {
                Way::Poll(_) => self.poll().await,
                Way::Push { .. } => self.listen().await,
            };
            let error = match served {
                Ok(Ended::Failed(error)) => error,
                Ok(Ended::Closed) => continue,
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
        while self.state.connected.is_none() {
            if self.has_update() {
                self.follow().await?;
                continue;
            }
            let Opening::Failed(error) = self.open().await? else {
                self.opened();
                break;
            };
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
        if was_away {
            self.state.schedule.restart(Instant::now());
        }
        Ok(())
    }

    /// The link is open, after it was closed.
    fn opened(&mut self) {
        if let Way::Poll(poll) = &mut self.way
            && poll.wants_plan()
        {
            self.plan(Instant::now());
        }
        self.state.up();
    }

    async fn open(&mut self) -> Result<Opening, Stopped> {
        let limit = self.connections.iter().map(|connection| connection.timeout).max().unwrap_or_default();
        let limit = limit.max(Duration::from_secs(1)).max(self.way.connect_within());
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
        let until = Instant::now() + jittered;
        self.state.health.waits(UaTime::now().plus(jittered));
        let waited = self.wait_until(until).await;
        self.state.health.tries();
        waited
    }

    /// Waits, unless other settings come, which may be the remedy.
    async fn wait_until(&mut self, until: Instant) -> Result<(), Stopped> {
        loop {
            let mut orders = self.state.orders.clone();
            let ended = async {
                tokio::select! {
                    () = sleep_until(until) => {}
                    () = orders.updated() => {}
                }
            };
            self.state.alongside(ended).await?;
            if self.state.orders.has_update() {
                let before = Arc::clone(&self.connections);
                self.follow().await?;
                let is_unchanged = |new| before.iter().any(|old| old.is_unchanged(new));
                if self.state.connected.is_some() || !self.connections.iter().any(is_unchanged) {
                    return Ok(());
                }
            }
            if Instant::now() >= until {
                return Ok(());
            }
        }
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
    fn recover(&mut self) {
        log::error!("{}: its driver panicked; this is a bug in opcell, the link starts again", self.state.health.name);
        self.state.dead = true;
        self.state.take_fed();
        self.state.down("the driver panicked", Miss::Panicked);
        let state = &self.state;
        let (plant, connections) = (Arc::clone(&state.plant), Arc::clone(&self.connections));
        let present = Update { plant, connections, health: Arc::clone(&state.health) };
        // Plans that the link was about to follow, unless it ends: `finish` takes care of that.
        let pending = self.pending.clone().filter(|update| !update.connections.is_empty());
        if let Some(update) = &pending {
            for write in self.leaving(update) {
                self.report(write, Err("the driver panicked".to_owned()));
            }
            (self.pending, self.reported) = (None, HashSet::new());
        }
        let update = pending.as_deref().unwrap_or(&present);
        let (delay, logged) = (self.delay, self.state.logged.clone());
        let opened = (self.make)(&update.connections);
        // Tasks of the broken driver may still hold the old feed; this makes another.
        self.settle(update, opened, false);
        (self.delay, self.state.logged, self.state.dead) = (delay, logged, true);
        self.state.all_missed();
        self.has_panicked = true;
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
