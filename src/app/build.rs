//! The server itself, put together from a checked cell and the things that were opened for it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::audit::Audit;
use crate::model::{Accounts, Plant, ServerPlan};
use crate::stack::channel::{CertificateCheck, Pace, ServerSettings};
use crate::stack::crypto::{CryptoPool, Identities, Policy};
use crate::stack::transport;
use crate::tags::TagStore;
use crate::ua::application::Application;
use crate::ua::facts::{self, Facts};
use crate::ua::limits::Limits;
use crate::ua::server::{Parts, Server};
use crate::ua::space::{NodeVersions, Space, compose};
use crate::ua::users::{PinnedNames, Users};
use crate::ua::world::World;
use crate::value::UaTime;

/// The namespaces of the cells by their index.
pub(crate) struct Namespaces<'a> {
    /// One for each cell.
    pub of_cells: &'a [u16],
    /// Every namespace that ever had an index, from index 2 on.
    pub pinned: &'a [String],
}

/// Everything that a server needs in addition to its world; a bare one has stand-ins for most of it.
pub(crate) struct Opened {
    pub tags: Arc<TagStore>,
    pub identities: Arc<Identities>,
    pub policies: Vec<Policy>,
    pub check: Arc<dyn CertificateCheck>,
    pub trust: watch::Receiver<u64>,
    pub crypto: CryptoPool,
    pub pinned_names: PinnedNames,
    pub audit: Audit,
    pub accounts: Accounts,
}

/// Parts that all revisions of a server have in common.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub application: Application,
    pub limits: Limits,
    pub wire: transport::Limits,
    pub started: UaTime,
    /// Whether audit events are raised.
    pub audits: bool,
}

impl Base {
    /// The address space; pure, and slow for many nodes.
    pub(super) fn space(
        &self,
        plant: &Plant,
        plan: &ServerPlan,
        namespaces: &Namespaces<'_>,
        versions: &NodeVersions,
    ) -> Space {
        let mut draft = compose(plant, &self.application.uri, namespaces.of_cells, versions);
        for (uri, index) in namespaces.pinned.iter().zip(2..) {
            draft.namespace(index, uri);
        }
        let facts = Facts {
            application: &self.application,
            limits: &self.limits,
            wire: &self.wire,
            plant,
            plan,
            started: self.started,
            audits: self.audits,
        };
        facts::fill(&mut draft, facts);
        draft.finish()
    }

    /// A server with this world.
    pub(super) fn server(&self, world: World, opened: Opened) -> Arc<Server> {
        let channels = ServerSettings {
            handshakes: Pace::new(self.wire.handshakes),
            limits: self.wire.clone(),
            identities: opened.identities,
            policies: opened.policies,
            check: opened.check,
        };
        let parts = Parts {
            limits: self.limits.clone(),
            tags: opened.tags,
            channels: Arc::new(channels),
            trust: opened.trust,
            crypto: opened.crypto,
            users: Arc::new(Users::new(opened.accounts, opened.pinned_names)),
            application: self.application.clone(),
            trail: opened.audit,
        };
        Server::new(parts, world, self.started)
    }
}
