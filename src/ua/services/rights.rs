//! Re-evaluates an open session's items after its user, roles or channel changed: items that it may no longer read
//! stop, items that it may read again resume with the current value.

use std::sync::Arc;

use opcua::StatusCode;

use super::{Context, fixed};
use crate::model::{Accounts, Plant, TagId};
use crate::tags::Watcher;
use crate::ua::server::Server;
use crate::ua::session::{Ending, Session};
use crate::ua::space::{Attribute, Live, NodeIx};
use crate::ua::subscription::filter::FilterSubject;
use crate::ua::subscription::{Item, SLICE, Subscription, Watched};
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

/// Called after a request that created or modified items, in case the rights or the world changed while it was served:
/// `apply_rights` may have run before the items were there.
pub(crate) fn reevaluate_new_items(context: &Context<'_>, subscription: &Arc<Subscription>) {
    let is_same = {
        let state = context.session.lock();
        (state.roles, state.is_encrypted()) == (context.roles, context.is_encrypted)
    };
    if !is_same || context.server.world().revision() != context.world.revision() {
        reevaluate_items(context.server, context.session, std::slice::from_ref(subscription));
    }
}

/// Checks every item of these subscriptions against the rights of the session and the nodes of this world.
pub(crate) fn reevaluate_items(server: &Arc<Server>, session: &Arc<Session>, subscriptions: &[Arc<Subscription>]) {
    if subscriptions.is_empty() {
        return;
    }
    let context = Context::without_request(server, session, Moment::now());
    for subscription in subscriptions {
        let keys: Vec<u32> = subscription.lock().items().map(|(key, _)| key).collect();
        for slice in keys.chunks(SLICE) {
            for (key, source) in changed(&context, subscription, slice) {
                resume_item(&context, subscription, key, &source);
            }
        }
    }
}

/// The source of the value of an item that resumes.
enum ItemSource {
    Tag(TagId),
    Live(Live),
    Fixed(NodeIx, Attribute),
}

/// An item whose verdict is another now.
struct Changed {
    key: u32,
    before: Option<StatusCode>,
    now: Option<StatusCode>,
    /// The node is there, and not for this session.
    is_refused: bool,
    source: Option<ItemSource>,
}

/// Denies the items that may not be read any more; returns those that resume, and those that each user sees
/// differently.
fn changed(context: &Context<'_>, subscription: &Subscription, keys: &[u32]) -> Vec<(u32, ItemSource)> {
    let (space, viewer) = (&context.world.space, context.viewer());
    let mut state = subscription.lock();
    let mut found = Vec::new();
    for key in keys {
        let Some(item) = state.item_mut(*key) else { continue };
        let node = space.resolve(&item.node);
        let allowed = match node.filter(|node| viewer.sees(space, *node)) {
            Some(node) => viewer.check_read(space, node, item.attribute),
            // It is as if the node did not exist.
            None => Err(StatusCode::BadNodeIdUnknown),
        };
        let is_refused = node.is_some() && allowed.is_err();
        let verdict = allowed.and_then(|()| refit(context.plant(), item));
        let source = match &item.watched {
            Watched::Tag(tag) => Some(ItemSource::Tag(*tag)),
            Watched::Live(live) => Some(ItemSource::Live(*live)),
            Watched::Fixed => node.map(|node| ItemSource::Fixed(node, item.attribute)),
            Watched::Events(..) => None,
        };
        if verdict.err() != item.denied || matches!((&item.watched, verdict), (Watched::Fixed, Ok(()))) {
            let (before, now) = (item.denied, verdict.err());
            found.push(Changed { key: *key, before, now, is_refused, source });
        }
    }
    let mut resuming = Vec::new();
    // What was sent before may hold what the session may not have any more.
    if found.iter().any(|item| item.is_refused && item.before.is_none()) {
        state.forget_sent();
    }
    for Changed { key, before, now, source, .. } in found {
        if before != now {
            state.deny(key, now, context.now);
        }
        resuming.extend(source.filter(|_| now.is_none()).map(|source| (key, source)));
    }
    resuming
}

/// Holds an item's parameters against its tag, which a reload may have changed.
fn refit(plant: &Plant, item: &mut Item) -> Result<(), StatusCode> {
    let Watched::Tag(tag) = item.watched else { return Ok(()) };
    let Some(tag) = plant.tags.get(tag) else { return Err(StatusCode::BadNodeIdUnknown) };
    let shape = &tag.shape;
    item.period = tag.poll_period();
    if item.range.is_some() && !shape.has_parts() {
        return Err(StatusCode::BadIndexRangeInvalid);
    }
    let is_number = shape.data_type.wire().is_number();
    if item.aggregate.is_some() && !is_number {
        return Err(StatusCode::BadMonitoredItemFilterUnsupported);
    }
    item.filter.renew(FilterSubject { is_number, range: shape.range })
}

fn resume_item(context: &Context<'_>, subscription: &Subscription, key: u32, source: &ItemSource) {
    match source {
        // Under the tag's lock, as every offer: the order of changes is kept.
        ItemSource::Tag(tag) => context.server.tags.with(*tag, |sample| subscription.offer(key, sample, context.now)),
        ItemSource::Live(live) => {
            let sample = context.live_sample(*live);
            subscription.lock().accept(key, sample, context.now);
        }
        ItemSource::Fixed(node, attribute) => {
            let range = subscription.lock().item_mut(key).and_then(|item| item.range.clone());
            let sample = fixed::fixed_or_why(context, &context.world.space, *node, *attribute, range.as_ref());
            subscription.lock().accept(key, sample, context.now);
        }
    }
}

/// Revisions before the present one in which a Browse may be continued.
const EARLIER: u32 = 2;

impl Server {
    /// Holds what sessions have against the world that a reload has swapped in: items and continuation points.
    pub(crate) fn take_world(self: &Arc<Server>) {
        let oldest = self.world().revision().saturating_sub(EARLIER);
        for session in self.sessions.all() {
            let subscriptions = {
                let mut state = session.lock();
                state.browse.retain(|point| point.world.revision() >= oldest);
                state.subscriptions.clone()
            };
            reevaluate_items(self, &session, &subscriptions);
        }
    }

    /// Ends sessions without a connection that the server file no longer admits, and wakes the connections to look for
    /// themselves.
    pub(crate) fn take_admission(&self) {
        let world = self.world();
        self.admission.send_modify(|count| *count = count.wrapping_add(1));
        for session in self.sessions.all() {
            let (is_alone, is_secured) = {
                let state = session.lock();
                (state.wake.is_none(), state.is_secured())
            };
            if is_alone && !world.plan.admits(session.peer) {
                self.end_session(&session, true, &Ending::NetworkClosed);
            } else if is_alone && !is_secured && !world.plan.security.allow_unsecured {
                self.end_session(&session, true, &Ending::SecurityChanged);
            }
        }
    }

    /// Replaces the accounts. Sessions of users that lost their login, or got another one, end; all others get the
    /// roles that follow now, as do subscriptions that outlived theirs. Returns how many ended.
    pub fn take_accounts(self: &Arc<Server>, accounts: Accounts) -> usize {
        let old = self.users.replace(accounts);
        let new = self.users.accounts();
        for subscription in self.subscriptions.all() {
            subscription.lock().client.take_accounts(&old, &new);
        }
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
