//! The history's disk fails in every way: full, failed and torn writes, failed syncs, read errors, power cuts. What
//! `commit` confirmed is there afterwards, once and unaltered; what it did not confirm was never promised.
//!
//! `OPCELL_FAULTS=N` runs N seeds (10 without it), from `OPCELL_FAULTS_FROM` on.
//!
//! A process of its own, because it replaces SQLite's default file system in the process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use opcell::testing::history::store::{Partition, Settings, Store};
use opcell::testing::history::{
    ArchiveId, ArchiveSpec, Direction, Edit, Fault as HistoryFault, Historian, Row, Span, Who,
};
use opcell::value::{BuiltIn, Sample, UaTime, Value};
use opcell_faultvfs::{Fault, Operation, Rule, clear, install, power_cut, power_on, set};
use opcua::StatusCode;

const ARCHIVES: u32 = 4;
/// 2026-01-01T00:00:00Z.
const START: i64 = 134_116_992_000_000_000;
const HOUR: i64 = 36_000_000_000;

fn settings(dir: &Path) -> Settings {
    Settings {
        commit: Duration::from_secs(3_600),
        min_free: 0,
        partition: Some(Partition::Day),
        head_samples: 400,
        ..Settings::new(dir.join("history"))
    }
}

fn specs() -> Vec<ArchiveSpec> {
    let spec = |n: u32| ArchiveSpec {
        namespace: "urn:test".into(),
        identifier: format!("s=T{n}"),
        kind: if n == 3 { BuiltIn::String } else { BuiltIn::Double },
        is_array: false,
        class: "c/own".into(),
        keep: Duration::from_secs(100 * 365 * 86_400),
        max_size: None,
    };
    (0..ARCHIVES).map(spec).collect()
}

/// A sample says itself which one it is.
fn sample(archive: u32, time: i64) -> Sample {
    let value = if archive == 3 {
        Value::text(&format!("{archive} at {time}"))
    } else {
        Value::Double((time - START) as f64 * 10.0 + f64::from(archive))
    };
    Sample { value, status: StatusCode::Good, source_time: UaTime(time), server_time: UaTime(time + 7) }
}

#[derive(Default)]
struct Told {
    /// Samples that `commit` or an edit confirmed; false: a deletion was tried that may or may not hold.
    durable: BTreeMap<(u32, i64), bool>,
    /// Appended, not yet confirmed.
    waiting: Vec<(u32, i64)>,
    ever: BTreeMap<(u32, i64), ()>,
}

impl Told {
    fn confirm(&mut self) {
        self.durable.extend(self.waiting.drain(..).map(|key| (key, true)));
    }
}

fn open(dir: &Path) -> (Arc<Store>, Vec<ArchiveId>) {
    let store = Store::open(settings(dir)).expect("the disk works, so the store opens");
    let ids = store.register(&specs()).expect("archives");
    (store, ids)
}

fn hurt(rng: &mut Rng) -> String {
    let operation = [Operation::Write, Operation::Sync, Operation::Read][rng.usize(..3)];
    let fault = [Fault::Full, Fault::Broken, Fault::Torn][rng.usize(..3)];
    let rule = Rule { after: rng.u64(..12), times: 1 + rng.u64(..4), fault };
    set(operation, Some(rule));
    format!("{operation:?} {rule:?}")
}

fn check(store: &Store, ids: &[ArchiveId], told: &Told, story: &str) {
    for (n, id) in (0..).zip(ids) {
        let page = store.page(*id, Span::ALL, Direction::Forward, 0, None).expect("readable");
        let mut last = i64::MIN;
        let mut found = BTreeMap::new();
        for got in page.samples {
            let time = got.source_time.0;
            assert!(time > last, "{story}: doubled or out of order at {time}");
            last = time;
            assert!(told.ever.contains_key(&(n, time)), "{story}: a sample that nobody wrote: {got:?}");
            assert_eq!(got, sample(n, time), "{story}: altered");
            found.insert(time, ());
        }
        for ((archive, time), sure) in told.durable.range((n, i64::MIN)..=(n, i64::MAX)) {
            assert!(!sure || found.contains_key(time), "{story}: archive {archive} lost its durable sample at {time}");
        }
    }
}

fn run(seed: u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut rng = Rng::with_seed(seed);
    let mut story = format!("seed {seed}");
    let mut told = Told::default();
    let (mut store, mut ids) = open(dir.path());
    let mut now = START;
    for round in 0..30 {
        if rng.u8(..3) == 0 {
            story.push_str(&format!("; round {round}: {}", hurt(&mut rng)));
        }
        let mut rows = Vec::new();
        for _ in 0..rng.usize(1..60) {
            now += rng.i64(1..HOUR / 4);
            let archive = rng.u32(..ARCHIVES);
            // Now and then late, into a partition that is closed.
            let time = if rng.u8(..10) == 0 { START + rng.i64(0..now - START + 1) } else { now };
            rows.push(Row { archive: ids[archive as usize], sample: sample(archive, time) });
            told.waiting.push((archive, time));
            told.ever.insert((archive, time), ());
        }
        store.append(&mut rows);
        let committed = store.commit();
        story.push_str(&format!("; round {round}: commit {}", committed.is_ok()));
        if committed.is_ok() {
            told.confirm();
        }
        match rng.u8(..8) {
            0 => story.push_str(&format!(", flush {}", store.flush().is_ok())),
            1 => story.push_str(&format!(", compact {}", store.compact().is_ok())),
            2 => edit(&store, &ids, &mut told, &mut rng, now),
            _ => {}
        }
        if rng.u8(..6) == 0 {
            story.push_str("; power cut");
            power_cut(dir.path()).expect("cut");
            store.close();
            drop(store);
            power_on();
            for file in std::fs::read_dir(dir.path().join("history")).expect("the folder") {
                let path = file.expect("a file").path();
                if path.to_string_lossy().ends_with("-shm") {
                    std::fs::remove_file(path).expect("memory is empty after a power cut");
                }
            }
            (store, ids) = open(dir.path());
            told.waiting.clear();
            check(&store, &ids, &told, &story);
        } else if rng.u8(..2) == 0 {
            clear();
        }
    }
    clear();
    // The disk works again: what still waits can be made durable now, or is reported as lost.
    if store.commit().is_ok() {
        told.confirm();
    }
    check(&store, &ids, &told, &story);
    store.close();
    drop(store);
    let (store, ids) = open(dir.path());
    check(&store, &ids, &told, &story);
    assert_eq!(store.verify(), [], "{story}");
}

fn edit(store: &Store, ids: &[ArchiveId], told: &mut Told, rng: &mut Rng, now: i64) {
    let archive = rng.u32(..ARCHIVES);
    let who = Who { user: "fitter".into(), time: UaTime(now) };
    if rng.bool() {
        let time = START + rng.i64(0..now - START + 1);
        told.ever.insert((archive, time), ());
        let done = store.edit(ids[archive as usize], &Edit::Update(vec![sample(archive, time)]), &who);
        if done.is_ok_and(|codes| codes[0].is_good()) {
            told.durable.insert((archive, time), true);
        }
        return;
    }
    let known = told.durable.range((archive, START)..=(archive, i64::MAX)).map(|((_, time), _)| *time);
    let known: Vec<i64> = known.collect();
    let Some(time) = rng.choice(known) else { return };
    let done = store.edit(ids[archive as usize], &Edit::DeleteAt(vec![UaTime(time)]), &who);
    // Refused or confirmed, a deletion that was tried may hold after a power cut; a confirmed one must.
    told.durable.insert((archive, time), false);
    if let Ok(codes) = done
        && codes[0].is_good()
    {
        told.durable.remove(&(archive, time));
        told.ever.remove(&(archive, time));
    }
}

#[test]
fn confirmed_samples_survive_every_fault_of_the_disk() {
    install();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("OPCELL_FAULTS_FROM").unwrap_or(0);
    for seed in first..first + number("OPCELL_FAULTS").unwrap_or(10) {
        run(seed);
    }
    full_disk_stops_and_goes_on();
}

/// A disk that is full for a while: recording stops with a reason, and resumes without a restart.
fn full_disk_stops_and_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, ids) = open(dir.path());
    let put = |time: i64| {
        store.append(&mut vec![Row { archive: ids[0], sample: sample(0, time) }]);
        store.commit()
    };
    put(START).expect("the disk works");
    set(Operation::Write, Some(Rule { after: 0, times: u64::MAX, fault: Fault::Full }));
    let fault = put(START + 1).expect_err("the disk is full");
    let HistoryFault::Store { what, remedy, .. } = &fault else { panic!("{fault:?}") };
    assert!(!what.is_empty() && !remedy.is_empty(), "{fault}");
    assert!(store.stats().stopped.is_some(), "{:?}", store.stats());
    let page = store.page(ids[0], Span::ALL, Direction::Forward, 0, None).expect("still readable");
    assert!(!page.samples.is_empty());
    clear();
    put(START + 2).expect("there is room again");
    assert_eq!(store.stats().stopped, None);
    let page = store.page(ids[0], Span::ALL, Direction::Forward, 0, None).expect("readable");
    let times: Vec<i64> = page.samples.iter().map(|sample| sample.source_time.0 - START).collect();
    assert_eq!(times, [0, 1, 2], "what waited while the disk was full is there");
    store.close();
}
