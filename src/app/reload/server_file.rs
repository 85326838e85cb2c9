//! Keys of the server file: those that a running server takes, and those that wait for the next start.

use std::sync::Arc;

use super::super::audit;
use crate::audit::Kind;
use crate::model::{Accounts, ServerPlan};
use crate::ua::server::Server;

/// Differences between two server files.
#[derive(Debug, Default)]
pub(super) struct ServerChanges {
    /// Keys that take effect at the next start.
    pub needs_restart: Vec<String>,
    /// Something of it takes effect now.
    pub has_live: bool,
    accounts: Option<Accounts>,
    log: Option<log::LevelFilter>,
}

/// The plan that a running server can take, and the differences. Keys that wait for the next start keep their value.
pub(super) fn compare(old: &ServerPlan, new: ServerPlan) -> (ServerPlan, ServerChanges) {
    let mut changes = ServerChanges::default();
    let mut taken = new;
    let mut waits = |key: &str, is_same: bool| {
        if !is_same {
            changes.needs_restart.push(key.to_owned());
        }
    };
    waits("application.uri", old.application.uri == taken.application.uri);
    waits("application.name", old.application.name == taken.application.name);
    waits("listen", old.listen == taken.listen);
    waits("state_dir", old.state_dir == taken.state_dir);
    waits("security.pki_dir", old.pki_dir == taken.pki_dir);
    waits("security.policies", old.security.policies == taken.security.policies);
    waits("security.suppress", old.security.suppressed == taken.security.suppressed);
    waits("security.certificate", old.security.certificate == taken.security.certificate);
    waits("history", old.history == taken.history);
    waits("audit", old.audit == taken.audit);
    waits("limits", old.limits == taken.limits);
    taken.application = old.application.clone();
    taken.listen.clone_from(&old.listen);
    taken.state_dir.clone_from(&old.state_dir);
    taken.pki_dir.clone_from(&old.pki_dir);
    taken.security.policies.clone_from(&old.security.policies);
    taken.security.suppressed = old.security.suppressed;
    taken.security.certificate = old.security.certificate.clone();
    taken.history = old.history.clone();
    taken.audit = old.audit.clone();
    taken.limits = old.limits.clone();
    if old.accounts != taken.accounts || old.own_roles != taken.own_roles {
        changes.accounts = Some(taken.accounts.clone());
    }
    changes.log = (old.log != taken.log).then_some(taken.log);
    changes.has_live = changes.accounts.is_some()
        || changes.log.is_some()
        || old.networks != taken.networks
        || old.advertise != taken.advertise
        || old.security.allow_unsecured != taken.security.allow_unsecured;
    (taken, changes)
}

impl ServerChanges {
    /// Takes what counts now; the world has the new plan already.
    pub(super) fn apply(self, server: &Arc<Server>) {
        if let Some(accounts) = self.accounts {
            take_accounts(server, accounts);
        }
        if let Some(level) = self.log {
            crate::logging::set_level(level);
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
