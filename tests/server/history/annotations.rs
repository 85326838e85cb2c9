//! Annotations over the wire, and the ExtraData bit that marks values with annotations or edits.

use opcell::testing::stack::codec::Reader;
use opcell::value::{Sample, UaTime, Value};
use opcua::{ExtensionObject, PerformUpdateType, ReadAnnotationDataDetails, StatusCode};
use testkit::history;
use testkit::history::{
    Asked, CELL, HistoryServer, annotation, delete_at, node, raw, sample, update_data, update_structure,
};
use testkit::request::time;
use testkit::ua::Session;

const SECOND: i64 = 10_000_000;
const NOTES: &str = "Tank.Level.Annotations";
const INSERT: PerformUpdateType = PerformUpdateType::Insert;
const EXTRA_DATA: u32 = 0x408;

/// Seconds of today.
fn t(second: i64) -> i64 {
    static NOW: std::sync::LazyLock<i64> =
        std::sync::LazyLock::new(|| UaTime::now().0 / SECOND * SECOND - 3600 * SECOND);
    *NOW + second * SECOND
}

fn note(second: i64, message: &str, user: &str, made: i64) -> Sample {
    sample(UaTime(t(second)), annotation(message, user, t(made)))
}

/// Second, message and user of each.
fn seen(values: &[opcell::testing::stack::codec::DataValue]) -> Vec<(i64, String, String)> {
    let read = |value: &opcell::testing::stack::codec::DataValue| {
        let Some(Value::Wire(bytes)) = &value.value else { panic!("{value:?}") };
        let mut reader = Reader::new(&bytes[1..]);
        let object = reader.extension_object().expect("an object");
        assert_eq!(object.type_id.standard(), Some(893));
        let mut body = Reader::new(object.body.expect("a body"));
        let (message, user) = (body.text().expect("a text").to_owned(), body.text().expect("a user").to_owned());
        ((value.source_time.expect("a time").0 - t(0)) / SECOND, message, user)
    };
    values.iter().map(read).collect()
}

fn annotate(session: &mut Session, perform: PerformUpdateType, notes: &[Sample]) -> Vec<StatusCode> {
    let (status, entries) = session.history_update(update_structure(node(NOTES), perform, notes));
    assert_eq!(status, StatusCode::Good);
    entries
}

fn at(times: &[i64]) -> ExtensionObject {
    let times = times.iter().map(|at| time(*at)).collect();
    ExtensionObject::from_message(ReadAnnotationDataDetails { req_times: Some(times) })
}

fn filled() -> (HistoryServer, Session) {
    let server = HistoryServer::start(CELL);
    server.put("Tank.Level", (0..5).map(|n| sample(UaTime(t(n)), Value::Double(f64::from(n as i32)))));
    let mut session = Session::open(server.address);
    let notes = [note(1, "odd", "erika", 9), note(1, "mended", "opal", 10), note(3, "odd again", "erika", 11)];
    assert_eq!(annotate(&mut session, INSERT, &notes), vec![StatusCode::GoodEntryInserted; 3]);
    (server, session)
}

fn expected(which: &[usize]) -> Vec<(i64, String, String)> {
    let all = [(1, "odd", "erika"), (1, "mended", "opal"), (3, "odd again", "erika")];
    which.iter().map(|n| (all[*n].0, all[*n].1.to_owned(), all[*n].2.to_owned())).collect()
}

#[test]
fn annotations_are_read_as_raw_history_of_their_property() {
    let (_server, mut session) = filled();
    for (start, end, which) in [
        (t(0), t(9), &[0, 1, 2][..]),
        (t(9), t(0), &[2, 1, 0]),
        (t(1), t(3), &[0, 1]),
        (t(3), t(3), &[2]),
        (t(4), t(9), &[]),
    ] {
        for count in 0..4 {
            let read = session.whole_history(NOTES, &raw(start, end, count, false));
            assert_eq!(seen(&read.values), expected(which), "{start} to {end} by {count}");
        }
    }
    let bounds = session.history(NOTES, &raw(t(0), t(9), 0, true));
    assert_eq!(seen(&bounds.values), expected(&[0, 1, 2]), "there are no bounds between them");
    let modified = session.history(NOTES, &history::modified(t(0), t(9), 0));
    assert_eq!(modified.status, StatusCode::BadHistoryOperationUnsupported);
}

#[test]
fn annotations_are_read_by_the_times_of_their_values() {
    let (_server, mut session) = filled();
    for name in ["Tank.Level", NOTES] {
        let read = session.history(name, &at(&[t(3), t(2), t(1)]));
        assert_eq!(seen(&read.values), expected(&[2, 0, 1]), "{name}: in the order of the times");
        assert_eq!(session.history(name, &at(&[t(2)])).status, StatusCode::GoodNoData);
    }
    let read = session.history_read(&at(&[t(1)]), &[Asked::of(node("Tank.Forgotten")), Asked::of(node("Tank"))]);
    assert!(read.iter().all(|read| read.status == StatusCode::BadHistoryOperationUnsupported));
}

#[test]
fn annotations_are_replaced_and_removed_by_time_and_user() {
    let (_server, mut session) = filled();
    let (missing, exists) = (StatusCode::BadNoEntryExists, StatusCode::BadEntryExists);
    assert_eq!(annotate(&mut session, INSERT, &[note(1, "twice", "erika", 9)]), [exists]);
    assert_eq!(
        annotate(
            &mut session,
            PerformUpdateType::Replace,
            &[note(1, "strange", "erika", 9), note(1, "strange", "nobody", 9)]
        ),
        [StatusCode::GoodEntryReplaced, missing]
    );
    let update = [note(1, "mended at last", "opal", 10), note(2, "new", "opal", 12)];
    assert_eq!(
        annotate(&mut session, PerformUpdateType::Update, &update),
        [StatusCode::GoodEntryReplaced, StatusCode::GoodEntryInserted]
    );
    assert_eq!(
        annotate(&mut session, PerformUpdateType::Remove, &[note(3, "", "erika", 11), note(3, "", "erika", 12)]),
        [StatusCode::Good, missing]
    );
    let messages: Vec<String> =
        seen(&session.history(NOTES, &raw(t(0), t(9), 0, false)).values).into_iter().map(|(_, m, _)| m).collect();
    assert_eq!(messages, ["strange", "mended at last", "new"]);
}

#[test]
fn a_value_that_is_no_annotation_is_refused() {
    let (_server, mut session) = filled();
    let entries = annotate(
        &mut session,
        INSERT,
        &[
            sample(UaTime(t(1)), Value::text("a text")),
            sample(UaTime(t(1)), Value::Null),
            Sample { source_time: UaTime::NULL, ..note(1, "no time", "opal", 1) },
            note(2, "made by whom", "", 0),
        ],
    );
    let mismatch = StatusCode::BadTypeMismatch;
    assert_eq!(entries[..3], [mismatch, mismatch, StatusCode::BadInvalidTimestamp]);
    assert_eq!(entries[3], StatusCode::GoodEntryInserted);
    let one = [note(1, "x", "y", 1)];
    for details in [update_data(node(NOTES), INSERT, &one), update_structure(node("Tank.Level"), INSERT, &one)] {
        let done = session.history_update(details.clone());
        assert_eq!(done.0, StatusCode::BadHistoryOperationUnsupported, "{details:?}");
    }
    let locked = session.history_update(update_structure(node("Tank.Locked.Annotations"), INSERT, &one));
    assert_eq!(locked.0, StatusCode::BadUserAccessDenied);
}

/// The second of each value, and whether it is marked.
fn marks(session: &mut Session, start: i64, end: i64) -> Vec<(i64, bool)> {
    let read = session.history("Tank.Level", &raw(start, end, 0, false));
    let mark = |value: &opcell::testing::stack::codec::DataValue| {
        let bits = value.status.unwrap_or_default().bits();
        ((value.source_time.expect("a time").0 - t(0)) / SECOND, bits & EXTRA_DATA == EXTRA_DATA)
    };
    read.values.iter().map(mark).collect()
}

#[test]
fn values_with_more_to_know_are_marked() {
    let (_server, mut session) = filled();
    assert_eq!(marks(&mut session, t(0), t(9)), [(0, false), (1, true), (2, false), (3, true), (4, false)]);
    let edit = [sample(UaTime(t(4)), Value::Double(44.0)), sample(UaTime(t(5)), Value::Double(5.0))];
    session.history_update(update_data(node("Tank.Level"), PerformUpdateType::Update, &edit));
    session.history_update(delete_at(node("Tank.Level"), &[t(2)]));
    assert_eq!(marks(&mut session, t(9), t(-1)), [(5, true), (4, true), (3, true), (1, true), (0, false)]);
    assert_eq!(marks(&mut session, t(0), t(1)), [(0, false)]);
}
