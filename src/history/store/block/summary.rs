//! Summaries of frames, of about 60 bytes, made when a block is written. With them most of history is never decoded.

use opcua::StatusCode;

use super::super::bytes::{Input, put_f64, put_var};
use super::super::trouble::{Damage, Intact};
use crate::history::{Extreme, Point, Summary};
use crate::value::UaTime;

const TICKS_PER_SECOND: f64 = 10_000_000.0;

/// Flags of a written summary.
const CONSTANT: u8 = 1;
const LEAST_REPEATS: u8 = 2;
const MOST_REPEATS: u8 = 4;

/// The summary of good samples; `None` when a number or a sum is not finite.
pub(crate) fn summarize(times: &[i64], numbers: &[f64]) -> Option<Summary> {
    if !numbers.iter().all(|number| number.is_finite()) {
        return None;
    }
    let point = |at: usize| Point { time: UaTime(times[at]), status: StatusCode::Good, number: numbers[at] };
    let last = numbers.len().checked_sub(1)?;
    let sum: f64 = numbers.iter().sum();
    let mean = sum / count(numbers.len());
    let deviation = numbers.iter().map(|number| (number - mean) * (number - mean)).sum();
    let (mut stepped, mut sloped, mut zero, mut transitions) = (0.0, 0.0, 0i64, 0);
    for at in 1..numbers.len() {
        let (before, here) = (numbers[at - 1], numbers[at]);
        let ticks = times[at].saturating_sub(times[at - 1]);
        let seconds = seconds(ticks);
        stepped += before * seconds;
        sloped += (before + here) / 2.0 * seconds;
        if before == 0.0 {
            zero = zero.saturating_add(ticks);
        }
        transitions += u32::from(before != here);
    }
    let summary = Summary {
        count: u32::try_from(numbers.len()).ok()?,
        first: point(0),
        last: point(last),
        min: extreme(times, numbers, |a, b| a < b),
        max: extreme(times, numbers, |a, b| a > b),
        sum,
        deviation,
        stepped,
        sloped,
        transitions,
        zero,
    };
    [sum, deviation, stepped, sloped].iter().all(|number| number.is_finite()).then_some(summary)
}

#[expect(clippy::cast_precision_loss, reason = "a frame has few samples")]
fn count(samples: usize) -> f64 {
    samples as f64
}

#[expect(clippy::cast_precision_loss, reason = "spans of more than 28 years round to 100 ns")]
fn seconds(ticks: i64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND
}

fn extreme(times: &[i64], numbers: &[f64], beats: fn(f64, f64) -> bool) -> Extreme {
    let mut best = Extreme { number: numbers[0], time: UaTime(times[0]), repeats: false };
    for (time, number) in times.iter().zip(numbers).skip(1) {
        if beats(*number, best.number) {
            best = Extreme { number: *number, time: UaTime(*time), repeats: false };
        } else if *number == best.number {
            best.repeats = true;
        }
    }
    best
}

/// Writes what the frame's first and last time and its count do not say.
pub(crate) fn put(out: &mut Vec<u8>, summary: &Summary) {
    let bits = summary.first.number.to_bits();
    let is_constant = summary.transitions == 0
        && [summary.last.number, summary.min.number, summary.max.number].iter().all(|number| number.to_bits() == bits);
    if is_constant {
        out.push(CONSTANT);
        put_f64(out, summary.first.number);
        return;
    }
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    out.push(flag(summary.min.repeats, LEAST_REPEATS) | flag(summary.max.repeats, MOST_REPEATS));
    let numbers = [
        summary.first.number,
        summary.last.number,
        summary.min.number,
        summary.max.number,
        summary.sum,
        summary.deviation,
        summary.stepped,
        summary.sloped,
    ];
    numbers.iter().for_each(|number| put_f64(out, *number));
    for extreme in [summary.min, summary.max] {
        put_var(out, extreme.time.0.wrapping_sub(summary.first.time.0).cast_unsigned());
    }
    put_var(out, u64::from(summary.transitions));
    put_var(out, summary.zero.cast_unsigned());
}

/// Reads the summary of a frame from `first` to `last`.
pub(crate) fn take(input: &mut Input<'_>, first: i64, last: i64, samples: u32) -> Intact<Summary> {
    let flags = input.byte()?;
    let point = |time: i64, number: f64| Point { time: UaTime(time), status: StatusCode::Good, number };
    if flags & CONSTANT != 0 {
        let number = input.f64()?;
        let ticks = last.wrapping_sub(first);
        let extreme = Extreme { number, time: UaTime(first), repeats: samples > 1 };
        return Ok(Summary {
            count: samples,
            first: point(first, number),
            last: point(last, number),
            min: extreme,
            max: extreme,
            sum: number * f64::from(samples),
            deviation: 0.0,
            stepped: number * seconds(ticks),
            sloped: number * seconds(ticks),
            transitions: 0,
            zero: if number == 0.0 { ticks } else { 0 },
        });
    }
    let mut numbers = [0.0; 8];
    for number in &mut numbers {
        *number = input.f64()?;
    }
    let [begin, end, least, most, sum, deviation, stepped, sloped] = numbers;
    let mut time = || Ok(UaTime(first.wrapping_add(input.var()?.cast_signed())));
    let (least_time, most_time) = (time()?, time()?);
    Ok(Summary {
        count: samples,
        first: point(first, begin),
        last: point(last, end),
        min: Extreme { number: least, time: least_time, repeats: flags & LEAST_REPEATS != 0 },
        max: Extreme { number: most, time: most_time, repeats: flags & MOST_REPEATS != 0 },
        sum,
        deviation,
        stepped,
        sloped,
        transitions: u32::try_from(input.var()?).map_err(|_| Damage("a summary is out of range"))?,
        zero: input.var()?.cast_signed(),
    })
}
