//! Browsing: which references of a node a client asked for, and each as a ReferenceDescription.
//!
//! References keep the order in which the cell file has them, so two calls never differ.

use opcua::StatusCode;

use super::{NodeIx, Reference, Space, Viewer};
use crate::stack::codec::{NodeIdRef, Writer};

/// BrowseDirection (Part 4 §7.5, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Inverse,
    Both,
}

impl Direction {
    pub fn from_wire(number: i32) -> Option<Direction> {
        Some(match number {
            0 => Direction::Forward,
            1 => Direction::Inverse,
            2 => Direction::Both,
            _ => return None,
        })
    }
}

/// BrowseResultMask (Part 4 §5.9.2.2, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultMask(pub u32);

impl ResultMask {
    fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }
}

/// The references that a BrowseDescription asks for.
#[derive(Debug, Clone)]
pub struct BrowseFilter {
    direction: Direction,
    /// `NodeIx` of the reference types that pass, sorted; empty for all.
    kinds: Vec<u32>,
    all_kinds: bool,
    /// NodeClass bits; 0 for all.
    classes: u32,
    pub mask: ResultMask,
}

impl BrowseFilter {
    /// `reference_type` null means all references.
    pub fn new(
        space: &Space,
        direction: Direction,
        reference_type: NodeIdRef<'_>,
        include_subtypes: bool,
        classes: u32,
        mask: ResultMask,
    ) -> Result<BrowseFilter, StatusCode> {
        let all_kinds = reference_type.is_null();
        let mut kinds = Vec::new();
        if !all_kinds {
            let wanted = space
                .find(reference_type)
                .filter(|at| space.node(*at).class == super::Class::ReferenceType)
                .ok_or(StatusCode::BadReferenceTypeIdInvalid)?;
            kinds.push(wanted.0);
            if include_subtypes {
                space.collect_subtypes(wanted, &mut kinds);
            }
            kinds.sort_unstable();
        }
        Ok(BrowseFilter { direction, kinds, all_kinds, classes, mask })
    }

    #[inline]
    pub fn passes(&self, space: &Space, viewer: &Viewer<'_>, reference: &Reference) -> bool {
        let direction = match self.direction {
            Direction::Forward => reference.forward,
            Direction::Inverse => !reference.forward,
            Direction::Both => true,
        };
        direction
            && (self.all_kinds || self.kinds.binary_search(&reference.kind).is_ok())
            && (self.classes == 0 || self.classes & u32::from(space.node(reference.target).class as u8) != 0)
            && viewer.sees(space, reference.target)
    }
}

impl Space {
    /// All direct and indirect subtypes of a type.
    pub fn collect_subtypes(&self, of: NodeIx, into: &mut Vec<u32>) {
        let subtype = self.standard_node(super::kinds::HAS_SUBTYPE).map(|at| at.0);
        for reference in self.stored_references(of) {
            if reference.forward && Some(reference.kind) == subtype && !into.contains(&reference.target.0) {
                into.push(reference.target.0);
                self.collect_subtypes(reference.target, into);
            }
        }
    }

    /// A ReferenceDescription (Part 4 §7.29, 1.05); fields that the mask leaves out are null.
    pub fn write_reference(&self, reference: &Reference, mask: ResultMask, locales: &[String], w: &mut Writer) {
        let target = self.node(reference.target);
        if mask.has(1) {
            self.write_id(NodeIx(reference.kind), w);
        } else {
            w.node_id(NodeIdRef::NULL);
        }
        w.bool(mask.has(2) && reference.forward);
        self.write_id(reference.target, w);
        if mask.has(8) {
            w.qualified_name(self.browse_name(reference.target));
        } else {
            w.u16(0);
            w.string(None);
        }
        if mask.has(16) {
            w.localized_text(self.display_name(reference.target, locales));
        } else {
            w.u8(0);
        }
        w.i32(if mask.has(4) { i32::from(target.class as u8) } else { 0 });
        let typed = mask.has(32) && matches!(target.class, super::Class::Object | super::Class::Variable);
        if typed {
            self.write_id(target.type_definition, w);
        } else {
            w.node_id(NodeIdRef::NULL);
        }
    }
}
