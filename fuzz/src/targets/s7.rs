//! Replies of S7 PLCs: packets, PDUs, items, and the values in them.

use opcell_fuzz::seeds;

pub(super) fn run() {
    opcell_fuzz::run("s7", seeds::s7(), opcell::testing::drivers::s7::fuzz_reply);
}
