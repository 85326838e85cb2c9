//! Aggregates and values at given times over the wire: what is calculated, what is refused, pages, nonsense.

use opcell::testing::stack::codec::DataValue;
use opcell::value::{UaTime, Value};
use opcua::{ExtensionObject, ReadEventDetails, StatusCode, TimestampsToReturn};
use testkit::history::{Asked, CELL, HistoryServer, Processed, at_time, history_read, node, processed, sample};
use testkit::ua::Session;
use testkit::{history, ua};

const SECOND: i64 = 10_000_000;
const AVERAGE: u32 = 2342;
const COUNT: u32 = 2352;
const MAXIMUM: u32 = 2347;
/// Historian bits of a StatusCode (Part 4 §7.39.1, 1.05).
const CALCULATED: u32 = 0x401;
const INTERPOLATED: u32 = 0x402;

fn t(second: i64) -> i64 {
    1_000_000 * SECOND + second * SECOND
}

/// 0, 1, 2 … 59, one a second; of the text, one.
fn filled() -> HistoryServer {
    let server = HistoryServer::start(CELL);
    server.put("Tank.Level", (0..60).map(|n| sample(UaTime(t(n)), Value::Double(f64::from(n as i32)))));
    server.put("Tank.Recipe", [sample(UaTime(t(0)), Value::text("cheese"))]);
    server
}

fn numbers(values: &[DataValue]) -> Vec<f64> {
    values.iter().map(|value| value.value.as_ref().and_then(Value::as_f64).unwrap_or(f64::NAN)).collect()
}

const MINUTE: Processed<'_> =
    Processed { start: 0, end: 0, interval: 20_000.0, aggregates: &[AVERAGE], defaults: true, percent: (0, 0) };

fn minute(aggregates: &[u32]) -> Processed<'_> {
    Processed { start: t(0), end: t(60), aggregates, ..MINUTE }
}

#[test]
fn each_node_gets_its_own_aggregate() {
    let server = filled();
    let mut session = Session::open(server.address);
    let level = Asked::of(node("Tank.Level"));
    let read = session.history_read(&processed(minute(&[AVERAGE, COUNT, MAXIMUM])), &vec![level; 3]);
    assert_eq!(numbers(&read[0].values), [9.5, 29.5, 49.5]);
    assert_eq!(numbers(&read[1].values), [20.0, 20.0, 20.0]);
    assert_eq!(numbers(&read[2].values), [19.0, 39.0, 59.0]);
    assert_eq!(read[0].times(), [t(0), t(20), t(40)]);
    let status = read[0].values[0].status.expect("info bits").bits();
    assert_eq!(status & 0x403, CALCULATED, "{status:x}");
    let backward = processed(Processed { start: t(60), end: t(0), ..minute(&[COUNT]) });
    assert_eq!(session.history("Tank.Level", &backward).times(), [t(60), t(40), t(20)]);
}

#[test]
fn an_aggregate_that_cannot_be_calculated_is_refused_in_its_own_result() {
    let server = filled();
    let mut session = Session::open(server.address);
    let one = [AVERAGE];
    let good = minute(&one);
    let bad = |status| (status, StatusCode::Good);
    for (case, asked, name, (result, service)) in [
        ("as it should be", good, "Tank.Level", (StatusCode::Good, StatusCode::Good)),
        ("node-opcua's zeros", Processed { defaults: false, ..good }, "Tank.Level", bad(StatusCode::Good)),
        (
            "a sound configuration",
            Processed { defaults: false, percent: (40, 60), ..good },
            "Tank.Level",
            bad(StatusCode::Good),
        ),
        (
            "a configuration against itself",
            Processed { defaults: false, percent: (10, 20), ..good },
            "Tank.Level",
            bad(StatusCode::BadAggregateInvalidInputs),
        ),
        ("the average of texts", good, "Tank.Recipe", bad(StatusCode::BadAggregateInvalidInputs)),
        ("no archive", good, "Tank.Forgotten", bad(StatusCode::BadHistoryOperationUnsupported)),
        (
            "no aggregate",
            Processed { aggregates: &[85], ..good },
            "Tank.Level",
            bad(StatusCode::BadAggregateNotSupported),
        ),
        ("no time", Processed { start: 0, ..good }, "Tank.Level", bad(StatusCode::BadInvalidArgument)),
        ("no span", Processed { start: t(60), ..good }, "Tank.Level", bad(StatusCode::BadInvalidArgument)),
        ("NaN", Processed { interval: f64::NAN, ..good }, "Tank.Level", bad(StatusCode::BadInvalidArgument)),
        (
            "a negative interval",
            Processed { interval: -1.0, ..good },
            "Tank.Level",
            bad(StatusCode::BadInvalidArgument),
        ),
        (
            "two aggregates for one node",
            Processed { aggregates: &[AVERAGE, COUNT], ..good },
            "Tank.Level",
            (StatusCode::Good, StatusCode::BadAggregateListMismatch),
        ),
        (
            "no list",
            Processed { aggregates: &[], ..good },
            "Tank.Level",
            (StatusCode::Good, StatusCode::BadAggregateListMismatch),
        ),
    ] {
        let response = session.call(history_read(&processed(asked), &[Asked::of(node(name))]));
        assert_eq!(response.result, service, "{case}");
        if service.is_good() {
            assert_eq!(history::results(&response)[0].status, result, "{case}");
        }
    }
}

#[test]
fn pages_of_aggregates_put_together_are_the_whole_and_billions_come_one_page_at_a_time() {
    let server = HistoryServer::with(CELL, |limits| limits.history_values = 7);
    server.put("Tank.Level", (0..60).map(|n| sample(UaTime(t(n)), Value::Double(f64::from(n as i32)))));
    let mut session = Session::open(server.address);
    let details = processed(Processed { interval: 1_000.0, ..minute(&[COUNT]) });
    let whole = session.whole_history("Tank.Level", &details);
    assert_eq!(whole.times(), (0..60).map(t).collect::<Vec<_>>());
    assert_eq!(numbers(&whole.values), [1.0; 60]);
    let endless = processed(Processed { start: 1, end: i64::MAX, interval: 1.0, ..minute(&[COUNT]) });
    let first = session.history("Tank.Level", &endless);
    assert_eq!((first.values.len(), first.continuation.is_some()), (7, true));
    let next = session.continue_history("Tank.Level", &endless, &first.continuation.expect("a point"));
    assert_eq!((next.values.len(), next.continuation.is_some()), (7, true));
}

#[test]
fn values_at_times_come_in_the_order_of_the_times() {
    let server = filled();
    let mut session = Session::open(server.address);
    let half = SECOND / 2;
    let read = session.history("Tank.Level", &at_time(&[t(30), t(3) + half, t(3), t(-5)], true));
    assert_eq!(read.times(), [t(30), t(3) + half, t(3), t(-5)]);
    assert_eq!(numbers(&read.values)[..3], [30.0, 3.5, 3.0]);
    let bits: Vec<u32> = read.values.iter().map(|value| value.status.unwrap_or_default().bits()).collect();
    assert_eq!((bits[0] & 3, bits[1] & INTERPOLATED & 3, bits[2] & 3), (0, 2, 0), "raw, interpolated, raw: {bits:x?}");
    assert_eq!(read.values[3].status, Some(StatusCode::BadNoData), "before the first value");
    let stepped = session.history("Tank.Recipe", &at_time(&[t(0), t(9)], false));
    assert_eq!(stepped.values[1].value, Some(Value::text("cheese")));
}

#[test]
fn many_times_come_in_pages() {
    let server = HistoryServer::with(CELL, |limits| limits.history_values = 50);
    server.put("Tank.Level", (0..60).map(|n| sample(UaTime(t(n)), Value::Double(f64::from(n as i32)))));
    let mut session = Session::connect(server.address, ua::unsecured()).expect("a channel");
    session.create_with("urn:test:client", b"", 60_000.0, 8_192).good();
    session.activate_anonymous().good();
    let times: Vec<i64> = (0..50).map(t).collect();
    let read = session.history_read(&at_time(&times, true), &vec![Asked::of(node("Tank.Level")); 10]);
    assert!(read.iter().any(|read| read.continuation.is_some()), "not all of it fits into 8 KiB");
    for mut read in read {
        while let Some(point) = read.continuation.take() {
            let page = session.continue_history("Tank.Level", &at_time(&times, true), &point);
            read.values.extend(page.values);
            read.continuation = page.continuation;
        }
        assert_eq!(read.times(), times);
    }
    let too_many: Vec<i64> = (0..51).map(t).collect();
    let response = session.call(history_read(&at_time(&too_many, true), &[Asked::of(node("Tank.Level"))]));
    assert_eq!(response.result, StatusCode::BadTooManyOperations);
}

#[test]
fn there_is_no_history_of_events() {
    let server = filled();
    let mut session = Session::open(server.address);
    let events = ExtensionObject::from_message(ReadEventDetails::default());
    let mut request = history_read(&events, &[Asked::of(node("Tank.Level"))]);
    request.timestamps_to_return = TimestampsToReturn::Neither;
    let response = session.call(request);
    assert_eq!(history::results(&response)[0].status, StatusCode::BadHistoryOperationUnsupported);
}
