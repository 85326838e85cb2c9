//! Aggregates of live values: the same results as a read of the history, an interval at a time.

use std::time::Duration;

use opcell::testing::history::ArchiveId;
use opcell::testing::history::aggregate::{
    Aggregate, Configuration, Request, Running, RunningRequest, Source, process,
};
use opcell::value::{BuiltIn, Sample, UaTime, Value};
use opcua::StatusCode;
use proptest::prelude::*;

use super::memory::Memory;

const START: i64 = 134_117_424_000_000_000;
const TICKS_A_MS: i64 = 10_000;

fn at(ms: i64) -> UaTime {
    UaTime(START + ms * TICKS_A_MS)
}

fn sample(ms: i64, value: Value, status: StatusCode) -> Sample {
    Sample { value, status, source_time: at(ms), server_time: at(ms) }
}

fn good(ms: i64, value: f64) -> Sample {
    sample(ms, Value::Double(value), StatusCode::Good)
}

fn request(aggregate: Aggregate, stepped: bool, interval: f64) -> RunningRequest {
    let source = Source { archive: ArchiveId(0), kind: BuiltIn::Double, is_array: false, stepped };
    RunningRequest { source, aggregate, configuration: Configuration::default(), start: at(0), interval }
}

/// Seconds after the start, value, status.
fn rows(samples: &[Sample]) -> Vec<(f64, Option<f64>, u32)> {
    let seconds = |sample: &Sample| (sample.source_time.0 - START) as f64 / 1e7;
    samples.iter().map(|sample| (seconds(sample), sample.value.as_f64(), sample.status.bits())).collect()
}

proptest! {
    #[test]
    fn live_aggregates_equal_those_of_the_history(
        steps in prop::collection::vec((1..30_000i64, -3..6i32, 0..10u8), 1..60),
        stepped: bool,
        treat_uncertain_as_bad: bool,
    ) {
        let mut ms = 0;
        let samples: Vec<Sample> = steps.into_iter().map(|(gap, value, quality)| {
            ms += gap;
            let value = Value::Double(f64::from(value) * 2.5);
            match quality {
                0 => sample(ms, Value::Null, StatusCode::BadNoCommunication),
                1 => sample(ms, value, StatusCode::UncertainLastUsableValue),
                _ => sample(ms, value, StatusCode::Good),
            }
        }).collect();
        for aggregate in Aggregate::all().filter(|aggregate| *aggregate != Aggregate::AnnotationCount) {
            let mut live = request(aggregate, stepped, 7001.0);
            live.configuration.treat_uncertain_as_bad = treat_uncertain_as_bad;
            let mut running = Running::new(live);
            let mut results = Vec::new();
            samples.iter().for_each(|sample| running.take(sample, sample.source_time, &mut results));
            // Intervals before the first sample have no data in both.
            let end = at(7001 * (results.len() as i64 + 1));
            let RunningRequest { source, aggregate, configuration, start, interval } = live;
            let read = Request { source, aggregate, configuration, start, end, interval };
            let (expected, _) = process(&Memory::new(samples.clone(), 0), &read, 0, results.len()).expect("memory");
            prop_assert_eq!(rows(&results), rows(&expected), "{:?}", aggregate);
        }
    }
}

#[test]
fn the_last_value_holds_to_the_end_of_each_interval_and_beyond() {
    // 10 at 1 s, 20 at 3 s, then nothing more: intervals of 2 s, looked at after 8 s.
    let (calculated, partial) = (0x401, 0x405);
    for (aggregate, stepped, expected) in [
        (
            Aggregate::TimeAverage2,
            true,
            [(Some(10.0), 0x40A4_0405), (Some(15.0), calculated), (Some(20.0), calculated), (Some(20.0), calculated)],
        ),
        (
            Aggregate::TimeAverage,
            false,
            // The line from 10 to 20 passes 15 at 2 s.
            [(Some(12.5), 0x40A4_0405), (Some(18.75), calculated), (Some(20.0), calculated), (Some(20.0), calculated)],
        ),
        (
            Aggregate::Count,
            true,
            [(Some(1.0), partial), (Some(1.0), calculated), (Some(0.0), calculated), (Some(0.0), calculated)],
        ),
        (
            Aggregate::Average,
            true,
            [(Some(10.0), calculated), (Some(20.0), calculated), (None, 0x809B_0000), (None, 0x809B_0000)],
        ),
        (
            Aggregate::DurationInStateNonZero,
            true,
            [
                (Some(1000.0), 0x40A4_0405),
                (Some(2000.0), calculated),
                (Some(2000.0), calculated),
                (Some(2000.0), calculated),
            ],
        ),
        (
            Aggregate::EndBound,
            true,
            [(Some(10.0), partial), (Some(20.0), calculated), (Some(20.0), calculated), (Some(20.0), calculated)],
        ),
        (Aggregate::Interpolative, true, [(None, 0x809B_0000), (Some(10.0), 0x402), (Some(20.0), 0), (Some(20.0), 0)]),
    ] {
        let mut running = Running::new(request(aggregate, stepped, 2000.0));
        let mut results = Vec::new();
        running.take(&good(1000, 10.0), at(1001), &mut results);
        running.take(&good(3000, 20.0), at(3001), &mut results);
        running.pass(at(3999), &mut results);
        assert_eq!(results.len(), 1, "{aggregate:?}: one interval is over");
        running.pass(at(8000), &mut results);
        let expected: Vec<_> =
            expected.into_iter().zip(0..).map(|((value, status), at)| (f64::from(at) * 2.0, value, status)).collect();
        assert_eq!(rows(&results), expected, "{aggregate:?}");
    }
}

#[test]
fn a_link_that_is_down_makes_time_bad() {
    let mut running = Running::new(request(Aggregate::PercentBad, true, 2000.0));
    let mut results = Vec::new();
    running.take(&good(0, 10.0), at(0), &mut results);
    running.take(&sample(1500, Value::Null, StatusCode::BadNoCommunication), at(1500), &mut results);
    running.pass(at(4000), &mut results);
    running.take(&good(5000, 10.0), at(5000), &mut results);
    running.pass(at(6000), &mut results);
    let percent: Vec<_> = results.iter().map(|sample| sample.value.as_f64()).collect();
    assert_eq!(percent, [Some(25.0), Some(100.0), Some(50.0)]);
}

#[test]
fn text_and_long_integers_come_as_they_were() {
    let base = (1i64 << 60) + 1;
    let text = |ms, text| sample(ms, Value::text(text), StatusCode::Good);
    let long = |ms, more| sample(ms, Value::Int64(base + more), StatusCode::Good);
    for (kind, aggregate, samples, expected) in [
        (BuiltIn::String, Aggregate::End, [text(100, "a"), text(900, "b")], [Value::text("b"), Value::Null]),
        (BuiltIn::String, Aggregate::StartBound, [text(-5, "a"), text(900, "b")], [Value::text("a"), Value::text("b")]),
        (BuiltIn::String, Aggregate::EndBound, [text(-5, "a"), text(900, "b")], [Value::text("b"), Value::text("b")]),
        (
            BuiltIn::String,
            Aggregate::Interpolative,
            [text(-5, "a"), text(900, "b")],
            [Value::text("a"), Value::text("b")],
        ),
        (BuiltIn::Int64, Aggregate::Delta, [long(100, 0), long(900, 3)], [Value::Int64(3), Value::Null]),
        (BuiltIn::Int64, Aggregate::Maximum, [long(100, 0), long(900, 1024)], [Value::Int64(base + 1024), Value::Null]),
    ] {
        let mut live = request(aggregate, true, 1000.0);
        live.source.kind = kind;
        let mut running = Running::new(live);
        let mut results = Vec::new();
        samples.iter().for_each(|sample| running.take(sample, sample.source_time, &mut results));
        running.pass(at(2000), &mut results);
        let values: Vec<Value> = results.into_iter().map(|sample| sample.value).collect();
        assert_eq!(values, expected, "{aggregate:?} of {kind:?}");
    }
}

#[test]
fn late_samples_and_wrong_clocks_count_as_of_now() {
    let mut running = Running::new(request(Aggregate::Count, true, 1000.0));
    let mut results = Vec::new();
    for (own, now) in [(-60_000, 0), (100, 110), (50, 200), (90_000, 300), (-7_200_000, 1500), (0, 1600)] {
        running.take(&good(own, 1.0), at(now), &mut results);
    }
    running.pass(at(2000), &mut results);
    // The first stood before the start; of the others three arrived in the first second and two in the second one.
    assert_eq!(rows(&results), [(0.0, Some(3.0), 0x401), (1.0, Some(2.0), 0x401)]);
}

#[test]
fn a_clock_that_jumps_years_ahead_does_not_bring_years_of_results() {
    for aggregate in [Aggregate::Count, Aggregate::TimeAverage, Aggregate::TimeAverage2] {
        let mut running = Running::new(request(aggregate, true, 1000.0));
        let mut results = Vec::new();
        running.take(&good(0, 1.0), at(0), &mut results);
        running.pass(at(1_000_000_000_500), &mut results);
        assert!(results.is_empty(), "{aggregate:?}: {} results", results.len());
        running.pass(at(1_000_000_001_000), &mut results);
        assert_eq!((results.len(), results[0].source_time), (1, at(1_000_000_000_000)), "{aggregate:?}");
    }
}

#[test]
fn a_request_is_revised_to_what_can_be_done() {
    let (least, usual) = (Duration::from_millis(100), Duration::from_secs(5));
    let now = at(10_250);
    //   start              interval   revised start  interval
    for (start, interval, revised_start, revised) in [
        (at(10_250), 1000.0, at(10_250), 1000.0),
        (at(3_700), 1000.0, at(9_700), 1000.0),
        (UaTime::NULL, 1000.0, at(10_000), 1000.0),
        (UaTime::NULL, 0.0, at(10_000), 5000.0),
        (at(0), 1.0, at(10_200), 100.0),
        (at(60_000), 1000.0, at(60_000), 1000.0),
        (UaTime(i64::MAX), 1000.0, at(9_000), 1000.0),
        (UaTime(i64::MIN), 1000.0, at(9_000), 1000.0),
        (at(0), 1e300, at(0), 366.0 * 86_400_000.0),
    ] {
        let mut asked = request(Aggregate::Average, true, interval);
        asked.start = start;
        let found = asked.revise(now, least, usual).expect("a request");
        assert_eq!(found.interval, revised, "{start:?} by {interval}");
        let offset = (found.start.0 - revised_start.0) % (found.interval * 1e4) as i64;
        let is_running = found.start <= now && now.0 - found.start.0 < (found.interval * 1e4) as i64;
        assert!(is_running || found.start == start, "{start:?}: {:?}", found.start);
        if !matches!(start, UaTime(i64::MAX | i64::MIN)) {
            assert_eq!(offset, 0, "{start:?} by {interval}: {:?}", found.start);
        }
        Running::new(found).pass(now, &mut Vec::new());
    }
    for (aggregate, kind, interval, status) in [
        (Aggregate::Average, BuiltIn::Double, f64::NAN, StatusCode::BadMonitoredItemFilterInvalid),
        (Aggregate::Average, BuiltIn::Double, -1.0, StatusCode::BadMonitoredItemFilterInvalid),
        (Aggregate::Average, BuiltIn::String, 1.0, StatusCode::BadAggregateInvalidInputs),
        (Aggregate::AnnotationCount, BuiltIn::Double, 1.0, StatusCode::BadAggregateNotSupported),
    ] {
        let mut asked = request(aggregate, true, interval);
        asked.source.kind = kind;
        assert_eq!(asked.revise(now, least, usual).err(), Some(status), "{aggregate:?} of {kind:?} by {interval}");
    }
}
