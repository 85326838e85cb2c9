//! The embedded store against a plain map: whatever is appended, late or twice, edited, flushed, merged, let go or
//! restarted, both must return the same.
//!
//! `OPCELL_STEPS=100000 cargo test --release --test history_store_model` is the long run, `OPCELL_SEED` another one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use opcell::testing::history::store::{Partition, Settings, Store};
use opcell::testing::history::{
    ArchiveId, ArchiveSpec, Cursor, Direction, Edit, Fault, Historian, Point, Row, Span, Summary, Visitor, Who,
};
use opcell::value::{BuiltIn, Elements, Sample, UaTime, Value};
use opcua::StatusCode;

const SECOND: i64 = 10_000_000;
const DAY: i64 = 86_400 * SECOND;
const ARCHIVES: usize = 6;
const KEEP: i64 = 30 * DAY;

type Map = BTreeMap<i64, Sample>;

/// A read that continues while the archive changes.
struct Reading {
    archive: usize,
    direction: Direction,
    resume: Cursor,
    rest: Vec<Sample>,
}

struct World {
    dir: PathBuf,
    store: Arc<Store>,
    ids: Vec<ArchiveId>,
    maps: Vec<Map>,
    /// Where each archive's samples go on.
    ends: Vec<i64>,
    logged: Vec<usize>,
    readings: Vec<Reading>,
    now: i64,
    random: Rng,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn settings(dir: &PathBuf) -> Settings {
    Settings {
        commit: Duration::from_secs(3600),
        min_free: 0,
        flush_every: Duration::from_secs(3600),
        partition: Some(Partition::Day),
        pin: Duration::from_millis(200),
        ..Settings::new(dir)
    }
}

fn spec(at: usize) -> ArchiveSpec {
    ArchiveSpec {
        namespace: "urn:model".to_owned(),
        identifier: format!("i={at}"),
        kind: BuiltIn::Double,
        is_array: false,
        class: "process".to_owned(),
        keep: Duration::from_nanos(KEEP.unsigned_abs() * 100),
        max_size: None,
    }
}

impl World {
    fn new(dir: PathBuf, seed: u64) -> World {
        let store = Store::open(settings(&dir)).expect("a store");
        let specs: Vec<ArchiveSpec> = (0..ARCHIVES).map(spec).collect();
        let ids = store.register(&specs).expect("archives");
        let now = UaTime::now().0;
        World {
            dir,
            store,
            ids,
            maps: vec![Map::new(); ARCHIVES],
            ends: vec![now - 3 * DAY; ARCHIVES],
            logged: vec![0; ARCHIVES],
            readings: Vec::new(),
            now,
            random: Rng::with_seed(seed),
        }
    }

    fn value(&mut self, archive: usize) -> Value {
        let n = self.random.u32(0..1000);
        match archive {
            0 => Value::Double(f64::from(n / 10) / 10.0),
            1 => Value::Float(if n == 7 { f32::NAN } else { n as f32 * 0.37 }),
            2 => Value::Boolean(n > 900),
            3 => Value::Int32(n.cast_signed() - 500),
            4 => Value::text(["idle", "running", "fault", ""][n as usize % 4]),
            _ => match n % 5 {
                0 => Value::array(Elements::Int16(vec![1; n as usize % 7])),
                1 => Value::UInt64(u64::MAX - u64::from(n)),
                _ => Value::Double(f64::from(n)),
            },
        }
    }

    fn sample(&mut self, archive: usize, time: i64) -> Sample {
        let status = match self.random.u8(0..50) {
            0 => StatusCode::BadCommunicationError,
            1 => StatusCode::UncertainInitialValue,
            _ => StatusCode::Good,
        };
        let value = if status.is_bad() { Value::Null } else { self.value(archive) };
        let delay = if archive.is_multiple_of(2) { 0 } else { self.random.i64(0..200_000) };
        Sample { value, status, source_time: UaTime(time), server_time: UaTime(time + delay) }
    }

    /// Some time that has a sample, or none.
    fn known_time(&mut self, archive: usize) -> Option<i64> {
        let map = &self.maps[archive];
        let (first, last) = (*map.keys().next()?, *map.keys().next_back()?);
        let from = self.random.i64(first..=last);
        map.range(from..).next().map(|(time, _)| *time)
    }

    fn any_span(&mut self) -> (i64, i64) {
        let from = self.now - 4 * DAY + self.random.i64(0..5 * DAY);
        let most = DAY / [1, 10, 1000][self.random.usize(0..3)];
        (from, from + self.random.i64(0..most))
    }

    fn append(&mut self) {
        let archive = self.random.usize(0..ARCHIVES);
        let count = if self.random.u8(0..10) == 0 { self.random.usize(0..2000) } else { self.random.usize(0..40) };
        let kind = self.random.u8(0..10);
        let mut time = match kind {
            // Late, and amid what is there.
            0 => self.ends[archive] - self.random.i64(0..DAY),
            1 => self.known_time(archive).unwrap_or(self.ends[archive]),
            _ => self.ends[archive],
        };
        let mut rows = Vec::new();
        for _ in 0..count {
            let repeats = self.random.u8(0..30) == 0;
            if !repeats {
                time += self.random.i64(1..20 * SECOND);
            }
            let sample = match self.maps[archive].get(&time) {
                Some(known) if self.random.bool() => known.clone(),
                _ => self.sample(archive, time),
            };
            self.maps[archive].insert(time, sample.clone());
            rows.push(Row { archive: self.ids[archive], sample });
        }
        if kind > 1 {
            self.ends[archive] = time;
        }
        self.store.append(&mut rows);
        if self.random.bool() {
            self.commit();
        }
    }

    fn commit(&self) {
        self.store.commit().expect("committed");
    }

    fn edit(&mut self) {
        let archive = self.random.usize(0..ARCHIVES);
        let mut times: Vec<i64> = (0..self.random.usize(1..4)).filter_map(|_| self.known_time(archive)).collect();
        times.push(self.any_span().0);
        let samples: Vec<Sample> = times.iter().map(|time| self.sample(archive, *time)).collect();
        let (start, end) = self.any_span();
        let ua = |times: &[i64]| times.iter().map(|time| UaTime(*time)).collect();
        let edit = match self.random.u8(0..6) {
            0 => Edit::Insert(samples),
            1 => Edit::Replace(samples),
            2 => Edit::Update(samples),
            3 => Edit::Remove(ua(&times)),
            4 => Edit::DeleteAt(ua(&times)),
            _ => Edit::DeleteRaw { start: UaTime(start), end: UaTime(end.min(start + DAY / 20)) },
        };
        let expected = self.expected(archive, &edit);
        let who = Who { user: "ann".to_owned(), time: UaTime(self.now) };
        let found = self.store.edit(self.ids[archive], &edit, &who).expect("an edit");
        assert_eq!(found, expected, "{edit:?}");
    }

    fn expected(&mut self, archive: usize, edit: &Edit) -> Vec<StatusCode> {
        let (map, logged) = (&mut self.maps[archive], &mut self.logged[archive]);
        let mut put = |samples: &[Sample], may_insert: bool, may_replace: bool| {
            let one = |sample: &Sample| {
                let is_there = map.contains_key(&sample.source_time.0);
                let allowed = if is_there { may_replace } else { may_insert };
                if allowed {
                    map.insert(sample.source_time.0, sample.clone());
                    *logged += 1;
                }
                match (is_there, allowed) {
                    (true, true) => StatusCode::GoodEntryReplaced,
                    (false, true) => StatusCode::GoodEntryInserted,
                    (true, false) => StatusCode::BadEntryExists,
                    (false, false) => StatusCode::BadNoEntryExists,
                }
            };
            samples.iter().map(one).collect()
        };
        match edit {
            Edit::Insert(samples) => put(samples, true, false),
            Edit::Replace(samples) => put(samples, false, true),
            Edit::Update(samples) => put(samples, true, true),
            Edit::Remove(times) | Edit::DeleteAt(times) => times
                .iter()
                .map(|time| match map.remove(&time.0) {
                    Some(_) => {
                        *logged += 1;
                        StatusCode::Good
                    }
                    None => StatusCode::BadNoEntryExists,
                })
                .collect(),
            Edit::DeleteRaw { start, end } => {
                let gone: Vec<i64> = map.range(start.0..end.0.max(start.0)).map(|(time, _)| *time).collect();
                gone.iter().for_each(|time| drop(map.remove(time)));
                *logged += gone.len();
                vec![if gone.is_empty() { StatusCode::BadNoData } else { StatusCode::Good }]
            }
            Edit::DeleteModified { .. } => unreachable!("not made here"),
        }
    }

    fn read(&mut self) {
        self.commit();
        let archive = self.random.usize(0..ARCHIVES);
        let (first, last) = if self.random.u8(0..5) == 0 { (i64::MIN, i64::MAX) } else { self.any_span() };
        let direction = if self.random.bool() { Direction::Forward } else { Direction::Backward };
        let mut expected: Vec<Sample> =
            self.maps[archive].range(first..=last).map(|(_, sample)| sample.clone()).collect();
        if direction == Direction::Backward {
            expected.reverse();
        }
        let limit = [0, 1, 7, 100, 1000][self.random.usize(0..5)];
        let span = Span { first: UaTime(first), last: UaTime(last) };
        let page = self.store.page(self.ids[archive], span, direction, limit, None).expect("a page");
        let count = if limit == 0 { expected.len() } else { limit.min(expected.len()) };
        same(&page.samples, &expected[..count]);
        assert_eq!(page.resume.is_some(), count < expected.len(), "{count} of {}", expected.len());
        if let Some(resume) = page.resume {
            self.readings.push(Reading { archive, direction, resume, rest: expected[count..].to_vec() });
        }
        if self.random.bool() {
            let mut seen = Seen { random: Rng::with_seed(self.random.u64(..)), points: 0, sum: 0.0, last: i64::MIN };
            self.store.scan(self.ids[archive], span, &mut seen).expect("a scan");
            assert_eq!(seen.points, expected.len());
        }
        let known = self.known_time(archive).unwrap_or(0);
        let at = self.store.at(self.ids[archive], &[UaTime(known), UaTime(known + 1)]).expect("samples");
        let expected: Vec<Option<Sample>> =
            [known, known + 1].iter().map(|time| self.maps[archive].get(time).cloned()).collect();
        assert_eq!(at.is_empty(), expected.is_empty());
        at.iter().zip(&expected).for_each(|(found, put)| same(found.as_slice(), put.as_slice()));
    }

    /// Goes on with a read that began some steps ago: it sees what its first page saw.
    fn go_on(&mut self) {
        if self.readings.is_empty() {
            return;
        }
        let at = self.random.usize(0..self.readings.len());
        let reading = self.readings.swap_remove(at);
        let limit = self.random.usize(1..500);
        // The span is the whole: the cursor knows where the first page began.
        let (first, last) = match (reading.rest.first(), reading.rest.last()) {
            (Some(first), Some(last)) => {
                (first.source_time.min(last.source_time), first.source_time.max(last.source_time))
            }
            _ => return,
        };
        let id = self.ids[reading.archive];
        match self.store.page(id, Span { first, last }, reading.direction, limit, Some(reading.resume)) {
            Ok(page) => {
                let count = limit.min(reading.rest.len());
                same(&page.samples, &reading.rest[..count]);
                if let Some(resume) = page.resume {
                    let rest = reading.rest[count..].to_vec();
                    self.readings.push(Reading { resume, rest, ..reading });
                }
            }
            Err(Fault::Expired) => {}
            Err(fault) => panic!("{fault}"),
        }
    }

    fn check_all(&self) {
        self.commit();
        for (at, map) in self.maps.iter().enumerate() {
            let found = self.store.page(self.ids[at], Span::ALL, Direction::Forward, 0, None).expect("a page").samples;
            let expected: Vec<Sample> = map.values().cloned().collect();
            same(&found, &expected);
            let log = self.store.modified(self.ids[at], Span::ALL, Direction::Forward, 0, None).expect("a log");
            assert_eq!(log.entries.len(), self.logged[at]);
        }
        assert_eq!(self.store.stats().damaged_blocks, 0);
    }

    fn restart(&mut self) {
        self.commit();
        self.readings.clear();
        self.store.close();
        self.store = Store::open(settings(&self.dir)).expect("a store");
        assert_eq!(self.store.archives().len(), ARCHIVES);
    }

    fn step(&mut self) {
        match self.random.u32(0..1000) {
            0..500 => self.append(),
            500..600 => self.edit(),
            600..800 => self.read(),
            800..940 => self.go_on(),
            940..965 => self.store.flush().expect("flushed"),
            965..985 => self.store.tidy(UaTime(self.now)).expect("tidied"),
            985..990 => self.store.compact().expect("compacted"),
            990..995 => self.restart(),
            _ => self.check_all(),
        }
    }
}

struct Seen {
    random: Rng,
    points: usize,
    sum: f64,
    last: i64,
}

impl Visitor for Seen {
    fn frame(&mut self, summary: &Summary) -> bool {
        assert!(summary.first.time.0 > self.last && summary.first.time <= summary.last.time);
        let takes = self.random.bool();
        if takes {
            self.points += summary.count as usize;
            self.last = summary.last.time.0;
            self.sum += summary.sum;
        }
        takes
    }

    fn points(&mut self, points: &[Point]) {
        for point in points {
            assert!(point.time.0 > self.last, "{point:?} comes after {}", self.last);
            self.last = point.time.0;
        }
        self.points += points.len();
    }
}

#[track_caller]
fn same(found: &[Sample], expected: &[Sample]) {
    for (found, expected) in found.iter().zip(expected) {
        let is_same = found.value.same_bits(&expected.value)
            && (found.source_time, found.status) == (expected.source_time, expected.status);
        assert!(is_same, "{found:?} is not {expected:?}");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn the_store_returns_the_same_as_a_plain_map() {
    let steps = number("OPCELL_STEPS", 1000);
    let seed = number("OPCELL_SEED", 1);
    let dir = tempfile::tempdir().expect("a folder");
    let mut world = World::new(dir.path().to_owned(), seed);
    for _ in 0..steps {
        world.step();
    }
    world.check_all();
    world.restart();
    world.check_all();
}
