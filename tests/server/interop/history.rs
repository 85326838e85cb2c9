//! History as foreign clients read and edit it, through the whole server and its store.

use std::process::Command;

use testkit::interop::run_script;
use testkit::peers;
use testkit::server::TestServer;

const CELL: &str = "
schema: 1
cell: press
namespace: urn:test:press
defaults: { access: { edit_history: [Operator] } }
nodes:
  Tank:
    children:
      Level:  { type: Double, range: [0, 100], value: 0.0, write: true, history: process }
      Many:   { type: Int32, value: 0, write: true, history: process }
      Recipe: { type: String, value: none, write: true, history: process }
      Forgotten: { type: Double, value: 0.0 }
";

fn run(mut command: Command, expected: &[&str]) {
    let mut server = Some(TestServer::start(CELL));
    let url = server.as_ref().map(TestServer::url).unwrap_or_default();
    command.arg(serde_json::json!({ "url": url }).to_string());
    let expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    run_script(command, &expected, |ask| {
        assert_eq!(ask, "restart");
        server = server.take().map(TestServer::restart);
    });
}

#[test]
fn asyncua_reads_and_edits_history() {
    let Some(command) = peers::python("asyncua", "asyncua_history.py") else { return };
    run(
        command,
        &[
            "access",
            "configuration",
            "aggregates",
            "insert",
            "raw",
            "raw by number",
            "raw backwards",
            "bounds",
            "no data",
            "no archive",
            "at times",
            "processed",
            "modified",
            "replace and update",
            "delete",
            "annotations",
            "pages",
            "after a restart",
        ],
    );
}

#[test]
fn node_opcua_reads_and_edits_history() {
    let Some(command) = peers::node("node_opcua_history.js") else { return };
    run(
        command,
        &[
            "access",
            "configuration",
            "insert",
            "raw",
            "bounds",
            "at times",
            "aggregates",
            "aggregate with its own configuration",
            "modified",
            "replace",
            "delete",
            "annotations",
            "pages",
            "after a restart",
        ],
    );
}
