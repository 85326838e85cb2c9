//! Cell files.

use opcell_fuzz::seeds;

fn main() {
    opcell_fuzz::run("yaml", seeds::yaml(), opcell::testing::config::fuzz);
}
