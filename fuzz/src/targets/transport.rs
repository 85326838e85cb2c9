//! Frames, Hello and its kin, cut anywhere.

use opcell_fuzz::seeds;

pub(super) fn run() {
    opcell_fuzz::run("transport", seeds::transport(), opcell::testing::stack::transport::fuzz);
}
