//! Derived tags: evaluated once a batch, in an order in which each comes after the ones that it uses.
//!
//! A batch of changes holds one lock from its first slot to its last derived tag. So the derived tags of two links never mix,
//! and a reader that takes the same lock (`TagStore::steady`) sees no half of a batch. No slot's lock is held while a
//! derivation is evaluated. A cell without derived tags pays one look at a flag.

mod graph;
mod zone;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opcua::StatusCode;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Stamp, TagStore};
use crate::formula::{Cause, Inputs, Memory, Moments, Stack};
use crate::model::{Derivation, Plant, TagId};
use crate::value::{Sample, UaTime, Value};
use graph::{Dirty, Graph, Node};

/// Derived tags of a store.
pub(super) struct Derived {
    is_on: AtomicBool,
    state: RwLock<State>,
    /// Locked for a moment, and with no other lock after it: who asks for a reason may hold the lock of a watcher.
    causes: Mutex<HashMap<TagId, Known>>,
    /// The graph is another one.
    changed: Notify,
}

/// Why a derived tag is not Good, and since when.
struct Known {
    derivation: Arc<Derivation>,
    cause: Cause,
    since: UaTime,
}

/// The graph of the newest plant, and what its tags remember.
#[derive(Default)]
struct State {
    graph: Graph,
    dirty: Dirty,
    /// Indexed as the nodes of the graph.
    memories: Vec<Memory>,
    /// The same.
    causes: Vec<Option<Cause>>,
    /// Ranks that run by the clock, and when each is due.
    due: Vec<(usize, Instant)>,
    stack: Stack,
}

/// A batch of changes that are under way.
pub(super) struct Batch<'a>(Option<RwLockWriteGuard<'a, State>>);

/// As long as it is held, no batch with derived tags begins or ends.
pub(crate) struct Steady<'a> {
    _lock: Option<RwLockReadGuard<'a, State>>,
}

impl Derived {
    pub(super) fn of(plant: &Plant) -> Derived {
        let state = State::of(Graph::of(plant), Instant::now());
        Derived {
            is_on: AtomicBool::new(!state.graph.nodes.is_empty()),
            state: RwLock::new(state),
            causes: Mutex::default(),
            changed: Notify::new(),
        }
    }
}

impl Derived {
    fn note(&self, node: &Node, cause: Option<Cause>, since: UaTime) {
        let mut causes = self.causes.lock();
        match cause {
            Some(cause) => {
                let derivation = Arc::clone(&node.derivation);
                causes.insert(node.tag, Known { derivation, cause, since });
            }
            None => {
                causes.remove(&node.tag);
            }
        }
    }
}

impl State {
    fn of(graph: Graph, now: Instant) -> State {
        let clocked = graph.nodes.iter().enumerate().filter_map(|(rank, node)| Some((rank, now + node.period?)));
        let due = clocked.collect();
        let memories = graph.nodes.iter().map(|node| node.memory()).collect();
        let causes = vec![None; graph.nodes.len()];
        State { dirty: Dirty::of(graph.nodes.len()), graph, memories, causes, due, stack: Stack::default() }
    }
}

impl Batch<'_> {
    /// A batch that changes nothing which a derived tag uses.
    pub(super) fn none() -> Self {
        Batch(None)
    }

    /// Notes whether a tag has a new value or status.
    pub(super) fn note(&mut self, tag: TagId, is_new: bool) {
        let Some(state) = self.0.as_mut().filter(|_| is_new) else { return };
        let State { graph, dirty, .. } = &mut **state;
        graph.dependents(tag).iter().for_each(|rank| dirty.mark(*rank));
    }
}

/// The samples of a formula's inputs, from their slots.
struct Slots<'a> {
    store: &'a TagStore,
    tags: &'a [TagId],
}

impl Inputs for Slots<'_> {
    fn sample(&self, at: u16) -> Sample {
        self.store.with(self.tags[usize::from(at)], Sample::clone)
    }
}

/// The only input of a formula, as it was.
struct Past<'a>(&'a Sample);

impl Inputs for Past<'_> {
    fn sample(&self, _: u16) -> Sample {
        self.0.clone()
    }
}

/// Result of a derivation: a usable value with its status, or a Bad status without a value.
struct Result {
    value: Value,
    status: StatusCode,
    source: UaTime,
    cause: Option<Cause>,
}

impl TagStore {
    /// Begins a batch; `settle` ends it.
    pub(super) fn batch(&self) -> Batch<'_> {
        Batch(self.derived.is_on.load(Ordering::Acquire).then(|| self.derived.state.write()))
    }

    /// Evaluates the derived tags that the changes of a batch reach, each once.
    pub(super) fn settle(&self, batch: Batch<'_>, stamp: Stamp) {
        let Some(mut state) = batch.0 else { return };
        self.evaluate(&mut state, stamp, false);
    }

    /// Gives a sample of the past to the formulas that use its tag alone: they are known for that time, too.
    pub(super) fn recall_derived(&self, batch: &mut Batch<'_>, tag: TagId, sample: Sample, stamp: Stamp) {
        let Some(state) = batch.0.as_mut() else { return };
        let State { graph, stack, .. } = &mut **state;
        let at = Moments { now: stamp.moment(), by_clock: false, zone: zone::offset };
        let mut left = vec![(tag, sample)];
        while let Some((tag, sample)) = left.pop() {
            for rank in graph.dependents(tag) {
                let node = &graph.nodes[*rank as usize];
                let Derivation::Formula(formula) = &*node.derivation;
                if !node.enabled || !formula.program.only_input() {
                    continue;
                }
                let outcome = formula.program.run(&Past(&sample), &mut Memory::default(), at, stack);
                let Result { value, status, .. } = node.checked(outcome);
                let result = Sample { value, status, ..sample.clone() };
                let slot = self.slot(node.tag).lock();
                if slot.since <= graph.revision {
                    slot.recall_sample(&result);
                    left.push((node.tag, result));
                }
            }
        }
    }

    /// Keeps batches away while several tags are read together.
    pub(crate) fn steady(&self) -> Steady<'_> {
        Steady { _lock: self.derived.is_on.load(Ordering::Acquire).then(|| self.derived.state.read()) }
    }

    /// Takes the derived tags of a plant, after the slots were turned. A tag that was turned is evaluated, and so is each one
    /// that uses it; what others remember stays. `restore` gives what a tag remembered that was turned.
    pub(crate) fn follow(
        &self,
        plant: &Plant,
        turned: &[TagId],
        mut restore: impl FnMut(TagId) -> Option<Vec<Value>>,
        stamp: Stamp,
    ) {
        if plant.derived.is_empty() && !self.derived.is_on.load(Ordering::Acquire) {
            return;
        }
        let mut new = State::of(Graph::of(plant), stamp.now);
        let turned: HashSet<TagId> = turned.iter().copied().collect();
        for tag in &turned {
            new.graph.dependents(*tag).iter().for_each(|rank| new.dirty.mark(*rank));
            let Some(rank) = new.graph.rank(*tag) else { continue };
            new.dirty.mark(rank);
            if let Some(kept) =
                Some(rank as usize).filter(|rank| new.graph.nodes[*rank].keeps).and_then(|_| restore(*tag))
            {
                new.memories[rank as usize].restore(&kept);
            }
        }
        let mut state = self.derived.state.write();
        for (rank, memory) in std::mem::take(&mut state.memories).into_iter().enumerate() {
            let tag = state.graph.nodes[rank].tag;
            if let Some(at) = new.graph.rank(tag).filter(|_| !turned.contains(&tag)) {
                new.memories[at as usize] = memory;
                new.causes[at as usize] = state.causes[rank];
            }
        }
        let known: HashMap<TagId, Instant> =
            state.due.iter().map(|(rank, due)| (state.graph.nodes[*rank].tag, *due)).collect();
        for (rank, due) in &mut new.due {
            *due = known.get(&new.graph.nodes[*rank].tag).map_or(*due, |known| (*due).min(*known));
        }
        let stays = |tag: &TagId| new.graph.rank(*tag).is_some_and(|at| new.causes[at as usize].is_some());
        self.derived.causes.lock().retain(|tag, _| stays(tag));
        *state = new;
        self.derived.is_on.store(!state.graph.nodes.is_empty(), Ordering::Release);
        self.evaluate(&mut state, stamp, false);
        drop(state);
        self.derived.changed.notify_one();
    }

    /// Whether a derived tag runs by the clock.
    pub(crate) fn has_clock(&self) -> bool {
        self.derived.is_on.load(Ordering::Acquire) && !self.derived.state.read().due.is_empty()
    }

    /// Runs what is due by the clock; says when the next is.
    pub(crate) fn tick(&self, stamp: Stamp) -> Option<Instant> {
        if !self.derived.is_on.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.derived.state.write();
        let State { graph, dirty, due, .. } = &mut *state;
        for (rank, due) in due.iter_mut().filter(|(_, due)| *due <= stamp.now) {
            dirty.mark(u32::try_from(*rank).expect("tags are counted in u32"));
            let period = graph.nodes[*rank].period.unwrap_or(Duration::from_secs(1));
            // A run that came late is not made up for.
            *due = if *due + period > stamp.now { *due + period } else { stamp.now + period };
        }
        self.evaluate(&mut state, stamp, true);
        state.due.iter().map(|(_, due)| *due).min()
    }

    /// Waits for the derived tags of another plant.
    pub(crate) async fn derived_changed(&self) {
        self.derived.changed.notified().await;
    }

    /// Memories of derived tags that outlive a restart, where they changed since the last call.
    pub(crate) fn take_memories(&self) -> Vec<(TagId, Vec<Value>)> {
        if !self.derived.is_on.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut state = self.derived.state.write();
        let State { graph, memories, .. } = &mut *state;
        let keeping = graph.nodes.iter().zip(memories).filter(|(node, _)| node.keeps);
        keeping.filter_map(|(node, memory)| memory.take_changed().then(|| (node.tag, memory.kept()))).collect()
    }

    /// Evaluates all derived tags of a new store.
    pub(super) fn first(&self, stamp: Stamp) {
        let mut state = self.derived.state.write();
        let State { graph, dirty, .. } = &mut *state;
        (0..graph.nodes.len()).for_each(|rank| dirty.mark(u32::try_from(rank).expect("tags are counted in u32")));
        self.evaluate(&mut state, stamp, false);
    }

    fn evaluate(&self, state: &mut State, stamp: Stamp, by_clock: bool) {
        let State { graph, dirty, memories, causes, stack, .. } = state;
        let at = Moments { now: stamp.moment(), by_clock, zone: zone::offset };
        while let Some(rank) = dirty.take() {
            let node = &graph.nodes[rank];
            if !node.enabled {
                continue;
            }
            let Derivation::Formula(formula) = &*node.derivation;
            let inputs = Slots { store: self, tags: &formula.inputs };
            let outcome = formula.program.run(&inputs, &mut memories[rank], at, stack);
            let result = node.checked(outcome);
            let mut slot = self.slot(node.tag).lock();
            if slot.since > graph.revision {
                // A newer plant has turned the slot.
                continue;
            }
            if std::mem::replace(&mut causes[rank], result.cause) != result.cause {
                self.derived.note(node, result.cause, stamp.server);
            }
            let stamp = Stamp { source: result.source, ..stamp };
            let is_new = match result.status.is_bad() {
                true => slot.turn(Value::Null, result.status, stamp),
                false => slot.take(result.value, result.status, node.deadband, stamp),
            };
            drop(slot);
            if is_new {
                graph.dependents(node.tag).iter().for_each(|rank| dirty.mark(*rank));
            }
        }
    }

    /// Why a derived tag is not Good.
    pub(crate) fn derived_reason(&self, tag: TagId) -> Option<DerivedReason> {
        let causes = self.derived.causes.lock();
        let Known { derivation, cause, since } = causes.get(&tag)?;
        let Derivation::Formula(formula) = &**derivation;
        let input = cause.input().and_then(|at| formula.inputs.get(usize::from(at)).copied());
        Some(DerivedReason { why: formula.program.explain(*cause), input, since: *since })
    }
}

/// Why a derived tag is not Good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DerivedReason {
    pub why: String,
    /// The input that is the cause.
    pub input: Option<TagId>,
    pub since: UaTime,
}

#[cfg(test)]
mod tests;
