//! Replies of Modbus devices, in every framing.

use opcell_fuzz::seeds;

pub(super) fn run() {
    opcell_fuzz::run("modbus", seeds::modbus(), opcell::testing::drivers::modbus::fuzz_reply);
}
