//! Alarms of a tag.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, de};

use super::values::{Deadband, anything};
use crate::config::at::{At, Raw};
use crate::model::Period;

/// An alarm of a tag: a condition that clients see, acknowledge and shelve. It has `limits`, `when` or `normal`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Alarm {
    /// Limits of a number. The alarm is active beyond them.
    #[schemars(extend("x-also" = ["limit", "thresholds", "threshold"]))]
    pub limits: Option<At<Limits>>,
    /// Value of the tag that raises the alarm, or a list of values: true, Faulted, [3, 5].
    #[serde(default)]
    #[schemars(schema_with = "anything", extend("x-also" = ["if", "condition", "trigger"]))]
    pub when: Option<Raw>,
    /// Value of the tag that is normal; every other one raises the alarm.
    #[serde(default)]
    #[schemars(schema_with = "anything", extend("x-also" = ["normal_value", "ok"]))]
    pub normal: Option<Raw>,
    /// Urgency: 1 is least, 1000 is worst.
    #[schemars(range(min = 1, max = 1000), extend("x-also" = ["priority"]))]
    pub severity: At<u16>,
    /// Text of the event (default: the path of the tag). `{value}` is the value that raised the alarm, `{value:unit}` the same
    /// with its unit, `{name}` the name of the tag and `{parent}` that of the node above it.
    #[serde(default)]
    #[schemars(schema_with = "text", extend("x-also" = ["text", "title"]))]
    pub message: Option<Raw>,
    /// Whether one limit at a time is active, the farthest (default true). With false each limit is active by itself.
    pub exclusive: Option<At<bool>>,
    /// Distance inside a limit at which the alarm clears, in the unit of the tag or in percent of its `range` (default 0).
    /// With `high: 90` and 1 it is raised above 90 and clears at 89.
    #[schemars(extend("x-also" = ["deadband", "dead_band"]))]
    pub hysteresis: Option<At<Deadband>>,
    /// The condition must hold for this time, without a break, before the alarm is raised (default 0s). OnDelay.
    #[schemars(extend("x-also" = ["on_delay", "for"]))]
    pub delay: Option<Period>,
    /// The condition must be clear for this time before the alarm clears (default 0s). OffDelay.
    #[schemars(extend("x-also" = ["off_delay"]))]
    pub clear_delay: Option<Period>,
    /// Whether an operator must acknowledge the alarm (default true).
    #[schemars(extend("x-also" = ["acknowledge"]))]
    pub ack: Option<At<bool>>,
    /// Whether an operator must also confirm it, after the acknowledgement (default false).
    pub confirm: Option<At<bool>>,
    /// Whether the alarm remains after its cause is gone, until an operator resets it (default false).
    #[schemars(extend("x-also" = ["latch"]))]
    pub latched: Option<bool>,
    /// Longest time for which an operator may shelve the alarm, or false (default 1d).
    pub shelve: Option<At<Shelve>>,
    /// Class of the condition: process, maintenance, system or safety (default process).
    pub class: Option<Class>,
    /// Effect of a Bad tag: hold the state, or raise the alarm (default hold).
    pub on_bad: Option<OnBad>,
    /// Whether the alarm is enabled when the server sees it for the first time (default true). What a client does with Enable
    /// and Disable lasts.
    pub enabled: Option<bool>,
}

/// Limits of an alarm, in the unit of the tag.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct Limits {
    /// LowLowLimit: a number, or `{ at, severity, message }`.
    #[serde(default)]
    #[schemars(schema_with = "limit", extend("x-also" = ["lolo", "low_low_limit"]))]
    pub low_low: Option<Raw>,
    /// LowLimit: a number, or `{ at, severity, message }`.
    #[serde(default)]
    #[schemars(schema_with = "limit", extend("x-also" = ["lo", "low_limit", "min"]))]
    pub low: Option<Raw>,
    /// HighLimit: a number, or `{ at, severity, message }`.
    #[serde(default)]
    #[schemars(schema_with = "limit", extend("x-also" = ["hi", "high_limit", "max"]))]
    pub high: Option<Raw>,
    /// HighHighLimit: a number, or `{ at, severity, message }`.
    #[serde(default)]
    #[schemars(schema_with = "limit", extend("x-also" = ["hihi", "high_high_limit"]))]
    pub high_high: Option<Raw>,
}

/// A limit with its own severity or text.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Limit {
    /// The limit, in the unit of the tag.
    #[serde(default)]
    #[schemars(schema_with = "number", extend("x-also" = ["value", "limit"]))]
    pub at: Option<Raw>,
    /// Urgency at this limit (default: that of the alarm).
    #[schemars(range(min = 1, max = 1000), extend("x-also" = ["priority"]))]
    pub severity: Option<At<u16>>,
    /// Text at this limit (default: that of the alarm).
    #[serde(default)]
    #[schemars(schema_with = "text", extend("x-also" = ["text", "title"]))]
    pub message: Option<Raw>,
}

/// Class of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Class {
    Process,
    Maintenance,
    System,
    Safety,
}

/// Effect of a Bad tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnBad {
    Hold,
    Alarm,
}

/// `1d`, or `false`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shelve(pub Option<Duration>);

impl<'de> Deserialize<'de> for Shelve {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Shelve, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        if text == "false" {
            return Ok(Shelve(None));
        }
        let period: Period = text.parse().map_err(de::Error::custom)?;
        if period.0.is_zero() {
            return Err(de::Error::custom(format!("`{text}` is no time | write false, or a time such as 1d")));
        }
        Ok(Shelve(Some(period.0)))
    }
}

impl JsonSchema for Shelve {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "shelve".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "boolean"], "x-unit": "duration or false" })
    }
}

fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string" })
}

fn number(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "number" })
}

fn limit(generator: &mut SchemaGenerator) -> Schema {
    let mapping = generator.subschema_for::<Limit>();
    json_schema!({ "anyOf": [{ "type": "number" }, mapping] })
}
