//! Properties of every shipped file and of any bytes at all: typos are found at their place, another YAML reader
//! sees the same, nothing panics, and the generated documents are current.

use std::fs;
use std::path::{Path, PathBuf};

use opcell::testing::config::{self, Memory, Options, Severity, Shown};
use opcell::testing::drivers;
use proptest::prelude::*;

const EXAMPLES: [&str; 9] = [
    "address-space/hello.yaml",
    "address-space/modbus.yaml",
    "address-space/cells/demo.yaml",
    "address-space/server.yaml",
    "address-space/tutorial.yaml",
    "address-space/publish.yaml",
    "address-space/structures.yaml",
    "address-space/formulas.yaml",
    "address-space/alarms.yaml",
];

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The example of each driver.
fn driver_examples() -> Vec<String> {
    let files = fs::read_dir("address-space/drivers").expect("the examples of the drivers");
    let paths = files.map(|file| file.expect("an entry").path().to_string_lossy().into_owned());
    let mut paths: Vec<String> = paths.filter(|path| path.ends_with(".yaml")).collect();
    paths.sort();
    paths
}

#[test]
fn each_driver_has_a_page_and_an_example() {
    // The first drivers have theirs in the README, in modbus.yaml and in device-notes.md.
    for name in drivers::names().filter(|name| !["simulator", "modbus-tcp", "modbus-rtu"].contains(name)) {
        let page = format!("docs/drivers/{name}.md");
        let example = format!("address-space/drivers/{name}.yaml");
        let said = format!("driver: {name}");
        assert!(read(&page).contains(&said) && read(&example).contains(&said), "{name}");
    }
}

#[test]
fn every_example_is_without_findings() {
    let of_drivers = driver_examples();
    let of_drivers = of_drivers.iter().map(String::as_str);
    for path in EXAMPLES.into_iter().chain(["address-space"]).chain(of_drivers) {
        for simulate in [false, true] {
            let options = Options { simulate, ..Options::default() };
            let (compiled, report) = config::load(Path::new(path), &options);
            let compiled = compiled.filter(|_| report.is_empty());
            let compiled = compiled.unwrap_or_else(|| panic!("{path}\n{}", report.render(Shown::All)));
            for connection in &compiled.drivers {
                for point in connection.points.iter() {
                    let read = connection.settings.check_point(point);
                    assert!(read.is_ok(), "{path} {} {read:?}", point.address);
                }
            }
        }
    }
    assert!(read(EXAMPLES[0]).lines().count() <= 12);
}

/// Places of keys `word:` in block or flow mappings: byte offset, line, column, the word.
fn keys(text: &str) -> Vec<(usize, usize, usize, String)> {
    let mut keys = Vec::new();
    let mut offset = 0;
    for (line, content) in text.lines().enumerate() {
        let code = content.split(" #").next().unwrap_or(content);
        let code = if code.trim_start().starts_with('#') { "" } else { code };
        for (at, _) in code.match_indices(": ").chain(code.strip_suffix(':').map(|code| (code.len(), ":"))) {
            let start =
                code[..at].rfind(|c: char| !(c.is_ascii_lowercase() || c == '_')).map_or(0, |before| before + 1);
            let word = &code[start..at];
            let before = code[..start].trim_end();
            let is_key = before.is_empty() || before.ends_with(['{', ',']);
            if word.len() > 1 && is_key && code[..start].matches('"').count() % 2 == 0 {
                keys.push((offset + start, line + 1, code[..start].chars().count() + 1, word.to_owned()));
            }
        }
        offset += content.len() + 1;
    }
    keys
}

/// Words that are names of the user and not keys of the schema.
const NAMES: [&str; 28] = [
    "plc", "plc1", "sim", "i", "en", "de", "fr", "travel", "rated", "mean", "base", "opal", "amp", "low", "high",
    "period", "every", "step", "start", "sigma", "noise", "wrap", "tank", "broker", "pump", "mq", "up", "plant",
];

#[test]
fn two_swapped_letters_in_any_key_are_found_at_their_place() {
    let mut count = 0;
    for path in EXAMPLES {
        let text = read(path);
        for (offset, line, column, word) in keys(&text).into_iter().filter(|(.., word)| !NAMES.contains(&word.as_str()))
        {
            for at in 0..word.len() - 1 {
                let mut letters: Vec<char> = word.chars().collect();
                letters.swap(at, at + 1);
                let typo: String = letters.iter().collect();
                if typo == word {
                    continue;
                }
                let broken = format!("{}{typo}{}", &text[..offset], &text[offset + word.len()..]);
                let mut files = Memory::default();
                files.files.insert(path.into(), broken.into_bytes());
                let recording = "address-space/drivers/tank.csv";
                files.files.insert(recording.into(), read(recording).into_bytes());
                files.files.insert(
                    "address-space/cells/demo.yaml".into(),
                    match path.contains("demo") {
                        true => files.files[Path::new(path)].clone(),
                        false => read(EXAMPLES[2]).into_bytes(),
                    },
                );
                let (_, report) = config::load_from(&files, Path::new(path), &Options::default());
                let places: Vec<_> = report.findings.iter().filter_map(|finding| report.position(finding)).collect();
                // Without its `cell` or `cells` a file is none of ours, which is said at its beginning.
                let is_head = word == "cell" || word == "cells";
                let found = places.contains(&(path, line, column)) || (is_head && !places.is_empty());
                assert!(found, "{path}:{line}:{column} {word} -> {typo}\n{}", report.render(Shown::All));
                count += 1;
            }
        }
    }
    assert!(count > 300, "only {count} typos");
}

/// Keys and scalars in document order, as the other reader sees them.
fn flatten(value: &serde_yaml::Value, out: &mut Vec<String>) {
    match value {
        serde_yaml::Value::Mapping(mapping) => mapping.iter().for_each(|(key, value)| {
            flatten(key, out);
            flatten(value, out);
        }),
        serde_yaml::Value::Sequence(list) => list.iter().for_each(|value| flatten(value, out)),
        serde_yaml::Value::String(text) => out.push(text.clone()),
        serde_yaml::Value::Number(number) => out.push(normal(&number.to_string())),
        serde_yaml::Value::Bool(value) => out.push(value.to_string()),
        serde_yaml::Value::Null => out.push("~".into()),
        serde_yaml::Value::Tagged(_) => out.push("tagged".into()),
    }
}

/// Numbers compare by value: `1e3` and `1000.0` are the same scalar.
fn normal(text: &str) -> String {
    text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| number.to_string())
}

#[test]
fn another_yaml_reader_sees_the_same_keys_and_scalars() {
    let cases = fs::read_dir("tests/cases/config").expect("cases").map(|entry| entry.expect("entry").path());
    let cases: Vec<PathBuf> = cases.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    let mut compared = 0;
    for path in EXAMPLES.iter().map(PathBuf::from).chain(cases) {
        let text = fs::read_to_string(&path).expect("text");
        let refused = ["<<", "*", "&", "!!", "\n---"].iter().any(|sign| {
            text.lines().any(|line| !line.starts_with('#') && line.contains(sign.trim_start()))
                && !text.contains("cells/*")
        });
        let (Some(ours), Ok(theirs)) = (config::scalars(&text), serde_yaml::from_str::<serde_yaml::Value>(&text))
        else {
            continue;
        };
        if refused || path.to_string_lossy().contains("duplicate") {
            continue;
        }
        let mut other = Vec::new();
        flatten(&theirs, &mut other);
        let ours: Vec<String> = ours.iter().map(|text| normal(text)).collect();
        let other: Vec<String> = other.iter().map(|text| normal(text)).collect();
        assert_eq!(ours, other, "{}", path.display());
        compared += 1;
    }
    assert!(compared > 50, "only {compared} files");
}

#[test]
fn the_reference_and_the_schemas_are_current() {
    let update = std::env::var_os("UPDATE").is_some();
    for (path, text) in [
        ("docs/reference.md", config::reference()),
        ("address-space/cell.schema.json", format!("{:#}\n", config::schema(config::Which::Cell))),
        ("address-space/server.schema.json", format!("{:#}\n", config::schema(config::Which::Server))),
    ] {
        if update {
            fs::create_dir_all(Path::new(path).parent().expect("a folder")).expect("the folder");
            fs::write(path, &text).expect("the file is written");
        }
        assert!(read(path) == text, "{path} is not current; run UPDATE=1 cargo test");
    }
}

#[test]
fn the_address_space_of_each_case_is_as_drawn() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut count = 0;
    for entry in fs::read_dir("tests/cases/space").expect("cases") {
        let path = entry.expect("entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let (compiled, report) = config::load(&path, &Options::default());
        let compiled = compiled.unwrap_or_else(|| panic!("{}", report.render(Shown::All)));
        let snapshot = path.with_extension("tree");
        if update {
            fs::write(&snapshot, compiled.tree()).expect("the snapshot is written");
        }
        assert_eq!(compiled.tree(), fs::read_to_string(&snapshot).expect("the snapshot"), "{}", path.display());
        count += 1;
    }
    assert!(count >= 4);
}

#[test]
fn deep_nests_and_cut_files_end_with_findings() {
    for open in ["[", "{a: ", "- ", "? ", "a:\n "] {
        config::fuzz(open.repeat(100_000).as_bytes());
    }
    let mut chain = String::from("schema: 1\ncell: a\ntypes:\n  objects:\n");
    let mut tree = chain.clone();
    for at in 0..500 {
        chain.push_str(&format!("    T{at}: {{ children: {{ X: {{ of: T{} }} }} }}\n", at + 1));
        if at > 10 {
            continue;
        }
        tree.push_str(&format!("    T{at}: {{ children: {{ X: {{ of: T{0} }}, Y: {{ of: T{0} }} }} }}\n", at + 1));
    }
    config::fuzz(chain.as_bytes());
    config::fuzz(tree.as_bytes());
    let text = read(EXAMPLES[1]);
    for end in (0..text.len()).step_by(7) {
        config::fuzz(&text.as_bytes()[..end]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        config::fuzz(&bytes);
    }

    #[test]
    fn changed_files_never_panic(
        which in 0..3usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
    ) {
        let mut bytes = read(EXAMPLES[which]).into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"{}[]:,\"'#&*!|>%@ \n\t-"[usize::from(byte) % 20]),
            }
        }
        config::fuzz(&bytes);
    }
}

#[test]
fn findings_in_every_tag_of_a_large_level_are_said_in_time() {
    let tags: String = (0..20_000).map(|at| format!("  T{at}: {{ type: Float, valeu: {at} }}\n")).collect();
    let mut files = Memory::default();
    files.files.insert("a.yaml".into(), format!("schema: 1\ncell: a\nnodes:\n{tags}").into_bytes());
    let (_, report) = config::load_from(&files, Path::new("a.yaml"), &Options::default());
    let json = report.json();
    assert_eq!(json.as_array().map(Vec::len), Some(20_000));
    assert_eq!(json[19_999]["path"], "nodes.T19999.valeu");
}

/// 100,000 tags; the figures are for `cargo test --release -- --ignored` under `/usr/bin/time -v`.
#[test]
#[ignore = "a measurement: `opcell check` of the file it writes is timed from outside"]
fn a_hundred_thousand_tags_are_written_for_measuring() {
    let mut text =
        String::from("schema: 1\ncell: big\nconnections:\n  plc: { driver: modbus-tcp, host: 10.0.0.5 }\nnodes:\n");
    for line in 0..1_000 {
        text.push_str(&format!("  Line{line}:\n    children:\n"));
        for tag in 0..100 {
            let address = (line * 100 + tag) % 30_000 * 2;
            text.push_str(&format!(
                "      Tag{tag}: {{ type: Double, unit: bar, range: [0, 100], source: {{ address: holding/{address}, raw_type: int16 }}, scale: {{ raw: [0, 27648] }} }}\n"
            ));
        }
    }
    let path = std::env::temp_dir().join("opcell-100000.yaml");
    fs::write(&path, text).expect("the file is written");
    let started = std::time::Instant::now();
    let (compiled, report) = config::load(&path, &Options::default());
    assert!(compiled.is_some() && report.findings.iter().all(|finding| finding.severity != Severity::Error));
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
