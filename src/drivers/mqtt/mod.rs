//! MQTT: topics of a broker as tags.
//!
//! A session is clean: all subscriptions are sent on each connection, and with the answers come the retained messages. So
//! nothing depends on what a broker remembers.

mod check;
mod driver;
mod listener;
mod notes;
mod online;
mod routes;
mod settings;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use driver::Mqtt;
