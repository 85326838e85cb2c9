//! The conditions of a running server: their tags feed them, and their events go to the items that listen.
//!
//! The lock of the conditions is held while their events are raised, so that clients get them in their order. It comes
//! before the locks of subscriptions and after none of them; nothing takes it under a tag's lock.

mod values;

pub(crate) use values::Seen;

use std::sync::Arc;

use opcua::StatusCode;
use tokio::time::Instant;

use crate::alarms::{Act, Alarms, Applied, Input, Kept, Report, Words};
use crate::logging;
use crate::model::{AlarmIx, Plant};
use crate::tags::{TagStore, Watch};
use crate::ua::events::{Event, FieldSource, Fields};
use crate::ua::reason;
use crate::ua::server::Server;
use crate::ua::space::{CONDITION_ID, ConditionPart, FieldId, Space, condition_type, has_part};
use crate::ua::world::World;
use crate::value::{Moment, Sample, Value};

/// Evaluates conditions as samples and times come; it ends when it is dropped.
pub(crate) async fn run(server: Arc<Server>) {
    loop {
        let due = server.conditions.lock().due();
        tokio::select! {
            () = server.conditions.inbox.some() => {}
            () = until(due) => {}
        }
        server.evaluate_alarms(Moment::now());
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Server {
    /// Takes the alarms of the running world, which has just replaced `before`.
    pub(crate) fn take_alarms(&self, before: &World, kept: impl Fn(AlarmIx) -> Option<Kept>, now: Moment) -> Applied {
        let tags: &TagStore = &self.tags;
        let world = self.world();
        let plant: &Plant = &world.plant;
        let mut alarms = self.conditions.lock();
        let applied = alarms.apply(plant, kept, now);
        // Conditions that go have their nodes in the world that goes.
        let (here, gone): (Vec<Report>, Vec<Report>) =
            alarms.take_reports().into_iter().partition(|report| plant.alarms.get(report.alarm).is_some());
        self.raise_alarms(before, gone, now);
        self.raise_alarms(&world, here, now);
        drop(alarms);
        for alarm in &applied.removed {
            if let Some(rule) = before.plant.alarms.get(*alarm) {
                tags.unwatch(rule.tag, &self.conditions.watcher(), alarm.0);
            }
        }
        for alarm in &applied.added {
            let watch = Watch { watcher: self.conditions.watcher(), key: alarm.0, every: false };
            tags.watch(plant.alarms[*alarm].tag, watch);
        }
        applied
    }

    /// Takes the samples that wait, and everything whose time has come.
    pub(crate) fn evaluate_alarms(&self, now: Moment) {
        let world = self.world();
        let mut alarms = self.conditions.lock();
        for (alarm, samples) in self.conditions.inbox.take() {
            for sample in samples {
                let input = self.input(&world, alarm, sample);
                alarms.take(alarm, input, now);
            }
        }
        alarms.pass(now);
        self.raise_alarms(&world, alarms.take_reports(), now);
        let replaced = self.conditions.inbox.take_replaced();
        if replaced > 0 {
            let line = format_args!("{replaced} values of tags with alarms came faster than they could be evaluated");
            logging::limited(log::Level::Warn, "alarms late", None, line);
        }
    }

    fn input(&self, world: &World, alarm: AlarmIx, sample: Sample) -> Input {
        let why = match world.plant.alarms.get(alarm) {
            Some(rule) if sample.status.is_bad() && rule.alarms_on_bad => {
                let why = reason::of_tag(&world.plant, &self.tags, &world.links, rule.tag);
                if why.is_empty() { crate::value::status_to_text(sample.status).into() } else { why.into() }
            }
            _ => "".into(),
        };
        Input { value: sample.value, status: sample.status, time: sample.source_time, why }
    }

    /// An act of an operator on a condition; its events are sent before this returns.
    pub(crate) fn act_on_alarm(
        &self,
        world: &World,
        alarm: AlarmIx,
        act: &Act,
        words: Option<&Words>,
        user: &str,
        now: Moment,
    ) -> Result<(), StatusCode> {
        let mut alarms = self.conditions.lock();
        let done = alarms.act(alarm, act, words, &user.into(), now);
        self.raise_alarms(world, alarms.take_reports(), now);
        drop(alarms);
        // The task looks at the times again.
        self.conditions.inbox.wake();
        done
    }

    fn raise_alarms(&self, world: &World, reports: Vec<Report>, now: Moment) {
        for report in reports {
            if report.begins_flood {
                let name = alarm_name(world, report.alarm);
                let line = format_args!(
                    "alarm {name}: 20 events in 10 s; only its newest state is sent, once a second, until it is quiet"
                );
                logging::limited(log::Level::Warn, "alarm flood", None, line);
            }
            if !self.listeners.is_empty()
                && let Some(event) = event_of(world, &report, now)
            {
                self.raise(world, &event);
            }
        }
    }

    /// The present value of a Variable of a condition.
    pub(crate) fn condition_value(&self, world: &World, alarm: AlarmIx, part: ConditionPart, now: Moment) -> Value {
        let alarms = self.conditions.lock();
        let Some(condition) = alarms.get(alarm) else { return Value::Null };
        let (rule, state) = (condition.rule(), condition.state());
        let Some(tag) = world.plant.tags.get(rule.tag) else { return Value::Null };
        let space = &world.space;
        let tag_path = world.plant.cells[usize::from(tag.cell)].path(tag.node);
        let seen = Seen {
            rule,
            state,
            condition: space.condition_of(alarm),
            tag: space.tag_node(rule.tag),
            tag_path: &tag_path,
            now: now.mono,
        };
        seen.value(part, space)
    }

    /// A counter of the alarms of a cell, in the order of `conditions::COUNTERS`.
    pub(crate) fn alarm_count(&self, world: &World, namespace: u16, of: u8) -> Value {
        let (plant, space) = (&world.plant, &world.space);
        let uri = space.namespaces().get(usize::from(namespace));
        let is_here = |alarm: AlarmIx| {
            let tag = plant.alarms.get(alarm).and_then(|rule| plant.tags.get(rule.tag));
            tag.is_some_and(|tag| Some(&plant.cells[usize::from(tag.cell)].namespace) == uri)
        };
        let alarms = self.conditions.lock();
        let states = alarms.iter().filter(|(alarm, _)| is_here(*alarm)).map(|(_, condition)| condition.state());
        let count = |n: usize| Value::UInt32(u32::try_from(n).unwrap_or(u32::MAX));
        match of {
            0 => count(states.filter(|state| state.is_active()).count()),
            1 => count(states.filter(|state| !state.acked).count()),
            2 => count(states.filter(|state| state.suppressed || state.is_shelved()).count()),
            _ => {
                let shown = states.filter(|state| state.is_active() && !state.suppressed && !state.is_shelved());
                Value::UInt16(shown.map(|state| state.severity).max().unwrap_or(0))
            }
        }
    }

    /// The events of all conditions that are retained, as they are now; with the lock that keeps newer ones back.
    pub(crate) fn retained(&self, world: &World, alarms: &Alarms, now: Moment) -> Vec<Event> {
        let retained = alarms.iter().filter(|(_, condition)| condition.state().is_retained());
        let event = |(alarm, condition): (AlarmIx, &crate::alarms::Condition)| {
            let (rule, state) = (Arc::clone(condition.rule()), condition.state().clone());
            event_of(world, &Report { alarm, rule, state, begins_flood: false }, now)
        };
        retained.filter_map(event).collect()
    }
}

/// `press: Tank.Level/High`.
pub(crate) fn alarm_name(world: &World, alarm: AlarmIx) -> String {
    let rule = world.plant.alarms.get(alarm);
    rule.map_or_else(String::new, |rule| format!("{}/{}", world.plant.tag_name(rule.tag), rule.name))
}

/// The event of a condition; `None` where its nodes are not in this world.
fn event_of(world: &World, report: &Report, now: Moment) -> Option<Event> {
    let space = &world.space;
    let tag = world.plant.tags.get(report.rule.tag)?;
    let tag_path = world.plant.cells[usize::from(tag.cell)].path(tag.node);
    let source = ReportedCondition { report: report.clone(), tag_path: tag_path.as_str().into(), now: now.mono };
    let state = &report.state;
    Some(Event {
        id: state.event_id,
        kind: space.standard_node(condition_type(&report.rule))?,
        source: space.tag_node(report.rule.tag),
        source_name: tag_path,
        time: state.time,
        message: state.message.to_string(),
        severity: state.severity,
        fields: Fields::of(Arc::new(source)),
        per_viewer: None,
    })
}

/// The fields of a condition's event.
#[derive(Debug)]
struct ReportedCondition {
    report: Report,
    tag_path: Box<str>,
    now: Instant,
}

impl FieldSource for ReportedCondition {
    fn value(&self, field: FieldId, space: &Space) -> Value {
        let Report { alarm, rule, state, .. } = &self.report;
        let condition = space.condition_of(*alarm);
        if field == CONDITION_ID {
            return condition.map_or(Value::Null, |at| space.id_value(at));
        }
        let Some(part) = space.condition_part(field) else { return Value::Null };
        // Of a disabled condition nothing is known but that it is (Part 9 §4.3, 1.05).
        let is_told = matches!(
            part,
            ConditionPart::ConditionName
                | ConditionPart::EnabledState
                | ConditionPart::EnabledId
                | ConditionPart::Retain
        );
        if !state.enabled && !is_told || !has_part(rule, part) {
            return Value::Null;
        }
        let tag = space.tag_node(rule.tag);
        Seen { rule, state, condition, tag, tag_path: &self.tag_path, now: self.now }.value(part, space)
    }
}
