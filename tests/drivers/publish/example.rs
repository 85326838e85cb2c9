//! The example of publishers with a broker.

use testkit::broker::Broker;
use testkit::server::TestServer;
use testkit::until;

use super::bench::{statuses, value_of};

#[test]
fn the_example_sends_its_tags_to_a_broker() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let text = std::fs::read_to_string("address-space/publish.yaml").expect("the example");
    let mut listening = broker.listen(&["filling/Tank/Level"]);
    let server = TestServer::start(&text.replace("1883", &broker.port.to_string()));
    until("a value", || value_of(&listening.message()).is_number());
    until("both are connected", || {
        let all = statuses(&server);
        let is_up = |at: usize| all[at]["state"] == "Connected" && all[at]["sent"].as_u64() > Some(1);
        if is_up(0) && is_up(1) { Ok(()) } else { Err(all.to_string()) }
    });
}
