//! Rights that change under an open session: its user, its roles or its channel is another now. Items that it may
//! not have any more fall silent, items that it may have again speak.

use std::sync::Arc;

use super::{Context, fixed};
use crate::model::Accounts;
use crate::tags::Watcher;
use crate::ua::server::Server;
use crate::ua::session::{Ending, Session};
use crate::ua::space::{Attribute, Live, NodeIx, Space, Viewer};
use crate::ua::subscription::{Subscription, Watched};
use crate::value::Moment;

/// Whose session it is after it was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    Same,
    /// What was begun and kept for the user before is not for this one.
    Another,
}

/// Called whenever the roles, the user or the channel of a session have changed.
pub fn settle(server: &Arc<Server>, session: &Arc<Session>, user: User) {
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
    judge(server, session, &subscriptions);
}

/// Called behind a request that made items: while it was served its session may have got other rights, and `settle`
/// may have looked before the items were there.
pub fn judge_anew(context: &Context<'_>, subscription: &Arc<Subscription>) {
    let is_same = {
        let state = context.session.lock();
        (state.roles, state.is_encrypted()) == (context.roles, context.is_encrypted)
    };
    if !is_same {
        judge(context.server, context.session, std::slice::from_ref(subscription));
    }
}

/// Looks at every item of these subscriptions with the eyes of the session.
pub fn judge(server: &Arc<Server>, session: &Arc<Session>, subscriptions: &[Arc<Subscription>]) {
    if subscriptions.is_empty() {
        return;
    }
    let context = Context::without_request(server, session, Moment::now());
    let (space, viewer) = (server.space(), context.viewer());
    for subscription in subscriptions {
        for (key, source) in changed(&space, &viewer, subscription, context.now) {
            speak(&context, &space, subscription, key, &source);
        }
    }
}

/// Where an item that may speak again has its value from.
enum Spring {
    Tag(crate::model::TagId),
    Live(Live),
    Fixed(NodeIx, Attribute),
}

/// Silences what may not be had any more; tells what may be had again, and what each user sees differently.
fn changed(space: &Space, viewer: &Viewer<'_>, subscription: &Subscription, at: Moment) -> Vec<(u32, Spring)> {
    let mut state = subscription.lock();
    let mut found = Vec::new();
    for (key, item) in state.items() {
        let verdict = match viewer.sees(space, item.node) {
            true => viewer.check_read(space, item.node, item.attribute),
            // It is as if the node were gone.
            false => Err(opcua::StatusCode::BadNodeIdUnknown),
        };
        let spring = match &item.watched {
            Watched::Tag(tag) => Some(Spring::Tag(*tag)),
            Watched::Live(live) => Some(Spring::Live(*live)),
            Watched::Fixed => Some(Spring::Fixed(item.node, item.attribute)),
            Watched::Events(..) => None,
        };
        if verdict.err() != item.denied || matches!((&item.watched, verdict), (Watched::Fixed, Ok(()))) {
            found.push((key, item.denied, verdict.err(), spring));
        }
    }
    let mut speaking = Vec::new();
    // What was sent before may hold what the session may not have any more.
    if found.iter().any(|(_, before, now, _)| before.is_none() && now.is_some()) {
        state.forget_sent();
    }
    for (key, before, now, spring) in found {
        if before != now {
            state.deny(key, now, at);
        }
        speaking.extend(spring.filter(|_| now.is_none()).map(|spring| (key, spring)));
    }
    speaking
}

fn speak(context: &Context<'_>, space: &Space, subscription: &Subscription, key: u32, spring: &Spring) {
    match spring {
        // Under the tag's lock, as every offer: the order of changes stays right.
        Spring::Tag(tag) => context.server.tags.with(*tag, |sample| subscription.offer(key, sample, context.now)),
        Spring::Live(live) => {
            let sample = context.live_sample(*live);
            subscription.lock().accept(key, sample, context.now);
        }
        Spring::Fixed(node, attribute) => {
            let range = subscription.lock().item_mut(key).and_then(|item| item.range.clone());
            let sample = fixed::fixed_or_why(context, space, *node, *attribute, range.as_ref());
            subscription.lock().accept(key, sample, context.now);
        }
    }
}

impl Server {
    /// From here on these accounts count: sessions of whoever lost the login or got another end, all others have the
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
                settle(self, &session, User::Same);
            }
            if !is_kept {
                self.end_session(&session, true, &Ending::UserChanged);
                ended += 1;
            }
        }
        ended
    }
}
