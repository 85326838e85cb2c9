//! `docs/reference.md`, made from the spec structs.

use serde_json::Value;

use super::docs::{DOCS, Key};
use super::{driver, spec};

/// Names of the structs as the reference prints them.
const TITLES: [(&str, &str); 5] = [
    ("TcpSettings", "Connection, driver `modbus-tcp`"),
    ("RtuSettings", "Connection, driver `modbus-rtu`"),
    ("Settings", "Connection, driver `simulator`"),
    ("RegisterPoint", "Source of a Modbus tag"),
    ("OwnRole", "Role"),
];

/// Every key with its type, range and meaning, as Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Every key of schema 1\n\nMade from the program; `opcell schema` prints the same for editors. \
         A duration is a number and one of ms, s, min, h, d, y.\n",
    );
    for (name, about) in &DOCS.order {
        let title = TITLES.iter().find(|(known, _)| known == name).map_or(name.as_str(), |(_, title)| title);
        out.push_str(&format!("\n## {title}\n\n{about}\n\n| key | type | range | meaning |\n|---|---|---|---|\n"));
        for key in DOCS.keys(name) {
            let range = key.limits.map_or_else(String::new, |(low, high)| format!("{low}..{high}"));
            let required = if key.required { " **Required.**" } else { "" };
            let doc = key.doc.replace('|', "\\|");
            out.push_str(&format!("| `{}` | {} | {range} | {doc}{required} |\n", key.name, type_of(key)));
        }
    }
    out
}

fn type_of(key: &Key) -> String {
    word_of(&key.schema).unwrap_or_else(|| "value".to_owned())
}

fn word_of(schema: &Value) -> Option<String> {
    let target = |text: &str| text.rsplit('/').next().unwrap_or(text).to_owned();
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return Some(target(reference));
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let words: Vec<_> = choices.iter().filter(|one| one["type"] != "null").filter_map(word_of).collect();
        return Some(words.join(" or "));
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().map(Value::to_string).collect::<Vec<_>>().join(" "));
    }
    let kind = schema.get("type")?;
    let kinds: Vec<&str> = match kind {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let words = kinds.iter().map(|kind| match *kind {
        "string" if schema.get("x-unit").is_some() && schema.get("pattern").is_some() => "duration".to_owned(),
        "string" => "text".to_owned(),
        "boolean" => "true/false".to_owned(),
        "array" => match schema.get("items").and_then(word_of) {
            Some(inner) => format!("list of {inner}"),
            None => "list".to_owned(),
        },
        "object" => match schema.get("additionalProperties").and_then(word_of) {
            Some(inner) => format!("{inner} by name"),
            None => "mapping".to_owned(),
        },
        other => other.to_owned(),
    });
    Some(words.collect::<Vec<_>>().join(" or "))
}

/// Keeps the drivers' structs among those of the reference.
pub(super) fn each(generator: &mut schemars::SchemaGenerator) {
    spec::each_root(generator);
    driver::each_settings(generator);
}
