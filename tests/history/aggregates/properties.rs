//! Properties of aggregates over any data: summaries change nothing, pages and directions join, sums add up.

use opcell::testing::history::ArchiveId;
use opcell::testing::history::aggregate::{Aggregate, Bounding, Configuration, Request, Source, at_time, process};
use opcell::value::{BuiltIn, Sample, UaTime, Value};
use opcua::StatusCode;
use proptest::prelude::*;

use super::memory::Memory;

const START: i64 = 134_117_424_000_000_000;
const TICKS_A_MS: i64 = 10_000;

fn sample(ms: i64, value: Value, status: StatusCode) -> Sample {
    let time = UaTime(START + ms * TICKS_A_MS);
    Sample { value, status, source_time: time, server_time: time }
}

/// Samples with gaps of 1 ms to a minute; one in five is Uncertain or Bad, and values repeat often.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let one = (1..60_000i64, -3..6i32, 0..10u8);
    prop::collection::vec(one, 0..60).prop_map(|steps| {
        let mut ms = 0;
        let made = steps.into_iter().map(|(gap, value, quality)| {
            ms += gap;
            let value = Value::Double(f64::from(value) * 2.5);
            match quality {
                0 => sample(ms, Value::Null, StatusCode::BadNoCommunication),
                1 => sample(ms, value, StatusCode::UncertainLastUsableValue),
                _ => sample(ms, value, StatusCode::Good),
            }
        });
        made.collect()
    })
}

fn good_samples() -> impl Strategy<Value = Vec<Sample>> {
    samples().prop_map(|samples| samples.into_iter().filter(|sample| sample.status.is_good()).collect())
}

fn configuration() -> impl Strategy<Value = Configuration> {
    (any::<bool>(), any::<bool>(), 0..=100u8, 0..=100u8).prop_map(|(uncertain, sloped, bad, good)| Configuration {
        treat_uncertain_as_bad: uncertain,
        percent_data_bad: bad,
        percent_data_good: good.max(100 - bad),
        use_sloped_extrapolation: sloped,
    })
}

fn source(stepped: bool) -> Source {
    Source { archive: ArchiveId(1), kind: BuiltIn::Double, is_array: false, stepped }
}

/// Intervals of an odd length from an odd tick on: no sample is on an edge.
fn request(aggregate: Aggregate, stepped: bool, configuration: Configuration, interval: i64, count: i64) -> Request {
    let start = UaTime(START - 7_770_003);
    let end = UaTime(start.0 + interval * TICKS_A_MS * count - TICKS_A_MS / 3);
    Request { source: source(stepped), aggregate, configuration, start, end, interval: interval as f64 }
}

fn read(historian: &Memory, request: &Request, page: usize) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut next = Some(0);
    while let Some(first) = next {
        let (some, on) = process(historian, request, first, page).expect("an archive in memory");
        samples.extend(some);
        next = on;
    }
    samples
}

/// Equal but for the rounding of sums.
fn is_close(one: &Sample, other: &Sample) -> bool {
    let values = match (one.value.as_f64(), other.value.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs())),
        _ => one.value == other.value,
    };
    values && one.status == other.status && one.source_time == other.source_time
}

fn all_close(ones: &[Sample], others: &[Sample]) -> Result<(), TestCaseError> {
    prop_assert_eq!(ones.len(), others.len());
    for (one, other) in ones.iter().zip(others) {
        prop_assert!(is_close(one, other), "{:?}\n{:?}", one, other);
    }
    Ok(())
}

proptest! {
    #[test]
    fn summaries_and_pages_change_nothing(
        samples in samples(),
        configuration in configuration(),
        stepped: bool,
        (interval, count) in (500..400_000i64, 1..12i64),
        (frame, page) in (1..9usize, 1..5usize),
    ) {
        let points = Memory::new(samples.clone(), 0);
        let frames = Memory::new(samples, frame);
        for aggregate in Aggregate::all() {
            for backward in [false, true] {
                let mut request = request(aggregate, stepped, configuration, interval, count);
                if backward {
                    std::mem::swap(&mut request.start, &mut request.end);
                }
                let whole = read(&points, &request, 1000);
                all_close(&whole, &read(&frames, &request, 1000))?;
                all_close(&whole, &read(&frames, &request, page))?;
            }
        }
    }

    #[test]
    fn an_interval_over_many_frames_is_the_same_without_them(samples in samples(), stepped: bool, frame in 2..9usize) {
        for aggregate in Aggregate::all() {
            let mut request = request(aggregate, stepped, Configuration::default(), 4_000_000, 1);
            request.interval = 0.0;
            let whole = read(&Memory::new(samples.clone(), 0), &request, 10);
            all_close(&whole, &read(&Memory::new(samples.clone(), frame), &request, 10))?;
        }
    }

    #[test]
    fn time_average_of_a_constant_is_the_constant(samples in good_samples(), stepped: bool, frame in 0..9usize) {
        let constant = samples.into_iter().map(|sample| Sample { value: Value::Double(4.25), ..sample });
        let historian = Memory::new(constant.collect(), frame);
        for aggregate in [Aggregate::TimeAverage, Aggregate::TimeAverage2, Aggregate::Average] {
            for sample in read(&historian, &request(aggregate, stepped, Configuration::default(), 30_000, 40), 7) {
                prop_assert!(sample.value.as_f64().is_none_or(|value| (value - 4.25).abs() < 1e-9), "{:?}", sample);
            }
        }
    }

    #[test]
    fn total_is_the_time_average_times_its_seconds(samples in good_samples(), stepped: bool, frame in 0..9usize) {
        let historian = Memory::new(samples, frame);
        let all = |aggregate| read(&historian, &request(aggregate, stepped, Configuration::default(), 45_000, 40), 50);
        for (total, average) in
            [(Aggregate::Total, Aggregate::TimeAverage), (Aggregate::Total2, Aggregate::TimeAverage2)]
        {
            let whole = |sample: &Sample| sample.status.bits() == 0x401;
            let pairs = all(total).into_iter().zip(all(average));
            // The last interval is cut short.
            for (total, average) in pairs.take(39).filter(|(total, _)| whole(total)) {
                prop_assert!(whole(&average));
                let product = average.value.as_f64().expect("a number") * 45.0;
                prop_assert!((total.value.as_f64().expect("a number") - product).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn the_average_lies_between_the_minimum_and_the_maximum(samples in samples(), frame in 0..9usize) {
        let historian = Memory::new(samples, frame);
        let configuration = Configuration { percent_data_good: 0, ..Configuration::default() };
        let all = |aggregate| read(&historian, &request(aggregate, false, configuration, 45_000, 40), 50);
        let rows = all(Aggregate::Minimum).into_iter().zip(all(Aggregate::Average)).zip(all(Aggregate::Maximum));
        for ((minimum, average), maximum) in rows {
            let values = [minimum, average, maximum].map(|sample| sample.value.as_f64());
            match values {
                [Some(minimum), Some(average), Some(maximum)] => {
                    prop_assert!(minimum <= average + 1e-9 && average <= maximum + 1e-9, "{:?}", values);
                }
                [None, None, None] => {}
                _ => prop_assert!(false, "{values:?}"),
            }
        }
    }

    #[test]
    fn counts_and_durations_of_the_parts_add_up_to_those_of_the_whole(samples in samples(), frame in 0..9usize) {
        let historian = Memory::new(samples.clone(), frame);
        let configuration = Configuration { percent_data_good: 0, ..Configuration::default() };
        for aggregate in [
            Aggregate::Count,
            Aggregate::NumberOfTransitions,
            Aggregate::Total2,
            Aggregate::DurationInStateZero,
        ] {
            let parts = request(aggregate, true, configuration, 37_000, 60);
            let whole = Request { interval: 0.0, ..parts };
            let sum = |samples: Vec<Sample>| samples.iter().filter_map(|sample| sample.value.as_f64()).sum::<f64>();
            let (parts, whole) = (sum(read(&historian, &parts, 9)), sum(read(&historian, &whole, 1)));
            prop_assert!((parts - whole).abs() < 1e-6 * (1.0 + whole.abs()), "{aggregate:?}: {parts} {whole}");
        }
        let good = samples.iter().filter(|sample| sample.status.is_good()).count();
        let counted = read(&historian, &Request { interval: 0.0, ..request(Aggregate::Count, false, configuration, 4_000_000, 1) }, 1);
        prop_assert_eq!(counted[0].value.as_f64().unwrap_or(0.0), good as f64);
    }

    #[test]
    fn a_read_at_the_starts_gives_what_interpolative_gives(
        samples in samples(),
        configuration in configuration(),
        stepped: bool,
        frame in 0..9usize,
    ) {
        let historian = Memory::new(samples, frame);
        let grid = request(Aggregate::Interpolative, stepped, configuration, 23_000, 60);
        let processed = read(&historian, &grid, 1000);
        let mut times: Vec<UaTime> = processed.iter().map(|sample| sample.source_time).collect();
        let read = at_time(&historian, &grid.source, &configuration, Bounding::Interpolated, &times).expect("memory");
        all_close(&processed, &read)?;
        // In any order, and twice.
        times.reverse();
        times.extend_from_within(..);
        let read = at_time(&historian, &grid.source, &configuration, Bounding::Interpolated, &times).expect("memory");
        let reversed: Vec<Sample> = processed.iter().rev().chain(processed.iter().rev()).cloned().collect();
        all_close(&reversed, &read)?;
    }
}

#[test]
fn integers_beyond_the_reach_of_a_double_stay_exact() {
    let base = (1i64 << 60) + 1;
    let values = [base + 2, base, base + 4, base + 3];
    let samples = values.iter().zip(1..).map(|(value, ms)| sample(ms, Value::Int64(*value), StatusCode::Good));
    let samples: Vec<Sample> = samples.collect();
    let source = Source { kind: BuiltIn::Int64, ..source(true) };
    for frame in [0, 2] {
        let historian = Memory::new(samples.clone(), frame);
        for (aggregate, value) in [
            (Aggregate::Start, base + 2),
            (Aggregate::End, base + 3),
            // Doubles can't distinguish these neighbours: the first of what looks alike is taken.
            (Aggregate::Minimum, base + 2),
            (Aggregate::Delta, 1),
            (Aggregate::StartBound, base + 2),
        ] {
            let (start, end) = (UaTime(START + TICKS_A_MS), UaTime(START + 5 * TICKS_A_MS));
            let request =
                Request { source, aggregate, configuration: Configuration::default(), start, end, interval: 0.0 };
            let found = &read(&historian, &request, 1)[0];
            assert_eq!(found.value, Value::Int64(value), "{aggregate:?}, frames of {frame}: {}", found.status);
        }
    }
}

#[test]
fn text_has_a_start_an_end_bounds_and_durations() {
    let text = |ms, text: &str| sample(ms, Value::text(text), StatusCode::Good);
    let samples = vec![text(0, "idle"), text(1500, "run"), text(2500, "stop"), text(9000, "idle")];
    let historian = Memory::new(samples, 4);
    let source = Source { kind: BuiltIn::String, ..source(false) };
    let request = |aggregate| Request {
        source,
        aggregate,
        configuration: Configuration::default(),
        start: UaTime(START),
        end: UaTime(START + 8000 * TICKS_A_MS),
        interval: 2000.0,
    };
    let words = |aggregate| {
        let samples = read(&historian, &request(aggregate), 3);
        let word = |sample: &Sample| match &sample.value {
            Value::String(text) => text.to_string(),
            Value::Null => format!("{}", sample.status),
            other => format!("{}", other.as_f64().expect("a number")),
        };
        samples.iter().map(word).collect::<Vec<_>>().join(" ")
    };
    for (aggregate, expected) in [
        (Aggregate::Start, "idle stop BadNoData BadNoData"),
        (Aggregate::End, "run stop BadNoData BadNoData"),
        (Aggregate::Interpolative, "idle run stop stop"),
        (Aggregate::StartBound, "idle run stop stop"),
        (Aggregate::EndBound, "run stop stop stop"),
        (Aggregate::Count, "2 1 0 0"),
        (Aggregate::DurationGood, "2000 2000 2000 2000"),
    ] {
        assert_eq!(words(aggregate), expected, "{aggregate:?}");
    }
    assert_eq!(request(Aggregate::Average).check(), Err(StatusCode::BadAggregateInvalidInputs));
}

#[test]
fn a_difference_that_the_type_cannot_hold_is_bad_and_not_another_number() {
    let counter = |ms, value| sample(ms, Value::UInt16(value), StatusCode::Good);
    let historian = Memory::new(vec![counter(1, 10), counter(2, 4)], 0);
    let source = Source { kind: BuiltIn::UInt16, ..source(true) };
    let (start, end) = (UaTime(START), UaTime(START + 3 * TICKS_A_MS));
    let aggregate = Aggregate::Delta;
    let request = Request { source, aggregate, configuration: Configuration::default(), start, end, interval: 0.0 };
    let found = &read(&historian, &request, 1)[0];
    assert_eq!((&found.value, found.status), (&Value::Null, StatusCode::BadOutOfRange));
}

#[test]
fn a_read_at_times_keeps_to_the_bounds_that_were_asked_for() {
    let good = |ms, value: f64| sample(ms, Value::Double(value), StatusCode::Good);
    let bad = |ms| sample(ms, Value::Null, StatusCode::BadNoCommunication);
    let historian = Memory::new(vec![good(10, 10.0), good(20, 20.0), bad(30), good(40, 40.0)], 2);
    let none = f64::NAN;
    //   ms  stepped  simple: value, status               interpolated: value, status
    for (ms, stepped, simple, interpolated) in [
        (5, false, (none, 0x809B_0000), (none, 0x809B_0000)),
        (10, false, (10.0, 0), (10.0, 0)),
        (15, false, (15.0, 0x402), (15.0, 0x402)),
        (15, true, (10.0, 0x402), (10.0, 0x402)),
        (25, false, (20.0, 0x40A4_0402), (25.0, 0x40A4_0402)),
        (25, true, (20.0, 0x402), (20.0, 0x402)),
        (30, false, (none, 0x8031_0000), (30.0, 0x40A4_0402)),
        (35, false, (none, 0x809B_0000), (35.0, 0x40A4_0402)),
        (35, true, (none, 0x809B_0000), (20.0, 0x40A4_0402)),
        (50, false, (none, 0x809B_0000), (40.0, 0x40A4_0402)),
    ] {
        for (bounding, (value, status)) in [(Bounding::Simple, simple), (Bounding::Interpolated, interpolated)] {
            let times = [UaTime(START + ms * TICKS_A_MS)];
            let configuration = Configuration::default();
            let found = &at_time(&historian, &source(stepped), &configuration, bounding, &times).expect("memory")[0];
            let number = found.value.as_f64().unwrap_or(none);
            let same = (number == value || (number.is_nan() && value.is_nan())) && found.status.bits() == status;
            assert!(same, "{ms} ms, stepped {stepped}, {bounding:?}: {found:?}");
            assert_eq!(found.source_time, times[0]);
        }
    }
}

#[test]
fn an_archive_without_samples_has_no_data_in_any_interval() {
    let historian = Memory::new(Vec::new(), 0);
    for aggregate in Aggregate::all() {
        let found = read(&historian, &request(aggregate, false, Configuration::default(), 1000, 5), 2);
        let is_empty = |sample: &Sample| sample.status == StatusCode::BadNoData && sample.value.is_null();
        assert!(found.len() == 5 && found.iter().all(is_empty), "{aggregate:?} {found:?}");
    }
    let times = [UaTime(START)];
    let found = at_time(&historian, &source(false), &Configuration::default(), Bounding::Simple, &times);
    assert_eq!(found.expect("memory")[0].status, StatusCode::BadNoData);
}

#[test]
fn millions_of_intervals_cost_only_the_page_that_is_read() {
    let historian = Memory::new(vec![sample(0, Value::Double(1.0), StatusCode::Good)], 0);
    let mut request = request(Aggregate::Count, false, Configuration::default(), 1, 1);
    request.end = UaTime(START + 100 * 365 * 86_400_000 * TICKS_A_MS);
    assert!(request.check().is_ok_and(|count| count > 3_000_000_000_000));
    let (samples, next) = process(&historian, &request, 3_000_000_000_000, 10).expect("memory");
    assert_eq!((samples.len(), next), (10, Some(3_000_000_000_010)));
    assert!(process(&historian, &request, u64::MAX, 10).expect("memory").0.is_empty());
}
