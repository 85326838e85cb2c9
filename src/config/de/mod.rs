//! From arena nodes to spec structs, finding every mistake of an entry in one run.
//!
//! serde stops at the first error, so an entry is decoded again with a "hole" at each node that was wrong: a hole
//! gives a neutral value. Entries are small, so this costs nothing that can be measured. The value is handed out
//! only if nothing was found.

mod decode;
mod error;
mod hole;
mod map;

use serde::de::{self, IntoDeserializer, Visitor};

use super::at::{AT, RAW};
use super::docs::DOCS;
use super::source::{Ix, Kind};
use decode::Shared;
pub(crate) use decode::{Keys, decode, decode_entry};
use error::Error;

/// The key whose value is read: struct and name, for doc line and range.
pub(super) type Field = (&'static str, &'static str);

#[derive(Clone, Copy)]
pub(super) struct NodeDe<'s, 'a, 'f> {
    pub shared: &'s Shared<'a, 'f>,
    pub ix: Ix,
    pub limits: Option<(f64, f64)>,
    pub field: Option<Field>,
}

impl<'a> NodeDe<'_, 'a, '_> {
    pub(crate) fn kind(&self) -> Kind {
        self.shared.source.kind(self.ix)
    }

    pub(crate) fn text(&self) -> &'a str {
        self.shared.source.text(self.ix)
    }

    pub(crate) fn is_hole(&self) -> bool {
        self.kind() == Kind::Bad || self.shared.holes.borrow().contains(&self.ix)
    }

    pub(crate) fn place<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|mut error| {
            if error.at.is_none() {
                error.at = Some(self.ix);
                let key = self.field.and_then(|(owner, key)| DOCS.key(owner, key));
                if let Some(key) = key.filter(|key| error.help.is_empty() && !key.doc.is_empty()) {
                    error.doc = format!("`{}`: {}", key.name, key.summary());
                }
            }
            error
        })
    }

    /// The value found here, in words.
    pub(crate) fn found(&self) -> String {
        match self.kind() {
            Kind::Mapping => "a mapping".into(),
            Kind::Sequence => "a list".into(),
            Kind::Null | Kind::Bad => "nothing".into(),
            _ => format!("`{}`", self.text()),
        }
    }

    pub(crate) fn wanted<T>(&self, what: &str, help: &str) -> Result<T, Error> {
        if self.kind() == Kind::Null {
            let key = self.shared.source.key_of(self.ix).map(|key| self.shared.source.shown(key).to_owned());
            let message = key.map_or_else(|| "a value is missing".into(), |key| format!("`{key}` has no value"));
            return self.place(Err(de::Error::custom(format!("{message} | expected {what}"))));
        }
        self.place(Err(de::Error::custom(format!("expected {what}, found {} | {help}", self.found()))))
    }

    /// The text of a number; refuses quotes, decimal commas and leading zeros.
    fn number_text(&self, what: &str) -> Result<&'a str, Error> {
        let text = self.text();
        match self.kind() {
            Kind::Quoted if text.parse::<f64>().is_ok() => self.wanted(what, "remove the quotes"),
            Kind::Quoted if text.replace(',', ".").parse::<f64>().is_ok() => {
                self.wanted(what, "write a decimal point, without quotes")
            }
            Kind::Plain | Kind::Made => {
                let digits = text.trim_start_matches(['-', '+']);
                let is_octal =
                    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
                if is_octal {
                    let plain = digits.trim_start_matches('0');
                    let plain = if plain.is_empty() { "0" } else { plain };
                    return self
                        .wanted(what, &format!("write `{plain}`: some YAML readers take a leading zero for octal"));
                }
                if text.contains(',') && text.replace(',', ".").parse::<f64>().is_ok() {
                    return self.wanted(what, "write a dot");
                }
                Ok(text)
            }
            _ => self.wanted(what, ""),
        }
    }

    fn integer(&self, low: i128, high: i128) -> Result<i128, Error> {
        if self.is_hole() {
            return Ok(0.clamp(low, high));
        }
        let text = self.number_text("a whole number")?;
        let unsigned = text.trim_start_matches('+');
        let number = match unsigned.strip_prefix("0x") {
            Some(digits) => i128::from_str_radix(digits, 16).ok(),
            None => unsigned.parse::<i128>().ok(),
        };
        let Some(number) = number else { return self.wanted("a whole number", "") };
        #[expect(clippy::cast_precision_loss, reason = "limits of keys are small")]
        let is_inside = self.limits.is_none_or(|(least, most)| number as f64 >= least && number as f64 <= most);
        if number < low || number > high || !is_inside {
            return self.out_of_range(text, low, high);
        }
        Ok(number)
    }

    fn out_of_range<T>(&self, text: &str, low: i128, high: i128) -> Result<T, Error> {
        let (least, most) = self.limits.unwrap_or((f64::MIN, f64::MAX));
        #[expect(clippy::cast_possible_truncation, reason = "limits of keys are whole numbers")]
        let (least, most) = (low.max(least as i128), high.min(most as i128));
        self.place(Err(de::Error::custom(format!("{text} is out of range {least}..{most}"))))
    }

    fn float(&self) -> Result<f64, Error> {
        if self.is_hole() {
            return Ok(0.0);
        }
        let text = self.number_text("a number")?;
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        let Some(number) = number else { return self.wanted("a number", "") };
        if let Some((least, most)) = self.limits.filter(|(least, most)| number < *least || number > *most) {
            return self.place(Err(de::Error::custom(format!("{text} is out of range {least}..{most}"))));
        }
        Ok(number)
    }

    fn boolean(&self) -> Result<bool, Error> {
        if self.is_hole() {
            return Ok(false);
        }
        match (self.kind(), self.text()) {
            (Kind::Plain | Kind::Made, "true") => Ok(true),
            (Kind::Plain | Kind::Made, "false") => Ok(false),
            (Kind::Plain | Kind::Made | Kind::Quoted, text) => self.wanted("true or false", boolean_help(text)),
            _ => self.wanted("true or false", ""),
        }
    }

    /// One element without its brackets: checked as if it had them, and suggested with them only if it is allowed there.
    fn wrapped<V: Visitor<'a>>(&self, visitor: V) -> Result<V::Value, Error> {
        let found = format!("expected a list, found {}", self.found());
        match visitor.visit_seq(map::Elements::one(*self)) {
            Ok(value) => {
                self.shared.note_tentative(self.ix, found, format!("write [{}]", self.shared.source.shown(self.ix)));
                Ok(value)
            }
            Err(error) => {
                let help = format!("write a list: `[a, b]`; and {}", error.message);
                self.place(Err(Error { message: found, help, ..Error::default() }))
            }
        }
    }

    fn string(&self) -> Result<&'a str, Error> {
        if self.is_hole() {
            return Ok("");
        }
        match self.kind() {
            Kind::Plain | Kind::Quoted | Kind::Made => Ok(self.text()),
            _ => self.wanted("text", ""),
        }
    }
}

/// Help for another word for true or false.
pub(super) fn boolean_help(text: &str) -> &'static str {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "1" => "write `true`",
        "false" | "no" | "off" | "n" | "0" => "write `false`",
        _ => "write `true` or `false`",
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $kind:ty),*) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = self.integer(<$kind>::MIN.into(), <$kind>::MAX.into())?;
            let number = <$kind>::try_from(number).expect("`integer` keeps the bounds");
            let result = visitor.$visit(number);
            self.place(result)
        }
    )*};
}

impl<'a> de::Deserializer<'a> for NodeDe<'_, 'a, '_> {
    type Error = Error;

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    }

    /// For the few that take a number or a text.
    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind() {
            Kind::Sequence => self.deserialize_seq(visitor),
            Kind::Mapping => self.deserialize_map(visitor),
            Kind::Plain | Kind::Made if !self.is_hole() => {
                let text = self.text();
                let result = match text.parse::<i64>() {
                    Ok(number) => visitor.visit_i64(number),
                    Err(_) => match text.parse::<f64>() {
                        Ok(number) => visitor.visit_f64(number),
                        Err(_) => visitor.visit_borrowed_str(text),
                    },
                };
                self.place(result)
            }
            _ => self.deserialize_str(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.boolean()?;
        self.place(visitor.visit_bool(value))
    }

    fn deserialize_f32<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.float()?;
        self.place(visitor.visit_f64(value))
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.string()?;
        self.place(visitor.visit_borrowed_str(value))
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_hole() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'a>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match name {
            AT => visitor.visit_seq(map::Pair { node: self, step: 0 }),
            RAW => visitor.visit_newtype_struct(IntoDeserializer::<Error>::into_deserializer(self.ix.0)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_hole() {
            return visitor.visit_seq(map::Elements::empty(self));
        }
        match self.kind() {
            Kind::Sequence => {
                let result = visitor.visit_seq(map::Elements::of(self));
                self.place(result)
            }
            Kind::Plain | Kind::Quoted | Kind::Made if !self.text().contains(',') => self.wrapped(visitor),
            _ => self.wanted("a list", "write [a, b]"),
        }
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        if self.is_hole() {
            return visitor.visit_seq(map::Elements::holes(self, length));
        }
        let count = self.shared.source.children(self.ix).count();
        if self.kind() == Kind::Sequence && count != length {
            let first = self.shared.source.children(self.ix).next().map_or("", |first| self.shared.source.shown(first));
            let words: Vec<&str> = first.split_whitespace().collect();
            let help = if count == 1 && words.len() == length {
                format!(" | separate them by commas: [{}]", words.join(", "))
            } else {
                String::new()
            };
            return self.place(Err(de::Error::custom(format!("expected {length} values, found {count}{help}"))));
        }
        if self.kind() != Kind::Sequence {
            return self.wanted(&format!("a list of {length} values"), "write `[low, high]`");
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        if !self.is_hole() && self.kind() != Kind::Mapping {
            return self.wanted("a mapping", "write `name: value`, one in each line");
        }
        let result = visitor.visit_map(map::Entries::of_map(self));
        self.place(result)
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if !self.is_hole() && self.kind() != Kind::Mapping {
            return self.wanted("a mapping", "");
        }
        map::read_struct(self, self.shared.name_of(self.ix, name), fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let text = if self.is_hole() { variants.first().copied().unwrap_or("") } else { self.string()? };
        let result = visitor.visit_enum(text.into_deserializer());
        self.place(result)
    }

    fn deserialize_identifier<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}
