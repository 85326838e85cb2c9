//! Texts of files, in every type, and addresses.

use opcell_fuzz::seeds;

pub(super) fn run() {
    opcell_fuzz::run("sysfs", seeds::files(), opcell::testing::drivers::fuzz_sysfs);
}
