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
//! that was only just sent is sent once more. Whatever the link waits for, each class of tags is looked after at least
//! once a period, so that quality falls in time.

mod state;
mod ending;
mod exchange;
mod load;
mod notes;
mod refresh;

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use opcua::StatusCode;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::schedule::{At, Item, Schedule, Step};
use super::{ConnectionPlan, LinkError, PointPlan, Protocol, Samples, Settings, modbus, simulator};
use crate::health;
use crate::model::ConnectionIx;
use crate::tags::{Miss, Stamp, TagStore, Write, WriteRequest};
use state::LinkState;
pub use ending::{Output, STOP_WITHIN};
use exchange::{Ask, Told};
use load::Load;
use notes::Notes;

/// How a task comes to life: its name and itself. Who owns the tasks passes it in.
pub type Spawn<'a> = dyn FnMut(String, BoxFuture<'static, ()>) + 'a;

const BACK_OFF_FIRST: Duration = Duration::from_millis(500);
/// Polls in a row without any answer after which a link is opened again.
const SILENCE: u32 = 3;
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Starts one task a link; connections with the same host and port or serial line share one. Nothing is opened
/// before the tasks run. They end when `stop` turns true; what became of each value of `on_stop` goes to `outputs`.
pub fn start(
    plans: Vec<ConnectionPlan>,
    tags: &Arc<TagStore>,
    spawn: &mut Spawn<'_>,
    stop: &watch::Receiver<bool>,
    outputs: &mpsc::UnboundedSender<Output>,
) -> Vec<Arc<health::Link>> {
    let mut links: Vec<Vec<ConnectionPlan>> = Vec::new();
    for plan in plans.into_iter().filter(|plan| plan.enabled) {
        match links.iter_mut().find(|link| shares_link(&link[0], &plan)) {
            Some(link) => link.push(plan),
            None => links.push(vec![plan]),
        }
    }
    let mut health = Vec::new();
    for connections in links {
        let mut link = Link::new(connections, tags, stop.clone(), outputs.clone(), Box::new(protocol));
        health.push(Arc::clone(&link.state.health));
        let name = format!("link {}", link.state.health.name);
        spawn(name, async move { link.run().await }.boxed());
    }
    health
}

fn shares_link(one: &ConnectionPlan, other: &ConnectionPlan) -> bool {
    let target = modbus::link_of(&one.settings);
    target.is_some() && target == modbus::link_of(&other.settings)
}

fn protocol(connections: &[ConnectionPlan]) -> Made {
    match &connections[0].settings {
        Settings::Simulator(settings) => {
            let (simulator, refused) = simulator::Simulator::new(settings, &connections[0].points);
            (Box::new(simulator), refused)
        }
        Settings::ModbusTcp(_) | Settings::ModbusRtu(_) => {
            let (master, refused) = modbus::Master::new(connections).expect("all of the link are Modbus");
            (Box::new(master), refused)
        }
    }
}

fn miss_of(error: &LinkError) -> Miss {
    match error {
        LinkError::Timeout { .. } => Miss::Silent,
        LinkError::Garbage { .. } => Miss::Garbage,
        LinkError::Closed { .. } | LinkError::Lost(_) => Miss::LinkDown,
    }
}

struct Link {
    connections: Vec<ConnectionPlan>,
    protocol: Box<dyn Protocol>,
    state: LinkState,
    /// Makes the protocol, again after a panic.
    make: Make,
    delay: Duration,
    samples: Samples,
    outputs: mpsc::UnboundedSender<Output>,
    /// Points with `write_every`.
    refreshes: Vec<refresh::Refresh>,
}

/// A protocol for the connections of a link, and the points that it refuses, with the reason.
type Made = (Box<dyn Protocol>, Vec<(u32, super::PointError)>);
type Make = Box<dyn FnMut(&[ConnectionPlan]) -> Made + Send>;

/// Stop was asked for.
struct Stopped;

impl Link {
    fn new(
        connections: Vec<ConnectionPlan>,
        tags: &Arc<TagStore>,
        stop: watch::Receiver<bool>,
        outputs: mpsc::UnboundedSender<Output>,
        mut make: Make,
    ) -> Link {
        let plant = tags.plant();
        let ixs: Vec<ConnectionIx> = connections.iter().map(|connection| connection.ix).collect();
        let name = |plan: &ConnectionPlan| {
            let cell = plant.connections.get(plan.ix.0 as usize).map(|connection| usize::from(connection.cell));
            let cell = cell.and_then(|cell| plant.cells.get(cell)).map_or("", |cell| &cell.name);
            if cell.is_empty() { plan.name.clone() } else { format!("{cell}/{}", plan.name) }
        };
        let names: Vec<String> = connections.iter().map(name).collect();
        let (protocol, refused) = make(&connections);
        let points: Vec<PointPlan> = connections.iter().flat_map(|connection| connection.points.clone()).collect();
        let mut link = Link {
            refreshes: refresh::of(&points, Instant::now()),
            state: LinkState {
                queue: tags.attach(&ixs),
                tags: Arc::clone(tags),
                health: Arc::new(health::Link::new(names.join(" + "), ixs)),
                schedule: Schedule::new(connections.len()),
                places: points.iter().map(|point| point.tag).zip(0..).collect(),
                points,
                stop,
                connected: false,
                dead: true,
                why: Miss::NeverConnected,
                silence: 0,
                answered_since_connect: false,
                asked: 0,
                hangs_up: false,
                logged: String::new(),
                notes: Notes::default(),
                load: Load::new(Instant::now()),
            },
            connections,
            protocol,
            make,
            delay: BACK_OFF_FIRST,
            samples: Samples::new(),
            outputs,
        };
        let bad: HashSet<u32> = refused.iter().map(|(point, _)| *point).collect();
        for (point, error) in refused {
            link.state.refuse_point(point, &error.message);
        }
        link.plan(&bad);
        link
    }

    fn plan(&mut self, refused: &HashSet<u32>) {
        let now = Instant::now();
        for (period, points) in super::by_period(&self.state.points) {
            let points: Vec<u32> = points.into_iter().filter(|point| !refused.contains(point)).collect();
            let item = |block: super::batch::Block| {
                let tags = block.spans.iter().map(|span| self.state.points[(span.id >> 1) as usize].tag).collect();
                let device = self.protocol.device(&block);
                Item::new(block, device, tags)
            };
            let items = self.protocol.plan(&points).into_iter().map(item).collect();
            let stale_after =
                |point: &u32| self.state.tags.plant().tag(self.state.points[*point as usize].tag).stale_after;
            let stale_after = points.iter().map(stale_after).min().unwrap_or(period);
            self.state.schedule.add(period, stale_after, items, now);
        }
    }

    /// Runs until stop; a panic of the protocol costs its points their quality and the link a back-off.
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
            let error = match self.poll().await {
                Ok(error) => error,
                Err(stopped) => return stopped,
            };
            let has_answered = self.state.answered_since_connect;
            self.lose(&error).await;
            let is_lost = matches!(error, LinkError::Closed { .. } | LinkError::Lost(_));
            // When one device is silent others behind the same link may be alive: it is opened at once.
            let is_alive = !is_lost && self.state.schedule.anyone_alive();
            // Not everything at once where a device closes the link again and again.
            if !(is_alive || is_lost && has_answered) {
                self.state.schedule.restart(Instant::now());
            }
            if has_answered || is_alive && self.state.silence < SILENCE {
                continue;
            }
            self.state.dead = true;
            if self.wait().await.is_err() {
                return Stopped;
            }
        }
    }

    /// Tries until it works.
    async fn connect(&mut self) -> Result<(), Stopped> {
        let mut was_away = false;
        while let Err(error) = self.open().await? {
            was_away = true;
            self.protocol.disconnect().await;
            self.state.dead = true;
            let never = self.state.why == Miss::NeverConnected;
            self.state.down(&error.to_string(), if never { Miss::NeverConnected } else { Miss::LinkDown });
            self.state.tell_trouble(&error.to_string());
            self.wait().await?;
        }
        if was_away {
            self.state.schedule.restart(Instant::now());
        }
        self.state.up();
        Ok(())
    }

    async fn open(&mut self) -> Result<Result<(), LinkError>, Stopped> {
        let limit = self.connections.iter().map(|connection| connection.timeout).max().unwrap_or_default();
        let limit = limit.max(Duration::from_secs(1));
        let attempt = timeout(limit, self.protocol.connect());
        Ok(self.state.alongside(attempt).await?.unwrap_or_else(|_| {
            let text = format!("no connection within {} ms", limit.as_millis());
            Err(LinkError::Lost(text))
        }))
    }

    /// Opens the link at once after the peer closed a quiet connection; gives the error when that fails.
    async fn reopen(&mut self) -> Result<Result<(), LinkError>, Stopped> {
        drop(timeout(CLOSE_WITHIN, self.protocol.disconnect()).await);
        let opened = self.open().await?;
        if opened.is_ok() {
            self.state.reopened();
        }
        Ok(opened)
    }

    async fn wait(&mut self) -> Result<(), Stopped> {
        let longest =
            self.connections.iter().map(|connection| connection.reconnect_max).min().unwrap_or(BACK_OFF_FIRST);
        let delay = self.delay.min(longest);
        self.delay = (delay * 2).min(longest);
        let jittered = delay.mul_f64(0.8 + 0.4 * fastrand::f64());
        self.state.alongside(sleep_until(Instant::now() + jittered)).await
    }

    async fn lose(&mut self, error: &LinkError) {
        self.state.down(&error.to_string(), miss_of(error));
        self.state.tell_trouble(&error.to_string());
        drop(timeout(CLOSE_WITHIN, self.protocol.disconnect()).await);
        if self.state.answered_since_connect {
            self.delay = BACK_OFF_FIRST;
        }
    }

    /// Writes and reads until the link fails.
    async fn poll(&mut self) -> Result<LinkError, Stopped> {
        let mut ended = Vec::new();
        loop {
            if self.state.is_stopped() {
                return Err(Stopped);
            }
            if let Some(error) = self.waiting_write().await? {
                return Ok(error);
            }
            let step = self.state.schedule.step(Instant::now(), &mut ended);
            for scan in ended.drain(..) {
                self.state.health.scanned(scan.took);
                self.state.health.overruns.fetch_add(scan.skipped.into(), Ordering::Relaxed);
            }
            self.state.judge_load();
            match step {
                Step::Read(at) => {
                    if let Some(error) = self.read(at).await? {
                        return Ok(error);
                    }
                }
                Step::Wait(until) => {
                    if let Some(error) = self.refresh().await? {
                        return Ok(error);
                    }
                    let until = self.next_refresh().map_or(until, |due| until.min(due));
                    if let Some(request) = self.state.idle(until).await?
                        && let Err(error) = self.write(request).await?
                    {
                        return Ok(error);
                    }
                }
            }
        }
    }

    /// A write request that waits, if there is one; gives the error that ends the link.
    async fn waiting_write(&mut self) -> Result<Option<LinkError>, Stopped> {
        match self.state.queue.try_recv() {
            Ok(request) => Ok(self.write(request).await?.err()),
            Err(_) => Ok(None),
        }
    }

    /// One block, repeated as `retries` says; a write waits for one request at most, so it goes in between. Gives
    /// the error that ends the link.
    async fn read(&mut self, at: At) -> Result<Option<LinkError>, Stopped> {
        let device = self.state.schedule.item(at).device;
        // A demoted device gets one chance, so that it costs its neighbours little.
        let mut left = if self.state.schedule.is_demoted(device) { 0 } else { self.connections[device].retries };
        let mut may_reopen = self.state.answered_since_connect;
        loop {
            self.samples.clear();
            let block = self.state.schedule.item(at).block.clone();
            self.state.ask(device);
            let began = Instant::now();
            let read = self.protocol.read(&block, &mut self.samples);
            let read = self.state.alongside(read).await?;
            self.state.remark(self.protocol.remark());
            let mut error = match read {
                Ok(answer) => {
                    self.state.load.answered(began.elapsed());
                    self.state.answer(at, answer, &self.samples);
                    refresh::note(&mut self.refreshes, &self.samples, Instant::now());
                    return self.refresh().await;
                }
                Err(error) => error,
            };
            if matches!(error, LinkError::Closed { .. }) && std::mem::take(&mut may_reopen) {
                match self.reopen().await? {
                    Ok(()) => continue,
                    Err(failed) => error = failed,
                }
            }
            self.state.count(device, &error);
            if error.is_usable() && left > 0 {
                left -= 1;
                match self.waiting_write().await? {
                    None => continue,
                    ended => return Ok(ended),
                }
            }
            return Ok(self.state.miss(at, error));
        }
    }

    /// All writes of a request, each once; the inner error ends the link.
    async fn write(&mut self, request: WriteRequest) -> Result<Result<(), LinkError>, Stopped> {
        let mut statuses = Vec::with_capacity(request.writes.len());
        let mut broken = Ok(());
        let mut done = HashSet::new();
        for write in &request.writes {
            if broken.is_err() {
                statuses.push(StatusCode::BadNoCommunication);
                continue;
            }
            if Instant::now() >= request.expires {
                statuses.push(StatusCode::BadTimeout);
                continue;
            }
            let (status, error) = self.write_one(write).await?;
            if status.is_good() {
                done.insert(write.tag);
            }
            statuses.push(status);
            if let Some(error) = error {
                broken = Err(error);
            }
        }
        // Clients see the device's own value at once, not a poll later.
        if !done.is_empty() {
            self.state.schedule.read_again(&done);
        }
        // The client may have given up waiting.
        drop(request.reply.send(statuses));
        Ok(broken)
    }

    async fn write_one(&mut self, write: &Write) -> Result<(StatusCode, Option<LinkError>), Stopped> {
        let Some(point) = self.state.places.get(&write.tag).copied() else {
            return Ok((StatusCode::BadConfigurationError, None));
        };
        let raw = match self.raw_of(point, write).await? {
            Ok(raw) => raw,
            Err(failed) => return Ok(failed),
        };
        let status = match self.exchange(point, Ask::Value(&raw, write.first.unwrap_or(0))).await? {
            Ok(Told::Status(status) | Told::Exponent(Err(status))) => status,
            Ok(Told::Exponent(Ok(_))) => StatusCode::BadInternalError,
            Err(failed) => return Ok(failed),
        };
        if status.is_good() && !self.state.points[point as usize].read && write.first.is_none() {
            self.state.tags.show_written(write.tag, &write.value, Stamp::now());
        }
        Ok((status, None))
    }

    /// After a panic: the points say so until the next attempt ends, and the protocol is made again.
    async fn recover(&mut self) {
        log::error!("{}: its driver panicked; this is a bug in opcell, the link starts again", self.state.health.name);
        self.state.dead = true;
        self.state.down("the driver panicked", Miss::Panicked);
        self.protocol = (self.make)(&self.connections).0;
        self.state.schedule.restart(Instant::now());
        self.state.all_missed();
        // On stop the loop around ends.
        drop(self.wait().await);
    }
}

#[cfg(test)]
mod tests;
