//! The certificates that a server answers to: the newest, which it tells, and older ones that clients still know.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Identity;

/// Replaced while channels are open: each keeps the identity that it was opened with.
#[derive(Debug, Default)]
pub struct Identities {
    /// Newest first.
    known: ArcSwap<Vec<Arc<Identity>>>,
}

impl Identities {
    pub fn one(identity: Arc<Identity>) -> Identities {
        Identities { known: ArcSwap::from_pointee(vec![identity]) }
    }

    /// The certificate presented to clients; `None` for a server without security.
    pub fn newest(&self) -> Option<Arc<Identity>> {
        self.known.load().first().cloned()
    }

    pub fn all(&self) -> Vec<Arc<Identity>> {
        self.known.load().to_vec()
    }

    /// The one that a client encrypted for.
    pub fn of_thumbprint(&self, thumbprint: &[u8]) -> Option<Arc<Identity>> {
        self.known.load().iter().find(|identity| identity.thumbprint() == thumbprint).cloned()
    }

    /// `identities`: the newest first.
    pub fn replace(&self, identities: Vec<Arc<Identity>>) {
        self.known.store(Arc::new(identities));
    }
}
