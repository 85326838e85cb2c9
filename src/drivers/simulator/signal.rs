//! Signals as `sine(mean=21, amp=2, period=10min)` writes them: parsed once, then a function of time and seed.

use std::ops::Range;
use std::time::Duration;

use crate::drivers::reading::PointError;
use crate::model::Period;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Signal {
    Sine { mean: f64, amp: f64, period: Duration, phase: f64, noise: f64 },
    Ramp { low: f64, high: f64, period: Duration, phase: f64 },
    Square { low: f64, high: f64, period: Duration, duty: f64, phase: f64 },
    Counter { start: f64, step: f64, every: Duration, wrap: Option<f64> },
    Walk { low: f64, high: f64, step: f64, every: Duration },
    Steps { values: Vec<f64>, every: Duration, phase: f64 },
    Noise { mean: f64, sigma: f64 },
    Text { values: Vec<String>, every: Duration, phase: f64 },
}

/// A signal in the reference: its name, its kind, and its arguments with their defaults.
pub(crate) type About = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Each signal; an empty default is none.
#[rustfmt::skip]
pub(crate) const SIGNALS: [About; 8] = [
    ("sine", "a wave around a mean, with noise", &[("mean", "0"), ("amp", "1"), ("period", "1min"), ("phase", "0"), ("noise", "0")]),
    ("ramp", "from low to high, again and again", &[("low", "0"), ("high", "100"), ("period", "1min"), ("phase", "0")]),
    ("square", "high for the share `duty` of a period, then low", &[("low", "0"), ("high", "1"), ("period", "10s"), ("duty", "0.5"), ("phase", "0")]),
    ("counter", "one step more each time, from `start` again at `wrap`", &[("start", "0"), ("step", "1"), ("every", "1s"), ("wrap", "")]),
    ("walk", "a random step up or down each time, within its ends", &[("low", "0"), ("high", "100"), ("step", "1"), ("every", "1s")]),
    ("steps", "the numbers of a list in turn, as `steps([0, 1, 3], every=2s)`", &[("values", ""), ("every", "1s"), ("phase", "0")]),
    ("noise", "normally distributed around a mean", &[("mean", "0"), ("sigma", "1")]),
    ("text", "the texts of a list in turn, as `text([ready, running], every=5s)`", &[("values", ""), ("every", "10s"), ("phase", "0")]),
];

/// An argument and its place in the address.
struct Argument<'a> {
    name: &'a str,
    value: &'a str,
    at: Range<usize>,
}

struct Arguments<'a>(Vec<Argument<'a>>);

impl Signal {
    pub(crate) fn parse(text: &str) -> Result<Signal, PointError> {
        let (name, inside) = match text.split_once('(') {
            None => (text.trim_end(), ""),
            Some((name, rest)) => match rest.trim_end().strip_suffix(')') {
                Some(inside) => (name.trim_end(), inside),
                None => return Err(fault(text.len()..text.len(), "the `)` is missing", "write name(key=value, …)")),
            },
        };
        let Some((_, _, keys)) = SIGNALS.iter().find(|(known, ..)| *known == name) else {
            let message = format!("`{name}` is no signal");
            return Err(PointError::new(0..name.len(), message, &near(name, SIGNALS.iter().map(|(name, ..)| *name))));
        };
        let keys: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
        let keys = keys.as_slice();
        let list = keys[0] == "values";
        let arguments = Arguments::parse(inside, text.len().min(name.len() + 1), keys, list)?;
        arguments.signal(name)
    }
}

impl<'a> Arguments<'a> {
    fn parse(inside: &'a str, offset: usize, keys: &[&str], list: bool) -> Result<Arguments<'a>, PointError> {
        let mut arguments: Vec<Argument<'a>> = Vec::new();
        for (at, part) in split(inside) {
            let begin = offset + at + (part.len() - part.trim_start().len());
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let at = begin..begin + part.len();
            let (name, value) = match part.split_once('=').filter(|_| !part.starts_with('[')) {
                Some((name, value)) => (name.trim_end(), value.trim_start()),
                None if list && arguments.is_empty() => ("values", part),
                None => return Err(fault(at, "an argument without its name", "write key=value")),
            };
            if !keys.contains(&name) {
                let message = format!("`{name}` is no argument here");
                return Err(PointError::new(
                    at.start..at.start + name.len(),
                    message,
                    &near(name, keys.iter().copied()),
                ));
            }
            if arguments.iter().any(|argument| argument.name == name) {
                return Err(fault(at, "this argument is given twice", "keep one of them"));
            }
            let value_at = at.end - value.len()..at.end;
            arguments.push(Argument { name, value, at: value_at });
        }
        Ok(Arguments(arguments))
    }

    fn get(&self, name: &str) -> Option<&Argument<'a>> {
        self.0.iter().find(|argument| argument.name == name)
    }

    fn number(&self, name: &str, default: f64) -> Result<f64, PointError> {
        let Some(argument) = self.get(name) else { return Ok(default) };
        number(argument.value).ok_or_else(|| {
            PointError::new(argument.at.clone(), format!("`{}` is not a number", argument.value), "as 3 or 0.5")
        })
    }

    fn duration(&self, name: &str, default: Duration) -> Result<Duration, PointError> {
        let Some(argument) = self.get(name) else { return Ok(default) };
        match argument.value.parse::<Period>() {
            Ok(Period(span)) if span.is_zero() => Err(fault(argument.at.clone(), "this takes no time", "at least 1ms")),
            Ok(Period(span)) => Ok(span),
            Err(error) => {
                let (message, help) = error.split_once(" | ").unwrap_or((&error, "write 500ms, 2s or 10min"));
                Err(fault(argument.at.clone(), message, help))
            }
        }
    }

    fn list(&self) -> Result<(Vec<&'a str>, Range<usize>), PointError> {
        let Some(argument) = self.get("values") else {
            return Err(fault(0..0, "the values are missing", "write them first, as [0, 1, 2]"));
        };
        let inside = argument.value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let items: Vec<&str> = inside.map(|inside| inside.split(',').map(str::trim).collect()).unwrap_or_default();
        if items.iter().all(|item| item.is_empty()) {
            return Err(fault(argument.at.clone(), "this is not a list of values", "write them as [0, 1, 2]"));
        }
        Ok((items, argument.at.clone()))
    }

    fn signal(&self, name: &str) -> Result<Signal, PointError> {
        let second = Duration::from_secs(1);
        let minute = Duration::from_secs(60);
        Ok(match name {
            "sine" => Signal::Sine {
                mean: self.number("mean", 0.0)?,
                amp: self.number("amp", 1.0)?,
                period: self.duration("period", minute)?,
                phase: self.number("phase", 0.0)?,
                noise: self.number("noise", 0.0)?,
            },
            "ramp" => Signal::Ramp {
                low: self.number("low", 0.0)?,
                high: self.number("high", 100.0)?,
                period: self.duration("period", minute)?,
                phase: self.number("phase", 0.0)?,
            },
            "square" => Signal::Square {
                low: self.number("low", 0.0)?,
                high: self.number("high", 1.0)?,
                period: self.duration("period", 10 * second)?,
                duty: self.number("duty", 0.5)?,
                phase: self.number("phase", 0.0)?,
            },
            "counter" => Signal::Counter {
                start: self.number("start", 0.0)?,
                step: self.number("step", 1.0)?,
                every: self.duration("every", second)?,
                wrap: self.get("wrap").map(|_| self.number("wrap", 0.0)).transpose()?.filter(|wrap| *wrap > 0.0),
            },
            "walk" => Signal::Walk {
                low: self.number("low", 0.0)?,
                high: self.number("high", 100.0)?,
                step: self.number("step", 1.0)?,
                every: self.duration("every", second)?,
            },
            "noise" => Signal::Noise { mean: self.number("mean", 0.0)?, sigma: self.number("sigma", 1.0)? },
            "steps" => {
                let (items, at) = self.list()?;
                let values: Option<Vec<f64>> = items.iter().map(|item| number(item)).collect();
                let values =
                    values.ok_or_else(|| fault(at, "a value of the list is not a number", "as [0, 1.5, 3]"))?;
                Signal::Steps { values, every: self.duration("every", second)?, phase: self.number("phase", 0.0)? }
            }
            _ => {
                let values = self.list()?.0.into_iter().map(|item| item.trim_matches(['"', '\'']).to_owned());
                Signal::Text {
                    values: values.collect(),
                    every: self.duration("every", 10 * second)?,
                    phase: self.number("phase", 0.0)?,
                }
            }
        })
    }
}

fn number(text: &str) -> Option<f64> {
    match text {
        "true" => Some(1.0),
        "false" => Some(0.0),
        text => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

fn fault(at: Range<usize>, message: &str, help: &str) -> PointError {
    PointError::new(at, message.to_owned(), help)
}

fn near<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let best = known.clone().map(|name| (strsim::osa_distance(name, word), name)).min();
    match best {
        Some((distance, name)) if distance <= 2 => format!("did you mean `{name}`?"),
        _ => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// Parts between commas outside brackets, each with its place.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0_u32);
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push((start, &text[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push((start, &text[start..]));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_read_with_its_defaults() {
        let s = Duration::from_secs;
        for (text, signal) in [
            (
                "sine(mean=21, amp=2, period=10min, noise=0.1)",
                Signal::Sine { mean: 21.0, amp: 2.0, period: s(600), phase: 0.0, noise: 0.1 },
            ),
            ("ramp()", Signal::Ramp { low: 0.0, high: 100.0, period: s(60), phase: 0.0 }),
            ("counter", Signal::Counter { start: 0.0, step: 1.0, every: s(1), wrap: None }),
            ("steps([0, 1, 3], every=2s)", Signal::Steps { values: vec![0.0, 1.0, 3.0], every: s(2), phase: 0.0 }),
            ("steps(values=[true, false])", Signal::Steps { values: vec![1.0, 0.0], every: s(1), phase: 0.0 }),
            (
                "text([A 1, \"B\"], every=5s)",
                Signal::Text { values: vec!["A 1".into(), "B".into()], every: s(5), phase: 0.0 },
            ),
        ] {
            assert_eq!(Signal::parse(text), Ok(signal), "{text}");
        }
    }

    #[test]
    fn the_defaults_of_the_reference_are_those_that_are_read() {
        for (name, _, keys) in SIGNALS {
            let first = if keys[0].0 == "values" { "[1, 2]" } else { "" };
            let given =
                keys.iter().filter(|(_, default)| !default.is_empty()).map(|(key, default)| format!("{key}={default}"));
            let all: Vec<String> =
                [first.to_owned()].into_iter().filter(|first| !first.is_empty()).chain(given).collect();
            assert_eq!(
                Signal::parse(&format!("{name}({})", all.join(", "))),
                Signal::parse(&format!("{name}({first})")),
                "{name}"
            );
        }
    }

    #[test]
    fn a_wrong_signal_is_marked_at_its_wrong_part() {
        for (text, at, message, help) in [
            ("sinus(mean=1)", 0..5, "`sinus` is no signal", "did you mean `sine`?"),
            ("sine(mean=1", 11..11, "the `)` is missing", "write name(key=value, …)"),
            ("sine(men=1)", 5..8, "`men` is no argument here", "did you mean `mean`?"),
            ("sine(mean=1, mean=2)", 13..19, "this argument is given twice", "keep one of them"),
            ("ramp(low=x)", 9..10, "`x` is not a number", "as 3 or 0.5"),
            ("ramp(period=500)", 12..15, "`500` has no unit", "write 500ms, 500s or 500min"),
            ("ramp(5)", 5..6, "an argument without its name", "write key=value"),
            ("steps()", 0..0, "the values are missing", "write them first, as [0, 1, 2]"),
            ("steps([a])", 6..9, "a value of the list is not a number", "as [0, 1.5, 3]"),
        ] {
            let error = Signal::parse(text).expect_err(text);
            assert_eq!((error.at, &*error.message, &*error.help), (at, message, help), "{text}");
        }
    }
}
