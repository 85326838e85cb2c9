//! Values that are written in a way of their own.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Visitor};

/// `0.5`, in the tag's unit, or `0.2%` of its range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Deadband {
    Absolute(f64),
    Percent(f64),
}

impl<'de> Deserialize<'de> for Deadband {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Deadband, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let (number, percent) = match text.strip_suffix('%') {
            Some(number) => (number.trim_end(), true),
            None => (&*text, false),
        };
        let band = number.parse::<f64>().ok().filter(|band| band.is_finite() && *band >= 0.0);
        let band = band.ok_or_else(|| de::Error::custom(format!("`{text}` is not a deadband | write 0.5 or 0.2%")))?;
        if percent && band > 100.0 {
            return Err(de::Error::custom(format!("`{text}` is more than the whole range | at most 100%")));
        }
        Ok(if percent { Deadband::Percent(band) } else { Deadband::Absolute(band) })
    }
}

impl JsonSchema for Deadband {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "deadband".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"], "pattern": "^[0-9.]+ ?%?$", "x-unit": "tag unit or % of range" })
    }
}

/// `[low, high]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span(pub f64, pub f64);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
        struct Ends;
        impl<'de> Visitor<'de> for Ends {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[low, high]")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut ends: A) -> Result<Span, A::Error> {
                let missing = || de::Error::custom("expected 2 values");
                let low = ends.next_element()?.ok_or_else(missing)?;
                let high = ends.next_element()?.ok_or_else(missing)?;
                Ok(Span(low, high))
            }
        }
        from.deserialize_tuple(2, Ends)
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "span".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 })
    }
}

/// Schema of a mapping whose values are `T`, by name.
pub(crate) fn by_name<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let values = generator.subschema_for::<T>();
    json_schema!({ "type": "object", "additionalProperties": values })
}

/// Schema of a text, alone or by language.
pub(crate) fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "object"], "additionalProperties": { "type": "string" } })
}

/// Schema of anything.
pub(crate) fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({})
}
