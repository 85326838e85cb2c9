//! What the spec structs say about their keys: doc line, range, words that others use.
//!
//! It is read out of the JSON Schema that `schemars` makes of the structs, so schema, reference, range checks and
//! suggestions have one source. Structs are found by name, so each name may be used once in the whole schema.

use std::collections::HashMap;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

/// One key of a spec struct.
#[derive(Debug, Clone, Default)]
pub struct Key {
    pub name: String,
    pub doc: String,
    pub limits: Option<(f64, f64)>,
    /// What other products call it.
    pub also: Vec<String>,
    pub required: bool,
    pub schema: Value,
}

#[derive(Debug, Default)]
pub struct Docs {
    structs: HashMap<String, Vec<Key>>,
    /// In the order of the reference.
    pub order: Vec<(String, String)>,
    /// Words of each enumeration, with what is said about each.
    pub words: HashMap<String, Vec<(String, String)>>,
}

pub static DOCS: LazyLock<Docs> = LazyLock::new(|| {
    let mut docs = Docs::default();
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    super::reference::each(&mut generator);
    for (name, schema) in generator.take_definitions(true) {
        docs.add(&name, &schema);
    }
    docs
});

impl Key {
    /// What a value of it must be, in words.
    pub fn wanted(&self) -> &'static str {
        let kind = self.schema.get("type");
        let kind = kind.and_then(|kind| kind.as_str().or_else(|| kind.as_array()?.first()?.as_str()));
        match kind {
            Some("string") => "text",
            Some("integer") => "a whole number",
            Some("number") => "a number",
            Some("boolean") => "true or false",
            Some("array") => "a list",
            Some("object") => "a mapping",
            _ => "a value",
        }
    }
}

impl Docs {
    fn add(&mut self, name: &str, schema: &Value) {
        let words = words_in(schema);
        if !words.is_empty() {
            self.words.insert(name.to_owned(), words);
        }
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let keys = properties.iter().map(|(key, value)| Key {
            name: key.clone(),
            doc: text_of(value, "description"),
            limits: limits_of(value),
            also: words_of(value),
            required: required.contains(&key.as_str()),
            schema: value.clone(),
        });
        self.structs.insert(name.to_owned(), keys.collect());
        self.order.push((name.to_owned(), text_of(schema, "description")));
    }

    pub fn keys(&self, name: &str) -> &[Key] {
        self.structs.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn key(&self, name: &str, key: &str) -> Option<&Key> {
        self.keys(name).iter().find(|at| at.name == key)
    }
}

/// Words of an enumeration: those of `enum`, and each `const` of its choices with its description.
fn words_in(schema: &Value) -> Vec<(String, String)> {
    let shown = |word: &Value| word.as_str().map_or_else(|| word.to_string(), str::to_owned);
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let mut words: Vec<(String, String)> = listed.map(|word| (shown(word), String::new())).collect();
    for choice in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        words.extend(words_in(choice));
        words.extend(choice.get("const").map(|word| (shown(word), text_of(choice, "description"))));
    }
    words
}

fn text_of(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or("").replace('\n', " ")
}

fn limits_of(value: &Value) -> Option<(f64, f64)> {
    let bound = |key: &str| value.get(key).and_then(Value::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (None, None) => None,
        // Only says that the number is unsigned.
        (Some(0.0), None) => None,
        (low, high) => Some((low.unwrap_or(f64::MIN), high.unwrap_or(f64::MAX))),
    }
}

fn words_of(value: &Value) -> Vec<String> {
    let words = value.get("x-also").and_then(Value::as_array).into_iter().flatten();
    words.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The name that `wrong` most likely means: what others call it first, then the nearest by spelling; a wrong hint
/// is worse than none.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for name in known {
        let distance = strsim::osa_distance(&lower, &name.to_lowercase());
        let most = (lower.chars().count().min(name.chars().count()) / 3).max(1);
        let better = best.is_none_or(|(least, other)| (distance, name) < (least, other));
        if distance <= most && better && lower.chars().count() > distance {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// `; did you mean …` as a help line, or nothing.
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wrong, known).map(|name| format!("did you mean `{name}`?")).unwrap_or_default()
}

/// The first `most` of a list in words, each in code quotes.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let all: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    let more = if all.len() > most { ", …" } else { "" };
    format!("{}{more}", all[..all.len().min(most)].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_foreign_word_is_a_key_of_its_own_struct() {
        assert!(DOCS.order.len() > 20, "{:?}", DOCS.order);
        for (name, _) in &DOCS.order {
            for key in DOCS.keys(name) {
                for word in &key.also {
                    assert!(DOCS.key(name, word).is_none(), "`{word}` of {name}.{} is a key of {name}", key.name);
                    assert_eq!(*word, word.to_lowercase(), "{name}.{}", key.name);
                }
            }
        }
    }

    #[test]
    fn every_key_has_a_doc_line() {
        for (name, _) in &DOCS.order {
            for key in DOCS.keys(name) {
                assert!(!key.doc.is_empty(), "{name}.{}", key.name);
            }
        }
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["scale", "source", "unit", "range", "id"];
        for (wrong, right) in [
            ("scael", Some("scale")),
            ("Source", Some("source")),
            ("soruce", Some("source")),
            ("untis", None),
            ("utni", None),
            ("unti", Some("unit")),
            ("parsnip", None),
            ("x", None),
        ] {
            assert_eq!(nearest(wrong, known), right, "{wrong}");
        }
    }
}
