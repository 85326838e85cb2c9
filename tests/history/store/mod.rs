//! The embedded store through its public face: what is committed comes back, edited or not, before and after a restart.

mod crash;
mod model;
mod readers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opcell::testing::history::store::{OnFull, Partition, Settings, Store};
use opcell::testing::history::{
    Annotation, AnnotationEdit, ArchiveId, ArchiveSpec, Direction, Edit, Historian, Point, Row, Span, Summary,
    UpdateKind, Visitor, Who,
};
use opcell::value::{BuiltIn, Elements, Sample, UaTime, Value};
use opcua::StatusCode;

const SECOND: i64 = 10_000_000;

fn open(path: &Path) -> Arc<Store> {
    let settings = Settings { commit: Duration::from_millis(20), min_free: 0, ..Settings::new(path) };
    Store::open(settings).expect("a store")
}

fn spec(name: &str, kind: BuiltIn) -> ArchiveSpec {
    ArchiveSpec {
        namespace: "urn:test".to_owned(),
        identifier: format!("s={name}"),
        kind,
        is_array: false,
        class: "process".to_owned(),
        keep: Duration::from_secs(400 * 86_400),
        max_size: None,
    }
}

fn archive(store: &Store, name: &str, kind: BuiltIn) -> ArchiveId {
    store.register(&[spec(name, kind)]).expect("an archive")[0]
}

/// An hour ago, on a whole second.
fn base() -> i64 {
    let now = UaTime::now().0 - 3600 * SECOND;
    now - now % SECOND
}

fn sample(time: i64, value: Value) -> Sample {
    Sample { value, status: StatusCode::Good, source_time: UaTime(time), server_time: UaTime(time + 7) }
}

fn put(store: &Store, archive: ArchiveId, samples: &[Sample]) {
    let mut rows = samples.iter().map(|sample| Row { archive, sample: sample.clone() }).collect();
    store.append(&mut rows);
    store.commit().expect("committed");
}

fn all(store: &Store, archive: ArchiveId) -> Vec<Sample> {
    store.page(archive, Span::ALL, Direction::Forward, 0, None).expect("a page").samples
}

fn who() -> Who {
    Who { user: "ann".to_owned(), time: UaTime::now() }
}

#[test]
fn samples_of_every_kind_come_back_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let start = base();
    let values = [
        Value::Null,
        Value::Boolean(true),
        Value::SByte(-3),
        Value::UInt16(9),
        Value::Int64(i64::MIN),
        Value::UInt64(u64::MAX),
        Value::Float(-0.0),
        Value::Double(f64::NAN),
        Value::Double(0.1),
        Value::DateTime(UaTime(5)),
        Value::text(""),
        Value::text("running"),
        Value::array(Elements::Double(vec![1.0, f64::INFINITY])),
    ];
    let samples: Vec<Sample> =
        values.iter().zip(0..).map(|(value, n)| sample(start + n * SECOND, value.clone())).collect();
    let store = open(dir.path());
    let id = archive(&store, "mixed", BuiltIn::Variant);
    put(&store, id, &samples);
    let check = |store: &Store| {
        let found = all(store, id);
        assert_eq!(found.len(), samples.len());
        for (found, put) in found.iter().zip(&samples) {
            assert!(found.value.same_bits(&put.value), "{found:?} is not {put:?}");
            assert_eq!((found.source_time, found.server_time), (put.source_time, put.server_time));
        }
    };
    check(&store);
    store.close();
    let store = open(dir.path());
    assert_eq!(archive(&store, "mixed", BuiltIn::Variant), id, "an archive keeps its number");
    assert!(store.last_commit().is_some());
    check(&store);
}

#[test]
fn a_second_server_is_refused_by_name_and_a_reader_is_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let id = archive(&store, "a", BuiltIn::Double);
    put(&store, id, &[sample(base(), Value::Double(1.0))]);
    let error = Store::open(Settings::new(dir.path())).err().expect("it is in use").to_string();
    assert!(error.contains(&format!("process id {}", std::process::id())), "{error}");
    let reader = Store::open_to_read(dir.path()).expect("a reader");
    assert_eq!(all(&reader, id), all(&store, id));
    assert!(reader.register(&[spec("b", BuiltIn::Double)]).is_err());
    drop(store);
    open(dir.path());
}

#[test]
fn pages_see_the_archive_as_the_first_one_did() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let id = archive(&store, "a", BuiltIn::Int32);
    let start = base();
    let samples: Vec<Sample> = (0..10).map(|n| sample(start + i64::from(n) * SECOND, Value::Int32(n))).collect();
    put(&store, id, &samples);
    for direction in [Direction::Forward, Direction::Backward] {
        let mut expected = all(&store, id);
        if direction == Direction::Backward {
            expected.reverse();
        }
        let first = store.page(id, Span::ALL, direction, 3, None).expect("a page");
        let deleted = Edit::DeleteRaw { start: UaTime(start + 4 * SECOND), end: UaTime(start + 6 * SECOND) };
        assert_eq!(store.edit(id, &deleted, &who()).expect("an edit"), [StatusCode::Good]);
        put(&store, id, &[sample(start + 6 * SECOND + 5, Value::Int32(77))]);
        let (mut found, mut resume) = (first.samples, first.resume);
        while let Some(cursor) = resume {
            let page = store.page(id, Span::ALL, direction, 3, Some(cursor)).expect("a page");
            found.extend(page.samples);
            resume = page.resume;
        }
        assert_eq!(found, expected);
        assert_eq!(store.edit(id, &Edit::Update(samples.clone()), &who()).expect("an edit").len(), 10);
        let gone = vec![UaTime(start + 6 * SECOND + 5)];
        assert_eq!(store.edit(id, &Edit::DeleteAt(gone), &who()).expect("an edit"), [StatusCode::Good]);
    }
}

#[test]
fn edits_answer_each_entry_and_leave_what_they_replaced() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let id = archive(&store, "a", BuiltIn::Double);
    let start = base();
    let at = |n: i64, v: f64| sample(start + n * SECOND, Value::Double(v));
    let time = |n: i64| UaTime(start + n * SECOND);
    put(&store, id, &[at(0, 1.0), at(1, 2.0), at(2, 3.0)]);
    use StatusCode as S;
    for (edit, answer) in [
        (Edit::Insert(vec![at(0, 9.0), at(5, 5.0)]), vec![S::BadEntryExists, S::GoodEntryInserted]),
        (Edit::Replace(vec![at(1, 20.0), at(7, 7.0)]), vec![S::GoodEntryReplaced, S::BadNoEntryExists]),
        (Edit::Update(vec![at(2, 30.0), at(8, 8.0)]), vec![S::GoodEntryReplaced, S::GoodEntryInserted]),
        (Edit::DeleteAt(vec![time(0), time(9)]), vec![S::Good, S::BadNoEntryExists]),
        (Edit::DeleteRaw { start: time(100), end: time(200) }, vec![S::BadNoData]),
        (Edit::DeleteRaw { start: time(8), end: time(9) }, vec![S::Good]),
        (Edit::Insert(vec![sample(1, Value::Double(0.0))]), vec![S::BadOutOfRange]),
    ] {
        assert_eq!(store.edit(id, &edit, &who()).expect("an edit"), answer, "{edit:?}");
    }
    let check = |store: &Store| {
        assert_eq!(all(store, id), [at(1, 20.0), at(2, 30.0), at(5, 5.0)]);
        let log = store.modified(id, Span::ALL, Direction::Forward, 0, None).expect("a log").entries;
        let found: Vec<(i64, UpdateKind, Value)> = log
            .iter()
            .map(|entry| ((entry.sample.source_time.0 - start) / SECOND, entry.kind, entry.sample.value.clone()))
            .collect();
        let expected = [
            (0, UpdateKind::Delete, 1.0),
            (1, UpdateKind::Replace, 2.0),
            (2, UpdateKind::Update, 3.0),
            (5, UpdateKind::Insert, 5.0),
            (8, UpdateKind::Update, 8.0),
            (8, UpdateKind::Delete, 8.0),
        ];
        assert_eq!(found, expected.map(|(n, kind, value)| (n, kind, Value::Double(value))));
    };
    check(&store);
    let mut paged = Vec::new();
    let mut resume = None;
    loop {
        let page = store.modified(id, Span::ALL, Direction::Forward, 1, resume).expect("a page");
        paged.extend(page.entries);
        resume = page.resume;
        if resume.is_none() {
            break;
        }
    }
    assert_eq!(paged, store.modified(id, Span::ALL, Direction::Forward, 0, None).expect("a log").entries);
    store.close();
    let store = open(dir.path());
    check(&store);
    let forget = Edit::DeleteModified { start: time(0), end: time(8) };
    assert_eq!(store.edit(id, &forget, &who()).expect("an edit"), [S::Good]);
    assert_eq!(store.modified(id, Span::ALL, Direction::Backward, 0, None).expect("a log").entries.len(), 2);
    store.close();
    let left = open(dir.path()).modified(id, Span::ALL, Direction::Backward, 0, None).expect("a log").entries;
    assert_eq!(left.iter().map(|entry| entry.kind).collect::<Vec<_>>(), [UpdateKind::Delete, UpdateKind::Update]);
}

#[test]
fn annotations_are_found_by_place_time_and_user() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let id = archive(&store, "a", BuiltIn::Double);
    let note = |message: &str| Annotation {
        at: UaTime(base()),
        message: message.to_owned(),
        user: "ann".to_owned(),
        time: UaTime(5),
    };
    use StatusCode as S;
    for (edit, answer) in [
        (AnnotationEdit::Replace(vec![note("x")]), S::BadNoEntryExists),
        (AnnotationEdit::Insert(vec![note("x")]), S::GoodEntryInserted),
        (AnnotationEdit::Insert(vec![note("y")]), S::BadEntryExists),
        (AnnotationEdit::Update(vec![note("z")]), S::GoodEntryReplaced),
        (AnnotationEdit::Remove(vec![Annotation { user: "bob".to_owned(), ..note("z") }]), S::BadNoEntryExists),
    ] {
        assert_eq!(store.annotate(id, &edit, &who()).expect("an answer"), [answer], "{edit:?}");
    }
    assert_eq!(store.annotations(id, Span::ALL).expect("remarks"), [note("z")]);
    assert_eq!(store.annotate(id, &AnnotationEdit::Remove(vec![note("")]), &who()).expect("an answer"), [S::Good]);
    assert_eq!(store.annotations(id, Span::ALL).expect("remarks"), []);
}

#[test]
fn a_full_queue_drops_the_oldest_and_marks_what_follows() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings =
        Settings { commit: Duration::from_secs(60), min_free: 0, queue_rows: 10, ..Settings::new(dir.path()) };
    let store = Store::open(settings).expect("a store");
    let id = archive(&store, "a", BuiltIn::Int32);
    let start = base();
    let row = |n: i32| Row { archive: id, sample: sample(start + i64::from(n) * SECOND, Value::Int32(n)) };
    store.append(&mut (0..25).map(row).collect());
    store.commit().expect("committed");
    let found = all(&store, id);
    assert_eq!(found.len(), 10);
    assert_eq!(found[0].value, Value::Int32(15));
    let marks: Vec<u32> = found.iter().map(|sample| sample.status.bits()).collect();
    assert_eq!(marks, [0x0480, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(store.stats().dropped, 15);
}

#[test]
fn a_sample_older_than_its_class_keeps_is_refused_and_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let id = archive(&store, "a", BuiltIn::Int32);
    put(&store, id, &[sample(SECOND, Value::Int32(1)), sample(base(), Value::Int32(2))]);
    assert_eq!(all(&store, id).len(), 1);
    assert_eq!(store.stats().too_old, 1);
}

#[test]
fn a_disk_without_room_stops_recording_and_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = Settings { min_free: u64::MAX, ..Settings::new(dir.path()) };
    let store = Store::open(settings).expect("a store");
    let id = archive(&store, "a", BuiltIn::Int32);
    store.append(&mut vec![Row { archive: id, sample: sample(base(), Value::Int32(1)) }]);
    let error = store.commit().expect_err("no room").to_string();
    assert!(error.contains("MiB are free"), "{error}");
    assert!(store.stats().stopped.is_some_and(|reason| reason.contains("MiB are free")));
}

#[derive(Default)]
struct Seen(Vec<Point>);

impl Visitor for Seen {
    fn frame(&mut self, _: &Summary) -> bool {
        false
    }

    fn points(&mut self, points: &[Point]) {
        self.0.extend_from_slice(points);
    }
}

#[test]
fn a_scan_meets_the_same_samples_as_a_page() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let id = archive(&store, "a", BuiltIn::Float);
    let start = base();
    let samples: Vec<Sample> = (0u8..200).map(|n| sample(start + i64::from(n), Value::Float(f32::from(n)))).collect();
    put(&store, id, &samples);
    let mut seen = Seen::default();
    store.scan(id, Span { first: UaTime(start + 5), last: UaTime(start + 150) }, &mut seen).expect("a scan");
    assert_eq!(seen.0.len(), 146);
    assert_eq!(seen.0[0], Point { time: UaTime(start + 5), status: StatusCode::Good, number: 5.0 });
}

fn partitions(path: &Path) -> Vec<String> {
    let names = std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    names.retain(|name| name.starts_with("20") && name.ends_with(".db"));
    names.sort();
    names
}

#[test]
fn data_goes_when_it_is_older_than_its_class_keeps_and_the_clock_can_be_trusted() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings =
        Settings { min_free: 0, pin: Duration::ZERO, partition: Some(Partition::Day), ..Settings::new(dir.path()) };
    let store = Store::open(settings).expect("a store");
    let day = 86_400 * SECOND;
    let keeps = |name: &str, days: u64| ArchiveSpec {
        keep: Duration::from_secs(days * 86_400),
        class: name.to_owned(),
        ..spec(name, BuiltIn::Double)
    };
    let ids = store.register(&[keeps("short", 10), keeps("long", 30)]).expect("archives");
    let now = UaTime::now();
    for id in &ids {
        let samples: Vec<Sample> = (0..9).map(|n| sample(now.0 - n * day, Value::Double(1.0))).collect();
        put(&store, *id, &samples);
    }
    store.flush().expect("flushed");
    let counts = |store: &Store| ids.iter().map(|id| all(store, *id).len()).collect::<Vec<_>>();
    let at = |days: i64| UaTime(now.0 + days * day);
    //  days from now, trusted, samples left
    for (days, trusted, left) in
        [(0, true, [9, 9]), (400, false, [9, 9]), (6, true, [5, 9]), (28, true, [0, 3]), (60, true, [0, 0])]
    {
        if trusted {
            store.trust_clock(at(days));
        }
        store.tidy(at(days)).expect("tidied");
        let found = counts(&store);
        assert!(
            found.iter().zip(&left).all(|(found, left)| found.abs_diff(*left) <= 1),
            "{days}: {found:?} of {left:?}"
        );
    }
    assert_eq!(partitions(dir.path()), Vec::<String>::new());
    assert_eq!(store.verify(), []);
}

#[test]
fn the_oldest_partition_goes_when_the_store_is_full_or_recording_stops() {
    for on_full in [OnFull::DropOldest, OnFull::Stop] {
        let dir = tempfile::tempdir().expect("a folder");
        let settings = Settings {
            min_free: 0,
            max_size: 400_000,
            on_full,
            partition: Some(Partition::Day),
            ..Settings::new(dir.path())
        };
        let store = Store::open(settings).expect("a store");
        let id = archive(&store, "a", BuiltIn::Double);
        let start = base() - 10 * 86_400 * SECOND;
        for day in 0..5 {
            let value = |n: i64| Value::Double(((n * n * 7919 % 100_003) as f64).sqrt());
            let samples: Vec<Sample> =
                (0..20_000).map(|n| sample(start + day * 86_400 * SECOND + n * 3 * SECOND, value(n))).collect();
            put(&store, id, &samples);
        }
        store.flush().expect("flushed");
        store.tidy(UaTime::now()).expect("tidied");
        if on_full == OnFull::DropOldest {
            let left = all(&store, id);
            assert!(!left.is_empty() && left.len() <= 80_000, "{} are left", left.len());
            assert!(left[0].source_time.0 > start);
            put(&store, id, &[sample(base(), Value::Double(1.0))]);
        } else {
            assert_eq!(all(&store, id).len(), 100_000);
            assert!(store.stats().bytes_on_disk > 500_000);
            store.append(&mut vec![Row { archive: id, sample: sample(base(), Value::Double(1.0)) }]);
            let error = store.commit().expect_err("it is full").to_string();
            assert!(error.contains("takes more than"), "{error}");
        }
    }
}

#[test]
fn a_class_that_takes_more_than_it_may_gives_up_its_own_oldest() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = Settings { min_free: 0, partition: Some(Partition::Day), ..Settings::new(dir.path()) };
    let store = Store::open(settings).expect("a store");
    let narrow = ArchiveSpec { class: "narrow".to_owned(), max_size: Some(30_000), ..spec("a", BuiltIn::Double) };
    let ids = store.register(&[narrow, spec("b", BuiltIn::Double)]).expect("archives");
    let start = base() - 10 * 86_400 * SECOND;
    for day in 0..3 {
        for id in &ids {
            let value = |n: i64| Value::Double(((n * n * 7919 % 100_003) as f64).sqrt());
            let time = |n: i64| start + day * 86_400 * SECOND + n * SECOND;
            put(&store, *id, &(0..2000).map(|n| sample(time(n), value(n))).collect::<Vec<_>>());
        }
    }
    store.flush().expect("flushed");
    store.tidy(UaTime::now()).expect("tidied");
    let counts: Vec<usize> = ids.iter().map(|id| all(&store, *id).len()).collect();
    assert!(counts[0] == 2000 || counts[0] == 4000, "{counts:?}");
    assert_eq!(counts[1], 6000);
    assert_eq!(store.verify(), []);
}

#[test]
fn a_past_partition_is_rewritten_and_takes_late_samples_still() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings =
        Settings { min_free: 0, pin: Duration::ZERO, partition: Some(Partition::Day), ..Settings::new(dir.path()) };
    let store = Store::open(settings.clone()).expect("a store");
    let id = archive(&store, "a", BuiltIn::Int32);
    let start = base() - 3 * 86_400 * SECOND;
    let samples: Vec<Sample> = (0..5000).map(|n| sample(start + i64::from(n) * SECOND, Value::Int32(n))).collect();
    for part in samples.chunks(700) {
        put(&store, id, part);
        store.flush().expect("flushed");
    }
    store.tidy(UaTime::now()).expect("tidied");
    assert!(partitions(dir.path()).iter().all(|name| name.ends_with(".1.db")), "{:?}", partitions(dir.path()));
    assert_eq!(all(&store, id), samples);
    put(&store, id, &[sample(start + 5, Value::Int32(-1))]);
    store.flush().expect("flushed");
    store.tidy(UaTime::now()).expect("tidied");
    assert_eq!(all(&store, id).len(), 5001);
    let reader = Store::open_to_read(dir.path()).expect("a reader");
    assert_eq!(all(&reader, id), all(&store, id));
    store.compact().expect("compacted");
    assert_eq!(all(&reader, id), all(&store, id), "a reader follows files that are rewritten");
    assert_eq!(store.verify(), []);
    drop(store);
    assert_eq!(all(&Store::open(settings).expect("a store"), id).len(), 5001);
}
