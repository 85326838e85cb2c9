//! Facts about the keys of the spec structs: doc text, range, names in other products.
//!
//! It is read out of the JSON Schema that `schemars` makes of the structs, so schema, reference, range checks and
//! suggestions have one source. The structs of a driver are found by the driver's name (`driver_keys`), all others by their own.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::driver_keys::{self, DriverKeys};
use super::spec;
pub(crate) use crate::value::{did_you_mean, list, nearest};

/// One key of a spec struct.
#[derive(Debug, Clone, Default)]
pub(crate) struct Key {
    pub name: String,
    pub doc: String,
    pub limits: Option<(f64, f64)>,
    /// Names of the key in other products.
    pub also: Vec<String>,
    pub required: bool,
    pub schema: Value,
}

#[derive(Debug, Default)]
pub(crate) struct Docs {
    structs: HashMap<String, Vec<Key>>,
    /// In the order of the reference.
    pub order: Vec<Section>,
    /// Words of each enumeration, with the doc text of each.
    pub words: HashMap<String, Vec<(String, String)>>,
    drivers: Vec<OfDriver>,
}

/// A struct of the reference.
#[derive(Debug)]
pub(crate) struct Section {
    pub name: String,
    pub title: String,
    pub about: String,
}

/// Names of the structs that read the keys of a driver.
#[derive(Debug)]
pub(crate) struct OfDriver {
    pub driver: &'static str,
    pub connection: String,
    /// `None` for a driver without point keys.
    pub source: Option<String>,
}

pub(crate) static DOCS: LazyLock<Docs> = LazyLock::new(Docs::make);

impl Key {
    /// The first sentence of the doc text.
    pub(crate) fn summary(&self) -> &str {
        self.doc.split_inclusive(". ").next().unwrap_or_default().trim_end()
    }

    /// The kind of value that the key needs, in words.
    pub(crate) fn wanted(&self) -> &'static str {
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

/// The title of a struct in the reference.
fn title(name: &str) -> &str {
    match name {
        "NodeSpec" => "Node",
        "SourceSpec" => "Source",
        "OwnRole" => "Role",
        name => name,
    }
}

impl Docs {
    fn make() -> Docs {
        let mut docs = Docs::default();
        let own = driver_keys::definitions_of(spec::each_root);
        let drivers = driver_keys::all(&own);
        for (name, schema) in &own {
            docs.add(name, title(name), schema);
            match name.as_str() {
                "Connection" => drivers.iter().for_each(|driver| docs.add_connection(driver)),
                "SourceSpec" => docs.add_sources(&drivers),
                _ => {}
            }
        }
        docs
    }

    fn add_connection(&mut self, keys: &DriverKeys) {
        let connection = driver_keys::connection_name(keys.driver);
        self.add(&connection, &format!("Connection, driver `{}`", keys.driver), &keys.settings);
        let source = keys.point.as_ref().map(|_| driver_keys::source_name(keys.driver));
        self.drivers.push(OfDriver { driver: keys.driver, connection, source });
        for (name, schema) in &keys.definitions {
            if !self.structs.contains_key(name) && !self.words.contains_key(name) {
                self.add(
                    name,
                    &format!("{}, driver `{}`", name.split(',').next().unwrap_or(name), keys.driver),
                    schema,
                );
            }
        }
    }

    /// Drivers of one family may have the same point keys: these are one section.
    fn add_sources(&mut self, drivers: &[DriverKeys]) {
        let mut left: Vec<&DriverKeys> = drivers.iter().filter(|keys| keys.point.is_some()).collect();
        while let Some(first) = left.first().copied() {
            let is_same = |keys: &&DriverKeys| keys.point == first.point;
            let names: Vec<_> =
                left.iter().filter(|keys| is_same(keys)).map(|keys| format!("`{}`", keys.driver)).collect();
            let title = format!("Source, driver {}", names.join(" or "));
            let Some(schema) = &first.point else { return };
            self.add(&driver_keys::source_name(first.driver), &title, schema);
            for other in left.iter().skip(1).filter(|keys| is_same(keys)) {
                let keys = self.keys(&driver_keys::source_name(first.driver)).to_vec();
                self.structs.insert(driver_keys::source_name(other.driver), keys);
            }
            left.retain(|keys| !is_same(keys));
        }
    }

    /// Name of the struct that reads the connections of a driver of the list.
    pub(crate) fn connection_of(&self, driver: &str) -> &str {
        let known = self.drivers.iter().find(|known| known.driver == driver);
        known.map_or("Connection", |known| &known.connection)
    }

    /// Name of the struct that reads the sources of a driver of the list, if it has keys at all.
    pub(crate) fn source_of(&self, driver: &str) -> Option<&str> {
        self.drivers.iter().find(|known| known.driver == driver)?.source.as_deref()
    }

    /// Names of the structs of each driver.
    pub(crate) fn drivers(&self) -> &[OfDriver] {
        &self.drivers
    }

    /// Name of a struct below a driver's own: the driver's, or one that it shares with others.
    pub(crate) fn nested<'a>(&'a self, driver: &str, name: &'a str) -> &'a str {
        let own = driver_keys::nested_name(name, driver);
        self.structs.get_key_value(&own).map_or(name, |(own, _)| own)
    }

    fn add(&mut self, name: &str, title: &str, schema: &Value) {
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
        let about = text_of(schema, "description");
        self.order.push(Section { name: name.to_owned(), title: title.to_owned(), about });
    }

    pub(crate) fn keys(&self, name: &str) -> &[Key] {
        self.structs.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn key(&self, name: &str, key: &str) -> Option<&Key> {
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
        // A format that only marks a number as unsigned.
        (Some(0.0), None) => None,
        (low, high) => Some((low.unwrap_or(f64::MIN), high.unwrap_or(f64::MAX))),
    }
}

fn words_of(value: &Value) -> Vec<String> {
    let words = value.get("x-also").and_then(Value::as_array).into_iter().flatten();
    words.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_foreign_word_is_a_key_of_its_own_struct() {
        assert!(DOCS.order.len() > 20, "{:?}", DOCS.order);
        for Section { name, .. } in &DOCS.order {
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
        for Section { name, .. } in &DOCS.order {
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
