//! The parts of a condition that can be active: its limits, the condition as a whole, the loss of its input.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Alarm, AlarmForm, AlarmLimits};
use crate::value::{UaTime, Value};

/// One part of a condition. The first four are the places of limits in `AlarmLimits::at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    LowLow,
    Low,
    High,
    HighHigh,
    /// Of a condition without limits.
    Whole,
    /// The tag is Bad, and the alarm reports that.
    Bad,
}

impl Level {
    pub(crate) const ALL: [Level; 6] =
        [Level::LowLow, Level::Low, Level::High, Level::HighHigh, Level::Whole, Level::Bad];
    /// Of several active ones the first says which severity and message the condition has.
    const BY_RANK: [Level; 6] = [Level::Bad, Level::HighHigh, Level::LowLow, Level::High, Level::Low, Level::Whole];
}

/// A set of levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Levels(pub u8);

impl Levels {
    pub(crate) const NONE: Levels = Levels(0);
    const LOW_SIDE: Levels = Levels(0b0011);
    const HIGH_SIDE: Levels = Levels(0b1100);

    pub(crate) fn has(self, level: Level) -> bool {
        self.0 & (1 << level as u8) != 0
    }

    #[must_use]
    pub(crate) fn with(self, level: Level) -> Levels {
        Levels(self.0 | 1 << level as u8)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The levels that are not in `other`.
    #[must_use]
    pub(crate) fn without(self, other: Levels) -> Levels {
        Levels(self.0 & !other.0)
    }

    /// The one that matters most.
    pub(crate) fn worst(self) -> Option<Level> {
        Level::BY_RANK.into_iter().find(|level| self.has(*level))
    }
}

/// One level over time: on and off with their delays, as IEC timers TON and TOF.
#[derive(Debug, Clone, Copy, Default)]
struct Bit {
    is_on: bool,
    timer: Option<Timer>,
}

#[derive(Debug, Clone, Copy)]
struct Timer {
    due: Instant,
    /// The time of the event: that of the cause, and the delay.
    time: UaTime,
}

/// All levels of one condition over time.
#[derive(Debug, Clone, Default)]
pub(super) struct Bits([Bit; 6]);

/// When a level was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cause {
    pub now: Instant,
    pub time: UaTime,
}

impl Bits {
    /// The levels that are on.
    pub(super) fn on(&self) -> Levels {
        Level::ALL.into_iter().filter(|level| self.0[*level as usize].is_on).fold(Levels::NONE, Levels::with)
    }

    /// Turns exactly these levels on, without delays.
    pub(super) fn put(&mut self, levels: Levels) {
        for level in Level::ALL {
            self.0[level as usize] = Bit { is_on: levels.has(level), timer: None };
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.0.iter().filter_map(|bit| Some(bit.timer?.due)).min()
    }

    /// Turns the levels of the earliest timer that is over; returns the time of its event.
    pub(super) fn run(&mut self, now: Instant) -> Option<UaTime> {
        let due = self.due().filter(|due| *due <= now)?;
        let mut time = None;
        for level in Level::ALL {
            if let Some(timer) = self.0[level as usize].timer.filter(|timer| timer.due == due) {
                time = Some(timer.time);
                self.turn(level);
            }
        }
        time
    }

    fn turn(&mut self, level: Level) {
        let bit = &mut self.0[level as usize];
        *bit = Bit { is_on: !bit.is_on, timer: None };
        if !bit.is_on {
            return;
        }
        // A value is above or below, never both; and without a value it is neither.
        let others = match level {
            Level::LowLow | Level::Low => Levels::HIGH_SIDE,
            Level::High | Level::HighHigh => Levels::LOW_SIDE,
            Level::Whole => Levels::NONE,
            Level::Bad => Levels(0b01_1111),
        };
        for other in Level::ALL.into_iter().filter(|other| others.has(*other)) {
            self.0[other as usize] = Bit::default();
        }
    }

    /// Asks for a level to be on or off; the timer that runs to the other state stops.
    fn ask(&mut self, level: Level, is_on: bool, delay: Duration, cause: Cause) {
        let bit = &mut self.0[level as usize];
        if bit.is_on == is_on {
            bit.timer = None;
        } else if delay.is_zero() {
            self.turn(level);
        } else {
            bit.timer.get_or_insert(Timer { due: cause.now + delay, time: cause.time.plus(delay) });
        }
    }

    /// Takes a value that can be used.
    pub(super) fn take(&mut self, rule: &Alarm, value: &Value, cause: Cause) {
        // The loss is over at once: a limit that holds now is raised from scratch.
        self.ask(Level::Bad, false, Duration::ZERO, cause);
        let before = self.on();
        for level in Level::ALL.into_iter().filter(|level| *level != Level::Bad) {
            let holds = holds(&rule.form, level, value, before.has(level));
            let delay = if holds { rule.delay } else { rule.clear_delay };
            self.ask(level, holds, delay, cause);
        }
    }

    /// Takes the loss of the input: timers stop, and the state is held or the loss is what is reported.
    pub(super) fn lose(&mut self, rule: &Alarm, is_reported: bool, cause: Cause) {
        for level in Level::ALL.into_iter().filter(|level| *level != Level::Bad) {
            self.0[level as usize].timer = None;
        }
        if is_reported {
            self.ask(Level::Bad, true, rule.delay, cause);
        } else {
            self.0[Level::Bad as usize].timer = None;
        }
    }
}

/// Whether a value keeps a level on (strictly beyond its limit by less than the hysteresis), or turns it on (strictly
/// beyond the limit).
fn holds(form: &AlarmForm, level: Level, value: &Value, is_on: bool) -> bool {
    match (form, level) {
        (AlarmForm::OffNormal { normal }, Level::Whole) => !is_equal(value, normal),
        (AlarmForm::Discrete { values }, Level::Whole) => values.iter().any(|one| is_equal(value, one)),
        (AlarmForm::Limits(limits), level) => {
            value.as_f64().is_some_and(|value| is_beyond(limits, level, value, is_on))
        }
        _ => false,
    }
}

fn is_beyond(limits: &AlarmLimits, level: Level, value: f64, is_on: bool) -> bool {
    let Some(limit) = limits.at.get(level as usize).and_then(Option::as_ref) else { return false };
    let inside = if is_on { limits.hysteresis } else { 0.0 };
    match level {
        Level::LowLow | Level::Low => value < limit.at + inside,
        _ => value > limit.at - inside,
    }
}

fn is_equal(value: &Value, other: &Value) -> bool {
    match (value.as_integer(), other.as_integer()) {
        (Some(a), Some(b)) => a == b,
        _ => match (value.as_f64(), other.as_f64()) {
            (Some(a), Some(b)) => a == b,
            _ => value == other,
        },
    }
}

/// The levels that clients see: of an exclusive alarm one at a time.
pub(super) fn visible(rule: &Alarm, on: Levels) -> Levels {
    match &rule.form {
        AlarmForm::Limits(limits) if limits.is_exclusive => {
            on.worst().map_or(Levels::NONE, |one| Levels::NONE.with(one))
        }
        _ => on,
    }
}
