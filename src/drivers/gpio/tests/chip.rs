//! A chip of the tests: levels, edges and faults as a test says.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::kernel::{Chip, Edge, Fault, Info, Line};
use super::super::wiring::Wiring;
use crate::value::UaTime;

/// The chips that there are, by their names.
static CHIPS: LazyLock<Mutex<HashMap<String, Arc<Board>>>> = LazyLock::new(Mutex::default);

#[derive(Debug, Default)]
pub(super) struct Board {
    pub state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub levels: [bool; 4],
    pub edges: [Vec<Edge>; 4],
    numbers: [u32; 4],
    /// Fails each call that concerns this line.
    pub faults: HashMap<u32, Fault>,
    /// Requests so far: the line, and how.
    pub requests: Vec<(u32, Wiring)>,
    pub held: [bool; 4],
}

impl Board {
    /// A chip that can be opened by this name.
    pub(super) fn new(name: &str) -> Arc<Board> {
        let board: Arc<Board> = Arc::default();
        CHIPS.lock().insert(name.to_owned(), Arc::clone(&board));
        board
    }

    /// Moves a line, with an edge or without one.
    pub(super) fn pull(&self, line: u32, level: bool, has_edge: bool) {
        let mut state = self.state.lock();
        let at = line as usize;
        state.levels[at] = level;
        if has_edge {
            state.numbers[at] += 1;
            let (number, time) = (state.numbers[at], UaTime(1_000 + i64::from(state.numbers[at])));
            state.edges[at].push(Edge { is_rising: level, time, number });
        }
        drop(state);
        self.news.notify_one();
    }
}

pub(super) struct TestChip(Arc<Board>);

pub(super) struct TestLine {
    board: Arc<Board>,
    offset: u32,
}

impl Chip for TestChip {
    type Line = TestLine;

    fn open(name: &str) -> Result<TestChip, Fault> {
        let chips = CHIPS.lock();
        chips.get(name).cloned().map(TestChip).ok_or_else(|| Fault::chip(format!("no such chip `{name}`")))
    }

    fn device(&self) -> String {
        "gpiochip7".to_owned()
    }

    fn list(&self) -> Result<Vec<Info>, Fault> {
        let names = ["", "PUMP", "DOOR", ""];
        let info = |(offset, name): (u32, &&str)| Info { offset, name: (*name).to_owned(), ..Info::default() };
        Ok((0..).zip(&names).map(info).collect())
    }

    fn request(&self, offset: u32, wiring: &Wiring) -> Result<TestLine, Fault> {
        let mut state = self.0.state.lock();
        state.requests.push((offset, wiring.clone()));
        if let Some(fault) = state.faults.get(&offset) {
            return Err(fault.clone());
        }
        assert!(!std::mem::replace(&mut state.held[offset as usize], true), "line {offset} is taken twice");
        state.numbers[offset as usize] = 0;
        if let Some(level) = wiring.on_start {
            state.levels[offset as usize] = level;
        }
        Ok(TestLine { board: Arc::clone(&self.0), offset })
    }

    async fn ready(&self) -> Result<Vec<u32>, Fault> {
        loop {
            let waiting = |state: &State| -> Vec<u32> {
                (0..).zip(&state.edges).filter(|(_, edges)| !edges.is_empty()).map(|(line, _)| line).collect()
            };
            let lines = waiting(&self.0.state.lock());
            if !lines.is_empty() {
                return Ok(lines);
            }
            self.0.news.notified().await;
        }
    }
}

impl Line for TestLine {
    fn level(&self) -> Result<bool, Fault> {
        let state = self.board.state.lock();
        state.faults.get(&self.offset).map_or(Ok(state.levels[self.offset as usize]), |fault| Err(fault.clone()))
    }

    fn set(&self, level: bool) -> Result<(), Fault> {
        let mut state = self.board.state.lock();
        if let Some(fault) = state.faults.get(&self.offset) {
            return Err(fault.clone());
        }
        // Line 3 is held low by another device.
        state.levels[self.offset as usize] = level && self.offset != 3;
        Ok(())
    }

    fn edges(&self, out: &mut Vec<Edge>) -> Result<(), Fault> {
        let mut state = self.board.state.lock();
        out.append(&mut state.edges[self.offset as usize]);
        Ok(())
    }
}

impl Drop for TestLine {
    fn drop(&mut self) {
        self.board.state.lock().held[self.offset as usize] = false;
    }
}
