//! Aggregates as live values: AggregateFilter on monitored items (Part 4 §7.22.4, 1.05), through the server.

use opcell::testing::history::aggregate::Aggregate;
use opcell::testing::stack::codec::{DataValue, NodeIdRef};
use opcell::value::{UaTime, Value};
use opcua::{
    AggregateConfiguration, AggregateFilter, AggregateFilterResult, ExtensionObject, MonitoringMode, NodeId, StatusCode,
};
use testkit::request::{create_items, filtered_item, modify_items, parameters, set_mode, time};
use testkit::server::{CELL, TestServer};
use testkit::ua::Session;

const TICKS_A_MS: i64 = 10_000;

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
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

fn structure(filter: Option<Filter>) -> ExtensionObject {
    let Some(filter) = filter else { return ExtensionObject::null() };
    let (percent_data_bad, percent_data_good) = filter.percentages.unwrap_or((100, 100));
    ExtensionObject::from_message(AggregateFilter {
        start_time: time(filter.start.0),
        aggregate_type: NodeId::new(0, filter.function),
        processing_interval: filter.interval,
        aggregate_configuration: AggregateConfiguration {
            use_server_capabilities_defaults: filter.percentages.is_none(),
            treat_uncertain_as_bad: true,
            percent_data_bad,
            percent_data_good,
            use_sloped_extrapolation: false,
        },
    })
}

/// AggregateFilterResult.
#[derive(Debug, PartialEq)]
struct Revised {
    start: UaTime,
    interval: f64,
    percentages: (u8, u8),
}

fn revised(result: &ExtensionObject) -> Option<Revised> {
    if result.is_null() {
        return None;
    }
    let result = result.inner_as::<AggregateFilterResult>().expect("an AggregateFilterResult");
    let configuration = &result.revised_aggregate_configuration;
    assert!(!configuration.use_server_capabilities_defaults, "the values themselves are given");
    Some(Revised {
        start: UaTime(result.revised_start_time.ticks()),
        interval: result.revised_processing_interval,
        percentages: (configuration.percent_data_bad, configuration.percent_data_good),
    })
}

/// CreateMonitoredItems with one item of a queue of 100: its status, id and what was revised.
fn monitor(
    client: &mut Session,
    subscription: u32,
    (node, attribute): (NodeIdRef<'_>, u32),
    filter: Option<Filter>,
) -> (StatusCode, u32, Option<Revised>) {
    let item = filtered_item(node, attribute, 1, (0.0, 100), structure(filter));
    let made = client.ask(create_items(subscription, vec![item])).results.expect("results").remove(0);
    (made.status_code, made.monitored_item_id, revised(&made.filter_result))
}

fn modify(client: &mut Session, subscription: u32, id: u32, filter: Option<Filter>) -> (StatusCode, Option<Revised>) {
    let changed = vec![(id, parameters(1, 0.0, 100, structure(filter)))];
    let result = client.ask(modify_items(subscription, changed)).results.expect("results").remove(0);
    (result.status_code, revised(&result.filter_result))
}

/// At least `count` values of the one item.
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
        (NodeIdRef::numeric(0, 2258), 13, average, StatusCode::BadMonitoredItemFilterUnsupported),
        (tag("Pump.Speed"), 4, average, StatusCode::BadFilterNotAllowed),
    ] {
        let (found, id, revised) = monitor(&mut client, subscription, (node, attribute), filter);
        assert_eq!((found, id, revised), (status, 0, None), "{node:?}");
    }
}

#[test]
fn start_and_interval_are_revised_and_returned() {
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
    // The same filter again continues where it is.
    let (status, _) = modify(&mut client, subscription, id, every(200.0, Aggregate::DurationGood));
    assert_eq!(status, StatusCode::Good);
    assert!(values(&mut client, 2).iter().all(|value| number(value) == Some(200.0)));
    assert_eq!(modify(&mut client, subscription, id, None), (StatusCode::Good, None));
    while !raw(&values(&mut client, 1)[0]) {}
    // Silent from now on: the value doesn't change.
    assert!(client.publish(&[]).expect("a message").data.is_empty());
}

#[test]
fn a_disabled_item_starts_again_when_it_is_enabled() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(100.0, 1000, 10);
    let (_, id, _) = monitor(&mut client, subscription, (tag("Pump.Setpoint"), 13), every(100.0, Aggregate::EndBound));
    values(&mut client, 2);
    client.ask(set_mode(subscription, MonitoringMode::Disabled, &[id]));
    // Keep-alives alone for a second.
    assert!((0..2).all(|_| client.publish(&[]).expect("a message").data.is_empty()));
    let woken = UaTime::now();
    client.ask(set_mode(subscription, MonitoringMode::Reporting, &[id]));
    let first = &values(&mut client, 1)[0];
    assert!(first.source_time.expect("a time").0 > woken.0 - 100 * TICKS_A_MS, "no result of the time asleep");
}
