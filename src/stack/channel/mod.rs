//! The secure channel (Part 6 §6.7, 1.05; Part 4 §5.6, 1.05) as a state machine of bytes, for both roles.
//!
//! It owns no socket, no thread and no clock. A connection task fills an `Input`, calls `receive` until it has
//! nothing more, answers through `respond` into one `Writer`, and sends that. What takes a private key is an owned
//! job (`OpenJob`) that may run on another thread; nothing is received or answered meanwhile.

mod chunk;
mod client;
mod conversation;
mod fuzz;
mod open;
mod opn;
mod pace;
mod sequence;
mod server;
mod token;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use opcua::StatusCode;

pub use client::{ClientChannel, ClientEvent, ClientSettings};
pub use fuzz::{fuzz, fuzz_chunks, fuzz_client};
pub use open::OpenJob;
pub(crate) use open::Opened;
pub use pace::Pace;
pub(crate) use pace::neighbourhood;
pub use server::{Event, ServerChannel, ServerSettings};

use super::crypto::{Identity, MessageSecurityMode, Policy, PublicKey};

/// Whether a certificate may open a channel. `pki` answers it for the server.
pub trait CertificateCheck: Send + Sync {
    /// `chain`: the DER bytes as the client sent them, its own certificate first. Called on the connection's task
    /// before any private-key operation, so it must be quick and must not block.
    fn check_client(&self, chain: &[u8], caller: &Caller) -> Result<Seen, Refusal>;
}

/// Fields of the client's certificate that the check read, so that they are not parsed twice.
#[derive(Debug, Default)]
pub struct Seen {
    pub key: Option<PublicKey>,
    pub application_uri: Option<String>,
}

/// The peer that presents a certificate.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    pub address: Option<SocketAddr>,
    pub policy: Policy,
}

/// Why a certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code for the client.
    pub status: StatusCode,
    /// The real reason, for logs and audit.
    pub code: StatusCode,
    /// For the log: who, which rule, and the command that mends it.
    pub rule: String,
}

/// Policy, mode and certificates of an open channel.
#[derive(Debug, Clone)]
pub struct Security {
    pub policy: Policy,
    pub mode: MessageSecurityMode,
    /// The client's certificate; `None` with policy None.
    pub peer: Option<Arc<Peer>>,
    /// The own certificate that the channel was opened with, newer ones or not; with policy None the one that was
    /// the newest then.
    pub own: Option<Arc<Identity>>,
}

/// The other side's certificate.
#[derive(Debug)]
pub struct Peer {
    /// As it was sent: DER, leaf first.
    pub chain: Vec<u8>,
    /// SHA-1 of the leaf.
    pub thumbprint: [u8; 20],
    pub key: PublicKey,
    application_uri: OnceLock<Option<String>>,
}

impl Peer {
    /// `None` when the bytes hold no certificate with an RSA key that the policy takes.
    pub fn from_chain(policy: Policy, chain: &[u8]) -> Option<Peer> {
        Peer::from_seen(policy, chain, Seen::default())
    }

    /// The same, when a check has just looked at this chain.
    fn from_seen(policy: Policy, chain: &[u8], seen: Seen) -> Option<Peer> {
        let leaf = super::crypto::certificate::leaf(chain)?;
        let key = seen.key.or_else(|| super::crypto::PublicKey::of_certificate(leaf));
        let key = key.filter(|key| policy.takes_key(key.bits()))?;
        let thumbprint = super::crypto::thumbprint(leaf);
        let application_uri = seen.application_uri.map_or_else(OnceLock::new, |uri| OnceLock::from(Some(uri)));
        Some(Peer { thumbprint, chain: chain.to_vec(), key, application_uri })
    }

    /// The ApplicationUri of the certificate, which `read` finds in it: once a channel, not once a question.
    pub fn application_uri(&self, read: impl FnOnce(&[u8]) -> Option<String>) -> Option<&str> {
        self.application_uri.get_or_init(|| read(self.leaf())).as_deref()
    }

    pub fn leaf(&self) -> &[u8] {
        super::crypto::certificate::leaf(&self.chain).expect("checked when it was made")
    }
}

#[cfg(test)]
mod tests;
