//! Recordings in CSV files, in both forms.

use opcell_fuzz::seeds;

pub(super) fn run() {
    opcell_fuzz::run("replay", seeds::recordings(), opcell::testing::drivers::fuzz_recording);
}
