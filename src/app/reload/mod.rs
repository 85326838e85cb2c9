//! The part of a running server that its files decide, and how it is replaced: start is a reload from nothing.
//!
//! ```text
//! examine (compares, touches nothing) ──► prepare (everything that can fail) ──► apply (swaps; nothing can fail)
//! ```

mod difference;
mod model_events;
mod queue;
mod report;
mod server_file;
mod switching;
mod watching;
mod worker;

pub(super) use queue::MirrorReload;
pub use queue::{Reloader, Source};
pub use report::Answer as Answered;
pub(super) use server_file::{Keys, take_accounts};
pub(super) use switching::switch_connections;
pub(super) use watching::watch;
pub(crate) use worker::Worker;

use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use tokio::sync::{mpsc, watch};

use super::alarm_states::AlarmStates;
use super::application::Own;
use super::build::{Base, Namespaces};
use super::history::{History, HistoryAdmin, Recording};
use super::publish::Commander;
use super::retained::Retention;
use super::tasks::Tasks;
use super::{StartError, formulas};
use crate::config::Compiled;
use crate::drivers::{ConnectionPlan, Links, Output};
use crate::history::Archives;
use crate::model::{Left, Numbers, Plant, RoleNumbers, ServerPlan, TagId};
use crate::publish::{Board, Publishers};
use crate::state::State;
use crate::tags::{Stamp, Turn};
use crate::ua::alarms;
use crate::ua::events::Fields;
use crate::ua::server::{OwnEvent, Server};
use crate::ua::space::{NodeVersions, Space};
use crate::ua::world::{Rules, World};
use crate::value::Moment;
use difference::{Changes, Made, Retained, Running, SlotTurn, renumbered};
use model_events::{Indices, Named};
use server_file::{Compared, ServerChanges};
use switching::AllSwitched;

/// Everything that a reload works on. One reload has it at a time.
pub(crate) struct Engine {
    server: Arc<Server>,
    base: Base,
    keys: Keys,
    links: Links,
    publishers: Publishers,
    history: Option<History>,
    /// The store for the control socket; `None` as long as no tag has a history class.
    pub admin: Arc<RwLock<Option<HistoryAdmin>>>,
    pub state: State,
    retention: Retention,
    alarm_states: AlarmStates,
    /// The task that evaluates alarms runs.
    has_alarms: bool,
    numbers: Numbers,
    role_numbers: RoleNumbers,
    drivers: Vec<ConnectionPlan>,
    /// The namespace indices of the cells, in their order.
    of_cells: Vec<u16>,
    versions: NodeVersions,
    /// Worlds of earlier revisions, which requests and continuation points may still hold.
    earlier: Vec<Weak<World>>,
    /// Connections that clients have switched on or off.
    switched: AllSwitched,
    /// Connections with folders that mirror their devices.
    browsing: watch::Sender<Arc<[ConnectionPlan]>>,
    pub(super) application: Arc<Own>,
    tasks: Tasks,
    /// The task of formulas that read the clock is there.
    has_clock: bool,
    is_stopped: bool,
}

/// The files, held against the running server.
pub(crate) struct Examined {
    plant: Plant,
    drivers: Vec<ConnectionPlan>,
    plan: ServerPlan,
    numbers: Numbers,
    role_numbers: RoleNumbers,
    changes: Changes,
    server: ServerChanges,
    switched: AllSwitched,
}

/// A revision that is known to be good.
pub(crate) struct Prepared {
    plant: Arc<Plant>,
    drivers: Vec<ConnectionPlan>,
    rules: Rules,
    numbers: Numbers,
    role_numbers: RoleNumbers,
    changes: Changes,
    server: ServerChanges,
    switched: AllSwitched,
    space: Space,
    archives: Option<Arc<Archives>>,
    of_cells: Vec<u16>,
    versions: NodeVersions,
    /// Changes of the model, for its event.
    named: Vec<Named>,
}

impl Examined {
    /// The files say what the server does already.
    pub(super) fn is_unchanged(&self) -> bool {
        self.changes.is_empty() && !self.server.has_live
    }
}

/// This server as its drivers show it to other servers.
fn own(server: &Server, base: &Base, keys: &Keys) -> Arc<Own> {
    let (identities, pki) = (Arc::clone(&server.channels.identities), Arc::clone(&keys.pki));
    Arc::new(Own { application: base.application.clone(), identities, pki, listings: Arc::default() })
}

impl Engine {
    /// `server` has an empty world.
    pub(super) fn new(
        server: &Arc<Server>,
        base: Base,
        keys: Keys,
        state: State,
        outputs: mpsc::UnboundedSender<Output>,
        tasks: &Tasks,
    ) -> Result<Engine, StartError> {
        let application = own(server, &base, &keys);
        Ok(Engine {
            publishers: Publishers::new(&server.tags, state.dir(), Arc::new(Commander(Arc::downgrade(server)))),
            links: Links::of_application(&server.tags, outputs, Arc::clone(&application) as _),
            server: Arc::clone(server),
            base,
            keys,
            history: None,
            admin: Arc::default(),
            retention: Retention::read(&state)?,
            alarm_states: AlarmStates::read(&state)?,
            has_alarms: false,
            state,
            numbers: Numbers::default(),
            role_numbers: RoleNumbers::default(),
            drivers: Vec::new(),
            of_cells: Vec::new(),
            versions: NodeVersions::default(),
            earlier: Vec::new(),
            switched: AllSwitched::new(),
            browsing: watch::Sender::new(Arc::from([])),
            application,
            tasks: tasks.clone(),
            has_clock: false,
            is_stopped: false,
        })
    }

    /// Compares what the files say with what runs. Changes nothing.
    pub(super) fn examine(&self, mut compiled: Compiled) -> Examined {
        let world = self.server.world();
        let revision = world.revision() + 1;
        let mut numbers = self.numbers.clone();
        let numbering = numbers.assign(&world.plant, &compiled.plant, revision, |left| self.is_used(left));
        let mut role_numbers = self.role_numbers.clone();
        let roles = role_numbers.assign(&compiled.server.own_roles);
        compiled.plant.renumber_roles(&roles);
        compiled.server.renumber_roles(&roles);
        let accounts = self.server.users.accounts();
        let Compared { plan, changes: mut server } =
            server_file::compare(&world.plan, &accounts, compiled.server.clone(), &self.keys.started);
        server.needs_restart.extend((roles.waiting > 0).then(|| "roles".to_owned()));
        let mut made = renumbered(compiled, &numbering, revision);
        let switched = made.keep(&self.switched);
        let Made { plant, drivers } = made;
        let old = Running { plant: &world.plant, drivers: &self.drivers };
        let changes = Changes::between(old, Running { plant: &plant, drivers: &drivers });
        Examined { plant, drivers, plan, numbers, role_numbers, changes, server, switched }
    }

    /// Whether something may still use the number of a removed tag.
    fn is_used(&self, left: Left<TagId>) -> bool {
        let is_older = |world: &Weak<World>| world.upgrade().is_some_and(|world| world.revision() < left.since);
        !self.server.tags.is_free(left.number) || self.earlier.iter().any(is_older)
    }

    /// Does everything that can fail; nothing of the running cell is touched.
    pub(super) fn prepare(&mut self, examined: Examined) -> Result<Prepared, StartError> {
        let Examined { plant, drivers, plan, numbers, role_numbers, changes, mut server, switched } = examined;
        if let Some(cell) = plant.cells.iter().find(|cell| cell.namespace == self.base.application.uri) {
            return Err(StartError::Namespace { cell: cell.name.clone(), uri: self.base.application.uri.clone() });
        }
        let of_cells = self.state.pin_namespaces(plant.cells.iter().map(|cell| cell.namespace.as_str()))?;
        let namespaces = Namespaces { of_cells: &of_cells, pinned: self.state.namespaces() };
        let (world, mut versions) = (self.server.world(), self.versions.clone());
        let indices = Indices { old: &self.of_cells, new: &of_cells };
        let named = match world.revision() {
            // The start: there was nothing that could have changed.
            0 => Vec::new(),
            _ => model_events::name_changes(&changes, &world.plant, &plant, indices, &mut versions),
        };
        let rules = Rules { limits: self.base.limits_of(&plan), plan: Arc::new(plan) };
        let space = self.base.space(&plant, &rules, &namespaces, &versions);
        server.prepare(&self.server, &world.plan, &rules.plan)?;
        // The classes that the archives get here count at once: nothing may fail after it.
        let has_history = plant.tags.values().any(|tag| tag.history.is_some());
        if has_history && self.history.is_none() {
            self.history = Some(History::open(&rules.plan)?);
        }
        let archives = match &self.history {
            Some(history) if has_history || history.is_recording() => Some(history.archives(&plant)?),
            _ => None,
        };
        let plant = Arc::new(plant);
        Ok(Prepared {
            plant,
            drivers,
            rules,
            numbers,
            role_numbers,
            changes,
            server,
            switched,
            space,
            archives,
            of_cells,
            versions,
            named,
        })
    }

    /// Makes a prepared revision the running one; returns the world before.
    pub(super) fn apply(&mut self, prepared: Prepared) -> Arc<World> {
        let Prepared { plant, drivers, rules, numbers, changes, server, space, archives, .. } = prepared;
        let (tags, stamp) = (&self.server.tags, Stamp::now());
        if let (Some(history), Some(archives)) = (&self.history, &archives) {
            // Samples of a new type are none of an old archive.
            history.end_others(archives, stamp.server);
        }
        // Values that were written to tags that change now are known by their old names.
        let before = Arc::clone(&self.server.world().plant);
        self.retention.note(&before, tags);
        tags.grow(&plant);
        for SlotTurn { tag, turn, retained } in &changes.turns {
            let kept = match retained {
                Retained::Back => self.retention.value_of(&plant, *tag),
                Retained::Dropped => {
                    self.retention.forget(if *turn == Turn::End { &before } else { &plant }, *tag);
                    None
                }
                Retained::Stays => None,
            };
            tags.turn(&plant, *tag, *turn, kept.as_ref(), stamp);
        }
        let turned: Vec<TagId> = changes.turns.iter().map(|turn| turn.tag).collect();
        tags.follow(&plant, &turned, |tag| self.retention.memory_of(&plant, tag), stamp);
        if !self.has_clock && tags.has_clock() {
            self.has_clock = true;
            self.tasks.spawn("formulas".into(), Box::pin(formulas::run(Arc::clone(tags))));
        }

        // Before the links bring the first values: a sample that nobody records is lost.
        let recording = self.history.as_mut().zip(archives.as_deref()).map(|(history, archives)| {
            history.take(&rules.plan);
            history.record(archives, &plant, tags, stamp.server)
        });
        let mut spawn = |name, task| self.tasks.spawn(name, task);
        self.publishers.apply(&plant, &drivers, &mut spawn);
        let links = self.links.apply(drivers.clone(), &plant, &mut spawn);
        let world = World::new(rules, Arc::clone(&plant), space, archives, links);
        let earlier = self.server.swap(world);
        self.earlier.retain(|world| world.strong_count() > 0);
        self.earlier.push(Arc::downgrade(&earlier));
        self.take_alarms(&earlier, &plant);
        // Directly after the swap: a user who gains or loses a role waits for this alone.
        server.apply(&self.server, &self.keys);
        (self.numbers, self.role_numbers, self.drivers) = (numbers, prepared.role_numbers, drivers);
        (self.of_cells, self.versions) = (prepared.of_cells, prepared.versions);
        self.switched = prepared.switched;
        let browsing = self.drivers.iter().filter(|plan| !plan.browses.is_empty());
        self.browsing.send_replace(browsing.cloned().collect());
        if let (Some(history), Some(Recording::Begun)) = (&self.history, recording) {
            *self.admin.write() = Some(history.admin());
            self.tasks.spawn("history".into(), Box::pin(history.run(&self.server)));
        }
        changes.semantics.iter().for_each(|tag| self.server.tags.announce(*tag));
        self.server.take_world();
        model_events::raise(&self.server, &earlier, &prepared.named, &changes.semantics);
        earlier
    }

    /// Lets the conditions follow the world that was swapped in; a cell without alarms has no task for them.
    fn take_alarms(&mut self, earlier: &World, plant: &Plant) {
        if plant.alarms.is_empty() && !self.has_alarms {
            return;
        }
        let kept = |alarm| self.alarm_states.of(plant, alarm);
        let applied = self.server.take_alarms(earlier, kept, Moment::now());
        applied.removed.iter().for_each(|alarm| self.alarm_states.forget(&earlier.plant, *alarm));
        if applied.has_changed && earlier.revision() > 0 {
            self.server.raise_own(OwnEvent {
                kind: opcua::ObjectTypeId::RefreshRequiredEventType as u32,
                message: "alarms of the cells have changed".to_owned(),
                severity: 100,
                fields: Fields::default(),
                per_viewer: None,
            });
        }
        if !std::mem::replace(&mut self.has_alarms, true) {
            self.tasks.spawn("alarms".into(), Box::pin(alarms::run(Arc::clone(&self.server))));
        }
    }

    /// The connections with folders that mirror their devices, now and after each reload.
    pub(super) fn browsing(&self) -> watch::Receiver<Arc<[ConnectionPlan]>> {
        self.browsing.subscribe()
    }

    /// Writes memory tags that changed.
    pub(super) fn save(&mut self) {
        let world = self.server.world();
        self.retention.save(&self.state, &world.plant, &self.server.tags);
        self.alarm_states.save(&self.state, &world.plant, &self.server);
    }

    /// Ends all links in order; a reload that comes later is refused.
    pub(super) fn stop_links(&mut self) {
        self.is_stopped = true;
        self.links.stop();
    }

    /// Tells the publishers to send the last values and to end.
    pub(super) fn stop_publishers(&mut self) {
        self.publishers.stop();
    }

    /// Their tasks have ended.
    pub(super) fn end_publishers(&mut self) {
        self.publishers.end();
    }

    pub(super) fn publishers(&self) -> Board {
        self.publishers.board()
    }

    pub(super) fn take_history(&mut self) -> Option<History> {
        self.history.take()
    }
}
