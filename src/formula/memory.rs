//! Memory of a formula, from one run to the next.
//!
//! Durations are measured on the monotonic clock, so a wall clock that is set changes none.

use tokio::time::Instant;

use super::Program;
use super::place::{Place, seconds};
use super::window::Points;
use crate::value::Value;

/// The memory of one formula; runs of the same formula elsewhere have their own.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Memory {
    cells: Box<[Cell]>,
    is_changed: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Cell {
    /// The tag's last value.
    Previous(Value),
    Age {
        value: Value,
        since: Option<Instant>,
    },
    Window(Points),
    Total {
        sum: f64,
        last: Option<(Instant, f64)>,
    },
    Rises {
        count: i64,
        last: Option<bool>,
    },
    OnTime {
        seconds: f64,
        /// While the condition is true: until then it is counted.
        counted: Option<Instant>,
    },
    /// Since when the condition is true.
    OnDelay(Option<Instant>),
    /// When the condition was true last.
    OffDelay(Option<Instant>),
}

/// A number beyond its type.
pub(super) struct Beyond;

impl Memory {
    /// The memory of a formula that never ran.
    pub fn of(program: &Program) -> Memory {
        let cell = |place: &Place| match place {
            Place::Previous => Cell::Previous(Value::Null),
            Place::Age(_) => Cell::Age { value: Value::Null, since: None },
            Place::Window(window) => Cell::Window(Points::of(*window)),
            Place::Total { .. } => Cell::Total { sum: 0.0, last: None },
            Place::Rises => Cell::Rises { count: 0, last: None },
            Place::OnTime => Cell::OnTime { seconds: 0.0, counted: None },
            Place::OnDelay => Cell::OnDelay(None),
            Place::OffDelay => Cell::OffDelay(None),
        };
        Memory { cells: program.places.iter().map(cell).collect(), is_changed: false }
    }

    /// Values that outlive the program, one a function: of `total`, `count_rises`, `on_time` and `prev`. Null for the others.
    pub fn kept(&self) -> Vec<Value> {
        let kept = |cell: &Cell| match cell {
            Cell::Previous(value) => value.clone(),
            Cell::Total { sum, .. } => Value::Double(*sum),
            Cell::Rises { count, .. } => Value::Int64(*count),
            Cell::OnTime { seconds, .. } => Value::Double(*seconds),
            Cell::Age { .. } | Cell::Window(_) | Cell::OnDelay(_) | Cell::OffDelay(_) => Value::Null,
        };
        self.cells.iter().map(kept).collect()
    }

    /// Takes the values that an earlier program of the same formula kept.
    pub fn restore(&mut self, kept: &[Value]) {
        if kept.len() != self.cells.len() {
            return;
        }
        for (cell, kept) in self.cells.iter_mut().zip(kept) {
            match (cell, kept) {
                (Cell::Previous(value), kept) => *value = kept.clone(),
                (Cell::Total { sum, .. }, Value::Double(kept)) if kept.is_finite() => *sum = *kept,
                (Cell::Rises { count, .. }, Value::Int64(kept)) => *count = *kept,
                (Cell::OnTime { seconds, .. }, Value::Double(kept)) if kept.is_finite() => *seconds = *kept,
                _ => {}
            }
        }
    }

    /// Whether something of what is kept changed since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Notes the result of a run that gave a value.
    pub(super) fn note_result(&mut self, result: &Value) {
        for cell in &mut self.cells {
            if let Cell::Previous(value) = cell
                && !value.same_bits(result)
            {
                *value = result.clone();
                self.is_changed = true;
            }
        }
    }

    pub(super) fn previous(&self, place: u16) -> Value {
        match &self.cells[usize::from(place)] {
            Cell::Previous(value) => value.clone(),
            _ => Value::Null,
        }
    }

    /// Seconds since the value is another one; `None` while there was no value.
    pub(super) fn age(&mut self, place: u16, present: Option<&Value>, now: Instant) -> Option<f64> {
        let Cell::Age { value, since } = &mut self.cells[usize::from(place)] else { return None };
        if let Some(present) = present
            && (since.is_none() || !value.same_bits(present))
        {
            (*value, *since) = (present.clone(), Some(now));
        }
        since.map(|since| seconds(since, now))
    }

    /// The value of a function over a window or of `total`; `None` where the window has none yet.
    pub(super) fn over_time(&mut self, place: Place, at: u16, value: f64, now: Instant) -> Result<Option<f64>, Beyond> {
        let result = match &mut self.cells[usize::from(at)] {
            Cell::Window(points) => points.take(value, now),
            Cell::Total { sum, last } => {
                let Place::Total { per, is_sloped } = place else { return Ok(None) };
                if let Some((from, before)) = *last {
                    let height = if is_sloped { before / 2.0 + value / 2.0 } else { before };
                    *sum += height * (seconds(from, now) / per);
                    self.is_changed |= height != 0.0;
                }
                *last = Some((now, value));
                Some(*sum)
            }
            _ => None,
        };
        if result.is_none_or(f64::is_finite) { Ok(result) } else { Err(Beyond) }
    }

    /// Rising edges so far.
    pub(super) fn rises(&mut self, at: u16, on: bool) -> i64 {
        let Cell::Rises { count, last } = &mut self.cells[usize::from(at)] else { return 0 };
        if on && *last == Some(false) {
            *count = count.saturating_add(1);
            self.is_changed = true;
        }
        *last = Some(on);
        *count
    }

    /// Seconds so far.
    pub(super) fn on_time(&mut self, at: u16, on: bool, now: Instant) -> f64 {
        let Cell::OnTime { seconds: sum, counted } = &mut self.cells[usize::from(at)] else { return 0.0 };
        if let Some(from) = *counted {
            *sum += seconds(from, now);
            self.is_changed = true;
        }
        *counted = on.then_some(now);
        *sum
    }

    /// IEC 61131 TON and TOF.
    pub(super) fn delayed(&mut self, at: u16, on: bool, delay: f64, now: Instant) -> bool {
        match &mut self.cells[usize::from(at)] {
            Cell::OnDelay(since) => {
                let began = if on { Some(since.unwrap_or(now)) } else { None };
                *since = began;
                began.is_some_and(|began| seconds(began, now) >= delay)
            }
            Cell::OffDelay(last) => {
                if on {
                    *last = Some(now);
                }
                on || last.is_some_and(|last| seconds(last, now) < delay)
            }
            _ => false,
        }
    }

    /// The argument of a function has no value from now on. Gives the value of a `total`, which goes on.
    pub(super) fn miss(&mut self, place: Place, at: u16, now: Instant) -> Option<f64> {
        match &mut self.cells[usize::from(at)] {
            Cell::Window(points) => {
                points.miss(now);
                None
            }
            Cell::OnTime { seconds: sum, counted } => {
                if let Some(from) = counted.take() {
                    *sum += seconds(from, now);
                    self.is_changed = true;
                }
                None
            }
            Cell::Total { sum, last } => {
                let Place::Total { per, .. } = place else { return None };
                if let Some((from, before)) = last.take() {
                    *sum += before * (seconds(from, now) / per);
                    self.is_changed = true;
                }
                Some(*sum).filter(|sum| sum.is_finite())
            }
            _ => None,
        }
    }
}
