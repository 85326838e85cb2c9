//! The queue of one monitored item: size 1 keeps the newest, more keep their order and say when they overflow.

use std::collections::VecDeque;
use std::sync::Arc;

use opcua::StatusCode;

use crate::ua::budget::{Budget, weight};
use crate::value::{Sample, Value};

/// InfoType DataValue and the Overflow bit (Part 4 §7.39.1, 1.05).
const OVERFLOW: u32 = 0x0480;

/// SemanticsChanged of a StatusCode (Part 4 §7.39.1, 1.05): the properties of the Variable changed since the last one.
pub(super) const SEMANTICS_CHANGED: u32 = 0x4000;

#[derive(Debug)]
pub struct Queue {
    held: VecDeque<Sample>,
    size: usize,
    discard_oldest: bool,
    budget: Arc<Budget>,
    /// Places that are booked: those of `held`, used or not.
    places: usize,
    /// Booked for the item itself, and for the value that it compares with.
    fixed: usize,
    compared: usize,
}

/// Places that an empty queue keeps.
const KEPT: usize = 64;

impl Queue {
    pub fn new(size: u32, discard_oldest: bool, budget: &Arc<Budget>) -> Queue {
        Queue {
            held: VecDeque::new(),
            size: size.max(1) as usize,
            discard_oldest,
            budget: Arc::clone(budget),
            places: 0,
            fixed: 0,
            compared: 0,
        }
    }

    /// Books what the item itself takes, for as long as its queue is there; false when there is no room for it.
    pub fn book_item(&mut self, bytes: usize) -> bool {
        let has_room = self.budget.has(bytes);
        if has_room {
            self.budget.spend(bytes);
            self.fixed += bytes;
        }
        has_room
    }

    /// Books the value that the next sample is compared with, in place of the one before; false when there is no room.
    pub fn book_compared(&mut self, value: &Value) -> bool {
        let bytes = weight(value);
        self.budget.give_back(std::mem::take(&mut self.compared));
        let has_room = bytes == 0 || self.budget.has(bytes);
        if has_room {
            self.budget.spend(bytes);
            self.compared = bytes;
        }
        has_room
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// A new size keeps what fits, newest or oldest first as the client wants it; what went is marked as an overflow.
    pub fn resize(&mut self, size: u32, discard_oldest: bool) {
        self.size = size.max(1) as usize;
        self.discard_oldest = discard_oldest;
        let is_too_long = self.held.len() > self.size;
        while self.held.len() > self.size {
            let gone = if discard_oldest { self.held.pop_front() } else { self.held.pop_back() };
            self.give_back(gone.as_ref());
        }
        self.shrink_to(self.size);
        if self.size == 1 {
            // A queue of one value never reports an overflow (Part 4 §7.39.1, 1.05).
            self.held.iter_mut().for_each(|sample| sample.status = StatusCode::from(sample.status.bits() & !OVERFLOW));
        } else if is_too_long {
            mark(if discard_oldest { self.held.front_mut() } else { self.held.back_mut() });
        }
    }

    /// Returns whether a value was lost.
    pub fn push(&mut self, sample: Sample) -> bool {
        let cost = weight(&sample.value);
        let fits = self.held.len() < self.size && (cost == 0 || self.budget.has(cost));
        let has_room = self.held.is_empty() || fits && self.has_place();
        if cost > 0 {
            self.budget.spend(cost);
        }
        if has_room {
            self.make_place();
            self.held.push_back(sample);
            return false;
        }
        let gone = if self.discard_oldest || self.size == 1 { self.held.pop_front() } else { self.held.pop_back() };
        self.give_back(gone.as_ref());
        self.held.push_back(sample);
        if gone.is_some_and(|gone| gone.status.bits() & SEMANTICS_CHANGED != 0) {
            // The client has not heard of it yet: the next sample says so.
            let next = if self.discard_oldest || self.size == 1 { self.held.front_mut() } else { self.held.back_mut() };
            next.into_iter().for_each(|next| next.status = StatusCode::from(next.status.bits() | SEMANTICS_CHANGED));
        }
        if self.size == 1 {
            return false;
        }
        mark(if self.discard_oldest { self.held.front_mut() } else { self.held.back_mut() });
        true
    }

    /// One place more is there, or can be paid for.
    fn has_place(&self) -> bool {
        self.held.len() < self.places || self.budget.has(size_of::<Sample>())
    }

    /// Places are booked before they are used: twice as many as there were, or one where the budget has no more.
    fn make_place(&mut self) {
        if self.held.len() < self.places {
            return;
        }
        let wanted = (self.places * 2).clamp(1, self.size.max(1)).saturating_sub(self.places).max(1);
        let more = if self.budget.has(wanted * size_of::<Sample>()) { wanted } else { 1 };
        self.budget.spend(more * size_of::<Sample>());
        self.places += more;
        self.held.reserve_exact(self.places - self.held.len());
    }

    pub fn pop(&mut self) -> Option<Sample> {
        let sample = self.held.pop_front();
        self.give_back(sample.as_ref());
        if self.held.is_empty() && self.places > KEPT {
            self.shrink_to(KEPT);
        }
        sample
    }

    pub fn clear(&mut self) {
        while self.pop().is_some() {}
    }

    fn shrink_to(&mut self, places: usize) {
        let places = places.max(self.held.len());
        if places < self.places {
            self.held.shrink_to(places);
            self.budget.give_back((self.places - places) * size_of::<Sample>());
            self.places = places;
        }
    }

    fn give_back(&self, gone: Option<&Sample>) {
        if let Some(cost) = gone.map(|gone| weight(&gone.value)).filter(|cost| *cost > 0) {
            self.budget.give_back(cost);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.clear();
        self.budget.give_back(self.places * size_of::<Sample>() + self.fixed + self.compared);
    }
}

fn mark(sample: Option<&mut Sample>) {
    if let Some(sample) = sample {
        sample.status = StatusCode::from(sample.status.bits() | OVERFLOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::UaTime;

    fn sample(n: i32) -> Sample {
        Sample { value: Value::Int32(n), status: StatusCode::Good, source_time: UaTime(1), server_time: UaTime(1) }
    }

    #[test]
    fn a_full_queue_drops_one_and_marks_its_neighbour() {
        // size, discard oldest, values pushed, what is left: value and overflow
        for (size, discard_oldest, pushed, left) in [
            (1, true, 3, vec![(3, false)]),
            (1, false, 3, vec![(3, false)]),
            (3, true, 3, vec![(1, false), (2, false), (3, false)]),
            (3, true, 5, vec![(3, true), (4, false), (5, false)]),
            (3, false, 5, vec![(1, false), (2, false), (5, true)]),
        ] {
            let mut queue = Queue::new(size, discard_oldest, &Budget::new(1 << 20));
            for n in 1..=pushed {
                queue.push(sample(n));
            }
            let got: Vec<(i32, bool)> = std::iter::from_fn(|| queue.pop())
                .map(|s| (if let Value::Int32(n) = s.value { n } else { -1 }, s.status.bits() == OVERFLOW))
                .collect();
            assert_eq!(got, left, "size {size}, discard oldest {discard_oldest}");
        }
    }

    #[test]
    fn what_no_budget_is_left_for_counts_as_an_overflow_and_comes_back_with_the_queue() {
        let budget = Budget::new(10 * size_of::<Sample>());
        let mut one = Queue::new(1_000, true, &budget);
        let mut other = Queue::new(1_000, true, &budget);
        for n in 1..=8 {
            one.push(sample(n));
            other.push(sample(n));
        }
        assert_eq!((one.len(), other.len()), (5, 5));
        let newest = std::iter::from_fn(|| other.pop()).last().map(|sample| sample.value);
        assert_eq!(newest, Some(Value::Int32(8)), "the newest is kept");
        drop(one);
        for n in 1..=10 {
            other.push(sample(n));
        }
        assert_eq!(other.len(), 10);
    }
}
