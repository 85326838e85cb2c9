//! Nodes of a tag with an archive: its HA Configuration and its Annotations (Part 11 §5.1.2 and §5.2.2, 1.05).
//!
//! These nodes are made when they are asked for and stored nowhere: one is its tag and its place in `PARTS`. Its id is
//! the tag's with a suffix: `s=Tank1.Level.HA Configuration.Stepped`, for `i=7` `s=i=7.HA Configuration.Stepped`.

use std::borrow::Cow;

use opcua::{DataTypeId, ObjectTypeId, VariableTypeId};

use super::kinds;
use super::{Node, NodeIx, Reference, Source, Space};
use crate::model::TagId;
use crate::stack::codec::{IdRef, NodeIdRef, Writer};

/// Marks a `NodeIx` that is not an index of the tables: the tag is above `PART_BITS`, the property in them.
const MADE: u32 = 1 << 31;
const PART_BITS: u32 = 4;
const PROPERTY_TYPE: u32 = VariableTypeId::PropertyType as u32;

/// A node of each historical tag; the number is its place in `PARTS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum HistoricalProperty {
    Configuration,
    Stepped,
    MaxTimeInterval,
    ExceptionDeviation,
    ExceptionDeviationFormat,
    StartOfArchive,
    StartOfOnlineArchive,
    ServerTimestampSupported,
    MaxTimeStoredValues,
    AggregateConfiguration,
    TreatUncertainAsBad,
    PercentDataBad,
    PercentDataGood,
    UseSlopedExtrapolation,
    AggregateFunctions,
    Annotations,
}

/// Description of a property.
pub(super) struct Made {
    pub part: HistoricalProperty,
    /// Its parent; `None`: the tag itself.
    parent: Option<HistoricalProperty>,
    reference: u32,
    /// Appended to the tag's own identifier; ends with the BrowseName.
    suffix: &'static str,
    pub type_definition: u32,
    /// `None` for an Object.
    pub data_type: Option<u32>,
}

impl Made {
    const fn property(
        part: HistoricalProperty,
        parent: HistoricalProperty,
        suffix: &'static str,
        data_type: u32,
    ) -> Made {
        let (parent, data_type) = (Some(parent), Some(data_type));
        Made { part, parent, reference: kinds::HAS_PROPERTY, suffix, type_definition: PROPERTY_TYPE, data_type }
    }

    const fn object(part: HistoricalProperty, suffix: &'static str, type_definition: u32) -> Made {
        let parent = Some(HistoricalProperty::Configuration);
        Made { part, parent, reference: kinds::HAS_COMPONENT, suffix, type_definition, data_type: None }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.suffix.rsplit('.').next().unwrap_or_default()
    }
}

const OF: HistoricalProperty = HistoricalProperty::Configuration;
const AGGREGATE: HistoricalProperty = HistoricalProperty::AggregateConfiguration;
pub(super) const PARTS: [Made; 16] = [
    Made {
        part: HistoricalProperty::Configuration,
        parent: None,
        reference: kinds::HAS_HISTORICAL_CONFIGURATION,
        suffix: ".HA Configuration",
        type_definition: ObjectTypeId::HistoricalDataConfigurationType as u32,
        data_type: None,
    },
    Made::property(HistoricalProperty::Stepped, OF, ".HA Configuration.Stepped", DataTypeId::Boolean as u32),
    Made::property(
        HistoricalProperty::MaxTimeInterval,
        OF,
        ".HA Configuration.MaxTimeInterval",
        DataTypeId::Duration as u32,
    ),
    Made::property(
        HistoricalProperty::ExceptionDeviation,
        OF,
        ".HA Configuration.ExceptionDeviation",
        DataTypeId::Double as u32,
    ),
    Made::property(
        HistoricalProperty::ExceptionDeviationFormat,
        OF,
        ".HA Configuration.ExceptionDeviationFormat",
        DataTypeId::ExceptionDeviationFormat as u32,
    ),
    Made::property(
        HistoricalProperty::StartOfArchive,
        OF,
        ".HA Configuration.StartOfArchive",
        DataTypeId::UtcTime as u32,
    ),
    Made::property(
        HistoricalProperty::StartOfOnlineArchive,
        OF,
        ".HA Configuration.StartOfOnlineArchive",
        DataTypeId::UtcTime as u32,
    ),
    Made::property(
        HistoricalProperty::ServerTimestampSupported,
        OF,
        ".HA Configuration.ServerTimestampSupported",
        DataTypeId::Boolean as u32,
    ),
    Made::property(
        HistoricalProperty::MaxTimeStoredValues,
        OF,
        ".HA Configuration.MaxTimeStoredValues",
        DataTypeId::Duration as u32,
    ),
    Made::object(
        HistoricalProperty::AggregateConfiguration,
        ".HA Configuration.AggregateConfiguration",
        ObjectTypeId::AggregateConfigurationType as u32,
    ),
    Made::property(
        HistoricalProperty::TreatUncertainAsBad,
        AGGREGATE,
        ".HA Configuration.AggregateConfiguration.TreatUncertainAsBad",
        DataTypeId::Boolean as u32,
    ),
    Made::property(
        HistoricalProperty::PercentDataBad,
        AGGREGATE,
        ".HA Configuration.AggregateConfiguration.PercentDataBad",
        DataTypeId::Byte as u32,
    ),
    Made::property(
        HistoricalProperty::PercentDataGood,
        AGGREGATE,
        ".HA Configuration.AggregateConfiguration.PercentDataGood",
        DataTypeId::Byte as u32,
    ),
    Made::property(
        HistoricalProperty::UseSlopedExtrapolation,
        AGGREGATE,
        ".HA Configuration.AggregateConfiguration.UseSlopedExtrapolation",
        DataTypeId::Boolean as u32,
    ),
    Made::object(
        HistoricalProperty::AggregateFunctions,
        ".HA Configuration.AggregateFunctions",
        ObjectTypeId::FolderType as u32,
    ),
    Made {
        part: HistoricalProperty::Annotations,
        parent: None,
        reference: kinds::HAS_PROPERTY,
        suffix: ".Annotations",
        type_definition: PROPERTY_TYPE,
        data_type: Some(DataTypeId::Annotation as u32),
    },
];

/// Data that all historical tags share.
#[derive(Debug, Default)]
pub(crate) struct Historical {
    /// A node for each of `PARTS`, without its owner's namespace and access; empty when no tag keeps history.
    pub(super) nodes: Vec<Node>,
    /// A bit for each tag that has an archive.
    tags: Vec<u64>,
    /// The AggregateFunction objects.
    pub(super) aggregates: Vec<NodeIx>,
}

fn at(tag: TagId, part: HistoricalProperty) -> NodeIx {
    NodeIx(MADE | tag.0 << PART_BITS | part as u32)
}

fn parse(node: NodeIx) -> (TagId, &'static Made) {
    (TagId((node.0 & !MADE) >> PART_BITS), &PARTS[(node.0 & ((1 << PART_BITS) - 1)) as usize])
}

impl Space {
    /// Makes these tags HistoricalDataNodes.
    pub fn keep_history(&mut self, tags: impl Iterator<Item = TagId>) {
        let bits = &mut self.historical.tags;
        *bits = vec![0; self.tag_nodes.len().div_ceil(64)];
        for tag in tags {
            bits[tag.0 as usize / 64] |= 1 << (tag.0 % 64);
        }
    }

    #[inline]
    pub fn has_history(&self, tag: TagId) -> bool {
        self.historical.tags.get(tag.0 as usize / 64).is_some_and(|bits| bits >> (tag.0 % 64) & 1 == 1)
    }

    /// The tag whose history a node represents: the tag's own node, or one that was made for it.
    pub fn historical_tag(&self, node: NodeIx) -> Option<TagId> {
        if node.0 & MADE != 0 {
            return Some(parse(node).0);
        }
        match self.variable(node)?.source {
            Source::Tag(tag) | Source::Member(tag) if self.has_history(tag) => Some(tag),
            _ => None,
        }
    }

    /// A node that is in no table.
    #[cold]
    pub(super) fn made_node(&self, node: NodeIx) -> Node {
        let (tag, made) = parse(node);
        let owner = self.nodes[self.tag_node(tag).0 as usize];
        let common = self.historical.nodes[made.part as usize];
        Node { namespace: owner.namespace, access: owner.access, ..common }
    }

    /// The generated node for an id that is in no table.
    #[cold]
    pub(super) fn find_made(&self, namespace: u16, text: &str) -> Option<NodeIx> {
        if self.historical.nodes.is_empty() {
            return None;
        }
        // The longest suffix that fits is the right one: `…AggregateConfiguration.X` ends with no other suffix.
        let made = PARTS.iter().find_map(|made| Some((made, text.strip_suffix(made.suffix)?)));
        let (made, owner) = made?;
        let found = self.find_stored_text(namespace, owner).or_else(|| {
            let number = owner.strip_prefix("i=")?.parse().ok()?;
            self.numeric.get(&(namespace, number)).copied()
        });
        match self.variable(found?)?.source {
            Source::Tag(tag) | Source::Member(tag) if self.has_history(tag) => Some(at(tag, made.part)),
            _ => None,
        }
    }

    /// Writes the id of any node.
    pub fn write_id(&self, node: NodeIx, w: &mut Writer) {
        if node.0 & MADE == 0 {
            return w.node_id(self.stored_id(node));
        }
        let text = self.made_id(node);
        w.node_id(NodeIdRef::string(self.node(node).namespace, &text));
    }

    fn made_id(&self, node: NodeIx) -> String {
        let (tag, made) = parse(node);
        match self.stored_id(self.tag_node(tag)).id {
            IdRef::Numeric(number) => format!("i={number}{}", made.suffix),
            IdRef::String(text) => format!("{text}{}", made.suffix),
            IdRef::Guid(_) | IdRef::Opaque(_) => made.suffix.to_owned(),
        }
    }

    /// All references of a node, stored and made; in the same order at each call.
    #[inline]
    pub fn references(&self, node: NodeIx) -> Cow<'_, [Reference]> {
        if node.0 & MADE == 0 {
            let stored = self.stored_references(node);
            return match self.historical_tag(node) {
                None => Cow::Borrowed(stored),
                Some(tag) => Cow::Owned([stored, &self.made_below(tag, None)].concat()),
            };
        }
        Cow::Owned(self.made_references(node))
    }

    fn made_references(&self, node: NodeIx) -> Vec<Reference> {
        let (tag, made) = parse(node);
        let kind = |number| self.standard_node(number).map_or(u32::MAX, |kind| kind.0);
        let parent = made.parent.map_or(self.tag_node(tag), |parent| at(tag, parent));
        let type_definition = self.node(node).type_definition;
        let mut all = vec![
            Reference { kind: kind(kinds::HAS_TYPE_DEFINITION), target: type_definition, forward: true },
            Reference { kind: kind(made.reference), target: parent, forward: false },
        ];
        all.extend(self.made_below(tag, Some(made.part)));
        if made.part == HistoricalProperty::AggregateFunctions {
            let kind = kind(kinds::ORGANIZES);
            all.extend(self.historical.aggregates.iter().map(|target| Reference {
                kind,
                target: *target,
                forward: true,
            }));
        }
        all
    }

    fn made_below(&self, tag: TagId, parent: Option<HistoricalProperty>) -> Vec<Reference> {
        let below = PARTS.iter().filter(|made| made.parent == parent);
        let reference = |made: &Made| Reference {
            kind: self.standard_node(made.reference).map_or(u32::MAX, |kind| kind.0),
            target: at(tag, made.part),
            forward: true,
        };
        below.map(reference).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_parts_has_the_order_of_the_enum() {
        for (n, made) in PARTS.iter().enumerate() {
            assert_eq!(made.part as usize, n);
            let of_parent = made.parent.map_or("", |parent| PARTS[parent as usize].suffix);
            assert_eq!(made.suffix, format!("{of_parent}.{}", made.name()));
            assert_eq!(parse(at(TagId(0x07ff_ffff), made.part)).0, TagId(0x07ff_ffff), "a hundred million tags fit");
        }
    }
}
