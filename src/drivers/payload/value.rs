//! A scalar text or a JSON value as a value of a tag.
//!
//! Numbers come out as whole numbers or floats of the largest size: the tag store makes the tag's type of them, and refuses
//! what does not fit.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::fault::{Fault, null, start_of};
use super::{encoding, number, time};
use crate::drivers::plan::{Enumeration, PointPlan};
use crate::tags;
use crate::value::{BuiltIn, Elements, Value, boolean_from_text};

/// Levels of lists in a list.
const MOST_DIMENSIONS: u8 = 8;

/// The tag that a value is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Want {
    pub kind: BuiltIn,
    /// The number of elements of an array.
    pub elements: Option<usize>,
    /// Longest text in bytes.
    pub length: Option<usize>,
    /// The tag calculates, so it takes any number.
    pub has_scale: bool,
    pub enumeration: Option<Arc<Enumeration>>,
}

impl Want {
    pub(crate) fn of(plan: &PointPlan) -> Want {
        Want {
            kind: plan.kind,
            elements: plan.is_array.then_some(plan.elements),
            length: plan.length.map(|length| length as usize),
            has_scale: plan.has_scale,
            enumeration: plan.enumeration.clone(),
        }
    }

    /// The value of a text that is the whole content of a scalar.
    pub(crate) fn of_text(&self, text: &str) -> Result<Value, Fault> {
        let trimmed = text.trim();
        let refused = |what: &str| Fault::unreadable(format!("is no {what}: `{}`", start_of(text)));
        if self.enumeration.is_some() {
            return self.choice(trimmed).ok_or_else(|| refused("value of the enumeration"));
        }
        match self.kind {
            BuiltIn::String => self.text(text),
            BuiltIn::Boolean if !self.has_scale => {
                boolean_from_text(trimmed).map(Value::Boolean).ok_or_else(|| refused("Boolean"))
            }
            BuiltIn::DateTime => time::time_of(trimmed).map(Value::DateTime).ok_or_else(|| refused("time")),
            BuiltIn::ByteString => self.bytes(text.as_bytes()),
            _ => self.number(trimmed).ok_or_else(|| refused("number")),
        }
    }

    pub(super) fn text(&self, text: &str) -> Result<Value, Fault> {
        self.check_length(text.len())?;
        Ok(Value::text(text))
    }

    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<Value, Fault> {
        self.check_length(bytes.len())?;
        Ok(Value::ByteString(bytes.into()))
    }

    fn check_length(&self, bytes: usize) -> Result<(), Fault> {
        match self.length {
            Some(most) if bytes > most => Err(Fault::unreadable(format!("has {bytes} bytes, and `length` is {most}"))),
            _ => Ok(()),
        }
    }

    fn number(&self, text: &str) -> Option<Value> {
        // A Float by way of a Double would be rounded twice.
        let is_single = self.kind == BuiltIn::Float && !self.has_scale;
        if is_single { number::single(text) } else { number::number(text) }
    }

    /// The number of the enumeration that a text is, or names.
    fn choice(&self, text: &str) -> Option<Value> {
        let named = self.enumeration.as_ref()?.values.iter().find(|(_, name)| name == text);
        if let Some((number, _)) = named {
            return Some(Value::Int32(*number));
        }
        let number = self.number(text)?;
        self.chosen(&number)
    }

    fn chosen(&self, number: &Value) -> Option<Value> {
        let number = match number {
            Value::Double(number) if number.fract() == 0.0 => number.to_string().parse().ok()?,
            number => i32::try_from(number.as_integer()?).ok()?,
        };
        let is_known = self.enumeration.as_ref()?.values.iter().any(|(known, _)| *known == number);
        is_known.then_some(Value::Int32(number))
    }

    /// The number of raw bytes, as one that the tag takes.
    pub(crate) fn of_number(&self, number: Value) -> Result<Value, Fault> {
        if self.enumeration.is_none() {
            return Ok(number);
        }
        let shown = number.shown();
        self.chosen(&number).ok_or_else(|| Fault::unreadable(format!("is no value of the enumeration: {shown}")))
    }

    /// The value of a JSON text that is known to be JSON.
    pub(super) fn of_json(&self, json: &str) -> Result<Value, Fault> {
        let Some(count) = self.elements else { return self.scalar(json) };
        if json == "null" {
            return Err(null());
        }
        if !json.starts_with('[') {
            return Err(Fault::unreadable(format!("is no list: `{}`", start_of(json))));
        }
        let mut values = Vec::with_capacity(count.min(1 << 16));
        self.collect(json, MOST_DIMENSIONS, &mut values)?;
        if values.len() != count {
            return Err(Fault::unreadable(format!("is a list of {} values, the tag has {count}", values.len())));
        }
        self.array(values)
    }

    /// An array of values that `of_text` or raw bytes gave.
    pub(super) fn array(&self, values: Vec<Value>) -> Result<Value, Fault> {
        let is_plain =
            matches!(self.kind, BuiltIn::Boolean | BuiltIn::String | BuiltIn::DateTime | BuiltIn::ByteString);
        let elements = match is_plain && !self.has_scale {
            true => Elements::collect(self.kind, values.into_iter()),
            false if values.iter().all(|value| matches!(value, Value::Float(_))) => {
                Elements::collect(BuiltIn::Float, values.into_iter())
            }
            false => tags::together(&values),
        };
        elements.map(Value::array).ok_or_else(|| Fault::unreadable("is a list of values that do not fit".to_owned()))
    }

    fn collect(&self, json: &str, depth: u8, values: &mut Vec<Value>) -> Result<(), Fault> {
        let unreadable = || Fault::unreadable(format!("is no list of values: `{}`", start_of(json)));
        let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| unreadable())?;
        for item in items.iter().map(|item| item.get()) {
            if !item.starts_with('[') {
                values.push(self.scalar(item)?);
            } else if depth > 1 {
                self.collect(item, depth - 1, values)?;
            } else {
                return Err(unreadable());
            }
            if values.len() > self.elements.unwrap_or(1) {
                return Err(Fault::unreadable(format!("is a list of more than {} values", values.len() - 1)));
            }
        }
        Ok(())
    }

    fn scalar(&self, json: &str) -> Result<Value, Fault> {
        match json.bytes().next() {
            Some(b'n') => Err(null()),
            Some(b'"') => self.quoted(&unquoted(json)?),
            Some(b't' | b'f') if self.kind != BuiltIn::String && self.enumeration.is_none() => {
                let on = json == "true";
                match self.kind {
                    BuiltIn::Boolean => Ok(Value::Boolean(on)),
                    kind if kind.is_number() => Ok(Value::Int64(on.into())),
                    _ => Err(Fault::unreadable(format!("is a Boolean, and the tag a {:?}", self.kind))),
                }
            }
            Some(b'{' | b'[') if self.kind != BuiltIn::String => {
                Err(Fault::unreadable(format!("is no single value: `{}`", start_of(json))))
            }
            _ => self.of_text(json),
        }
    }

    /// A JSON string. One of a ByteString is base64.
    fn quoted(&self, text: &str) -> Result<Value, Fault> {
        if self.kind == BuiltIn::ByteString && self.enumeration.is_none() {
            return self.bytes(&encoding::base64(text)?);
        }
        self.of_text(text)
    }
}

/// The characters of a JSON string.
pub(super) fn unquoted(json: &str) -> Result<Cow<'_, str>, Fault> {
    // Without an escape the text is between the quotes.
    if !json.contains('\\') && json.len() >= 2 && json.starts_with('"') {
        return Ok(Cow::Borrowed(&json[1..json.len() - 1]));
    }
    let text = serde_json::from_str::<String>(json);
    text.map(Cow::Owned).map_err(|_| Fault::unreadable(format!("is a broken text: `{}`", start_of(json))))
}
