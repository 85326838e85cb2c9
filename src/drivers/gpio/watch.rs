//! State of one line, from its edges and from reading its level. Pure.
//!
//! The kernel numbers the edges of a line, so lost ones are known by their count. Edges alternate, so the kind of a lost one is known.

use super::kernel::Edge;
use super::settings::Count;
use super::wiring::Edges;
use crate::value::UaTime;

/// A change of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub level: bool,
    /// `None`: the moment at which it was read.
    pub time: Option<UaTime>,
    /// Edges since the last change that was reported, with those that were lost.
    pub rising: u64,
    pub falling: u64,
    /// Some edges before this one were lost.
    pub has_gap: bool,
}

/// The state of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Watch {
    /// Kinds of edges that come.
    edges: Edges,
    level: Option<bool>,
    /// Number of the last edge.
    last: u32,
    time: Option<UaTime>,
    /// The level that was read differs from that of the edges; the edge may be on its way.
    is_in_doubt: bool,
}

impl Watch {
    pub(super) fn new(edges: Edges) -> Watch {
        Watch { edges, ..Watch::default() }
    }

    pub(super) fn level(&self) -> Option<bool> {
        self.level
    }

    /// Time of the last edge.
    pub(super) fn time(&self) -> Option<UaTime> {
        self.time
    }

    pub(super) fn is_in_doubt(&self) -> bool {
        self.is_in_doubt
    }

    /// Nothing is known about the level any more; edges are counted on.
    pub(super) fn forget(&mut self) {
        (self.level, self.is_in_doubt) = (None, false);
    }

    /// Takes an edge.
    pub(super) fn edge(&mut self, edge: Edge) -> Seen {
        let lost = u64::from(edge.number.wrapping_sub(self.last).wrapping_sub(1));
        self.last = edge.number;
        let (rising, falling) = match (self.edges.rising, self.edges.falling) {
            (true, false) => (lost + 1, 0),
            (false, true) => (0, lost + 1),
            _ => self.between(edge.is_rising, lost),
        };
        self.level = Some(edge.is_rising);
        self.is_in_doubt = false;
        let time = self.in_order(edge.time);
        Seen { level: edge.is_rising, time: Some(time), rising, falling, has_gap: rising + falling > 1 }
    }

    /// Edges since the last one, with this one: they alternate.
    fn between(&self, is_rising: bool, lost: u64) -> (u64, u64) {
        let before = self.level.unwrap_or(lost.is_multiple_of(2) != is_rising);
        // The kernel reads the level after an edge. Where it is the same as before, a pulse was shorter than that.
        let after_lost = before == lost.is_multiple_of(2);
        let all = lost + 1 + u64::from(after_lost == is_rising);
        let (most, least) = (all.div_ceil(2), all / 2);
        if before { (least, most) } else { (most, least) }
    }

    /// The wall clock may be set a little back; the order of edges remains.
    fn in_order(&mut self, time: UaTime) -> UaTime {
        let time = match self.time {
            Some(last) if last.0 > time.0 && last.0 - time.0 <= SET_BACK => last,
            _ => time,
        };
        self.time = Some(time);
        time
    }

    /// Takes a level that was read while no edge was waiting. A difference counts when it is there twice.
    pub(super) fn read(&mut self, level: bool) -> Option<Seen> {
        let has_edges = self.edges != Edges::default();
        // Edges of one kind say nothing about the level, and only they count.
        if has_edges && self.edges != Edges::both() && self.level.is_some() {
            return None;
        }
        let seen = |has_gap, count: u64| Seen {
            level,
            time: None,
            rising: if level { count } else { 0 },
            falling: if level { 0 } else { count },
            has_gap,
        };
        match self.level {
            None => {
                self.level = Some(level);
                Some(seen(false, 0))
            }
            Some(known) if known == level => {
                self.is_in_doubt = false;
                None
            }
            Some(_) if !has_edges => {
                self.level = Some(level);
                Some(seen(false, 0))
            }
            Some(_) if !self.is_in_doubt => {
                self.is_in_doubt = true;
                None
            }
            Some(_) => {
                (self.level, self.is_in_doubt) = (Some(level), false);
                // An edge without a number: the kernel saw none.
                Some(seen(true, 1))
            }
        }
    }
}

/// A clock that was set back by more than this, in ticks of 100 ns, is followed (1 s).
const SET_BACK: i64 = 10_000_000;

impl Seen {
    /// Edges of this kind.
    pub(super) fn count(&self, kind: Count) -> u64 {
        match kind {
            Count::Rising => self.rising,
            Count::Falling => self.falling,
            Count::Both => self.rising + self.falling,
        }
    }
}
