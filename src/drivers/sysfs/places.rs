//! Devices of one name in a lasting order. Pure.
//!
//! `NAME#2` remains the same device while it is there, also when the first of the name goes: the second must never pass for the first.

use std::collections::HashSet;

/// A device by what remains when its number changes: the path of the hardware.
pub(super) type Identity = String;

/// The devices of one name that were seen, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places(Vec<Identity>);

impl Places {
    /// Takes in the devices that are there now, in the order of their numbers. A new one takes the place of one that has gone, where
    /// there is no choice; else it comes last.
    pub(super) fn update(&mut self, present: &[Identity]) {
        let there: HashSet<&Identity> = present.iter().collect();
        let gone: Vec<usize> = (0..self.0.len()).filter(|at| !there.contains(&self.0[*at])).collect();
        let new: Vec<&Identity> = present.iter().filter(|one| !self.0.contains(one)).collect();
        match (&gone[..], &new[..]) {
            ([place], [one]) => self.0[*place].clone_from(one),
            _ => self.0.extend(new.into_iter().cloned()),
        }
    }

    /// The device at this place, counted from 1.
    pub(super) fn get(&self, nth: usize) -> Option<&Identity> {
        self.0.get(nth.checked_sub(1)?)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Vec<Identity> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_place_goes_to_another_device_only_without_a_choice() {
        for (seen, wanted) in [
            (&["a b"][..], "a b"),
            // The first goes: the second stays the second.
            (&["a b", "b"], "a b"),
            (&["a b", "b", "b a"], "a b"),
            // A device in another socket.
            (&["a", "", "c"], "c"),
            (&["a b", "b", "b c"], "c b"),
            // Two have gone, and which one came back is not known.
            (&["a b", "", "c d"], "a b c d"),
            (&["a b", "c a b"], "a b c"),
        ] {
            let mut places = Places::default();
            seen.iter().for_each(|present| places.update(&names(present)));
            assert_eq!(places.0, names(wanted), "{seen:?}");
        }
    }

    proptest! {
        #[test]
        fn a_device_that_is_there_keeps_its_place(
            steps in prop::collection::vec(prop::collection::hash_set(0..6_u8, 0..5), 1..20),
        ) {
            let mut places = Places::default();
            for step in steps {
                let present: Vec<Identity> = step.iter().map(u8::to_string).collect();
                let before = places.clone();
                places.update(&present);
                for (at, one) in before.0.iter().enumerate().filter(|(_, one)| present.contains(one)) {
                    prop_assert_eq!(places.get(at + 1), Some(one));
                }
                for one in &present {
                    prop_assert_eq!(places.0.iter().filter(|other| *other == one).count(), 1);
                }
                prop_assert_eq!(places.count(), places.0.len());
            }
        }
    }
}
