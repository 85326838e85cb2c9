//! Mappings and lists for the deserializer: unknown keys, required keys, and values checked under the key that is meant.
//!
//! An unknown key whose likely meaning is absent is read as if it were there, so that its value is checked in the
//! same run and the key is not called missing as well.

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::NodeDe;
use super::decode::After;
use super::error::Error;
use super::hole::HoleDe;
use crate::config::docs::{DOCS, Key, list, nearest};
use crate::config::places::{self, Stray};
use crate::config::source::{Ix, Kind};
use crate::config::spec;

/// One entry of a mapping as the struct sees it.
struct Entry {
    key: &'static str,
    /// `None`: a required key that is missing.
    value: Option<Ix>,
}

pub(super) fn read_struct<'a, V: Visitor<'a>>(
    node: NodeDe<'_, 'a, '_>,
    name: &'static str,
    fields: &'static [&'static str],
    visitor: V,
) -> Result<V::Value, Error> {
    let entries = if node.is_hole() { holes(fields) } else { known_entries(node, name, fields) };
    let access = Fields { node, name, entries: entries.into_iter(), value: None };
    match visitor.visit_map(access) {
        Err(Error { at: None, missing: Some(field), .. }) => Err(note_missing(node, name, field)),
        result => node.place(result),
    }
}

fn holes(fields: &'static [&'static str]) -> Vec<Entry> {
    fields.iter().map(|key| Entry { key, value: None }).collect()
}

/// Reports a required key once; the entry is then decoded again with a hole in its place.
fn note_missing(node: NodeDe<'_, '_, '_>, name: &'static str, field: &'static str) -> Error {
    let is_new = node.shared.missing.borrow_mut().insert((node.ix, field));
    let mut error = Error::at(node.ix, format!("`{field}` is missing"), "");
    if let Some(key) = DOCS.key(name, field) {
        error.doc = format!("`{field}`: {}", key.summary());
    }
    error.missing = is_new.then_some(field);
    error
}

/// The entries that the struct knows; the others are reported on the way.
fn known_entries(node: NodeDe<'_, '_, '_>, name: &'static str, fields: &'static [&'static str]) -> Vec<Entry> {
    let source = node.shared.source;
    let field = |text: &str| fields.iter().find(|field| **field == text).copied();
    let mut entries: Vec<Entry> = Vec::new();
    let mut unknown: Vec<(Ix, Ix)> = Vec::new();
    for (key, value) in source.entries(node.ix) {
        let text = source.text(key);
        match field(text) {
            Some(known) => entries.push(Entry { key: known, value: Some(value) }),
            None if others(node).any(|key| key.name == text) => {}
            None => unknown.push((key, value)),
        }
    }
    for (key, value) in unknown {
        let text = source.text(key);
        if spec::is_later(name, text) {
            let help = "delete it: this version of opcell does not have it yet".to_owned();
            node.shared.note(key, format!("`{text}` is not available in this version"), help, After::GoOn);
            continue;
        }
        let meant = match misread(node, fields, key, value) {
            Some((message, help)) => {
                node.shared.note(key, message, help, After::Stop);
                continue;
            }
            None => meaning(node, name, fields, text),
        };
        let misplaced = || {
            let (exact, foreign) = (places::exact, places::foreign);
            let stray = Stray { owner: name, mapping: node.ix, word: text, value };
            match meant {
                Some((known, Likeness::Word)) if is_free(node, name, known, value) => None,
                Some(_) => exact(source, stray),
                None => exact(source, stray).or_else(|| foreign(source, stray)),
            }
        };
        if let Some(misplaced) = misplaced() {
            node.shared.note(key, misplaced.message, misplaced.help, After::Stop);
            continue;
        }
        let meant = meant.map(|(known, _)| known);
        node.shared.note(
            key,
            format!("unknown key `{text}`"),
            suggestion(node, name, fields, meant),
            if meant.is_some() { After::GoOn } else { After::Stop },
        );
        if let Some(known) = meant.and_then(field).filter(|known| !entries.iter().any(|entry| entry.key == *known)) {
            entries.push(Entry { key: known, value: Some(value) });
        }
    }
    let missing = node.shared.missing.borrow();
    entries.extend(missing.iter().filter(|(at, _)| *at == node.ix).map(|(_, key)| Entry { key, value: None }));
    entries
}

/// Whether the value may well be one of the key that another product's word means.
fn is_free(node: NodeDe<'_, '_, '_>, name: &str, known: &str, value: Ix) -> bool {
    let wants_text = DOCS.key(name, known).is_some_and(|key| key.wanted() == "text");
    let is_list = node.shared.source.kind(value) == Kind::Sequence;
    node.shared.source.get(node.ix, known).is_none() && !(wants_text && is_list)
}

/// Why a key is taken for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// It is another product's word.
    Word,
    Spelling,
}

fn meaning(node: NodeDe<'_, '_, '_>, name: &str, fields: &[&str], wrong: &str) -> Option<(&'static str, Likeness)> {
    let lower = wrong.to_lowercase();
    let own = DOCS.keys(name).iter().filter(|key| fields.contains(&key.name.as_str()));
    let all = || own.clone().chain(others(node));
    let foreign = all().find(|key| key.also.contains(&lower)).map(|key| key.name.as_str());
    let near = || nearest(wrong, all().map(|key| key.name.as_str()));
    foreign.map(|key| (key, Likeness::Word)).or_else(|| near().map(|key| (key, Likeness::Spelling)))
}

/// A key that YAML made of something else: `type:Float` without its blank, or the second half of `1,5`.
fn misread(node: NodeDe<'_, '_, '_>, fields: &[&str], key: Ix, value: Ix) -> Option<(String, String)> {
    let source = node.shared.source;
    if source.kind(value) != Kind::Null {
        return None;
    }
    let text = source.text(key);
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some((format!("unknown key `{text}`"), "write a decimal point, not a comma".to_owned()));
    }
    let (word, rest) = text.split_once([':', '='])?;
    let word = word.trim_end();
    let is_known = fields.contains(&word) || others(node).any(|other| other.name == word);
    let shown = source.shown(key);
    let rest = shown.split_once([':', '=']).map_or(rest, |(_, rest)| rest).trim_start();
    is_known.then(|| (format!("a space is missing after `{word}:`"), format!("write `{word}: {rest}`")))
}

/// Keys of the structs that read the same mapping.
fn others(node: NodeDe<'_, '_, '_>) -> impl Iterator<Item = &'static Key> + Clone {
    let structs: Vec<&'static [Key]> = if node.ix == node.shared.root {
        node.shared.keys.other.iter().map(|name| DOCS.keys(name)).collect()
    } else {
        Vec::new()
    };
    structs.into_iter().flatten()
}

fn suggestion(node: NodeDe<'_, '_, '_>, name: &str, fields: &[&str], meant: Option<&str>) -> String {
    let Some(meant) = meant else {
        let other = others(node).map(|key| key.name.as_str());
        return format!("known here: {}", list(fields.iter().copied().chain(other), 24));
    };
    let key = DOCS.key(name, meant).or_else(|| others(node).find(|key| key.name == meant));
    let doc = key.map(Key::summary).unwrap_or_default();
    let hint = format!("did you mean `{meant}`?");
    if doc.is_empty() { hint } else { format!("{hint} {doc}") }
}

struct Fields<'s, 'a, 'f> {
    node: NodeDe<'s, 'a, 'f>,
    name: &'static str,
    entries: std::vec::IntoIter<Entry>,
    value: Option<Entry>,
}

impl<'a> de::MapAccess<'a> for Fields<'_, 'a, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.value = self.entries.next();
        match &self.value {
            Some(entry) => seed.deserialize(IntoDeserializer::<Error>::into_deserializer(entry.key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let entry = self.value.take().expect("a value follows its key");
        let Some(ix) = entry.value else {
            return seed.deserialize(HoleDe { ix: self.node.ix });
        };
        let limits = DOCS.key(self.name, entry.key).and_then(|key| key.limits);
        let value = NodeDe { ix, limits, field: Some((self.name, entry.key)), ..self.node };
        if value.kind() == Kind::Null && !value.is_hole() {
            let what = DOCS.key(self.name, entry.key).map_or("a value", Key::wanted);
            return value.wanted(what, "");
        }
        value.place(seed.deserialize(value))
    }
}

/// The two halves of an `At`.
pub(super) struct Pair<'s, 'a, 'f> {
    pub node: NodeDe<'s, 'a, 'f>,
    pub step: u8,
}

impl<'a> de::SeqAccess<'a> for Pair<'_, 'a, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.step += 1;
        match self.step {
            1 => seed.deserialize(IntoDeserializer::<Error>::into_deserializer(self.node.ix.0)).map(Some),
            2 => self.node.place(seed.deserialize(self.node)).map(Some),
            _ => Ok(None),
        }
    }
}

pub(super) struct Elements<'s, 'a, 'f> {
    node: NodeDe<'s, 'a, 'f>,
    elements: std::vec::IntoIter<Ix>,
}

impl<'s, 'a, 'f> Elements<'s, 'a, 'f> {
    pub(crate) fn of(node: NodeDe<'s, 'a, 'f>) -> Elements<'s, 'a, 'f> {
        let elements: Vec<Ix> = node.shared.source.children(node.ix).collect();
        Elements { node, elements: elements.into_iter() }
    }

    /// A scalar as a list of itself.
    pub(crate) fn one(node: NodeDe<'s, 'a, 'f>) -> Elements<'s, 'a, 'f> {
        Elements { node, elements: vec![node.ix].into_iter() }
    }

    pub(crate) fn empty(node: NodeDe<'s, 'a, 'f>) -> Elements<'s, 'a, 'f> {
        Elements { node, elements: Vec::new().into_iter() }
    }

    /// The hole itself, `length` times.
    pub(crate) fn holes(node: NodeDe<'s, 'a, 'f>, length: usize) -> Elements<'s, 'a, 'f> {
        Elements { node, elements: vec![node.ix; length].into_iter() }
    }
}

impl<'a> de::SeqAccess<'a> for Elements<'_, 'a, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        match self.elements.next() {
            Some(ix) => {
                let element = NodeDe { ix, ..self.node };
                element.place(seed.deserialize(element)).map(Some)
            }
            None => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.elements.len())
    }
}

/// Entries of a mapping by name.
pub(super) struct Entries<'s, 'a, 'f> {
    node: NodeDe<'s, 'a, 'f>,
    entries: std::vec::IntoIter<(Ix, Ix)>,
    value: Option<Ix>,
}

impl<'s, 'a, 'f> Entries<'s, 'a, 'f> {
    pub(crate) fn of_map(node: NodeDe<'s, 'a, 'f>) -> Entries<'s, 'a, 'f> {
        let entries: Vec<_> = if node.is_hole() { Vec::new() } else { node.shared.source.entries(node.ix).collect() };
        Entries { node, entries: entries.into_iter(), value: None }
    }
}

impl<'a> de::MapAccess<'a> for Entries<'_, 'a, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(NodeDe { ix: key, limits: None, field: None, ..self.node }).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let ix = self.value.take().expect("a value follows its key");
        let value = NodeDe { ix, limits: None, field: None, ..self.node };
        value.place(seed.deserialize(value))
    }
}
