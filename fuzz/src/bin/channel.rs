//! A server's channel.

use opcell_fuzz::seeds;

fn main() {
    opcell_fuzz::run("channel", seeds::channel(), opcell::testing::stack::channel::fuzz);
}
