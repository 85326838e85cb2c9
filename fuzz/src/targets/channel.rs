//! A server's channel.

use opcell_fuzz::seeds;

pub(super) fn run() {
    opcell_fuzz::run("channel", seeds::channel(), opcell::testing::stack::channel::fuzz);
}
