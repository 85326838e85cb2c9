//! `types.structs`: structures, each after those that it holds.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Compiler;
use super::scope::Scope;
use super::tag::{MOST_ELEMENTS, ShapeKeys};
use crate::config::at::At;
use crate::config::de::{Keys, decode_entry};
use crate::config::source::{Ix, Kind};
use crate::config::spec::StructField as FieldSpec;
use crate::model::{DataType, StructField, StructIx, StructType};
use crate::value::{FieldKind, FieldType, MOST_NESTED, StructKind};

/// Fields of one structure, at most.
const MOST_FIELDS: usize = 1_000;
/// Fields of a structure with all fields of structures in it, at most.
const MOST_PARTS: usize = 10_000;
/// A property that every tag of a device has.
const TAKEN: &str = "StatusReason";

/// A field as the file has it.
struct Draft {
    key: Ix,
    name: String,
    spec: FieldSpec,
}

/// A structure as the file has it.
struct Head {
    key: Ix,
    at: Ix,
    name: String,
    fields: Vec<Draft>,
    is_whole: bool,
}

/// How deep and how large a structure is.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    levels: usize,
    values: u64,
    parts: usize,
}

/// Structures on the way to the one that is made.
#[derive(Default)]
struct Making {
    heads: HashMap<String, usize>,
    way: Vec<usize>,
    sizes: HashMap<u32, Size>,
}

impl Compiler<'_> {
    /// All structures of a cell; their places in the file are kept for what a device needs.
    pub(super) fn structs(&mut self, mappings: &[Ix], scope: &mut Scope) {
        let mut heads = Vec::new();
        let mut making = Making::default();
        for mapping in mappings {
            if !self.expect_mapping(*mapping, "structs") {
                continue;
            }
            let entries: Vec<_> = self.source.entries(*mapping).collect();
            for (key, at) in entries {
                let name = self.source.text(key).to_owned();
                if self.is_new_type(key, &name, scope) {
                    if let Some(first) = making.heads.get(&name) {
                        let head: &Head = &heads[*first];
                        let also = self.source.place(head.key);
                        let finding = self.findings.error(&self.source, key, format!("`{name}` is defined twice"));
                        finding.also(also, "first here").help("rename one of them, or delete it");
                        continue;
                    }
                    making.heads.insert(name.clone(), heads.len());
                    heads.push(self.struct_head(key, at, name));
                }
            }
        }
        for at in 0..heads.len() {
            self.structure(&heads, at, &mut making, scope);
        }
    }

    fn struct_head(&mut self, key: Ix, at: Ix, name: String) -> Head {
        let mark = self.findings.len();
        let mut fields: Vec<Draft> = Vec::new();
        if self.expect_mapping(at, &name) {
            let entries: Vec<_> = self.source.entries(at).collect();
            if entries.is_empty() {
                let finding = self.findings.error(&self.source, at, "a structure needs fields");
                finding.help("write `{ Id: UInt32, Target: { type: Float, unit: kg } }`");
            }
            if entries.len() > MOST_FIELDS {
                let message = format!("a structure has at most {MOST_FIELDS} fields");
                self.findings.error(&self.source, at, message);
            }
            for (key, value) in entries.into_iter().take(MOST_FIELDS) {
                let field = self.source.text(key).to_owned();
                self.check_field_name(key, &field, &fields);
                if let Some(spec) = self.field_spec(value) {
                    fields.push(Draft { key, name: field, spec });
                }
            }
        }
        let is_whole = !self.findings.has_errors_since(mark) && self.source.kind(at) == Kind::Mapping;
        Head { key, at, name, fields, is_whole }
    }

    fn field_spec(&mut self, at: Ix) -> Option<FieldSpec> {
        if self.source.is_scalar(at) {
            let data_type = At { ix: at, value: self.source.text(at).to_owned() };
            return Some(FieldSpec::of_type(data_type));
        }
        decode_entry::<FieldSpec>(&mut self.source, at, Keys::OWN, self.findings).0
    }

    /// Client programs make members of the names.
    fn check_field_name(&mut self, key: Ix, name: &str, before: &[Draft]) {
        let mut letters = name.chars();
        let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
        if !begins || !letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            let finding = self.findings.error(&self.source, key, format!("`{name}` is not a name for a field"));
            finding.help("use letters A to Z, digits and `_`, and no digit first: clients make members of the names");
        } else if name.len() > 128 {
            self.findings.error(&self.source, key, "this name is longer than 128 letters").help("write a shorter one");
        } else if name == TAKEN {
            let message = format!("a field cannot have the name `{TAKEN}`");
            let finding = self.findings.error(&self.source, key, message);
            finding.help("rename it: every tag of a device has a property of this name");
        } else if let Some(other) = before.iter().find(|other| other.name.eq_ignore_ascii_case(name)) {
            let also = self.source.place(other.key);
            let message = match other.name == name {
                true => format!("`{name}` is defined twice"),
                false => format!("`{name}` and `{}` differ in case only", other.name),
            };
            let finding = self.findings.error(&self.source, key, message);
            finding.also(also, "this field").help("rename one of them: clients make members of the names");
        }
    }

    /// Makes a structure and first those that it holds; the way to it is on the stack, so that one that holds itself is found.
    fn structure(&mut self, heads: &[Head], at: usize, making: &mut Making, scope: &mut Scope) {
        let head = &heads[at];
        if scope.data.contains_key(&head.name) {
            return;
        }
        making.way.push(at);
        for field in &head.fields {
            let Some(inner) = making.heads.get(&field.spec.data_type.value).copied() else { continue };
            if let Some(from) = making.way.iter().position(|known| *known == inner) {
                let names = making.way[from..].iter().chain([&inner]).map(|at| heads[*at].name.as_str());
                let text = names.collect::<Vec<_>>().join(" -> ");
                let message = format!("structure contains itself: {text}");
                let finding = self.findings.error(&self.source, field.spec.data_type.ix, message);
                finding.help("delete one of these fields");
                scope.data.insert(heads[inner].name.clone(), None);
            } else if making.way.len() > MOST_NESTED {
                let message = format!("more than {MOST_NESTED} structures in each other");
                self.findings.error(&self.source, field.spec.data_type.ix, message);
                scope.data.insert(heads[inner].name.clone(), None);
            } else {
                self.structure(heads, inner, making, scope);
            }
        }
        making.way.pop();
        let made = self.struct_type(head, making, scope);
        // One that was found to contain itself stays without a type.
        let known = scope.data.contains_key(&head.name);
        scope.data.entry(head.name.clone()).or_insert(made.filter(|_| !known));
    }

    fn struct_type(&mut self, head: &Head, making: &mut Making, scope: &Scope) -> Option<DataType> {
        let mark = self.findings.len();
        let (mut kinds, mut rules) = (Vec::new(), Vec::new());
        let mut size = Size { levels: 1, ..Size::default() };
        for field in &head.fields {
            let Some(made) = self.struct_field(field, scope) else { continue };
            let of = match made.shape.data_type {
                DataType::Struct(ix) => {
                    let inner = making.sizes.get(&ix.0).copied().unwrap_or_default();
                    let count = made.shape.element_count() as u64;
                    size.levels = size.levels.max(inner.levels + 1);
                    size.values = size.values.saturating_add(inner.values.saturating_mul(count));
                    size.parts = size.parts.saturating_add(if made.shape.is_scalar() { inner.parts } else { 0 });
                    let cell = &self.plant.cells[usize::from(scope.index)];
                    FieldType::Struct(Arc::clone(&cell.structure(ix).kind))
                }
                kind => {
                    size.values = size.values.saturating_add(made.shape.element_count() as u64);
                    FieldType::BuiltIn(kind.wire())
                }
            };
            size.parts += 1;
            let dimensions = made.shape.dimensions.clone().into();
            kinds.push(FieldKind { name: field.name.as_str().into(), of, dimensions });
            rules.push(made);
        }
        self.check_struct_size(head, size);
        if self.findings.has_errors_since(mark) || !head.is_whole || rules.len() != head.fields.len() {
            return None;
        }
        let kind = Arc::new(StructKind::new(&head.name, kinds));
        let cell = &mut self.plant.cells[usize::from(scope.index)];
        if let Some(other) = cell.structs.iter().find(|other| other.kind.number == kind.number) {
            // Two of 2^30 numbers; another name has another number.
            let message = format!("`{}` gets the same id for its encoding as `{}`", head.name, other.kind.name);
            self.findings.error(&self.source, head.key, message).help("rename one of them");
            return None;
        }
        cell.structs.push(StructType { kind, fields: rules });
        let ix = StructIx(u32::try_from(cell.structs.len() - 1).ok()?);
        making.sizes.insert(ix.0, size);
        self.struct_nodes.insert((scope.index, ix), head.at);
        Some(DataType::Struct(ix))
    }

    fn check_struct_size(&mut self, head: &Head, size: Size) {
        if size.levels > MOST_NESTED {
            let message = format!("more than {MOST_NESTED} structures in each other");
            self.findings.error(&self.source, head.key, message).help("make it flatter");
        }
        if size.values > MOST_ELEMENTS {
            let message = format!("a structure has at most {MOST_ELEMENTS} values with all its arrays");
            self.findings.error(&self.source, head.key, message);
        }
        if size.parts > MOST_PARTS {
            let message = format!("a structure has at most {MOST_PARTS} fields with those of the structures in it");
            self.findings.error(&self.source, head.key, message);
        }
    }

    fn struct_field(&mut self, field: &Draft, scope: &Scope) -> Option<StructField> {
        let spec = &field.spec;
        if spec.data_type.value.is_empty() {
            // It is missing: reported already.
            return None;
        }
        let keys = ShapeKeys {
            array: spec.array,
            length: spec.length.as_ref(),
            range: spec.range.as_ref(),
            scale: spec.scale.as_ref(),
            unit: spec.unit.as_ref(),
            deadband: None,
        };
        let mark = self.findings.len();
        let shape = self.shape(keys, &spec.data_type, scope);
        let range = spec.range.as_ref().map(|range| (range.value.0, range.value.1));
        let scale = spec.scale.as_ref().and_then(|scale| self.scale(scale, range, true));
        if let Some(exponent) = spec.scale.as_ref().and_then(|scale| scale.value.exponent.as_ref()) {
            let finding = self.findings.error(&self.source, exponent.ix, "a field cannot have an `exponent`");
            finding.help("write `factor`, or make a tag of its own for this value");
        }
        if let Some(array) = spec.array.filter(|_| shape.as_ref().is_some_and(|shape| shape.dimensions.len() > 1)) {
            let message = "only clients of OPC UA 1.05 read an array of several dimensions inside a structure";
            let finding = self.findings.warning(&self.source, array.0, message);
            finding.help("others read the field's own variable; or write one dimension");
        }
        let description = spec.description.and_then(|raw| self.texts(raw.0));
        if self.findings.has_errors_since(mark) {
            return None;
        }
        Some(StructField { description, shape: shape?, scale })
    }

    /// Each encoding of a structure has a number that no node of the cell may have.
    pub(super) fn check_encodings(&mut self, scope: &Scope) {
        let numbers: BTreeSet<u32> =
            self.plant.cells[usize::from(scope.index)].structs.iter().map(|of| of.kind.number).collect();
        let mut taken: Vec<Ix> = scope
            .pinned
            .iter()
            .filter(|(id, _)| matches!(id, crate::model::NodeName::Numeric(number) if numbers.contains(number)))
            .map(|(_, at)| *at)
            .collect();
        taken.sort_by_key(|at| at.0);
        for at in taken {
            let finding = self.findings.error(&self.source, at, "this id is that of the encoding of a structure");
            finding.help("write another number; those below 1073741824 are free");
        }
    }
}
