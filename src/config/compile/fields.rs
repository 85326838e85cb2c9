//! Structures on devices: each field with its keys goes to the driver, which says where it lies.

use std::sync::Arc;

use super::Compiler;
use super::scope::{ConnectionRef, Scope};
use super::wanted::Wanted;
use crate::config::driver;
use crate::config::source::{Ix, Kind};
use crate::config::spec::NodeSpec;
use crate::drivers::{
    Content, Field, Layout, Part, PlaceError, PointError, PointPlan, PointSettings, Settings, StructPlan,
    Wanted as Placing,
};
use crate::model::{DataType, Origin, Shape, StructField, StructIx, Tag, TagId};
use crate::value::{BuiltIn, Elements, Struct, UaTime, Value};

/// Keys of a field that its driver reads as those of a source.
const OF_SOURCE: [&str; 3] = ["raw_type", "word_order", "swap_bytes"];
/// Values that a structure on a device has, at most.
const MOST_VALUES: usize = 10_000;

/// A structure tag on its way to a driver.
pub(super) struct OnDevice<'a> {
    pub point: &'a PointPlan,
    pub shape: &'a Shape,
    pub link: ConnectionRef,
    pub real: &'a Settings,
    pub wanted: &'a Wanted,
    pub spec: &'a NodeSpec,
}

/// The fields of a tag's structure, by the numbers that their findings have.
#[derive(Default)]
struct Fields {
    places: Vec<Ix>,
    values: usize,
}

impl Compiler<'_> {
    /// The structure of a tag with the address of each field, or findings.
    pub(super) fn fields_on_device(&mut self, of: &OnDevice<'_>, scope: &Scope) -> Option<StructPlan> {
        let DataType::Struct(ix) = of.shape.data_type else { return None };
        let mark = self.findings.len();
        let mut fields = Fields::default();
        let layout = self.layout(ix, of, &mut fields, scope);
        let kind = Arc::clone(&self.plant.cells[usize::from(scope.index)].structure(ix).kind);
        let elements = of.shape.element_count();
        if fields.values.saturating_mul(elements) > MOST_VALUES {
            let message = format!("a structure of a device has at most {MOST_VALUES} values with all its arrays");
            self.findings.error(&self.source, of.wanted.address.ix, message).help("make several tags of it");
            return None;
        }
        let stride = of.wanted.spec.as_ref().and_then(|spec| spec.stride.as_ref()).map(|stride| stride.value);
        let wanted = Placing { layout: &layout?, elements, stride };
        let plan = match of.real.place_structure(of.point, wanted) {
            Ok(leaves) => {
                for leaf in &leaves {
                    match of.real.check_point(&leaf.point) {
                        Err(error) => self.field_error(fields.places[leaf.id as usize], error, of.wanted),
                        Ok(reading) => {
                            // The address is made of the tag's, which has its own warning.
                            let warning = reading.warning.clone();
                            if let Some(warning) = warning.filter(|warning| warning.part != Part::Address) {
                                self.field_warning(fields.places[leaf.id as usize], warning);
                            }
                            let registers = self.registers.entry(of.link.node).or_default();
                            registers.add(&reading, of.wanted.address.ix);
                        }
                    }
                }
                let leaves = leaves.into_iter().map(|leaf| leaf.point).collect();
                Some(StructPlan { kind, dimensions: of.shape.dimensions.clone(), leaves })
            }
            Err(PlaceError::Tag(error)) => {
                self.point_error(error, of.wanted, of.spec);
                None
            }
            Err(PlaceError::Field { id, error }) => {
                self.field_error(fields.places[id as usize], error, of.wanted);
                None
            }
        };
        let is_good = !self.findings.has_errors_since(mark);
        // Each tag of the structure says the same about its fields.
        self.findings.drop_repeats_since(mark);
        plan.filter(|_| is_good)
    }

    fn layout(&mut self, ix: StructIx, of: &OnDevice<'_>, fields: &mut Fields, scope: &Scope) -> Option<Layout> {
        let structure = self.plant.cells[usize::from(scope.index)].structure(ix).clone();
        let mapping = *self.struct_nodes.get(&(scope.index, ix))?;
        let mut made = Vec::new();
        for (kind, rules) in structure.kind.fields.iter().zip(&structure.fields) {
            let place = self.source.get(mapping, &kind.name)?;
            let at = self.source.get(place, "at").filter(|at| self.source.is_scalar(*at));
            let at = at.map(|at| Arc::from(self.source.text(at)));
            let id = u32::try_from(fields.places.len()).ok()?;
            fields.places.push(place);
            let content = match rules.shape.data_type {
                DataType::Struct(inner) => {
                    let elements = rules.shape.element_count();
                    let before = fields.values;
                    let layout = self.layout(inner, of, fields, scope)?;
                    fields.values = before + (fields.values - before).saturating_mul(elements);
                    Content::Structure { of: Arc::new(layout), elements }
                }
                _ => {
                    fields.values += 1;
                    Content::Value(Box::new(self.field_point(place, rules, of, scope)?))
                }
            };
            made.push(Field { name: Arc::clone(&kind.name), at, id, content });
        }
        Some(Layout { name: Arc::clone(&structure.kind.name), fields: made })
    }

    fn field_point(&mut self, place: Ix, rules: &StructField, of: &OnDevice<'_>, scope: &Scope) -> Option<PointPlan> {
        let shape = &rules.shape;
        Some(PointPlan {
            tag: TagId(0),
            address: String::new(),
            settings: self.field_settings(place, of)?,
            kind: shape.data_type.wire(),
            elements: shape.element_count(),
            is_array: !shape.is_scalar(),
            length: shape.length,
            enumeration: self.enumeration_of(shape, scope),
            has_scale: rules.scale.is_some(),
            ..of.point.clone()
        })
    }

    /// The keys of the source, with those of the field in their place.
    fn field_settings(&mut self, place: Ix, of: &OnDevice<'_>) -> Option<PointSettings> {
        let own: Vec<(Ix, Ix)> =
            self.source.entries(place).filter(|(key, _)| OF_SOURCE.contains(&self.source.text(*key))).collect();
        if own.is_empty() {
            return Some(of.point.settings.clone());
        }
        let names: Vec<String> = own.iter().map(|(key, _)| self.source.text(*key).to_owned()).collect();
        let made = self.source.make(self.source.place(place), Kind::Mapping, None);
        let mut children = Vec::new();
        if let Some(mapping) = of.wanted.mapping {
            let others: Vec<(Ix, Ix)> = self
                .source
                .entries(mapping)
                .filter(|(key, _)| !names.iter().any(|name| name == self.source.text(*key)))
                .collect();
            for (key, value) in others {
                children.extend([key, value].map(|at| self.source.copy(at, &[], &mut |_, _| Ok(None))));
            }
        }
        for (key, value) in own {
            children.extend([key, value].map(|at| self.source.copy(at, &[], &mut |_, _| Ok(None))));
        }
        self.source.link(made, &children);
        if let Some(key) = self.source.key_of(place) {
            self.source.hang(made, self.source.parent(place).unwrap_or(place), key, "");
        }
        let point = driver::point(of.link.driver?, &mut self.source, Some(made), self.findings)?;
        point.is_whole.then_some(point.keys)
    }

    /// A driver's finding about a field, at the key that it means, or at the field.
    fn place_of_field(&self, field: Ix, part: Part) -> Ix {
        let key = match part {
            Part::Key("scale" | "length" | "type" | "at" | "raw_type" | "word_order" | "swap_bytes") => match part {
                Part::Key(key) => self.source.get(field, key),
                _ => None,
            },
            Part::Address => self.source.get(field, "at"),
            _ => None,
        };
        key.or_else(|| self.source.key_of(field)).unwrap_or(field)
    }

    fn field_error(&mut self, field: Ix, error: PointError, wanted: &Wanted) {
        let at = self.place_of_field(field, error.part);
        let also = self.source.place(wanted.address.ix);
        let finding = self.findings.error(&self.source, at, error.message);
        finding.also(also, "this tag").help(error.help);
    }

    fn field_warning(&mut self, field: Ix, warning: PointError) {
        let at = self.place_of_field(field, warning.part);
        self.findings.warning(&self.source, at, warning.message).help(warning.help);
    }

    /// The points by which the fields of a structure are written alone; a structure that is only written has none.
    pub(super) fn field_points(&mut self, of: TagId, structure: &Tag, tags: &[TagId]) {
        let Origin::Device { connection, read: true, write: true, .. } = structure.origin else { return };
        let points = &self.drivers[connection.0 as usize].points;
        let Some(whole) = points.iter().rev().find(|point| point.tag == of).cloned() else { return };
        let Some(plan) = whole.structure.clone() else { return };
        if !self.drivers[connection.0 as usize].settings.writes_fields() {
            return;
        }
        let points = Arc::make_mut(&mut self.drivers[connection.0 as usize].points);
        for (part, tag) in (0..).zip(tags) {
            let Some(range) = plan.leaves_of(part) else { continue };
            let Some(first) = plan.leaves.get(range.start) else { continue };
            let structure = plan.part(part).map(Arc::new);
            let point = match structure {
                None => PointPlan { tag: *tag, read: false, ..first.clone() },
                Some(inner) => PointPlan {
                    tag: *tag,
                    address: first.address.clone(),
                    elements: inner.dimensions.iter().map(|size| *size as usize).product(),
                    is_array: !inner.dimensions.is_empty(),
                    structure: Some(inner),
                    read: false,
                    ..whole.clone()
                },
            };
            points.push(point);
        }
    }

    /// A value of a type that no device gives: nothing, or the lowest of what it may be.
    pub(super) fn blank_value(&self, shape: &Shape, scope: &Scope) -> Value {
        let one = self.blank_scalar(shape, scope);
        if shape.is_scalar() {
            return one;
        }
        let all = std::iter::repeat_n(one, shape.element_count());
        let Some(elements) = Elements::collect(shape.data_type.wire(), all) else { return Value::Null };
        let dimensions = if shape.dimensions.len() > 1 { shape.dimensions.clone() } else { Vec::new() };
        Value::Array(Arc::new(crate::value::Array { elements, dimensions }))
    }

    fn blank_scalar(&self, shape: &Shape, scope: &Scope) -> Value {
        let cell = &self.plant.cells[usize::from(scope.index)];
        match shape.data_type {
            DataType::Struct(ix) => {
                let of = cell.structure(ix);
                let fields = of.fields.iter().map(|field| self.blank_value(&field.shape, scope)).collect();
                Value::Struct(Arc::new(Struct::new(Arc::clone(&of.kind), fields)))
            }
            DataType::Enum(ix) => {
                let values = &cell.enums[ix.0 as usize].values;
                Value::Int32(values.first().map_or(0, |(number, _)| *number))
            }
            kind => {
                let (low, high) = shape.range.unwrap_or((f64::MIN, f64::MAX));
                let least = if low <= 0.0 && high >= 0.0 { 0.0 } else { low };
                match kind.wire() {
                    BuiltIn::String => Value::text(""),
                    BuiltIn::ByteString => Value::ByteString([].into()),
                    BuiltIn::DateTime => Value::DateTime(UaTime::NULL),
                    kind => Value::from_f64(kind, least.ceil()).unwrap_or_default(),
                }
            }
        }
    }
}
