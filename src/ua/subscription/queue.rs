//! The queue of one monitored item: size 1 keeps the newest, more keep their order and say when they overflow.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use opcua::StatusCode;

use crate::value::{Sample, Value};

/// InfoType DataValue and the Overflow bit (Part 4 §7.39.1, 1.05).
const OVERFLOW: u32 = 0x0480;

/// Bytes that the queues of one session may still hold. An empty queue always takes one value, so it may be overdrawn.
#[derive(Debug)]
pub struct Budget {
    left: AtomicI64,
}

impl Budget {
    pub fn new(bytes: usize) -> Arc<Budget> {
        Arc::new(Budget { left: AtomicI64::new(i64::try_from(bytes).unwrap_or(i64::MAX)) })
    }

    pub fn has(&self, bytes: usize) -> bool {
        self.left.load(Ordering::Relaxed) >= signed(bytes)
    }

    pub fn spend(&self, bytes: usize) {
        self.left.fetch_sub(signed(bytes), Ordering::Relaxed);
    }

    pub fn give_back(&self, bytes: usize) {
        self.left.fetch_add(signed(bytes), Ordering::Relaxed);
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[derive(Debug)]
pub struct Queue {
    held: VecDeque<Sample>,
    size: usize,
    discard_oldest: bool,
    budget: Arc<Budget>,
}

impl Queue {
    pub fn new(size: u32, discard_oldest: bool, budget: &Arc<Budget>) -> Queue {
        Queue { held: VecDeque::new(), size: size.max(1) as usize, discard_oldest, budget: Arc::clone(budget) }
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
        if self.size == 1 {
            // A queue of one value never tells of an overflow (Part 4 §7.39.1, 1.05).
            self.held.iter_mut().for_each(|sample| sample.status = StatusCode::from(sample.status.bits() & !OVERFLOW));
        } else if is_too_long {
            mark(if discard_oldest { self.held.front_mut() } else { self.held.back_mut() });
        }
    }

    /// Returns whether a value was lost.
    pub fn push(&mut self, sample: Sample) -> bool {
        let cost = cost(&sample);
        let has_room = self.held.is_empty() || (self.held.len() < self.size && self.budget.has(cost));
        self.budget.spend(cost);
        if has_room {
            self.held.push_back(sample);
            return false;
        }
        let gone = if self.discard_oldest || self.size == 1 { self.held.pop_front() } else { self.held.pop_back() };
        self.give_back(gone.as_ref());
        self.held.push_back(sample);
        if self.size == 1 {
            return false;
        }
        mark(if self.discard_oldest { self.held.front_mut() } else { self.held.back_mut() });
        true
    }

    pub fn pop(&mut self) -> Option<Sample> {
        let sample = self.held.pop_front();
        self.give_back(sample.as_ref());
        sample
    }

    pub fn clear(&mut self) {
        while self.pop().is_some() {}
    }

    fn give_back(&self, gone: Option<&Sample>) {
        if let Some(gone) = gone {
            self.budget.give_back(cost(gone));
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.clear();
    }
}

fn cost(sample: &Sample) -> usize {
    size_of::<Sample>() + weight(&sample.value)
}

fn mark(sample: Option<&mut Sample>) {
    if let Some(sample) = sample {
        sample.status = StatusCode::from(sample.status.bits() | OVERFLOW);
    }
}

/// Bytes that a queued value keeps beyond its own place.
pub fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::ByteString(bytes) | Value::Wire(bytes) => bytes.len(),
        Value::Array(array) => array.elements.len() * 8,
        _ => 0,
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
        let budget = Budget::new(10 * cost(&sample(0)));
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
