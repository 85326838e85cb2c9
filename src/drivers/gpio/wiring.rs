//! Wiring of a line: the wishes of all of its tags as one. Pure.

use std::time::Duration;

use super::settings::{Active, Bias, Count, Drive, GpioPoint};
use crate::drivers::driver::PointOf;

/// How a line is requested.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wiring {
    pub is_output: bool,
    /// Only looked at: its direction stays, and no edges come.
    pub is_as_is: bool,
    pub active: Active,
    pub bias: Bias,
    pub drive: Drive,
    pub debounce: Duration,
    pub on_start: Option<bool>,
    /// Edges are counted.
    pub counts: bool,
    /// Edges that are reported. Of a line that is only counted, the kernel reports the wanted kind alone: then it need not read the
    /// level at each edge, and short pulses count.
    pub edges: Edges,
}

/// Kinds of edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Edges {
    pub rising: bool,
    pub falling: bool,
}

impl Edges {
    fn of(count: Option<Count>) -> Edges {
        Edges { rising: count != Some(Count::Falling), falling: count != Some(Count::Rising) }
    }

    pub(super) fn both() -> Edges {
        Edges::of(None)
    }
}

impl Wiring {
    pub(super) fn of(point: PointOf<'_, GpioPoint>) -> Wiring {
        let keys = point.keys;
        Wiring {
            is_output: point.write,
            is_as_is: false,
            active: keys.active.unwrap_or_default(),
            bias: keys.bias.unwrap_or_default(),
            drive: keys.drive.unwrap_or_default(),
            debounce: keys.debounce(),
            on_start: keys.on_start,
            counts: keys.count.is_some(),
            edges: if point.write { Edges::default() } else { Edges::of(keys.count) },
        }
    }

    /// Whether edges come.
    pub(super) fn has_edges(&self) -> bool {
        self.edges != Edges::default()
    }

    /// One wiring for two tags of a line; else the key that differs.
    pub(super) fn merged(&self, other: &Wiring) -> Result<Wiring, &'static str> {
        let outputs = [self, other].map(|one| Some(one).filter(|one| one.is_output));
        if self.active != other.active {
            return Err("active");
        }
        if self.bias != other.bias {
            return Err("bias");
        }
        if self.debounce != other.debounce {
            return Err("debounce");
        }
        let is_output = self.is_output || other.is_output;
        if is_output && (self.counts || other.counts) {
            return Err("write");
        }
        if let [Some(first), Some(second)] = outputs {
            if first.drive != second.drive {
                return Err("drive");
            }
            if first.on_start != second.on_start {
                return Err("on_start");
            }
        }
        let [first, second] = outputs;
        let output = first.or(second).unwrap_or(self);
        let edges = match is_output {
            true => Edges::default(),
            false => Edges {
                rising: self.edges.rising || other.edges.rising,
                falling: self.edges.falling || other.edges.falling,
            },
        };
        Ok(Wiring { is_output, counts: self.counts || other.counts, edges, ..output.clone() })
    }
}
