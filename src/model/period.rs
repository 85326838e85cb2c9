//! Durations as cell files write them: `500ms`, `2s`, `10min`, `400d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration with its unit: `ms`, `s`, `min`, `h`, `d` or `y` (365 days).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(pub Duration);

const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("y", 31_536_000_000)];

/// Names that other products give the units.
const ELSEWHERE: [(&[&str], &str); 6] = [
    (&["msec", "msecs", "millis", "millisecond", "milliseconds"], "ms"),
    (&["sec", "secs", "second", "seconds"], "s"),
    (&["m", "mins", "minute", "minutes"], "min"),
    (&["hr", "hrs", "hour", "hours"], "h"),
    (&["day", "days"], "d"),
    (&["a", "yr", "year", "years"], "y"),
];

impl FromStr for Period {
    type Err = String;

    /// The error reads `what is wrong | what to write`.
    fn from_str(text: &str) -> Result<Period, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = (&text[..split], text[split..].trim_start());
        let Ok(number) = number.parse::<u64>() else {
            return Err(format!("`{text}` is not a duration | write 500ms, 2s, 10min, 1h or 400d"));
        };
        if unit.is_empty() {
            return Err(format!("`{text}` has no unit | write {text}ms, {text}s or {text}min"));
        }
        let Some((_, millis)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let meant = ELSEWHERE.iter().find(|(words, _)| words.contains(&unit.to_lowercase().as_str()));
            let help = meant.map_or_else(
                || "the units are ms, s, min, h, d and y".into(),
                |(_, unit)| format!("write `{number}{unit}`"),
            );
            return Err(format!("`{text}` is not a duration | {help}"));
        };
        match number.checked_mul(*millis) {
            Some(millis) if millis <= 1_000 * UNITS[5].1 => Ok(Period(Duration::from_millis(millis))),
            _ => Err(format!("`{text}` is too long | at most 1000y")),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, size) =
            UNITS.iter().rev().find(|(_, size)| millis >= *size && millis.is_multiple_of(*size)).unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", millis / size)
    }
}

impl<'de> serde::Deserialize<'de> for Period {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Period, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+ ?(ms|s|min|h|d|y)$", "x-unit": "ms s min h d y" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_as_they_are_written() {
        for (text, millis) in
            [("500ms", 500), ("2s", 2_000), ("10min", 600_000), ("1 h", 3_600_000), ("400d", 34_560_000_000)]
        {
            let period: Period = text.parse().expect(text);
            assert_eq!(period.0, Duration::from_millis(millis));
            assert_eq!(period.to_string(), text.replace(' ', ""));
        }
    }

    #[test]
    fn a_duration_says_what_is_wrong_with_it() {
        for (text, message) in [
            ("500", "`500` has no unit | write 500ms, 500s or 500min"),
            ("500 msec", "`500 msec` is not a duration | write `500ms`"),
            ("5m", "`5m` is not a duration | write `5min`"),
            ("2 weeks", "`2 weeks` is not a duration | the units are ms, s, min, h, d and y"),
            ("fast", "`fast` is not a duration | write 500ms, 2s, 10min, 1h or 400d"),
            ("99999999999999999y", "`99999999999999999y` is too long | at most 1000y"),
        ] {
            assert_eq!(text.parse::<Period>(), Err(message.to_owned()));
        }
    }
}
