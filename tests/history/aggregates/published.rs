//! The published examples of Part 13, every table of them, with and without summaries, in pages and backwards; then
//! properties that hold over any data.
//!
//! `tests/cases/aggregates/*.table` hold facts and figures of the examples in a format of our own: seconds after
//! 12:00:00, value, status and info bits (c calculated, i interpolated, p partial, m multiple values). After a "!"
//! comes what was printed where we hold it wrong, and why.

use std::fs;

use opcell::testing::history::aggregate::{Aggregate, Request, process};
use opcell::value::{BuiltIn, Sample, Value};

use super::examples;
use super::examples::{Case, Row, example, moment};
use super::memory;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/aggregates");

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for aggregate in Aggregate::all() {
        let file = format!("{FOLDER}/{}.table", aggregate.name());
        let text = fs::read_to_string(&file).unwrap_or_else(|why| panic!("{file}: {why}"));
        cases.extend(examples::cases(aggregate, &text));
    }
    cases
}

/// All results of a request, asked for in pages of `page` values.
fn read(historian: &memory::Memory, request: &Request, page: usize) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut next = Some(0);
    while let Some(first) = next {
        let (some, on) = process(historian, request, first, page).expect("an archive in memory");
        assert!(!some.is_empty() && some.len() <= page, "a page of {} values", some.len());
        samples.extend(some);
        next = on;
    }
    samples
}

/// The difference from a row of the table, or `None`.
fn difference(row: &Row, found: &Sample) -> Option<String> {
    let same = moment(row.seconds) == found.source_time
        && row.status == found.status
        && match (&row.value, &found.value) {
            (None, Value::Null) => true,
            (Some(examples::Printed::Number(text)), value) => examples::is_printed_as(value, text),
            (Some(examples::Printed::Status(status)), Value::Wire(bytes)) => {
                bytes[0] == BuiltIn::StatusCode as u8 && bytes[1..] == status.bits().to_le_bytes()
            }
            _ => false,
        };
    (!same).then(|| {
        let seconds = (found.source_time.0 - moment(0.0).0) as f64 / 1e7;
        format!("expected {row:?}\n      found {seconds} {:?} {}", found.value, found.status)
    })
}

#[test]
fn the_published_examples_are_met_with_and_without_summaries_and_in_pages() {
    let cases = cases();
    assert_eq!(cases.len(), 159, "tables");
    let mut wrong = Vec::new();
    for case in &cases {
        for (frame, page) in [(0, 1000), (0, 1), (2, 1000), (3, 2), (4, 1000), (8, 3)] {
            let (historian, source, configuration) = example(case.historian, frame);
            let request = Request {
                source,
                aggregate: case.aggregate,
                configuration,
                start: moment(0.0),
                end: moment(100.0),
                interval: case.interval,
            };
            let found = read(&historian, &request, page);
            // The standard deviations stop at 80 s: 20 s intervals have no rest.
            let differences = case.rows.iter().zip(&found).filter_map(|(row, sample)| difference(row, sample));
            let label = format!("{} of historian {}, frames of {frame}", case.aggregate.name(), case.historian);
            wrong.extend(differences.map(|difference| format!("{label}, pages of {page}: {difference}")));
            assert_eq!(case.rows.len(), found.len(), "{label}");
        }
    }
    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The tables again, backwards: half a second off, so that no sample is on an edge, the intervals of both
/// directions hold the same samples, and only what looks at an interval's own start or end may differ.
#[test]
fn intervals_backwards_hold_what_they_hold_forwards() {
    for case in cases() {
        for frame in [0, 2, 4] {
            let (historian, source, configuration) = example(case.historian, frame);
            let (start, end) = (moment(-0.5), moment(-0.5 + 7.0 * case.interval / 1000.0));
            let request = |start, end| Request {
                source,
                aggregate: case.aggregate,
                configuration,
                start,
                end,
                interval: case.interval,
            };
            let forward = read(&historian, &request(start, end), 3);
            let mut backward = read(&historian, &request(end, start), 2);
            backward.reverse();
            for (there, back) in forward.iter().zip(&backward) {
                let label = format!("{} of historian {}", case.aggregate.name(), case.historian);
                check_pair(case.aggregate, case.interval, there, back).unwrap_or_else(|why| panic!("{label}: {why}"));
            }
        }
    }
}

fn check_pair(aggregate: Aggregate, interval: f64, there: &Sample, back: &Sample) -> Result<(), String> {
    let differ = Err(format!("{there:?}\n      {back:?}"));
    let milliseconds = (back.source_time.0 - there.source_time.0) as f64 / 1e4;
    match aggregate {
        // These have the time of the start of an interval, or compare it with the end.
        Aggregate::Interpolative | Aggregate::StartBound | Aggregate::EndBound => Ok(()),
        // The value of an edge comes just before an end, and at a start.
        Aggregate::MinimumActualTime
        | Aggregate::MaximumActualTime
        | Aggregate::MinimumActualTime2
        | Aggregate::MaximumActualTime2
        | Aggregate::Start
        | Aggregate::End
            if there.value == back.value && there.status == back.status && milliseconds.abs() <= interval =>
        {
            Ok(())
        }
        _ if there.value == back.value && there.status == back.status && milliseconds == interval => Ok(()),
        _ => differ,
    }
}

#[test]
fn bounds_backwards_are_those_of_the_other_end() {
    for historian_number in [1, 2, 3, 5] {
        let (historian, source, configuration) = example(historian_number, 3);
        let read = |aggregate, start, end| {
            let request =
                Request { source, aggregate, configuration, start: moment(start), end: moment(end), interval: 5000.0 };
            read(&historian, &request, 100)
        };
        let values = |samples: &[Sample]| samples.iter().map(|sample| sample.value.clone()).collect::<Vec<_>>();
        let mut ends = values(&read(Aggregate::EndBound, 10.0, 90.0));
        ends.reverse();
        assert_eq!(values(&read(Aggregate::StartBound, 90.0, 10.0)), ends, "historian {historian_number}");
        let mut starts = values(&read(Aggregate::StartBound, 10.0, 90.0));
        starts.reverse();
        assert_eq!(values(&read(Aggregate::EndBound, 90.0, 10.0)), starts, "historian {historian_number}");
        let mut points = values(&read(Aggregate::Interpolative, 5.0, 95.0));
        points.reverse();
        assert_eq!(values(&read(Aggregate::Interpolative, 90.0, 0.0)), points, "historian {historian_number}");
    }
}

/// Rules of the clauses that no example shows.
#[test]
fn statuses_follow_the_clauses_where_the_examples_are_silent() {
    let (calculated, partial, sub_normal) = (0x401, 0x404, 0x40A4_0000);
    //   historian, aggregate, start, end, interval in seconds: number of the result, value, status
    for (number, aggregate, (start, end, interval), (at, value, status)) in [
        // A Bad sample behind the minimum at the start: Calculated after all (§5.4.3.10).
        (1, Aggregate::Minimum, (30.0, 45.0, 15.0), (0, Some(30.0), sub_normal | calculated)),
        // The last interval is cut short and there is data behind it (§5.3.3.2).
        (2, Aggregate::Count, (50.0, 80.0, 16.0), (0, Some(1.0), calculated)),
        (2, Aggregate::Count, (50.0, 80.0, 16.0), (1, Some(1.0), sub_normal | partial | calculated)),
        (2, Aggregate::Count, (80.0, 50.0, 16.0), (1, Some(1.0), partial | calculated)),
        // One interval is never cut short.
        (2, Aggregate::Count, (50.0, 60.0, 16.0), (0, Some(1.0), calculated)),
        // All of it is Bad: Range2 has no data (§5.4.3.19), where Minimum2 is Bad.
        (2, Aggregate::Range2, (39.0, 45.0, 6.0), (0, None, 0x809B_0000)),
        (2, Aggregate::Minimum2, (39.0, 45.0, 6.0), (0, None, 0x8000_0000)),
        // 50 % and 50 %: PercentDataGood alone is asked (§4.2.1.2).
        (3, Aggregate::Count, (42.0, 45.0, 3.0), (0, Some(0.0), sub_normal | calculated)),
        (4, Aggregate::Count, (42.0, 45.0, 3.0), (0, None, 0x8000_0000)),
        // Between two samples there is nothing to count, and nothing to average.
        (1, Aggregate::Count, (12.0, 15.0, 3.0), (0, Some(0.0), calculated)),
        (1, Aggregate::Average, (12.0, 15.0, 3.0), (0, None, 0x809B_0000)),
    ] {
        let (historian, source, configuration) = example(number, 2);
        let (start, end, interval) = (moment(start), moment(end), interval * 1000.0);
        let found = read(&historian, &Request { source, aggregate, configuration, start, end, interval }, 10);
        let found = (found[at].value.as_f64(), found[at].status.bits());
        assert_eq!(found, (value, status), "{aggregate:?} of historian {number}, result {at}");
    }
}
