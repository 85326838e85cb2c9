//! Packets of an MQTT broker, in both versions and in pieces.

use opcell_fuzz::seeds_messages;

pub(super) fn run() {
    opcell_fuzz::run("broker", seeds_messages::broker(), opcell::testing::drivers::broker::fuzz);
}
