//! Alarms and conditions (Part 9, 1.05): the state of each alarm of the cells, from the samples of its tag, the acts of
//! operators and the time. It reads no clock: each step is told `now`.

mod act;
mod condition;
mod flood;
mod level;
mod state;

pub(crate) use act::{Act, EventName, Words};
pub(crate) use condition::{Condition, Input};
pub(crate) use level::Level;
pub(crate) use state::{EventId, Kept, Shelving, State};

use condition::Emitted;

use std::collections::BTreeSet;
use std::sync::Arc;

use opcua::StatusCode;
use tokio::time::Instant;

use crate::model::{Alarm, AlarmIx, Number, Plant};
use crate::value::Moment;

/// All conditions of a server.
#[derive(Debug)]
pub(crate) struct Alarms {
    /// By `AlarmIx`.
    conditions: Vec<Option<Condition>>,
    due: BTreeSet<Due>,
    /// The entry of each condition in `due`.
    due_of: Vec<Option<Instant>>,
    ids: fastrand::Rng,
    reports: Vec<Report>,
    /// Some condition changed since `take_kept`.
    is_dirty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    alarm: AlarmIx,
}

/// An event that goes out.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub alarm: AlarmIx,
    pub rule: Arc<Alarm>,
    pub state: State,
    /// From now on the condition sends less.
    pub begins_flood: bool,
}

/// Outcome of a reload.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Conditions that are new, in `Alarms` and for the tags.
    pub added: Vec<AlarmIx>,
    pub removed: Vec<AlarmIx>,
    /// Some condition is another one than before.
    pub has_changed: bool,
}

impl Alarms {
    /// `seed` makes the EventIds differ from those of other runs.
    pub(crate) fn new(seed: u64) -> Alarms {
        Alarms {
            conditions: Vec::new(),
            due: BTreeSet::new(),
            due_of: Vec::new(),
            ids: fastrand::Rng::with_seed(seed),
            reports: Vec::new(),
            is_dirty: false,
        }
    }

    pub(crate) fn get(&self, alarm: AlarmIx) -> Option<&Condition> {
        self.conditions.get(alarm.place())?.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (AlarmIx, &Condition)> {
        let all = self.conditions.iter().enumerate();
        all.filter_map(|(place, condition)| Some((AlarmIx::of(place), condition.as_ref()?)))
    }

    /// Takes the alarms of a plant. One whose tag and name stay keeps its state.
    pub(crate) fn apply(&mut self, plant: &Plant, kept: impl Fn(AlarmIx) -> Option<Kept>, now: Moment) -> Applied {
        let mut applied = Applied::default();
        let bound = self.conditions.len().max(plant.alarms.bound());
        self.conditions.resize_with(bound, || None);
        self.due_of.resize(bound, None);
        for alarm in (0..bound).map(AlarmIx::of) {
            let (known, rule) = (self.conditions[alarm.place()].is_some(), plant.alarms.get(alarm));
            match (known, rule) {
                (false, None) => {}
                (false, Some(rule)) => {
                    let mut condition = Condition::new(Arc::new(rule.clone()), now);
                    if let Some(kept) = kept(alarm) {
                        condition.restore(&kept, now);
                    }
                    self.conditions[alarm.place()] = Some(condition);
                    self.schedule(alarm);
                    applied.added.push(alarm);
                }
                (true, None) => {
                    self.with(alarm, |condition, ids| condition.forget(now, ids));
                    self.conditions[alarm.place()] = None;
                    if let Some(at) = self.due_of[alarm.place()].take() {
                        self.due.remove(&Due { at, alarm });
                    }
                    self.is_dirty = true;
                    applied.removed.push(alarm);
                }
                (true, Some(rule)) => {
                    if self.get(alarm).is_some_and(|condition| **condition.rule() != *rule) {
                        let rule = Arc::new(rule.clone());
                        self.with(alarm, |condition, ids| condition.replace_rule(rule, now, ids));
                        applied.has_changed = true;
                    }
                }
            }
        }
        applied.has_changed |= !applied.added.is_empty() || !applied.removed.is_empty();
        applied
    }

    /// Takes a sample of the alarm's tag.
    pub(crate) fn take(&mut self, alarm: AlarmIx, input: Input, now: Moment) {
        self.with(alarm, |condition, ids| condition.take(input, now, ids));
    }

    /// An act of an operator.
    pub(crate) fn act(
        &mut self,
        alarm: AlarmIx,
        act: &Act,
        words: Option<&Words>,
        user: &Arc<str>,
        now: Moment,
    ) -> Result<(), StatusCode> {
        let done = self.with(alarm, |condition, ids| condition.act(act, words, user, now, ids));
        done.unwrap_or(Err(StatusCode::BadNodeIdUnknown))
    }

    /// Does everything whose time has come.
    pub(crate) fn pass(&mut self, now: Moment) {
        while let Some(due) = self.due.first().copied().filter(|due| due.at <= now.mono) {
            self.with(due.alarm, |condition, ids| condition.pass(now, ids));
        }
    }

    /// The next moment at which `pass` has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.first().map(|due| due.at)
    }

    /// The events since the last call, in their order.
    pub(crate) fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// Whether a state changed since the last call.
    pub(crate) fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.is_dirty)
    }

    /// The states for the state folder.
    pub(crate) fn kept(&self, now: Moment) -> impl Iterator<Item = (AlarmIx, Kept)> + '_ {
        self.iter().filter_map(move |(alarm, condition)| Some((alarm, condition.kept(now)?)))
    }

    fn with<R>(
        &mut self,
        alarm: AlarmIx,
        step: impl FnOnce(&mut Condition, &mut dyn FnMut() -> EventId) -> R,
    ) -> Option<R> {
        let Alarms { conditions, ids, reports, .. } = self;
        let condition = conditions.get_mut(alarm.place())?.as_mut()?;
        let mut next = || ids.u128(..).to_le_bytes();
        let result = step(condition, &mut next);
        self.is_dirty |= std::mem::take(&mut condition.is_dirty);
        let rule = &condition.rule;
        let report = |Emitted { state, begins_flood }| Report { alarm, rule: Arc::clone(rule), state, begins_flood };
        reports.extend(condition.out.drain(..).map(report));
        self.schedule(alarm);
        Some(result)
    }

    fn schedule(&mut self, alarm: AlarmIx) {
        let next = self.get(alarm).and_then(Condition::due);
        let before = std::mem::replace(&mut self.due_of[alarm.place()], next);
        if before != next {
            if let Some(at) = before {
                self.due.remove(&Due { at, alarm });
            }
            if let Some(at) = next {
                self.due.insert(Due { at, alarm });
            }
        }
    }
}

#[cfg(test)]
mod tests;
