//! One condition: values, acts of operators and time go in, events come out.
//!
//! ```text
//! normal ──raised──► active, not acked ──ack──► active, acked ──clear──► normal
//!                         │clear                                           ▲
//!                         └────────► inactive, not acked ──ack──(confirm)──┘
//! ```
//!
//! There are no branches: a new activation takes the place of the one before (Part 9 §B.1.2, 1.05).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::Instant;

use super::flood::{Flood, Flow};
use super::level::{Bits, Cause, Level, Levels, visible};
use super::state::{Comment, EventId, Kept, Shelving, Shown, State, from_hex, to_hex};
use crate::model::{Alarm, AlarmForm, AlarmMessage};
use crate::value::{Moment, UaTime, Value};

/// EventIds of an activation that are kept; an operator acts on one of the last.
const MOST_SHOWN: usize = 64;

/// The tag's sample as a condition takes it.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub value: Value,
    pub status: StatusCode,
    pub time: UaTime,
    /// Why it is Bad, for the message of a loss.
    pub why: Arc<str>,
}

impl Input {
    /// Not a number is neither beyond a limit nor inside: as if the tag were Bad.
    fn is_usable(&self) -> bool {
        !self.status.is_bad() && !self.value.as_f64().is_some_and(f64::is_nan)
    }
}

/// An event for clients.
#[derive(Debug)]
pub(super) struct Emitted {
    pub state: State,
    /// The condition made more events than it may send: from now on its newest state goes out once a second.
    pub begins_flood: bool,
}

#[derive(Debug)]
pub(crate) struct Condition {
    pub(super) rule: Arc<Alarm>,
    pub(super) state: State,
    pub(super) bits: Bits,
    /// Events of the present activation, the oldest first.
    pub(super) shown: VecDeque<Shown>,
    /// No usable value since the start: the kept state counts.
    is_waiting: bool,
    input: Option<Input>,
    flood: Flood,
    /// Events that nobody has taken yet.
    pub(super) out: Vec<Emitted>,
    /// Something was changed that is not kept yet.
    pub(super) is_dirty: bool,
}

/// The source of EventIds.
pub(super) type Ids<'i> = &'i mut dyn FnMut() -> EventId;

impl Condition {
    pub(super) fn new(rule: Arc<Alarm>, now: Moment) -> Condition {
        let state = State {
            enabled: rule.enabled,
            levels: Levels::NONE,
            acked: true,
            confirmed: true,
            latched: false,
            suppressed: false,
            shelving: Shelving::Unshelved,
            quality: StatusCode::BadWaitingForInitialData,
            quality_time: now.wall,
            severity: rule.severity,
            last_severity: rule.severity,
            last_severity_time: now.wall,
            message: "".into(),
            comment: Comment::default(),
            client_user: "".into(),
            event_id: [0; 16],
            time: now.wall,
            receive_time: now.wall,
            active_time: now.wall,
        };
        Condition {
            rule,
            state,
            bits: Bits::default(),
            shown: VecDeque::new(),
            is_waiting: true,
            input: None,
            flood: Flood::default(),
            out: Vec::new(),
            is_dirty: false,
        }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn rule(&self) -> &Arc<Alarm> {
        &self.rule
    }

    /// The next moment at which `pass` has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        [self.bits.due(), self.state.shelving.until(), self.flood.due()].into_iter().flatten().min()
    }

    /// Takes a sample of the tag.
    pub(super) fn take(&mut self, input: Input, now: Moment, ids: Ids<'_>) {
        self.pass(now, ids);
        let was = self.state.quality;
        if was != input.status {
            (self.state.quality, self.state.quality_time) = (input.status, input.time);
        }
        let (is_usable, time) = (input.is_usable(), input.time);
        self.input = Some(input);
        if !self.state.enabled {
            return;
        }
        let quality = severity_class(was) != severity_class(self.state.quality) && !self.is_waiting;
        self.is_waiting &= !is_usable;
        let before = self.bits.on();
        self.feed(now, time);
        if !self.settle(before, now, time, ids) && quality && self.state.is_retained() {
            self.emit(now, time, ids);
        }
    }

    /// Gives the last sample to the levels.
    fn feed(&mut self, now: Moment, time: UaTime) {
        let cause = Cause { now: now.mono, time };
        let Some(input) = &self.input else { return };
        if !input.is_usable() {
            // A tag that waits for its first value or is out of service on purpose has lost nothing.
            let on_purpose = matches!(input.status, StatusCode::BadWaitingForInitialData | StatusCode::BadOutOfService);
            self.bits.lose(&self.rule, self.rule.alarms_on_bad && !on_purpose, cause);
        } else {
            self.bits.take(&self.rule, &input.value, cause);
        }
    }

    /// Does everything whose time has come.
    pub(super) fn pass(&mut self, now: Moment, ids: Ids<'_>) {
        if self.state.shelving.until().is_some_and(|until| until <= now.mono) {
            self.state.shelving = Shelving::Unshelved;
            self.emit(now, now.wall, ids);
        }
        loop {
            let before = self.bits.on();
            let Some(time) = self.bits.run(now.mono) else { break };
            self.settle(before, now, time, ids);
        }
        if self.flood.pass(now.mono) {
            self.send(false);
        }
    }

    /// Compares the levels with what clients know; `before` are the levels that were on before the step. Returns
    /// whether something changed.
    fn settle(&mut self, before: Levels, now: Moment, time: UaTime, ids: Ids<'_>) -> bool {
        let on = self.bits.on();
        let (raised, shown) = (on.without(before), visible(&self.rule, on));
        if raised.is_empty() && shown == self.state.levels {
            return false;
        }
        let was_active = self.state.is_active();
        self.state.levels = shown;
        if was_active == shown.is_empty() {
            self.state.active_time = time;
        }
        if !raised.is_empty() {
            // After the loss of the input nothing that holds has been seen yet.
            let is_new = !was_active || before.has(Level::Bad) || raised.has(Level::Bad);
            self.raise(is_new);
        }
        if let Some(level) = shown.worst() {
            let (severity, message) = self.words(level);
            self.set_severity(severity, time);
            self.state.message = message;
        } else if matches!(self.state.shelving, Shelving::OneShot { .. }) {
            self.state.shelving = Shelving::Unshelved;
        }
        self.emit(now, time, ids);
        true
    }

    /// A level that no operator has seen yet.
    fn raise(&mut self, is_new: bool) {
        if is_new {
            self.shown.clear();
        } else {
            self.shown.iter_mut().for_each(|shown| shown.asks = false);
        }
        self.state.acked = !self.rule.needs_ack;
        self.state.confirmed = true;
        self.state.latched |= self.rule.is_latched;
    }

    fn words(&self, level: Level) -> (u16, Arc<str>) {
        let rule = &*self.rule;
        let input = self.input.as_ref();
        let fill = |message: &AlarmMessage| -> Arc<str> {
            let value = input.map_or(&Value::Null, |input| &input.value);
            message.fill(value, &rule.shown).into()
        };
        let limit = match &rule.form {
            AlarmForm::Limits(limits) => limits.at.get(level as usize).and_then(Option::as_ref),
            AlarmForm::OffNormal { .. } | AlarmForm::Discrete { .. } => None,
        };
        match limit {
            _ if level == Level::Bad => {
                (rule.severity, format!("bad: {}", input.map_or("", |input| &input.why)).into())
            }
            Some(limit) => {
                (limit.severity.unwrap_or(rule.severity), fill(limit.message.as_ref().unwrap_or(&rule.message)))
            }
            None => (rule.severity, fill(&rule.message)),
        }
    }

    fn set_severity(&mut self, severity: u16, time: UaTime) {
        if severity != self.state.severity {
            self.state.last_severity = self.state.severity;
            self.state.last_severity_time = time;
            self.state.severity = severity;
        }
    }

    /// Makes the event of a change.
    fn emit(&mut self, now: Moment, time: UaTime, ids: Ids<'_>) {
        self.note_event(now, time, ids);
        match self.flood.note(now.mono) {
            Flow::Sent => self.send(false),
            Flow::Begins => self.send(true),
            Flow::Held => {}
        }
    }

    /// The event of an act, which a flood does not hold back: its operator waits for it.
    pub(super) fn emit_act(&mut self, now: Moment, ids: Ids<'_>) {
        self.note_event(now, now.wall, ids);
        self.send(false);
    }

    fn send(&mut self, begins_flood: bool) {
        self.out.push(Emitted { state: self.state.clone(), begins_flood });
    }

    fn note_event(&mut self, now: Moment, time: UaTime, ids: Ids<'_>) {
        let id = ids();
        self.state.event_id = id;
        (self.state.time, self.state.receive_time) = (time, now.wall);
        if self.shown.len() == MOST_SHOWN {
            // An unacknowledged event is kept for as long as there is another.
            let at = self.shown.iter().position(|shown| !shown.asks).unwrap_or(0);
            self.shown.remove(at);
        }
        let asks = self.state.enabled && !self.state.acked;
        self.shown.push_back(Shown { id, asks });
        self.is_dirty = true;
    }

    /// Enables or disables it; the tag is evaluated again.
    pub(super) fn set_enabled(&mut self, is_on: bool, now: Moment) {
        self.state.enabled = is_on;
        self.bits.put(Levels::NONE);
        self.shown.clear();
        let state = &mut self.state;
        (state.acked, state.confirmed, state.latched, state.levels) = (true, true, false, Levels::NONE);
        if !is_on {
            return;
        }
        let time = self.input.as_ref().map_or(now.wall, |input| input.time);
        self.feed(now, time);
        let on = self.bits.on();
        if !on.is_empty() {
            self.state.levels = visible(&self.rule, on);
            self.state.active_time = now.wall;
            self.raise(true);
            if let Some(level) = self.state.levels.worst() {
                let (severity, message) = self.words(level);
                self.set_severity(severity, now.wall);
                self.state.message = message;
            }
        }
    }

    /// Suppresses it, or not, by the plant.
    #[cfg(test)]
    pub(super) fn suppress(&mut self, is_on: bool, now: Moment, ids: Ids<'_>) {
        if self.state.suppressed != is_on {
            self.state.suppressed = is_on;
            self.emit(now, now.wall, ids);
        }
    }

    /// Takes another rule for the same tag and name; the state stays where it can.
    pub(super) fn replace_rule(&mut self, rule: Arc<Alarm>, now: Moment, ids: Ids<'_>) {
        let keeps_levels = match (&self.rule.form, &rule.form) {
            (AlarmForm::Limits(was), AlarmForm::Limits(is)) => was.is_exclusive == is.is_exclusive,
            (AlarmForm::Limits(_), _) | (_, AlarmForm::Limits(_)) => false,
            _ => true,
        };
        self.rule = rule;
        let before = self.bits.on();
        let mut is_changed = false;
        let kept = if keeps_levels { Levels(before.0 & levels_of(&self.rule).0) } else { Levels::NONE };
        self.bits.put(kept);
        let state = &mut self.state;
        if !self.rule.needs_ack && !state.acked {
            (state.acked, is_changed) = (true, true);
        }
        if !self.rule.needs_confirm && !state.confirmed {
            (state.confirmed, is_changed) = (true, true);
        }
        if !self.rule.is_latched && state.latched {
            (state.latched, is_changed) = (false, true);
        }
        if self.rule.shelve.is_none() && state.is_shelved() {
            (state.shelving, is_changed) = (Shelving::Unshelved, true);
        }
        self.is_dirty = true;
        if !self.state.enabled {
            return;
        }
        let time = now.wall;
        self.feed(now, time);
        if !self.settle(before, now, time, ids) && is_changed {
            self.emit(now, time, ids);
        }
    }

    /// The last event of a condition that leaves the cell: nothing evaluates it any more, and Retain is false. There is
    /// none where clients have nothing to forget.
    pub(super) fn forget(&mut self, now: Moment, ids: Ids<'_>) {
        if self.state.is_retained() {
            self.state.enabled = false;
            self.emit_act(now, ids);
        }
    }

    /// The state for the state folder; `None` while it is as at the first start.
    pub(super) fn kept(&self, now: Moment) -> Option<Kept> {
        let state = &self.state;
        if state.event_id == [0; 16] {
            return None;
        }
        let left = |until: Instant| now.wall.plus(until.saturating_duration_since(now.mono)).0;
        let id = |shown: &Shown| format!("{}{}", if shown.asks { "+" } else { "" }, to_hex(&shown.id));
        Some(Kept {
            enabled: state.enabled,
            levels: self.bits.on().0,
            acked: state.acked,
            confirmed: state.confirmed,
            latched: state.latched,
            suppressed: state.suppressed,
            shelving: match state.shelving {
                Shelving::Unshelved => None,
                Shelving::OneShot { .. } => Some("one-shot".to_owned()),
                Shelving::Timed { .. } => Some("timed".to_owned()),
            },
            shelved_until: state.shelving.until().map_or(0, left),
            severity: state.severity,
            last_severity: state.last_severity,
            last_severity_time: state.last_severity_time.0,
            message: state.message.to_string(),
            comment: state.comment.text.to_string(),
            comment_locale: state.comment.locale.to_string(),
            comment_time: state.comment.time.0,
            client_user: state.client_user.to_string(),
            event_id: to_hex(&state.event_id),
            time: state.time.0,
            receive_time: state.receive_time.0,
            active_time: state.active_time.0,
            shown: self.shown.iter().map(id).collect(),
        })
    }

    /// The state of an earlier run. A level that the rule does not have any more is off.
    pub(super) fn restore(&mut self, kept: &Kept, now: Moment) {
        let Some(event_id) = from_hex(&kept.event_id) else { return };
        let levels = Levels(kept.levels & levels_of(&self.rule).0);
        self.bits.put(levels);
        let left = Duration::from_nanos(u64::try_from((kept.shelved_until - now.wall.0).max(0)).unwrap_or(0) * 100);
        // A clock that was set back must not shelve for longer than is allowed.
        let until = now.mono + left.min(self.rule.shelve.unwrap_or_default());
        let state = &mut self.state;
        state.enabled = kept.enabled;
        state.levels = visible(&self.rule, levels);
        state.acked = kept.acked || !self.rule.needs_ack;
        state.confirmed = kept.confirmed || !self.rule.needs_confirm;
        state.latched = kept.latched && self.rule.is_latched;
        state.suppressed = false;
        state.shelving = match (kept.shelving.as_deref(), self.rule.shelve) {
            (Some("one-shot"), Some(_)) => Shelving::OneShot { until },
            (Some("timed"), Some(_)) => Shelving::Timed { until },
            _ => Shelving::Unshelved,
        };
        (state.severity, state.last_severity) = (kept.severity, kept.last_severity);
        state.last_severity_time = UaTime(kept.last_severity_time);
        state.message = kept.message.as_str().into();
        state.comment = Comment {
            locale: kept.comment_locale.as_str().into(),
            text: kept.comment.as_str().into(),
            time: UaTime(kept.comment_time),
        };
        state.client_user = kept.client_user.as_str().into();
        state.event_id = event_id;
        (state.time, state.receive_time) = (UaTime(kept.time), UaTime(kept.receive_time));
        state.active_time = UaTime(kept.active_time);
        let shown = kept.shown.iter().rev().take(MOST_SHOWN).rev();
        let read = |text: &String| {
            let id = from_hex(text.strip_prefix('+').unwrap_or(text))?;
            Some(Shown { id, asks: text.starts_with('+') })
        };
        self.shown = shown.filter_map(read).collect();
    }
}

/// The levels that a rule can have.
fn levels_of(rule: &Alarm) -> Levels {
    let own = match &rule.form {
        AlarmForm::Limits(limits) => {
            let given = Level::ALL.into_iter().take(4).filter(|level| limits.at[*level as usize].is_some());
            given.fold(Levels::NONE, Levels::with)
        }
        AlarmForm::OffNormal { .. } | AlarmForm::Discrete { .. } => Levels::NONE.with(Level::Whole),
    };
    if rule.alarms_on_bad { own.with(Level::Bad) } else { own }
}

/// Good, Uncertain or Bad.
fn severity_class(status: StatusCode) -> u32 {
    status.bits() >> 30
}
