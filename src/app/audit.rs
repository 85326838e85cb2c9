//! Audit records of the server itself (start, stop, trust, users), and the event that the audit cannot be written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::audit::{Kind, Scribe};
use crate::model::Accounts;
use crate::pki::{Holding, Pki};
use crate::ua::events::{Fields, kinds};
use crate::ua::server::{OwnEvent, Server};
use crate::ua::session::Ending;

const SEVERITY_TROUBLE: u16 = 800;
const SEVERITY_BACK: u16 = 100;
const LOOK: Duration = Duration::from_secs(1);

pub(crate) fn started(server: &Server) {
    let plan = &server.world().plan;
    let file = plan.file.as_ref().map_or_else(|| "no server file".to_owned(), |file| file.display().to_string());
    let (version, users, tags) =
        (env!("CARGO_PKG_VERSION"), plan.accounts.users.len(), server.world().plant.tags.len());
    server.audit_own(Kind::ServerStarted, format!("opcell {version} with {tags} tags and {users} users, {file}"));
}

/// Ends the remaining sessions, records the stop, and writes all waiting records.
pub(crate) async fn stopped(server: &Arc<Server>, scribe: Option<Scribe>, reason: &str) {
    for session in server.sessions.all() {
        server.end_session(&session, true, &Ending::Shutdown);
    }
    server.audit_folded(true);
    server.audit_own(Kind::ServerStopped, reason.to_owned());
    if let Err(error) = tokio::task::spawn_blocking(move || drop(scribe)).await {
        log::error!("the audit was not closed: {error}");
    }
}

/// Records each certificate that came to a folder or left it, and once a minute what was folded; tells clients when the
/// files cannot be written.
pub(crate) async fn run(server: Arc<Server>, pki: Arc<Pki>) {
    let mut changes = pki.changes();
    let mut known = pki.holdings();
    let mut trouble = None;
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_change = tokio::select! {
            changed = changes.changed() => changed.is_ok(),
            _ = tick.tick() => false,
        };
        if is_change {
            let now = pki.holdings();
            tell_trust(&server, &known, &now);
            known = now;
        }
        server.audit_folded(false);
        let now = server.trail.trouble();
        if now.is_some() != trouble.is_some() {
            tell_trouble(&server, now.as_deref());
        }
        trouble = now;
    }
}

fn tell_trust(server: &Server, old: &BTreeSet<Holding>, new: &BTreeSet<Holding>) {
    let line = |holding: &Holding, verb: &str| {
        let Holding { folder, thumbprint, name } = holding;
        server.audit_own(Kind::TrustChanged, format!("certificate {thumbprint} `{name}` {verb} {folder}"));
    };
    new.difference(old).for_each(|holding| line(holding, "came to"));
    old.difference(new).for_each(|holding| line(holding, "left"));
}

fn tell_trouble(server: &Server, trouble: Option<&str>) {
    let (message, severity) = match trouble {
        Some(why) => (format!("the audit is not written to its files: {why}"), SEVERITY_TROUBLE),
        None => ("the audit is written to its files again".to_owned(), SEVERITY_BACK),
    };
    let fields = Fields::default();
    server.raise_own(OwnEvent { kind: kinds::DEVICE_FAILURE, message, severity, fields, per_viewer: None });
}

/// Which users came, went and changed; `None` when nothing did.
pub(crate) fn users_changed(old: &Accounts, new: &Accounts) -> Option<String> {
    let lacking = |of: &Accounts, other: &Accounts| -> Vec<String> {
        of.users.keys().filter(|name| !other.users.contains_key(*name)).cloned().collect()
    };
    let is_changed = |name: &&String| old.users.get(*name).is_some_and(|user| new.users.get(*name) != Some(user));
    let (gone, came) = (lacking(old, new), lacking(new, old));
    let changed: Vec<String> = new.users.keys().filter(is_changed).cloned().collect();
    let mut parts = Vec::new();
    for (word, names) in [("new", came), ("removed", gone), ("changed", changed)] {
        if !names.is_empty() {
            parts.push(format!("{word}: {}", names.join(", ")));
        }
    }
    if old.anonymous != new.anonymous {
        parts.push("what sessions without login may do changed".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Role, Roles, User};

    #[test]
    fn a_change_of_users_names_who_came_went_and_changed() {
        let user = |role| User { password_hash: None, certificate: None, roles: Roles::NONE.with(role) };
        let accounts = |list: &[(&str, Role)]| Accounts {
            users: list.iter().map(|(name, role)| ((*name).to_owned(), user(*role))).collect(),
            ..Accounts::default()
        };
        let old = accounts(&[("a", Role::OPERATOR), ("b", Role::OPERATOR), ("c", Role::OPERATOR)]);
        let new = accounts(&[("b", Role::ENGINEER), ("c", Role::OPERATOR), ("d", Role::OPERATOR)]);
        assert_eq!(users_changed(&old, &new).as_deref(), Some("new: d; removed: a; changed: b"));
        assert_eq!(users_changed(&old, &old), None);
    }
}
