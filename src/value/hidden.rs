//! Values that no log may show.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// A nonce, a password's hash, the token of a session: its `Debug` says only that it is there, so no log line, finding
/// or panic message can show it. A key of a cell file that is one reads as its value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, serde::Deserialize)]
#[serde(transparent)]
pub struct Hidden<T>(pub T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The schema says nothing about the hiding.
impl<T: JsonSchema> JsonSchema for Hidden<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}
