//! `docs/reference.md`, made from the spec structs and from the tables that the program reads by.

mod notes;

use serde_json::Value;

use super::docs::{DOCS, Key};
use super::{driver, spec};

/// Meaning of the exit code of every verb, for the help and the reference.
pub const EXIT_CODES: &str =
    "Exit codes: 0 done (also with warnings), 1 failed, 2 wrong arguments or a file with errors";

/// Names of the structs as the reference prints them.
const TITLES: [(&str, &str); 7] = [
    ("TcpSettings", "Connection, driver `modbus-tcp`"),
    ("RtuSettings", "Connection, driver `modbus-rtu`"),
    ("Settings", "Connection, driver `simulator`"),
    ("RegisterPoint", "Source of a Modbus tag"),
    ("NodeSpec", "Node"),
    ("SourceSpec", "Source"),
    ("OwnRole", "Role"),
];

/// Every key with its type, range, default and meaning, and how values are written, as Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Reference of schema 1\n\nMade from the program. `opcell schema cell`, `included` and `server` print the same for editors.\n\n",
    );
    out.push_str(&notes::all());
    out.push_str("\n# Every key\n");
    for (name, about) in &DOCS.order {
        out.push_str(&format!("\n## {}\n\n{about}\n\n", title(name)));
        out.push_str("| key | type | range | default | meaning |\n|---|---|---|---|---|\n");
        for key in DOCS.keys(name) {
            out.push_str(&row(name, key));
        }
    }
    out
}

fn title(name: &str) -> &str {
    TITLES.iter().find(|(known, _)| *known == name).map_or(name, |(_, title)| title)
}

/// Defaults that the schema of a struct can't say: words, durations, and what follows from other keys.
#[rustfmt::skip]
const DEFAULTS: [(&str, &str, &str); 29] = [
    ("TcpSettings", "framing", "tcp"), ("TcpSettings", "word_order", "high-first"), ("TcpSettings", "pause", "0ms"),
    ("TcpSettings", "invalid", "none"), ("RtuSettings", "framing", "rtu"), ("RtuSettings", "word_order", "high-first"),
    ("RtuSettings", "parity", "even"), ("RtuSettings", "data_bits", "8; 7 for ascii"),
    ("RtuSettings", "pause", "3.5 characters, at least 1750 µs"), ("RtuSettings", "invalid", "none"),
    ("RegisterPoint", "raw_type", "follows `type`"), ("RegisterPoint", "word_order", "the connection's"),
    ("RegisterPoint", "swap_bytes", "the connection's"), ("RegisterPoint", "invalid", "the connection's"),
    ("TcpSettings", "write_function", "auto"), ("TcpSettings", "mask_write", "auto"),
    ("RtuSettings", "write_function", "auto"), ("RtuSettings", "mask_write", "auto"),
    ("RegisterPoint", "nan", "false"), ("RegisterPoint", "chars_per_register", "2"),
    ("RegisterPoint", "charset", "utf-8; on reads Latin-1 where the bytes are not valid"),
    ("RegisterPoint", "split", "false"), ("RegisterPoint", "write_function", "the connection's"),
    ("RegisterPoint", "mask_write", "the connection's"),
    ("Connection", "description", "none"), ("SourceSpec", "connection", "inherited"), ("SourceSpec", "poll", "inherited"),
    ("NodeSpec", "wraps", "false"), ("NodeSpec", "enabled", "true"),
];

fn row(owner: &str, key: &Key) -> String {
    let range = key.limits.map_or_else(String::new, |(low, high)| format!("{low}..{high}"));
    let (doc, said) = without_default(&key.doc);
    let table = DEFAULTS.iter().find(|(name, word, _)| *name == owner && *word == key.name);
    let default = match (default_of(&key.schema), table) {
        _ if key.required => "**required**".to_owned(),
        (_, Some((.., default))) => (*default).to_owned(),
        (Some(default), None) => default,
        (None, None) => said,
    };
    let cell = |text: &str| text.replace('|', "\\|");
    format!("| `{}` | {} | {range} | {} | {} |\n", key.name, cell(&type_of(key)), cell(&default), cell(&doc))
}

/// The text without its `(default …)`, and what that says.
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
        return Some(words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" "));
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

/// Keeps the drivers' structs among those of the reference.
pub(super) fn each(generator: &mut schemars::SchemaGenerator) {
    spec::each_root(generator);
    driver::each_settings(generator);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::drivers::modbus::{
        MaskWrite, Parity, RtuSettings, SerialFraming, TcpFraming, TcpSettings, WordOrder, WriteFunction,
    };

    #[test]
    fn every_key_of_a_driver_says_its_default() {
        for owner in ["Connection", "TcpSettings", "RtuSettings", "Settings", "RegisterPoint"] {
            for key in DOCS.keys(owner) {
                let row = row(owner, key);
                let default = row.split(" | ").nth(3).unwrap_or_default();
                assert!(!default.trim().is_empty(), "{owner}.{}: {row}", key.name);
            }
        }
        for (owner, key, _) in DEFAULTS {
            assert!(DOCS.key(owner, key).is_some(), "{owner}.{key}");
        }
    }

    #[test]
    fn the_defaults_of_the_table_are_those_that_are_read() {
        let tcp: TcpSettings = serde_json::from_value(json!({ "host": "" })).expect("nothing else is required");
        assert_eq!(
            (tcp.framing, tcp.word_order, tcp.pause.to_string()),
            (TcpFraming::Tcp, WordOrder::HighFirst, "0ms".into())
        );
        assert!(tcp.invalid.is_empty());
        assert_eq!((tcp.write_function, tcp.mask_write), (WriteFunction::Auto, MaskWrite::Auto));
        let rtu: RtuSettings = serde_json::from_value(json!({ "serial": "" })).expect("nothing else is required");
        assert_eq!((rtu.framing, rtu.word_order, rtu.parity), (SerialFraming::Rtu, WordOrder::HighFirst, Parity::Even));
        assert_eq!((rtu.write_function, rtu.mask_write), (WriteFunction::Auto, MaskWrite::Auto));
        assert!(rtu.invalid.is_empty() && rtu.data_bits.is_none() && rtu.pause.is_none());
    }
}
