//! Signals without a device, for demonstrations, tests and `--simulate`.
//!
//! Each signal is a function of the time since the link was opened first, of the seed and of the tag; so two runs
//! with the same seed show the same. A value that is written stays until the server stops.

mod notes;
mod signal;

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::Instant;

use super::contract::{Answer, LinkError, Samples};
use super::driver::{ConnectionOf, Driver, NoKeys, PointOf};
use super::link::Link;
use super::plan::PointPlan;
use super::poll::{Ask, Poll, Round};
use super::reading::{PointError, Reading};
use crate::model::TagId;
use crate::tags::RawSample;
use crate::value::{BuiltIn, Elements, Value};
use signal::Signal;

/// A source of made-up signals.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Settings {
    /// Same seed, same signals.
    #[serde(default = "default_seed")]
    pub seed: u64,
}

fn default_seed() -> u64 {
    1
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: default_seed() }
    }
}

/// The driver of made-up signals.
#[derive(Debug)]
pub(crate) struct Simulator;

impl Driver for Simulator {
    const NAME: &'static str = "simulator";
    const ABOUT: &'static str = "signals without a device: sine, ramp, counter and more";

    type Settings = Settings;
    type Point = NoKeys;

    fn stand_in() -> Settings {
        Settings::default()
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        Signal::parse(text).map(drop)
    }

    fn check_point(_: &Settings, point: PointOf<'_, NoKeys>) -> Result<Reading, PointError> {
        check_signal(&point.address, point.kind)?;
        Ok(Reading::default())
    }

    fn open(connections: &[ConnectionOf<'_, Simulator>]) -> Link {
        Link::poll(Signals::new(connections[0]))
    }

    fn address_notes() -> String {
        notes::signals()
    }
}

/// Whether the text is a signal that makes values of this type.
pub(crate) fn check_signal(text: &str, kind: BuiltIn) -> Result<(), PointError> {
    let signal = Signal::parse(text)?;
    let is_text = matches!(signal, Signal::Text { .. });
    let fits = match kind {
        BuiltIn::String => is_text,
        kind => !is_text && (kind.is_number() || kind == BuiltIn::Boolean),
    };
    if !fits {
        let message = format!("this signal does not make a {kind:?}");
        let help = "text makes a String, all others numbers and Booleans";
        return Err(PointError::new(0..text.len(), message, help));
    }
    Ok(())
}

/// The signals of a connection.
struct Signals {
    seed: u64,
    points: Vec<Point>,
    began: Option<Instant>,
}

struct Point {
    plan: PointPlan,
    signal: Option<Signal>,
    written: Option<Value>,
    /// The random walk of each element.
    walks: Vec<Walk>,
}

/// State of a random walk.
#[derive(Debug, Clone, Copy)]
struct Walk {
    steps: u64,
    /// NaN before the first step.
    value: f64,
}

impl Walk {
    const NEW: Walk = Walk { steps: 0, value: f64::NAN };
}

/// Limits and step of a random walk.
#[derive(Debug, Clone, Copy)]
struct Stride {
    low: f64,
    high: f64,
    step: f64,
}

impl Signals {
    fn new(connection: ConnectionOf<'_, Simulator>) -> Signals {
        let point = |point: PointOf<'_, NoKeys>| {
            // A signal that was refused is never asked for.
            let signal = check_signal(&point.address, point.kind).and_then(|()| Signal::parse(&point.address)).ok();
            Point { plan: point.plan.clone(), signal, written: None, walks: Vec::new() }
        };
        Signals { seed: connection.settings.seed, points: connection.points().map(point).collect(), began: None }
    }

    fn sample(&mut self, at: u32, time: Duration) -> Result<Value, StatusCode> {
        let point = &mut self.points[at as usize];
        if let Some(written) = &point.written {
            return Ok(written.clone());
        }
        let signal = point.signal.clone().ok_or(StatusCode::BadConfigurationError)?;
        if let Signal::Text { values, every, phase } = &signal {
            return Ok(Value::text(&values[turn(time, *every, values.len(), *phase)]));
        }
        // With a scale the tag store calculates, so the signal stays a number.
        let kind = if point.plan.has_scale { BuiltIn::Double } else { point.plan.kind };
        point.walks.resize(point.plan.elements, Walk::NEW);
        let tag = u64::from(point.plan.tag.0);
        let mut one = |element: usize| {
            let seed = mix(self.seed ^ mix(tag << 16 ^ element as u64));
            number(kind, level(&signal, time, seed, &mut point.walks[element]))
        };
        if !point.plan.is_array {
            return one(0);
        }
        let values: Vec<Value> = (0..point.plan.elements).map(&mut one).collect::<Result<_, _>>()?;
        Elements::collect(kind, values.into_iter()).map(Value::array).ok_or(StatusCode::BadConfigurationError)
    }
}

/// The nearest value that the type holds.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is wanted here")]
fn number(kind: BuiltIn, level: f64) -> Result<Value, StatusCode> {
    if kind == BuiltIn::Boolean {
        return Ok(Value::Boolean(level >= 0.5));
    }
    let round = level.round();
    let value = match kind {
        BuiltIn::SByte => Some(Value::SByte(round as i8)),
        #[expect(clippy::cast_sign_loss, reason = "saturates")]
        BuiltIn::Byte => Some(Value::Byte(round as u8)),
        BuiltIn::Int16 => Some(Value::Int16(round as i16)),
        #[expect(clippy::cast_sign_loss, reason = "saturates")]
        BuiltIn::UInt16 => Some(Value::UInt16(round as u16)),
        BuiltIn::Int32 => Some(Value::Int32(round as i32)),
        #[expect(clippy::cast_sign_loss, reason = "saturates")]
        BuiltIn::UInt32 => Some(Value::UInt32(round as u32)),
        BuiltIn::Int64 => Some(Value::Int64(round as i64)),
        #[expect(clippy::cast_sign_loss, reason = "saturates")]
        BuiltIn::UInt64 => Some(Value::UInt64(round as u64)),
        kind => Value::from_f64(kind, level),
    };
    value.ok_or(StatusCode::BadConfigurationError)
}

fn level(signal: &Signal, time: Duration, seed: u64, walk: &mut Walk) -> f64 {
    match signal {
        Signal::Sine { mean, amp, period, phase, noise } => {
            mean + amp * (TAU * cycle(time, *period, *phase)).sin() + noise * gauss(seed ^ instant_of(time))
        }
        Signal::Ramp { low, high, period, phase } => low + (high - low) * cycle(time, *period, *phase),
        Signal::Square { low, high, period, duty, phase } => {
            if cycle(time, *period, *phase) < *duty {
                *high
            } else {
                *low
            }
        }
        Signal::Counter { start, step, every, wrap } => {
            let count = start + step * ticks(time, *every);
            wrap.map_or(count, |wrap| count.rem_euclid(wrap))
        }
        Signal::Walk { low, high, step, every } => {
            walk_to(walk, whole(time, *every), Stride { low: *low, high: *high, step: *step }, seed)
        }
        Signal::Steps { values, every, phase } => values[turn(time, *every, values.len(), *phase)],
        Signal::Noise { mean, sigma } => mean + sigma * gauss(seed ^ instant_of(time)),
        Signal::Text { .. } => 0.0,
    }
}

/// How far into its period a signal is, from 0 to below 1; `phase` in degrees.
fn cycle(time: Duration, period: Duration, phase: f64) -> f64 {
    (time.as_secs_f64() / period.as_secs_f64() + phase / 360.0).rem_euclid(1.0)
}

fn whole(time: Duration, every: Duration) -> u64 {
    u64::try_from(time.as_nanos() / every.as_nanos().max(1)).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a counter of 2^53 steps takes 285,000 years of milliseconds")]
fn ticks(time: Duration, every: Duration) -> f64 {
    whole(time, every) as f64
}

/// Which of `count` values comes at this time; `phase` in degrees of a whole turn.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to below the count")]
#[expect(clippy::cast_precision_loss, reason = "few values")]
fn turn(time: Duration, every: Duration, count: usize, phase: f64) -> usize {
    let count = count.max(1);
    let ahead = ((phase / 360.0).rem_euclid(1.0) * count as f64) as u64;
    usize::try_from((whole(time, every) + ahead) % count as u64).unwrap_or(0)
}

fn instant_of(time: Duration) -> u64 {
    whole(time, Duration::from_millis(1))
}

/// Continues the walk up to this number of steps: each goes up or down, and none leaves the limits. It starts midway.
fn walk_to(walk: &mut Walk, until: u64, stride: Stride, seed: u64) -> f64 {
    let Stride { low, high, step } = stride;
    if walk.value.is_nan() || until < walk.steps {
        *walk = Walk { steps: 0, value: f64::midpoint(low, high) };
    }
    // A clock that jumps years must not cost seconds: of a long walk only the end is walked.
    walk.steps = walk.steps.max(until.saturating_sub(100_000));
    while walk.steps < until {
        walk.steps += 1;
        let way = unit(seed ^ mix(walk.steps)) * 2.0 - 1.0;
        walk.value = (walk.value + way * step).clamp(low.min(high), high.max(low));
    }
    walk.value
}

/// SplitMix64's finalizer.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// From 0 to below 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
fn unit(seed: u64) -> f64 {
    (mix(seed) >> 11) as f64 / (1_u64 << 53) as f64
}

fn gauss(seed: u64) -> f64 {
    let radius = (-2.0 * (1.0 - unit(seed)).ln()).sqrt();
    radius * (TAU * unit(seed.rotate_left(32) ^ 1)).cos()
}

impl Poll for Signals {
    /// The points that are read at once.
    type Request = Vec<u32>;

    fn plan(&self, points: &[u32]) -> Vec<Ask<Vec<u32>>> {
        if points.is_empty() {
            return Vec::new();
        }
        vec![Ask { device: 0, points: points.to_vec(), request: points.to_vec() }]
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        self.began.get_or_insert_with(Instant::now);
        Ok(())
    }

    async fn read(&mut self, points: &Vec<u32>, _: Round, out: &mut Samples) -> Result<Answer, LinkError> {
        let time = self.began.map_or(Duration::ZERO, |began| began.elapsed());
        for point in points {
            let value = self.sample(*point, time);
            out.push((self.points[*point as usize].plan.tag, RawSample::from(value)));
        }
        Ok(Answer::Samples)
    }

    async fn write(&mut self, point: u32, value: &Value, first: u32) -> Result<StatusCode, LinkError> {
        if first > 0 || self.points[point as usize].plan.is_array && !matches!(value, Value::Array(_)) {
            return Ok(StatusCode::BadWriteNotSupported);
        }
        self.points[point as usize].written = Some(value.clone());
        Ok(StatusCode::Good)
    }

    async fn disconnect(&mut self) {}

    /// The time of the signals continues; a point that is the same keeps its written value and its walks.
    fn adopt(&mut self, old: &mut Signals) -> bool {
        if self.seed != old.seed {
            return false;
        }
        self.began = old.began;
        let mut before: HashMap<TagId, &mut Point> =
            old.points.iter_mut().map(|point| (point.plan.tag, point)).collect();
        for point in &mut self.points {
            let same = before.get_mut(&point.plan.tag).filter(|old| old.makes_the_same(&point.plan));
            if let Some(old) = same {
                point.written = old.written.take();
                point.walks = std::mem::take(&mut old.walks);
            }
        }
        true
    }
}

impl Point {
    /// Whether a value of this point is one of the other, too.
    fn makes_the_same(&self, plan: &PointPlan) -> bool {
        let own = &self.plan;
        (own.kind, own.elements, own.is_array, own.has_scale)
            == (plan.kind, plan.elements, plan.is_array, plan.has_scale)
            && own.address == plan.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, millis: u64) -> f64 {
        let signal = Signal::parse(text).expect(text);
        let mut walk = Walk::NEW;
        level(&signal, Duration::from_millis(millis), mix(7), &mut walk)
    }

    #[test]
    fn signals_are_what_mathematics_says() {
        for (text, millis, wanted) in [
            ("sine(mean=10, amp=2, period=4s)", 1_000, 12.0),
            ("sine(mean=10, amp=2, period=4s, phase=90)", 0, 12.0),
            ("ramp(low=10, high=20, period=10s)", 12_500, 12.5),
            ("square(low=1, high=5, period=10s, duty=0.2)", 1_999, 5.0),
            ("square(low=1, high=5, period=10s, duty=0.2)", 2_000, 1.0),
            ("counter(start=5, step=2, every=100ms)", 1_050, 25.0),
            ("counter(step=1, every=1s, wrap=4)", 6_000, 2.0),
            ("steps([1, 2, 4], every=1s)", 5_000, 4.0),
        ] {
            let level = at(text, millis);
            assert!((level - wanted).abs() < 1e-9, "{text} after {millis} ms: {level}");
        }
    }

    #[test]
    fn chance_is_the_same_with_the_same_seed_and_stays_inside() {
        let walk = "walk(low=-1, high=1, step=0.5, every=10ms)";
        let levels: Vec<f64> = (0..500).map(|n| at(walk, n * 10)).collect();
        assert_eq!(levels, (0..500).map(|n| at(walk, n * 10)).collect::<Vec<_>>());
        assert!(levels.iter().all(|level| level.abs() <= 1.0));
        assert!(levels.iter().any(|level| *level > 0.5) && levels.iter().any(|level| *level < -0.5));
        let noise: f64 = (0..2_000).map(|n| at("noise(mean=3, sigma=1)", n)).sum::<f64>() / 2_000.0;
        assert!((noise - 3.0).abs() < 0.1, "{noise}");
    }

    #[tokio::test(start_paused = true)]
    async fn signals_continue_in_phase_when_other_points_come() {
        let signals = |addresses: &[&str]| {
            let point = |(tag, address): (u32, &&str)| Point {
                plan: PointPlan { address: (*address).to_owned(), ..PointPlan::sample(tag) },
                signal: Signal::parse(address).ok(),
                written: None,
                walks: Vec::new(),
            };
            Signals { seed: 7, points: (0..).zip(addresses).map(point).collect(), began: None }
        };
        let walk = "walk(low=-9, high=9, step=1, every=10ms)";
        let (before, after) = (["counter()", walk, "ramp()"], ["counter()", walk, "ramp(high=5)", "counter()"]);
        let (mut old, mut alone) = (signals(&before), signals(&before));
        old.connect().await.expect("it opens");
        alone.connect().await.expect("it opens");
        tokio::time::sleep(Duration::from_millis(7_300)).await;
        let mut out = Samples::new();
        old.read(&vec![0, 1, 2], Round::default(), &mut out).await.expect("samples");
        old.write(2, &Value::Double(77.0), 0).await.expect("written");
        let mut new = signals(&after);
        assert!(new.adopt(&mut old));
        tokio::time::sleep(Duration::from_millis(2_000)).await;
        let (mut out, mut wanted) = (Samples::new(), Samples::new());
        new.read(&vec![0, 1, 2, 3], Round::default(), &mut out).await.expect("samples");
        alone.read(&vec![0, 1, 2], Round::default(), &mut wanted).await.expect("samples");
        assert_eq!(out[..2], wanted[..2]);
        assert_ne!(out[2].1.value(), Ok(&Value::Double(77.0)), "another signal");
        assert_eq!(out[3].1.value(), out[0].1.value());
    }
}
