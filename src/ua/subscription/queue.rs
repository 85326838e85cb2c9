//! The queue of one monitored item: size 1 keeps the newest, more keep their order and say when they overflow.

use std::collections::VecDeque;

use opcua::StatusCode;

use crate::value::{Sample, Value};

/// InfoType DataValue and the Overflow bit (Part 4 §7.39.1, 1.05).
const OVERFLOW: u32 = 0x0480;

#[derive(Debug)]
pub struct Queue {
    held: VecDeque<Sample>,
    size: usize,
    discard_oldest: bool,
}

impl Queue {
    pub fn new(size: u32, discard_oldest: bool) -> Queue {
        Queue { held: VecDeque::new(), size: size.max(1) as usize, discard_oldest }
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// A new size keeps what fits, newest or oldest first as the client wants it.
    pub fn resize(&mut self, size: u32, discard_oldest: bool) {
        self.size = size.max(1) as usize;
        self.discard_oldest = discard_oldest;
        while self.held.len() > self.size {
            if discard_oldest {
                self.held.pop_front();
            } else {
                self.held.pop_back();
            }
        }
    }

    /// Returns whether a value was lost.
    pub fn push(&mut self, sample: Sample) -> bool {
        if self.size == 1 {
            match self.held.front_mut() {
                Some(slot) => *slot = sample,
                None => self.held.push_back(sample),
            }
            return false;
        }
        if self.held.len() < self.size {
            self.held.push_back(sample);
            return false;
        }
        if self.discard_oldest {
            self.held.pop_front();
            self.held.push_back(sample);
            mark(self.held.front_mut());
        } else {
            self.held.pop_back();
            self.held.push_back(sample);
            mark(self.held.back_mut());
        }
        true
    }

    pub fn pop(&mut self) -> Option<Sample> {
        self.held.pop_front()
    }

    pub fn clear(&mut self) {
        self.held.clear();
    }
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
            let mut queue = Queue::new(size, discard_oldest);
            for n in 1..=pushed {
                queue.push(sample(n));
            }
            let got: Vec<(i32, bool)> = std::iter::from_fn(|| queue.pop())
                .map(|s| (if let Value::Int32(n) = s.value { n } else { -1 }, s.status.bits() == OVERFLOW))
                .collect();
            assert_eq!(got, left, "size {size}, discard oldest {discard_oldest}");
        }
    }
}
