//! Values that a file gives: constants, start values and outputs at stop.

use super::Compiler;
use super::scope::Scope;
use crate::config::de::boolean_help;
use crate::config::docs::{did_you_mean, list};
use crate::config::source::{Ix, Kind};
use crate::model::{DataType, Shape, StructIx};
use crate::value::{Array, BuiltIn, Elements, Struct, UaTime, Value};

impl Compiler<'_> {
    /// The value at `at` if it fits the shape, or findings.
    pub(super) fn value(&mut self, at: Ix, shape: &Shape, scope: &Scope) -> Option<Value> {
        if shape.is_scalar() {
            return self.scalar(at, shape, scope);
        }
        let mut leaves = Vec::new();
        self.leaves(at, &shape.dimensions, &mut leaves)?;
        let values: Vec<Value> = leaves.into_iter().filter_map(|leaf| self.scalar(leaf, shape, scope)).collect();
        if values.len() != shape.element_count() {
            return None;
        }
        let elements = Elements::collect(shape.data_type.wire(), values.into_iter())?;
        let dimensions = if shape.dimensions.len() > 1 { shape.dimensions.clone() } else { Vec::new() };
        Some(Value::Array(Array { elements, dimensions }.into()))
    }

    fn leaves(&mut self, at: Ix, dimensions: &[u32], leaves: &mut Vec<Ix>) -> Option<()> {
        let Some((size, inner)) = dimensions.split_first() else {
            leaves.push(at);
            return Some(());
        };
        if self.source.kind(at) != Kind::Sequence {
            let message = format!("expected a list of {size} values");
            self.findings.error(&self.source, at, message).help("write `[a, b, …]`");
            return None;
        }
        let children: Vec<Ix> = self.source.children(at).collect();
        if children.len() != *size as usize {
            let message = format!("expected {size} values, found {}", children.len());
            self.findings.error(&self.source, at, message);
            return None;
        }
        children.into_iter().try_for_each(|child| self.leaves(child, inner, leaves))
    }

    fn scalar(&mut self, at: Ix, shape: &Shape, scope: &Scope) -> Option<Value> {
        match shape.data_type {
            DataType::Struct(ix) => return self.structure_value(at, ix, scope),
            DataType::Flags(ix, base) => return self.flags_value(at, ix, base, scope),
            DataType::BuiltIn(_) | DataType::Enum(_) => {}
        }
        if !self.source.is_scalar(at) {
            if self.source.kind(at) != Kind::Bad {
                let message = format!("expected {}", words(shape.data_type.wire()));
                self.findings.error(&self.source, at, message);
            }
            return None;
        }
        if let DataType::Enum(ix) = shape.data_type {
            let values = &self.plant.cells[usize::from(scope.index)].enums[ix.0 as usize].values;
            let text = self.source.text(at);
            let names = || values.iter().filter_map(|(_, text)| text.0.first()).map(|(_, text)| text.as_str());
            let found = values
                .iter()
                .find(|(number, name)| name.0.iter().any(|(_, name)| name == text) || text.parse() == Ok(*number));
            if let Some((number, _)) = found {
                return Some(Value::Int32(*number));
            }
            let mut help = did_you_mean(text, names());
            if help.is_empty() {
                help = format!("known are {}", list(names(), 12));
            }
            let message = format!("`{text}` is not a value of this enumeration");
            self.findings.error(&self.source, at, message).help(help);
            return None;
        }
        let kind = shape.data_type.wire();
        let text = self.source.text(at);
        let is_quoted_number = self.source.kind(at) == Kind::Quoted && kind.is_number();
        let value = if is_quoted_number { None } else { read(kind, text) };
        let Some(value) = value else {
            let help = match kind {
                _ if is_quoted_number && text.parse::<f64>().is_ok() => "remove the quotes",
                BuiltIn::Boolean => boolean_help(text),
                BuiltIn::DateTime => "write 2026-01-31T12:00:00Z",
                BuiltIn::ByteString => "write hexadecimal digits, such as 00ff10",
                _ if text.contains(',') => "write a dot",
                _ => "",
            };
            let message = format!("expected {}, found `{text}`", words(kind));
            self.findings.error(&self.source, at, message).help(help);
            return None;
        };
        self.check_length(at, &value, shape.length);
        self.check_range(at, &value, shape.range);
        Some(value)
    }

    /// The value of a structure: a mapping with each of its fields.
    fn structure_value(&mut self, at: Ix, ix: StructIx, scope: &Scope) -> Option<Value> {
        let of = self.plant.cells[usize::from(scope.index)].structure(ix).clone();
        if self.source.kind(at) != Kind::Mapping {
            if self.source.kind(at) != Kind::Bad {
                let message = format!("expected a mapping with the fields of `{}`", of.kind.name);
                let names: Vec<&str> = of.kind.fields.iter().map(|field| &*field.name).collect();
                let help = format!("write `{{ {}: … }}`", names.first().unwrap_or(&""));
                self.findings.error(&self.source, at, message).help(help);
            }
            return None;
        }
        let entries: Vec<_> = self.source.entries(at).collect();
        let mark = self.findings.len();
        for (key, _) in &entries {
            let name = self.source.text(*key).to_owned();
            let known = || of.kind.fields.iter().map(|field| &*field.name);
            if !known().any(|field| field == name) {
                let mut help = did_you_mean(&name, known());
                if help.is_empty() {
                    help = format!("known are {}", list(known(), 12));
                }
                let message = format!("`{}` has no field `{name}`", of.kind.name);
                self.findings.error(&self.source, *key, message).help(help);
            }
        }
        let has_unknown = self.findings.has_errors_since(mark);
        let mut values = Vec::new();
        for (field, rules) in of.kind.fields.iter().zip(&of.fields) {
            let value = entries.iter().find(|(key, _)| self.source.text(*key) == &*field.name);
            match value {
                Some((_, value)) => values.extend(self.value(*value, &rules.shape, scope)),
                None if has_unknown => {}
                None => {
                    let message = format!("field `{}` of `{}` has no value", field.name, of.kind.name);
                    let key = self.source.key_of(at).unwrap_or(at);
                    self.findings.error(&self.source, key, message).help(format!("add `{}: …`", field.name));
                }
            }
        }
        let is_whole = values.len() == of.fields.len() && !self.findings.has_errors_since(mark);
        is_whole.then(|| Value::Struct(Struct::new(of.kind, values).into()))
    }

    fn check_length(&mut self, at: Ix, value: &Value, length: Option<u32>) {
        let bytes = match value {
            Value::String(text) => text.len(),
            Value::ByteString(bytes) => bytes.len(),
            _ => return,
        };
        if let Some(most) = length.filter(|most| bytes > *most as usize) {
            let message = format!("this text has {bytes} bytes, but `length` is {most}");
            self.findings.error(&self.source, at, message).help("write a shorter text, or a larger `length`");
        }
    }

    fn check_range(&mut self, at: Ix, value: &Value, range: Option<(f64, f64)>) {
        let (Some(number), Some((low, high))) = (value.as_f64(), range) else { return };
        if number < low || number > high {
            let message = format!("`{number}` is outside `range` {low}..{high}");
            self.findings.error(&self.source, at, message).help("change the value or the `range`");
        }
    }
}

pub(super) fn words(kind: BuiltIn) -> String {
    match kind {
        BuiltIn::Boolean => "true or false".into(),
        BuiltIn::String => "text".into(),
        kind if kind.is_integer() => format!("a whole number that fits {kind:?}"),
        kind if kind.is_number() => "a number".into(),
        kind => format!("a {kind:?}"),
    }
}

fn read(kind: BuiltIn, text: &str) -> Option<Value> {
    match kind {
        BuiltIn::Boolean => text.parse().ok().map(Value::Boolean),
        BuiltIn::String => Some(Value::text(text)),
        BuiltIn::DateTime => date_time(text).map(Value::DateTime),
        BuiltIn::ByteString => hex(text).map(|bytes| Value::ByteString(bytes.into())),
        kind if kind.is_integer() => text.parse().ok().and_then(|number| Value::from_integer(kind, number)),
        kind => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
            Value::from_f64(kind, number).filter(|value| value.as_f64().is_some_and(f64::is_finite))
        }
    }
}

fn date_time(text: &str) -> Option<UaTime> {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    let nanos = u64::try_from(time.unix_timestamp_nanos()).ok()?;
    Some(UaTime::from_unix(std::time::Duration::from_nanos(nanos)))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let is_hex = digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    is_hex.then(|| digits.chunks(2).filter_map(byte).collect())
}
