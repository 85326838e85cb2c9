//! The server itself, put together from a checked cell and the things that were opened for it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::memory;
use crate::audit::Audit;
use crate::model::{self, Accounts, Plant, ServerPlan};
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
use crate::ua::world::{Rules, World};
use crate::value::UaTime;

/// The limits of a server file, with the memory that sessions have where it names none.
pub(super) fn with_memory(configured: &model::Limits) -> model::Limits {
    let session_memory = configured.session_memory.or_else(memory::quarter_of_machine);
    model::Limits { session_memory, ..configured.clone() }
}

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
    /// Those of the start; the limits of a revision follow from its server file.
    pub limits: Limits,
    /// The limits of the server file that `limits` follow from.
    pub configured: model::Limits,
    pub wire: transport::Limits,
    pub started: UaTime,
}

impl Base {
    /// The base of a server that starts now.
    pub(super) fn new(application: Application, limits: Limits, wire: transport::Limits, plan: &ServerPlan) -> Base {
        Base { application, limits, configured: plan.limits.clone(), wire, started: UaTime::now() }
    }

    /// The limits of a revision.
    pub(super) fn limits_of(&self, plan: &ServerPlan) -> Limits {
        match plan.limits == self.configured {
            true => self.limits.clone(),
            false => self.limits.reconfigured(with_memory(&plan.limits)),
        }
    }

    /// The address space; pure, and slow for many nodes.
    pub(super) fn space(
        &self,
        plant: &Plant,
        rules: &Rules,
        namespaces: &Namespaces<'_>,
        versions: &NodeVersions,
    ) -> Space {
        let mut draft = compose(plant, &self.application.uri, namespaces.of_cells, versions);
        for (uri, index) in namespaces.pinned.iter().zip(2..) {
            draft.namespace(index, uri);
        }
        let facts = Facts {
            application: &self.application,
            limits: &rules.limits,
            wire: &self.wire,
            plant,
            plan: &rules.plan,
            started: self.started,
            audits: rules.plan.audit.is_on(),
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
            policies: ArcSwap::from_pointee(opened.policies),
            check: opened.check,
        };
        let parts = Parts {
            limits: self.limits.fixed.clone(),
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
