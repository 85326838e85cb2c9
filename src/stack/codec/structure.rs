//! Structures of cells to and from the body of an ExtensionObject (Part 6 §5.2.6, 1.05).
//!
//! The layout is fixed: an array has the number of elements that the cell gives it, and bytes that are missing or left over
//! are an error. Arrays of several dimensions begin with their dimensions, as Int32 (Part 6 §5.2.5, 1.05).

use std::sync::Arc;

use opcua::StatusCode;

use super::NodeIdRef;
use super::reader::{Decode, Reader};
use super::skip::{ARRAY, DIMENSIONS};
use super::writer::Writer;
use crate::value::{Array, BuiltIn, Elements, FieldKind, FieldType, Struct, StructKind, Value};

/// Memory of a field of a decoded structure.
const FIELD: usize = std::mem::size_of::<Value>();
/// Memory of a structure in addition to its fields.
const STRUCTURE: usize = 64;

impl Writer {
    /// The structure as an ExtensionObject.
    pub(super) fn structure(&mut self, of: &Struct) {
        let kind = &of.kind;
        self.node_id(NodeIdRef::numeric(kind.namespace(), kind.number));
        self.u8(1);
        let length = self.reserve_count();
        let start = self.mark();
        self.structure_body(of);
        let written = self.mark() - start;
        self.set_count(length, written);
    }

    fn structure_body(&mut self, of: &Struct) {
        for (kind, value) in of.kind.fields.iter().zip(&of.fields) {
            match value {
                Value::Array(array) => {
                    if kind.dimensions.len() > 1 {
                        self.count(kind.dimensions.len());
                        kind.dimensions.iter().for_each(|size| self.u32(*size));
                    }
                    match (&array.elements, kind.dimensions.len()) {
                        (Elements::Struct(all), rank) => {
                            if rank <= 1 {
                                self.count(all.len());
                            }
                            all.iter().for_each(|of| self.structure_body(of));
                        }
                        (elements, 0 | 1) => self.elements(elements),
                        (elements, _) => self.bare_elements(elements),
                    }
                }
                Value::Struct(inner) => self.structure_body(inner),
                scalar => self.scalar(scalar),
            }
        }
    }
}

/// The value with its structures decoded: a Variant of ExtensionObjects, as a client wrote it. What has another encoding, or
/// bytes that are missing or left over, is BadTypeMismatch.
pub(crate) fn typed_structure(kind: &Arc<StructKind>, value: &Value) -> Result<Value, StatusCode> {
    match value {
        Value::Wire(bytes) => decode(kind, bytes).map_err(|_| StatusCode::BadTypeMismatch),
        other => Ok(other.clone()),
    }
}

fn decode(kind: &Arc<StructKind>, bytes: &[u8]) -> Decode<Value> {
    let mut reader = Reader::new(bytes);
    let encoding = reader.u8()?;
    if encoding & !(ARRAY | DIMENSIONS) != BuiltIn::ExtensionObject as u8 {
        return Err(StatusCode::BadTypeMismatch);
    }
    if encoding & ARRAY == 0 {
        let value = Value::Struct(reader.structure(kind)?);
        return if reader.is_at_end() { Ok(value) } else { Err(StatusCode::BadDecodingError) };
    }
    let count = reader.count(3)?;
    reader.charge(count * 8)?;
    let all = (0..count).map(|_| reader.structure(kind)).collect::<Decode<Vec<_>>>()?;
    let dimensions = if encoding & DIMENSIONS != 0 { reader.dimensions(count)? } else { Vec::new() };
    if !reader.is_at_end() {
        return Err(StatusCode::BadDecodingError);
    }
    Ok(Value::Array(Arc::new(Array { elements: Elements::Struct(all), dimensions })))
}

impl Reader<'_> {
    /// An ExtensionObject of this structure.
    fn structure(&mut self, kind: &Arc<StructKind>) -> Decode<Arc<Struct>> {
        let object = self.extension_object()?;
        if object.type_id != NodeIdRef::numeric(kind.namespace(), kind.number) {
            return Err(StatusCode::BadTypeMismatch);
        }
        let mut body = self.nested(object.body.ok_or(StatusCode::BadTypeMismatch)?);
        let value = body.structure_body(kind)?;
        if !body.is_at_end() {
            return Err(StatusCode::BadDecodingError);
        }
        // One budget for the whole value.
        self.take_budget(&body);
        Ok(value)
    }

    fn structure_body(&mut self, kind: &Arc<StructKind>) -> Decode<Arc<Struct>> {
        self.deeper(|reader| {
            reader.charge(STRUCTURE + kind.fields.len() * FIELD)?;
            let fields = kind.fields.iter().map(|field| reader.field(field)).collect::<Decode<Vec<_>>>()?;
            Ok(Arc::new(Struct::new(Arc::clone(kind), fields)))
        })
    }

    fn field(&mut self, field: &FieldKind) -> Decode<Value> {
        if field.dimensions.is_empty() {
            return match &field.of {
                FieldType::BuiltIn(kind) => self.scalar(*kind),
                FieldType::Struct(kind) => self.structure_body(kind).map(Value::Struct),
            };
        }
        let wanted = field.element_count();
        let dimensions = if let [_] = *field.dimensions { Vec::new() } else { field.dimensions.to_vec() };
        if dimensions.is_empty() {
            self.expect_count(wanted)?;
        } else {
            self.expect_count(dimensions.len())?;
            dimensions.iter().try_for_each(|size| self.expect_count(*size as usize))?;
        }
        let elements = match &field.of {
            FieldType::BuiltIn(kind) => self.some_elements(*kind, wanted)?,
            FieldType::Struct(kind) => {
                // Each takes a byte at least, as no structure is empty.
                if wanted > self.remaining() {
                    return Err(StatusCode::BadDecodingError);
                }
                self.charge(wanted * 8)?;
                Elements::Struct((0..wanted).map(|_| self.structure_body(kind)).collect::<Decode<_>>()?)
            }
        };
        Ok(Value::Array(Arc::new(Array { elements, dimensions })))
    }

    fn expect_count(&mut self, wanted: usize) -> Decode<()> {
        let found = usize::try_from(self.i32()?).map_err(|_| StatusCode::BadDecodingError)?;
        if found == wanted { Ok(()) } else { Err(StatusCode::BadDecodingError) }
    }
}
