//! The OPC UA communication stack (Part 6), for both roles; it knows no node and no tag.

pub(crate) mod channel;
pub(crate) mod client;
pub(crate) mod codec;
pub(crate) mod crypto;
pub(crate) mod transport;
