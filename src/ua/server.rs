//! What all connections share: the address space, tags, sessions, subscriptions and the server's own state.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::audit::Audit;
use crate::health;
use crate::history::Archives;
use crate::model::{Accounts, Plant, ServerPlan};
use crate::stack::channel::ServerSettings;
use crate::stack::crypto::CryptoPool;
use crate::tags::{Member, Roster, TagStore};
use crate::ua::audit::Ending;
use crate::ua::diagnostics::Totals;
use crate::ua::disk_pool::DiskPool;
use crate::ua::events::Event;
use crate::ua::items::{Ended, Listener};
use crate::ua::limits::Limits;
use crate::ua::services::history::configuration::Starts;
use crate::ua::services::rights;
use crate::ua::session::{Registry, Session};
use crate::ua::space::{Space, Viewer};
use crate::ua::subscription::queue::Budget;
use crate::ua::subscription::timer::Timer;
use crate::ua::subscription::{Subscription, Watched};
use crate::ua::users::Users;
use crate::value::UaTime;

/// What `app` hands over to make a server.
pub struct Parts {
    pub plan: Arc<ServerPlan>,
    pub limits: Limits,
    pub plant: Arc<Plant>,
    pub tags: Arc<TagStore>,
    /// `None`: no tag has a history class.
    pub archives: Option<Arc<Archives>>,
    pub space: Space,
    pub started: UaTime,
    /// One a link; which connections it serves stands in it.
    pub links: Vec<Arc<health::Link>>,
    pub channels: Arc<ServerSettings>,
    /// Wakes when the trust in certificates has changed.
    pub trust: watch::Receiver<u64>,
    pub crypto: CryptoPool,
    pub users: Arc<Users>,
    pub application: Application,
    pub audit: Audit,
}

/// Who this server is, with all defaults filled in.
#[derive(Debug, Clone)]
pub struct Application {
    pub name: String,
    pub uri: String,
    pub host: String,
    pub port: u16,
}

pub struct Server {
    pub plan: Arc<ServerPlan>,
    pub limits: Limits,
    pub plant: Arc<Plant>,
    pub tags: Arc<TagStore>,
    pub archives: Option<Arc<Archives>>,
    pub links: Vec<Arc<health::Link>>,
    pub channels: Arc<ServerSettings>,
    pub trust: watch::Receiver<u64>,
    pub crypto: CryptoPool,
    pub users: Arc<Users>,
    pub application: Application,
    /// Where records of the audit go; `audit` is the way to it.
    pub trail: Audit,
    space: ArcSwap<Space>,
    pub sessions: Registry,
    subscriptions: Mutex<HashMap<u32, Arc<Subscription>>>,
    /// Held for as long as one subscription goes from session to session.
    pub transferring: Mutex<()>,
    /// Items that listen for events.
    pub(super) listeners: Mutex<Roster<Listener>>,
    pub(super) ended: Ended,
    /// Memory that all sessions together may hold.
    pub memory: Arc<Budget>,
    pub timer: Timer,
    /// Where history is read.
    pub history: DiskPool,
    /// Where archives start.
    pub starts: Starts,
    pub totals: Totals,
    pub monitored_items: AtomicU32,
    pub diagnostics_enabled: std::sync::atomic::AtomicBool,
    next_session: AtomicU32,
    next_subscription: AtomicU32,
    next_channel: AtomicU32,
    next_event: AtomicU64,
    pub status: Status,
}

/// ServerStatus as it moves (Part 5 §12.10, 1.05).
#[derive(Debug)]
pub struct Status {
    pub started: UaTime,
    state: AtomicI32,
    shutdown_at: Mutex<Option<(Instant, String)>>,
}

/// ServerState (Part 5 §12.6, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    Running = 0,
    Shutdown = 4,
    /// The outputs are not connected to hardware, and inputs are simulated.
    Test = 5,
}

impl Status {
    fn new(started: UaTime, simulated: bool) -> Status {
        let state = if simulated { ServerState::Test } else { ServerState::Running };
        Status { started, state: AtomicI32::new(state as i32), shutdown_at: Mutex::new(None) }
    }

    pub fn state(&self) -> i32 {
        self.state.load(Ordering::Acquire)
    }

    /// Whole seconds, rounded up; 0 while no end is announced.
    pub fn seconds_till_shutdown(&self, now: Instant) -> u32 {
        let left = self.shutdown_at.lock().as_ref().map(|(at, _)| at.saturating_duration_since(now));
        left.map_or(0, |left| u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX))
    }

    pub fn shutdown_reason(&self) -> Option<String> {
        self.shutdown_at.lock().as_ref().map(|(_, reason)| reason.clone())
    }

    pub fn announce_shutdown(&self, at: Instant, reason: &str) {
        *self.shutdown_at.lock() = Some((at, reason.to_owned()));
        self.state.store(ServerState::Shutdown as i32, Ordering::Release);
    }
}

impl Server {
    pub fn new(parts: Parts) -> Arc<Server> {
        let status = Status::new(parts.started, parts.plant.simulated);
        let mut space = parts.space;
        if let Some(archives) = &parts.archives {
            space.keep_history(archives.tags().map(|(tag, _)| tag));
        }
        Arc::new(Server {
            plan: parts.plan,
            memory: Budget::new(parts.limits.session_memory),
            history: DiskPool::new(parts.limits.history_requests.total),
            limits: parts.limits,
            plant: parts.plant,
            tags: parts.tags,
            archives: parts.archives,
            links: parts.links,
            channels: parts.channels,
            trust: parts.trust,
            crypto: parts.crypto,
            users: parts.users,
            application: parts.application,
            trail: parts.audit,
            space: ArcSwap::from_pointee(space),
            sessions: Registry::default(),
            subscriptions: Mutex::new(HashMap::new()),
            transferring: Mutex::new(()),
            listeners: Mutex::default(),
            ended: Ended::default(),
            timer: Timer::default(),
            starts: Starts::default(),
            totals: Totals::default(),
            monitored_items: AtomicU32::new(0),
            diagnostics_enabled: true.into(),
            next_session: AtomicU32::new(1),
            // Ids of an earlier run must not name a subscription of this one.
            next_subscription: AtomicU32::new(fastrand::u32(1..1 << 30)),
            next_channel: AtomicU32::new(fastrand::u32(1..1 << 30)),
            next_event: AtomicU64::new(fastrand::u64(..)),
            status,
        })
    }

    /// The address space of this moment; hold it for one request, not longer.
    pub fn space(&self) -> arc_swap::Guard<Arc<Space>> {
        self.space.load()
    }

    pub fn next_session_id(&self) -> u32 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    pub fn next_channel_id(&self) -> u32 {
        self.next_channel.fetch_add(1, Ordering::Relaxed).max(1)
    }

    pub fn next_subscription_id(&self) -> u32 {
        self.next_subscription.fetch_add(1, Ordering::Relaxed).max(1)
    }

    pub fn next_event_id(&self) -> [u8; 16] {
        let number = self.next_event.fetch_add(1, Ordering::Relaxed);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.status.started.0.to_le_bytes());
        id[8..].copy_from_slice(&number.to_le_bytes());
        id
    }

    pub fn subscription_count(&self) -> usize {
        self.subscriptions.lock().len()
    }

    pub fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        let mut all: Vec<_> = self.subscriptions.lock().values().cloned().collect();
        all.sort_by_key(|subscription| subscription.id);
        all
    }

    pub fn subscription(&self, id: u32) -> Option<Arc<Subscription>> {
        self.subscriptions.lock().get(&id).cloned()
    }

    pub fn add_subscription(&self, subscription: Arc<Subscription>) {
        self.timer.schedule(&subscription);
        self.subscriptions.lock().insert(subscription.id, subscription);
        self.totals.subscriptions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn forget_subscription(&self, id: u32) {
        self.subscriptions.lock().remove(&id);
    }

    /// Subscriptions with an item that listens for events.
    pub(super) fn listening(&self) -> Vec<Arc<Subscription>> {
        let listeners = self.listeners.lock();
        if listeners.is_empty() {
            return Vec::new();
        }
        listeners.iter().filter_map(|listener| listener.subscription.upgrade()).collect()
    }

    /// A subscription whose session is gone keeps its roles.
    fn may_hear(&self, subscription: &Subscription, event: &Event, space: &Space) -> bool {
        let (roles, is_encrypted) = {
            let state = subscription.lock();
            (state.client.roles, state.client.is_encrypted)
        };
        let viewer = Viewer { roles, is_encrypted, locales: &[], plant: &self.plant };
        space.standard_node(event.kind).is_some_and(|kind| viewer.hears(space, kind, event.source))
    }

    /// Offers an event to every item that listens.
    pub fn raise(&self, event: &Event) {
        let space = self.space();
        let listeners: Vec<Listener> = self.listeners.lock().iter().cloned().collect();
        for listener in listeners {
            let (Some(subscription), key) = (listener.subscription.upgrade(), listener.key()) else { continue };
            if !self.may_hear(&subscription, event, &space) {
                continue;
            }
            let mut state = subscription.lock();
            let Some(item) = state.item_mut(key) else { continue };
            if item.mode == crate::ua::subscription::Mode::Disabled {
                continue;
            }
            let Watched::Events(filter, queue) = &mut item.watched else { continue };
            if !filter.passes(event, &space) {
                continue;
            }
            let lost = queue.push(filter.fields(event, &space));
            state.mark_dirty(key);
            if lost {
                state.counters.queue_overflow += 1;
            }
        }
    }

    /// Ends a session: its subscriptions go with it, or wait for a transfer until their lifetime is over.
    pub fn end_session(&self, session: &Arc<Session>, delete_subscriptions: bool, why: &Ending) {
        self.sessions.remove(&session.token);
        let (was_open, subscriptions) = {
            let mut state = session.lock();
            let was_open = !std::mem::replace(&mut state.is_closed, true);
            state.publish.clear();
            if let Some(wake) = state.wake.take() {
                wake.notify_one();
            }
            (was_open, std::mem::take(&mut state.subscriptions))
        };
        for subscription in subscriptions {
            if delete_subscriptions {
                self.remove_subscription(&subscription);
            }
        }
        if was_open {
            self.audit_ended(session, why);
        }
    }

    /// Ends a session that gives its place to another. The subscriptions of one that was in use wait for a transfer.
    pub fn evict(&self, session: &Arc<Session>) {
        let was_used = session.lock().is_activated;
        self.end_session(session, !was_used, if was_used { &Ending::Alone } else { &Ending::Evicted });
    }

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
                rights::settle(self, &session, rights::User::Same);
            }
            if !is_kept {
                self.end_session(&session, true, &Ending::UserChanged);
                ended += 1;
            }
        }
        ended
    }

    /// The link that serves a connection.
    pub fn link_of(&self, connection: u32) -> Option<&Arc<health::Link>> {
        self.links.iter().find(|link| link.connections.iter().any(|of| of.0 == connection))
    }
}

/// What `attach` has to do for an item.
#[derive(Debug, Clone, Copy)]
pub enum WatchedKind {
    Tag(crate::model::TagId),
    Events,
    Other,
}
