//! Variants and what they hold, against an independent decoder.

use opcell_fuzz::seeds;

pub(super) fn run() {
    opcell_fuzz::run("values", seeds::values(), opcell::testing::stack::codec::fuzz_value);
}
