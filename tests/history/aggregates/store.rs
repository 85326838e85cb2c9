//! Aggregates over the embedded store: what its summaries and blocks give is what the plain samples give.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opcell::testing::history::aggregate::{Aggregate, Bounding, Configuration, Request, Source, at_time, process};
use opcell::testing::history::store::{Settings, Store};
use opcell::testing::history::{ArchiveId, ArchiveSpec, Historian, Row};
use opcell::value::{BuiltIn, Sample, UaTime, Value};
use opcua::StatusCode;

use super::memory::Memory;

const SECOND: i64 = 10_000_000;

fn open(path: &Path) -> Arc<Store> {
    let settings = Settings { commit: Duration::from_millis(20), min_free: 0, ..Settings::new(path) };
    Store::open(settings).expect("a store")
}

fn archive(store: &Store, kind: BuiltIn) -> ArchiveId {
    let spec = ArchiveSpec {
        namespace: "urn:test".to_owned(),
        identifier: format!("s={kind:?}"),
        kind,
        is_array: false,
        class: "process".to_owned(),
        keep: Duration::from_secs(400 * 86_400),
        max_size: None,
    };
    store.register(&[spec]).expect("an archive")[0]
}

/// A day of a walk, 12 s apart with some jitter, with gaps, Bad bursts and Uncertain samples.
fn samples(kind: BuiltIn, start: i64) -> Vec<Sample> {
    let mut random = fastrand::Rng::with_seed(13);
    let (mut time, mut level) = (start, 0.0);
    let made = (0..7_200).map(|_| {
        time += 12 * SECOND + random.i64(0..30_000) + if random.u32(0..500) == 0 { 3600 * SECOND } else { 0 };
        level += random.f64() - 0.5;
        let status = match random.u32(0..600) {
            0 | 1 => StatusCode::BadNoCommunication,
            2 => StatusCode::UncertainLastUsableValue,
            _ => StatusCode::Good,
        };
        let value = if status.is_bad() { Some(Value::Null) } else { Value::from_f64(kind, level * 3.0) };
        let value = value.unwrap_or(Value::Boolean(level > 0.0));
        Sample { value, status, source_time: UaTime(time), server_time: UaTime(time) }
    });
    made.collect()
}

fn is_close(one: &Sample, other: &Sample) -> bool {
    let values = match (one.value.as_f64(), other.value.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs())),
        _ => one.value == other.value,
    };
    values && one.status == other.status && one.source_time == other.source_time
}

/// Every request of the test, and what it gives over a historian.
fn results(historian: &dyn Historian, archive: ArchiveId, kind: BuiltIn) -> Vec<(String, Vec<Sample>)> {
    let (first, last) = historian.extent(archive).expect("an extent").expect("samples");
    let configuration = Configuration::default();
    let mut results = Vec::new();
    for stepped in [false, true] {
        let source = Source { archive, kind, is_array: false, stepped };
        for aggregate in Aggregate::all() {
            for (margin, interval) in [(-1, 0.0), (-7200, 3_600_000.0), (1234, 617_003.0)] {
                let (start, end) = (UaTime(first.0 + margin * SECOND), UaTime(last.0 - margin * SECOND));
                for (start, end) in [(start, end), (end, start)] {
                    let request = Request { source, aggregate, configuration, start, end, interval };
                    let (samples, _) = process(historian, &request, 0, 10_000).expect("an archive");
                    results.push((format!("{aggregate:?} of {kind:?} by {interval}, stepped {stepped}"), samples));
                }
            }
        }
        let times: Vec<UaTime> = (0..200).map(|at| UaTime(first.0 + at * 997 * SECOND)).collect();
        for bounding in [Bounding::Simple, Bounding::Interpolated] {
            let samples = at_time(historian, &source, &configuration, bounding, &times).expect("an archive");
            results.push((format!("{bounding:?} at times, stepped {stepped}"), samples));
        }
    }
    results
}

fn compare(stage: &str, found: &[(String, Vec<Sample>)], expected: &[(String, Vec<Sample>)]) {
    for ((label, found), (_, expected)) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len(), "{stage}: {label}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(is_close(found, expected), "{stage}: {label}\n{found:?}\n{expected:?}");
        }
    }
}

#[test]
fn blocks_and_summaries_give_what_the_samples_give() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let start = UaTime::now().0 - 10 * 86_400 * SECOND;
    let kinds = [BuiltIn::Double, BuiltIn::Int64];
    let plain: Vec<_> = kinds
        .into_iter()
        .map(|kind| {
            let archive = archive(&store, kind);
            let samples = samples(kind, start);
            let mut rows = samples.iter().map(|sample| Row { archive, sample: sample.clone() }).collect();
            store.append(&mut rows);
            (archive, kind, results(&Memory::new(samples, 0), archive, kind))
        })
        .collect();
    store.commit().expect("committed");
    let all = |store: &Store, stage| {
        for (archive, kind, expected) in &plain {
            compare(stage, &results(store, *archive, *kind), expected);
        }
    };
    all(&store, "in memory");
    store.flush().expect("flushed");
    store.compact().expect("compacted");
    all(&store, "in blocks");
    store.close();
    drop(store);
    all(&open(dir.path()), "opened again");
}
