//! Keys of the server file: those that a running server takes, and those that wait for the next start.

use std::sync::Arc;

use super::super::{StartError, audit, own_request, policy, suppressed};
use crate::audit::{self as trail, Kind};
use crate::logging;
use crate::model::{Accounts, Before, Limits, ServerPlan};
use crate::pki::{Pki, Wanted};
use crate::ua::server::Server;

/// Parts of a running server, in addition to the server itself, that other keys change.
#[derive(Clone)]
pub(in crate::app) struct Keys {
    pub pki: Arc<Pki>,
    /// The own certificate.
    pub wanted: Wanted,
    /// The limits of the start.
    pub started: Limits,
}

/// Differences between a running server and a server file.
#[derive(Debug, Default)]
pub(super) struct ServerChanges {
    /// Keys that take effect at the next start.
    pub needs_restart: Vec<String>,
    /// Something of it takes effect now.
    pub has_live: bool,
    accounts: Option<Accounts>,
    has_other_admission: bool,
    has_other_certificate: bool,
    log: Option<log::LevelFilter>,
    audit: Option<trail::Prepared>,
}

/// The plan that a running server can take, and the differences. Keys that wait for the next start keep their value.
pub(super) fn compare(old: &ServerPlan, accounts: &Accounts, new: ServerPlan, started: &Limits) -> Compared {
    let mut plan = new;
    let needs_restart = plan.settle(Before { plan: old, started }).into_iter().map(str::to_owned).collect();
    let mut changes = ServerChanges { needs_restart, ..ServerChanges::default() };
    // `opcell user` may have changed the accounts since the file was taken.
    changes.accounts = (*accounts != plan.accounts).then(|| plan.accounts.clone());
    changes.log = (old.log != plan.log).then_some(plan.log);
    changes.has_other_admission = old.networks != plan.networks
        || old.security.policies != plan.security.policies
        || old.security.allow_unsecured != plan.security.allow_unsecured;
    changes.has_other_certificate =
        old.security.certificate != plan.security.certificate || old.advertise != plan.advertise;
    let rest = ServerPlan { accounts: old.accounts.clone(), file: old.file.clone(), ..plan.clone() };
    changes.has_live = changes.accounts.is_some() || rest != *old;
    Compared { plan, changes }
}

/// The outcome of `compare`.
#[derive(Debug)]
pub(super) struct Compared {
    pub plan: ServerPlan,
    pub changes: ServerChanges,
}

impl ServerChanges {
    /// Does what can fail; nothing changes yet.
    pub(super) fn prepare(&mut self, server: &Server, old: &ServerPlan, plan: &ServerPlan) -> Result<(), StartError> {
        if self.has_other_certificate {
            Wanted::check(&own_request(plan)).map_err(StartError::Certificate)?;
        }
        if old.audit != plan.audit {
            self.audit = Some(server.trail.prepare(&plan.audit, &plan.state_dir)?);
        }
        Ok(())
    }

    /// Takes what counts now; the world has the new plan already.
    pub(super) fn apply(self, server: &Arc<Server>, keys: &Keys) {
        let plan = Arc::clone(&server.world().plan);
        if let Some(audit) = self.audit {
            server.trail.take(audit, |message| server.audit_own(Kind::AuditChanged, message));
        }
        keys.pki.suppress(suppressed(plan.security.suppressed));
        if self.has_other_certificate {
            keys.wanted.replace(own_request(&plan));
        }
        if let Some(accounts) = self.accounts {
            take_accounts(server, accounts);
        }
        if self.has_other_admission {
            server.channels.policies.store(Arc::new(plan.security.policies.iter().copied().map(policy).collect()));
            server.take_admission();
        }
        if let Some(level) = self.log {
            logging::set_file_level(level);
        }
    }
}

/// Replaces the users and roles of a running server; returns how many sessions ended.
pub(in crate::app) fn take_accounts(server: &Arc<Server>, accounts: Accounts) -> usize {
    let changed = audit::users_changed(&server.users.accounts(), &accounts);
    let ended = server.take_accounts(accounts);
    if let Some(changed) = changed {
        server.audit_own(Kind::UsersChanged, changed);
    }
    ended
}
