//! The OPC UA communication stack (Part 6), for both roles; it knows no node and no tag.

pub mod channel;
pub mod client;
pub mod codec;
pub mod crypto;
pub mod transport;
