//! Responses of another OPC UA server, and addresses of its nodes.

use opcell::testing::drivers::opcua;

pub(super) fn run() {
    opcell_fuzz::run("responses", opcua::fuzz_seeds(), opcua::fuzz_responses);
}
