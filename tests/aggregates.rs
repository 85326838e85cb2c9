//! The published examples of Part 13, every table of them, with and without summaries, in pages and backwards; then
//! properties that hold over any data.
//!
//! `tests/aggregates/*.table` hold facts and figures of the examples in a format of our own: seconds after 12:00:00,
//! value, status and info bits (c calculated, i interpolated, p partial, m multiple values). Behind a "!" stands what
//! was printed where we hold it wrong, and why.

#[path = "aggregates/memory.rs"]
mod memory;

#[path = "aggregates/examples.rs"]
mod examples;

use std::fs;

use examples::{Case, Row, example, moment};
use opcell::history::aggregate::{Aggregate, Request, process};
use opcell::value::{BuiltIn, Sample, Value};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/aggregates");

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

/// What differs from a row, or nothing.
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
