//! Data types of a cell: enumerations, option sets and structures, with their definitions.
//!
//! The encoding of a structure is one Object that two doors lead to: HasEncoding, and DefaultEncodingId in the definition. Some
//! clients go in by the one, some by the other.

use super::cell::{CellComposer, extension};
use super::draft::{NewId, NewNode};
use super::kinds;
use super::{Class, Detail, NodeIx};
use crate::model::{DataType, EnumType, FlagsType, StructType, Text};
use crate::stack::codec::{LocalizedTextRef, NodeIdRef, Writer};
use crate::value::Value;

/// Numbers of the standard's types.
mod std_node {
    pub(super) const ENUMERATION: u32 = opcua::DataTypeId::Enumeration as u32;
    pub(super) const ENUM_VALUE_TYPE: u32 = opcua::DataTypeId::EnumValueType as u32;
    pub(super) const LOCALIZED_TEXT: u32 = opcua::DataTypeId::LocalizedText as u32;
    pub(super) const STRUCTURE: u32 = opcua::DataTypeId::Structure as u32;
    pub(super) const ENCODING_TYPE: u32 = opcua::ObjectTypeId::DataTypeEncodingType as u32;
}
/// Default Binary encodings (Part 6 annex A, 1.05).
mod encoding {
    pub(super) const ENUM_VALUE_TYPE: u32 = opcua::ObjectId::EnumValueType_Encoding_DefaultBinary as u32;
    pub(super) const ENUM_DEFINITION: u32 = opcua::ObjectId::EnumDefinition_Encoding_DefaultBinary as u32;
    pub(super) const STRUCTURE_DEFINITION: u32 = opcua::ObjectId::StructureDefinition_Encoding_DefaultBinary as u32;
}

impl CellComposer<'_, '_> {
    /// Each type before those that use it.
    pub(super) fn data_types(&mut self) {
        self.enums();
        for kind in &self.cell.flags {
            let at = self.flags(kind);
            self.types.flags.push(at);
        }
        for of in &self.cell.structs {
            let at = self.structure(of);
            self.types.structs.push(at);
        }
    }

    fn enums(&mut self) {
        for kind in &self.cell.enums {
            let path = format!("@type.{}", kind.name);
            let definition = self.draft.value(enum_definition(kind));
            let detail = Detail::DataType { is_abstract: false, definition: Some(definition) };
            let new = self.node_of(Class::DataType, NewId::Text(&path), &kind.name, detail);
            let at = self.draft.add(new);
            let enumeration = self.draft.standard(std_node::ENUMERATION);
            self.draft.refer(enumeration, kinds::HAS_SUBTYPE, at);
            self.enum_texts(kind, at, &path);
            self.types.enums.push(at);
        }
    }

    /// EnumStrings where the values count 0, 1, 2 …, else EnumValues (Part 3 §8.40, §8.41, 1.05).
    fn enum_texts(&mut self, kind: &EnumType, owner: NodeIx, path: &str) {
        let counts = kind.values.iter().enumerate().all(|(n, (value, _))| usize::try_from(*value) == Ok(n));
        let count = u32::try_from(kind.values.len()).unwrap_or(u32::MAX);
        let mut bytes = Writer::new();
        if counts {
            bytes.u8(21 | 0x80);
            bytes.count(kind.values.len());
            kind.values.iter().for_each(|(_, text)| write_first(&mut bytes, text));
            self.property(
                owner,
                path,
                "EnumStrings",
                std_node::LOCALIZED_TEXT,
                Some(count),
                Value::Wire(bytes.buf.into()),
            );
        } else {
            bytes.u8(22 | 0x80);
            bytes.count(kind.values.len());
            for (value, text) in &kind.values {
                bytes.extension_object(encoding::ENUM_VALUE_TYPE, |w| {
                    w.i64(i64::from(*value));
                    write_first(w, text);
                    w.localized_text(LocalizedTextRef::default());
                });
            }
            self.property(
                owner,
                path,
                "EnumValues",
                std_node::ENUM_VALUE_TYPE,
                Some(count),
                Value::Wire(bytes.buf.into()),
            );
        }
    }

    /// An option set: a subtype of its integer, with OptionSetValues (Part 3 §8.40, 1.05) and an EnumDefinition of its bits.
    fn flags(&mut self, kind: &FlagsType) -> NodeIx {
        let path = format!("@type.{}", kind.name);
        let definition = self.draft.value(flags_definition(kind));
        let detail = Detail::DataType { is_abstract: false, definition: Some(definition) };
        let new = self.node_of(Class::DataType, NewId::Text(&path), &kind.name, detail);
        let at = self.draft.add(new);
        let base = self.draft.standard(u32::from(kind.base as u8));
        self.draft.refer(base, kinds::HAS_SUBTYPE, at);
        let count = kind.bits.last().map_or(0, |(bit, _)| u32::from(*bit) + 1);
        let mut bytes = Writer::new();
        bytes.u8(21 | 0x80);
        bytes.u32(count);
        for bit in 0..count {
            // A bit without a name is reserved.
            match kind.bits.iter().find(|(known, _)| u32::from(*known) == bit) {
                Some((_, text)) => write_first(&mut bytes, text),
                None => bytes.localized_text(LocalizedTextRef { locale: None, text: Some("") }),
            }
        }
        let value = Value::Wire(bytes.buf.into());
        self.property(at, &path, "OptionSetValues", std_node::LOCALIZED_TEXT, Some(count), value);
        at
    }

    fn structure(&mut self, of: &StructType) -> NodeIx {
        of.kind.pin(self.namespace);
        let path = format!("@type.{}", of.kind.name);
        let definition = self.structure_definition(of);
        let definition = self.draft.value(definition);
        let detail = Detail::DataType { is_abstract: false, definition: Some(definition) };
        let new = self.node_of(Class::DataType, NewId::Text(&path), &of.kind.name, detail);
        let at = self.draft.add(new);
        let base = self.draft.standard(std_node::STRUCTURE);
        self.draft.refer(base, kinds::HAS_SUBTYPE, at);
        let object = Detail::Object { event_notifier: 0 };
        let new = self.node_of(Class::Object, NewId::Numeric(of.kind.number), "Default Binary", object);
        let encoding = self.draft.add(NewNode { browse_namespace: 0, ..new });
        let encoding_type = self.draft.standard(std_node::ENCODING_TYPE);
        self.draft.refer(encoding, kinds::HAS_TYPE_DEFINITION, encoding_type);
        self.draft.refer(at, kinds::HAS_ENCODING, encoding);
        at
    }

    /// StructureDefinition (Part 3 §8.48, 1.05) as the value of DataTypeDefinition.
    fn structure_definition(&self, of: &StructType) -> Value {
        extension(encoding::STRUCTURE_DEFINITION, |w| {
            w.node_id(NodeIdRef::numeric(self.namespace, of.kind.number));
            w.node_id(NodeIdRef::numeric(0, std_node::STRUCTURE));
            // StructureType: Structure.
            w.i32(0);
            w.count(of.fields.len());
            for (field, rules) in of.kind.fields.iter().zip(&of.fields) {
                w.text(&field.name);
                match rules.description.as_deref() {
                    Some(text) => write_first(w, text),
                    None => w.localized_text(LocalizedTextRef::default()),
                }
                self.write_type(rules.shape.data_type, w);
                match field.dimensions.len() {
                    0 => {
                        w.i32(-1);
                        w.null_array();
                    }
                    rank => {
                        w.i32(i32::try_from(rank).unwrap_or(1));
                        w.count(rank);
                        field.dimensions.iter().for_each(|size| w.u32(*size));
                    }
                }
                w.u32(rules.shape.length.unwrap_or(0));
                w.bool(false);
            }
        })
    }

    fn write_type(&self, of: DataType, w: &mut Writer) {
        match of {
            DataType::BuiltIn(kind) => w.node_id(NodeIdRef::numeric(0, u32::from(kind as u8))),
            of => {
                let path = format!("@type.{}", self.cell.type_name(of));
                w.node_id(NodeIdRef::string(self.namespace, &path));
            }
        }
    }
}

fn write_first(w: &mut Writer, text: &Text) {
    let (locale, text) = text.0.first().map_or(("", ""), |(locale, text)| (locale.as_str(), text.as_str()));
    w.localized_text(LocalizedTextRef { locale: Some(locale).filter(|l| !l.is_empty()), text: Some(text) });
}

/// EnumDefinition (Part 3 §8.50, 1.05) as the value of DataTypeDefinition.
fn enum_definition(kind: &EnumType) -> Value {
    extension(encoding::ENUM_DEFINITION, |w| {
        w.count(kind.values.len());
        for (value, text) in &kind.values {
            w.i64(i64::from(*value));
            write_first(w, text);
            w.localized_text(LocalizedTextRef::default());
            w.text(text.0.first().map_or("", |(_, text)| text));
        }
    })
}

/// EnumDefinition of an option set: its values are the numbers of bits.
fn flags_definition(kind: &FlagsType) -> Value {
    extension(encoding::ENUM_DEFINITION, |w| {
        w.count(kind.bits.len());
        for (bit, text) in &kind.bits {
            w.i64(i64::from(*bit));
            write_first(w, text);
            w.localized_text(LocalizedTextRef::default());
            w.text(text.0.first().map_or("", |(_, text)| text));
        }
    })
}
