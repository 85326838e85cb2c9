//! The embedded store through its public face: what is committed comes back, edited or not, before and after a restart.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opcell::history::store::{Settings, Store};
use opcell::history::{
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
fn what_is_older_than_its_class_keeps_is_refused_and_counted() {
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
