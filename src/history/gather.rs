//! From the tag store into the archives: decides by history class which samples are recorded.
//!
//! On change, a sample is recorded when its status is new, when it leaves the class's deadband, or when the last one
//! is `max_interval` old. The sample before a change is recorded too, so that a line between two samples never runs
//! over a time in which the value stood still, and the last good time before a gap is known. A tag's time without the
//! server is marked by a sample BadDataLost (Part 11 §6.2.2, 1.05).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use parking_lot::Mutex;

use super::{ArchiveId, Archives, Historian, Row};
use crate::model::{HistoryDeadband, Origin, Plant, TagId};
use crate::tags::{Segments, TagStore, Watch, Watcher, leaves_deadband};
use crate::value::{Moment, Sample, UaTime, Value};

/// Rows that are handed to the historian at once.
const BATCH: usize = 4_096;

/// Interval between two checks of tags that nobody polls.
pub const SWEEP: Duration = Duration::from_secs(1);

/// A sample that arrives during a sweep may be newer than the sweep by at most this, in ticks of 100 ns.
const AHEAD: i64 = 10_000_000;

/// Takes the samples of every tag that has an archive.
pub struct Gather {
    historian: Arc<dyn Historian>,
    tags: Arc<TagStore>,
    /// By the key that each tag is watched with.
    tracks: Segments<Mutex<Option<Track>>>,
    keys: Mutex<Keys>,
    rows: Mutex<Vec<Row>>,
}

/// The place of each tag that is recorded.
#[derive(Default)]
struct Keys {
    of: HashMap<TagId, u32>,
    free: Vec<u32>,
    /// All keys are below it.
    bound: u32,
}

impl Keys {
    fn take(&mut self, tag: TagId) -> u32 {
        let key = self.free.pop().unwrap_or_else(|| {
            self.bound += 1;
            self.bound - 1
        });
        self.of.insert(tag, key);
        key
    }
}

/// One tag.
struct Track {
    tag: TagId,
    archive: ArchiveId,
    rule: Rule,
    /// The first sample is recorded as of then, if it is older.
    started: UaTime,
    /// The last sample that was recorded.
    last: Option<Recorded>,
    /// The sample after it, when it was not different enough to be recorded.
    skipped: Option<Sample>,
}

struct Recorded {
    value: Value,
    status: StatusCode,
    time: UaTime,
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    every_sample: bool,
    /// In the tag's unit.
    deadband: f64,
    /// Ticks of 100 ns.
    max_interval: i64,
    is_stepped: bool,
    /// No driver brings samples of this tag: it is checked each `SWEEP`.
    is_silent: bool,
}

impl Gather {
    /// Watches the tags from now on; the first sample of each is recorded as of `started`, if it is older.
    pub fn start(archives: &Archives, plant: &Plant, tags: &Arc<TagStore>, started: UaTime) -> Arc<Gather> {
        let gather = Arc::new(Gather {
            historian: Arc::clone(&archives.historian),
            tags: Arc::clone(tags),
            tracks: Segments::new(archives.tags().map(|_| Mutex::new(None))),
            keys: Mutex::default(),
            rows: Mutex::new(Vec::new()),
        });
        gather.apply(archives, plant, started);
        gather
    }

    /// Records the tags of this plant from now on. A tag that goes on being recorded in its archive loses nothing; one
    /// whose archive is another, or that is not recorded any more, is ended at `now`.
    pub fn apply(self: &Arc<Gather>, archives: &Archives, plant: &Plant, now: UaTime) {
        self.end_others(archives, now);
        let mut keys = self.keys.lock();
        for (tag, archive) in archives.tags() {
            let rule = rule(plant, tag);
            if let Some(key) = keys.of.get(&tag) {
                if let Some(track) = &mut *self.tracks[*key as usize].lock() {
                    track.rule = rule;
                }
                continue;
            }
            let key = keys.take(tag);
            self.tracks.grow(keys.bound as usize, || Mutex::new(None));
            let track = Track { tag, archive, rule, started: now, last: None, skipped: None };
            *self.tracks[key as usize].lock() = Some(track);
            self.tags.watch(tag, Watch { watcher: self.watcher(), key, every: true });
        }
    }

    /// Ends the recording of tags whose archive is not the one that they have here.
    pub fn end_others(self: &Arc<Gather>, archives: &Archives, now: UaTime) {
        let mut keys = self.keys.lock();
        let recorded: Vec<(TagId, u32)> = keys.of.iter().map(|(tag, key)| (*tag, *key)).collect();
        for (tag, key) in recorded {
            let archive = self.tracks[key as usize].lock().as_ref().map(|track| track.archive);
            if archives.of(tag) != archive {
                self.end(key, now);
                keys.of.remove(&tag);
                keys.free.push(key);
            }
        }
    }

    fn watcher(self: &Arc<Gather>) -> Arc<dyn Watcher> {
        Arc::clone(self) as Arc<dyn Watcher>
    }

    /// Marks the time from `since`, the last commit of the store, until now as lost: the server ended without an
    /// orderly stop. To be called before `start`.
    pub fn mark_lost(historian: &dyn Historian, archives: impl Iterator<Item = ArchiveId>, since: UaTime) {
        let mut rows: Vec<Row> = archives.map(|archive| lost(archive, UaTime(since.0 + 1))).collect();
        historian.append(&mut rows);
    }

    /// Hands the collected rows to the historian, and checks tags that nobody polls.
    pub fn sweep(&self, now: UaTime) {
        let keys: Vec<u32> = self.keys.lock().of.values().copied().collect();
        for key in keys {
            let track = &self.tracks[key as usize];
            let due = {
                let track = track.lock();
                track.as_ref().filter(|track| track.is_quiet(now)).map(|track| track.tag)
            };
            // Without the track's lock: a tag's lock always comes first. It is held until the row is queued, so that
            // nothing newer comes in between.
            if let Some(tag) = due {
                self.tags.with(tag, |sample| {
                    let mut track = track.lock();
                    if let Some(quiet) = track.as_mut().filter(|track| track.tag == tag && track.is_quiet(now)) {
                        let row = quiet.record(Sample { source_time: now, server_time: now, ..sample.clone() });
                        drop(track);
                        self.rows.lock().push(row);
                    }
                });
            }
        }
        self.hand_over();
    }

    fn queue(&self, more: impl IntoIterator<Item = Row>) {
        let mut rows = self.rows.lock();
        rows.extend(more);
        if rows.len() >= BATCH {
            let mut full = std::mem::take(&mut *rows);
            drop(rows);
            self.historian.append(&mut full);
        }
    }

    pub fn hand_over(&self) {
        let mut rows = std::mem::take(&mut *self.rows.lock());
        if !rows.is_empty() {
            self.historian.append(&mut rows);
        }
    }

    /// Ends every archive at `now`: records the samples that were held back, and a mark that recording ended.
    pub fn stop(self: &Arc<Gather>, now: UaTime) {
        let keys = std::mem::take(&mut *self.keys.lock());
        for key in keys.of.into_values() {
            self.end(key, now);
        }
        self.hand_over();
    }

    fn end(self: &Arc<Gather>, key: u32, now: UaTime) {
        let Some(tag) = self.tracks[key as usize].lock().as_ref().map(|track| track.tag) else { return };
        self.tags.unwatch(tag, &self.watcher(), key);
        let Some(track) = self.tracks[key as usize].lock().take() else { return };
        let last = track.last.as_ref().map_or(UaTime::NULL, |last| last.time);
        let end = track.skipped.as_ref().map_or(last, |skipped| skipped.source_time).max(now);
        let mut rows = self.rows.lock();
        rows.extend(track.skipped.map(|sample| Row { archive: track.archive, sample }));
        rows.push(lost(track.archive, UaTime(end.0 + 1)));
    }
}

fn rule(plant: &Plant, id: TagId) -> Rule {
    let tag = plant.tag(id);
    let class = plant.history_of(id).expect("a tag with an archive has a class");
    let deadband = match (class.deadband, tag.shape.range) {
        (HistoryDeadband::Absolute(band), _) => band,
        (HistoryDeadband::Percent(percent), Some((low, high))) => (high - low) * percent / 100.0,
        (HistoryDeadband::Percent(_), None) => 0.0,
    };
    Rule {
        every_sample: class.every_sample,
        deadband,
        max_interval: i64::try_from(class.max_interval.as_nanos() / 100).unwrap_or(i64::MAX),
        is_stepped: plant.is_stepped(id),
        is_silent: !matches!(plant.owner(tag).origin, Origin::Device { read: true, .. }),
    }
}

fn lost(archive: ArchiveId, time: UaTime) -> Row {
    let sample = Sample { value: Value::Null, status: StatusCode::BadDataLost, source_time: time, server_time: time };
    Row { archive, sample }
}

impl Track {
    /// No sample for `max_interval`, or only samples from the future (the clock was set back).
    fn is_quiet(&self, now: UaTime) -> bool {
        self.last.as_ref().is_some_and(|last| {
            let age = now.0.saturating_sub(last.time.0);
            (self.rule.is_silent || last.status.is_bad()) && !(-AHEAD..self.rule.max_interval).contains(&age)
        })
    }

    fn record(&mut self, sample: Sample) -> Row {
        self.last = Some(Recorded { value: sample.value.clone(), status: sample.status, time: sample.source_time });
        self.skipped = None;
        Row { archive: self.archive, sample }
    }
}

impl Watcher for Gather {
    /// Records every sample: what a device kept it also chose.
    fn recall(&self, key: u32, sample: &Sample) {
        let archive = self.tracks[key as usize].lock().as_ref().map(|track| track.archive);
        let Some(archive) = archive else { return };
        self.queue([Row { archive, sample: sample.clone() }]);
    }

    fn offer(&self, key: u32, sample: &Sample, _: Moment) {
        let mut guard = self.tracks[key as usize].lock();
        let Some(track) = guard.as_mut() else { return };
        let rule = track.rule;
        let Some(last) = &track.last else {
            let time = sample.source_time.max(track.started);
            let row = track.record(Sample { source_time: time, ..sample.clone() });
            drop(guard);
            self.rows.lock().push(row);
            return;
        };
        let time = if sample.source_time == UaTime::NULL { sample.server_time } else { sample.source_time };
        let quality = sample.status != last.status;
        let news = quality || leaves_deadband(&last.value, &sample.value, rule.deadband);
        // A clock that was set back makes every time new.
        let age = time.0.saturating_sub(last.time.0);
        if !news && age == 0 {
            return;
        }
        if !news && !rule.every_sample && (0..rule.max_interval).contains(&age) {
            track.skipped = Some(Sample { source_time: time, ..sample.clone() });
            return;
        }
        let before = track.skipped.take().filter(|_| quality || news && !rule.is_stepped);
        let archive = track.archive;
        let row = track.record(Sample { source_time: time, ..sample.clone() });
        drop(guard);
        self.queue(before.map(|sample| Row { archive, sample }).into_iter().chain([row]));
    }
}
