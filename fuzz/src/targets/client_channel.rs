//! A client's channel.

use opcell_fuzz::seeds;

pub(super) fn run() {
    opcell_fuzz::run("client_channel", seeds::channel(), opcell::testing::stack::channel::fuzz_client);
}
