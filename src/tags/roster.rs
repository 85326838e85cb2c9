//! The listeners of one thing: a list that members join and leave in constant time, however long it is.
//!
//! A short list is searched; a long one has an index in addition. The order has no meaning.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

/// A member of a roster: whose it is, and its number there.
pub(crate) trait Member {
    /// The address of the owner, which outlives the membership.
    fn owner(&self) -> usize;
    fn key(&self) -> u32;
}

/// From this length on there is an index.
const SHORT: usize = 16;

#[derive(Debug)]
pub(crate) struct Roster<T> {
    members: Vec<T>,
    index: Option<Box<Index>>,
}

#[derive(Debug, Default)]
struct Index {
    hasher: DefaultHashBuilder,
    places: HashTable<u32>,
    of_owner: HashMap<usize, u32>,
}

impl<T> Default for Roster<T> {
    fn default() -> Roster<T> {
        Roster { members: Vec::new(), index: None }
    }
}

impl<T: Member> Roster<T> {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.members.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Adds a member; owner and key together must be new.
    pub(crate) fn add(&mut self, member: T) {
        self.members.push(member);
        match &mut self.index {
            Some(index) => index.insert(&self.members, self.members.len() - 1),
            None if self.members.len() > SHORT => {
                let mut index = Box::<Index>::default();
                (0..self.members.len()).for_each(|at| index.insert(&self.members, at));
                self.index = Some(index);
            }
            None => {}
        }
    }

    pub(crate) fn remove(&mut self, owner: usize, key: u32) -> Option<T> {
        let is_it = |member: &T| member.key() == key && member.owner() == owner;
        let Some(index) = &mut self.index else {
            let at = self.members.iter().position(is_it)?;
            return Some(self.members.swap_remove(at));
        };
        let hash = index.hash(owner, key);
        let found = index.places.find_entry(hash, |at| is_it(&self.members[*at as usize])).ok()?;
        let (at, _) = found.remove();
        index.forget(owner);
        let last = self.members.len() - 1;
        if at as usize != last {
            let moved = &self.members[last];
            let hash = index.hash(moved.owner(), moved.key());
            if let Some(place) = index.places.find_mut(hash, |other| *other as usize == last) {
                *place = at;
            }
        }
        let gone = self.members.swap_remove(at as usize);
        if self.members.len() < SHORT / 2 {
            self.index = None;
            self.members.shrink_to(SHORT);
        }
        Some(gone)
    }

    /// Members of one owner.
    pub(crate) fn count_of(&self, owner: usize) -> usize {
        match &self.index {
            Some(index) => index.of_owner.get(&owner).map_or(0, |count| *count as usize),
            None => self.members.iter().filter(|member| member.owner() == owner).count(),
        }
    }
}

impl Index {
    fn hash(&self, owner: usize, key: u32) -> u64 {
        self.hasher.hash_one((owner, key))
    }

    fn insert<T: Member>(&mut self, members: &[T], at: usize) {
        let member = &members[at];
        let hash = self.hash(member.owner(), member.key());
        let (hasher, place) = (self.hasher.clone(), u32::try_from(at).expect("members are limited far below 2^32"));
        let rehash = |at: &u32| {
            let member = &members[*at as usize];
            hasher.hash_one((member.owner(), member.key()))
        };
        self.places.insert_unique(hash, place, rehash);
        *self.of_owner.entry(member.owner()).or_insert(0) += 1;
    }

    fn forget(&mut self, owner: usize) {
        if let hashbrown::hash_map::Entry::Occupied(mut count) = self.of_owner.entry(owner) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    impl Member for (usize, u32) {
        fn owner(&self) -> usize {
            self.0
        }

        fn key(&self) -> u32 {
            self.1
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_roster_holds_what_a_set_holds(steps in prop::collection::vec((any::<bool>(), 0..3usize, 0..30u32), 0..400)) {
            let (mut roster, mut set) = (Roster::default(), BTreeSet::new());
            for (joins, owner, key) in steps {
                if !joins {
                    prop_assert_eq!(roster.remove(owner, key), set.take(&(owner, key)));
                } else if set.insert((owner, key)) {
                    roster.add((owner, key));
                }
                prop_assert_eq!(roster.iter().copied().collect::<BTreeSet<_>>(), set.clone());
                prop_assert_eq!(roster.len(), set.len());
                for owner in 0..3 {
                    prop_assert_eq!(roster.count_of(owner), set.iter().filter(|member| member.0 == owner).count());
                }
            }
        }
    }
}
