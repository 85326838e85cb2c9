//! Sparkplug B 3.0: the server as a host application of edge nodes.
//!
//! A metric is known from a birth to the death of the same session. Where messages are missing, nothing is guessed: the edge
//! node is asked to be born again.

mod address;
mod births;
mod browse;
mod driver;
pub(crate) mod edge;
mod host;
mod listener;
mod metric;
mod mirror;
mod node;
mod notes;
mod part;
mod proto;
mod settings;
mod value;

/// Sparkplug B, as a host application.
#[derive(Debug)]
pub(crate) struct Sparkplug;

/// Reads bytes as messages of an edge node; for fuzzing.
pub fn fuzz(bytes: &[u8]) {
    host::fuzz(bytes);
}
