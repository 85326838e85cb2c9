//! Payloads of Sparkplug edge nodes, from birth to death.

use opcell_fuzz::seeds_messages;

pub(super) fn run() {
    opcell_fuzz::run("sparkplug", seeds_messages::sparkplug(), opcell::testing::drivers::sparkplug::fuzz);
}
