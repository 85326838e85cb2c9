//! Whatever a disk may hold where history should stand: parts of blocks, batches of the journal.

use opcell::testing::history::store;

pub(super) fn run() {
    opcell_fuzz::run("history", store::fuzz_seeds(), store::fuzz);
}
