//! Readers of a store next to the server that writes, flushes and merges it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opcell::testing::history::store::{Partition, Settings, Store};
use opcell::testing::history::{
    ArchiveId, ArchiveSpec, Direction, Edit, Fault, Historian, Point, Row, Span, Summary, Visitor, Who,
};
use opcell::value::{BuiltIn, Elements, Sample, UaTime, Value};
use opcua::StatusCode;

const SECOND: i64 = 10_000_000;

fn open(path: &Path) -> Arc<Store> {
    let settings = Settings { commit: Duration::from_millis(20), min_free: 0, ..Settings::new(path) };
    Store::open(settings).expect("a store")
}

fn archive(store: &Store, name: &str) -> ArchiveId {
    store.register(&[spec(name)]).expect("an archive")[0]
}

fn spec(name: &str) -> ArchiveSpec {
    ArchiveSpec {
        namespace: "urn:test".to_owned(),
        identifier: format!("s={name}"),
        kind: BuiltIn::Double,
        is_array: false,
        class: "process".to_owned(),
        keep: Duration::from_secs(400 * 86_400),
        max_size: None,
    }
}

fn base() -> i64 {
    UaTime::now().0 - 3600 * SECOND
}

fn put(store: &Store, archive: ArchiveId, start: i64, numbers: std::ops::Range<i64>) {
    let mut rows = numbers
        .map(|n| {
            let time = UaTime(start + n * SECOND / 10);
            let value = Value::Double(f64::from(i32::try_from(n).expect("small")));
            Row { archive, sample: Sample { value, status: StatusCode::Good, source_time: time, server_time: time } }
        })
        .collect();
    store.append(&mut rows);
    store.commit().expect("committed");
}

#[test]
fn a_reader_next_to_a_merging_server_misses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, start) = (open(dir.path()), base());
    let archive = archive(&store, "A");
    put(&store, archive, start, 0..1000);
    store.flush().expect("flushed");
    put(&store, archive, start, 1000..2000);
    let reader = Store::open_to_read(dir.path()).expect("a reader");
    let first = reader.page(archive, Span::ALL, Direction::Forward, 100, None).expect("a page");
    put(&store, archive, start, 2000..3000);
    store.compact().expect("compacted");
    let rest = reader.page(archive, Span::ALL, Direction::Forward, 0, first.resume).expect("the rest");
    let numbers = first.samples.iter().chain(&rest.samples).map(|sample| sample.value.as_f64());
    assert!(numbers.take(2000).eq((0..2000).map(|n| Some(f64::from(n)))), "each once and in order");
    let whole = reader.page(archive, Span::ALL, Direction::Forward, 0, None).expect("a page");
    assert!(whole.samples.len() >= 2000, "{} samples of 2000", whole.samples.len());
}

/// Compacts the store when it sees the first points.
struct Meddler<'s> {
    store: &'s Store,
    archive: ArchiveId,
    seen: usize,
}

impl Visitor for Meddler<'_> {
    fn frame(&mut self, _: &Summary) -> bool {
        false
    }

    fn points(&mut self, points: &[Point]) {
        if self.seen == 0 {
            put(self.store, self.archive, base() - 2 * 86_400 * SECOND, 1000..1001);
            self.store.compact().expect("compacted");
        }
        self.seen += points.len();
    }
}

#[test]
fn a_scan_that_a_compaction_overtakes_is_not_taken_for_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = Settings { commit: Duration::from_millis(20), min_free: 0, ..Settings::new(dir.path()) };
    let store = Store::open(Settings { partition: Some(Partition::Day), ..settings }).expect("a store");
    let archive = archive(&store, "A");
    for day in [3, 2] {
        let start = base() - day * 86_400 * SECOND;
        put(&store, archive, start, 0..500);
        store.flush().expect("flushed");
        put(&store, archive, start, 500..1000);
        store.flush().expect("flushed");
    }
    let mut meddler = Meddler { store: &store, archive, seen: 0 };
    let scanned = store.scan(archive, Span::ALL, &mut meddler);
    assert!(meddler.seen >= 2000 || scanned.is_err(), "{} of 2000 points, and {scanned:?}", meddler.seen);
}

#[test]
fn nothing_is_damaged_only_because_the_server_works() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, start) = (open(dir.path()), base());
    let ids: Vec<ArchiveId> = (0..20).map(|n| archive(&store, &format!("A{n}"))).collect();
    let done = Arc::new(AtomicBool::new(false));
    let worker = {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        std::thread::spawn(move || {
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                ids.iter().for_each(|id| put(&store, *id, start, n..n + 20));
                n += 20;
                store.flush().expect("flushed");
                if n % 60 == 0 {
                    store.compact().expect("compacted");
                }
            }
        })
    };
    let findings: Vec<_> = (0..40).flat_map(|_| Store::open_to_read(dir.path()).expect("a reader").verify()).collect();
    done.store(true, Ordering::Relaxed);
    worker.join().expect("it ends");
    assert_eq!(findings, []);
}

#[test]
fn a_sample_that_no_partition_takes_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let archive = archive(&store, "A");
    let at = |time: i64| Sample {
        value: Value::Double(1.0),
        status: StatusCode::Good,
        source_time: UaTime(time),
        server_time: UaTime(time),
    };
    let who = Who { user: "ann".to_owned(), time: UaTime::now() };
    for time in [i64::MAX, i64::MAX - 1, i64::MIN, -1, 0, 2_650_467_744_000_000_000] {
        let told = store.edit(archive, &Edit::Insert(vec![at(time)]), &who).expect("an answer");
        assert_eq!(told, [StatusCode::BadOutOfRange], "{time}");
    }
    let last = 2_650_467_743_999_999_999;
    assert_eq!(
        store.edit(archive, &Edit::Insert(vec![at(last)]), &who).expect("an answer"),
        [StatusCode::GoodEntryInserted]
    );
    store.compact().expect("compacted");
    drop(store);
    let kept = open(dir.path()).page(archive, Span::ALL, Direction::Forward, 0, None).expect("a page");
    assert_eq!(kept.samples, [at(last)]);
}

#[test]
fn a_span_of_any_length_is_deleted_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, start) = (open(dir.path()), base() - 86_400 * SECOND);
    let archive = archive(&store, "A");
    put(&store, archive, start, 0..130_000);
    let who = Who { user: "ann".to_owned(), time: UaTime::now() };
    let delete = |from: i64, to: i64| {
        let at = |n: i64| UaTime(start + n * SECOND / 10);
        store.edit(archive, &Edit::DeleteRaw { start: at(from), end: at(to) }, &who).expect("an answer")
    };
    assert_eq!(delete(10, 129_990), [StatusCode::Good]);
    assert_eq!(delete(10, 129_990), [StatusCode::BadNoData]);
    assert_eq!(delete(10, 10), [StatusCode::BadNoData]);
    let left = store.page(archive, Span::ALL, Direction::Forward, 0, None).expect("a page").samples.len();
    let log = store.modified(archive, Span::ALL, Direction::Forward, 0, None).expect("the log").entries.len();
    assert_eq!((left, log), (20, 129_980));
}

#[test]
fn a_store_that_closes_does_not_wait_until_everything_is_merged() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let archive = archive(&store, "A");
    for month in 0..12 {
        for part in 0..3 {
            put(&store, archive, base() - month * 31 * 86_400 * SECOND, part * 500..part * 500 + 500);
            store.flush().expect("flushed");
        }
    }
    // Closed as soon as the first file is rewritten.
    let rewritten = || std::fs::read_dir(dir.path()).expect("a folder").flatten().filter(is_rewritten).count();
    let compacting = {
        let store = Arc::clone(&store);
        std::thread::spawn(move || store.compact())
    };
    while rewritten() == 0 {
        std::thread::yield_now();
    }
    store.close();
    let outcome = compacting.join().expect("it ends");
    assert!(outcome.is_ok() || matches!(outcome, Err(Fault::Closed)), "{outcome:?}");
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.page(archive, Span::ALL, Direction::Forward, 0, None).expect("a page").samples.len(), 18_000);
    assert_eq!(store.verify(), []);
}

/// `2026-11.1.db`.
fn is_rewritten(entry: &std::fs::DirEntry) -> bool {
    entry.file_name().to_str().is_some_and(|name| name.ends_with(".1.db"))
}

#[test]
fn large_values_are_not_merged_again_and_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = Settings { commit: Duration::from_millis(20), min_free: 0, ..Settings::new(dir.path()) };
    let settings = Settings { partition: Some(Partition::Day), pin: Duration::ZERO, ..settings };
    let store = Store::open(settings).expect("a store");
    let small = spec("A");
    let archive = store.register(&[ArchiveSpec { is_array: true, ..small }]).expect("an archive")[0];
    let mut random = fastrand::Rng::with_seed(1);
    for start in [base() - 3 * 86_400 * SECOND, base()] {
        for part in 0..8 {
            let mut rows = (0..100)
                .map(|n| {
                    let time = UaTime(start + (part * 100 + n) * SECOND / 10);
                    let value = Value::array(Elements::Double((0..2048).map(|_| random.f64()).collect()));
                    let sample = Sample { value, status: StatusCode::Good, source_time: time, server_time: time };
                    Row { archive, sample }
                })
                .collect();
            store.append(&mut rows);
            store.flush().expect("flushed");
        }
    }
    let tidied = || {
        store.tidy(UaTime::now()).expect("tidied");
        let mut files: Vec<_> = std::fs::read_dir(dir.path())
            .expect("a folder")
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "db") && path.to_string_lossy().contains("-"))
            .map(|path| {
                let newest = "SELECT max(id) FROM block";
                let connection = rusqlite::Connection::open(&path).expect("a database");
                let newest: i64 = connection.query_row(newest, [], |row| row.get(0)).expect("blocks");
                (path, newest)
            })
            .collect();
        files.sort();
        files
    };
    let once = tidied();
    assert_eq!(tidied(), once);
    assert_eq!(store.page(archive, Span::ALL, Direction::Forward, 0, None).expect("a page").samples.len(), 1_600);
}
