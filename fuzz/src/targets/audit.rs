//! Lines and heads of the audit's files, and any text through a line and back.

use opcell::testing::audit;

pub(super) fn run() {
    opcell_fuzz::run("audit", audit::fuzz_seeds(), audit::fuzz);
}
