//! State of a link, and the work that continues while its protocol is busy: tags grow old, writes are refused.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::{Instant, sleep_until, timeout};

use super::load::{Load, News};
use super::notes::Notes;
use super::orders::Orders;
use super::pushed::Pushed;
use super::requests::Requests;
use super::{CLOSE_WITHIN, SILENCE, Stopped};
use crate::drivers::contract::{Answer, LinkError, Refusal, Samples};
use crate::drivers::feed::Feed;
use crate::drivers::plan::PointPlan;
use crate::drivers::poll::{Ask, RequestIx};
use crate::drivers::schedule::{At, Item, Schedule};
use crate::health;
use crate::model::{Plant, TagId};
use crate::tags::{Lapse, Miss, RawSample, Stamp, TagStore, WriteRequest};
use crate::value::UaTime;

/// State of a link, next to its driver.
pub(super) struct LinkState {
    /// The revision of the plant that the points are of.
    pub plant: Arc<Plant>,
    pub tags: Arc<TagStore>,
    pub health: Arc<health::Link>,
    /// Empty for a pushing driver.
    pub schedule: Schedule,
    /// Samples of a pushing driver; without a place for a polling one.
    pub feed: Feed,
    /// Quality of the tags of a pushing driver.
    pub pushed: Option<Pushed>,
    pub points: Vec<PointPlan>,
    pub places: HashMap<TagId, u32>,
    pub requests: Requests,
    pub orders: Orders,
    /// Since when the link is open.
    pub connected: Option<Instant>,
    /// Not connected, and no attempt is likely to succeed soon: writes are refused at once. While a lost link is
    /// opened again for the first time, writes wait.
    pub dead: bool,
    /// Reason for tags without a new value.
    pub why: Miss,
    /// Requests in a row without an answer.
    pub unanswered: u32,
    pub answered_since_connect: bool,
    /// Requests on the present connection.
    pub asked: u32,
    /// The device closes the connection after each reply.
    pub hangs_up: bool,
    /// The error that was logged last; empty after an answer.
    pub logged: String,
    pub notes: Notes,
    pub load: Load,
}

/// Splits a request that the device refuses as a whole.
pub(super) type Split<'a> = dyn FnMut(RequestIx) -> Option<[Ask<RequestIx>; 2]> + 'a;

pub(super) fn item_of(points: &[PointPlan], ask: Ask<RequestIx>) -> Item {
    let tags = ask.points.iter().map(|point| points[*point as usize].tag).collect();
    Item::new(ask.request, ask.device, tags)
}

pub(super) fn miss_of(error: &LinkError) -> Miss {
    match error {
        LinkError::Timeout { .. } => Miss::Silent,
        LinkError::Garbage { .. } => Miss::Garbage,
        LinkError::Denied(_) => Miss::Denied,
        LinkError::Closed { .. } | LinkError::Lost(_) => Miss::LinkDown,
    }
}

impl LinkState {
    /// Awaits `work` while tags grow old and, in a dead link, writes are refused. On stop a request under way may
    /// end within a second.
    pub(crate) async fn alongside<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        let mut work = std::pin::pin!(work);
        let mut orders = self.orders.clone();
        loop {
            let sweep = self.next_sweep();
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = orders.stopped() => {
                    if self.connected.is_some() {
                        return timeout(CLOSE_WITHIN, work).await.map_err(|_| {
                            self.connected = None;
                            Stopped
                        });
                    }
                    return Err(Stopped);
                }
                Some(request) = self.requests.next(), if self.dead => self.refuse(request),
                // Before the link is open, a sample would be overtaken by the quality of a lost link.
                () = self.feed.news(), if self.connected.is_some() => self.take_fed(),
                () = sleep_until(sweep) => self.sweep(),
            }
        }
    }

    /// Waits for a write request or newer plans until this time.
    pub(crate) async fn idle(&mut self, until: Instant) -> Result<Option<WriteRequest>, Stopped> {
        let (mut stop, mut updates) = (self.orders.clone(), self.orders.clone());
        loop {
            let sweep = self.next_sweep();
            tokio::select! {
                biased;
                () = stop.stopped() => return Err(Stopped),
                () = updates.updated() => return Ok(None),
                Some(request) = self.requests.next() => return Ok(Some(request)),
                () = sleep_until(until) => return Ok(None),
                () = sleep_until(sweep) => self.sweep(),
            }
        }
    }

    pub(crate) fn sweep(&mut self) {
        let stamp = Stamp::now();
        let (plant, tags, why) = (&self.plant, &self.tags, self.why);
        if let Some(pushed) = &mut self.pushed {
            // While the link is open, only silence makes a tag worse.
            let why = if self.connected.is_some() { Miss::Silent } else { why };
            pushed.sweep(stamp.now, |tag, lapse| tags.lapse(plant, &[tag], why, lapse, stamp));
        }
        self.schedule.sweep(stamp.now, self.connected.is_some(), |aged| match aged.item {
            item if aged.is_silent && aged.is_old => tags.miss(plant, &item.tags, why, stamp),
            // A slow class is not asked yet, but its device is known to be silent.
            item if aged.is_silent => tags.expire(plant, &item.tags, why, stamp),
            item if item.is_unasked() => {}
            // Some of its parts are missing.
            _ if !aged.is_old => tags.expire_usable(plant, &aged.parts, aged.period * 2, why, stamp),
            item if item.is_garbled() => tags.expire(plant, &item.tags, Miss::Garbage, stamp),
            // The request may be on its way: a tag that is Bad already keeps its reason.
            item => tags.expire_usable(plant, &item.tags, Duration::ZERO, why, stamp),
        });
    }

    /// Makes all tags Bad now, with the reason of the link.
    pub(crate) fn all_missed(&self) {
        if let Some(pushed) = &self.pushed {
            self.tags.lapse(&self.plant, &pushed.tags(), self.why, Lapse::Bad, Stamp::now());
        }
        self.schedule.items().for_each(|item| self.tags.miss(&self.plant, &item.tags, self.why, Stamp::now()));
    }

    pub(crate) fn up(&mut self) {
        let now = Instant::now();
        (self.connected, self.dead) = (Some(now), false);
        let lost = self.why.code();
        if let Some(pushed) = &mut self.pushed {
            pushed.up(now);
            // The link is no longer the reason: the device has not sent a value yet.
            let is_bad = |tag: &TagId| self.tags.with(*tag, |sample| sample.status == lost);
            let waiting = |tag| (tag, RawSample::from(Err(StatusCode::BadWaitingForInitialData)));
            let samples: Samples = pushed.tags().into_iter().filter(is_bad).map(waiting).collect();
            self.tags.commit(&self.plant, &samples, Stamp::now());
        }
        self.why = Miss::Silent;
        self.answered_since_connect = false;
        self.asked = 0;
        self.health.connected(UaTime::now());
    }

    /// The peer had closed a quiet connection, and a new one is open. This is no loss.
    pub(crate) fn reopened(&mut self) {
        // A polled device closes its connection after each reply; the request that found it closed is one of the two.
        self.hangs_up = self.pushed.is_none() && self.asked <= 2;
        self.asked = 0;
        self.health.reconnects.fetch_add(1, Ordering::Relaxed);
        self.health.connected(UaTime::now());
    }

    pub(crate) fn down(&mut self, error: &str, why: Miss) {
        self.connected = None;
        self.why = why;
        if let Some(pushed) = &mut self.pushed {
            pushed.down(Instant::now());
        }
        // A silent device has its error already, and other devices of the link have none.
        if self.pushed.is_some() || why != Miss::Silent && why != Miss::Garbage {
            self.health.error(error, UaTime::now());
        }
        let state = if why == Miss::NeverConnected { health::State::Connecting } else { health::State::Waiting };
        self.health.lost(state, why == Miss::Silent, UaTime::now());
        if why != Miss::NeverConnected {
            self.health.reconnects.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Logs each new error once, not each attempt.
    pub(crate) fn log_error(&mut self, error: &str) {
        if self.logged != error {
            error.clone_into(&mut self.logged);
            if let Some(line) = self.notes.limited(error, Instant::now()) {
                log::warn!("{}: {line}; trying again until it answers", self.health.name);
            }
        }
    }

    /// A request goes out for the device of this place.
    pub(crate) fn ask(&mut self, device: usize) {
        self.asked = self.asked.saturating_add(1);
        self.health.asked(device);
    }

    /// Logs a remark once in the life of the link.
    pub(crate) fn remark(&mut self, remark: Option<String>) {
        if let Some(remark) = remark.filter(|remark| self.notes.is_first(remark)) {
            log::info!("{}: {remark}", self.health.name);
        }
    }

    /// Measures whether the poll plan is kept. A change is logged; the load is in status and nodes.
    pub(crate) fn measure_load(&mut self) {
        let now = Instant::now();
        let Some(measured) = self.load.measure(now, || self.schedule.planned_rate(now)) else { return };
        self.health.loaded(measured.share);
        let (name, percent) = (&self.health.name, measured.share * 100.0);
        match measured.news {
            Some(News::TooMuch) => log::warn!(
                "{name}: the poll plan needs {percent:.0} % of the link's time: {:.1} requests/s are planned, and each takes \
                 {} ms; scans are skipped. Poll less often, or read more with one request (`max_gap`)",
                measured.planned,
                measured.each.as_millis()
            ),
            Some(News::Kept) => {
                log::info!("{name}: the poll plan is kept again, with {percent:.0} % of the link's time")
            }
            None => {}
        }
    }

    pub(crate) fn count(&mut self, device: usize, error: &LinkError) {
        let is_timeout = matches!(error, LinkError::Timeout { .. });
        self.health.failed(device, error.to_string(), is_timeout, UaTime::now());
        if let LinkError::Garbage { text, usable: true } = error {
            let text = format!("{} {text}", self.device_name(device));
            if let Some(line) = self.notes.limited(&text, Instant::now()) {
                log::warn!("{}: {line}; the reply is dropped", self.health.name);
            }
        }
    }

    pub(crate) fn next_sweep(&self) -> Instant {
        let polled = self.schedule.next_sweep(Instant::now());
        self.pushed.as_ref().and_then(Pushed::next_sweep).map_or(polled, |pushed| pushed.min(polled))
    }

    /// Notes an answer or a sample: the link is alive.
    pub(crate) fn hear(&mut self) {
        self.unanswered = 0;
        self.answered_since_connect = true;
        if !self.logged.is_empty() {
            log::info!("{}: answers", self.health.name);
            self.logged.clear();
        }
    }

    pub(crate) fn answer(&mut self, at: At, answer: Answer, samples: &Samples, split: &mut Split<'_>) {
        let stamp = Stamp::now();
        self.hear();
        match answer {
            Answer::Samples => {
                self.tags.commit(&self.plant, samples, stamp);
                self.alive(at, stamp.now);
            }
            Answer::Refused { why, text } => self.refused(at, why, &text, stamp, split),
        }
    }

    pub(crate) fn alive(&mut self, at: At, now: Instant) {
        self.health.heard(self.schedule.item(at).device);
        if let Some(device) = self.schedule.answered(at, now) {
            log::info!("{}: {} answers again", self.health.name, self.device_name(device));
        }
        self.count_demoted();
    }

    fn refused(&mut self, at: At, why: Refusal, text: &str, stamp: Stamp, split: &mut Split<'_>) {
        self.health.failed(self.schedule.item(at).device, text.to_owned(), false, UaTime::now());
        match why {
            Refusal::Unreachable => {
                let tags = self.schedule.item(at).tags.clone();
                self.tags.miss(&self.plant, &tags, Miss::Silent, stamp);
                self.demote(at, stamp.now);
            }
            Refusal::Busy => {
                let tags = self.schedule.item(at).tags.clone();
                self.tags.miss(&self.plant, &tags, Miss::Busy, stamp);
                self.alive(at, stamp.now);
            }
            Refusal::Failure => {
                self.turn(at, StatusCode::BadDeviceFailure, text, stamp);
                self.alive(at, stamp.now);
            }
            Refusal::Block | Refusal::Unsupported => {
                let points = &self.points;
                let halves = |request| Some(split(request)?.map(|half| item_of(points, half)));
                if why == Refusal::Block && self.schedule.cut(at, halves) {
                    return;
                }
                self.schedule.refuse(at, stamp.now);
                self.turn(at, StatusCode::BadConfigurationError, &format!("the device refuses it: {text}"), stamp);
                self.alive(at, stamp.now);
            }
        }
    }

    fn turn(&self, at: At, code: StatusCode, why: &str, stamp: Stamp) {
        let bad = |tag: &TagId| (*tag, RawSample::from(Err(code)).because(why));
        let samples: Samples = self.schedule.item(at).tags.iter().map(bad).collect();
        self.tags.commit(&self.plant, &samples, stamp);
    }

    /// A request without an answer; returns the error that ends the link.
    pub(crate) fn miss(&mut self, at: At, error: LinkError, split: &mut Split<'_>) -> Option<LinkError> {
        let stamp = Stamp::now();
        let tags = self.schedule.item(at).tags.clone();
        self.tags.miss(&self.plant, &tags, miss_of(&error), stamp);
        self.unanswered += 1;
        match error {
            LinkError::Timeout { .. } => self.demote(at, stamp.now),
            LinkError::Garbage { .. } => {
                let points = &self.points;
                let halves = |request| Some(split(request)?.map(|half| item_of(points, half)));
                self.schedule.garbled(at, stamp.now, halves);
            }
            // Some devices close the connection instead of an answer; the next block has its turn.
            LinkError::Closed { .. } | LinkError::Denied(_) | LinkError::Lost(_) => {
                self.schedule.missed(at, stamp.now);
            }
        }
        let all_silent = self.unanswered >= SILENCE && !self.schedule.anyone_alive();
        (!error.is_usable() || all_silent).then_some(error)
    }

    pub(crate) fn demote(&mut self, at: At, now: Instant) {
        if let Some(device) = self.schedule.missed(at, now) {
            self.health.silent(device, UaTime::now());
            log::warn!("{}: {} does not answer; polling it less often", self.health.name, self.device_name(device));
        }
        self.count_demoted();
    }

    pub(crate) fn count_demoted(&self) {
        let count = u32::try_from(self.schedule.demoted()).unwrap_or(u32::MAX);
        self.health.demoted.store(count, Ordering::Relaxed);
    }

    pub(crate) fn device_name(&self, device: usize) -> String {
        let ix = self.health.connections[device];
        self.plant.connections.get(ix).map_or(String::new(), |connection| connection.name.clone())
    }

    /// The place on the link of the tag's connection.
    pub(crate) fn device_of(&self, tag: TagId) -> usize {
        let connection = self.plant.tag(tag).connection();
        self.health.connections.iter().position(|of| Some(*of) == connection).unwrap_or(0)
    }

    pub(crate) fn refuse_point(&mut self, point: u32, message: &str) {
        let PointPlan { tag, is_gone, .. } = self.points[point as usize];
        let code = if is_gone { StatusCode::BadNodeIdUnknown } else { StatusCode::BadConfigurationError };
        let sample = RawSample::from(Err(code)).because(message);
        self.tags.commit(&self.plant, &[(tag, sample)], Stamp::now());
    }
}
