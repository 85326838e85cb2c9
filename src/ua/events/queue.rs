//! The event queue of one item: the fields that its select clauses ask for.

use std::collections::VecDeque;
use std::sync::Arc;

use opcua::StatusCode;

use crate::ua::budget::{Budget, weight};
use crate::value::Value;

/// Events that wait to be published; their memory is booked.
#[derive(Debug)]
pub struct EventQueue {
    held: VecDeque<Vec<Value>>,
    size: usize,
    discard_oldest: bool,
    budget: Arc<Budget>,
    /// Bytes of the budget that the item's filter takes.
    filter_bytes: usize,
}

impl EventQueue {
    pub fn new(size: u32, discard_oldest: bool, budget: &Arc<Budget>) -> EventQueue {
        EventQueue {
            held: VecDeque::new(),
            size: size.max(1) as usize,
            discard_oldest,
            budget: Arc::clone(budget),
            filter_bytes: 0,
        }
    }

    /// Books a filter by its encoded bytes, in place of the previous one.
    pub fn book_filter(&mut self, encoded: usize) -> Result<(), StatusCode> {
        // Decoded it takes several times its bytes.
        let bytes = encoded * 8;
        if !self.budget.has(bytes) {
            return Err(StatusCode::BadTooManyMonitoredItems);
        }
        self.budget.spend(bytes);
        self.budget.give_back(std::mem::replace(&mut self.filter_bytes, bytes));
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns whether an event was lost.
    pub fn push(&mut self, fields: Vec<Value>) -> bool {
        let cost = cost(&fields);
        let has_room = self.held.is_empty() || (self.held.len() < self.size && self.budget.has(cost));
        self.budget.spend(cost);
        if !has_room {
            self.drop_one();
        }
        self.held.push_back(fields);
        !has_room
    }

    pub fn resize(&mut self, size: u32, discard_oldest: bool) {
        self.size = size.max(1) as usize;
        self.discard_oldest = discard_oldest;
        while self.held.len() > self.size {
            self.drop_one();
        }
    }

    fn drop_one(&mut self) {
        let gone = if self.discard_oldest { self.held.pop_front() } else { self.held.pop_back() };
        self.budget.give_back(gone.map_or(0, |gone| cost(&gone)));
    }

    pub fn pop(&mut self) -> Option<Vec<Value>> {
        let fields = self.held.pop_front()?;
        self.budget.give_back(cost(&fields));
        Some(fields)
    }

    pub fn clear(&mut self) {
        while self.pop().is_some() {}
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        self.clear();
        self.budget.give_back(self.filter_bytes);
    }
}

fn cost(fields: &[Value]) -> usize {
    fields.iter().map(|field| size_of::<Value>() + weight(field)).sum()
}
