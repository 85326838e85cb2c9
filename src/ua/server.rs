//! The state that all connections share: the address space, tags, sessions and subscriptions. It knows no service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use opcua::ObjectId;
use tokio::sync::watch;

use crate::audit::Audit;
use crate::stack::channel::ServerSettings;
use crate::stack::crypto::CryptoPool;
use crate::tags::TagStore;
use crate::ua::alarm_board::Conditions;
use crate::ua::application::Application;
use crate::ua::archive_starts::ArchiveStarts;
use crate::ua::budget::Budget;
use crate::ua::disk_pool::DiskPool;
use crate::ua::events::{self, Affected, Changes, Event, Fields, ModelChange, ParentOf, PerViewer};
use crate::ua::limits::FixedLimits;
use crate::ua::listeners::Listeners;
use crate::ua::session;
use crate::ua::space::Field;
use crate::ua::status::Status;
use crate::ua::subscription::{self, Subscription, timer::Timer};
use crate::ua::switches::Switches;
use crate::ua::totals::Totals;
use crate::ua::users::Users;
use crate::ua::world::World;
use crate::value::UaTime;

/// The parts of a server; they do not change while it runs.
pub struct Parts {
    /// Those that the server file decides are in the world.
    pub limits: FixedLimits,
    pub tags: Arc<TagStore>,
    pub channels: Arc<ServerSettings>,
    /// Wakes when the trust in certificates has changed.
    pub trust: watch::Receiver<u64>,
    pub crypto: CryptoPool,
    pub users: Arc<Users>,
    pub application: Application,
    /// The queue to the audit's files; `Server::audit` is the way to it.
    pub trail: Audit,
}

/// A running server: its parts (it dereferences to them) and the state that moves.
pub struct Server {
    parts: Parts,
    world: ArcSwap<World>,
    pub sessions: session::Registry,
    pub subscriptions: subscription::Registry,
    pub timer: Timer,
    /// Items that listen for events.
    pub listeners: Listeners,
    /// Memory that all sessions together may hold.
    pub memory: Arc<Budget>,
    pub history: HistoryAccess,
    pub totals: Totals,
    pub diagnostics_enabled: AtomicBool,
    pub(crate) conditions: Conditions,
    /// Connections that clients switch on and off.
    pub(crate) switches: Switches,
    pub ids: Ids,
    pub status: Status,
    /// Wakes every connection when a reload has changed which of them may be there.
    pub admission: watch::Sender<u32>,
}

/// A change of the address space is for information.
const SEVERITY_CHANGED: u16 = 100;

/// An event of the Server object itself.
#[derive(Debug)]
pub struct OwnEvent {
    /// Number of the event type in namespace 0.
    pub kind: u32,
    pub message: String,
    /// 1 is least, 1000 is worst.
    pub severity: u16,
    /// Fields of the type itself.
    pub fields: Fields,
    pub per_viewer: Option<PerViewer>,
}

/// The way to the disk of the archives.
#[derive(Debug)]
pub struct HistoryAccess {
    pub pool: DiskPool,
    pub starts: ArchiveStarts,
}

/// The next number of each kind.
#[derive(Debug)]
pub struct Ids {
    session: AtomicU32,
    channel: AtomicU32,
    event: AtomicU64,
}

impl Ids {
    fn new() -> Ids {
        Ids {
            session: AtomicU32::new(1),
            // Numbers of an earlier run must not name a channel or an event of this one.
            channel: AtomicU32::new(fastrand::u32(1..1 << 30)),
            event: AtomicU64::new(fastrand::u64(..)),
        }
    }

    pub fn session(&self) -> u32 {
        self.session.fetch_add(1, Ordering::Relaxed)
    }

    pub fn channel(&self) -> u32 {
        self.channel.fetch_add(1, Ordering::Relaxed).max(1)
    }

    /// An EventId: the start of the server and a number.
    pub fn event(&self, started: UaTime) -> [u8; 16] {
        let number = self.event.fetch_add(1, Ordering::Relaxed);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&started.0.to_le_bytes());
        id[8..].copy_from_slice(&number.to_le_bytes());
        id
    }
}

impl std::ops::Deref for Server {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Server {
    pub fn new(parts: Parts, world: World, started: UaTime) -> Arc<Server> {
        Arc::new(Server {
            status: Status::new(started, world.plant.simulated),
            sessions: session::Registry::default(),
            subscriptions: subscription::Registry::default(),
            timer: Timer::default(),
            listeners: Listeners::default(),
            memory: Budget::new(world.limits.session_memory),
            history: HistoryAccess {
                pool: DiskPool::new(parts.limits.history_requests.total),
                starts: ArchiveStarts::default(),
            },
            totals: Totals::default(),
            diagnostics_enabled: true.into(),
            conditions: Conditions::new(),
            switches: Switches::default(),
            ids: Ids::new(),
            admission: watch::Sender::new(0),
            world: ArcSwap::from_pointee(world),
            parts,
        })
    }

    /// The world of this moment; take it once a request.
    #[inline]
    pub fn world(&self) -> arc_swap::Guard<Arc<World>> {
        self.world.load()
    }

    /// Makes another world the running one; returns the one before. Call `take_world` after it.
    pub(crate) fn swap(&self, world: World) -> Arc<World> {
        self.memory.resize(world.limits.session_memory);
        let before = self.world.swap(Arc::new(world));
        self.history.starts.clear();
        before
    }

    pub fn next_event_id(&self) -> [u8; 16] {
        self.ids.event(self.status.started)
    }

    pub fn add_subscription(&self, subscription: Arc<Subscription>) {
        self.timer.schedule(&subscription);
        self.subscriptions.add(subscription);
        self.totals.subscriptions.fetch_add(1, Ordering::Relaxed);
    }

    /// Offers an event to every item that listens and may have it; `world` is the one that it was made in.
    pub fn raise(&self, world: &World, event: &Event) {
        if !self.listeners.is_empty() {
            self.listeners.raise(event, &world.space, &world.plant);
        }
    }

    /// Raises an event of the Server object itself.
    pub fn raise_own(&self, own: OwnEvent) {
        if self.listeners.is_empty() {
            return;
        }
        let world = self.world();
        let Some(source) = world.space.standard_node(ObjectId::Server as u32) else { return };
        let Some(kind) = world.space.standard_node(own.kind) else { return };
        let event = Event {
            id: self.next_event_id(),
            kind,
            source,
            source_name: "Server".to_owned(),
            time: UaTime::now(),
            message: own.message,
            severity: own.severity,
            fields: own.fields,
            per_viewer: own.per_viewer,
        };
        self.raise(&world, &event);
    }

    /// Raises one GeneralModelChangeEvent (Part 5 §6.4.32, 1.05) for all these changes, after they are there to be read.
    pub fn raise_model_changes(&self, changes: Vec<ModelChange>, parent_of: ParentOf<'_>) {
        if changes.is_empty() || self.listeners.is_empty() {
            return;
        }
        let message = "The address space has changed";
        self.raise_changes(events::kinds::GENERAL_MODEL_CHANGE, message, Changes::of_model(changes, parent_of));
    }

    /// Raises one SemanticChangeEvent (Part 5 §6.4.33, 1.05) for the owners of all properties whose values changed.
    pub fn raise_semantic_changes(&self, owners: Vec<Affected>, parent_of: ParentOf<'_>) {
        if owners.is_empty() || self.listeners.is_empty() {
            return;
        }
        let message = "The meaning of values has changed";
        self.raise_changes(events::kinds::SEMANTIC_CHANGE, message, Changes::of_semantics(owners, parent_of));
    }

    fn raise_changes(&self, kind: u32, message: &str, changes: Changes) {
        self.raise_own(OwnEvent {
            kind,
            message: message.to_owned(),
            severity: SEVERITY_CHANGED,
            fields: Fields::default(),
            per_viewer: Some(PerViewer { field: Field::Changes.into(), content: Arc::new(changes) }),
        });
    }
}
