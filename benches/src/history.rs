//! History: what ingest, disk and reads cost, in this process, without the protocol.
//!
//! The mix of tags is that of docs/decisions/0006: temperatures in steps of 0.1, slow walks, counters, rare switches,
//! noise, set-points, states, text; polled in groups of 100 that share a timestamp which jitters by up to 3 ms; every
//! second tag has a server time of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcell::testing::history::store::{Settings, Store};
use opcell::testing::history::{ArchiveId, ArchiveSpec, Direction, Historian, Point, Row, Span, Summary, Visitor};
use opcell::value::{BuiltIn, Sample, UaTime, Value};
use opcua::StatusCode;

use crate::rows::Table;

const SECOND: i64 = 10_000_000;
const GROUP: usize = 100;
const YEAR_SECONDS: i64 = 31_536_000;

/// A small random generator (xorshift), so that every run writes the same.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % most
    }

    /// From -1 to 1.
    fn noise(&mut self) -> f64 {
        self.below(1 << 40) as f64 / (1u64 << 39) as f64 - 1.0
    }
}

/// What a tag measures.
struct Signal {
    kind: u64,
    state: f64,
    count: u32,
    bad: u64,
}

impl Signal {
    fn new(tag: usize) -> Signal {
        Signal { kind: (tag as u64).wrapping_mul(37) % 100, state: 20.0, count: 0, bad: 0 }
    }

    fn next(&mut self, random: &mut Random) -> (Value, StatusCode) {
        if self.bad > 0 {
            self.bad -= 1;
            return (Value::Null, StatusCode::BadCommunicationError);
        }
        if random.below(2000) == 0 {
            self.bad = random.below(10);
            return (Value::Null, StatusCode::BadCommunicationError);
        }
        self.count += 1;
        let value = match self.kind {
            0..20 => {
                self.state += random.noise() * 0.15;
                Value::Double((self.state * 10.0).round() / 10.0)
            }
            20..40 => {
                self.state += random.noise() * 0.01;
                Value::Float(self.state as f32)
            }
            40..55 => Value::UInt32(self.count * 3),
            55..70 => Value::Boolean(random.below(300) == 0 || (self.count / 500).is_multiple_of(2)),
            70..80 => Value::Float((self.state + random.noise()) as f32),
            80..90 => Value::Double(self.state + random.noise()),
            90..95 => Value::Double(f64::from(self.count / 1000)),
            95..99 => Value::Int32((self.count / 60 % 5).cast_signed()),
            _ => Value::text(["idle", "running", "fault"][self.count as usize / 90 % 3]),
        };
        (value, StatusCode::Good)
    }

    fn built_in(&self) -> BuiltIn {
        match self.kind {
            20..40 | 70..80 => BuiltIn::Float,
            40..55 => BuiltIn::UInt32,
            55..70 => BuiltIn::Boolean,
            95..99 => BuiltIn::Int32,
            99 => BuiltIn::String,
            _ => BuiltIn::Double,
        }
    }
}

fn spec(tag: usize, kind: BuiltIn) -> ArchiveSpec {
    ArchiveSpec {
        namespace: "urn:bench".to_owned(),
        identifier: format!("i={tag}"),
        kind,
        is_array: false,
        class: "process".to_owned(),
        keep: Duration::from_secs(800 * 86_400),
        max_size: None,
    }
}

/// CPU of all threads but this one, so far.
fn others_cpu() -> Duration {
    let own = std::fs::read_link("/proc/thread-self").expect("linux");
    let own = own.file_name().expect("a thread").to_owned();
    let tasks = std::fs::read_dir("/proc/self/task").expect("linux").flatten();
    tasks.filter(|task| task.file_name() != own).map(|task| cpu_of(&task.path())).sum()
}

fn own_cpu() -> Duration {
    std::thread::yield_now();
    cpu_of(Path::new("/proc/thread-self"))
}

fn cpu_of(task: &Path) -> Duration {
    let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0))
}

/// Bytes of the partitions, and of everything.
fn bytes(folder: &Path) -> (u64, u64) {
    let (mut partitions, mut all) = (0, 0);
    for entry in std::fs::read_dir(folder).expect("the store's folder").flatten() {
        let length = entry.metadata().map_or(0, |data| data.len());
        let name = entry.file_name();
        all += length;
        let name = name.to_string_lossy();
        if name.starts_with("20") && name.ends_with(".db") {
            partitions += length;
        }
    }
    (partitions, all)
}

pub fn run(table: &mut Table) {
    ingest(table, 10_000, 600);
    ingest(table, 1000, 4200);
    ingest(table, 100_000, 60);
    year(table);
}

fn ingest(table: &mut Table, tags: usize, seconds: i64) {
    let dir = tempfile::tempdir_in(".").expect("a folder on a disk");
    let settings = Settings { min_free: 0, pin: Duration::ZERO, ..Settings::new(dir.path()) };
    let store = Store::open(settings.clone()).expect("a store");
    let mut signals: Vec<Signal> = (0..tags).map(Signal::new).collect();
    let specs: Vec<ArchiveSpec> = signals.iter().enumerate().map(|(tag, s)| spec(tag, s.built_in())).collect();
    let ids = store.register(&specs).expect("archives");
    let mut random = Random(88_172_645_463_325_252);
    let start = UaTime::now().0 - 2 * 86_400 * SECOND;
    let before = others_cpu();
    let mut appending = Duration::ZERO;
    let mut commits = Vec::new();
    for second in 0..seconds {
        for (group, ids) in ids.chunks(GROUP).enumerate() {
            let time = start + second * SECOND + random.below(30_000).cast_signed();
            let mut rows = batch(ids, &mut signals[group * GROUP..], time, &mut random);
            let begun = Instant::now();
            store.append(&mut rows);
            appending += begun.elapsed();
        }
        let begun = Instant::now();
        store.commit().expect("committed");
        commits.push(begun.elapsed());
    }
    let samples = tags * usize::try_from(seconds).expect("few");
    let restart = restart(dir.path());
    store.flush().expect("flushed");
    let cpu = others_cpu() - before + appending;
    let nanos = |cpu: Duration| cpu.as_secs_f64() * 1e9 / samples as f64;
    table.line(&format!("ingest, {tags} tags at 1 Hz, {samples} samples"), &format!("{:9.0} ns/sample", nanos(cpu)));
    commits.sort();
    let at = |part: usize| commits[commits.len() * part / 100].as_secs_f64() * 1e3;
    table.line(
        "  commit p50, p99, worst",
        &format!("{:9.1} {:.1} {:.1} ms", at(50), at(99), commits.last().map_or(0.0, |c| c.as_secs_f64() * 1e3)),
    );
    table.line("  restart with the journal as it is", &format!("{:9.0} ms", restart.as_secs_f64() * 1e3));
    let each = |name: &str, table: &mut Table| {
        let (partitions, all) = bytes(dir.path());
        let (partitions, all) = (partitions as f64 / samples as f64, all as f64 / samples as f64);
        table.line(
            &format!("  on disk {name}"),
            &format!("{partitions:9.2} B/sample ({all:.2} with journal and catalogue)"),
        );
    };
    each("before the merge", table);
    let before = own_cpu();
    store.tidy(UaTime(start + 10 * SECOND)).expect("merged");
    table.line("  merge", &format!("{:9.0} ns/sample", nanos(own_cpu() - before)));
    each("after the merge", table);
    let before = own_cpu();
    store.compact().expect("compacted");
    table.line("  rewriting", &format!("{:9.0} ns/sample", nanos(own_cpu() - before)));
    each("closed", table);
}

/// Opens a copy of a store that is still running: the journal is replayed.
fn restart(folder: &Path) -> Duration {
    let copy = tempfile::tempdir_in(".").expect("a folder on a disk");
    for entry in std::fs::read_dir(folder).expect("the store's folder").flatten() {
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copied");
    }
    let begun = Instant::now();
    let store = Store::open(Settings { min_free: 0, ..Settings::new(copy.path()) }).expect("a store");
    let took = begun.elapsed();
    drop(store);
    took
}

fn batch(ids: &[ArchiveId], signals: &mut [Signal], time: i64, random: &mut Random) -> Vec<Row> {
    let row = |(id, signal): (&ArchiveId, &mut Signal)| {
        let (value, status) = signal.next(random);
        let delay = if id.0 % 2 == 0 { 0 } else { SECOND / 1000 + random.below(190_000).cast_signed() };
        let sample = Sample { value, status, source_time: UaTime(time), server_time: UaTime(time + delay) };
        Row { archive: *id, sample }
    };
    ids.iter().zip(signals).map(row).collect()
}

/// Takes every frame that lies within one hour.
struct Hourly {
    hours: usize,
    hour: i64,
    summaries: usize,
    points: usize,
    sum: f64,
}

impl Visitor for Hourly {
    fn frame(&mut self, summary: &Summary) -> bool {
        let hour = summary.first.time.0 / (3600 * SECOND);
        if hour != summary.last.time.0 / (3600 * SECOND) {
            return false;
        }
        self.hours += usize::from(hour != self.hour);
        self.hour = hour;
        self.summaries += 1;
        self.sum += summary.sum;
        true
    }

    fn points(&mut self, points: &[Point]) {
        self.points += points.len();
        for point in points {
            let hour = point.time.0 / (3600 * SECOND);
            self.hours += usize::from(hour != self.hour);
            self.hour = hour;
            self.sum += point.number;
        }
    }
}

fn year(table: &mut Table) {
    let dir = tempfile::tempdir_in(".").expect("a folder on a disk");
    let store =
        Store::open(Settings { min_free: 0, pin: Duration::ZERO, ..Settings::new(dir.path()) }).expect("a store");
    let id = store.register(&[spec(0, BuiltIn::Double)]).expect("an archive")[0];
    let start = UaTime::now().0 - (YEAR_SECONDS + 86_400) * SECOND;
    let mut random = Random(88_172_645_463_325_252);
    let mut level = 20.0;
    let mut rows = Vec::new();
    for second in 0..YEAR_SECONDS {
        level += random.noise() * 0.15;
        let time = start + second * SECOND + random.below(30_000).cast_signed();
        let sample = Sample {
            value: Value::Double((level * 10.0f64).round() / 10.0),
            status: StatusCode::Good,
            source_time: UaTime(time),
            server_time: UaTime(time),
        };
        rows.push(Row { archive: id, sample });
        if rows.len() == 65_536 {
            store.append(&mut rows);
            store.commit().expect("committed");
        }
    }
    store.append(&mut rows);
    store.compact().expect("compacted");
    let (partitions, _) = bytes(dir.path());
    table.line("a year of one tag at 1 Hz", &format!("{:9.2} B/sample", partitions as f64 / YEAR_SECONDS as f64));
    for (pass, name) in ["  raw, pages of 10,000, first time", "  raw, pages of 10,000"].iter().enumerate() {
        let (cpu, samples) = read_pages(&store, id, if pass == 0 { 1_000_000 } else { 3_000_000 }, start);
        table.line(name, &format!("{:9.1} ns/sample", cpu.as_secs_f64() * 1e9 / samples as f64));
    }
    for name in ["  hourly over the year, first time", "  hourly over the year, files open"] {
        let mut hourly = Hourly { hours: 0, hour: 0, summaries: 0, points: 0, sum: 0.0 };
        let before = own_cpu();
        store.scan(id, Span::ALL, &mut hourly).expect("a scan");
        let cpu = own_cpu() - before;
        let figure =
            format!("{:9.0} ms ({} summaries, {} points)", cpu.as_secs_f64() * 1e3, hourly.summaries, hourly.points);
        table.line(name, &figure);
        assert!(hourly.hours >= 8760, "{} hours", hourly.hours);
    }
}

fn read_pages(store: &Arc<Store>, id: ArchiveId, samples: usize, start: i64) -> (Duration, usize) {
    let span = Span { first: UaTime(start + 86_400 * SECOND), last: UaTime(i64::MAX) };
    let before = own_cpu();
    let (mut read, mut resume) = (0, None);
    while read < samples {
        let page = store.page(id, span, Direction::Forward, 10_000, resume).expect("a page");
        read += page.samples.len();
        resume = page.resume;
    }
    (own_cpu() - before, read)
}
