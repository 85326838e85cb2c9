//! Rules over several tags of one connection: registers that two tags cut differently, and entries of the connection's
//! `invalid` that no tag can have.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Compiler;
use super::scope::Scope;
use crate::config::at::At;
use crate::config::source::Ix;
use crate::config::spec::{NodeSpec, SourceSpec};
use crate::drivers::{Claim, Enumeration, Reading};
use crate::model::{DataType, Shape, Text};
use crate::value::BuiltIn;

/// Registers and sentinels of the tags of one connection.
#[derive(Debug, Default)]
pub(super) struct Registers {
    /// With the place of the address.
    claims: Vec<(Claim, Ix)>,
    /// Entries of the connection's `invalid` that some tag can have.
    invalid: HashSet<usize>,
    has_points: bool,
}

impl Registers {
    pub(crate) fn add(&mut self, reading: &Reading, at: Ix) {
        self.has_points = true;
        self.claims.extend(reading.claims.iter().map(|claim| (*claim, at)));
        self.invalid.extend(reading.invalid.iter().copied());
    }
}

impl Compiler<'_> {
    /// To be called when all tags are known.
    pub(super) fn check_registers(&mut self) {
        for (connection, mut registers) in std::mem::take(&mut self.registers) {
            self.check_overlaps(&mut registers.claims);
            if registers.has_points {
                self.check_invalid(connection, &registers.invalid);
            }
        }
    }

    /// The interval of `write_every`, if it is right.
    pub(super) fn write_every(&mut self, common: Option<&SourceSpec>, write: bool) -> Option<Duration> {
        let every = common?.write_every.as_ref()?;
        if !write {
            let finding = self.findings.error(&self.source, every.ix, "`write_every` needs `write: true`");
            finding.help("add `write: true`, or delete it");
            return None;
        }
        let range = Duration::from_secs(1)..=Duration::from_secs(3_600);
        if !range.contains(&every.value.0) {
            let shown = self.source.shown(every.ix).to_owned();
            self.findings.error(&self.source, every.ix, format!("{shown} is out of range 1s..1h"));
            return None;
        }
        Some(every.value.0)
    }

    pub(super) fn enumeration_of(&mut self, shape: &Shape, scope: &Scope) -> Option<Arc<Enumeration>> {
        let DataType::Enum(ix) = shape.data_type else { return None };
        let values = &self.plant.cells[usize::from(scope.index)].enums[ix.0 as usize].values;
        let of_value = |(number, text): &(i32, Text)| {
            let number = *number;
            text.0.iter().map(move |(_, text)| (number, text.clone())).collect::<Vec<_>>()
        };
        let made = || Arc::new(Enumeration { values: values.iter().flat_map(of_value).collect() });
        Some(Arc::clone(self.enumerations.entry((scope.index, ix)).or_insert_with(made)))
    }

    /// Whole numbers that the tag's type or its scale cannot carry to the last digit.
    pub(super) fn check_digits(&mut self, reading: &Reading, address: Ix, spec: &NodeSpec, shape: &Shape) {
        let holds = match shape.data_type.wire() {
            BuiltIn::Float => 24,
            BuiltIn::Double => 53,
            _ => 64,
        };
        let kind = shape.data_type.wire();
        let factor = spec.scale.as_ref().and_then(|scale| scale.value.factor.as_ref());
        if let Some(factor) = factor.filter(|factor| factor.value.fract() != 0.0 && kind.is_integer()) {
            let message =
                format!("{kind:?} holds whole numbers only: with a factor of {} each value is rounded", factor.value);
            self.findings.warning(&self.source, factor.ix, message).help("make the tag a Float or Double");
        }
        let is_whole = |number: &Option<At<f64>>| number.as_ref().is_none_or(|number| number.value.fract() == 0.0);
        if let Some(scale) = &spec.scale {
            let is_exact = scale.value.raw.is_none() && is_whole(&scale.value.factor) && is_whole(&scale.value.offset);
            if reading.integer_bits > 53 && (!is_exact || holds < 64) {
                let message = "`scale` calculates with a Double: above 2^53 the last digits of a 64-bit value are lost";
                let finding = self.findings.warning(&self.source, scale.ix, message);
                finding.help("make the tag an Int64 or UInt64 with a whole `factor` and `offset`, or delete `scale`");
            }
        } else if reading.integer_bits > holds {
            let kind = if holds == 24 { "Float" } else { "Double" };
            let message =
                format!("a {kind} holds whole numbers up to 2^{holds} only; the tag is Bad for a larger value");
            let wide = if reading.integer_bits > 53 { "an Int64 or UInt64" } else { "a Double" };
            let finding = self.findings.warning(&self.source, address, message);
            finding.help(format!("make the tag {wide}"));
        }
    }

    fn check_overlaps(&mut self, claims: &mut [(Claim, Ix)]) {
        claims.sort_by_key(|(claim, at)| (*claim, at.0));
        let mut before: Option<(Claim, Ix)> = None;
        for (claim, at) in claims.iter() {
            let other = before.filter(|(other, place)| place != at && claim.contradicts(other));
            if let Some((other, place)) = other {
                let (message, help) = claim.contradiction(&other);
                let also = self.source.place(place);
                self.findings.warning(&self.source, *at, message).also(also, "this one").help(help);
            }
            let reaches_further =
                before.is_none_or(|(other, _)| other.space != claim.space || other.end() < claim.end());
            if reaches_further && !claim.is_part {
                before = Some((*claim, *at));
            }
        }
    }

    fn check_invalid(&mut self, connection: Ix, fitting: &HashSet<usize>) {
        let Some(list) = self.source.get(connection, "invalid") else { return };
        let entries: Vec<Ix> = self.source.children(list).collect();
        for (_, entry) in (0..).zip(entries).filter(|(at, _)| !fitting.contains(at)) {
            let message = format!("`{}` fits no tag of this connection", self.source.shown(entry));
            let finding = self.findings.warning(&self.source, entry, message);
            finding.help("write a value that fits the `raw_type` of a tag: -9999.9 fits float32, 0x8000 fits int16");
        }
    }
}
