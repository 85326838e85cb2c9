//! Recordings in CSV files, in both forms.

use opcell_fuzz::seeds;

fn main() {
    opcell_fuzz::run("replay", seeds::recordings(), opcell::testing::drivers::fuzz_recording);
}
