//! node-opcua, the JavaScript client, against the secured server.

use testkit::interop::{Field, matrix};
use testkit::peers;

use super::{browsed, names, run_over_reloads};

const URI: &str = "urn:test:node-opcua";

fn run(part: &str, expected: &[String]) {
    let Some(mut command) = peers::node("node_opcua_client.js") else { return };
    command.arg(part);
    Field::open(URI).run(command, expected);
}

#[test]
fn node_opcua_connects_with_every_policy_mode_and_token_it_knows() {
    let policies = ["None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"];
    let mut expected = matrix(&policies, &["anonymous", "username", "certificate"]);
    expected.extend(names(&["wrong password", "unknown user", "unpinned certificate"]));
    run("connect", &expected);
}

#[test]
fn node_opcua_browses_everything_and_reads_every_attribute() {
    run("browse", &browsed(&["browse", "data types", "permissions"]));
}

#[test]
fn node_opcua_writes_and_is_notified() {
    let expected =
        ["write", "write of a wrong type", "write to a read-only tag", "write without the role", "subscribe"];
    run("write", &names(&expected));
}

#[test]
fn node_opcua_calls_methods() {
    let refresh = ["refresh without events", "ConditionRefresh"];
    let expected = [&["GetMonitoredItems", "ResendData"][..], &refresh, &["refused calls", "arguments"]].concat();
    run("call", &names(&expected));
}

#[test]
fn node_opcua_renews_its_channel_ten_times_without_a_gap() {
    run("renew", &names(&["renewed", "nothing lost"]));
}

#[test]
fn node_opcua_survives_a_restart_of_the_server() {
    run("restart", &names(&["heard before", "heard after", "same namespace", "same certificate", "same value"]));
}

#[test]
fn node_opcua_gets_its_subscription_back_after_a_cut() {
    let by_itself = ["republished by itself", "came back by itself", "nothing lost", "same subscription"];
    let by_transfer = ["transferred", "republished", "heard of the transfer"];
    run("cut", &names(&[&by_itself[..], &by_transfer].concat()));
}

#[test]
fn node_opcua_keeps_its_subscription_over_reloads() {
    run_over_reloads(run);
}

#[test]
fn node_opcua_reads_writes_and_decodes_structures_by_their_definitions() {
    run("structures", &names(&["decoded", "written", "field"]));
}
