//! Sessions: their client and channel, and what waits for them.
//!
//! A session outlives its connection: another channel may activate it again, and its subscriptions may be
//! transferred to another session.

mod browse_point;
mod caller;
mod counters;
mod ending;
mod login;
mod registry;

pub(crate) use browse_point::{BrowsePoint, Browsing};
pub(crate) use caller::Caller;
pub(crate) use counters::{Counters, ServiceCounter, counter_of};
pub(crate) use ending::{Ending, EndingText};
pub(crate) use login::{LoginRefused, kept};
pub(crate) use registry::Registry;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use opcua::StatusCode;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::model::Roles;
use crate::stack::crypto::{MessageSecurityMode, Policy};
use crate::ua::budget::Budget;
use crate::ua::continuation::ContinuationPoints;
use crate::ua::disk_pool::Gate;
use crate::ua::history::Point;
pub(crate) use crate::ua::identity::{Identity, Standing};
use crate::ua::limits::Limits;
use crate::ua::subscription::{Client, LastStatusChange, Owner, Subscription};
use crate::value::{Hidden, Moment, UaTime};

/// The secret by which requests name their session: 32 random bytes as an opaque NodeId.
pub(crate) type Token = Hidden<[u8; 32]>;

#[derive(Debug)]
pub struct Session {
    /// `ns=1;i=` of the SessionId.
    pub id: u32,
    pub token: Token,
    pub name: String,
    pub client: ClientDescription,
    pub timeout: Duration,
    /// Largest response that the client takes; 0 for no limit of its own.
    pub max_response: u32,
    pub peer: std::net::IpAddr,
    pub connected: UaTime,
    /// Memory that its items, queues, messages and links may hold.
    pub queues: Arc<Budget>,
    /// Its requests for history come one after the other.
    pub history_gate: Gate,
    state: Mutex<State>,
}

/// Mode and policy of the channel that a session was created or activated over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSecurity {
    pub mode: MessageSecurityMode,
    pub policy: Policy,
}

/// The client as CreateSession described it; for diagnostics, and for the transfer of subscriptions.
#[derive(Debug, Clone, Default)]
pub struct ClientDescription {
    pub application_uri: String,
    pub product_uri: String,
    pub application_name: String,
    pub endpoint_url: String,
    pub server_uri: String,
    /// SHA-1 of the client's certificate, on a secured channel.
    pub thumbprint: Option<[u8; 20]>,
}

#[derive(Debug)]
pub struct State {
    /// The channel that may use the session.
    pub channel: u32,
    pub is_activated: bool,
    /// ActivateSession requests that are being looked at; never more than there are connections.
    pub activations: u32,
    pub is_closed: bool,
    pub security: SessionSecurity,
    pub identity: Identity,
    pub roles: Roles,
    pub standing: Standing,
    pub locales: Arc<[String]>,
    /// The nonce that the next ActivateSession has to sign.
    pub server_nonce: Hidden<Vec<u8>>,
    pub last_contact: Instant,
    pub last_contact_time: UaTime,
    pub subscriptions: Vec<Arc<Subscription>>,
    /// Publish requests that wait for a message, oldest first.
    pub publish: VecDeque<PublishRequest>,
    /// StatusChange messages of subscriptions that left for another session.
    pub last_changes: VecDeque<LastStatusChange>,
    /// Continuation points of Browse, and of HistoryRead.
    pub browse: ContinuationPoints<BrowsePoint>,
    pub history: ContinuationPoints<Point>,
    pub registered: u32,
    /// Requests that wait and that the client may cancel.
    cancellable: Vec<Cancellable>,
    /// Wakes the connection that the session is bound to.
    pub wake: Option<Arc<Notify>>,
    /// Since when it has no connection.
    pub alone_since: Option<Instant>,
    pub counters: Counters,
}

/// Names of Browse's continuation points count from 1; a point of the one service is never one of the other.
const FIRST_OF_HISTORY: u64 = 1 << 48;

/// A Publish request in the queue: what its response needs.
#[derive(Debug)]
pub struct PublishRequest {
    pub request_id: u32,
    pub handle: u32,
    pub expires: Option<Instant>,
    pub results: Vec<StatusCode>,
}

/// A request that is answered by a fault in place of its response.
#[derive(Debug, PartialEq, Eq)]
pub struct RefusedRequest {
    pub request_id: u32,
    pub handle: u32,
    pub status: StatusCode,
}

impl PublishRequest {
    pub fn refused(&self, status: StatusCode) -> RefusedRequest {
        RefusedRequest { request_id: self.request_id, handle: self.handle, status }
    }
}

/// A request that waits and that its client may still cancel, by the handle that the client gave it.
#[derive(Debug)]
struct Cancellable {
    handle: u32,
    cancel: oneshot::Sender<()>,
}

/// Properties of a new session.
#[derive(Debug)]
pub struct NewSession {
    pub id: u32,
    pub token: Token,
    pub name: String,
    pub client: ClientDescription,
    pub timeout: Duration,
    pub max_response: u32,
    pub peer: std::net::IpAddr,
    pub channel: u32,
    pub security: SessionSecurity,
    pub server_nonce: Hidden<Vec<u8>>,
    pub continuation_points: usize,
    pub history_points: usize,
    /// Memory that its items, queues, messages and links may hold.
    pub memory: Arc<Budget>,
}

impl Session {
    pub fn new(new: NewSession, now: Moment) -> Session {
        let state = State {
            channel: new.channel,
            is_activated: false,
            activations: 0,
            is_closed: false,
            security: new.security,
            identity: Identity::Anonymous,
            roles: Roles::NONE,
            standing: Standing::default(),
            locales: Arc::new([]),
            server_nonce: new.server_nonce,
            last_contact: now.mono,
            last_contact_time: now.wall,
            subscriptions: Vec::new(),
            publish: VecDeque::new(),
            last_changes: VecDeque::new(),
            browse: ContinuationPoints::new(new.continuation_points, 1),
            history: ContinuationPoints::new(new.history_points, FIRST_OF_HISTORY),
            registered: 0,
            cancellable: Vec::new(),
            wake: None,
            alone_since: None,
            counters: Counters::default(),
        };
        Session {
            id: new.id,
            token: new.token,
            name: new.name,
            client: new.client,
            timeout: new.timeout,
            max_response: new.max_response,
            peer: new.peer,
            connected: now.wall,
            queues: new.memory,
            history_gate: Gate::default(),
            state: Mutex::new(state),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Binds the session to the connection that `wake` wakes; returns the other connection that had it.
    pub fn bind(&self, wake: &Arc<Notify>) -> Option<Arc<Notify>> {
        let mut state = self.lock();
        let old = state.wake.replace(Arc::clone(wake)).filter(|old| !Arc::ptr_eq(old, wake));
        state.alone_since = None;
        if old.is_some() {
            state.publish.clear();
        }
        old
    }

    /// The session as its subscriptions see it.
    pub fn as_owner(self: &Arc<Self>) -> Weak<dyn Owner> {
        Arc::downgrade(self) as Weak<dyn Owner>
    }

    /// The client of its subscriptions. Takes the session's lock: call it without a subscription's, for the order is
    /// session, then subscription.
    pub fn as_client(&self) -> Client {
        let state = self.lock();
        Client {
            identity: state.identity.clone(),
            application_uri: self.client.application_uri.clone(),
            is_secured: state.is_secured(),
            is_encrypted: state.is_encrypted(),
            roles: state.roles,
            standing: state.standing.clone(),
        }
    }

    /// Notifies the connection that a message waits for one of the session's Publish requests.
    pub fn wake(&self) {
        if let Some(wake) = &self.lock().wake {
            wake.notify_one();
        }
    }

    /// Wakes the connection to refuse what is queued when the last subscription has ended.
    pub fn wake_if_idle(&self) {
        let is_idle = {
            let state = self.lock();
            state.subscriptions.is_empty() && !state.publish.is_empty()
        };
        if is_idle {
            self.wake();
        }
    }

    pub fn subscription(&self, id: u32) -> Option<Arc<Subscription>> {
        self.lock().subscriptions.iter().find(|subscription| subscription.id == id).cloned()
    }
}

impl Owner for Session {
    fn id(&self) -> u32 {
        self.id
    }

    fn wake(&self) {
        Session::wake(self);
    }

    fn has_publish_requests(&self) -> bool {
        !self.lock().publish.is_empty()
    }

    fn alone_since(&self) -> Option<Instant> {
        self.lock().alone_since
    }

    fn lose(&self, subscription: u32, last: Option<LastStatusChange>, limits: &Limits) {
        let mut state = self.lock();
        state.subscriptions.retain(|other| other.id != subscription);
        if let Some(last) = last {
            state.keep_last_change(last, limits);
        }
    }
}

impl State {
    pub fn is_secured(&self) -> bool {
        self.security.mode != MessageSecurityMode::None
    }

    pub fn is_encrypted(&self) -> bool {
        self.security.mode == MessageSecurityMode::SignAndEncrypt
    }

    /// It is not activated, and no login is under way.
    pub fn is_pending(&self) -> bool {
        !self.is_activated && self.activations == 0
    }

    /// Whether a silent session has ended: one that was never activated ends sooner, but not while its login waits for
    /// its turn.
    pub fn is_overdue(&self, timeout: Duration, activation: Duration, now: Instant) -> bool {
        let allowed = if self.is_pending() { activation.min(timeout) } else { timeout };
        now.saturating_duration_since(self.last_contact) > allowed
    }

    /// Keeps the last StatusChange of a subscription that this session lost; of a client that never asks, the newest.
    fn keep_last_change(&mut self, change: LastStatusChange, limits: &Limits) {
        if self.is_closed {
            return;
        }
        if self.last_changes.len() >= limits.configured.max_subscriptions_per_session as usize {
            self.last_changes.pop_front();
        }
        self.last_changes.push_back(change);
    }

    /// A client has used the session.
    pub fn touch(&mut self, now: Moment) {
        (self.last_contact, self.last_contact_time) = (now.mono, now.wall);
    }

    /// Refuses a channel that does not carry the session, and a session that has ended.
    pub fn check_channel(&self, channel: u32) -> Result<(), StatusCode> {
        if self.is_closed {
            return Err(StatusCode::BadSessionClosed);
        }
        if self.channel != channel {
            return Err(StatusCode::BadSecureChannelIdInvalid);
        }
        Ok(())
    }

    /// Lets Cancel find a request that waits; the receiver resolves when its client cancels it.
    pub fn let_cancel(&mut self, handle: u32) -> oneshot::Receiver<()> {
        let (cancel, cancelled) = oneshot::channel();
        self.cancellable.retain(|waiting| !waiting.cancel.is_closed());
        self.cancellable.push(Cancellable { handle, cancel });
        cancelled
    }

    /// Cancels the requests of this handle that wait; returns their number. Each is answered by a fault of its own.
    pub fn cancel(&mut self, handle: u32) -> usize {
        let meant = self.cancellable.extract_if(.., |waiting| waiting.handle == handle);
        // A request that was answered meanwhile is no longer there to be cancelled.
        meant.filter_map(|waiting| waiting.cancel.send(()).ok()).count()
    }
}
