//! State of one tag: the sample that clients see, and the last good value.
//!
//! A miss never makes a tag better: a Bad tag gets the code of the miss at once.

use std::time::Duration;

use opcua::StatusCode;
use tokio::time::Instant;

use super::convert::leaves_deadband;
use super::{Lapse, Miss, RawSample, Roster, Stamp, Watch};
use crate::value::{Moment, Sample, Value};

pub(super) struct Slot {
    pub sample: Sample,
    /// The last usable value, also while the tag is Bad; for the deadband and for Uncertain.
    pub good: Value,
    /// The revision of the plant in which the tag got its present source.
    pub since: u32,
    last_good: Option<Instant>,
    /// Time of the device's last answer for the tag, also of a Bad one.
    pub answered: Option<Instant>,
    /// Waits in the list of changed memory tags.
    pub dirty: bool,
    /// The tag is Bad for a reason of its own, which the store has in words.
    pub has_reason: bool,
    /// A time of the device that is too far ahead was logged.
    pub warned_of_time: bool,
    /// Links that hold the tag among their points; 255 stays.
    pub claims: u8,
    pub watches: Roster<Watch>,
}

impl Slot {
    pub(crate) fn new(value: Value, status: StatusCode, stamp: Stamp) -> Slot {
        let good = value.clone();
        let sample = Sample { value, status, source_time: stamp.source, server_time: stamp.server };
        Slot {
            sample,
            good,
            since: 0,
            last_good: None,
            answered: None,
            dirty: false,
            has_reason: false,
            warned_of_time: false,
            claims: 0,
            watches: Roster::default(),
        }
    }

    /// The slot of no tag.
    pub(crate) fn vacant(stamp: Stamp) -> Slot {
        Slot::new(Value::Null, StatusCode::BadNodeIdUnknown, stamp)
    }

    pub(crate) fn is_out_of_service(&self) -> bool {
        self.sample.status == StatusCode::BadOutOfService
    }

    /// A usable value: shown when it leaves the deadband or the status is new.
    /// Returns whether it was.
    pub(crate) fn take(&mut self, value: Value, status: StatusCode, deadband: f64, stamp: Stamp) -> bool {
        self.last_good = Some(stamp.now);
        self.has_reason = false;
        let news = self.sample.status != status || leaves_deadband(&self.good, &value, deadband);
        if news {
            self.sample.value = value.clone();
            self.good = value;
            self.sample.status = status;
        }
        self.stamp(stamp);
        self.tell(news, stamp.moment());
        news
    }

    /// A status without a usable new value, as the device or its driver says it.
    /// Returns whether it is new.
    pub(crate) fn turn(&mut self, value: Value, status: StatusCode, stamp: Stamp) -> bool {
        let news = self.sample.status != status;
        self.has_reason = false;
        self.sample.value = value;
        self.sample.status = status;
        self.stamp(stamp);
        self.tell(news, stamp.moment());
        news
    }

    /// Starts again with the state of another slot; the watches stay.
    pub(super) fn begin(&mut self, state: Slot, is_told: bool, stamp: Stamp) {
        let news = self.sample.status != state.sample.status || !self.sample.value.same_bits(&state.sample.value);
        (self.sample, self.good) = (state.sample, state.good);
        (self.last_good, self.answered) = (None, None);
        (self.has_reason, self.warned_of_time) = (false, false);
        if is_told {
            self.tell(news, stamp.moment());
        }
    }

    /// Takes the state of the structure of which the tag is a part; returns whether value or status is new.
    pub(super) fn follow(&mut self, sample: Sample, now: Moment) -> bool {
        let news = self.sample.status != sample.status || !self.sample.value.same_bits(&sample.value);
        self.sample = sample;
        self.tell(news, now);
        news
    }

    /// SourceTimestamp changes with the quality, so that an old alarm is not shown as a new one. Returns whether the status
    /// is new.
    pub(crate) fn miss(&mut self, why: Miss, stale_after: Duration, stamp: Stamp) -> bool {
        let lapse = if self.is_fresh(stale_after, stamp) { Lapse::Uncertain } else { Lapse::Bad };
        self.lapse(why, lapse, stamp)
    }

    pub(crate) fn lapse(&mut self, why: Miss, lapse: Lapse, stamp: Stamp) -> bool {
        let trusted = why != Miss::Panicked && !self.sample.status.is_bad();
        let usable = trusted && lapse == Lapse::Uncertain;
        let status = if usable { StatusCode::UncertainLastUsableValue } else { why.code() };
        if status != self.sample.status {
            let value = if usable { self.good.clone() } else { Value::Null };
            self.turn(value, status, stamp);
            return true;
        }
        false
    }

    /// Whether the device answered for the tag within `stale_after`: this answer remains while the next one is late.
    pub(crate) fn is_answered(&self, stale_after: Duration, stamp: Stamp) -> bool {
        self.answered.is_some_and(|at| stamp.now.saturating_duration_since(at) < stale_after)
    }

    /// Whether the last good value is younger than `stale_after`.
    pub(crate) fn is_fresh(&self, stale_after: Duration, stamp: Stamp) -> bool {
        self.last_good.is_some_and(|at| stamp.now.saturating_duration_since(at) < stale_after)
    }

    /// Offers a sample of the past, and returns it; one that lies in the future is none.
    pub(crate) fn recall(&self, value: Result<Value, StatusCode>, raw: &RawSample, stamp: Stamp) -> Option<Sample> {
        let source_time = raw.source_time().filter(|time| *time <= stamp.server)?;
        let (value, status) = value.map_or_else(|code| (Value::Null, code), |value| (value, raw.status()));
        let sample = Sample { value, status, source_time, server_time: stamp.server };
        self.recall_sample(&sample);
        Some(sample)
    }

    pub(super) fn recall_sample(&self, sample: &Sample) {
        for watch in self.watches.iter() {
            watch.watcher.recall(watch.key, sample);
        }
    }

    fn stamp(&mut self, stamp: Stamp) {
        self.sample.source_time = stamp.source;
        self.sample.server_time = stamp.server;
    }

    fn tell(&self, news: bool, now: Moment) {
        for watch in self.watches.iter() {
            if news || watch.every {
                watch.watcher.offer(watch.key, &self.sample, now);
            }
        }
    }
}
