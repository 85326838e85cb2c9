//! History from the tag store on: what one sample costs until it is in blocks, and how many bytes it takes.
//!
//! The workload is a plant's: a fifth temperatures in steps, a fifth slow walks, counters, bits that seldom change,
//! noise, set-points, enumerations, texts. Groups of 100 tags share a source time with 0 to 3 ms of jitter; half of
//! the groups have a server time of their own.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcell::testing::config::{self, Options};
use opcell::testing::history::store::{Settings, Store};
use opcell::testing::history::{Archives, Gather, Historian};
use opcell::testing::model::{Plant, TagId};
use opcell::testing::tags::{RawSample, Stamp, TagStore};
use opcell::value::{UaTime, Value};

use crate::rows::Table;

const GROUP: usize = 100;
const SECOND: i64 = 10_000_000;

/// Type of tag `n`, and how its value moves.
fn kind(n: usize) -> (&'static str, Motion) {
    match n % 100 {
        0..20 => ("Double", Motion::Temperature),
        20..40 => ("Float", Motion::Walk),
        40..55 => ("UInt32", Motion::Counter),
        55..70 => ("Boolean", Motion::Bit),
        70..80 => ("Float", Motion::Noise),
        80..90 => ("Double", Motion::Noise),
        90..95 => ("Double", Motion::SetPoint),
        95..99 => ("Int32", Motion::SetPoint),
        _ => ("String", Motion::SetPoint),
    }
}

#[derive(Debug, Clone, Copy)]
enum Motion {
    Temperature,
    Walk,
    Counter,
    Bit,
    Noise,
    SetPoint,
}

fn plant(count: usize, class: &str) -> Arc<Plant> {
    let mut text = format!(
        "schema: 1\ncell: bench\ndefaults: {{ history: {class} }}\nconnections:\n  sim: {{ driver: simulator }}\nnodes:\n"
    );
    for n in 0..count {
        if n % 1_000 == 0 {
            writeln!(text, "  F{}:\n    children:", n / 1_000).expect("a String takes all");
        }
        let (name, _) = kind(n);
        let tag = match name {
            "String" => "{ type: String, length: 20, value: a, write: true }".to_owned(),
            "Boolean" => "{ type: Boolean, source: \"square(low=0, high=1, period=1h)\" }".to_owned(),
            name => format!("{{ type: {name}, source: \"counter(start=0, step=1, every=1h)\" }}"),
        };
        writeln!(text, "      T{n}: {tag}").expect("a String takes all");
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("cell.yaml");
    std::fs::write(&path, text).expect("written");
    let (compiled, report) = config::load(&path, &Options::default());
    Arc::new(compiled.unwrap_or_else(|| panic!("{}", report.render(config::Shown::Some))).plant)
}

/// The plant's values, second by second.
struct Plenty {
    random: fastrand::Rng,
    levels: Vec<f64>,
    samples: Vec<(TagId, RawSample)>,
}

impl Plenty {
    fn new(count: usize) -> Plenty {
        let samples = (0..count).map(|n| (TagId(u32::try_from(n).expect("few")), Ok(Value::Null).into())).collect();
        Plenty { random: fastrand::Rng::with_seed(3), levels: vec![20.0; count], samples }
    }

    fn step(&mut self) {
        for (n, (_, sample)) in self.samples.iter_mut().enumerate() {
            let level = &mut self.levels[n];
            let (name, motion) = kind(n);
            *level = match motion {
                Motion::Temperature => *level + f64::from(self.random.i8(-1..=1)) * 0.1,
                Motion::Walk => *level + (self.random.f64() - 0.5) * 0.01,
                Motion::Counter => *level + f64::from(self.random.u8(0..4)),
                Motion::Bit if self.random.u16(..200) == 0 => 1.0 - level.clamp(0.0, 1.0).round(),
                Motion::Bit => level.clamp(0.0, 1.0).round(),
                Motion::Noise => 20.0 + self.random.f64(),
                Motion::SetPoint if self.random.u16(..600) == 0 => f64::from(self.random.u8(..100)),
                Motion::SetPoint => *level,
            };
            *sample = Ok(match name {
                "Double" if matches!(motion, Motion::Temperature) => Value::Double((*level * 10.0).round() / 10.0),
                "Double" => Value::Double(*level),
                #[expect(clippy::cast_possible_truncation, reason = "a Float of the plant")]
                "Float" => Value::Float(*level as f32),
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
                "UInt32" => Value::UInt32(*level as u32),
                "Boolean" => Value::Boolean(*level > 0.5),
                #[expect(clippy::cast_possible_truncation, reason = "a small number")]
                "Int32" => Value::Int32(*level as i32),
                _ if *level > 50.0 => Value::text("Lemonade 0.5 l"),
                _ => Value::text("Water 1 l"),
            })
            .into();
        }
    }

    /// Commits a second's samples, a group at a time.
    fn commit(&mut self, plant: &Plant, tags: &TagStore, second: UaTime) -> usize {
        for (group, part) in self.samples.chunks(GROUP).enumerate() {
            let source = UaTime(second.0 + self.random.i64(0..30_000));
            let late = if group % 2 == 0 { 0 } else { self.random.i64(10_000..200_000) };
            let stamp = Stamp { source, server: UaTime(source.0 + late), now: tokio::time::Instant::now() };
            tags.commit(plant, part, stamp);
        }
        self.samples.len()
    }
}

/// CPU time of all threads of this process.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this process runs");
    let nanoseconds = |task: std::fs::DirEntry| -> u64 {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(tasks.flatten().map(nanoseconds).sum())
}

/// Nanoseconds of making and committing a sample to a tag store that nobody watches.
fn floor(count: usize, seconds: usize) -> f64 {
    let plant = plant(count, "none");
    let tags = TagStore::new(&plant);
    let mut plenty = Plenty::new(count);
    let before = cpu();
    for second in 0..seconds {
        plenty.step();
        plenty.commit(&plant, &tags, UaTime(START + i64::try_from(second).expect("few") * SECOND));
    }
    (cpu() - before).as_secs_f64() * 1e9 / (count * seconds) as f64
}

/// Bytes of the partitions, and of the journal, which keeps the size that it once needed.
fn bytes(folder: &Path) -> (u64, u64) {
    let mut sums = (0, 0);
    for entry in std::fs::read_dir(folder).expect("the store").flatten() {
        let length = entry.metadata().map_or(0, |data| data.len());
        let is_journal = entry.file_name().to_string_lossy().starts_with("journal");
        *(if is_journal { &mut sums.1 } else { &mut sums.0 }) += length;
    }
    sums
}

const START: i64 = 134_100_000_000_000_000;

pub fn ingest(table: &mut Table) {
    one(table, 10_000, 600);
    one(table, 100_000, 60);
}

fn one(table: &mut Table, count: usize, seconds: usize) {
    let floor = floor(count, seconds.min(60));
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(Settings::new(dir.path().join("history"))).expect("a store");
    let plant = plant(count, "fast");
    let tags = Arc::new(TagStore::new(&plant));
    let archives = Arc::new(Archives::open(Arc::clone(&store) as Arc<dyn Historian>, &plant).expect("archives"));
    // Now, so that nothing is older than is kept.
    let start = UaTime::now().0 - i64::try_from(seconds).expect("few") * SECOND;
    let gather = Gather::start(&archives, &plant, &tags, UaTime(start));
    let mut plenty = Plenty::new(count);
    let mut waits = Vec::new();
    let mut samples = 0;
    let before = cpu();
    for second in 0..seconds {
        plenty.step();
        samples += plenty.commit(&plant, &tags, UaTime(start + i64::try_from(second).expect("few") * SECOND));
        gather.hand_over();
        let begun = Instant::now();
        store.commit().expect("on disk");
        waits.push(begun.elapsed());
    }
    let fast = cpu() - before;
    let folder = dir.path().join("history");
    let on_disk = || {
        let (partitions, journal) = bytes(&folder);
        let each = |bytes: u64| bytes as f64 / samples as f64;
        format!("{:9.2} B/sample, {:.2} B in the journal", each(partitions), each(journal))
    };
    let before_flush = on_disk();
    store.flush().expect("in blocks");
    let all = cpu() - before;
    let per = |span: Duration| span.as_secs_f64() * 1e9 / samples as f64 - floor;
    let name = format!("{count} tags at 1 Hz, {samples} samples");
    table.line(&name, &format!("{:9.0} ns/sample", per(all)));
    table.line("  before the last flush; the tag store alone", &format!("{:9.0} ns, {floor:.0} ns", per(fast)));
    waits.sort_unstable();
    let at = |part: usize| waits[(waits.len() - 1) * part / 100].as_secs_f64() * 1e3;
    table.line("  group commit p50, p99", &format!("{:9.1} ms, {:.1} ms", at(50), at(99)));
    table.line("  before the last flush", &before_flush);
    table.line("  after it", &on_disk());
    let merging = cpu();
    store.compact().expect("merged");
    let cost = (cpu() - merging).as_secs_f64() * 1e9 / samples as f64;
    table.line("  merged", &on_disk());
    table.line("    CPU of it", &format!("{cost:9.0} ns/sample"));
    store.close();
    drop((gather, archives, store));
    let begun = Instant::now();
    let store = Store::open(Settings::new(dir.path().join("history"))).expect("a store");
    table.line("  opened again", &format!("{:9.0} ms", begun.elapsed().as_secs_f64() * 1e3));
    store.close();
}
