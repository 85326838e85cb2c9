//! Formulas: one run, many that use one tag, and what a cell without them pays.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcell::testing::config::{self, Options};
use opcell::testing::formula::{Found, Inputs, Lookup, Memory, Moments, Names, Stack, Type, Want, compile};
use opcell::testing::model::{Plant, TagId};
use opcell::testing::tags::{RawSample, Stamp, TagStore};
use opcell::value::{BuiltIn, Moment, Sample, UaTime, Value};
use opcua::StatusCode;

use crate::rows::Table;

const DEPENDENTS: usize = 10_000;
const TAGS: usize = 1_000;

/// Each name is a Double.
struct Doubles(Vec<String>);

impl Names for Doubles {
    fn find(&mut self, _: bool, names: &[&str]) -> Lookup {
        let known = self.0.iter().position(|name| name == names[0]);
        let at = known.unwrap_or_else(|| {
            self.0.push(names[0].to_owned());
            self.0.len() - 1
        });
        let key = u32::try_from(at).expect("few");
        Lookup::Tag(Found { key, of: Type::Double, used: 1, wraps_at: None, is_sloped: false })
    }

    fn argument(&mut self, _: &str) -> Option<Found> {
        None
    }
}

struct Samples(Vec<Sample>);

impl Inputs for Samples {
    fn sample(&self, at: u16) -> Sample {
        self.0[usize::from(at)].clone()
    }
}

pub fn run(table: &mut Table) {
    one(table, "5 operators: A * 2 + B - C / 3 > 5", "A * 2 + B - C / 3 > 5", Type::Boolean, BuiltIn::Boolean);
    one(table, "clamp(round(A, 1), 0, 100)", "clamp(round(A, 1), 0, 100)", Type::Double, BuiltIn::Double);
    one(
        table,
        "if(good(A) and B > C, A, default(B, 0))",
        "if(good(A) and B > C, A, default(B, 0))",
        Type::Double,
        BuiltIn::Float,
    );
    dependents(table);
    for (name, formulas) in [("no formula", 0), ("1 formula on another tag", 1)] {
        without(table, name, formulas);
    }
}

fn one(table: &mut Table, name: &str, text: &str, of: Type, built_in: BuiltIn) {
    const RUNS: u32 = 200_000;
    const ROUNDS: u32 = 20;
    let want = Want::Tag { of, built_in, name: String::new() };
    let compiled = compile(text, &mut Doubles(Vec::new()), &want).expect("it compiles");
    let sample = |value: f64| Sample {
        value: Value::Double(value),
        status: StatusCode::Good,
        source_time: UaTime(7),
        server_time: UaTime(7),
    };
    let inputs = Samples((1..=compiled.inputs.len()).map(|n| sample(n as f64)).collect());
    let (mut memory, mut stack) = (Memory::of(&compiled.program), Stack::default());
    let at = Moments { now: Moment::now(), by_clock: false, zone: |_| 0 };
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..RUNS {
            let outcome = compiled.program.run(std::hint::black_box(&inputs), &mut memory, at, &mut stack);
            std::hint::black_box(outcome);
        }
        least = least.min(begin.elapsed());
    }
    let each = least.as_secs_f64() * 1e9 / f64::from(RUNS);
    table.line(name, &format!("{each:9.1} ns/run"));
}

fn plant(text: &str) -> Arc<Plant> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("cell.yaml");
    std::fs::write(&path, text).expect("written");
    let (compiled, report) = config::load(&path, &Options::default());
    Arc::new(compiled.unwrap_or_else(|| panic!("{}", report.render(config::Shown::Some))).plant)
}

fn cell(tags: usize) -> String {
    let mut text = "schema: 1\ncell: bench\nconnections:\n  sim: { driver: simulator }\nnodes:\n".to_owned();
    for n in 0..tags {
        writeln!(text, "  T{n}: {{ type: Double, source: \"counter(start=0, step=1, every=1h)\" }}").expect("written");
    }
    text
}

fn dependents(table: &mut Table) {
    const ROUNDS: u32 = 200;
    let mut text = cell(1);
    for n in 0..DEPENDENTS {
        writeln!(text, "  F{n}: {{ type: Double, expr: T0 * 2 + {n} }}").expect("written");
    }
    let plant = plant(&text);
    let store = TagStore::new(&plant);
    let begin = Instant::now();
    for round in 0..ROUNDS {
        let sample = RawSample::from(Ok(Value::Double(f64::from(round))));
        store.commit(&plant, &[(TagId(0), sample)], Stamp::now());
    }
    let each = begin.elapsed().as_secs_f64() * 1e3 / f64::from(ROUNDS);
    table.line(&format!("{DEPENDENTS} formulas that use one tag"), &format!("{each:9.3} ms/change"));
}

/// The least of several rounds, because other work disturbs.
fn without(table: &mut Table, name: &str, formulas: usize) {
    let mut text = cell(TAGS);
    if formulas > 0 {
        text.push_str("  M: { type: Double, value: 1, write: true }\n  F: { type: Double, expr: M + 1 }\n");
    }
    let plant = plant(&text);
    let store = TagStore::new(&plant);
    let samples = |round: u32| -> Vec<(TagId, RawSample)> {
        (0..u32::try_from(TAGS).expect("few"))
            .map(|tag| (TagId(tag), RawSample::from(Ok(Value::Double(f64::from(round))))))
            .collect()
    };
    let mut least = Duration::MAX;
    for round in 0..2_000 {
        let samples = samples(round);
        let begin = Instant::now();
        store.commit(&plant, &samples, Stamp::now());
        least = least.min(begin.elapsed());
    }
    let each = least.as_secs_f64() * 1e9 / TAGS as f64;
    table.line(&format!("commit of {TAGS} samples, {name}"), &format!("{each:9.1} ns/sample"));
}
