//! The list of the keys of the server file, against the schema and the page on reload; and the files that decide it all.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use opcell::testing::config::{self, Memory, Options, Which};
use opcell::testing::model::{SERVER_KEYS, ServerKey, Takes};
use serde_json::Value;

/// The struct that a schema names, through `anyOf` and `allOf`.
fn reference(schema: &Value) -> Option<&str> {
    let of_choice = || ["anyOf", "allOf"].iter().filter_map(|key| schema[key].as_array()).flatten().find_map(reference);
    schema["$ref"].as_str().and_then(|text| text.strip_prefix("#/$defs/")).or_else(of_choice)
}

/// Every key of a struct and of the structs below it. Keys below names of the operator's own are not counted.
fn keys(root: &Value, schema: &Value, section: &str, found: &mut Vec<String>) {
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        let below = reference(inner).map(|name| &root["$defs"][name]).filter(|below| below["properties"].is_object());
        match below {
            Some(below) => keys(root, below, &path, found),
            None => found.push(path),
        }
    }
}

#[test]
fn every_key_of_the_server_file_is_in_the_list_once() {
    let schema = config::schema(Which::Server);
    let mut of_schema = Vec::new();
    keys(&schema, &schema, "", &mut of_schema);
    let of_list: Vec<&str> = SERVER_KEYS.iter().map(|key| key.key).collect();
    let unique: BTreeSet<&str> = of_list.iter().copied().collect();
    assert_eq!(unique.len(), of_list.len(), "a key is there twice");
    assert_eq!(of_schema.iter().map(String::as_str).collect::<BTreeSet<_>>(), unique);
}

/// The keys that a table of the page names, as `` `key` `` in its first column.
fn table<'p>(page: &'p str, heading: &str) -> BTreeSet<&'p str> {
    let section = page.split(heading).nth(1).expect("the heading");
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.split('`').nth(1)).collect()
}

#[test]
fn the_page_on_reload_names_each_key_in_its_table() {
    let page = fs::read_to_string("docs/reload.md").expect("docs/reload.md");
    let restart: BTreeSet<&str> =
        SERVER_KEYS.iter().filter(|key| !matches!(key.takes, Takes::Live)).map(|key| key.key).collect();
    assert_eq!(table(&page, "### Keys that wait for the next start"), restart);
    // A section stands for all its keys that are live.
    let live = SERVER_KEYS.iter().filter(|key| !matches!(key.takes, Takes::Restart(_)));
    let named = table(&page, "### Keys that a reload takes");
    let is_named = |key: &str| named.iter().any(|name| key == *name || key.starts_with(&format!("{name}.")));
    let missing: Vec<&str> =
        live.map(|ServerKey { key, .. }| *key).filter(|key| *key != "schema" && !is_named(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let unknown: Vec<_> = named
        .iter()
        .filter(|name| !SERVER_KEYS.iter().any(|key| key.key == **name || key.key.starts_with(&format!("{name}."))))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// All files that the text of a configuration depends on, those that are missing included.
#[test]
fn every_file_that_is_named_is_known() {
    let server = "schema: 1\ncells: [gone.yaml, 'cells/*.yaml']\nusers:\n  a: { password_hash: '${file:hash.txt}', roles: [] }\n";
    let cell = "schema: 1\ncell: press\ninclude: [more.yaml]\nconnections:\n  \
                plc: { driver: modbus-tcp, host: '${file:host.txt}' }\nnodes:\n  Table: { rows: rows.csv }\n";
    let mut memory = Memory::default();
    let files =
        [("etc/server.yaml", server), ("etc/cells/press.yaml", cell), ("etc/cells/rows.csv", "name,type,source\n")];
    for (path, text) in files {
        memory.files.insert(path.into(), text.as_bytes().to_vec());
    }
    let (_, report) = config::load_from(&memory, Path::new("etc/server.yaml"), &Options::default());
    let found: BTreeSet<String> = report.named.files.iter().map(|file| file.path.display().to_string()).collect();
    let wanted = [
        "etc/cells/host.txt",
        "etc/cells/more.yaml",
        "etc/cells/press.yaml",
        "etc/cells/rows.csv",
        "etc/gone.yaml",
        "etc/hash.txt",
        "etc/server.yaml",
    ];
    assert_eq!(found, wanted.map(str::to_owned).into());
    let patterns: Vec<String> = report.named.patterns.iter().map(|of| of.pattern.display().to_string()).collect();
    assert_eq!(patterns, ["etc/cells/*.yaml"]);
}
