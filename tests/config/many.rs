//! Several mistakes in one entry are found in one run: shipped tags, connections, users and history classes with random
//! sets of independent mistakes planted.

use std::path::Path;

use opcell::testing::config::{self, Memory, Options, Shown};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A key of an entry, the wrong value that replaces what is there, and a part of the message that it must give. A key
/// `a.b` lies in the mapping `a`.
type Mistake = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
const OF_TAGS: [Mistake; 18] = [
    ("type", "\"Flaot\"", "no type `Flaot`"),
    ("colour", "\"red\"", "unknown key `colour`"),
    ("history", "\"proces\"", "no history class `proces`"),
    ("access", "{\"read\": [\"Operater\"]}", "no role `Operater`"),
    ("unit", "\"parsnips\"", "unit `parsnips`"),
    ("range", "[5, 1]", "the low end 5 is not below the high end 1"),
    ("source.address", "\"holdin/1\"", "`holdin"),
    ("source.raw_typ", "\"int16\"", "unknown key `raw_typ`"),
    ("source.poll", "\"5 fortnights\"", "`5 fortnights` is not a duration"),
    ("scale", "{\"factor\": 0}", "`factor` is 0"),
    ("poll", "\"5m\"", "`5m` is not a duration"),
    ("stale_after", "5", "`5` has no unit"),
    ("deadband", "\"x\"", "`x` is not a deadband"),
    ("id", "\"@x\"", "`@x` is not an id"),
    ("display_name", "[1]", "expected text, found a list"),
    ("enabled", "\"yes\"", "expected true or false, found `yes`"),
    ("connection", "\"plx\"", "no connection `plx`"),
    ("children", "{\"X\": {\"type\": \"Flot\", \"value\": 1}}", "no type `Flot`"),
];

#[rustfmt::skip]
const OF_CONNECTIONS: [Mistake; 9] = [
    ("driver", "\"modbus-tpc\"", "no driver `modbus-tpc`"),
    ("port", "99999", "99999 is out of range"),
    ("unit_id", "300", "300 is out of range"),
    ("word_order", "\"little\"", "`little` is not allowed here"),
    ("timeout", "\"soon\"", "`soon` is not a duration"),
    ("retries", "\"twice\"", "expected a whole number, found `twice`"),
    ("allow_write", "\"on\"", "expected true or false, found `on`"),
    ("colour", "1", "unknown key `colour`"),
    ("baud", "9600", "`baud` does not belong here"),
];

#[rustfmt::skip]
const OF_USERS: [Mistake; 3] = [
    ("roles", "[\"Operater\"]", "no role `Operater`"),
    ("password_hash", "\"secret\"", "this is not an Argon2id hash"),
    ("shoe_size", "44", "unknown key `shoe_size`"),
];

#[rustfmt::skip]
const OF_CLASSES: [Mistake; 5] = [
    ("keep", "\"0d\"", "`keep` is 0"),
    ("record", "\"always\"", "`always` is not allowed here"),
    ("max_interval", "\"10 m\"", "is not a duration"),
    ("max_size", "\"20G\"", "`20G` is not a size"),
    ("deadband", "\"-1\"", "`-1` is not a deadband"),
];

const DEMO: &str = include_str!("../../address-space/cells/demo.yaml");
const MODBUS: &str = include_str!("../../address-space/modbus.yaml");

/// Tags of a shipped cell that say their source and a number's type in one line, by line.
fn tags(text: &str) -> Vec<(usize, String, Value)> {
    let parse = |line: &str| {
        let (name, mapping) = line.split_once(": ")?;
        let entry: Value = serde_yaml::from_str(mapping.split(" #").next()?).ok()?;
        let is_number = ["Float", "Double", "Int16", "UInt16", "Int32"].iter().any(|kind| entry["type"] == *kind);
        (is_number && entry.get("source").is_some() && !mapping.contains("\"{")).then(|| (name.to_owned(), entry))
    };
    text.lines().enumerate().filter_map(|(at, line)| parse(line).map(|(name, entry)| (at, name, entry))).collect()
}

fn plant(entry: &mut Value, (key, wrong, _): &Mistake) {
    let wrong: Value = serde_json::from_str(wrong).expect("JSON");
    match key.split_once('.') {
        Some((outer, inner)) => {
            if !entry[outer].is_object() {
                entry[outer] = json!({ "address": entry[outer] });
            }
            entry[outer][inner] = wrong;
        }
        None => entry[*key] = wrong,
    }
}

/// All messages of the file, and what was drawn for a failure.
fn messages(files: &[(&str, String)]) -> (Vec<String>, String) {
    let mut memory = Memory::default();
    memory.files.extend(files.iter().map(|(path, text)| (path.into(), text.clone().into_bytes())));
    let (_, report) = config::load_from(&memory, Path::new(files[0].0), &Options::default());
    let messages = report.findings.iter().map(|finding| finding.message.clone()).collect();
    (messages, report.render(Shown::All))
}

/// Every planted mistake gives one finding, and nothing else is found but what names the node's `type` and `children`.
fn check(planted: &[Mistake], files: &[(&str, String)]) -> Result<(), TestCaseError> {
    let (found, drawn) = messages(files);
    for (key, _, wanted) in planted {
        prop_assert!(found.iter().any(|message| message.contains(wanted)), "{key}: `{wanted}` is not in\n{drawn}");
    }
    let of_children = planted.iter().any(|(key, ..)| *key == "children");
    let most = planted.len() + usize::from(of_children);
    prop_assert!(found.len() <= most, "{} findings for {planted:?}\n{drawn}", found.len());
    Ok(())
}

fn some(of: &'static [Mistake], most: usize) -> impl Strategy<Value = Vec<Mistake>> {
    prop::sample::subsequence(of.to_vec(), 1..=most.min(of.len()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn mistakes_in_one_tag_are_all_found(planted in some(&OF_TAGS, 8), pick in 0..1_000_usize, demo in any::<bool>()) {
        let text = if demo { DEMO } else { MODBUS };
        let tags = tags(text);
        prop_assert!(tags.len() >= 5);
        let (line, name, mut entry) = tags[pick % tags.len()].clone();
        let planted: Vec<Mistake> = planted.into_iter().map(|mistake| match mistake {
            ("source.address", ..) if demo => ("source.address", "\"sien(mean=1)\"", "`sien"),
            ("source.raw_typ", ..) if demo => ("source.spel", "1", "unknown key `spel`"),
            other => other,
        }).collect();
        planted.iter().for_each(|mistake| plant(&mut entry, mistake));
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[line] = format!("{name}: {entry}");
        check(&planted, &[("cell.yaml", lines.join("\n"))])?;
    }

    #[test]
    fn mistakes_in_one_connection_are_all_found(planted in some(&OF_CONNECTIONS, 6)) {
        let mut entry = json!({ "driver": "modbus-tcp", "host": "10.0.0.5", "allow_write": true });
        planted.iter().for_each(|mistake| plant(&mut entry, mistake));
        let (head, nodes) = (MODBUS.find("connections:").expect("a section"), MODBUS.find("defaults:").expect("a section"));
        let text = format!("{}connections:\n  plc1: {entry}\n\n{}", &MODBUS[..head], &MODBUS[nodes..]);
        check(&planted, &[("cell.yaml", text)])?;
    }

    #[test]
    fn mistakes_in_one_user_and_one_class_are_all_found(of_user in some(&OF_USERS, 3), of_class in some(&OF_CLASSES, 5)) {
        let mut user = json!({ "roles": ["Operator"], "password_hash": "$argon2id$x" });
        of_user.iter().for_each(|mistake| plant(&mut user, mistake));
        let mut class = json!({ "keep": "400d" });
        of_class.iter().for_each(|mistake| plant(&mut class, mistake));
        let server = format!("schema: 1\ncells: [cell.yaml]\nusers:\n  ann: {user}\n");
        let cell = format!("schema: 1\ncell: a\nhistory:\n  own: {class}\n");
        let planted: Vec<Mistake> = of_user.into_iter().chain(of_class).collect();
        check(&planted, &[("server.yaml", server), ("cell.yaml", cell)])?;
    }
}
