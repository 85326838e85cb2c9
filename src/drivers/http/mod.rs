//! HTTP: one request feeds all tags that name it. Requests go out one after the other on one connection that is kept open.

mod address;
mod answer;
mod auth;
mod check;
mod client;
mod driver;
mod notes;
mod poller;
mod probe;
mod settings;
#[cfg(test)]
mod tests;

/// Values in the answers of web servers.
#[derive(Debug)]
pub(crate) struct Http;
