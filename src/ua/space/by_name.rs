//! The references of a node by the BrowseName of their target, for paths: made at the first use of a node that has many.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use parking_lot::Mutex;

use super::{BrowseFilter, NodeIx, Reference, Space, Viewer};

/// With this many references a search costs more than a look into the index.
const MANY: usize = 32;

/// Places in `references_of_node` by the hash of namespace and name.
type Places = HashTable<(u64, u32)>;

#[derive(Debug, Default)]
pub(in crate::ua) struct ByName(Mutex<HashMap<NodeIx, Arc<Places>>>);

/// The BrowseName of a target, as one element of a path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TargetName<'a> {
    pub namespace: u16,
    pub name: &'a str,
}

impl Space {
    /// The targets of one element of a RelativePath: the references of `from` that pass and lead to that BrowseName.
    /// Takes what it looks at from `steps`; `None` when they are used up.
    pub fn follow(
        &self,
        from: NodeIx,
        filter: &BrowseFilter,
        viewer: &Viewer<'_>,
        name: TargetName<'_>,
        steps: &mut usize,
        mut found: impl FnMut(NodeIx),
    ) -> Option<()> {
        let references = self.references(from);
        let mut look = |reference: &Reference| {
            *steps = steps.checked_sub(1)?;
            if self.name_of(reference) == name && filter.passes(self, viewer, reference) {
                found(reference.target);
            }
            Some(())
        };
        if references.len() <= MANY {
            return references.iter().try_for_each(look);
        }
        let places = self.places(from, &references);
        let hash = self.hasher.hash_one(name);
        // In the order of the references, as without an index.
        let mut at: Vec<u32> = places.iter_hash(hash).filter(|place| place.0 == hash).map(|place| place.1).collect();
        at.sort_unstable();
        at.iter().filter_map(|at| references.get(*at as usize)).try_for_each(&mut look)
    }

    fn name_of(&self, reference: &Reference) -> TargetName<'_> {
        let node = self.node(reference.target);
        TargetName { namespace: node.browse_namespace, name: self.texts.get(node.browse) }
    }

    fn places(&self, of: NodeIx, references: &[Reference]) -> Arc<Places> {
        if let Some(places) = self.by_name.0.lock().get(&of) {
            return Arc::clone(places);
        }
        let mut places = Places::with_capacity(references.len());
        for (at, reference) in (0..).zip(references) {
            let hash = self.hasher.hash_one(self.name_of(reference));
            places.insert_unique(hash, (hash, at), |place| place.0);
        }
        let places = Arc::new(places);
        self.by_name.0.lock().insert(of, Arc::clone(&places));
        places
    }
}
