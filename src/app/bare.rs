//! A server that opens nothing: no folder, no port, no task, no certificate. A client brings its own connection
//! (`ua::connection::loopback`), as the fuzzer and the test that counts allocations do.

use std::sync::Arc;

use opcua::StatusCode;

use super::build::{Base, Namespaces, Opened};
use super::{Assembly, StartError};
use crate::audit::Audit;
use crate::history::{Archives, Historian};
use crate::model::{AuditLog, Plant};
use crate::stack::channel::{Caller, CertificateCheck, Refusal, Seen};
use crate::stack::crypto::{CryptoPool, PoolThreads, QueueLimits};
use crate::tags::TagStore;
use crate::ua::server::Server;
use crate::ua::space::NodeVersions;
use crate::ua::world::{Rules, World};

/// A server without its own certificate accepts no channel that a client's certificate could open.
struct Nobody;

impl CertificateCheck for Nobody {
    fn check_client(&self, _: &[u8], _: &Caller) -> Result<Seen, Refusal> {
        Err(Refusal {
            status: StatusCode::BadCertificateUntrusted,
            code: StatusCode::BadCertificateUntrusted,
            rule: "no client is trusted".to_owned(),
        })
    }
}

impl Assembly {
    /// Memory tags live, device tags wait for ever.
    pub fn bare(self) -> Result<(Arc<Server>, PoolThreads), StartError> {
        self.bare_with(None)
    }

    /// With a historian for the tags that keep history. It must be able to make their archives.
    pub fn bare_with(self, historian: Option<Arc<dyn Historian>>) -> Result<(Arc<Server>, PoolThreads), StartError> {
        self.bare_audited(historian, Audit::off())
    }

    /// With an audit, too.
    pub fn bare_audited(
        self,
        historian: Option<Arc<dyn Historian>>,
        audit: Audit,
    ) -> Result<(Arc<Server>, PoolThreads), StartError> {
        let (crypto, threads) =
            CryptoPool::start(1, QueueLimits { of_address: 16, in_all: 16 }).map_err(StartError::Thread)?;
        let plant = Arc::new(Plant { revision: 1, ..self.compiled.plant });
        let mut plan = self.compiled.server;
        if !audit.is_on() {
            (plan.audit.file, plan.audit.log) = (false, AuditLog::Off);
        }
        let plan = Arc::new(plan);
        let base = Base::new(self.application, self.limits, self.wire, &plan);
        let rules = Rules { limits: base.limits_of(&plan), plan: Arc::clone(&plan) };
        let of_cells: Vec<u16> = (2..).take(plant.cells.len()).collect();
        let namespaces = Namespaces { of_cells: &of_cells, pinned: &[] };
        let space = base.space(&plant, &rules, &namespaces, &NodeVersions::default());
        let archives = historian.map(|historian| {
            let archives = Archives::open(historian, &plant).expect("the historian makes archives");
            Arc::new(archives)
        });
        let opened = Opened {
            tags: Arc::new(TagStore::new(&plant)),
            identities: Arc::default(),
            policies: Vec::new(),
            check: Arc::new(Nobody),
            trust: tokio::sync::watch::channel(0).1,
            crypto,
            pinned_names: Box::new(|_| Vec::new()),
            audit,
            accounts: plan.accounts.clone(),
        };
        let world = World::new(rules, plant, space, archives, Vec::new());
        Ok((base.server(world, opened), threads))
    }
}
