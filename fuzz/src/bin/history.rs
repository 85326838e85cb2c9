//! Whatever a disk may hold where history should stand: parts of blocks, batches of the journal.

use opcell::testing::history::store;

fn main() {
    opcell_fuzz::run("history", store::fuzz_seeds(), store::fuzz);
}
