//! The client for a connection, from its settings.

use std::sync::Arc;

use super::client::{Client, Config};
use super::points::Point;
use super::url::Url;
use super::{OpcUaClient, user};
use crate::drivers::driver::ConnectionOf;

/// A client for connections that share a link. It opens nothing.
pub(super) fn client_of(connections: &[ConnectionOf<'_, OpcUaClient>], points: Vec<Point>) -> Client {
    let first = connections[0];
    let settings = first.settings.clone();
    let url = Url::parse(&settings.url);
    let url = url.unwrap_or_else(|_| Url { host: String::new(), port: 0, text: settings.url.clone() });
    let timeout = connections.iter().map(|connection| connection.plan.timeout).max().unwrap_or_default();
    let files = settings.user_certificate.as_ref().zip(settings.user_key.as_ref());
    // `check` refuses a connection whose files cannot be used.
    let identity = files.and_then(|(certificate, key)| user::identity(certificate, key).ok()).map(Arc::new);
    let config = Config { settings, url, name: first.plan.name.clone(), timeout, identity };
    Client::new(config, first.application.cloned(), points)
}
