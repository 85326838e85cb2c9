//! `types.flags`: option sets, which are unsigned integers whose bits have names.

use super::Compiler;
use super::scope::Scope;
use crate::config::docs::{did_you_mean, list};
use crate::config::source::{Ix, Kind};
use crate::model::{DataType, FlagsIx, FlagsType, Text};
use crate::value::{BuiltIn, Value};

/// Integers that an option set may be, with their bits.
const BASES: [(&str, BuiltIn, u8); 4] = [
    ("Byte", BuiltIn::Byte, 8),
    ("UInt16", BuiltIn::UInt16, 16),
    ("UInt32", BuiltIn::UInt32, 32),
    ("UInt64", BuiltIn::UInt64, 64),
];

/// An option set in the making.
#[derive(Default)]
struct Draft {
    bits: Vec<(u8, Text)>,
    /// The highest bit, and its place in the file.
    highest: Option<(u8, Ix)>,
    base: Option<(BuiltIn, u8)>,
}

impl Compiler<'_> {
    pub(super) fn flags(&mut self, mapping: Ix, scope: &mut Scope) {
        if !self.expect_mapping(mapping, "flags") {
            return;
        }
        let entries: Vec<_> = self.source.entries(mapping).collect();
        for (key, value) in entries {
            let name = self.source.text(key).to_owned();
            if self.is_new_type(key, &name, scope) {
                let made = self.option_set(&name, value, scope);
                scope.data.insert(name, made);
            }
        }
    }

    fn option_set(&mut self, name: &str, at: Ix, scope: &Scope) -> Option<DataType> {
        if !self.expect_mapping(at, name) {
            return None;
        }
        let mark = self.findings.len();
        let mut draft = Draft::default();
        let entries: Vec<_> = self.source.entries(at).collect();
        for (key, value) in entries {
            match self.source.text(key) {
                "base" => draft.base = self.base(value),
                _ => self.bit(key, value, &mut draft),
            }
        }
        if draft.bits.is_empty() && !self.findings.has_errors_since(mark) {
            let finding = self.findings.error(&self.source, at, "an option set needs bits");
            finding.help("write `{ 0: Overheat, 3: Door }`");
        }
        if let (Some((base, size)), Some((highest, key))) = (draft.base, draft.highest)
            && highest >= size
        {
            let message = format!("bit {highest} is not in a {base:?}");
            let finding = self.findings.error(&self.source, key, message);
            finding.help(format!("a {base:?} has the bits 0 to {}: write a wider `base`", size - 1));
        }
        if self.findings.has_errors_since(mark) {
            return None;
        }
        let (highest, _) = draft.highest?;
        let least = BASES.iter().find(|(_, _, size)| highest < *size).map(|(_, base, _)| *base);
        let base = draft.base.map(|(base, _)| base).or(least)?;
        draft.bits.sort_by_key(|(bit, _)| *bit);
        let cell = &mut self.plant.cells[usize::from(scope.index)];
        cell.flags.push(FlagsType { name: name.into(), base, bits: draft.bits });
        let ix = u32::try_from(cell.flags.len() - 1).ok().map(FlagsIx)?;
        Some(DataType::Flags(ix, base))
    }

    fn base(&mut self, at: Ix) -> Option<(BuiltIn, u8)> {
        let text = self.source.text(at).to_owned();
        let found = BASES.iter().find(|(name, ..)| *name == text);
        if found.is_none() && self.source.kind(at) != Kind::Bad {
            let mut help = did_you_mean(&text, BASES.iter().map(|(name, ..)| *name));
            if help.is_empty() {
                help = "write Byte, UInt16, UInt32 or UInt64".to_owned();
            }
            self.findings.error(&self.source, at, format!("`{text}` cannot be the base of an option set")).help(help);
        }
        found.map(|(_, base, size)| (*base, *size))
    }

    fn bit(&mut self, key: Ix, value: Ix, draft: &mut Draft) {
        let shown = self.source.text(key).to_owned();
        let Some(bit) = shown.parse::<u8>().ok().filter(|bit| *bit < 64) else {
            let finding = self.findings.error(&self.source, key, format!("`{shown}` is not a bit"));
            finding.help("write a whole number from 0 to 63: `{ 0: Overheat, 3: Door }`");
            return;
        };
        if draft.bits.iter().any(|(known, _)| *known == bit) {
            self.findings.error(&self.source, key, format!("bit {bit} is defined twice"));
        }
        if draft.highest.is_none_or(|(highest, _)| highest < bit) {
            draft.highest = Some((bit, key));
        }
        if let Some(text) = self.texts(value) {
            if draft.bits.iter().any(|(_, known)| known.0.first() == text.0.first()) {
                let shown = text.0.first().map_or("", |(_, text)| text);
                let message = format!("`{shown}` is used twice");
                self.findings.error(&self.source, value, message).help("give each bit its own text");
            }
            draft.bits.push((bit, *text));
        } else if self.source.kind(value) == Kind::Null {
            self.findings.error(&self.source, value, format!("bit {bit} has no text")).help("expected text");
        }
    }

    /// A number, the name of a bit, or a list of names.
    pub(super) fn flags_value(&mut self, at: Ix, ix: FlagsIx, base: BuiltIn, scope: &Scope) -> Option<Value> {
        if self.source.is_scalar(at)
            && let Ok(number) = self.source.text(at).parse::<i128>()
        {
            let value = Value::from_integer(base, number);
            if value.is_none() {
                let message = format!("expected {}, found `{number}`", super::value::words(base));
                self.findings.error(&self.source, at, message);
            }
            return value;
        }
        let names: Vec<Ix> = match self.source.kind(at) {
            Kind::Sequence => self.source.children(at).collect(),
            Kind::Bad => return None,
            _ => vec![at],
        };
        let bits = self.plant.cells[usize::from(scope.index)].flags[ix.0 as usize].bits.clone();
        let mut number = 0_u64;
        for name in names {
            let text = self.source.text(name).to_owned();
            let all = || bits.iter().filter_map(|(_, text)| text.0.first()).map(|(_, text)| text.as_str());
            match bits.iter().find(|(_, known)| known.0.iter().any(|(_, known)| *known == text)) {
                Some((bit, _)) => number |= 1 << bit,
                None => {
                    let mut help = did_you_mean(&text, all());
                    if help.is_empty() {
                        help = format!("write a number, or names of bits: {}", list(all(), 12));
                    }
                    let message = format!("`{text}` is not a bit of this option set");
                    self.findings.error(&self.source, name, message).help(help);
                    return None;
                }
            }
        }
        Value::from_integer(base, number.into())
    }
}
