//! Triggering links (Part 4 §5.13.1.6, 1.05): which items report when another one does, known from both ends.

use hashbrown::HashMap;
use opcua::StatusCode;

/// Links of one item, and of one subscription.
const PER_ITEM: usize = 1_000;
const ALL: usize = 100_000;

#[derive(Debug, Default)]
pub(crate) struct Links {
    /// By the id of the item that triggers: those that report with it, sorted.
    triggers: HashMap<u32, Vec<u32>>,
    /// By the id of an item that reports: those that trigger it, sorted.
    triggered: HashMap<u32, Vec<u32>>,
    count: usize,
}

impl Links {
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The items that report when this one does.
    pub(crate) fn of(&self, trigger: u32) -> &[u32] {
        self.triggers.get(&trigger).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn add(&mut self, trigger: u32, linked: u32) -> StatusCode {
        let Err(at) = self.of(trigger).binary_search(&linked) else { return StatusCode::Good };
        let back = self.triggered.get(&linked).map_or(&[][..], Vec::as_slice);
        let back_at = back.binary_search(&trigger).unwrap_or_else(|at| at);
        if self.of(trigger).len() >= PER_ITEM || back.len() >= PER_ITEM || self.count >= ALL {
            return StatusCode::BadResourceUnavailable;
        }
        self.triggers.entry(trigger).or_default().insert(at, linked);
        self.triggered.entry(linked).or_default().insert(back_at, trigger);
        self.count += 1;
        StatusCode::Good
    }

    pub(crate) fn remove(&mut self, trigger: u32, linked: u32) -> StatusCode {
        if !take(&mut self.triggers, trigger, linked) {
            return StatusCode::BadMonitoredItemIdInvalid;
        }
        take(&mut self.triggered, linked, trigger);
        self.count -= 1;
        StatusCode::Good
    }

    /// Removes a deleted item's links.
    pub(crate) fn forget(&mut self, id: u32) {
        if self.is_empty() {
            return;
        }
        for linked in self.triggers.remove(&id).unwrap_or_default() {
            take(&mut self.triggered, linked, id);
            self.count -= 1;
        }
        for trigger in self.triggered.remove(&id).unwrap_or_default() {
            // A link of an item to itself went above.
            self.count -= usize::from(take(&mut self.triggers, trigger, id));
        }
    }
}

/// Removes one end of a link; a list that is empty then is removed too.
fn take(lists: &mut HashMap<u32, Vec<u32>>, of: u32, which: u32) -> bool {
    let Some(list) = lists.get_mut(&of) else { return false };
    let Ok(at) = list.binary_search(&which) else { return false };
    list.remove(at);
    if list.is_empty() {
        lists.remove(&of);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn links_are_a_set_of_pairs(steps in prop::collection::vec((0..3u8, 0..6u32, 0..6u32), 0..200)) {
            let (mut links, mut set) = (Links::default(), BTreeSet::new());
            for (what, trigger, linked) in steps {
                match what {
                    0 => {
                        prop_assert_eq!(links.add(trigger, linked), StatusCode::Good);
                        set.insert((trigger, linked));
                    }
                    1 => {
                        let status = links.remove(trigger, linked);
                        prop_assert_eq!(status == StatusCode::Good, set.remove(&(trigger, linked)));
                    }
                    _ => {
                        links.forget(trigger);
                        set.retain(|(one, other)| *one != trigger && *other != trigger);
                    }
                }
                prop_assert_eq!(links.count, set.len());
                for id in 0..6 {
                    let of: Vec<u32> = set.iter().filter(|link| link.0 == id).map(|link| link.1).collect();
                    prop_assert_eq!(links.of(id), of.as_slice());
                }
            }
            (0..6).for_each(|id| links.forget(id));
            prop_assert!(links.triggers.is_empty() && links.triggered.is_empty() && links.is_empty());
        }
    }

    #[test]
    fn links_have_a_bound() {
        let mut links = Links::default();
        let added = (0..2_000).filter(|linked| links.add(1, *linked) == StatusCode::Good).count();
        assert_eq!(added, PER_ITEM);
        let added = (10..2_000).filter(|trigger| links.add(*trigger, 7) == StatusCode::Good).count();
        assert_eq!(added, PER_ITEM - 1);
    }
}
