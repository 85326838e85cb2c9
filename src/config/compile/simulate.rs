//! The signal that stands in for a device under `--simulate`, when a tag names none.

use super::Compiler;
use super::cell::Scope;
use crate::config::spec::NodeSpec;
use crate::model::{DataType, Shape};
use crate::value::{BuiltIn, UaTime, Value};

impl Compiler<'_> {
    /// Under `--simulate`, what stands in for a type that no signal makes.
    pub(super) fn still_value(&self, shape: &Shape, spec: &NodeSpec) -> Option<Value> {
        let initial = match shape.data_type.wire() {
            BuiltIn::DateTime => Value::DateTime(UaTime::NULL),
            BuiltIn::ByteString => Value::ByteString([].into()),
            _ => return None,
        };
        let wanted = self.options.simulate && spec.simulate.is_none();
        wanted.then(|| {
            if shape.is_scalar() {
                return initial.clone();
            }
            let all = vec![initial.clone(); shape.element_count()];
            super::value::elements(shape.data_type.wire(), &all).map_or(Value::Null, Value::array)
        })
    }

    /// A signal that stays in the range and fits the type.
    pub(super) fn signal_for(&self, shape: &Shape, scope: &Scope) -> String {
        if let DataType::Enum(ix) = shape.data_type {
            let values = &self.plant.cells[usize::from(scope.index)].enums[ix.0 as usize].values;
            let numbers: Vec<_> = values.iter().map(|(number, _)| number.to_string()).collect();
            return format!("steps([{}], every=5s)", numbers.join(", "));
        }
        match (shape.data_type.wire(), shape.range) {
            (BuiltIn::Boolean, _) => "square(low=0, high=1, period=10s)".into(),
            (BuiltIn::String, _) => "text([a, b, c], every=5s)".into(),
            (kind, Some((low, high))) if kind.is_number() => {
                format!("sine(mean={}, amp={}, period=1min)", (low + high) / 2.0, (high - low) / 2.0)
            }
            (kind, None) if kind.is_integer() => "counter(start=0, step=1, every=1s, wrap=100)".into(),
            _ => "sine(mean=0, amp=1, period=1min)".into(),
        }
    }
}
