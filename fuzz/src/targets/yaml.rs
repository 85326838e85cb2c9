//! Cell files.

use opcell_fuzz::seeds;

pub(super) fn run() {
    opcell_fuzz::run("yaml", seeds::yaml(), opcell::testing::config::fuzz);
}
