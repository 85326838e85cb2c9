//! asyncua, the python client, against the secured server.

use testkit::interop::{Field, matrix};
use testkit::peers;

use super::{browsed, names, run_over_reloads};

const URI: &str = "urn:test:asyncua";

fn run(part: &str, expected: &[String]) {
    let Some(mut command) = peers::python("asyncua", "asyncua_client.py") else { return };
    command.arg(part);
    Field::open(URI).run(command, expected);
}

#[test]
fn asyncua_connects_with_every_policy_mode_and_token_it_knows() {
    let policies = ["None", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"];
    let mut expected = matrix(&policies, &["anonymous", "username", "certificate"]);
    expected.extend(names(&["wrong password", "unknown user", "unpinned certificate"]));
    run("connect", &expected);
}

#[test]
fn asyncua_browses_everything_and_reads_every_attribute() {
    run("browse", &browsed(&["browse", "data types", "permissions"]));
}

#[test]
fn asyncua_writes_and_is_notified() {
    let expected =
        ["write", "write of a wrong type", "write to a read-only tag", "write without the role", "subscribe"];
    run("write", &names(&expected));
}

#[test]
fn asyncua_calls_methods() {
    let expected = ["GetMonitoredItems", "ResendData", "refresh without events", "ConditionRefresh", "refused calls"];
    run("call", &names(&expected));
}

#[test]
fn asyncua_renews_its_channel_ten_times_without_a_gap() {
    run("renew", &names(&["nothing lost"]));
}

#[test]
fn asyncua_survives_a_restart_of_the_server() {
    run("restart", &names(&["heard before", "heard after", "same namespace", "same certificate", "same value"]));
}

#[test]
fn asyncua_gets_its_subscription_back_after_a_cut() {
    let expected = ["lost", "transferred", "republished", "heard after", "same subscription", "came back by itself"];
    run("cut", &names(&expected));
}

#[test]
fn asyncua_keeps_its_subscription_over_reloads() {
    run_over_reloads(run);
}

#[test]
fn asyncua_reads_writes_and_decodes_structures_by_their_definitions() {
    run(
        "structures",
        &names(&[
            "decoded",
            "written",
            "heard",
            "field written",
            "outside its range",
            "fields",
            "option set",
            "matrix",
        ]),
    );
}
