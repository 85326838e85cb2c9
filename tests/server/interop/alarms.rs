//! Alarms as foreign clients see, acknowledge, shelve and refresh them.

use std::process::Command;

use testkit::interop::run_script;
use testkit::peers;
use testkit::server::TestServer;

const CELL: &str = r#"
schema: 1
cell: press
namespace: urn:test:press
nodes:
  Line:
    children:
      Tank:
        children:
          Level:
            type: Double
            range: [0, 100]
            value: 50
            write: true
            alarms: { Level: { limits: { high_high: 95, high: 90 }, severity: 600, message: "Level at {value}" } }
"#;

fn run(mut command: Command, also: &[&str]) {
    let server = TestServer::start(CELL);
    command.arg(serde_json::json!({ "url": server.url() }).to_string());
    let all = ["raised", "acknowledged", "acknowledged twice", "shelved", "unshelved", "refresh", "returned"];
    let expected: Vec<String> = all.iter().chain(also).map(|name| (*name).to_owned()).collect();
    run_script(command, &expected, |ask| panic!("it asks for {ask}"));
}

#[test]
fn asyncua_sees_acknowledges_shelves_and_refreshes() {
    let Some(command) = peers::python("asyncua", "asyncua_alarms.py") else { return };
    run(command, &["condition id", "mirror"]);
}

#[test]
fn node_opcua_sees_acknowledges_shelves_and_refreshes() {
    let Some(command) = peers::node("node_opcua_alarms.js") else { return };
    run(command, &[]);
}
