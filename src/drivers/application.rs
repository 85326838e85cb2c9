//! The server itself, for drivers that open secure channels to other servers of OPC UA, or that list their devices.
//!
//! `app` implements it: a driver knows neither folders of certificates nor how this server is named.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use super::listing::{Folder, Listing};
use crate::stack::channel::{Refusal, Seen};
use crate::stack::crypto::{Identity, Policy};

/// Name, certificate and trust of this server where it is the client of another one.
pub trait Application: Send + Sync {
    fn name(&self) -> String;

    /// ApplicationUri, which its certificate has too.
    fn uri(&self) -> String;

    /// The present certificate with its key; `None`: only unsecured channels can be opened.
    fn identity(&self) -> Option<Arc<Identity>>;

    /// Whether a server is trusted. A refusal is filed, so that the operator can trust it.
    fn check_server(&self, chain: &[u8], dialled: &Dialled<'_>) -> Result<Seen, Refusal>;

    /// Changes when the trust in certificates does.
    fn trust(&self) -> watch::Receiver<u64>;

    /// Takes a listing for a folder that mirrors a device, from a driver whose devices list by themselves.
    fn take_listing(&self, folder: &Folder, listing: Listing);
}

/// A server as it was dialled.
#[derive(Debug, Clone, Copy)]
pub struct Dialled<'a> {
    /// Name or address of the host in its URL.
    pub host: &'a str,
    pub address: Option<SocketAddr>,
    pub policy: Policy,
    /// The ApplicationUri that it states; its certificate must have it.
    pub application_uri: &'a str,
}
