//! Messages of MQTT and HTTP, in every form that a point may read.

use opcell_fuzz::seeds_messages;

pub(super) fn run() {
    opcell_fuzz::run("payload", seeds_messages::payload(), opcell::testing::drivers::payload::fuzz);
}
