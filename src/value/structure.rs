//! Structures as live values: their layout, and one value of it. Cloning one never allocates.
//!
//! A structure of which some fields have no value is kept while its tag is Bad, so that the other fields can be shown; on the
//! wire it is null.

use std::sync::{Arc, OnceLock};

use opcua::StatusCode;

use super::{BuiltIn, Elements, Value};

/// Structures inside structures, at most, counted from the outermost.
pub const MOST_NESTED: usize = 16;

/// Layout of a structure, as the wire has it (StructureDefinition, Part 3 §8.48, 1.05).
#[derive(Debug)]
pub struct StructKind {
    pub name: Arc<str>,
    /// Numeric identifier of the Default Binary encoding, in the namespace of the cell. It follows from the name and the
    /// layout: a changed layout has another one, so no client takes new bytes for old fields.
    pub number: u32,
    /// Index of that namespace, once a server has given it one.
    namespace: OnceLock<u16>,
    pub fields: Box<[FieldKind]>,
    /// Fields and fields of fields, each before its own fields; none below elements of an array.
    pub parts: Box<[Part]>,
}

/// A field of a layout.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldKind {
    pub name: Arc<str>,
    pub of: FieldType,
    /// Number of elements by dimension; empty for one value.
    pub dimensions: Box<[u32]>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FieldType {
    BuiltIn(BuiltIn),
    Struct(Arc<StructKind>),
}

/// A field, or a field of a field: the places on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub path: Box<[u16]>,
}

impl FieldType {
    pub fn wire(&self) -> BuiltIn {
        match self {
            FieldType::BuiltIn(kind) => *kind,
            FieldType::Struct(_) => BuiltIn::ExtensionObject,
        }
    }
}

impl FieldKind {
    /// Number of elements: 1 for one value.
    pub fn element_count(&self) -> usize {
        self.dimensions.iter().map(|size| *size as usize).product()
    }
}

impl StructKind {
    pub fn new(name: &str, fields: Vec<FieldKind>) -> StructKind {
        let mut parts = Vec::new();
        add_parts(&fields, &mut Vec::new(), &mut parts);
        StructKind {
            name: name.into(),
            number: number_of(name, &fields),
            namespace: OnceLock::new(),
            fields: fields.into(),
            parts: parts.into(),
        }
    }

    /// Index of the namespace; 0 before a server has given it one.
    pub fn namespace(&self) -> u16 {
        self.namespace.get().copied().unwrap_or(0)
    }

    /// Notes the index of the namespace. A server never changes it: only the first call counts.
    pub fn pin(&self, namespace: u16) {
        self.namespace.get_or_init(|| namespace);
    }

    /// The layout of a part.
    pub fn part(&self, at: u16) -> Option<&FieldKind> {
        let part = self.parts.get(usize::from(at))?;
        let (last, way) = part.path.split_last()?;
        let mut fields = &self.fields;
        for step in way {
            let FieldType::Struct(inner) = &fields.get(usize::from(*step))?.of else { return None };
            fields = &inner.fields;
        }
        fields.get(usize::from(*last))
    }
}

/// The namespace's index is no part of a layout.
impl PartialEq for StructKind {
    fn eq(&self, other: &StructKind) -> bool {
        std::ptr::eq(self, other) || self.number == other.number && self.name == other.name
    }
}

fn add_parts(fields: &[FieldKind], above: &mut Vec<u16>, parts: &mut Vec<Part>) {
    for (at, field) in (0..).zip(fields) {
        above.push(at);
        parts.push(Part { path: above.as_slice().into() });
        if let (FieldType::Struct(inner), []) = (&field.of, &*field.dimensions) {
            add_parts(&inner.fields, above, parts);
        }
        above.pop();
    }
}

/// FNV-1a over the name and the layout, in the upper half of the numbers that are positive everywhere: identifiers that people
/// choose lie below.
fn number_of(name: &str, fields: &[FieldKind]) -> u32 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.text(name);
    for field in fields {
        hash.text(&field.name);
        match &field.of {
            FieldType::BuiltIn(kind) => hash.take(&[0, *kind as u8]),
            FieldType::Struct(inner) => {
                hash.take(&[1]);
                hash.take(&inner.number.to_le_bytes());
            }
        }
        hash.take(&u32::try_from(field.dimensions.len()).unwrap_or(u32::MAX).to_le_bytes());
        field.dimensions.iter().for_each(|size| hash.take(&size.to_le_bytes()));
    }
    let folded = hash.0 ^ hash.0 >> 32;
    0x4000_0000 | u32::try_from(folded & 0x3fff_ffff).expect("30 bits")
}

struct Fnv(u64);

impl Fnv {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// A text and its end, so that two texts in a row are never two others.
    fn text(&mut self, text: &str) {
        self.take(text.as_bytes());
        self.take(&[0xff]);
    }
}

/// One value of a structure.
#[derive(Debug, Clone)]
pub struct Struct {
    pub kind: Arc<StructKind>,
    /// As many as the layout has.
    pub fields: Box<[Value]>,
    /// Where one of the fields has no value.
    faults: Option<Box<Faults>>,
}

/// A structure that is not whole.
#[derive(Debug, Clone, PartialEq)]
struct Faults {
    /// One a field; the value of a Bad one is `Null`, or a structure that is not whole.
    statuses: Box<[StatusCode]>,
    /// The status of the others.
    rest: StatusCode,
}

impl Struct {
    pub fn new(kind: Arc<StructKind>, fields: Vec<Value>) -> Struct {
        debug_assert_eq!(kind.fields.len(), fields.len(), "a value has the fields of its layout");
        Struct { kind, fields: fields.into(), faults: None }
    }

    /// A structure of fields that each have a value or say why not.
    pub fn of_results(kind: Arc<StructKind>, fields: Vec<Result<Value, StatusCode>>) -> Struct {
        let status = |field: &Result<Value, StatusCode>| match field {
            Ok(value) => value.fault().unwrap_or(StatusCode::Good),
            Err(code) => *code,
        };
        let statuses: Vec<StatusCode> = fields.iter().map(status).collect();
        let has_faults = statuses.iter().any(StatusCode::is_bad);
        let fields: Vec<Value> = fields.into_iter().map(Result::unwrap_or_default).collect();
        let faults = || Box::new(Faults { statuses: statuses.into(), rest: StatusCode::Good });
        Struct { kind, fields: fields.into(), faults: has_faults.then(faults) }
    }

    /// The status of the fields that have a value, in a structure that is not whole.
    pub fn rest(&self) -> StatusCode {
        self.faults.as_ref().map_or(StatusCode::Good, |faults| faults.rest)
    }

    /// The first status of a field without a value; `None` where all have one.
    pub fn fault(&self) -> Option<StatusCode> {
        self.faults.as_ref()?.statuses.iter().copied().find(StatusCode::is_bad)
    }

    /// A field, or why it has no value.
    pub fn field(&self, at: u16) -> Result<&Value, StatusCode> {
        let value = self.fields.get(usize::from(at)).ok_or(StatusCode::BadInternalError)?;
        let status = self.faults.as_ref().and_then(|faults| faults.statuses.get(usize::from(at)));
        match status {
            Some(status) if status.is_bad() && value.is_null() => Err(*status),
            _ => Ok(value),
        }
    }

    /// A part, or why it has no value.
    pub fn part(&self, at: u16) -> Result<&Value, StatusCode> {
        let part = self.kind.parts.get(usize::from(at)).ok_or(StatusCode::BadInternalError)?;
        let (last, way) = part.path.split_last().ok_or(StatusCode::BadInternalError)?;
        let mut inner = self;
        for step in way {
            match inner.field(*step)? {
                Value::Struct(next) => inner = next,
                _ => return Err(StatusCode::BadInternalError),
            }
        }
        inner.field(*last)
    }

    /// The structure with another value of a part; `None` where a structure on the way has no value.
    #[must_use]
    pub fn with_part(&self, at: u16, value: Value) -> Option<Struct> {
        self.with_value(&self.kind.parts.get(usize::from(at))?.path, value)
    }

    fn with_value(&self, path: &[u16], value: Value) -> Option<Struct> {
        let (step, rest) = path.split_first()?;
        let place = usize::from(*step);
        let mut fields = self.fields.clone();
        let field = fields.get_mut(place)?;
        *field = match (rest, &*field) {
            ([], _) => value,
            (rest, Value::Struct(inner)) => Value::Struct(Arc::new(inner.with_value(rest, value)?)),
            _ => return None,
        };
        Some(Struct { kind: Arc::clone(&self.kind), fields, faults: self.faults.clone() })
    }

    /// Adds the fields without a value, with the path to each.
    fn name_faults(&self, above: &str, found: &mut Vec<String>) {
        for (at, (kind, value)) in (0..).zip(self.kind.fields.iter().zip(&self.fields)) {
            let path = format!("{above}{}", kind.name);
            match (self.field(at), value) {
                (Err(code), _) => found.push(format!("{path} ({code})")),
                (Ok(_), Value::Struct(inner)) => inner.name_faults(&format!("{path}."), found),
                (Ok(Value::Array(array)), _) => {
                    if let Elements::Struct(all) = &array.elements {
                        for (at, of) in all.iter().enumerate() {
                            of.name_faults(&format!("{path}[{at}]."), found);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Bytes that it takes, about.
    pub fn weight(&self) -> usize {
        let one = |value: &Value| match value {
            Value::String(text) => text.len(),
            Value::ByteString(bytes) => bytes.len(),
            Value::Array(array) => match &array.elements {
                Elements::Struct(all) => all.iter().map(|of| of.weight()).sum(),
                elements => elements.len() * 8,
            },
            Value::Struct(inner) => inner.weight(),
            _ => 0,
        };
        48 + self.fields.iter().map(|value| std::mem::size_of::<Value>() + one(value)).sum::<usize>()
    }

    pub(super) fn same_bits(&self, other: &Struct) -> bool {
        self.kind == other.kind
            && self.faults == other.faults
            && self.fields.iter().zip(&other.fields).all(|(one, two)| one.same_bits(two))
    }
}

impl PartialEq for Struct {
    fn eq(&self, other: &Struct) -> bool {
        self.kind == other.kind && self.fields == other.fields && self.faults == other.faults
    }
}

impl Value {
    /// The fields without a value, as one sentence without a full stop.
    pub fn fault_text(&self) -> Option<Arc<str>> {
        let mut found = Vec::new();
        match self {
            Value::Struct(of) => of.name_faults("", &mut found),
            Value::Array(array) => match &array.elements {
                Elements::Struct(all) => {
                    for (at, of) in all.iter().enumerate() {
                        of.name_faults(&format!("[{at}]."), &mut found);
                    }
                }
                _ => return None,
            },
            _ => return None,
        }
        let (first, rest) = found.split_first()?;
        let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
        Some(format!("field {first} has no value{more}").into())
    }

    /// A structure that is not whole, with the status that its other fields have.
    #[must_use]
    pub fn with_rest(self, status: StatusCode) -> Value {
        match self {
            Value::Struct(of) => {
                let mut of = Arc::unwrap_or_clone(of);
                if let Some(faults) = &mut of.faults {
                    faults.rest = status;
                }
                Value::Struct(Arc::new(of))
            }
            other => other,
        }
    }

    /// Why a structure, or an element of an array of them, is not whole; `None` for one that is, and for other values.
    pub fn fault(&self) -> Option<StatusCode> {
        match self {
            Value::Struct(of) => of.fault(),
            Value::Array(array) => match &array.elements {
                Elements::Struct(all) => all.iter().find_map(|of| of.fault()),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, of: FieldType, dimensions: &[u32]) -> FieldKind {
        FieldKind { name: name.into(), of, dimensions: dimensions.into() }
    }

    fn outer() -> Arc<StructKind> {
        let float = FieldType::BuiltIn(BuiltIn::Float);
        let inner = Arc::new(StructKind::new("Inner", vec![field("X", float.clone(), &[]), field("Y", float, &[2])]));
        let fields = vec![
            field("Id", FieldType::BuiltIn(BuiltIn::String), &[]),
            field("Pos", FieldType::Struct(Arc::clone(&inner)), &[]),
            field("All", FieldType::Struct(inner), &[3]),
        ];
        Arc::new(StructKind::new("Outer", fields))
    }

    #[test]
    fn parts_go_down_through_structures_and_not_through_arrays() {
        let outer = outer();
        let names: Vec<&str> = (0..).map_while(|at| outer.part(at)).map(|part| &*part.name).collect();
        assert_eq!(names, ["Id", "Pos", "X", "Y", "All"]);
    }

    #[test]
    fn another_layout_has_another_number_and_the_same_one_the_same() {
        let kind = |name: &str, fields: &[(&str, BuiltIn, &[u32])]| {
            let fields = fields.iter().map(|(name, of, size)| field(name, FieldType::BuiltIn(*of), size)).collect();
            StructKind::new(name, fields).number
        };
        let first = kind("Batch", &[("Id", BuiltIn::UInt16, &[]), ("N", BuiltIn::Float, &[])]);
        assert_eq!(first, kind("Batch", &[("Id", BuiltIn::UInt16, &[]), ("N", BuiltIn::Float, &[])]));
        assert!((0x4000_0000..0x8000_0000).contains(&first));
        for other in [
            kind("Batch2", &[("Id", BuiltIn::UInt16, &[]), ("N", BuiltIn::Float, &[])]),
            kind("Batch", &[("N", BuiltIn::Float, &[]), ("Id", BuiltIn::UInt16, &[])]),
            kind("Batch", &[("Id", BuiltIn::Int16, &[]), ("N", BuiltIn::Float, &[])]),
            kind("Batch", &[("Id", BuiltIn::UInt16, &[]), ("N", BuiltIn::Float, &[1])]),
            kind("Batch", &[("Id", BuiltIn::UInt16, &[])]),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_field_without_a_value_leaves_the_others_theirs() {
        let outer = outer();
        let FieldType::Struct(inner) = &outer.fields[1].of else { panic!("a structure") };
        let y = Value::array(Elements::Float(vec![1.0, 2.0]));
        let torn = Struct::of_results(Arc::clone(inner), vec![Err(StatusCode::BadNoData), Ok(y.clone())]);
        let fields = vec![Ok(Value::text("a")), Ok(Value::Struct(Arc::new(torn))), Err(StatusCode::BadSensorFailure)];
        let value = Struct::of_results(Arc::clone(&outer), fields);
        assert_eq!(value.fault(), Some(StatusCode::BadNoData));
        let text = Value::text("a");
        assert_eq!(value.part(0), Ok(&text));
        assert_eq!(value.part(1).expect("it is there, and not whole").fault(), Some(StatusCode::BadNoData));
        assert_eq!(value.part(2), Err(StatusCode::BadNoData));
        assert_eq!(value.part(3), Ok(&y));
        assert_eq!(value.part(4), Err(StatusCode::BadSensorFailure));
    }

    #[test]
    fn one_part_is_replaced_and_the_rest_remains() {
        let outer = outer();
        let FieldType::Struct(inner) = &outer.fields[1].of else { panic!("a structure") };
        let y = Value::array(Elements::Float(vec![1.0, 2.0]));
        let one = || Arc::new(Struct::new(Arc::clone(inner), vec![Value::Float(0.5), y.clone()]));
        let all = Value::array(Elements::Struct(vec![one(), one(), one()]));
        let value = Struct::new(Arc::clone(&outer), vec![Value::text("a"), Value::Struct(one()), all.clone()]);
        let changed = value.with_part(2, Value::Float(7.5)).expect("it has the part");
        assert_eq!(changed.part(2), Ok(&Value::Float(7.5)));
        assert_eq!(changed.part(3), Ok(&y));
        assert_eq!(changed.part(4), Ok(&all));
        assert!(!changed.same_bits(&value) && value.same_bits(&value.clone()));
        assert_eq!(value.with_part(9, Value::Null), None);
    }
}
