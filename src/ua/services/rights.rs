//! Re-evaluates an open session's items after its user, roles or channel changed: items that it may no longer read
//! stop, items that it may read again resume with the current value.

use std::sync::Arc;

use super::{Context, fixed};
use crate::model::Accounts;
use crate::tags::Watcher;
use crate::ua::server::Server;
use crate::ua::session::{Ending, Session};
use crate::ua::space::{Attribute, Live, NodeIx, Space, Viewer};
use crate::ua::subscription::{Subscription, Watched};
use crate::value::Moment;

/// The user of a session whose rights have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    Same,
    /// Continuation points and messages of the previous user are not for this one.
    Another,
}

/// Called whenever the roles, the user or the channel of a session have changed.
pub(crate) fn apply_rights(server: &Arc<Server>, session: &Arc<Session>, user: User) {
    let subscriptions = {
        let mut state = session.lock();
        if user == User::Another {
            state.browse.clear();
            state.history.clear();
        }
        state.subscriptions.clone()
    };
    let client = session.as_client();
    for subscription in &subscriptions {
        let mut state = subscription.lock();
        state.client = client.clone();
        if user == User::Another {
            state.forget();
        }
    }
    reevaluate_items(server, session, &subscriptions);
}

/// Called after a request that created items, in case the rights changed while it was served: `apply_rights` may have
/// run before the items were there.
pub(crate) fn reevaluate_new_items(context: &Context<'_>, subscription: &Arc<Subscription>) {
    let is_same = {
        let state = context.session.lock();
        (state.roles, state.is_encrypted()) == (context.roles, context.is_encrypted)
    };
    if !is_same {
        reevaluate_items(context.server, context.session, std::slice::from_ref(subscription));
    }
}

/// Checks every item of these subscriptions against the rights of the session.
pub(crate) fn reevaluate_items(server: &Arc<Server>, session: &Arc<Session>, subscriptions: &[Arc<Subscription>]) {
    if subscriptions.is_empty() {
        return;
    }
    let context = Context::without_request(server, session, Moment::now());
    let (space, viewer) = (&context.world.space, context.viewer());
    for subscription in subscriptions {
        for (key, source) in changed(space, &viewer, subscription, context.now) {
            resume_item(&context, space, subscription, key, &source);
        }
    }
}

/// The source of the value of an item that resumes.
enum ItemSource {
    Tag(crate::model::TagId),
    Live(Live),
    Fixed(NodeIx, Attribute),
}

/// Denies the items that may not be read any more; returns those that resume, and those that each user sees
/// differently.
fn changed(space: &Space, viewer: &Viewer<'_>, subscription: &Subscription, at: Moment) -> Vec<(u32, ItemSource)> {
    let mut state = subscription.lock();
    let mut found = Vec::new();
    for (key, item) in state.items() {
        let verdict = match viewer.sees(space, item.node) {
            true => viewer.check_read(space, item.node, item.attribute),
            // It is as if the node did not exist.
            false => Err(opcua::StatusCode::BadNodeIdUnknown),
        };
        let source = match &item.watched {
            Watched::Tag(tag) => Some(ItemSource::Tag(*tag)),
            Watched::Live(live) => Some(ItemSource::Live(*live)),
            Watched::Fixed => Some(ItemSource::Fixed(item.node, item.attribute)),
            Watched::Events(..) => None,
        };
        if verdict.err() != item.denied || matches!((&item.watched, verdict), (Watched::Fixed, Ok(()))) {
            found.push((key, item.denied, verdict.err(), source));
        }
    }
    let mut resuming = Vec::new();
    // What was sent before may hold what the session may not have any more.
    if found.iter().any(|(_, before, now, _)| before.is_none() && now.is_some()) {
        state.forget_sent();
    }
    for (key, before, now, source) in found {
        if before != now {
            state.deny(key, now, at);
        }
        resuming.extend(source.filter(|_| now.is_none()).map(|source| (key, source)));
    }
    resuming
}

fn resume_item(context: &Context<'_>, space: &Space, subscription: &Subscription, key: u32, source: &ItemSource) {
    match source {
        // Under the tag's lock, as every offer: the order of changes is kept.
        ItemSource::Tag(tag) => context.server.tags.with(*tag, |sample| subscription.offer(key, sample, context.now)),
        ItemSource::Live(live) => {
            let sample = context.live_sample(*live);
            subscription.lock().accept(key, sample, context.now);
        }
        ItemSource::Fixed(node, attribute) => {
            let range = subscription.lock().item_mut(key).and_then(|item| item.range.clone());
            let sample = fixed::fixed_or_why(context, space, *node, *attribute, range.as_ref());
            subscription.lock().accept(key, sample, context.now);
        }
    }
}

impl Server {
    /// Replaces the accounts. Sessions of users that lost their login, or got another one, end; all others get the
    /// roles that follow now. Returns how many ended.
    pub fn take_accounts(self: &Arc<Server>, accounts: Accounts) -> usize {
        let old = self.users.replace(accounts);
        let new = self.users.accounts();
        let mut ended = 0;
        for session in self.sessions.all() {
            let (is_kept, has_changed) = {
                let mut state = session.lock();
                let is_kept = !state.is_activated || state.identity.is_kept(&old, &new);
                let before = state.roles;
                if is_kept && state.is_activated {
                    state.roles = state.standing.roles(&state.identity, &new);
                }
                (is_kept, state.roles != before)
            };
            if has_changed {
                apply_rights(self, &session, User::Same);
            }
            if !is_kept {
                self.end_session(&session, true, &Ending::UserChanged);
                ended += 1;
            }
        }
        ended
    }
}
