//! Aggregates as live values: AggregateFilter on monitored items (Part 4 §7.22.4, 1.05), through the server.

use opcell::history::aggregate::Aggregate;
use opcell::stack::codec::{DataValue, NodeIdRef, QualifiedNameRef, Reader, Writer};
use opcell::value::{UaTime, Value};
use opcua::StatusCode;

use testkit::server::{CELL, TestServer};
use testkit::ua::Session;

const TICKS_A_MS: i64 = 10_000;

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

fn ns0(number: u32) -> NodeIdRef<'static> {
    NodeIdRef::numeric(0, number)
}

/// An AggregateFilter; `None` is no filter at all.
#[derive(Clone, Copy)]
struct Filter {
    function: u32,
    start: UaTime,
    interval: f64,
    /// PercentDataBad and PercentDataGood of a configuration of its own.
    percentages: Option<(u8, u8)>,
}

fn every(interval: f64, aggregate: Aggregate) -> Option<Filter> {
    Some(Filter { function: aggregate.object() as u32, start: UaTime::NULL, interval, percentages: None })
}

fn write_filter(w: &mut Writer, filter: Option<Filter>) {
    let Some(filter) = filter else { return w.null_extension_object() };
    w.extension_object(730, |w| {
        w.time(filter.start);
        w.node_id(ns0(filter.function));
        w.f64(filter.interval);
        w.bool(filter.percentages.is_none());
        w.bool(true);
        let (bad, good) = filter.percentages.unwrap_or((100, 100));
        w.u8(bad);
        w.u8(good);
        w.bool(false);
    });
}

/// AggregateFilterResult.
#[derive(Debug, PartialEq)]
struct Revised {
    start: UaTime,
    interval: f64,
    percentages: (u8, u8),
}

fn read_revised(reader: &mut Reader<'_>) -> Option<Revised> {
    reader.f64().expect("a sampling interval");
    reader.u32().expect("a queue size");
    let result = reader.extension_object().expect("a filter result");
    let mut body = Reader::new(result.body?);
    assert_eq!(result.type_id.standard(), Some(739), "an AggregateFilterResult");
    let (start, interval) = (body.time().expect("a start"), body.f64().expect("an interval"));
    assert!(!body.bool().expect("a flag"), "the values stand for themselves");
    body.bool().expect("a flag");
    Some(Revised { start, interval, percentages: (body.u8().expect("percent"), body.u8().expect("percent")) })
}

/// CreateMonitoredItems with one item of a queue of 100: its status, id and what was revised.
fn monitor(
    client: &mut Session,
    subscription: u32,
    (node, attribute): (NodeIdRef<'_>, u32),
    filter: Option<Filter>,
) -> (StatusCode, u32, Option<Revised>) {
    let response = client.call(751, |w| {
        w.u32(subscription);
        w.i32(2);
        w.count(1);
        w.node_id(node);
        w.u32(attribute);
        w.string(None);
        w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
        w.i32(2);
        w.u32(1);
        w.f64(0.0);
        write_filter(w, filter);
        w.u32(100);
        w.bool(true);
    });
    let mut reader = response.good();
    assert_eq!(reader.count(1).expect("results"), 1);
    let (status, id) = (reader.status().expect("a status"), reader.u32().expect("an id"));
    (status, id, read_revised(&mut reader))
}

fn modify(client: &mut Session, subscription: u32, id: u32, filter: Option<Filter>) -> (StatusCode, Option<Revised>) {
    let response = client.call(763, |w| {
        w.u32(subscription);
        w.i32(2);
        w.count(1);
        w.u32(id);
        w.u32(1);
        w.f64(0.0);
        write_filter(w, filter);
        w.u32(100);
        w.bool(true);
    });
    let mut reader = response.good();
    assert_eq!(reader.count(1).expect("results"), 1);
    (reader.status().expect("a status"), read_revised(&mut reader))
}

/// Values of the one item, until there are so many.
fn values(client: &mut Session, count: usize) -> Vec<DataValue> {
    let mut values = Vec::new();
    while values.len() < count {
        values.extend(client.next_data().data.into_iter().map(|(_, value)| value));
    }
    values
}

fn number(value: &DataValue) -> Option<f64> {
    value.value.as_ref().and_then(Value::as_f64)
}

#[test]
fn an_average_comes_once_a_processing_interval() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(100.0, 1000, 10);
    let (status, _, revised) =
        monitor(&mut client, subscription, (tag("Pump.Speed"), 13), every(400.0, Aggregate::Average));
    let revised = revised.expect("what was revised");
    assert_eq!((status, revised.interval, revised.percentages), (StatusCode::Good, 400.0, (100, 100)));
    let values = values(&mut client, 4);
    for (at, value) in values.iter().enumerate() {
        let time = value.source_time.expect("a time");
        assert_eq!((time.0 - revised.start.0) % (400 * TICKS_A_MS), 0, "an edge of the intervals");
        assert_eq!(time.0 - revised.start.0, at as i64 * 400 * TICKS_A_MS, "no interval is left out");
        // Polled each 100 ms; on a busy machine an interval may go without.
        if let Some(average) = number(value) {
            assert!((1000.0..=2000.0).contains(&average), "{average}");
            assert_eq!(value.status.unwrap_or(StatusCode::Good).bits(), 0x401, "Good, Calculated");
        }
    }
    assert!(values.iter().any(|value| number(value).is_some()), "{values:?}");
}

#[test]
fn a_value_that_never_changes_has_a_result_in_each_interval() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(100.0, 1000, 10);
    monitor(&mut client, subscription, (tag("Pump.Setpoint"), 13), every(200.0, Aggregate::TimeAverage2));
    let first = values(&mut client, 3);
    // The first interval began before the item did.
    assert!(first[1..].iter().all(|value| number(value) == Some(100.0)), "{first:?}");
    assert_eq!(client.write(tag("Pump.Setpoint"), &Value::Double(250.0)), StatusCode::Good);
    while number(&values(&mut client, 1)[0]) != Some(250.0) {}
}

#[test]
fn text_has_an_end_but_no_average() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(100.0, 1000, 10);
    let end = every(200.0, Aggregate::EndBound);
    assert_eq!(monitor(&mut client, subscription, (tag("Pump.Name"), 13), end).0, StatusCode::Good);
    assert_eq!(values(&mut client, 2)[1].value, Some(Value::text("press")));
}

#[test]
fn a_filter_that_cannot_be_is_refused_with_its_reason() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(100.0, 1000, 10);
    let average = every(1000.0, Aggregate::Average);
    let unknown = Some(Filter { function: 2253, ..average.expect("a filter") });
    let absurd = Some(Filter { interval: f64::NAN, ..average.expect("a filter") });
    let contradicting = Some(Filter { percentages: Some((20, 30)), ..average.expect("a filter") });
    for (node, attribute, filter, status) in [
        (tag("Pump.Speed"), 13, unknown, StatusCode::BadAggregateNotSupported),
        (tag("Pump.Speed"), 13, every(1000.0, Aggregate::AnnotationCount), StatusCode::BadAggregateNotSupported),
        (tag("Pump.Speed"), 13, absurd, StatusCode::BadMonitoredItemFilterInvalid),
        (tag("Pump.Speed"), 13, contradicting, StatusCode::BadAggregateInvalidInputs),
        (tag("Pump.Name"), 13, average, StatusCode::BadAggregateInvalidInputs),
        (tag("Pump.Curve"), 13, average, StatusCode::BadAggregateInvalidInputs),
        // CurrentTime, a variable of the server itself; then an attribute that isn't the value.
        (ns0(2258), 13, average, StatusCode::BadMonitoredItemFilterUnsupported),
        (tag("Pump.Speed"), 4, average, StatusCode::BadFilterNotAllowed),
    ] {
        let (found, id, revised) = monitor(&mut client, subscription, (node, attribute), filter);
        assert_eq!((found, id, revised), (status, 0, None), "{node:?}");
    }
}

#[test]
fn start_and_interval_are_revised_and_told() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(500.0, 1000, 10);
    let past = UaTime(UaTime::now().0 - 3_600_000 * TICKS_A_MS - 1234);
    let filter = every(0.0, Aggregate::Count).expect("a filter");
    for (start, interval, percentages, revised, told) in [
        (UaTime::NULL, 0.0, None, 500.0, (100, 100)),
        (UaTime::NULL, 1.0, Some((60, 40)), 100.0, (60, 40)),
        (past, 7000.0, None, 7000.0, (100, 100)),
        // node-opcua means the defaults when it sends zeros.
        (past, 7000.0, Some((0, 0)), 7000.0, (100, 100)),
    ] {
        let asked = Some(Filter { start, interval, percentages, ..filter });
        let before = UaTime::now();
        let (status, _, found) = monitor(&mut client, subscription, (tag("Pump.Speed"), 13), asked);
        let found = found.expect("what was revised");
        assert_eq!((status, found.interval, found.percentages), (StatusCode::Good, revised, told));
        let step = (revised * TICKS_A_MS as f64) as i64;
        assert_eq!((found.start.0 - start.0) % step, 0, "the same edges");
        assert!(found.start.0 > before.0 - step && found.start <= UaTime::now(), "the interval that runs");
    }
}

#[test]
fn an_item_changes_from_values_to_an_aggregate_and_back() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(100.0, 1000, 10);
    let (_, id, revised) = monitor(&mut client, subscription, (tag("Pump.Setpoint"), 13), None);
    assert_eq!(revised, None);
    let raw = |value: &DataValue| number(value) == Some(100.0) && value.status.is_none_or(|status| status.bits() == 0);
    assert!(raw(&values(&mut client, 1)[0]));
    let (status, revised) = modify(&mut client, subscription, id, every(200.0, Aggregate::DurationGood));
    assert_eq!((status, revised.map(|revised| revised.interval)), (StatusCode::Good, Some(200.0)));
    let calculated = values(&mut client, 3);
    assert!(calculated[1..].iter().all(|value| number(value) == Some(200.0)), "{calculated:?}");
    // The same again goes on where it is.
    let (status, _) = modify(&mut client, subscription, id, every(200.0, Aggregate::DurationGood));
    assert_eq!(status, StatusCode::Good);
    assert!(values(&mut client, 2).iter().all(|value| number(value) == Some(200.0)));
    assert_eq!(modify(&mut client, subscription, id, None), (StatusCode::Good, None));
    while !raw(&values(&mut client, 1)[0]) {}
    // Silent from now on: the value doesn't change.
    assert!(client.publish(&[]).expect("a message").data.is_empty());
}

#[test]
fn a_disabled_item_begins_anew_when_it_wakes() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(100.0, 1000, 10);
    let (_, id, _) = monitor(&mut client, subscription, (tag("Pump.Setpoint"), 13), every(100.0, Aggregate::EndBound));
    let set_mode = |client: &mut Session, mode: i32| {
        let response = client.call(769, |w| {
            w.u32(subscription);
            w.i32(mode);
            w.count(1);
            w.u32(id);
        });
        response.good();
    };
    values(&mut client, 2);
    set_mode(&mut client, 0);
    // Keep-alives alone for a second.
    assert!((0..2).all(|_| client.publish(&[]).expect("a message").data.is_empty()));
    let woken = UaTime::now();
    set_mode(&mut client, 2);
    let first = &values(&mut client, 1)[0];
    assert!(first.source_time.expect("a time").0 > woken.0 - 100 * TICKS_A_MS, "no result of the time asleep");
}
