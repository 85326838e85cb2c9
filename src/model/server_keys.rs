//! The keys of the server file, and when a running server takes another value of each: the one list of it.

use super::{Limits, ServerPlan};

/// A key with its section, such as `security.pki_dir`; a section whose keys are names of the operator's own is one key.
#[derive(Debug, Clone, Copy)]
pub struct ServerKey {
    pub key: &'static str,
    pub takes: Takes,
}

/// When a running server takes another value.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// At the next reload.
    Live,
    /// At the next reload, within a bound that only a restart moves.
    LiveWithin { bound: &'static str, waits: Waits },
    /// At the next start.
    Restart(Waits),
}

/// A value that waits for the next start.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// Puts what a running server can take in place of the new value; false where that is another value.
    settle: fn(Before<'_>, &mut ServerPlan) -> bool,
}

/// The running plan.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    pub plan: &'a ServerPlan,
    /// The limits of the start.
    pub started: &'a Limits,
}

const fn live(key: &'static str) -> ServerKey {
    ServerKey { key, takes: Takes::Live }
}

const fn restart(key: &'static str, settle: fn(Before<'_>, &mut ServerPlan) -> bool) -> ServerKey {
    ServerKey { key, takes: Takes::Restart(Waits { settle }) }
}

/// Keeps the value that is in use.
fn keep<T: PartialEq + Clone>(old: &T, new: &mut T) -> bool {
    let is_same = old == new;
    new.clone_from(old);
    is_same
}

fn settle_sessions(before: Before<'_>, new: &mut ServerPlan) -> bool {
    let (most, wanted) = (before.started.max_sessions, new.limits.max_sessions);
    new.limits.max_sessions = wanted.min(most);
    wanted <= most
}

/// Every key of the server file once, in the order of the reference.
pub const SERVER_KEYS: [ServerKey; 42] = [
    live("schema"),
    live("cells"),
    restart("application.name", |old, new| keep(&old.plan.application.name, &mut new.application.name)),
    restart("application.uri", |old, new| keep(&old.plan.application.uri, &mut new.application.uri)),
    restart("listen", |old, new| keep(&old.plan.listen, &mut new.listen)),
    live("advertise"),
    live("networks"),
    live("security.policies"),
    live("security.allow_unsecured"),
    live("security.suppress"),
    restart("security.pki_dir", |old, new| keep(&old.plan.pki_dir, &mut new.pki_dir)),
    live("security.certificate.key_size"),
    live("security.certificate.names"),
    live("security.certificate.renew_before"),
    live("security.certificate.valid_for"),
    live("users"),
    live("roles"),
    live("anonymous"),
    ServerKey {
        key: "limits.max_sessions",
        takes: Takes::LiveWithin {
            bound: "above the number of the last start",
            waits: Waits { settle: settle_sessions },
        },
    },
    live("limits.max_subscriptions"),
    live("limits.max_subscriptions_per_session"),
    live("limits.max_monitored_items"),
    live("limits.max_items_per_subscription"),
    live("limits.max_queue"),
    live("limits.min_publishing_interval"),
    live("limits.min_sampling_interval"),
    live("limits.session_memory"),
    restart("history.path", |old, new| keep(&old.plan.history.path, &mut new.history.path)),
    live("history.commit"),
    live("history.max_size"),
    live("history.on_full"),
    live("history.min_free"),
    live("history.partition"),
    live("audit.log"),
    live("audit.file"),
    live("audit.writes"),
    live("audit.keep"),
    live("audit.max_size"),
    live("audit.max_file"),
    restart("state_dir", |old, new| keep(&old.plan.state_dir, &mut new.state_dir)),
    live("log"),
    live("watch"),
];

impl ServerPlan {
    /// Puts what is in use in place of the values that wait for the next start; returns the keys of those.
    pub fn settle(&mut self, before: Before<'_>) -> Vec<&'static str> {
        let waits = |key: &ServerKey| match key.takes {
            Takes::Live => None,
            Takes::LiveWithin { waits, .. } | Takes::Restart(waits) => Some((key.key, waits)),
        };
        let waiting = SERVER_KEYS.iter().filter_map(waits);
        waiting.filter(|(_, waits)| !(waits.settle)(before, self)).map(|(key, _)| key).collect()
    }
}
