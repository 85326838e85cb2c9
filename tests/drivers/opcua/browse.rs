//! `opcell browse`: what other servers have, as nodes that `opcell check` takes.

use testkit::interop::Holder;
use testkit::peers::{free_port, python};
use testkit::program::{Said, folder, opcell};
use testkit::server::TestServer;

use super::Script;

/// The settings of a cell that browses.
pub(super) fn head(url: &str, settings: &str) -> String {
    format!(
        "schema: 1\ncell: line\nconnections:\n  peer: {{ driver: opcua, url: \"{url}\", timeout: 5s, {settings} }}\n"
    )
}

const OPEN: &str = "policy: None, allow_unsecured: true";

/// Browses, and lets `check` look at what came.
fn browse(url: &str, settings: &str, arguments: &[&str]) -> Said {
    let head = head(url, settings);
    let dir = folder(&[("cell.yaml", &format!("{head}nodes: {{ A: {{ type: Float, value: 0 }} }}\n"))]);
    let said = opcell(dir.path(), &[&["browse", "peer", "cell.yaml"], arguments].concat(), "");
    if said.code == 0 {
        std::fs::write(dir.path().join("pasted.yaml"), format!("{head}{}", said.out)).expect("written");
        let checked = opcell(dir.path(), &["check", "pasted.yaml"], "");
        assert_eq!(checked.code, 0, "{}{}\n{}", checked.out, checked.err, said.out);
    }
    said
}

fn has(said: &Said, lines: &[&str]) {
    for line in lines {
        assert!(said.out.contains(line), "{line} in\n{}{}", said.out, said.err);
    }
}

const SOURCE: &str = r#"
schema: 1
cell: press
namespace: urn:test:press
types:
  enums:
    State: { 0: Stopped, 1: Running, 5: "On: full" }
    Mode: { 0: Manual, 1: Auto }
nodes:
  Machine:
    children:
      Speed:  { type: Double, unit: rpm, range: [0, 3000], description: The speed, value: 12.5, write: true }
      Heads:  { type: Int16, array: 3, value: [1, 2, 3] }
      Matrix: { type: Float, array: [2, 2], value: [[1, 2], [3, 4]] }
      State:  { type: State, value: Running }
      Mode:   { type: Mode, value: Manual }
      Name:   { type: String, length: 20, value: press }
      Time:   { type: DateTime, value: "2026-01-01T00:00:00Z" }
      Inner:
        children:
          Deep: { type: Boolean, value: true }
  Other: { type: Float, value: 0 }
"#;

#[test]
fn another_opcell_is_listed_with_types_units_ranges_and_texts() {
    let source = TestServer::start(SOURCE);
    let said = browse(&source.url(), OPEN, &["--from", "/press/Machine"]);
    has(
        &said,
        &[
            "defaults: { connection: peer }",
            "State: { 0: Stopped, 1: Running, 5: \"On: full\" }",
            "Mode: { 0: Manual, 1: Auto }",
            "  Speed: { type: Double, range: [0, 3000], unit: r/min, description: \"The speed\", source: \"nsu=urn:test:press;s=Machine.Speed\" }",
            "  Heads: { type: Int16, array: 3, source:",
            "  Matrix: { type: Float, array: [2, 2], source:",
            "  State: { type: State, source:",
            "  Time: { type: DateTime, source:",
            "  Inner:\n    children:\n      Deep: { type: Boolean, source: \"nsu=urn:test:press;s=Machine.Inner.Deep\" }",
        ],
    );
    assert!(!said.out.contains("Other"), "{}", said.out);
    // All of it, without the Server object.
    let said = browse(&source.url(), OPEN, &[]);
    has(&said, &["  press:\n", "      Other: { type: Float"]);
    assert!(!said.out.contains("ServerStatus"), "{}", said.out);
    let said = browse(&source.url(), OPEN, &["--from", "nsu=urn:test:press;s=Machine", "--depth", "1"]);
    assert!(said.out.contains("Speed") && !said.out.contains("Deep"), "{}", said.out);
    let said = browse(&source.url(), OPEN, &["--from", "/press/Machine", "--max-nodes", "2"]);
    assert_eq!(said.out.matches("source:").count(), 2, "{}", said.out);
    assert!(said.err.contains("more than 2 values"), "{}", said.err);
    for (from, words) in [
        ("/press/Machin", "the server finds no `Machin`"),
        ("nsu=urn:test:press;s=Nothing", "the server has no node"),
        ("nsu=urn:none;s=x", "no namespace `urn:none`"),
        ("2:x", "is not a NodeId"),
    ] {
        let said = browse(&source.url(), OPEN, &["--from", from]);
        assert!(said.code == 1 && said.err.contains(words), "{from}: {}", said.err);
    }
}

#[test]
fn asyncua_is_listed_and_no_name_and_no_circle_of_it_does_harm() {
    let Some(command) = python("asyncua", "asyncua_server.py") else { return };
    let port = free_port();
    let facts = serde_json::json!({ "port": port, "many": 1_500, "hostile": true, "analog": true });
    let _script = Script::start(command, &facts);
    let url = format!("opc.tcp://127.0.0.1:{port}/acme");
    let said = browse(&url, OPEN, &["--from", "/Machine", "--depth", "30"]);
    has(
        &said,
        &[
            "  Boolean: { type: Boolean,",
            "  UInt64: { type: UInt64,",
            "  ByteString: { type: ByteString,",
            "  Array: { type: Int16, array: 3,",
            "  N1499: { type: Double,",
            "  Level: { type: Double, range: [0, 100], unit: \"%\",",
            "  Mode: { type: Mode,",
            "    Mode: { 0: Manual, 1: Auto }",
            "  x: { type: Double,",
            "s=H0\" }",
            "  \"_\": { type: Double,",
            "  a_b: { type: Double,",
            "  Same: { type: Double,",
            "  Same_2: { type: Double,",
            "  a_b_c_d_: { type: Double,",
            "s=At28\" }",
        ],
    );
    assert!(!said.out.contains("Localized") && !said.out.contains("xxxx") && !said.out.contains("s=At29\""));
    assert!(said.err.contains("left out: no tag has their type"), "{}", said.err);
    assert!(said.err.contains("1 value left out: their names are too long"), "{}", said.err);
}

#[test]
fn node_opcua_with_small_limits_is_listed() {
    let Some((_script, url)) = Script::of_node(300, 40) else { return };
    let said = browse(&url, OPEN, &["--from", "/Machine"]);
    has(&said, &["  Double: { type: Double, source: \"nsu=urn:acme:machine;s=Double\" }", "  N299: { type: Double,"]);
}

#[test]
fn open62541_is_listed_once_it_is_trusted() {
    let Some(command) = python("o6", "o6_server.py") else { return };
    let port = free_port();
    let holder = Holder::of("urn:test:open62541");
    let facts = serde_json::json!({
        "port": port, "uri": holder.uri, "certificate": holder.certificate(), "key": holder.key(), "many": 300,
    });
    let _script = Script::start(command, &facts);
    let head = head(&format!("opc.tcp://127.0.0.1:{port}"), "policy: auto");
    let dir = folder(&[("cell.yaml", &format!("{head}nodes: {{ A: {{ type: Float, value: 0 }} }}\n"))]);
    for verb in ["probe", "browse"] {
        let said = opcell(dir.path(), &[verb, "peer", "cell.yaml"], "");
        assert!(said.code == 1 && said.err.contains("opcell pki trust"), "{verb}: {}", said.err);
    }
    // The certificate was filed, so that it can be trusted by its name.
    let trusted = opcell(dir.path(), &["pki", "trust", "open62541", "cell.yaml"], "");
    assert_eq!(trusted.code, 0, "{}{}", trusted.out, trusted.err);
    let said = opcell(dir.path(), &["probe", "peer", "cell.yaml"], "");
    assert!(said.code == 0 && said.out.contains("the certificate is trusted here"), "{}{}", said.out, said.err);
    let said = opcell(dir.path(), &["browse", "peer", "cell.yaml", "--from", "/Machine"], "");
    has(&said, &["  Double: { type: Double,", "  Text: { type: String,", "  N299: { type: Double,"]);
}
