//! Many alarms at once: all are evaluated, and the memory of a client is bounded by its queue.

use std::time::{Duration, Instant};

use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::tags::{RawSample, Stamp};
use opcell::value::Value;
use testkit::server::TestServer;
use testkit::until::until;

use super::client::Alarms;

const COUNT: u32 = 10_000;

/// `ALARMS_WITHIN` in milliseconds; 1 shows the time that it takes.
fn bound() -> Duration {
    let given = std::env::var("ALARMS_WITHIN").ok().and_then(|text| text.parse().ok());
    Duration::from_millis(given.unwrap_or(10_000))
}

#[test]
fn ten_thousand_alarms_in_one_batch_are_raised_and_a_client_gets_the_newest() {
    let cell = format!(
        "
schema: 1
cell: plant
namespace: urn:test:plant
nodes:
  L{{i}}: {{ repeat: {{ i: 1..{COUNT} }}, type: Int32, value: 0, write: true, alarms: {{ A: {{ when: 1, severity: 500 }} }} }}
"
    );
    let server = TestServer::start(&cell);
    let mut client = Alarms::open(server.address, NodeIdRef::numeric(0, 2253));
    let world = server.server.world();
    let tags: Vec<_> = world.plant.tags.iter().map(|(id, _)| id).collect();
    let began = Instant::now();
    let batch: Vec<_> = tags.iter().map(|id| (*id, RawSample::new(Value::Int32(1), opcua::StatusCode::Good))).collect();
    server.server.tags.commit(&world.plant, &batch, Stamp::now());
    let committed = began.elapsed();
    let active = NodeIdRef::string(2, "@alarms.ActiveCount");
    until("all are active", || {
        let found = client.session.read_value(active).value;
        (found == Some(Value::UInt32(COUNT))).then_some(())
    });
    let evaluated = began.elapsed();
    assert!(evaluated < bound(), "committed after {committed:?}, evaluated after {evaluated:?}");
    // The oldest went where the queue was full; the newest is there.
    while client.next().source_name != format!("L{COUNT}") {}
}
