//! Variants and what they hold, against an independent decoder.

use opcell_fuzz::seeds;

fn main() {
    opcell_fuzz::run("values", seeds::values(), opcell::testing::stack::codec::fuzz_value);
}
