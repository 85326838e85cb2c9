//! HistoryUpdate over the wire: insert, replace, update, delete, what edits leave behind, rights, annotations, audit.

use opcell::testing::model::{Accounts, Role};
use opcell::value::{Elements, Sample, UaTime, Value};
use opcua::{EventFilter, ExtensionObject, PerformUpdateType, StatusCode, UpdateEventDetails};
use testkit::by_hand;
use testkit::history::{
    self, CELL, HistoryServer, delete_at, delete_span, history_update, modified, node, raw, sample, update_data,
    update_results, update_structure,
};
use testkit::request::ToNodeId;
use testkit::ua::Session;

const SECOND: i64 = 10_000_000;
const INSERT: PerformUpdateType = PerformUpdateType::Insert;
const REPLACE: PerformUpdateType = PerformUpdateType::Replace;
const UPDATE: PerformUpdateType = PerformUpdateType::Update;
const REMOVE: PerformUpdateType = PerformUpdateType::Remove;

/// Seconds of today: what is older than its class keeps may not be inserted.
fn t(second: i64) -> i64 {
    static NOW: std::sync::LazyLock<i64> =
        std::sync::LazyLock::new(|| UaTime::now().0 / SECOND * SECOND - 3600 * SECOND);
    *NOW + second * SECOND
}

fn level(second: i64, value: f64) -> Sample {
    sample(UaTime(t(second)), Value::Double(value))
}

fn seen(session: &mut Session) -> Vec<(i64, f64)> {
    let read = session.history("Tank.Level", &raw(t(-3000), t(3000), 0, false));
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_f64).expect("a number");
    read.values.iter().map(|v| ((v.source_time.expect("a time").0 - t(0)) / SECOND, number(&v.value))).collect()
}

#[test]
fn each_way_of_updating_does_what_it_says_and_nothing_else() {
    let server = HistoryServer::start(CELL);
    let mut session = Session::open(server.address);
    let (inserted, replaced) = (StatusCode::GoodEntryInserted, StatusCode::GoodEntryReplaced);
    let (exists, missing) = (StatusCode::BadEntryExists, StatusCode::BadNoEntryExists);
    for (perform, samples, statuses, left) in [
        (INSERT, vec![level(1, 1.0), level(3, 3.0)], vec![inserted, inserted], vec![(1, 1.0), (3, 3.0)]),
        (INSERT, vec![level(1, 9.0), level(2, 2.0)], vec![exists, inserted], vec![(1, 1.0), (2, 2.0), (3, 3.0)]),
        (REPLACE, vec![level(2, 7.0), level(4, 4.0)], vec![replaced, missing], vec![(1, 1.0), (2, 7.0), (3, 3.0)]),
        (
            UPDATE,
            vec![level(3, 8.0), level(4, 4.0)],
            vec![replaced, inserted],
            vec![(1, 1.0), (2, 7.0), (3, 8.0), (4, 4.0)],
        ),
    ] {
        let done = session.history_update(update_data(node("Tank.Level"), perform, &samples));
        assert_eq!(done, (StatusCode::Good, statuses), "{perform:?}");
        assert_eq!(seen(&mut session), left, "after {perform:?}");
    }
    let done = session.history_update(delete_at(node("Tank.Level"), &[t(4), t(5), 0]));
    assert_eq!(done.1, [StatusCode::Good, missing, StatusCode::BadInvalidTimestamp]);
    assert_eq!(seen(&mut session), [(1, 1.0), (2, 7.0), (3, 8.0)]);
    for (start, end, status, left) in [
        (t(1), t(3), StatusCode::Good, vec![(3, 8.0)]),
        (t(1), t(3), StatusCode::BadNoData, vec![(3, 8.0)]),
        (t(3), t(1), StatusCode::BadInvalidTimestampArgument, vec![(3, 8.0)]),
        (0, t(9), StatusCode::BadInvalidTimestampArgument, vec![(3, 8.0)]),
        (t(3), t(3), StatusCode::Good, vec![]),
    ] {
        let done = session.history_update(delete_span(node("Tank.Level"), false, start, end));
        assert_eq!(done, (status, vec![]), "{start} to {end}");
        assert_eq!(seen(&mut session), left, "{start} to {end}");
    }
}

#[test]
fn edits_keep_the_values_that_they_changed() {
    let server = HistoryServer::start(CELL);
    let mut session = Session::open(server.address);
    server.put("Tank.Level", [level(1, 1.0), level(2, 2.0), level(3, 3.0)]);
    let replace = [level(2, 22.0)];
    let before = UaTime::now();
    session.history_update(update_data(node("Tank.Level"), INSERT, &[level(4, 4.0)]));
    session.history_update(update_data(node("Tank.Level"), REPLACE, &replace));
    session.history_update(update_data(node("Tank.Level"), UPDATE, &[level(2, 222.0)]));
    session.history_update(delete_span(node("Tank.Level"), false, t(3), t(3)));
    let whole = session.history("Tank.Level", &modified(t(0), t(9), 0));
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_f64).expect("a number");
    let numbers: Vec<f64> = whole.values.iter().map(|value| number(&value.value)).collect();
    let kinds: Vec<i32> = whole.modifications.iter().map(|(_, kind, _)| *kind).collect();
    // The old value, but of an insert the new one.
    assert_eq!(
        (numbers, kinds),
        (vec![2.0, 22.0, 3.0, 4.0], [REPLACE, UPDATE, REMOVE, INSERT].map(|kind| kind as i32).to_vec())
    );
    assert!(whole.modifications.iter().all(|(time, ..)| *time >= before && *time <= UaTime::now()));
    for count in 1..5 {
        let pages = session.whole_history("Tank.Level", &modified(t(0), t(9), count));
        assert_eq!((pages.values, pages.modifications), (whole.values.clone(), whole.modifications.clone()), "{count}");
    }
    let backward = session.history("Tank.Level", &modified(t(9), t(0), 0));
    assert_eq!(backward.times().first(), Some(&t(4)));
    let bounds = session.history("Tank.Level", &history::raw_or_modified(true, t(0), t(9), 0, true));
    assert_eq!(bounds.status, StatusCode::BadInvalidArgument, "modified values have no bounds");
    let done = session.history_update(delete_span(node("Tank.Level"), true, t(0), t(9)));
    assert_eq!(done.0, StatusCode::Good);
    assert_eq!(session.history("Tank.Level", &modified(t(0), t(9), 0)).status, StatusCode::GoodNoData);
}

/// Deleted at their times, unlike in a span, values leave nothing behind (Part 11 §6.9.6.2, 1.05).
#[test]
fn values_deleted_at_their_times_leave_nothing_behind() {
    let server = HistoryServer::start(CELL);
    let mut session = Session::open(server.address);
    server.put("Tank.Level", (0..9).map(|n| level(n, 1.0)));
    let replaced: Vec<Sample> = (0..9).map(|n| level(n, 2.0)).collect();
    session.history_update(update_data(node("Tank.Level"), REPLACE, &replaced));
    let notes: Vec<Sample> = (0..9).map(|n| sample(UaTime(t(n)), history::annotation("odd", "erika", t(n)))).collect();
    let annotations = node("Tank.Level.Annotations");
    session.history_update(update_structure(annotations, INSERT, &notes));
    let done = session.history_update(delete_at(node("Tank.Level"), &[t(7), t(2), t(3), t(20)]));
    assert_eq!(done.1[3], StatusCode::BadNoEntryExists);
    let left: Vec<i64> = [0, 1, 4, 5, 6, 8].map(t).to_vec();
    for (name, details) in [
        ("Tank.Level", history::raw_or_modified(false, t(0), t(30), 0, false)),
        ("Tank.Level", history::raw_or_modified(true, t(0), t(30), 0, false)),
        ("Tank.Level.Annotations", history::raw_or_modified(false, t(0), t(30), 0, false)),
    ] {
        assert_eq!(session.history(name, &details).times(), left, "{name}");
    }
}

#[test]
fn every_entry_is_checked_on_its_own() {
    let server = HistoryServer::start(CELL);
    let mut session = Session::open(server.address);
    let (good, mismatch) = (StatusCode::GoodEntryInserted, StatusCode::BadTypeMismatch);
    let out = StatusCode::BadOutOfRange;
    let floats = |count: usize| Value::array(Elements::Float(vec![1.0; count]));
    let day = 24 * 3600;
    for (name, value, at, status) in [
        ("Tank.Level", Value::Double(1e9), t(0), good),
        ("Tank.Level", Value::Float(1.0), t(0), mismatch),
        ("Tank.Level", Value::text("1"), t(0), mismatch),
        ("Tank.Level", Value::Null, t(0), mismatch),
        ("Tank.Level", Value::array(Elements::Double(vec![1.0])), t(0), mismatch),
        ("Tank.Count", Value::Int32(1), t(0), mismatch),
        ("Tank.Curve", floats(5), t(0), good),
        ("Tank.Curve", floats(4), t(0), mismatch),
        ("Tank.State", Value::Int32(2), t(0), good),
        ("Tank.State", Value::Int32(7), t(0), out),
        ("Tank.Level", Value::Double(1.0), t(2 * day), out),
        ("Tank.Level", Value::Double(1.0), t(-100 * 365 * day), out),
        ("Tank.Level", Value::Double(1.0), i64::MAX, out),
        ("Tank.Level", Value::Double(1.0), 0, StatusCode::BadInvalidTimestamp),
    ] {
        let sample = sample(UaTime(at), value);
        let done = session.history_update(update_data(node(name), INSERT, std::slice::from_ref(&sample)));
        assert_eq!(done, (StatusCode::Good, vec![status]), "{name} {sample:?}");
    }
    let before_1601 =
        by_hand::update_data(node("Tank.Level"), INSERT as i32, &[sample(UaTime(-5), Value::Double(1.0))]);
    assert_eq!(session.history_update(before_1601), (StatusCode::Good, vec![StatusCode::BadInvalidTimestamp]));
    let bad = Sample { status: StatusCode::BadSensorFailure, ..level(50, 3.0) };
    let done = session.history_update(update_data(node("Tank.Level"), INSERT, &[bad]));
    assert_eq!(done.1, [good]);
    let read = session.history("Tank.Level", &raw(t(50), t(51), 0, false));
    // Marked as inserted, with the ExtraData bit.
    let status = StatusCode::from(StatusCode::BadSensorFailure.bits() | 0x408);
    assert_eq!((read.values[0].status, &read.values[0].value), (Some(status), &None));
}

#[test]
fn details_that_make_no_sense_are_refused_each_for_itself() {
    let server = HistoryServer::with(CELL, |limits| limits.history_nodes = 12);
    let mut session = Session::open(server.address);
    let (invalid, unsupported) = (StatusCode::BadInvalidArgument, StatusCode::BadHistoryOperationUnsupported);
    let one = [level(1, 1.0)];
    let level = node("Tank.Level");
    let response = session.call(history_update(vec![
        by_hand::update_data(level, 0, &one),
        update_data(level, REMOVE, &one),
        by_hand::update_data(level, 5, &one),
        update_data(level, INSERT, &[]),
        update_structure(level, INSERT, &one),
        update_data(node("Tank.Locked"), INSERT, &one),
        update_data(node("Tank.Forgotten"), INSERT, &one),
        update_data(node("Tank.Nothing"), INSERT, &one),
        delete_span(node("Tank.Locked"), false, t(0), t(1)),
        ExtensionObject::from_message(UpdateEventDetails {
            node_id: level.to_node_id(),
            perform_insert_replace: INSERT,
            filter: EventFilter::default(),
            event_data: None,
        }),
        ExtensionObject::null(),
    ]));
    let statuses: Vec<StatusCode> = update_results(&response).into_iter().map(|(status, _)| status).collect();
    assert_eq!(
        statuses,
        [
            invalid,
            invalid,
            invalid,
            StatusCode::BadNothingToDo,
            unsupported,
            StatusCode::BadUserAccessDenied,
            unsupported,
            StatusCode::BadNodeIdUnknown,
            StatusCode::BadUserAccessDenied,
            unsupported,
            StatusCode::BadHistoryOperationInvalid,
        ]
    );
    assert_eq!(session.call(history_update(vec![])).result, StatusCode::BadNothingToDo);
    let many = session.call(history_update(vec![delete_at(level, &[t(0)]); 13]));
    assert_eq!(many.result, StatusCode::BadTooManyOperations);
}

/// AccessLevel, UserAccessLevel and Historizing of each tag.
#[test]
fn the_right_to_edit_history_is_in_the_access_level() {
    let server = HistoryServer::start(CELL);
    let mut session = Session::open(server.address);
    for (name, access, user, historizing) in
        [("Tank.Level", 15, 15, true), ("Tank.Locked", 13, 5, true), ("Tank.Forgotten", 3, 3, false)]
    {
        let read = session.read(&[(node(name), 17), (node(name), 18), (node(name), 20), (node(name), 27)]);
        let values: Vec<Option<Value>> = read.into_iter().map(|value| value.value).collect();
        assert_eq!(
            values,
            [
                Some(Value::Byte(access)),
                Some(Value::Byte(user)),
                Some(Value::Boolean(historizing)),
                Some(Value::UInt32(access.into())),
            ],
            "{name}"
        );
    }
}

/// Listens to these fields of AuditHistoryUpdateEventType and its subtypes, as `TYPE/NAME`.
fn listen(session: &mut Session, fields: &[&'static str]) -> u32 {
    let split = |field: &&'static str| -> (u32, &'static str) {
        let (kind, name) = field.split_once('/').expect("a type and a name");
        (kind.parse().expect("a number"), name)
    };
    session.hear_events(&fields.iter().map(split).collect::<Vec<_>>())
}

#[test]
fn each_edit_raises_an_audit_event() {
    let server = HistoryServer::start(CELL);
    let roles = [Role::OBSERVER, Role::OPERATOR, Role::SECURITY_ADMIN];
    server.server.take_accounts(Accounts { anonymous: roles.into_iter().collect(), ..Accounts::default() });
    let mut session = Session::open(server.address);
    server.put("Tank.Level", [level(1, 1.0), level(2, 2.0)]);
    listen(
        &mut session,
        &[
            "2041/SourceName",
            "2052/Status",
            "2052/ClientUserId",
            "3006/PerformInsertReplace",
            "3014/IsDeleteModified",
            "3019/ReqTimes",
            "3006/NewValues",
            "3006/OldValues",
        ],
    );
    session.history_update(update_data(node("Tank.Level"), REPLACE, &[level(2, 5.0)]));
    session.history_update(update_data(node("Tank.Level"), REPLACE, &[level(3, 5.0)]));
    session.history_update(delete_at(node("Tank.Level"), &[t(1)]));
    session.history_update(delete_span(node("Tank.Level"), false, t(0), t(9)));
    let mut events = Vec::new();
    while events.len() < 4 {
        events.extend(session.publish(&[]).expect("a message").events);
    }
    let told: Vec<Vec<Value>> = events.into_iter().map(|(_, fields)| fields).collect();
    let source = Value::text("Attribute/HistoryUpdate");
    for (n, (status, perform, is_modified, times, has_new, old)) in [
        (true, Value::Int32(REPLACE as i32), Value::Null, Value::Null, true, 1),
        (false, Value::Int32(REPLACE as i32), Value::Null, Value::Null, true, 0),
        (true, Value::Null, Value::Null, Value::array(Elements::DateTime(vec![UaTime(t(1))])), false, 1),
        (true, Value::Null, Value::Boolean(false), Value::Null, false, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let fields = &told[n];
        assert_eq!(fields[..2], [source.clone(), Value::Boolean(status)], "event {n}");
        assert_eq!(fields[3..6], [perform, is_modified, times], "event {n}");
        assert_eq!(!fields[6].is_null(), has_new, "event {n}");
        let Value::Wire(bytes) = &fields[7] else { panic!("old values of event {n}: {:?}", fields[7]) };
        assert_eq!((bytes[0], bytes[1]), (23 | 0x80, old), "event {n}");
    }
}
