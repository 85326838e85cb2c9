//! The samples that a history class records, from the tag store on.

use std::sync::Arc;
use std::time::Duration;

use opcell::testing::config::{self, Options};
use opcell::testing::history::{
    Annotation, AnnotationEdit, ArchiveId, ArchiveSpec, Archives, Cursor, Direction, Edit, Fault, Gather, Historian,
    ModifiedPage, Page, Row, Span, Stats, Visitor, Who,
};
use opcell::testing::model::TagId;
use opcell::testing::tags::{Miss, RawSample, Stamp, TagStore};
use opcell::value::{Sample, UaTime, Value};
use opcua::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Remembers what it is given.
#[derive(Default)]
struct Recorder {
    specs: Mutex<Vec<ArchiveSpec>>,
    rows: Mutex<Vec<Row>>,
}

impl Historian for Recorder {
    fn register(&self, specs: &[ArchiveSpec]) -> Result<Vec<ArchiveId>, Fault> {
        self.specs.lock().extend_from_slice(specs);
        Ok((0..).map(ArchiveId).take(specs.len()).collect())
    }
    fn append(&self, rows: &mut Vec<Row>) {
        self.rows.lock().append(rows);
    }
    fn commit(&self) -> Result<(), Fault> {
        Ok(())
    }
    fn page(&self, _: ArchiveId, _: Span, _: Direction, _: usize, _: Option<Cursor>) -> Result<Page, Fault> {
        Err(Fault::Closed)
    }
    fn scan(&self, _: ArchiveId, _: Span, _: &mut dyn Visitor) -> Result<(), Fault> {
        Err(Fault::Closed)
    }
    fn at(&self, _: ArchiveId, _: &[UaTime]) -> Result<Vec<Option<Sample>>, Fault> {
        Err(Fault::Closed)
    }
    fn modified(
        &self,
        _: ArchiveId,
        _: Span,
        _: Direction,
        _: usize,
        _: Option<Cursor>,
    ) -> Result<ModifiedPage, Fault> {
        Err(Fault::Closed)
    }
    fn edit(&self, _: ArchiveId, _: &Edit, _: &Who) -> Result<Vec<StatusCode>, Fault> {
        Err(Fault::Closed)
    }
    fn annotations(&self, _: ArchiveId, _: Span) -> Result<Vec<Annotation>, Fault> {
        Err(Fault::Closed)
    }
    fn annotate(&self, _: ArchiveId, _: &AnnotationEdit, _: &Who) -> Result<Vec<StatusCode>, Fault> {
        Err(Fault::Closed)
    }
    fn extent(&self, _: ArchiveId) -> Result<Option<(UaTime, UaTime)>, Fault> {
        Err(Fault::Closed)
    }
    fn stats(&self) -> Stats {
        Stats::default()
    }
}

struct Bench {
    recorder: Arc<Recorder>,
    plant: Arc<opcell::testing::model::Plant>,
    tags: Arc<TagStore>,
    gather: Arc<Gather>,
    _dir: tempfile::TempDir,
}

/// Seconds after the start, on all clocks.
fn at(seconds: f64) -> Stamp {
    let time = UaTime(START.0 + (seconds * 1e7) as i64);
    Stamp { source: time, server: time, now: Instant::now() + Duration::from_secs_f64(seconds.max(0.0)) }
}

/// 2026-01-01T00:00:00Z.
const START: UaTime = UaTime(134_116_992_000_000_000);

impl Bench {
    fn new(class: &str, node: &str) -> Bench {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("cell.yaml");
        let cell = format!(
            "schema: 1\ncell: c\nnamespace: urn:c\nconnections:\n  sim: {{ driver: simulator, allow_write: true }}\n\
             history:\n  own: {class}\nnodes:\n  A: {node}\n"
        );
        std::fs::write(&file, cell).expect("written");
        let (compiled, report) = config::load(&file, &Options::default());
        let plant = Arc::new(compiled.unwrap_or_else(|| panic!("{:?}", report.findings)).plant);
        let tags = Arc::new(TagStore::new(&plant));
        let recorder = Arc::new(Recorder::default());
        let historian: Arc<dyn Historian> = recorder.clone();
        let archives = Arc::new(Archives::open(historian, &plant).expect("archives"));
        let gather = Gather::start(&archives, &plant, &tags, START);
        Bench { recorder, plant, tags, gather, _dir: dir }
    }

    fn number(&self, number: f64, seconds: f64) {
        let sample: RawSample = Ok(Value::Double(number)).into();
        self.tags.commit(&self.plant, &[(TagId(0), sample)], at(seconds));
    }

    /// Number (or nothing), status and seconds of what was recorded since the last call.
    fn recorded(&self) -> Vec<(Option<f64>, StatusCode, f64)> {
        self.gather.hand_over();
        let rows = std::mem::take(&mut *self.recorder.rows.lock());
        let told = |row: Row| {
            let Sample { value, status, source_time, .. } = row.sample;
            (value.as_f64(), status, (source_time.0 - START.0) as f64 / 1e7)
        };
        rows.into_iter().map(told).collect()
    }
}

const TAG: &str = "{ type: Double, source: \"noise(mean=1, sigma=1)\", range: [0, 100], history: own }";
const GOOD: StatusCode = StatusCode::Good;

#[test]
fn a_tag_in_a_class_has_an_archive_that_lives_by_uri_identifier_and_type() {
    let bench = Bench::new("{ keep: 30d, max_size: 1GiB }", TAG);
    let specs = bench.recorder.specs.lock();
    let [spec] = specs.as_slice() else { panic!("{specs:?}") };
    assert_eq!((spec.namespace.as_str(), spec.identifier.as_str(), spec.class.as_str()), ("urn:c", "s=A", "c/own"));
    assert_eq!((spec.keep, spec.max_size), (Duration::from_secs(30 * 86_400), Some(1 << 30)));
}

#[test]
fn on_change_records_changes_and_where_the_old_value_was_last_seen() {
    let bench = Bench::new("{ keep: 1d }", TAG);
    assert_eq!(bench.recorded().len(), 1, "the first thing known after the start: no value yet");
    for (n, number) in [5.0, 5.0, 5.0, 6.0, 7.0, 7.0].into_iter().enumerate() {
        bench.number(number, n as f64);
    }
    let wanted = [(5.0, 0.0), (5.0, 2.0), (6.0, 3.0), (7.0, 4.0)];
    assert_eq!(bench.recorded(), wanted.map(|(number, second)| (Some(number), GOOD, second)));
}

#[test]
fn a_stepped_class_does_not_repeat_the_old_value_before_a_change() {
    let bench = Bench::new("{ keep: 1d, stepped: true }", TAG);
    bench.recorded();
    for (n, number) in [5.0, 5.0, 6.0].into_iter().enumerate() {
        bench.number(number, n as f64);
    }
    assert_eq!(bench.recorded(), [(5.0, 0.0), (6.0, 2.0)].map(|(number, second)| (Some(number), GOOD, second)));
}

#[test]
fn the_deadband_of_a_class_is_its_own_in_units_or_percent_of_the_range() {
    for class in ["{ keep: 1d, deadband: 2, stepped: true }", "{ keep: 1d, deadband: 2%, stepped: true }"] {
        let bench = Bench::new(class, TAG);
        bench.recorded();
        for (n, number) in [10.0, 11.9, 8.1, 12.1, 11.0, 10.0].into_iter().enumerate() {
            bench.number(number, n as f64);
        }
        assert_eq!(
            bench.recorded(),
            [(10.0, 0.0), (12.1, 3.0), (10.0, 5.0)].map(|(v, s)| (Some(v), GOOD, s)),
            "{class}"
        );
    }
}

#[test]
fn an_unchanged_value_is_recorded_once_in_max_interval() {
    let bench = Bench::new("{ keep: 1d, max_interval: 10s }", TAG);
    bench.recorded();
    for second in 0..35 {
        bench.number(5.0, f64::from(second));
    }
    assert_eq!(bench.recorded(), [0.0, 10.0, 20.0, 30.0].map(|second| (Some(5.0), GOOD, second)));
}

#[test]
fn every_sample_records_what_did_not_change() {
    let bench = Bench::new("{ keep: 1d, record: every-sample }", TAG);
    bench.recorded();
    for second in 0..5 {
        bench.number(5.0, f64::from(second));
    }
    assert_eq!(bench.recorded().len(), 5);
}

#[test]
fn a_gap_has_its_last_good_time_each_quality_and_its_end() {
    let bench = Bench::new("{ keep: 1d, deadband: 50, stepped: true }", TAG);
    bench.recorded();
    for second in 0..4 {
        bench.number(5.0, f64::from(second));
    }
    bench.tags.miss(&bench.plant, &[TagId(0)], Miss::LinkDown, at(4.0));
    bench.tags.miss(&bench.plant, &[TagId(0)], Miss::LinkDown, at(60.0));
    bench.number(6.0, 70.0);
    let wanted = [
        (Some(5.0), GOOD, 0.0),
        (Some(5.0), GOOD, 3.0),
        (Some(5.0), StatusCode::UncertainLastUsableValue, 4.0),
        (None, StatusCode::BadNoCommunication, 60.0),
        (Some(6.0), GOOD, 70.0),
    ];
    assert_eq!(bench.recorded(), wanted);
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_the_recording() {
    let bench = Bench::new("{ keep: 1d, max_interval: 10s }", TAG);
    bench.recorded();
    for second in [0.0, 1.0, 3600.0, 5.0, 6.0, 7.0, 16.0] {
        bench.number(5.0, second);
    }
    let times: Vec<f64> = bench.recorded().into_iter().map(|(_, _, second)| second).collect();
    assert_eq!(times, [0.0, 3600.0, 5.0, 16.0]);
}

#[test]
fn a_tag_that_nobody_polls_is_recorded_in_its_interval_with_the_time_of_looking() {
    let bench = Bench::new("{ keep: 1d, max_interval: 10s }", "{ type: Double, value: 4, write: true, history: own }");
    // The value is older than the server: it is recorded as of the start.
    let first = bench.recorded();
    assert_eq!(first.len(), 1);
    let started = first[0].2;
    for second in 0..25 {
        bench.gather.sweep(UaTime(START.0 + ((started + f64::from(second)) * 1e7) as i64));
    }
    let seen: Vec<f64> = bench.recorded().into_iter().map(|(_, _, second)| second - started).collect();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!((seen[0] - 10.0).abs() < 1e-3 && (seen[1] - 20.0).abs() < 1e-3, "{seen:?}");
}

#[test]
fn a_clock_that_is_set_back_does_not_silence_a_tag_that_nobody_polls() {
    let bench = Bench::new("{ keep: 1d, max_interval: 10s }", "{ type: Double, value: 4, write: true, history: own }");
    let started = bench.recorded()[0].2;
    for second in [3600.0, 5.0, 6.0, 15.0] {
        bench.gather.sweep(UaTime(START.0 + ((started + second) * 1e7) as i64));
    }
    let seen: Vec<f64> = bench.recorded().into_iter().map(|(_, _, second)| (second - started).round()).collect();
    assert_eq!(seen, [3600.0, 5.0, 15.0]);
}

#[test]
fn the_end_is_marked_after_the_last_thing_seen() {
    let bench = Bench::new("{ keep: 1d }", TAG);
    bench.recorded();
    for second in 0..3 {
        bench.number(5.0, f64::from(second));
    }
    bench.gather.stop(at(10.0).source);
    let told = bench.recorded();
    assert_eq!(told[..2], [(Some(5.0), GOOD, 0.0), (Some(5.0), GOOD, 2.0)]);
    assert_eq!(told[2].1, StatusCode::BadDataLost);
    assert!((told[2].2 - 10.0).abs() < 1e-3, "{told:?}");
    bench.number(6.0, 11.0);
    assert_eq!(bench.recorded(), [], "nothing is recorded after the end");
}
