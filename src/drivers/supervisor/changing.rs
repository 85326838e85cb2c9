//! Newer plans for a running link: its points are swapped between two requests.
//!
//! The connection stays open while one of the link's connections is unchanged. Points that are the same keep their phase, their
//! demotion and the time of their last answer, so no client sees the swap at their tags.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::{Instant, timeout};

use super::ending::{Failure, Failures};
use super::orders::Update;
use super::{BACK_OFF_FIRST, CLOSE_WITHIN, Opening, Output, Stopped, Supervisor, pushed_of, refresh};
use crate::drivers::contract::{LinkError, Samples};
use crate::drivers::feed::Feed;
use crate::drivers::link::{Opened, Way};
use crate::drivers::plan::{PointPlan, by_period};
use crate::drivers::poll::AnyPoll;
use crate::drivers::schedule::{ClassPlan, Kept};
use crate::health;
use crate::model::{Origin, Plant, TagId};
use crate::tags::{Miss, RawSample, Stamp, Write};
use crate::value::UaTime;

/// The link after it has taken newer plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// Open or closed as before.
    Same,
    /// Closed: it is to be opened again.
    Closed,
}

/// The parts of the old plans that are the same in the new ones.
struct Same {
    /// The old place of each connection.
    devices: Vec<Option<usize>>,
    tags: HashSet<TagId>,
}

/// Whether the tag is still of a device that is polled.
fn is_in(plant: &Plant, tag: TagId) -> bool {
    let Some(tag) = plant.tags.get(tag).filter(|tag| tag.enabled) else { return false };
    tag.connection().and_then(|ix| plant.connections.get(ix)).is_some_and(|connection| connection.enabled)
}

impl Supervisor {
    /// The newest plans that the link does not follow yet.
    pub(super) fn newest(&mut self) -> Option<Arc<Update>> {
        if let Some(update) = self.state.orders.take() {
            self.pending = Some(update);
        }
        self.pending.clone()
    }

    pub(super) fn has_update(&self) -> bool {
        self.pending.is_some() || self.state.orders.has_update()
    }

    /// Writes the outputs that are left out, then takes the newest plans. A stop on the way leaves the plans to `finish`.
    pub(super) async fn follow(&mut self) -> Result<Followed, Stopped> {
        let Some(update) = self.newest() else { return Ok(Followed::Same) };
        if update.connections.is_empty() {
            return Err(Stopped);
        }
        let was_open = self.state.connected.is_some();
        self.leave_outputs(&update).await?;
        self.install(&update).await;
        Ok(if was_open && self.state.connected.is_none() { Followed::Closed } else { Followed::Same })
    }

    /// The `on_stop` values of tags that are gone, and were not reported yet.
    pub(super) fn leaving(&self, update: &Update) -> Vec<Write> {
        let mut outputs = self.state.on_stop();
        outputs.retain(|write| !is_in(&update.plant, write.tag) && !self.reported.contains(&write.tag));
        outputs
    }

    async fn leave_outputs(&mut self, update: &Update) -> Result<(), Stopped> {
        let mut failures = Failures::default();
        for write in self.leaving(update) {
            let device = self.state.plant.tag(write.tag).connection();
            let result = match failures.known(device) {
                Some(why) => Err(why),
                None => self.leave_output(&write).await?.map_err(|failure| failures.note(device, failure)),
            };
            self.report(write, result);
        }
        Ok(())
    }

    /// One output, while the link continues. It is opened for it once; when it breaks under the write, the value is written
    /// once more: an output is a state and no command.
    async fn leave_output(&mut self, write: &Write) -> Result<Result<(), Failure>, Stopped> {
        let mut may_repeat = self.state.connected.is_some();
        loop {
            if self.state.connected.is_none() {
                match self.open().await? {
                    Opening::Done => self.opened(),
                    Opening::Failed(error) => {
                        self.way.disconnect().await;
                        return Ok(Err(Failure::Unreachable(error.to_string())));
                    }
                }
            }
            let written = self.write_value(write).await?;
            if let Some(error) = &written.error {
                self.lose(error).await;
                let is_lost = matches!(error, LinkError::Closed { .. } | LinkError::Lost(_));
                if is_lost && std::mem::take(&mut may_repeat) {
                    continue;
                }
                return Ok(Err(Failure::Unreachable(error.to_string())));
            }
            let why = written.status.to_string();
            return Ok(match written.status {
                status if status.is_good() => Ok(()),
                StatusCode::BadTimeout => Err(Failure::Silent(why)),
                _ => Err(Failure::Refused(why)),
            });
        }
    }

    /// Reports on an output, once.
    pub(super) fn report(&mut self, write: Write, result: Result<(), String>) {
        self.reported.insert(write.tag);
        let name = self.state.plant.tag_name(write.tag);
        // There is no receiver when the server ends by a panic.
        drop(self.outputs.send(Output { tag: write.tag, name, value: write.value, result }));
    }

    /// Takes the plans. The connection stays open if one of the connections is unchanged and the driver takes it over.
    pub(super) async fn install(&mut self, update: &Arc<Update>) {
        self.state.take_fed();
        let mut renewed = self.renewed(update);
        // A device that sends by itself has sent their values, and sends them again on a new connection only.
        let is_sent_once = matches!(self.way, Way::Push { .. }) && !renewed.is_empty();
        if !is_sent_once && self.has_same_points(update) {
            self.relabel(update);
        } else {
            let mut opened = (self.make)(&update.connections);
            let is_adopted = opened.link.0.adopt(&mut self.way);
            let is_unchanged =
                update.connections.iter().any(|new| self.connections.iter().any(|old| old.is_unchanged(new)));
            let is_kept = is_adopted && is_unchanged && !is_sent_once;
            if !is_kept {
                let way = if is_adopted { &mut opened.link.0 } else { &mut self.way };
                drop(timeout(CLOSE_WITHIN, way.disconnect()).await);
                // A new connection begins with all.
                renewed.clear();
            }
            self.settle(update, opened, is_kept);
        }
        self.state.schedule.read_again(&renewed);
        self.refuse_again(&renewed);
        (self.pending, self.reported) = (None, HashSet::new());
    }

    /// Tags whose point is the same, and which begin again, as with another scale: they wait for a value.
    fn renewed(&self, update: &Update) -> HashSet<TagId> {
        let state = &self.state;
        let is_renewed = |point: &&PointPlan| point.read && state.tags.began_after(point.tag, state.plant.revision);
        let begun: HashSet<TagId> = state.points.iter().filter(is_renewed).map(|point| point.tag).collect();
        if begun.is_empty() {
            return begun;
        }
        let same = self.same(update).tags;
        begun.into_iter().filter(|tag| same.contains(tag)).collect()
    }

    /// Those of them that the driver refuses say so again.
    fn refuse_again(&self, renewed: &HashSet<TagId>) {
        let points = self.refused.iter().map(|point| self.state.points[*point as usize].tag);
        let bad = |tag| (tag, RawSample::from(Err(StatusCode::BadConfigurationError)));
        let samples: Samples = points.filter(|tag| renewed.contains(tag)).map(bad).collect();
        self.state.tags.commit(&self.state.plant, &samples, Stamp::now());
    }

    fn has_same_points(&self, update: &Update) -> bool {
        let mut pairs = self.connections.iter().zip(update.connections.iter());
        self.connections.len() == update.connections.len()
            && pairs.all(|(old, new)| old.is_unchanged(new) && old.points == new.points)
    }

    /// Replaces all but the points: the plant, with its names and limits.
    fn relabel(&mut self, update: &Update) {
        self.connections = Arc::clone(&update.connections);
        self.state.plant = Arc::clone(&update.plant);
        self.state.health = Arc::clone(&update.health);
        let plant = &self.state.plant;
        self.state.schedule.renew(|tag| plant.tag(tag).stale_after, Instant::now());
        if let Some(pushed) = &mut self.state.pushed {
            pushed.renew(|tag| plant.tag(tag).stale_after, Instant::now());
        }
    }

    /// Takes a driver that was made for these plans. Without `is_kept` the link begins again, closed.
    pub(super) fn settle(&mut self, update: &Update, opened: Opened, is_kept: bool) {
        let now = Instant::now();
        let same = if is_kept { self.same(update) } else { Same::none(update.connections.len()) };
        let Opened { link, refused } = opened;
        let points: Vec<PointPlan> = update.connections.iter().flat_map(|plan| plan.points.iter().cloned()).collect();
        self.claims.replace(&points);
        self.refused = refused.iter().map(|(point, _)| *point).collect();
        self.refreshes = refresh::continued(&self.refreshes, refresh::of(&points, now), &same.tags);
        self.way = link.0;
        let before = std::mem::replace(&mut self.state.health, Arc::clone(&update.health));
        self.connections = Arc::clone(&update.connections);
        self.state.plant = Arc::clone(&update.plant);
        self.state.places = points.iter().map(|point| point.tag).zip(0..).collect();
        self.state.points = points;
        self.take_feed(&same, now);
        if is_kept {
            self.join_devices(&before);
        } else {
            self.close_for_plans(&before, now);
        }
        for (point, error) in refused {
            if !same.tags.contains(&self.state.points[point as usize].tag) {
                self.state.refuse_point(point, &error.message);
            }
        }
        self.replan(&same, now);
        self.state.count_demoted();
    }

    /// The parts that the new plans have in common with the present ones.
    fn same(&self, update: &Update) -> Same {
        let old = |new| self.connections.iter().position(|old| old.is_unchanged(new));
        let devices: Vec<Option<usize>> = update.connections.iter().map(old).collect();
        let mut tags = HashSet::new();
        for plan in update.connections.iter().zip(&devices).filter_map(|(plan, old)| old.map(|_| plan)) {
            let is_same = |point: &&PointPlan| {
                let old = self.state.places.get(&point.tag).map(|at| &self.state.points[*at as usize]);
                old == Some(point) && self.state.plant.tag(point.tag).connection() == Some(plan.ix)
            };
            tags.extend(plan.points.iter().filter(is_same).map(|point| point.tag));
        }
        Same { devices, tags }
    }

    /// A feed for the new points of a pushing driver.
    fn take_feed(&mut self, same: &Same, now: Instant) {
        let state = &mut self.state;
        let before = state.pushed.take();
        (state.feed, state.pushed) = match &self.way {
            Way::Poll(_) => (Feed::new(0), None),
            Way::Push { .. } => {
                let mut pushed = pushed_of(&state.points, &self.refused, &state.plant, now);
                if let Some(before) = before {
                    pushed.follow(&before, &same.tags, now);
                }
                (Feed::new(state.points.len()), Some(pushed))
            }
        };
    }

    /// Connections that are new on the link are as the others.
    fn join_devices(&self, before: &health::Link) {
        let health = &self.state.health;
        let is_old = |device: &usize| before.connections.contains(&health.connections[*device]);
        let all = 0..health.connections.len();
        let Some(known) = all.clone().find(is_old) else { return };
        all.filter(|device| !is_old(device)).for_each(|device| health.joined(device, known));
    }

    /// The link was closed for new settings, which is no fault: writes wait until it is open again.
    fn close_for_plans(&mut self, before: &health::Link, now: Instant) {
        let state = &mut self.state;
        let was_open = state.connected.take().is_some();
        if state.why != Miss::NeverConnected && state.why != Miss::Panicked {
            state.why = Miss::LinkDown;
        }
        (state.dead, state.unanswered, state.asked) = (false, 0, 0);
        (state.answered_since_connect, state.hangs_up) = (false, false);
        state.logged.clear();
        if let Some(pushed) = &mut state.pushed {
            pushed.down(now);
        }
        if was_open {
            before.reconnects.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            state.health.lost(health::State::Waiting, false, UaTime::now());
        }
        self.delay = BACK_OFF_FIRST;
    }

    /// Plans the requests of a polling driver; the tags in `same` keep their phase.
    fn replan(&mut self, same: &Same, now: Instant) {
        let kept = Kept { devices: &same.devices, tags: &same.tags };
        let Way::Poll(poll) = &mut self.way else {
            self.state.schedule.replan(Vec::new(), &kept, now, &mut |_| None);
            return;
        };
        poll.forget_plan();
        let classes = classes(&self.state.points, &self.refused, &self.state.plant, &mut **poll);
        let points = &self.state.points;
        let mut split = |request| Some(poll.split(request)?.map(|half| super::state::item_of(points, half)));
        self.state.schedule.replan(classes, &kept, now, &mut split);
    }

    /// Plans the requests of a polling driver, from scratch.
    pub(super) fn plan(&mut self, now: Instant) {
        let Way::Poll(poll) = &mut self.way else { return };
        poll.forget_plan();
        self.state.schedule.clear();
        for class in classes(&self.state.points, &self.refused, &self.state.plant, &mut **poll) {
            self.state.schedule.add(class, now);
        }
    }
}

/// The scan classes of the points.
fn classes(points: &[PointPlan], refused: &HashSet<u32>, plant: &Plant, poll: &mut dyn AnyPoll) -> Vec<ClassPlan> {
    let class = |(period, of): (Duration, Vec<u32>)| {
        let of: Vec<u32> = of.into_iter().filter(|point| !refused.contains(point)).collect();
        let items = poll.plan(&of).into_iter().map(|ask| super::state::item_of(points, ask)).collect();
        let stale_after = of.iter().map(|point| plant.tag(points[*point as usize].tag).stale_after).min();
        ClassPlan { period, stale_after: stale_after.unwrap_or(period), items }
    };
    by_period(points).into_iter().map(class).collect()
}

impl Same {
    fn none(devices: usize) -> Same {
        Same { devices: vec![None; devices], tags: HashSet::new() }
    }
}

impl super::state::LinkState {
    /// The values of `on_stop`.
    pub(super) fn on_stop(&self) -> Vec<Write> {
        let value = |point: &PointPlan| match &self.plant.tag(point.tag).origin {
            Origin::Device { on_stop: Some(value), .. } if point.write => {
                Some(Write { tag: point.tag, value: value.clone(), first: None, revision: self.plant.revision })
            }
            _ => None,
        };
        self.points.iter().filter_map(value).collect()
    }

    /// The status of a write to a tag that is not among the points.
    pub(super) fn absent(plant: &Plant, tag: TagId) -> StatusCode {
        match plant.tags.get(tag) {
            None => StatusCode::BadNodeIdUnknown,
            Some(_) if is_in(plant, tag) => StatusCode::BadNotConnected,
            Some(_) => StatusCode::BadOutOfService,
        }
    }
}
