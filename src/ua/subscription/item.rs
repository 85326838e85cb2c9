//! One monitored item: what it watches, how often it samples, and what waits to be published.

use std::time::Duration;

use opcua::StatusCode;
use tokio::time::Instant;

use super::filter::DataFilter;
use super::grid::Grid;
use super::queue::{Queue, SEMANTICS_CHANGED};
use crate::history::aggregate::Running;
use crate::model::TagId;
use crate::stack::codec::Timestamps;
use crate::ua::events::{EventFilter, EventQueue};
use crate::ua::space::{Attribute, Live, NodeIdentity};
use crate::value::{IndexRange, Moment, Sample};

/// MonitoringMode (Part 4 §7.23, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Disabled,
    Sampling,
    Reporting,
}

impl Mode {
    pub fn from_wire(number: i32) -> Option<Mode> {
        Some(match number {
            0 => Mode::Disabled,
            1 => Mode::Sampling,
            2 => Mode::Reporting,
            _ => return None,
        })
    }
}

/// The source of an item's notifications.
#[derive(Debug)]
pub enum Watched {
    /// A tag's value: each change is offered.
    Tag(TagId),
    /// A variable of the server itself: asked for at each sampling interval.
    Live(Live),
    /// An attribute that never changes while the address space lives.
    Fixed,
    Events(Box<EventFilter>, EventQueue),
}

/// The place where an item is attached to get the changes of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchedKind {
    Tag(TagId),
    Events,
    /// Nowhere: it is asked, or never changes.
    Other,
}

impl Watched {
    pub fn kind(&self) -> WatchedKind {
        match self {
            Watched::Tag(tag) => WatchedKind::Tag(*tag),
            Watched::Events(..) => WatchedKind::Events,
            Watched::Live(_) | Watched::Fixed => WatchedKind::Other,
        }
    }
}

#[derive(Debug)]
pub struct Item {
    pub id: u32,
    pub client_handle: u32,
    pub mode: Mode,
    pub node: NodeIdentity,
    pub attribute: Attribute,
    pub watched: Watched,
    pub sampling: Duration,
    /// The tag's poll period; zero where each change arrives at once.
    pub period: Duration,
    pub timestamps: Timestamps,
    pub range: Option<IndexRange>,
    pub filter: DataFilter,
    /// Takes the samples; its results enter the queue without the filter.
    pub aggregate: Option<Box<Running>>,
    pub queue: Queue,
    pub queue_size: u32,
    /// The last one that entered the queue.
    pub last: Option<Sample>,
    /// The newest one of the running cell of the sampling grid; the next cell takes it.
    pub held: Option<Sample>,
    pub grid: Grid,
    /// Is in the subscription's list of items to publish.
    pub is_dirty: bool,
    /// Is in the subscription's list of items that hold a sample back.
    pub is_waiting: bool,
    /// Status that is reported in place of values, because the session may not read them.
    pub denied: Option<StatusCode>,
}

/// The outcome for an offered sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    No,
    Queued { lost: bool },
    Held,
}

impl Accepted {
    fn then(self, next: Accepted) -> Accepted {
        match (self, next) {
            (Accepted::Queued { lost }, Accepted::Queued { lost: too }) => Accepted::Queued { lost: lost || too },
            (queued @ Accepted::Queued { .. }, _) => queued,
            (_, next) => next,
        }
    }
}

impl Item {
    pub fn has_news(&self) -> bool {
        match &self.watched {
            Watched::Events(_, queue) => !queue.is_empty(),
            _ => !self.queue.is_empty(),
        }
    }

    /// It takes no samples.
    pub fn is_silent(&self) -> bool {
        self.mode == Mode::Disabled || self.denied.is_some()
    }

    /// A tag is polled no faster than its period, so a sampling interval up to it takes every sample. One that the
    /// publishing interval covers needs no clock either when only the newest counts.
    fn needs_grid(&self, publishing: Duration) -> bool {
        let counts = self.aggregate.is_some() || self.queue_size > 1 || self.sampling > publishing;
        self.sampling > self.period && counts
    }

    /// Takes a sample that the tag offers at `now`: each one, or one of each cell of the sampling grid.
    pub fn offer(&mut self, sample: &Sample, publishing: Duration, now: Moment) -> Accepted {
        let Some(sample) = self.part_of(sample) else { return Accepted::No };
        if !self.needs_grid(publishing) {
            // What an earlier, longer sampling interval held back came first.
            return self.flush_held(now).then(self.accept(sample, now));
        }
        let mut earlier = Accepted::No;
        if self.held.is_some() && self.grid.is_late(now.mono, self.sampling) {
            // No tick of the subscription came since that cell began: it took what was held then.
            self.grid.step(self.sampling);
            earlier = self.flush_held(now);
        }
        if !self.grid.is_due(now.mono, self.sampling) {
            self.held = Some(sample);
            return earlier.then(Accepted::Held);
        }
        self.held = None;
        self.grid.pass(now.mono, self.sampling);
        earlier.then(self.accept(sample, now))
    }

    fn flush_held(&mut self, now: Moment) -> Accepted {
        match self.held.take() {
            Some(sample) => self.accept(sample, now),
            None => Accepted::No,
        }
    }

    /// At a tick of the subscription: the held sample enters the queue when the next cell has begun.
    pub fn flush_due(&mut self, now: Moment) -> Accepted {
        if self.held.is_none() {
            return Accepted::No;
        }
        if !self.grid.is_due(now.mono, self.sampling) {
            return Accepted::Held;
        }
        self.grid.pass(now.mono, self.sampling);
        self.flush_held(now)
    }

    /// A variable of the server itself is to be looked at now.
    pub fn begins_cell(&mut self, now: Instant, interval: Duration) -> bool {
        let is_due = self.grid.is_due(now, interval);
        if is_due {
            self.grid.pass(now, interval);
        }
        is_due
    }

    /// Queues the present sample although it is no news: its semantics changed. The part that an IndexRange asks for.
    pub fn announce(&mut self, sample: &Sample) -> Accepted {
        if self.is_silent() || self.aggregate.is_some() {
            return Accepted::No;
        }
        let Some(sample) = self.part_of(sample) else { return Accepted::No };
        self.held = None;
        self.last = self.queue.book_compared(&sample.value).then(|| sample.clone());
        let status = StatusCode::from(sample.status.bits() | SEMANTICS_CHANGED);
        Accepted::Queued { lost: self.queue.push(Sample { status, ..sample }) }
    }

    /// A new sampling interval begins with the next sample.
    pub fn begin_grid(&mut self) {
        self.grid = Grid::default();
    }

    /// The part that an IndexRange asks for; its absence is a status of its own.
    fn part_of(&self, sample: &Sample) -> Option<Sample> {
        let Some(range) = &self.range else { return Some(sample.clone()) };
        if sample.status.is_bad() {
            return Some(sample.clone());
        }
        Some(match range.apply(&sample.value) {
            Ok(value) => Sample { value, ..*sample },
            Err(status) => Sample { value: crate::value::Value::Null, status, ..*sample },
        })
    }

    pub fn accept(&mut self, sample: Sample, now: Moment) -> Accepted {
        if self.aggregate.is_some() {
            return self.calculate(|running, results| running.take(&sample, now.wall, results));
        }
        if self.last.as_ref().is_some_and(|last| !self.filter.passes(last, &sample)) {
            return Accepted::No;
        }
        // Without memory for it there is nothing to compare with: the next sample is reported in any case.
        self.last = self.queue.book_compared(&sample.value).then(|| sample.clone());
        Accepted::Queued { lost: self.queue.push(sample) }
    }

    /// The results of processing intervals that are over at a tick of the subscription.
    pub fn pass_time(&mut self, now: Moment) -> Accepted {
        self.calculate(|running, results| running.pass(now.wall, results))
    }

    fn calculate(&mut self, step: impl FnOnce(&mut Running, &mut Vec<Sample>)) -> Accepted {
        let Some(running) = &mut self.aggregate else { return Accepted::No };
        let mut results = Vec::new();
        step(running, &mut results);
        results.into_iter().fold(Accepted::No, |accepted, result| {
            self.last = Some(result.clone());
            accepted.then(Accepted::Queued { lost: self.queue.push(result) })
        })
    }
}
