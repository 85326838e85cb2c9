//! OPC UA: another server's nodes as tags, by the client side of `stack`.
//!
//! Values come by subscriptions (Part 4 §5.14, 1.05), one for each PublishingInterval, in the server's order and with its status and
//! SourceTimestamp. A session outlives the connection that it was made on.

mod address;
mod attributes;
mod browse;
mod client;
#[cfg(test)]
mod client_tests;
mod connect;
mod discovery;
mod driver;
mod fuzz;
mod items;
mod listing;
mod login;
mod message;
mod notes;
mod open;
mod pending;
mod points;
mod probe;
mod publish;
mod receive;
mod resolve;
mod sample;
mod seen;
mod session;
mod settings;
mod setup;
mod subscription;
mod url;
mod user;
mod view;
mod walk;
mod wire;
mod writing;
mod written;

pub use fuzz::{fuzz_responses, fuzz_seeds};

/// Nodes of another OPC UA server.
#[derive(Debug)]
pub(crate) struct OpcUaClient;
