//! Sealed chunks, with damage.

use opcell_fuzz::seeds;

pub(super) fn run() {
    opcell_fuzz::run("chunks", seeds::chunks(), opcell::testing::stack::channel::fuzz_chunks);
}
