//! `docs/reference.md`, made from the spec structs and from the tables that the program reads by.

mod notes;

use serde_json::Value;

use super::docs::{DOCS, Key, Section};
use crate::model::{SERVER_KEYS, ServerKey, Takes};

/// Meaning of the exit code of every verb, for the help and the reference.
pub const EXIT_CODES: &str =
    "Exit codes: 0 done (also with warnings), 1 failed, 2 wrong arguments or a file with errors";

/// Every key with its type, range, default and meaning, and how values are written, as Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Reference of schema 1\n\nThis page is generated from the program. `opcell schema cell`, `opcell schema included` and `opcell schema server` print the\nsame keys as JSON Schemas for editors.\n\n",
    );
    out.push_str(&notes::all());
    out.push_str("\n# Every key\n");
    for Section { name, title, about } in &DOCS.order {
        out.push_str(&format!("\n## {title}\n\n{about}\n\n"));
        out.push_str("| key | type | range | default | meaning |\n|---|---|---|---|---|\n");
        for key in DOCS.keys(name) {
            out.push_str(&row(key));
        }
    }
    out.push_str(&taken_when());
    out
}

/// The keys of the server file by the time at which a running server takes them.
fn taken_when() -> String {
    let mut out = String::from(
        "\n# Reload of the server file\n\nA reload takes every key of the server file but these, which wait for the next start:\n\n\
         | key | waits for the next start |\n|---|---|\n",
    );
    for ServerKey { key, takes } in SERVER_KEYS {
        match takes {
            Takes::Live => {}
            Takes::LiveWithin { bound, .. } => out.push_str(&format!("| `{key}` | {bound} |\n")),
            Takes::Restart(_) => out.push_str(&format!("| `{key}` | always |\n")),
        }
    }
    out
}

fn row(key: &Key) -> String {
    let range = key.limits.map_or_else(String::new, |(low, high)| format!("{low}..{high}"));
    let (doc, said) = without_default(&key.doc);
    let default = match default_of(&key.schema) {
        _ if key.required => "**required**".to_owned(),
        _ if !said.is_empty() => said,
        default => default.unwrap_or_default(),
    };
    let cell = |text: &str| text.replace('|', "\\|");
    format!("| `{}` | {} | {range} | {} | {} |\n", key.name, cell(&type_of(key)), cell(&default), cell(&doc))
}

/// The text without its `(default …)`, and the default.
fn without_default(doc: &str) -> (String, String) {
    let Some((before, rest)) = doc.split_once(" (default") else { return (doc.to_owned(), String::new()) };
    let mut depth = 1;
    let end = rest.char_indices().find(|(_, c)| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth == 0
    });
    let Some((end, _)) = end else { return (doc.to_owned(), String::new()) };
    let said = rest[..end].trim_start_matches([':', ' ']).to_owned();
    (format!("{before}{}", &rest[end + 1..]), said)
}

/// The default that the struct itself gives.
fn default_of(schema: &Value) -> Option<String> {
    match schema.get("default")? {
        Value::Null => None,
        Value::Array(list) if list.is_empty() => Some("[]".to_owned()),
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn type_of(key: &Key) -> String {
    word_of(&key.schema).unwrap_or_else(|| "value".to_owned())
}

/// A type in words; of an enumeration its words, of another struct its title.
fn word_of(schema: &Value) -> Option<String> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or(reference).replace("%20", " ");
        let words = DOCS.words.get(&name);
        return Some(words.map_or_else(|| title(&name).to_owned(), |words| listed(words)));
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let words: Vec<_> = choices.iter().filter(|one| one["type"] != "null").filter_map(word_of).collect();
        return Some(words.join(" or "));
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let shown = |word: &Value| word.as_str().map_or_else(|| word.to_string(), str::to_owned);
        let words = words.iter().filter(|word| !word.is_null()).map(|word| format!("`{}`", shown(word)));
        return Some(words.collect::<Vec<_>>().join(" "));
    }
    let kind = schema.get("type")?;
    let kinds: Vec<&str> = match kind {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let unit = schema.get("x-unit").and_then(Value::as_str).unwrap_or_default();
    let words = kinds.iter().map(|kind| match *kind {
        "string" if unit.contains('%') => "N%".to_owned(),
        "string" if unit.starts_with("ms ") => "duration".to_owned(),
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

fn listed(words: &[(String, String)]) -> String {
    words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(" ")
}

/// The title of a struct in the reference.
fn title(name: &str) -> &str {
    DOCS.order.iter().find(|section| section.name == name).map_or(name, |section| &section.title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_driver_says_its_default() {
        let of_drivers = DOCS.drivers().iter().flat_map(|of| [Some(&of.connection), of.source.as_ref()]).flatten();
        for owner in of_drivers.map(String::as_str).chain(["Connection"]) {
            for key in DOCS.keys(owner) {
                let row = row(key);
                let default = row.split(" | ").nth(3).unwrap_or_default();
                assert!(!default.trim().is_empty(), "{owner}.{}: {row}", key.name);
            }
        }
    }
}
