//! Structures on a device: their fields with the address of each, and the values of fields as one value.
//!
//! A driver gives each field the address that a tag there would have, so fields are read and written by the code of tags.

use std::sync::Arc;

use opcua::StatusCode;

use super::PointPlan;
use crate::drivers::reading::PointError;
use crate::value::{Array, Elements, FieldType, Struct, StructKind, Value};

/// The fields of a structure as the file has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    pub name: Arc<str>,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: Arc<str>,
    /// Its place inside the structure, as text.
    pub at: Option<Arc<str>>,
    /// The field's number among all that a tag has, for findings.
    pub id: u32,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A value, or an array of values; without an address.
    Value(Box<PointPlan>),
    Structure {
        of: Arc<Layout>,
        elements: usize,
    },
}

/// A structure tag that is to be placed on a device.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub layout: &'a Layout,
    /// Number of structures: 1 for a scalar.
    pub elements: usize,
    /// Distance of two elements.
    pub stride: Option<u32>,
}

/// A field with its address.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    pub point: PointPlan,
    pub id: u32,
}

/// A fault of a structure on a device.
#[derive(Debug, Clone, PartialEq)]
pub enum PlaceError {
    /// Of the tag.
    Tag(PointError),
    /// Of a field, by its number.
    Field { id: u32, error: PointError },
}

/// A structure tag as its driver reads and writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct StructPlan {
    pub kind: Arc<StructKind>,
    /// Of an array of structures.
    pub dimensions: Vec<u32>,
    /// All values, in the order of the layout, elements of arrays of structures one after the other.
    pub leaves: Vec<PointPlan>,
}

impl StructPlan {
    /// One value of the values of all fields.
    pub(crate) fn assemble(&self, values: Vec<Result<Value, StatusCode>>) -> Value {
        let mut values = values.into_iter();
        let count = self.dimensions.iter().map(|size| *size as usize).product::<usize>();
        if self.dimensions.is_empty() {
            return Value::Struct(Arc::new(assembled(&self.kind, &mut values)));
        }
        array_of((0..count).map(|_| assembled(&self.kind, &mut values)).collect(), &self.dimensions)
    }

    /// The values of all fields of a value, which may be some elements of an array.
    pub(crate) fn values_of(&self, value: &Value) -> Vec<Value> {
        let mut values = Vec::with_capacity(self.leaves.len());
        add_values(value, &mut values);
        values
    }

    /// The plan of a part: a structure in the structure, or an array of them. `None` for a plain field.
    pub fn part(&self, part: u16) -> Option<StructPlan> {
        let field = self.kind.part(part)?;
        let FieldType::Struct(kind) = &field.of else { return None };
        let range = self.leaves_of(part)?;
        let leaves = self.leaves[range].to_vec();
        Some(StructPlan { kind: Arc::clone(kind), dimensions: field.dimensions.to_vec(), leaves })
    }

    /// The places of a part's values among the leaves.
    pub fn leaves_of(&self, part: u16) -> Option<std::ops::Range<usize>> {
        let path = &self.kind.parts.get(usize::from(part))?.path;
        let (mut kind, mut at) = (&self.kind, 0);
        for (level, step) in path.iter().enumerate() {
            let before = &kind.fields[..usize::from(*step)];
            at += before.iter().map(|field| leaf_count(&field.of, field.element_count())).sum::<usize>();
            let field = &kind.fields[usize::from(*step)];
            if level + 1 == path.len() {
                return Some(at..at + leaf_count(&field.of, field.element_count()));
            }
            let FieldType::Struct(inner) = &field.of else { return None };
            kind = inner;
        }
        None
    }
}

fn leaf_count(of: &FieldType, elements: usize) -> usize {
    match of {
        FieldType::BuiltIn(_) => 1,
        FieldType::Struct(kind) => {
            let fields = kind.fields.iter();
            fields.map(|field| leaf_count(&field.of, field.element_count())).sum::<usize>() * elements
        }
    }
}

type Values<'a> = dyn Iterator<Item = Result<Value, StatusCode>> + 'a;

fn assembled(kind: &Arc<StructKind>, values: &mut Values<'_>) -> Struct {
    let fields = kind.fields.iter().map(|field| match &field.of {
        FieldType::BuiltIn(_) => values.next().unwrap_or(Err(StatusCode::BadInternalError)),
        FieldType::Struct(inner) if field.dimensions.is_empty() => {
            Ok(Value::Struct(Arc::new(assembled(inner, values))))
        }
        FieldType::Struct(inner) => {
            let all = (0..field.element_count()).map(|_| assembled(inner, values)).collect();
            Ok(array_of(all, &field.dimensions))
        }
    });
    let fields = fields.collect();
    Struct::of_results(Arc::clone(kind), fields)
}

fn array_of(all: Vec<Struct>, dimensions: &[u32]) -> Value {
    let elements = Elements::Struct(all.into_iter().map(Arc::new).collect());
    let dimensions = if dimensions.len() > 1 { dimensions.to_vec() } else { Vec::new() };
    Value::Array(Arc::new(Array { elements, dimensions }))
}

fn add_values(value: &Value, values: &mut Vec<Value>) {
    let of_fields = |of: &Struct, values: &mut Vec<Value>| of.fields.iter().for_each(|field| add_values(field, values));
    match value {
        Value::Struct(of) => of_fields(of, values),
        Value::Array(array) => match &array.elements {
            Elements::Struct(all) => all.iter().for_each(|of| of_fields(of, values)),
            _ => values.push(value.clone()),
        },
        plain => values.push(plain.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{BuiltIn, FieldKind};

    fn kind() -> Arc<StructKind> {
        let field =
            |name: &str, of, dimensions: &[u32]| FieldKind { name: name.into(), of, dimensions: dimensions.into() };
        let byte = || FieldType::BuiltIn(BuiltIn::Byte);
        let inner = Arc::new(StructKind::new("In", vec![field("A", byte(), &[]), field("B", byte(), &[2])]));
        let fields = vec![
            field("First", byte(), &[]),
            field("One", FieldType::Struct(Arc::clone(&inner)), &[]),
            field("Many", FieldType::Struct(inner), &[2]),
            field("Last", byte(), &[]),
        ];
        Arc::new(StructKind::new("Out", fields))
    }

    fn values() -> Vec<Value> {
        let list = |a: u8| Value::array(Elements::Byte(vec![a, a + 1]));
        let inner = |a: u8| [Value::Byte(a), list(a + 1)];
        [&[Value::Byte(1)][..], &inner(10), &inner(20), &inner(30), &[Value::Byte(2)]].concat()
    }

    fn plan(dimensions: &[u32]) -> StructPlan {
        let count = 8 * dimensions.iter().product::<u32>();
        StructPlan {
            kind: kind(),
            dimensions: dimensions.to_vec(),
            leaves: (0..count).map(PointPlan::sample).collect(),
        }
    }

    #[test]
    fn values_of_fields_become_one_value_and_come_back() {
        for dimensions in [&[][..], &[2], &[2, 1]] {
            let plan = plan(dimensions);
            let all: Vec<Value> = std::iter::repeat_with(values).take(plan.leaves.len() / 8).flatten().collect();
            let whole = plan.assemble(all.iter().cloned().map(Ok).collect());
            assert_eq!(whole.fault(), None);
            assert_eq!(plan.values_of(&whole), all);
        }
        let torn = plan(&[]).assemble(
            values()
                .into_iter()
                .enumerate()
                .map(|(at, value)| if at == 4 { Err(StatusCode::BadNoData) } else { Ok(value) })
                .collect(),
        );
        assert_eq!(torn.fault(), Some(StatusCode::BadNoData));
        assert_eq!(torn.fault_text().as_deref(), Some("field Many[0].B (BadNoData) has no value"));
    }

    #[test]
    fn a_part_has_its_own_leaves() {
        let plan = plan(&[]);
        let names = ["First", "One", "A", "B", "Many", "Last"];
        for ((part, name), range) in (0..).zip(names).zip([0..1, 1..3, 1..2, 2..3, 3..7, 7..8]) {
            assert_eq!(&*plan.kind.part(part).expect("a part").name, name);
            assert_eq!(plan.leaves_of(part), Some(range), "{name}");
        }
        let many = plan.part(4).expect("structures");
        assert_eq!((many.dimensions.len(), many.leaves.len()), (1, 4));
        assert_eq!(plan.part(5), None);
        assert_eq!(plan.leaves_of(6), None);
    }
}
