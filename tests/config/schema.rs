//! The JSON Schemas, tried by other people's software: a validator over every shipped file and every case, and the
//! language server that editors use.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use opcell::testing::config;
use serde_json::{Value, json};
use testkit::peers;

const SHIPPED: [&str; 5] = [
    "address-space/hello.yaml",
    "address-space/modbus.yaml",
    "address-space/cells/demo.yaml",
    "address-space/server.yaml",
    "fuzz/service.yaml",
];

/// Faulty cases with `+` where the schema finds something and `-` where it can't: the mistake lies in a text, in
/// another place of the file, or in the YAML itself.
const NAME_OF_SEEN: &str = "tests/cases/config/schema.seen";

/// A file as JSON has it, whose keys are texts; `None` where it is no YAML that another reader takes.
fn instance(text: &str) -> Option<Value> {
    fn convert(value: serde_yaml::Value) -> Option<Value> {
        Some(match value {
            serde_yaml::Value::Mapping(map) => {
                let entries = map.into_iter().map(|(key, value)| {
                    let key = match key {
                        serde_yaml::Value::String(text) => text,
                        other => serde_yaml::to_string(&other).ok()?.trim().to_owned(),
                    };
                    Some((key, convert(value)?))
                });
                Value::Object(entries.collect::<Option<_>>()?)
            }
            serde_yaml::Value::Sequence(list) => Value::Array(list.into_iter().map(convert).collect::<Option<_>>()?),
            serde_yaml::Value::Tagged(_) => return None,
            other => serde_json::to_value(other).ok()?,
        })
    }
    convert(serde_yaml::from_str(text).ok()?)
}

fn schema_of(text: &str) -> &'static str {
    if text.lines().any(|line| line.starts_with("cells:")) { "server" } else { "cell" }
}

/// The answer of a peer to a text on its standard input.
fn ask(mut command: Command, given: &Value) -> Value {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the peer starts");
    child.stdin.take().expect("piped").write_all(given.to_string().as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the peer ended with {}", output.status);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Messages by name, as the validator gives them.
fn validate(command: Command, files: &[(String, String)]) -> BTreeMap<String, Vec<String>> {
    let schemas = json!({
        "cell": config::schema(config::Which::Cell),
        "included": config::schema(config::Which::Included),
        "server": config::schema(config::Which::Server),
    });
    let cases = files.iter().filter_map(|(name, text)| {
        Some(json!({ "name": name, "schema": schema_of(text), "instance": instance(text)? }))
    });
    let given = json!({ "schemas": schemas, "cases": cases.collect::<Vec<_>>() });
    serde_json::from_value(ask(command, &given)).expect("messages by name")
}

fn read(path: &Path) -> (String, String) {
    (path.display().to_string(), fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn cases() -> Vec<(String, String)> {
    let entries = fs::read_dir("tests/cases/config").expect("the cases");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

#[test]
fn a_validator_finds_nothing_in_good_files_and_what_a_schema_can_see_in_faulty_ones() {
    let Some(command) = peers::python("jsonschema", "json_schema.py") else { return };
    let shipped: Vec<_> = SHIPPED.iter().map(|path| read(Path::new(path))).collect();
    let cases = cases();
    let all: Vec<_> = shipped.iter().chain(&cases).cloned().collect();
    let found = validate(command, &all);
    for (name, _) in &shipped {
        assert_eq!(found[name], Vec::<String>::new(), "{name}");
    }
    let mut seen = String::new();
    for (name, text) in &cases {
        let Some(messages) = found.get(name) else { continue };
        let has_errors = text.lines().any(|line| line.starts_with("#!") && line.contains(" error "));
        assert!(has_errors || messages.is_empty(), "{name} is good, but {messages:?}");
        if has_errors {
            let file = Path::new(name).file_name().expect("a name").to_string_lossy();
            seen.push_str(&format!("{} {file}\n", if messages.is_empty() { "-" } else { "+" }));
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(NAME_OF_SEEN, &seen).expect("written");
    }
    assert_eq!(seen, fs::read_to_string(NAME_OF_SEEN).expect("the list"), "UPDATE=1 rewrites {NAME_OF_SEEN}");
    for certain in
        ["typo-in-key", "wrong-type-deep", "number-out-of-range", "unknown-driver", "unit-of-time", "yes-and-on"]
    {
        assert!(seen.contains(&format!("+ {certain}.yaml")), "{certain}");
    }
}

/// A document of the language server in the folder of the shipped files, with the place `|` to complete at.
fn document(name: &str, text: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("address-space");
    let uri = format!("file://{}", folder.join(name).display());
    let Some(at) = text.find('|') else { return json!({ "uri": uri, "text": text }) };
    let (line, start) = (text[..at].matches('\n').count(), text[..at].rfind('\n').map_or(0, |end| end + 1));
    json!({ "uri": uri, "text": text.replacen('|', "", 1), "at": { "line": line, "character": at - start } })
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn an_editor_completes_words_and_marks_wrong_lines_only() {
    let Some(command) = peers::node_with("yaml-language-server", "yaml_language_server.js") else { return };
    const HEAD: &str = "# yaml-language-server: $schema=cell.schema.json\nschema: 1\ncell: a\n";
    let shipped =
        SHIPPED[..4].iter().map(|path| document(path.trim_start_matches("address-space/"), &read(Path::new(path)).1));
    let wrong = format!(
        "{HEAD}connections:\n  plc: {{ driver: modbus-tcp, host: a, prot: 5 }}\nnodes:\n  A: {{ type: float, source: holding/1 }}\n"
    );
    let completed = [
        ("type.yaml", "nodes:\n  A:\n    type: |\n    value: 1\n", vec!["Boolean", "Float", "ByteString"]),
        ("driver.yaml", "connections:\n  plc:\n    driver: |\n", vec!["modbus-tcp", "modbus-rtu", "simulator"]),
        ("keys.yaml", "connections:\n  plc:\n    driver: modbus-rtu\n    |\n", vec!["serial", "baud", "timeout"]),
        ("roles.yaml", "nodes:\n  A:\n    access:\n      read: [|]\n", vec!["Observer", "Operator"]),
        (
            "raw.yaml",
            "nodes:\n  A:\n    type: Float\n    source:\n      address: holding/1\n      raw_type: |\n",
            vec!["int16", "float32", "bcd16"],
        ),
    ];
    let documents: Vec<Value> = shipped
        .chain([document("wrong.yaml", &wrong)])
        .chain(completed.iter().map(|(name, text, _)| document(name, &format!("{HEAD}{text}"))))
        .collect();
    let found = ask(command, &json!(documents));
    for (at, path) in SHIPPED[..4].iter().enumerate() {
        assert_eq!(found[at]["diagnostics"], json!([]), "{path}");
    }
    let marked = texts(&found[4]["diagnostics"]);
    assert_eq!(marked.len(), 2, "{marked:?}");
    assert!(marked[0].starts_with("5: ") && marked[0].contains("prot"), "{marked:?}");
    assert!(marked[1].starts_with("7: ") && marked[1].contains("\"Float\""), "{marked:?}");
    for (at, (name, _, wanted)) in completed.iter().enumerate() {
        let offered = texts(&found[5 + at]["completions"]);
        assert!(wanted.iter().all(|word| offered.contains(word)), "{name}: {wanted:?} in {offered:?}");
    }
    let of_rtu = texts(&found[7]["completions"]);
    assert!(!of_rtu.contains(&"host"), "a key of another driver: {of_rtu:?}");
}
