//! The running links of a server, and how they follow its plans.
//!
//! A link is known by its connections: while one of them is unchanged, its socket stays open. A start is a change from
//! nothing.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::application::Application;
use super::plan::ConnectionPlan;
use super::settings::{self, Key};
use super::supervisor::{Command, Make, Output, Seat, Supervisor, Update, orders};
use crate::health;
use crate::model::{ConnectionIx, Plant};
use crate::tags::{Queue, TagStore, WriteRequest};

/// Starts a task with a name. The owner of the tasks passes it in.
pub(crate) type Spawn<'a> = dyn FnMut(String, BoxFuture<'static, ()>) + 'a;

/// All links of a server. They end when it is dropped.
pub struct Links {
    tags: Arc<TagStore>,
    outputs: mpsc::UnboundedSender<Output>,
    make: Make,
    running: Vec<Running>,
    /// Links that were told to end, and may not have closed their connection yet.
    ending: Vec<Ending>,
}

/// One link, as it was told last.
struct Running {
    key: Option<Key>,
    plans: Arc<[ConnectionPlan]>,
    queue: mpsc::Sender<WriteRequest>,
    health: Arc<health::Link>,
    command: Arc<Command>,
}

struct Ending {
    key: Option<Key>,
    connections: Vec<ConnectionIx>,
    command: Arc<Command>,
}

/// Fate of each connection when the plans change. One that is disabled counts as not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkChanges {
    /// Its link stays open. Where it shares the link with an unchanged one, its own settings may have changed.
    pub kept: Vec<ConnectionIx>,
    /// Its link is closed, and opened again with other settings; or it has moved to another link.
    pub reopened: Vec<ConnectionIx>,
    pub added: Vec<ConnectionIx>,
    pub removed: Vec<ConnectionIx>,
}

/// Connections that share a link.
struct Group<P> {
    key: Option<Key>,
    plans: Vec<P>,
}

/// The running link that takes a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heir {
    link: usize,
    /// Its connection stays open.
    is_kept: bool,
}

/// Compares the plans of two revisions. Pure.
pub fn compare_links(old: &[ConnectionPlan], new: &[ConnectionPlan]) -> LinkChanges {
    let (old, new) = (grouped(old.iter()), grouped(new.iter()));
    let links = links_of(&old);
    let mut changes = LinkChanges::default();
    for (group, heir) in new.iter().zip(heirs(&old, &new)) {
        for plan in &group.plans {
            let list = match (links.get(&plan.ix), heir) {
                (None, _) => &mut changes.added,
                (Some(link), Some(heir)) if heir.is_kept && heir.link == *link => &mut changes.kept,
                (Some(_), _) => &mut changes.reopened,
            };
            list.push(plan.ix);
        }
    }
    let there: HashSet<ConnectionIx> = new.iter().flat_map(|group| &group.plans).map(|plan| plan.ix).collect();
    let before = old.iter().flat_map(|group| &group.plans).map(|plan| plan.ix);
    changes.removed = before.filter(|ix| !there.contains(ix)).collect();
    let LinkChanges { kept, reopened, added, removed } = &mut changes;
    [kept, reopened, added, removed].into_iter().for_each(|list| list.sort_unstable());
    changes
}

/// Groups the enabled connections by the link that they share, in their order.
fn grouped<P: Borrow<ConnectionPlan>>(plans: impl Iterator<Item = P>) -> Vec<Group<P>> {
    let mut groups: Vec<Group<P>> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::new();
    for plan in plans.filter(|plan| plan.borrow().enabled) {
        let key = plan.borrow().settings.link_key();
        match key.as_ref().and_then(|key| places.get(key)) {
            Some(at) => groups[*at].plans.push(plan),
            None => {
                if let Some(key) = key.clone() {
                    places.insert(key, groups.len());
                }
                groups.push(Group { key, plans: vec![plan] });
            }
        }
    }
    groups
}

fn links_of<P: Borrow<ConnectionPlan>>(groups: &[Group<P>]) -> HashMap<ConnectionIx, usize> {
    let of_group = |(at, group): (usize, &Group<P>)| {
        let ixs: Vec<ConnectionIx> = group.plans.iter().map(|plan| plan.borrow().ix).collect();
        ixs.into_iter().map(move |ix| (ix, at))
    };
    groups.iter().enumerate().flat_map(of_group).collect()
}

/// Old links that may take a group.
type Rule<'a, P> = dyn Fn(&Group<P>) -> Option<Vec<usize>> + 'a;

/// The old link that takes each new group, if there is one: that of an unchanged connection, else the one to the same device,
/// so that there are never two sockets to it, else that of a connection which goes elsewhere.
fn heirs<A: Borrow<ConnectionPlan>, B: Borrow<ConnectionPlan>>(
    old: &[Group<A>],
    new: &[Group<B>],
) -> Vec<Option<Heir>> {
    let plans = old.iter().enumerate().flat_map(|(at, group)| group.plans.iter().map(move |plan| (at, plan.borrow())));
    let before: HashMap<ConnectionIx, (usize, &ConnectionPlan)> =
        plans.map(|(at, plan)| (plan.ix, (at, plan))).collect();
    let keys: HashMap<&Key, usize> =
        old.iter().enumerate().filter_map(|(at, group)| Some((group.key.as_ref()?, at))).collect();
    let mut heirs: Vec<Option<Heir>> = vec![None; new.len()];
    let mut taken = HashSet::new();
    let unchanged = |group: &Group<B>| {
        let mut plans = group.plans.iter().map(Borrow::borrow).filter_map(|plan| Some((before.get(&plan.ix)?, plan)));
        plans.find(|((_, old), plan)| old.is_unchanged(plan)).map(|((link, _), _)| vec![*link])
    };
    let same_device = |group: &Group<B>| Some(vec![*keys.get(group.key.as_ref()?)?]);
    let anywhere = |group: &Group<B>| {
        Some(group.plans.iter().filter_map(|plan| Some(before.get(&plan.borrow().ix)?.0)).collect::<Vec<_>>())
    };
    let rules: [&Rule<'_, B>; 3] = [&unchanged, &same_device, &anywhere];
    for (rule, is_kept) in rules.into_iter().zip([true, false, false]) {
        for (group, heir) in new.iter().zip(&mut heirs).filter(|(_, heir)| heir.is_none()) {
            let link = rule(group).into_iter().flatten().find(|link| !taken.contains(link));
            *heir = link.map(|link| Heir { link, is_kept });
            taken.extend(link);
        }
    }
    heirs
}

impl Links {
    pub fn new(tags: &Arc<TagStore>, outputs: mpsc::UnboundedSender<Output>) -> Links {
        Links::with_drivers(tags, outputs, Arc::new(|connections: &[ConnectionPlan]| settings::open(connections, None)))
    }

    /// Links of a server: those that connect to other OPC UA servers do so as this application.
    pub fn of_application(
        tags: &Arc<TagStore>,
        outputs: mpsc::UnboundedSender<Output>,
        application: Arc<dyn Application>,
    ) -> Links {
        let open = move |connections: &[ConnectionPlan]| settings::open(connections, Some(&application));
        Links::with_drivers(tags, outputs, Arc::new(open))
    }

    pub(super) fn with_drivers(tags: &Arc<TagStore>, outputs: mpsc::UnboundedSender<Output>, make: Make) -> Links {
        Links { tags: Arc::clone(tags), outputs, make, running: Vec::new(), ending: Vec::new() }
    }

    /// Brings the links to these plans, which are of this plant. It waits for nothing: each link follows in its own task,
    /// between two requests, and new ones are opened there. Plans that come while a link is busy replace those before.
    /// Returns the health of each link.
    pub fn apply(
        &mut self,
        plans: Vec<ConnectionPlan>,
        plant: &Arc<Plant>,
        spawn: &mut Spawn<'_>,
    ) -> Vec<Arc<health::Link>> {
        self.ending.retain(|link| !link.command.is_ended());
        // A link whose task has ended by a panic is started again.
        self.running.retain(|link| !link.command.is_ended());
        let before = std::mem::take(&mut self.running);
        let groups = grouped(plans.into_iter());
        let heirs = {
            let group = |link| {
                let Running { key, plans, .. }: &Running = link;
                Group { key: key.clone(), plans: plans.iter().collect() }
            };
            let old: Vec<Group<&ConnectionPlan>> = before.iter().map(group).collect();
            heirs(&old, &groups)
        };
        let known: Vec<Arc<health::Link>> = before.iter().map(|link| Arc::clone(&link.health)).collect();
        let mut before: Vec<Option<Running>> = before.into_iter().map(Some).collect();
        let there = links_of(&groups);
        for (group, heir) in groups.into_iter().zip(heirs) {
            let link = heir.and_then(|heir| before[heir.link].take());
            let plans: Arc<[ConnectionPlan]> = group.plans.into();
            let link = match link {
                Some(link) => link.follow(group.key, plans, plant, &known),
                None => self.start(group.key, plans, plant, &known, spawn),
            };
            link.plans.iter().for_each(|plan| self.tags.attach(plan.ix, &link.queue));
            self.running.push(link);
        }
        let gone = known.iter().flat_map(|link| &link.connections).filter(|ix| !there.contains_key(ix));
        gone.for_each(|ix| self.tags.detach(*ix));
        for link in before.into_iter().flatten() {
            self.end(link, plant, &there);
        }
        self.running.iter().map(|link| Arc::clone(&link.health)).collect()
    }

    /// Ends all links: each writes the values of `on_stop`, reports them and closes its connection.
    pub fn stop(&self) {
        self.running.iter().for_each(|link| link.command.stop());
    }

    fn start(
        &self,
        key: Option<Key>,
        plans: Arc<[ConnectionPlan]>,
        plant: &Arc<Plant>,
        known: &[Arc<health::Link>],
        spawn: &mut Spawn<'_>,
    ) -> Running {
        let ixs = ixs_of(&plans);
        let is_same_device = |link: &&Ending| match &key {
            Some(_) => link.key == key,
            None => link.connections.iter().any(|ix| ixs.contains(ix)),
        };
        let first: Vec<Arc<Command>> =
            self.ending.iter().filter(is_same_device).map(|link| Arc::clone(&link.command)).collect();
        let health = Arc::new(health::Link::from(known, name_of(&plans, plant), ixs));
        let (command, orders) = orders();
        let Queue { sender, receiver } = TagStore::queue();
        let mut stop = orders.clone();
        let mut link = Supervisor::new(Seat {
            connections: Arc::clone(&plans),
            plant: Arc::clone(plant),
            tags: Arc::clone(&self.tags),
            health: Arc::clone(&health),
            queue: receiver,
            orders,
            outputs: self.outputs.clone(),
            make: Arc::clone(&self.make),
        });
        let task = async move {
            for before in first {
                // Its device takes one connection at a time.
                tokio::select! {
                    () = before.ended() => {}
                    () = stop.stopped() => {}
                }
            }
            link.run().await;
        };
        spawn(format!("link {}", health.name), task.boxed());
        Running { key, plans, queue: sender, health, command: Arc::new(command) }
    }

    fn end(&mut self, link: Running, plant: &Arc<Plant>, there: &HashMap<ConnectionIx, usize>) {
        // Connections that are on another link now have their state there.
        let ixs: Vec<ConnectionIx> = ixs_of(&link.plans).into_iter().filter(|ix| !there.contains_key(ix)).collect();
        let health = Arc::new(link.health.with(link.health.name.clone(), ixs, &[]));
        link.command.follow(Update { plant: Arc::clone(plant), connections: Arc::new([]), health });
        link.command.stop();
        self.ending.push(Ending { key: link.key, connections: ixs_of(&link.plans), command: link.command });
    }
}

impl Running {
    fn follow(
        self,
        key: Option<Key>,
        plans: Arc<[ConnectionPlan]>,
        plant: &Arc<Plant>,
        known: &[Arc<health::Link>],
    ) -> Running {
        let (name, ixs) = (name_of(&plans, plant), ixs_of(&plans));
        let health = match name == self.health.name && ixs == self.health.connections {
            true => Arc::clone(&self.health),
            false => Arc::new(self.health.with(name, ixs, known)),
        };
        let update = Update { plant: Arc::clone(plant), connections: Arc::clone(&plans), health: Arc::clone(&health) };
        self.command.follow(update);
        Running { key, plans, health, ..self }
    }
}

fn ixs_of(plans: &[ConnectionPlan]) -> Vec<ConnectionIx> {
    plans.iter().map(|plan| plan.ix).collect()
}

/// The names of the connections with those of their cells.
fn name_of(plans: &[ConnectionPlan], plant: &Plant) -> String {
    let name = |plan: &ConnectionPlan| {
        let cell = plant.connections.get(plan.ix).map(|connection| usize::from(connection.cell));
        let cell = cell.and_then(|cell| plant.cells.get(cell)).map_or("", |cell| &cell.name);
        if cell.is_empty() { plan.name.clone() } else { format!("{cell}/{}", plan.name) }
    };
    plans.iter().map(name).collect::<Vec<_>>().join(" + ")
}
