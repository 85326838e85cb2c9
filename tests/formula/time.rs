//! Functions with memory and those that read the clock, with a clock of the test's own.

use std::time::Duration;

use opcell::testing::formula::{Memory, Type};
use opcell::value::{Moment, UaTime, Value};
use opcua::StatusCode;

use crate::{Running, Tag, Tags, compiled};

/// A formula over one tag `X`, and a time that the test sets.
struct Bench {
    tags: Tags,
    running: Running,
    start: Moment,
}

impl Bench {
    fn new(formula: &str, x: Type, of: Type) -> Bench {
        let mut tags = Tags(vec![Tag::new("X", x, Value::Null)]);
        let running = Running::new(formula, &mut tags, of);
        Bench { tags, running, start: Moment { wall: UaTime(10_000_000), ..Moment::now() } }
    }

    /// Runs this number of seconds after the start.
    fn at(&mut self, seconds: f64, x: Value, status: StatusCode) -> (Value, StatusCode) {
        let span = Duration::from_secs_f64(seconds);
        let now = Moment { mono: self.start.mono + span, wall: self.start.wall.plus(span) };
        (self.tags.0[0].sample.value, self.tags.0[0].sample.status) = (x, status);
        let outcome = self.running.run(&self.tags, now);
        (outcome.value, outcome.status)
    }

    fn good(&mut self, seconds: f64, x: Value) -> Value {
        let (value, status) = self.at(seconds, x, StatusCode::Good);
        assert!(status.is_good() || value.is_null(), "{value:?} is {status}");
        value
    }
}

const BAD: StatusCode = StatusCode::BadNoCommunication;

#[test]
fn a_total_leaves_bad_time_out_and_is_uncertain_meanwhile() {
    let mut total = Bench::new("total(X, 1h)", Type::Double, Type::Double);
    let flow = || Value::Double(3_600.0);
    assert_eq!(total.good(0.0, flow()), Value::Double(0.0));
    assert_eq!(total.good(2.0, flow()), Value::Double(2.0));
    let (value, status) = total.at(3.0, Value::Null, BAD);
    assert_eq!((value, status), (Value::Double(3.0), StatusCode::UncertainDataSubNormal));
    let (value, status) = total.at(8.0, Value::Null, BAD);
    assert_eq!((value, status), (Value::Double(3.0), StatusCode::UncertainDataSubNormal));
    assert_eq!(total.good(10.0, flow()), Value::Double(3.0));
    assert_eq!(total.good(11.0, flow()), Value::Double(4.0));
    let kept = total.running.memory.kept();
    assert!(total.running.memory.take_changed());
    let mut again = Bench::new("total(X, 1h)", Type::Double, Type::Double);
    again.running.memory.restore(&kept);
    assert_eq!(again.good(0.0, flow()), Value::Double(4.0), "time without the server does not count");
    assert_eq!(again.good(1.0, flow()), Value::Double(5.0));
}

#[test]
fn edges_and_times_of_a_condition() {
    let on = Value::Boolean;
    let mut rises = Bench::new("count_rises(X)", Type::Boolean, Type::Integer);
    let seen: Vec<Value> = [true, false, true, true, false, true].map(|x| rises.good(0.0, on(x))).into_iter().collect();
    assert_eq!(seen, [0, 0, 1, 1, 1, 2].map(Value::Int64));
    let mut time = Bench::new("on_time(X)", Type::Boolean, Type::Double);
    for (seconds, x, expected) in
        [(0.0, true, 0.0), (2.0, true, 2.0), (3.0, false, 3.0), (9.0, true, 3.0), (10.0, false, 4.0)]
    {
        assert_eq!(time.good(seconds, on(x)), Value::Double(expected), "at {seconds}");
    }
    let mut delay = Bench::new("on_delay(X, 5s)", Type::Boolean, Type::Boolean);
    for (seconds, x, expected) in [
        (0.0, true, false),
        (4.9, true, false),
        (5.0, true, true),
        (6.0, false, false),
        (7.0, true, false),
        (12.0, true, true),
    ] {
        assert_eq!(delay.good(seconds, on(x)), on(expected), "TON at {seconds}");
    }
    let mut delay = Bench::new("off_delay(X, 5s)", Type::Boolean, Type::Boolean);
    for (seconds, x, expected) in [
        (0.0, false, false),
        (1.0, true, true),
        (2.0, false, true),
        (5.9, false, true),
        (6.0, false, false),
        (7.0, true, true),
    ] {
        assert_eq!(delay.good(seconds, on(x)), on(expected), "TOF at {seconds}");
    }
}

#[test]
fn the_value_before_this_run() {
    let mut sum = Bench::new("default(prev(), 0) + X", Type::Integer, Type::Integer);
    assert_eq!(sum.at(0.0, Value::Int32(5), StatusCode::Good).0, Value::Int64(5));
    assert_eq!(sum.at(1.0, Value::Int32(2), StatusCode::Good).0, Value::Int64(7));
    assert_eq!(sum.at(2.0, Value::Null, BAD), (Value::Null, BAD));
    assert_eq!(sum.at(3.0, Value::Int32(1), StatusCode::Good).0, Value::Int64(8), "the last value stays");
}

#[test]
fn age_is_since_the_value_changed_and_fresh_since_its_time() {
    let mut age = Bench::new("age(X)", Type::Double, Type::Double);
    assert_eq!(age.at(0.0, Value::Null, BAD).1, StatusCode::BadNoData, "it never had a value");
    assert_eq!(age.good(1.0, Value::Double(1.0)), Value::Double(0.0));
    assert_eq!(age.good(4.0, Value::Double(1.0)), Value::Double(3.0));
    assert_eq!(age.at(5.0, Value::Null, BAD), (Value::Double(4.0), StatusCode::Good), "a Bad input is no other value");
    assert_eq!(age.good(6.0, Value::Double(2.0)), Value::Double(0.0));
    let mut fresh = Bench::new("fresh(X)", Type::Double, Type::Double);
    fresh.tags.0[0].sample.source_time = fresh.start.wall;
    assert_eq!(fresh.at(2.5, Value::Null, BAD).0, Value::Double(2.5));
}

#[test]
fn a_rate_needs_time_and_a_gap_is_no_time() {
    let mut rate = Bench::new("rate(X, 10s)", Type::Double, Type::Double);
    assert_eq!(rate.at(0.0, Value::Double(5.0), StatusCode::Good).1, StatusCode::BadNoData);
    assert_eq!(rate.good(2.0, Value::Double(9.0)), Value::Double(2.0));
    assert_eq!(rate.at(3.0, Value::Null, BAD), (Value::Null, BAD));
    let mut mean = Bench::new("mean(X, 1min)", Type::Double, Type::Double);
    mean.good(0.0, Value::Double(10.0));
    assert_eq!(mean.at(2.0, Value::Null, BAD), (Value::Null, BAD));
    mean.good(8.0, Value::Double(40.0));
    assert_eq!(mean.good(10.0, Value::Double(40.0)), Value::Double(25.0));
    let mut wraps = Bench::new("delta(X, 1min)", Type::Integer, Type::Integer);
    wraps.tags.0[0].wraps_at = Some(65_536.0);
    let mut tags = Tags(wraps.tags.0.clone());
    wraps.running = Running::new("delta(X, 1min)", &mut tags, Type::Integer);
    wraps.at(0.0, Value::UInt16(65_530), StatusCode::Good);
    assert_eq!(wraps.good(1.0, Value::UInt16(4)), Value::Int64(10));
}

#[test]
fn a_formula_says_whether_it_reads_the_clock_and_what_it_keeps() {
    let mut tags = Tags(vec![Tag::new("X", Type::Double, Value::Null)]);
    for (formula, clock, keeps) in [
        ("X + 1", false, false),
        ("mean(X, 1s)", true, false),
        ("total(X, 1s)", true, true),
        ("prev()", false, true),
        ("fresh(X)", true, false),
        ("if(X > 1, 1, rate(X, 1s))", true, false),
    ] {
        let compiled = compiled(formula, &mut tags, Type::Double).expect("it compiles");
        assert_eq!((compiled.program.reads_clock(), compiled.program.keeps()), (clock, keeps), "{formula}");
        assert_eq!(Memory::of(&compiled.program).kept().len(), usize::from(keeps || clock && formula != "fresh(X)"));
    }
}

#[test]
fn what_another_formula_kept_is_not_taken() {
    let mut tags = Tags(vec![Tag::new("X", Type::Double, Value::Double(1.0))]);
    let mut running = Running::new("total(X, 1s)", &mut tags, Type::Double);
    running.memory.restore(&[Value::text("wrong")]);
    running.memory.restore(&[Value::Double(f64::NAN)]);
    running.memory.restore(&[Value::Double(1.0), Value::Double(2.0)]);
    assert_eq!(running.run(&tags, Moment::now()).value, Value::Double(0.0));
}
