//! Raw history over the wire: the time domain and its bounds, pages, parts of values, and what is refused.

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::{Elements, Sample, UaTime, Value};
use opcua::{AnonymousIdentityToken, ExtensionObject, ObjectId, StatusCode, TimestampsToReturn};
use testkit::by_hand;
use testkit::history::{Asked, CELL, HistoryServer, Read, history_read, node, raw, results, sample};
use testkit::request::{encode, raw_structure};
use testkit::ua::Session;

const SECOND: i64 = 10_000_000;

/// Clock times of the specification's example, as ticks: `m(4, 59)` is 4:59.
fn m(hour: i64, minute: i64) -> i64 {
    (400 * 365 * 24 + hour) * 3600 * SECOND + minute * 60 * SECOND
}

/// Values stored at 5:00, 5:02, 5:03, 5:05 and 5:06 (Part 11 §4.6, 1.05).
fn example() -> HistoryServer {
    let server = HistoryServer::start(CELL);
    let minutes = [0, 2, 3, 5, 6];
    server
        .put("Tank.Level", minutes.map(|minute| sample(UaTime(m(5, minute)), Value::Double(f64::from(minute as i32)))));
    server
}

/// Minutes after 4:00, and `None` for a bound that was not found.
fn seen(read: &Read) -> Vec<(i64, bool)> {
    let minute = |time: UaTime| (time.0 - m(4, 0)) / (60 * SECOND);
    let is_missing = |status: Option<StatusCode>| status == Some(StatusCode::BadBoundNotFound);
    read.values.iter().map(|v| (minute(v.source_time.expect("a time")), is_missing(v.status))).collect()
}

#[test]
fn the_examples_of_bounding_values_come_as_the_table_of_the_specification_says() {
    let server = example();
    let mut session = Session::open(server.address);
    let none = 0;
    let t = |minute: i64| m(4, minute);
    // Start, end, number, bounds; minutes after 4:00 (negative: no bound found there); whether there is more.
    for (start, end, count, bounds, minutes, more) in [
        (t(60), t(65), 0, true, &[60, 62, 63, 65][..], false),
        (t(60), t(65), 0, false, &[60, 62, 63], false),
        (t(61), t(64), 0, true, &[60, 62, 63, 65], false),
        (t(61), t(64), 0, false, &[62, 63], false),
        (t(65), t(60), 0, true, &[65, 63, 62, 60], false),
        (t(65), t(60), 0, false, &[65, 63, 62], false),
        (t(64), t(61), 0, true, &[65, 63, 62, 60], false),
        (t(64), t(61), 0, false, &[63, 62], false),
        (t(59), t(65), 0, true, &[-59, 60, 62, 63, 65], false),
        (t(59), t(65), 0, false, &[60, 62, 63], false),
        (t(61), t(67), 0, true, &[60, 62, 63, 65, 66, -67], false),
        (t(61), t(67), 0, false, &[62, 63, 65, 66], false),
        (t(67), t(59), 0, true, &[-67, 66, 65, 63, 62, 60, -59], false),
        (t(60), t(65), 3, true, &[60, 62, 63], true),
        (t(60), t(65), 3, false, &[60, 62, 63], false),
        (t(61), t(64), 3, true, &[60, 62, 63], true),
        (t(61), t(64), 3, false, &[62, 63], false),
        (t(65), t(60), 3, true, &[65, 63, 62], true),
        (t(65), t(60), 3, false, &[65, 63, 62], false),
        (t(64), t(61), 3, true, &[65, 63, 62], true),
        (t(64), t(61), 3, false, &[63, 62], false),
        (t(59), t(65), 3, true, &[-59, 60, 62], true),
        (t(59), t(65), 3, false, &[60, 62, 63], false),
        (t(61), t(67), 3, true, &[60, 62, 63], true),
        (t(61), t(67), 3, false, &[62, 63, 65], true),
        (t(60), none, 3, true, &[60, 62, 63], true),
        (t(60), none, 3, false, &[60, 62, 63], true),
        (t(60), none, 6, false, &[60, 62, 63, 65, 66], false),
        (t(67), none, 6, false, &[], false),
        (none, t(66), 3, true, &[66, 65, 63], true),
        (none, t(66), 3, false, &[66, 65, 63], true),
        (none, t(66), 6, false, &[66, 65, 63, 62, 60], false),
        (none, t(48), 6, false, &[], false),
        (t(48), t(48), 0, true, &[-48, 60], false),
        (t(48), t(48), 0, false, &[], false),
        (t(48), t(48), 1, true, &[-48], true),
        (t(48), t(48), 1, false, &[], false),
        (t(48), t(48), 2, true, &[-48, 60], false),
        (t(60), t(60), 0, true, &[60, 62], false),
        (t(60), t(60), 0, false, &[60], false),
        (t(60), t(60), 1, true, &[60], true),
        (t(60), t(60), 1, false, &[60], false),
        (t(61), t(61), 0, true, &[60, 62], false),
        (t(61), t(61), 0, false, &[], false),
        (t(61), t(61), 1, true, &[60], true),
        (t(61), t(61), 1, false, &[], false),
        (t(66), t(66), 0, true, &[66, -66], false),
    ] {
        let case =
            format!("{} to {} x{count} bounds {bounds}", (start - t(0)) / (60 * SECOND), (end - t(0)) / (60 * SECOND));
        let read = session.history("Tank.Level", &raw(start, end, count, bounds));
        let wanted: Vec<(i64, bool)> = minutes.iter().map(|minute: &i64| (minute.abs(), *minute < 0)).collect();
        assert_eq!(seen(&read), wanted, "{case}");
        assert_eq!(read.continuation.is_some(), more, "{case}");
        let status = if minutes.is_empty() { StatusCode::GoodNoData } else { StatusCode::Good };
        assert_eq!(read.status, status, "{case}");
    }
}

#[test]
fn without_an_end_the_missing_bound_lies_a_second_behind_the_last_value() {
    let server = example();
    let mut session = Session::open(server.address);
    for (start, end, times) in [
        (m(5, 0), 0, vec![m(5, 0), m(5, 2), m(5, 3), m(5, 5), m(5, 6), m(5, 6) + SECOND]),
        (m(5, 7), 0, vec![m(5, 6), m(5, 6) + SECOND]),
        (0, m(5, 6), vec![m(5, 6), m(5, 5), m(5, 3), m(5, 2), m(5, 0), m(5, 0) - SECOND]),
        (0, m(4, 48), vec![m(5, 0), m(5, 0) - SECOND]),
    ] {
        let read = session.history("Tank.Level", &raw(start, end, 6, true));
        assert_eq!(read.times(), times);
        let last = read.values.last().expect("a bound");
        assert_eq!((last.status, last.value.as_ref()), (Some(StatusCode::BadBoundNotFound), None));
    }
}

#[test]
fn pages_put_together_are_the_whole() {
    let server = example();
    let mut session = Session::open(server.address);
    for (start, end) in
        [(m(5, 0), m(5, 5)), (m(4, 0), m(6, 0)), (m(6, 0), m(4, 0)), (m(5, 3), m(5, 3)), (m(5, 1), m(5, 1))]
    {
        for bounds in [false, true] {
            let whole = session.history("Tank.Level", &raw(start, end, 0, bounds));
            assert_eq!(whole.continuation, None);
            for count in 1..8 {
                let pages = session.whole_history("Tank.Level", &raw(start, end, count, bounds));
                assert_eq!(seen(&pages), seen(&whole), "{start}..{end} by {count}, bounds {bounds}");
            }
        }
    }
}

#[test]
fn pages_stay_right_while_data_and_edits_arrive() {
    let server = example();
    let mut session = Session::open(server.address);
    let details = raw(m(5, 0), m(6, 0), 2, false);
    let mut read = session.history("Tank.Level", &details);
    let mut minutes: Vec<(i64, bool)> = seen(&read);
    // Late data on either side of the cursor, new data at the end.
    for minute in [1, 4, 7] {
        server.put("Tank.Level", [sample(UaTime(m(5, minute)), Value::Double(99.0))]);
    }
    while let Some(point) = read.continuation.take() {
        read = session.continue_history("Tank.Level", &details, &point);
        minutes.extend(seen(&read));
    }
    let before = [60, 62, 63, 65, 66].map(|minute| (minute, false));
    assert_eq!(minutes, before, "as it was when the first page was read");
    let again = session.whole_history("Tank.Level", &details);
    assert_eq!(again.values.len(), 8);
}

#[test]
fn the_server_pages_at_its_own_limit_whatever_is_asked() {
    let server = HistoryServer::with(CELL, |limits| limits.history_values = 1_000);
    server.put("Tank.Count", (1..=2_500).map(|n| sample(UaTime(i64::from(n) * SECOND), Value::UInt32(n))));
    let mut session = Session::open(server.address);
    for count in [0, u32::MAX, 5_000] {
        let details = raw(1, i64::MAX, count, false);
        let first = session.history("Tank.Count", &details);
        assert_eq!((first.values.len(), first.continuation.is_some()), (1_000, true), "{count}");
        session.release_history("Tank.Count", &details, &first.continuation.expect("a point"));
        assert_eq!(session.whole_history("Tank.Count", &details).values.len(), 2_500, "{count}");
    }
}

#[test]
fn both_times_go_out_as_they_are_asked_for() {
    let server = example();
    let mut session = Session::open(server.address);
    let mut asked = history_read(&raw(m(5, 2), m(5, 3), 0, false), &[Asked::of(node("Tank.Level"))]);
    for (timestamps, source, srv) in [
        (TimestampsToReturn::Source, true, false),
        (TimestampsToReturn::Server, false, true),
        (TimestampsToReturn::Both, true, true),
    ] {
        asked.timestamps_to_return = timestamps;
        let response = session.call(asked.clone());
        let value = &results(&response)[0].values[0];
        assert_eq!(value.source_time, source.then_some(UaTime(m(5, 2))));
        assert_eq!(value.server_time, srv.then_some(UaTime(m(5, 2) + 1)));
    }
    for timestamps in [TimestampsToReturn::Neither, TimestampsToReturn::Invalid] {
        asked.timestamps_to_return = timestamps;
        assert_eq!(session.call(asked.clone()).result, StatusCode::BadTimestampsToReturnInvalid, "{timestamps:?}");
    }
    // -1 is in no enumeration.
    let response = session.call_raw(ObjectId::HistoryReadRequest_Encoding_DefaultBinary, |w| {
        encode(&asked.history_read_details, &mut w.buf);
        w.i32(-1);
        w.bool(false);
        encode(&asked.nodes_to_read, &mut w.buf);
    });
    assert_eq!(response.result, StatusCode::BadTimestampsToReturnInvalid);
}

#[test]
fn status_and_value_come_as_they_were_kept() {
    let server = HistoryServer::start(CELL);
    let at = |n: i64| UaTime(n * SECOND);
    let uncertain = StatusCode::UncertainLastUsableValue;
    server.put(
        "Tank.Recipe",
        [
            sample(at(1), Value::text("cheese")),
            Sample { status: uncertain, ..sample(at(2), Value::text("bread")) },
            Sample { status: StatusCode::BadNotConnected, ..sample(at(3), Value::Null) },
        ],
    );
    let mut session = Session::open(server.address);
    let read = session.history("Tank.Recipe", &raw(1, at(9).0, 0, false));
    let seen: Vec<_> = read.values.into_iter().map(|value| (value.value, value.status)).collect();
    assert_eq!(
        seen,
        [
            (Some(Value::text("cheese")), None),
            (Some(Value::text("bread")), Some(uncertain)),
            (None, Some(StatusCode::BadNotConnected)),
        ]
    );
}

#[test]
fn an_index_range_takes_its_part_of_each_value() {
    let server = HistoryServer::start(CELL);
    let floats = |v: &[f32]| Value::array(Elements::Float(v.to_vec()));
    server.put(
        "Tank.Curve",
        [sample(UaTime(SECOND), floats(&[1.0, 2.0, 3.0, 4.0, 5.0])), sample(UaTime(2 * SECOND), floats(&[9.0]))],
    );
    server.put("Tank.Recipe", [sample(UaTime(SECOND), Value::text("cheese"))]);
    let mut session = Session::open(server.address);
    let details = raw(1, 9 * SECOND, 0, false);
    for (name, range, status, values) in [
        ("Tank.Curve", "1:2", StatusCode::Good, vec![Some(floats(&[2.0, 3.0])), None]),
        ("Tank.Recipe", "0:3", StatusCode::Good, vec![Some(Value::text("chee"))]),
        ("Tank.Level", "0", StatusCode::BadIndexRangeNoData, vec![]),
        ("Tank.Curve", "4:2", StatusCode::BadIndexRangeInvalid, vec![]),
    ] {
        let read = session.history_read(&details, &[Asked { range: Some(range), ..Asked::of(node(name)) }]).remove(0);
        let seen: Vec<_> = read.values.iter().map(|value| value.value.clone()).collect();
        assert_eq!((read.status, seen), (status, values), "{name} {range}");
    }
    // `abc` is no NumericRange.
    let response = session.call_raw(ObjectId::HistoryReadRequest_Encoding_DefaultBinary, |w| {
        encode(&details, &mut w.buf);
        w.i32(TimestampsToReturn::Both as i32);
        w.bool(false);
        w.count(1);
        w.node_id(node("Tank.Curve"));
        w.text("abc");
        w.u16(0);
        w.string(None);
        w.bytes(None);
    });
    assert_eq!(results(&response)[0].status, StatusCode::BadIndexRangeInvalid);
    let short = session.history_read(&details, &[Asked { range: Some("1:2"), ..Asked::of(node("Tank.Curve")) }]);
    assert_eq!(short[0].values[1].status, Some(StatusCode::BadIndexRangeNoData), "the short array has no such part");
}

#[test]
fn every_node_has_a_status_of_its_own() {
    let server = example();
    let mut session = Session::open(server.address);
    let unsupported = StatusCode::BadHistoryOperationUnsupported;
    let level = node("Tank.Level");
    let cases = [
        (Asked::of(level), StatusCode::Good),
        (Asked::of(node("Tank.Nothing")), StatusCode::BadNodeIdUnknown),
        (Asked::of(NodeIdRef::numeric(7, 1)), StatusCode::BadNodeIdUnknown),
        (Asked::of(node("Tank.Forgotten")), unsupported),
        (Asked::of(node("Tank")), unsupported),
        (Asked::of(NodeIdRef::numeric(0, 2258)), unsupported),
        (Asked { encoding: Some((0, "Default Binary")), ..Asked::of(level) }, StatusCode::Good),
        (Asked { encoding: Some((0, "Default XML")), ..Asked::of(level) }, StatusCode::BadDataEncodingUnsupported),
        (Asked { continuation: Some(vec![1; 8]), ..Asked::of(level) }, StatusCode::BadContinuationPointInvalid),
        (Asked::of(node("Tank.Recipe")), StatusCode::GoodNoData),
    ];
    let nodes: Vec<Asked<'_>> = cases.iter().map(|(asked, _)| asked.clone()).collect();
    let read = session.history_read(&raw(m(5, 0), m(6, 0), 0, false), &nodes);
    for (n, (read, (_, status))) in read.iter().zip(&cases).enumerate() {
        assert_eq!(read.status, *status, "operation {n}");
    }
}

#[test]
fn a_domain_needs_two_of_its_three_parts() {
    let server = example();
    let mut session = Session::open(server.address);
    let invalid = StatusCode::BadHistoryOperationInvalid;
    for (start, end, count, status) in [
        (0, 0, 0, invalid),
        (0, 0, 5, invalid),
        (m(5, 0), 0, 0, invalid),
        (0, m(5, 0), 0, invalid),
        (i64::MIN, m(5, 0), 1, StatusCode::Good),
        (m(5, 0), i64::MAX, 0, StatusCode::Good),
        (i64::MAX, i64::MAX, 0, StatusCode::GoodNoData),
        (i64::MAX, 1, 0, StatusCode::Good),
        (1, 1, 0, StatusCode::GoodNoData),
    ] {
        for bounds in [false, true] {
            let read = session.history("Tank.Level", &by_hand::raw_or_modified(false, start, end, count, bounds));
            let status = if bounds && status == StatusCode::GoodNoData { StatusCode::Good } else { status };
            assert_eq!(read.status, status, "{start} {end} {count} {bounds}");
        }
    }
}

#[test]
fn requests_that_make_no_sense_are_refused_as_a_whole() {
    let server = HistoryServer::with(CELL, |limits| limits.history_nodes = 3);
    let mut session = Session::open(server.address);
    let details = raw(1, 2, 0, false);
    let nodes = |count: usize| vec![Asked::of(node("Tank.Level")); count];
    for (count, status) in
        [(0, StatusCode::BadNothingToDo), (3, StatusCode::Good), (4, StatusCode::BadTooManyOperations)]
    {
        assert_eq!(session.call(history_read(&details, &nodes(count))).result, status, "{count} nodes");
    }
    let invalid = StatusCode::BadHistoryOperationInvalid;
    let another = ExtensionObject::from_message(AnonymousIdentityToken::default());
    let short = raw_structure(ObjectId::ReadRawModifiedDetails_Encoding_DefaultBinary, |w| w.bool(false));
    for (name, details, status) in [
        ("none", ExtensionObject::null(), invalid),
        ("another type", another, invalid),
        ("a short body", short, StatusCode::BadDecodingError),
    ] {
        let response = session.call(history_read(&details, &nodes(1)));
        assert_eq!(response.result, status, "{name}");
    }
}
