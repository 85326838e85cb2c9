//! From arena nodes to spec structs, finding every mistake of an entry in one run.
//!
//! serde stops at the first error, so an entry is decoded again with a "hole" at each node that was wrong: a hole
//! gives a neutral value. Entries are small, so this costs nothing that can be measured. The value is handed out
//! only if nothing was found.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, IntoDeserializer, Visitor};

use super::de_error::Error;
use super::docs::DOCS;
use super::report::Findings;
use super::source::{Ix, Kind, Source};

/// A value and its node, for what later checks point at.
#[derive(Debug, Clone)]
pub struct At<T> {
    pub ix: Ix,
    pub value: T,
}

/// A subtree that a later step reads.
#[derive(Debug, Clone, Copy)]
pub struct Raw(pub Ix);

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

/// Whose keys an entry has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys<'a> {
    /// The driver that the entry's structs belong to.
    driver: Option<&'a str>,
    /// Name in `DOCS` of the outermost struct, where that is not its own.
    owner: Option<&'static str>,
    /// Structs that read other keys of the outermost mapping.
    pub other: &'a [&'a str],
}

impl<'a> Keys<'a> {
    /// The keys of the struct alone.
    pub const OWN: Keys<'static> = Keys { driver: None, owner: None, other: &[] };

    /// The struct's keys, next to those of others.
    pub fn beside(other: &'a [&'a str]) -> Keys<'a> {
        Keys { other, ..Keys::OWN }
    }

    /// The keys of a driver's struct, next to those that all drivers share.
    pub fn of_driver(driver: &'a str, owner: &'static str, other: &'a [&'a str]) -> Keys<'a> {
        Keys { driver: Some(driver), owner: Some(owner), other }
    }
}

/// Whether an entry with this finding is worth further checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It is clear what was meant, and it was read so.
    GoOn,
    Stop,
}

/// Decodes the entry at `ix`; `None` when it had findings that leave its meaning open.
pub fn decode<'a, T: Deserialize<'a>>(
    source: &'a Source,
    ix: Ix,
    keys: Keys<'a>,
    findings: &mut Findings,
) -> Option<T> {
    let (value, wrong) = decode_noting(source, ix, keys, findings);
    value.filter(|_| wrong.is_none())
}

/// Faults of an entry: the nodes whose text doesn't fit, none of them where only keys are unknown or missing.
pub(super) type Wrong = Option<Vec<Ix>>;

/// The value with neutral parts in place of the wrong ones, and what was wrong.
fn decode_noting<'a, T: Deserialize<'a>>(
    source: &'a Source,
    ix: Ix,
    keys: Keys<'a>,
    findings: &mut Findings,
) -> (Option<T>, Wrong) {
    let shared = Shared {
        source,
        root: ix,
        keys,
        holes: RefCell::default(),
        missing: RefCell::default(),
        noted: RefCell::default(),
        is_clear: Cell::new(true),
        findings: RefCell::new(findings),
    };
    loop {
        let error = match T::deserialize(NodeDe { shared: &shared, ix, limits: None, field: None }) {
            Ok(value) => return (Some(value), shared.wrong()),
            Err(error) => error,
        };
        let at = error.at.unwrap_or(ix);
        shared.is_clear.set(false);
        if error.missing.is_some() {
            shared.record(at, &error);
            // What stands in its place may fit as little: said already.
            shared.noted.borrow_mut().insert(at);
            continue;
        }
        if source.kind(at) != Kind::Bad && shared.noted.borrow_mut().insert(at) {
            shared.record(at, &error);
        }
        if !shared.holes.borrow_mut().insert(at) {
            return (None, Some(shared.holes.take().into_iter().collect()));
        }
    }
}

pub(super) struct Shared<'a, 'f> {
    pub source: &'a Source,
    pub root: Ix,
    pub keys: Keys<'a>,
    holes: RefCell<HashSet<Ix>>,
    /// Required keys that their mapping lacks.
    pub missing: RefCell<HashSet<(Ix, &'static str)>>,
    /// Nodes that have their finding.
    noted: RefCell<HashSet<Ix>>,
    is_clear: Cell<bool>,
    findings: RefCell<&'f mut Findings>,
}

/// Decodes the entry at `ix` with every part that was wrong left out, so that later checks judge the rest in the same
/// run. Also, whether nothing was wrong, so that what is not there was not written.
pub fn decode_entry<T: for<'a> Deserialize<'a>>(
    source: &mut Source,
    ix: Ix,
    keys: Keys<'_>,
    findings: &mut Findings,
) -> (Option<T>, bool) {
    let (value, wrong) = decode_noting::<T>(source, ix, keys, findings);
    let Some(wrong) = wrong else { return (value, true) };
    for at in wrong {
        // The innermost key whose value holds the fault is as if it were not there.
        let mut here = at;
        while here != ix && source.key_of(here).is_none() {
            let Some(parent) = source.parent(here) else { break };
            here = parent;
        }
        if here != ix {
            source.set_bad(here);
        }
    }
    let value = decode_noting::<T>(source, ix, keys, &mut Findings::default()).0;
    (value, false)
}

impl Shared<'_, '_> {
    /// Name in `DOCS` of the struct that reads the mapping at `ix`.
    fn name_of(&self, ix: Ix, name: &'static str) -> &'static str {
        match self.keys.driver {
            _ if ix == self.root => self.keys.owner.unwrap_or(name),
            Some(driver) => DOCS.nested(driver, name),
            None => name,
        }
    }

    fn wrong(&self) -> Wrong {
        (!self.is_clear.get()).then(|| self.holes.take().into_iter().collect())
    }

    fn record(&self, at: Ix, error: &Error) {
        let mut findings = self.findings.borrow_mut();
        let finding = findings.error(self.source, at, error.message.clone());
        if !self.source.is_secret(at) {
            finding.help(error.help.clone());
        }
        finding.help(error.doc.clone());
    }

    /// Records what to write instead, unless a later step finds that this would be wrong, too.
    pub fn note_tentative(&self, at: Ix, message: String, help: String) {
        if self.noted.borrow_mut().insert(at) {
            let mut findings = self.findings.borrow_mut();
            findings.error(self.source, at, message).tentative_help(help);
        }
    }

    /// Records a finding next to the value, once for its node.
    pub fn note(&self, at: Ix, message: String, help: String, after: After) {
        if after == After::Stop {
            self.is_clear.set(false);
        }
        if self.noted.borrow_mut().insert(at) {
            self.record(at, &Error { at: Some(at), message, help, ..Error::default() });
        }
    }
}

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
    pub fn kind(&self) -> Kind {
        self.shared.source.kind(self.ix)
    }

    pub fn text(&self) -> &'a str {
        self.shared.source.text(self.ix)
    }

    pub fn is_hole(&self) -> bool {
        self.kind() == Kind::Bad || self.shared.holes.borrow().contains(&self.ix)
    }

    pub fn place<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|mut error| {
            if error.at.is_none() {
                error.at = Some(self.ix);
                let key = self.field.and_then(|(owner, key)| DOCS.key(owner, key));
                if let Some(key) = key.filter(|key| error.help.is_empty() && !key.doc.is_empty()) {
                    error.doc = format!("`{}`: {}", key.name, key.doc);
                }
            }
            error
        })
    }

    /// What stands here, in words.
    pub fn found(&self) -> String {
        match self.kind() {
            Kind::Mapping => "a mapping".into(),
            Kind::Sequence => "a list".into(),
            Kind::Null | Kind::Bad => "nothing".into(),
            _ => format!("`{}`", self.text()),
        }
    }

    pub fn wanted<T>(&self, what: &str, help: &str) -> Result<T, Error> {
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
                self.wanted(what, "write a dot, without quotes")
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

    /// One element without its brackets: judged as if it had them, and suggested with them only if it may stand there.
    fn wrapped<V: Visitor<'a>>(&self, visitor: V) -> Result<V::Value, Error> {
        let found = format!("expected a list, found {}", self.found());
        match visitor.visit_seq(super::de_map::Elements::one(*self)) {
            Ok(value) => {
                self.shared.note_tentative(self.ix, found, format!("write [{}]", self.shared.source.shown(self.ix)));
                Ok(value)
            }
            Err(error) => {
                let help = format!("write a list, as [a, b]; and {}", error.message);
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

/// What to write instead of another word for true or false.
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
            AT => visitor.visit_seq(super::de_map::Pair { node: self, step: 0 }),
            RAW => visitor.visit_newtype_struct(IntoDeserializer::<Error>::into_deserializer(self.ix.0)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_hole() {
            return visitor.visit_seq(super::de_map::Elements::empty(self));
        }
        match self.kind() {
            Kind::Sequence => {
                let result = visitor.visit_seq(super::de_map::Elements::of(self));
                self.place(result)
            }
            Kind::Plain | Kind::Quoted | Kind::Made if !self.text().contains(',') => self.wrapped(visitor),
            _ => self.wanted("a list", "write [a, b]"),
        }
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        if self.is_hole() {
            return visitor.visit_seq(super::de_map::Elements::holes(self, length));
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
            return self.wanted(&format!("a list of {length} values"), "write [low, high]");
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
            return self.wanted("a mapping", "write name: value, one a line");
        }
        let result = visitor.visit_map(super::de_map::Entries::of_map(self));
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
        super::de_map::read_struct(self, self.shared.name_of(self.ix, name), fields, visitor)
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
