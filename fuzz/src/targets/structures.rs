//! Structures: any bytes against any layout, and any value there and back.

use opcell_fuzz::seeds;

pub(super) fn run() {
    opcell_fuzz::run("structures", seeds::values(), opcell::testing::stack::codec::fuzz_structure);
}
