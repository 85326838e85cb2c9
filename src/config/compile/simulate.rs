//! Signals that replace devices under `--simulate`, for tags that name none.

use super::Compiler;
use super::scope::Scope;
use crate::config::spec::NodeSpec;
use crate::drivers::simulator::Simulator;
use crate::model::{ConnectionIx, DataType, NodeIx, Origin, Shape};
use crate::value::{BuiltIn, Value};

impl Compiler<'_> {
    /// The value under `--simulate` of a type that no signal makes.
    pub(super) fn still_value(&self, shape: &Shape, spec: &NodeSpec, scope: &Scope) -> Option<Value> {
        let kinds = [BuiltIn::DateTime, BuiltIn::ByteString, BuiltIn::ExtensionObject];
        let wanted = self.options.simulate && spec.simulate.is_none() && kinds.contains(&shape.data_type.wire());
        wanted.then(|| self.blank_value(shape, scope))
    }

    /// The connection is a simulator also without `--simulate`: its addresses are signals of raw values.
    pub(super) fn has_own_signal(&self, connection: usize) -> bool {
        self.real_settings[connection].get::<Simulator>().is_some()
    }

    /// Whether the tag's scale is not applied: a signal under `--simulate` is in the tag's unit already.
    pub(super) fn is_unscaled(&self, spec: &NodeSpec, origin: &Origin) -> bool {
        let made_up = |at: ConnectionIx| spec.simulate.is_some() || !self.has_own_signal(at.0 as usize);
        matches!(origin, Origin::Device { connection, .. } if self.options.simulate && made_up(*connection))
    }

    /// A signal that stays in the range and fits the type. Its phase follows from the tag's name, so that tags do not
    /// move in step.
    pub(super) fn signal_for(&self, shape: &Shape, scope: &Scope, node: NodeIx) -> String {
        let cell = &self.plant.cells[usize::from(scope.index)];
        let phase = phase_of(&cell.path(node));
        if let DataType::Enum(ix) = shape.data_type {
            let numbers: Vec<_> =
                cell.enums[ix.0 as usize].values.iter().map(|(number, _)| number.to_string()).collect();
            return format!("steps([{}], every=5s, phase={phase})", numbers.join(", "));
        }
        match (shape.data_type.wire(), shape.range) {
            (BuiltIn::Boolean, _) => format!("square(low=0, high=1, period=10s, phase={phase})"),
            (BuiltIn::String, _) => format!("text([a, b, c], every=5s, phase={phase})"),
            (kind, Some((low, high))) if kind.is_number() => {
                let (mean, amp) = (f64::midpoint(low, high), high / 2.0 - low / 2.0);
                format!("sine(mean={mean}, amp={amp}, period=1min, phase={phase})")
            }
            (kind, None) if kind.is_integer() => {
                format!("counter(start={}, step=1, every=1s, wrap=100)", phase % 100)
            }
            _ => format!("sine(mean=0, amp=1, period=1min, phase={phase})"),
        }
    }
}

/// Degrees that follow from a name alone: FNV-1a, and its high bits mixed into the low ones.
fn phase_of(name: &str) -> u64 {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    ((hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) % 360
}
