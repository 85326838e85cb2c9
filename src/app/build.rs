//! The server itself, put together from a checked cell and the things that were opened for it.

use std::sync::Arc;

use tokio::sync::watch;

use super::Assembly;
use crate::audit::Audit;
use crate::health;
use crate::history::Archives;
use crate::stack::channel::{CertificateCheck, Pace, ServerSettings};
use crate::stack::crypto::{CryptoPool, Identities, Policy};
use crate::tags::TagStore;
use crate::ua::facts::{self, Facts};
use crate::ua::server::{Parts, Server};
use crate::ua::space::{Space, compose};
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

/// Everything that a server needs in addition to its cell; a bare one has stand-ins for most of it.
pub(crate) struct Opened {
    pub tags: Arc<TagStore>,
    /// `None`: no tag has a history class.
    pub archives: Option<Arc<Archives>>,
    pub links: Vec<Arc<health::Link>>,
    pub identities: Arc<Identities>,
    pub policies: Vec<Policy>,
    pub check: Arc<dyn CertificateCheck>,
    pub trust: watch::Receiver<u64>,
    pub crypto: CryptoPool,
    pub pinned_names: PinnedNames,
    pub audit: Audit,
}

impl Assembly {
    /// The address space; pure, and slow for many nodes.
    pub(super) fn space(&self, namespaces: &Namespaces<'_>, audits: bool, started: UaTime) -> Space {
        let mut draft = compose(&self.plant, &self.application.uri, namespaces.of_cells);
        for (uri, index) in namespaces.pinned.iter().zip(2..) {
            draft.namespace(index, uri);
        }
        let facts = Facts {
            application: &self.application,
            limits: &self.limits,
            wire: &self.wire,
            plant: &self.plant,
            plan: &self.plan,
            started,
            audits,
        };
        facts::fill(&mut draft, facts);
        draft.finish()
    }

    pub(super) fn server(self, space: Space, opened: Opened, started: UaTime) -> Arc<Server> {
        let Assembly { plant, plan, application, limits, wire, .. } = self;
        let channels = ServerSettings {
            handshakes: Pace::new(wire.handshakes),
            limits: wire,
            identities: opened.identities,
            policies: opened.policies,
            check: opened.check,
        };
        let parts = Parts {
            limits,
            tags: opened.tags,
            channels: Arc::new(channels),
            trust: opened.trust,
            crypto: opened.crypto,
            users: Arc::new(Users::new(plan.accounts.clone(), opened.pinned_names)),
            application,
            trail: opened.audit,
        };
        let world = World::new(plan, plant, space, opened.archives, opened.links);
        Server::new(parts, world, started)
    }
}
