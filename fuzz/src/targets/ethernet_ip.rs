//! Replies of PLCs that speak EtherNet/IP: frames, replies, batches, listings, and the values in them.

use opcell_fuzz::seeds;

pub(super) fn run() {
    opcell_fuzz::run("ethernet_ip", seeds::ethernet_ip(), opcell::testing::drivers::ethernet_ip::fuzz_reply);
}
