//! This server as a client of other servers: its name, its certificate, and which servers it trusts.

use std::sync::Arc;

use tokio::sync::watch;

use super::mirror::Listings;
use crate::drivers::{Application, Dialled, Folder, Listing};
use crate::pki::{self, Pki, Sought};
use crate::stack::channel::{Refusal, Seen};
use crate::stack::crypto::{Identities, Identity};
use crate::ua::application;

/// The identity that drivers of other OPC UA servers connect with.
pub(super) struct Own {
    pub application: application::Application,
    pub identities: Arc<Identities>,
    pub pki: Arc<Pki>,
    pub listings: Arc<Listings>,
}

impl Application for Own {
    fn name(&self) -> String {
        self.application.name.clone()
    }

    fn uri(&self) -> String {
        // A certificate that the operator installed may have another one; servers compare the two.
        let of_certificate = self.identities.newest().and_then(|identity| pki::application_uri(identity.chain()));
        of_certificate.unwrap_or_else(|| self.application.uri.clone())
    }

    fn identity(&self) -> Option<Arc<Identity>> {
        self.identities.newest()
    }

    fn check_server(&self, chain: &[u8], dialled: &Dialled<'_>) -> Result<Seen, Refusal> {
        let Dialled { host, address, policy, application_uri } = *dialled;
        self.pki.check_server(chain, &Sought { host, address, policy, application_uri })
    }

    fn trust(&self) -> watch::Receiver<u64> {
        self.pki.changes()
    }

    fn take_listing(&self, folder: &Folder, listing: Listing) {
        self.listings.put(folder, listing);
    }
}
