//! Alarms of tags: what raises a condition, and what it asks of operators. Plain data.

use std::sync::Arc;
use std::time::Duration;

use super::{TagId, Unit};
use crate::value::Value;

/// One entry of `alarms:` at a tag.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alarm {
    pub tag: TagId,
    /// ConditionName.
    pub name: Arc<str>,
    pub form: AlarmForm,
    pub severity: u16,
    pub message: AlarmMessage,
    /// The condition must hold for this time before it is raised.
    pub delay: Duration,
    /// The condition must be clear for this time before it returns to normal.
    pub clear_delay: Duration,
    /// An operator must acknowledge it.
    pub needs_ack: bool,
    /// An operator must confirm it after that.
    pub needs_confirm: bool,
    /// It remains until Reset.
    pub is_latched: bool,
    /// The longest shelving; `None`: it cannot be shelved.
    pub shelve: Option<Duration>,
    pub class: AlarmClass,
    /// A Bad tag raises it.
    pub alarms_on_bad: bool,
    /// Enabled when it is seen for the first time.
    pub enabled: bool,
    /// The values of the tag as texts.
    pub shown: AlarmTexts,
}

/// The cause of an alarm.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AlarmForm {
    Limits(AlarmLimits),
    /// Active at every value but this one.
    OffNormal {
        normal: Value,
    },
    /// Active at one of these values.
    Discrete {
        values: Vec<Value>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AlarmLimits {
    /// One limit at a time.
    pub is_exclusive: bool,
    pub hysteresis: f64,
    /// LowLow, Low, High, HighHigh.
    pub at: [Option<AlarmLimit>; 4],
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AlarmLimit {
    pub at: f64,
    /// `None`: the alarm's.
    pub severity: Option<u16>,
    /// `None`: the alarm's.
    pub message: Option<AlarmMessage>,
}

/// ConditionClasses (Part 9 §5.9, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlarmClass {
    Process,
    Maintenance,
    System,
    Safety,
}

/// The text of an event; `{value}` is filled in when it is raised.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AlarmMessage(pub Vec<MessagePart>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MessagePart {
    Text(String),
    Value,
    ValueWithUnit,
}

/// How a value of the tag is written.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct AlarmTexts {
    /// Values of an enumeration.
    pub names: Arc<[(i32, String)]>,
    pub unit: Option<Arc<Unit>>,
}

impl AlarmMessage {
    pub(crate) fn fill(&self, value: &Value, texts: &AlarmTexts) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                MessagePart::Text(own) => text.push_str(own),
                MessagePart::Value => text.push_str(&texts.of(value)),
                MessagePart::ValueWithUnit => {
                    text.push_str(&texts.of(value));
                    if let Some(unit) = &texts.unit {
                        text.push(' ');
                        text.push_str(&unit.symbol);
                    }
                }
            }
        }
        text
    }
}

impl AlarmTexts {
    /// A value as people read it.
    fn of(&self, value: &Value) -> String {
        let number = value.as_integer();
        let named = self.names.iter().find(|(of, _)| number == Some(i128::from(*of)));
        match (named, value) {
            (Some((_, name)), _) => name.clone(),
            (None, Value::Null) => "no value".to_owned(),
            (None, Value::String(text)) => text.to_string(),
            // The shortest text that is the same Float, and not the Double that it was widened to.
            (None, Value::Float(number)) => number.to_string(),
            (None, Value::Boolean(is)) => is.to_string(),
            (None, value) => match (number, value.as_f64()) {
                (Some(number), _) => number.to_string(),
                (None, Some(number)) => number.to_string(),
                (None, None) => String::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_value_as_people_write_it() {
        let unit = Unit { id: -1, symbol: "°C".into(), name: "degree Celsius".into() };
        let names: Arc<[(i32, String)]> = [(2, "Faulted".to_owned())].into();
        let message =
            AlarmMessage(vec![MessagePart::Text("now ".into()), MessagePart::Value, MessagePart::ValueWithUnit]);
        for (value, has_unit, text) in [
            (Value::Double(90.5), true, "now 90.590.5 °C"),
            (Value::Float(0.1), false, "now 0.10.1"),
            (Value::Int32(2), false, "now FaultedFaulted"),
            (Value::Int32(3), false, "now 33"),
            (Value::Boolean(true), false, "now truetrue"),
            (Value::Null, false, "now no valueno value"),
        ] {
            let unit = has_unit.then(|| Arc::new(unit.clone()));
            assert_eq!(message.fill(&value, &AlarmTexts { names: Arc::clone(&names), unit }), text);
        }
    }
}
