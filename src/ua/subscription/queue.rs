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
    /// What the samples keep in memory.
    bytes: usize,
}

impl Queue {
    pub fn new(size: u32, discard_oldest: bool) -> Queue {
        Queue { held: VecDeque::new(), size: size.max(1) as usize, discard_oldest, bytes: 0 }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives up one sample of several, for lack of room elsewhere; the overflow is marked as in a full queue.
    pub fn shed(&mut self) -> bool {
        if self.held.len() < 2 {
            return false;
        }
        if self.discard_oldest {
            self.pop();
            mark(self.held.front_mut());
        } else {
            let newest = self.take_newest();
            self.take_newest();
            self.held.extend(newest);
            self.bytes += self.held.back().map_or(0, cost);
            mark(self.held.back_mut());
        }
        true
    }

    fn take_newest(&mut self) -> Option<Sample> {
        let sample = self.held.pop_back()?;
        self.bytes -= cost(&sample);
        Some(sample)
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
                self.pop();
            } else {
                self.take_newest();
            }
        }
    }

    /// Returns whether a value was lost.
    pub fn push(&mut self, sample: Sample) -> bool {
        let is_full = self.held.len() >= self.size;
        if is_full && (self.discard_oldest || self.size == 1) {
            self.pop();
        } else if is_full {
            self.take_newest();
        }
        self.bytes += cost(&sample);
        self.held.push_back(sample);
        let lost = is_full && self.size > 1;
        if lost {
            mark(if self.discard_oldest { self.held.front_mut() } else { self.held.back_mut() });
        }
        lost
    }

    pub fn pop(&mut self) -> Option<Sample> {
        let sample = self.held.pop_front()?;
        self.bytes -= cost(&sample);
        Some(sample)
    }

    pub fn clear(&mut self) {
        self.held.clear();
        self.bytes = 0;
    }
}

fn mark(sample: Option<&mut Sample>) {
    if let Some(sample) = sample {
        sample.status = StatusCode::from(sample.status.bits() | OVERFLOW);
    }
}

/// Bytes that a queued sample keeps, text and arrays included although others may share them.
fn cost(sample: &Sample) -> usize {
    size_of::<Sample>() + weight(&sample.value)
}

fn weight(value: &Value) -> usize {
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
    fn a_queue_knows_what_it_keeps_and_gives_up_one_when_asked() {
        for (discard_oldest, left) in [(true, vec![2, 3]), (false, vec![1, 3])] {
            let mut queue = Queue::new(10, discard_oldest);
            (1..=3).for_each(|n| assert!(!queue.push(sample(n))));
            let each = queue.bytes() / 3;
            assert!(queue.shed());
            assert_eq!(queue.bytes(), 2 * each);
            let got: Vec<i32> = std::iter::from_fn(|| queue.pop())
                .map(|sample| if let Value::Int32(n) = sample.value { n } else { -1 })
                .collect();
            assert_eq!((got, queue.bytes()), (left, 0));
        }
        assert!(!Queue::new(1, true).shed());
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
