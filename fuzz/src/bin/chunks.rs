//! Sealed chunks, with damage.

use opcell_fuzz::seeds;

fn main() {
    opcell_fuzz::run("chunks", seeds::chunks(), opcell::stack::channel::fuzz_chunks);
}
