//! Types of a cell by their places, and the tags that are parts of a structure.

use super::{Cell, DataType, Origin, Plant, StructIx, StructType, Tag, TagId};

impl Cell {
    /// The name of a type as the file has it.
    pub(crate) fn type_name(&self, of: DataType) -> String {
        match of {
            DataType::BuiltIn(kind) => format!("{kind:?}"),
            DataType::Enum(ix) => self.enums[ix.0 as usize].name.to_string(),
            DataType::Flags(ix, _) => self.flags[ix.0 as usize].name.to_string(),
            DataType::Struct(ix) => self.structure(ix).kind.name.to_string(),
        }
    }

    pub fn structure(&self, ix: StructIx) -> &StructType {
        &self.structs[ix.0 as usize]
    }
}

impl Plant {
    /// The tags of the parts of a structure tag, in the order of its layout's parts; none for every other tag.
    pub fn parts_of(&self, tag: TagId) -> &[TagId] {
        self.parts.get(&tag).map_or(&[], |parts| parts)
    }

    /// The tag that has the value: of a part the structure, else the tag itself.
    pub fn owner<'a>(&'a self, tag: &'a Tag) -> &'a Tag {
        match tag.origin {
            Origin::Part { of, .. } => self.tag(of),
            Origin::Device { .. } | Origin::Memory { .. } | Origin::Derived(_) => tag,
        }
    }

    /// The structure of a tag, scalar or array; `None` for every other tag.
    pub fn structure_of(&self, tag: &Tag) -> Option<&StructType> {
        match tag.shape.data_type {
            DataType::Struct(ix) => Some(self.cells[usize::from(tag.cell)].structure(ix)),
            _ => None,
        }
    }
}
