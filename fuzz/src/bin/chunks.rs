//! Sealed chunks, with damage.

use opcell_fuzz::seeds;

fn main() {
    opcell_fuzz::run("chunks", seeds::chunks(), opcell::testing::stack::channel::fuzz_chunks);
}
