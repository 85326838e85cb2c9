//! Values that keep their place in the file, for the structs of `spec`.

use std::fmt;

use serde::de::{self, Deserialize, Visitor};

use super::source::Ix;

/// A value and its node, for what later checks point at.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub ix: Ix,
    pub value: T,
}

/// A subtree that a later step reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw(pub Ix);

pub(super) const AT: &str = "@At";
pub(super) const RAW: &str = "@Raw";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<At<T>, D::Error> {
        struct Pair<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pair<T> {
            type Value = At<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut pair: A) -> Result<At<T>, A::Error> {
                let missing = || de::Error::custom("a place without a value");
                let ix = Ix(pair.next_element()?.ok_or_else(missing)?);
                Ok(At { ix, value: pair.next_element()?.ok_or_else(missing)? })
            }
        }
        from.deserialize_newtype_struct(AT, Pair(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Raw, D::Error> {
        struct Index;
        impl<'de> Visitor<'de> for Index {
            type Value = Raw;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a subtree")
            }
            fn visit_newtype_struct<D: de::Deserializer<'de>>(self, from: D) -> Result<Raw, D::Error> {
                Ok(Raw(Ix(u32::deserialize(from)?)))
            }
        }
        from.deserialize_newtype_struct(RAW, Index)
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<T>()
    }
}
