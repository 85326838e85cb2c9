//! Files of the buffer of a publisher, and commands.

use opcell_fuzz::seeds_messages;

pub(super) fn run() {
    opcell_fuzz::run("publish", seeds_messages::publish(), opcell::testing::publish::fuzz);
}
