//! Neutral values in place of a required key that is missing, so that the rest of its mapping is checked in the same run.

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::error::Error;
use crate::config::at::{AT, RAW};
use crate::config::source::Ix;

/// Deserializer for a required key that is missing: it gives neutral values on all levels.
#[derive(Clone, Copy)]
pub(crate) struct HoleDe {
    pub ix: Ix,
}

impl<'de> de::Deserializer<'de> for HoleDe {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str("")
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_none()
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(false)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(0)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u16(0)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u32(0)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(0.0)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(de::value::SeqDeserializer::<std::iter::Empty<u32>, Error>::new(std::iter::empty()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(de::value::MapDeserializer::<std::iter::Empty<(u32, u32)>, Error>::new(std::iter::empty()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(variants.first().copied().unwrap_or("").into_deserializer())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match name {
            AT => visitor.visit_seq(HolePair { hole: self, step: 0 }),
            RAW => visitor.visit_newtype_struct(IntoDeserializer::<Error>::into_deserializer(self.ix.0)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 u64 f32 char str string bytes byte_buf unit unit_struct tuple tuple_struct struct identifier
        ignored_any
    }
}

struct HolePair {
    hole: HoleDe,
    step: u8,
}

impl<'a> de::SeqAccess<'a> for HolePair {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.step += 1;
        match self.step {
            1 => seed.deserialize(IntoDeserializer::<Error>::into_deserializer(self.hole.ix.0)).map(Some),
            2 => seed.deserialize(self.hole).map(Some),
            _ => Ok(None),
        }
    }
}
