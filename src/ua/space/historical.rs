//! What clients look for beside a tag with an archive: its HA Configuration and its Annotations (Part 11 §5.1.2 and
//! §5.2.2, 1.05).
//!
//! These nodes are made when they are asked for and stored nowhere: one is its tag and its place in `PARTS`. Its id is
//! the tag's with a suffix: `s=Tank1.Level.HA Configuration.Stepped`, for `i=7` `s=i=7.HA Configuration.Stepped`.

use std::borrow::Cow;

use super::draft::{Draft, kinds};
use super::{Class, Detail, Id, Label, Node, NodeIx, Reference, Source, Space};
use crate::model::TagId;
use crate::stack::codec::{IdRef, NodeIdRef, Writer};

/// Marks a `NodeIx` that is no place in the tables: the tag stands above `PART_BITS`, the part in them.
const MADE: u32 = 1 << 31;
const PART_BITS: u32 = 4;
const HAS_HISTORICAL_CONFIGURATION: u32 = 56;

/// A node beside each historical tag; the number is its place in `PARTS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Part {
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

/// How a part is made.
struct Made {
    part: Part,
    /// Where it hangs; `None`: at the tag itself.
    parent: Option<Part>,
    reference: u32,
    /// Behind the tag's own identifier; ends with the BrowseName.
    suffix: &'static str,
    type_definition: u32,
    /// `None` for an Object.
    data_type: Option<u32>,
}

impl Made {
    const fn property(part: Part, parent: Part, suffix: &'static str, data_type: u32) -> Made {
        let (parent, data_type) = (Some(parent), Some(data_type));
        Made { part, parent, reference: kinds::HAS_PROPERTY, suffix, type_definition: 68, data_type }
    }

    const fn object(part: Part, suffix: &'static str, type_definition: u32) -> Made {
        let parent = Some(Part::Configuration);
        Made { part, parent, reference: kinds::HAS_COMPONENT, suffix, type_definition, data_type: None }
    }

    fn name(&self) -> &'static str {
        self.suffix.rsplit('.').next().unwrap_or_default()
    }
}

const OF: Part = Part::Configuration;
const AGGREGATE: Part = Part::AggregateConfiguration;
const PARTS: [Made; 16] = [
    Made {
        part: Part::Configuration,
        parent: None,
        reference: HAS_HISTORICAL_CONFIGURATION,
        suffix: ".HA Configuration",
        type_definition: 2318,
        data_type: None,
    },
    Made::property(Part::Stepped, OF, ".HA Configuration.Stepped", 1),
    Made::property(Part::MaxTimeInterval, OF, ".HA Configuration.MaxTimeInterval", 290),
    Made::property(Part::ExceptionDeviation, OF, ".HA Configuration.ExceptionDeviation", 11),
    Made::property(Part::ExceptionDeviationFormat, OF, ".HA Configuration.ExceptionDeviationFormat", 890),
    Made::property(Part::StartOfArchive, OF, ".HA Configuration.StartOfArchive", 294),
    Made::property(Part::StartOfOnlineArchive, OF, ".HA Configuration.StartOfOnlineArchive", 294),
    Made::property(Part::ServerTimestampSupported, OF, ".HA Configuration.ServerTimestampSupported", 1),
    Made::property(Part::MaxTimeStoredValues, OF, ".HA Configuration.MaxTimeStoredValues", 290),
    Made::object(Part::AggregateConfiguration, ".HA Configuration.AggregateConfiguration", 11_187),
    Made::property(
        Part::TreatUncertainAsBad,
        AGGREGATE,
        ".HA Configuration.AggregateConfiguration.TreatUncertainAsBad",
        1,
    ),
    Made::property(Part::PercentDataBad, AGGREGATE, ".HA Configuration.AggregateConfiguration.PercentDataBad", 3),
    Made::property(Part::PercentDataGood, AGGREGATE, ".HA Configuration.AggregateConfiguration.PercentDataGood", 3),
    Made::property(
        Part::UseSlopedExtrapolation,
        AGGREGATE,
        ".HA Configuration.AggregateConfiguration.UseSlopedExtrapolation",
        1,
    ),
    Made::object(Part::AggregateFunctions, ".HA Configuration.AggregateFunctions", 61),
    Made {
        part: Part::Annotations,
        parent: None,
        reference: kinds::HAS_PROPERTY,
        suffix: ".Annotations",
        type_definition: 68,
        data_type: Some(891),
    },
];

/// What all historical tags share.
#[derive(Debug, Default)]
pub struct Historical {
    /// A node for each of `PARTS`, without its owner's namespace and access; empty when no tag keeps history.
    nodes: Vec<Node>,
    /// A bit for each tag that has an archive.
    tags: Vec<u64>,
    /// The AggregateFunction objects.
    aggregates: Vec<NodeIx>,
}

/// Makes the parts ready; the folder of each configuration has these AggregateFunction objects.
pub fn prepare(draft: &mut Draft, aggregates: &[u32]) {
    for made in &PARTS {
        let type_definition = draft.standard(made.type_definition);
        let (class, detail) = match made.data_type {
            None => (Class::Object, Detail::Object { event_notifier: 0 }),
            Some(data_type) => {
                let data_type = draft.standard(data_type);
                (Class::Variable, Detail::Variable(draft.shape(data_type, -1, &[], Source::History(made.part))))
            }
        };
        let browse = draft.text(made.name());
        let node = Node {
            class,
            namespace: 0,
            browse_namespace: 0,
            browse,
            id: Id::Numeric(0),
            display: Label::Browse,
            description: Label::None,
            access: None,
            type_definition,
            detail,
        };
        draft.historical_mut().nodes.push(node);
    }
    let aggregates = aggregates.iter().map(|number| draft.standard(*number)).collect();
    draft.historical_mut().aggregates = aggregates;
}

fn at(TagId(tag): TagId, part: Part) -> NodeIx {
    NodeIx(MADE | tag << PART_BITS | part as u32)
}

fn parse(NodeIx(at): NodeIx) -> (TagId, &'static Made) {
    (TagId((at & !MADE) >> PART_BITS), &PARTS[(at & ((1 << PART_BITS) - 1)) as usize])
}

impl Space {
    /// Makes these tags HistoricalDataNodes.
    pub fn keep_history(&mut self, tags: impl Iterator<Item = TagId>) {
        let bits = &mut self.historical.tags;
        *bits = vec![0; self.tag_nodes.len().div_ceil(64)];
        for TagId(tag) in tags {
            bits[tag as usize / 64] |= 1 << (tag % 64);
        }
    }

    #[inline]
    pub fn has_history(&self, TagId(tag): TagId) -> bool {
        self.historical.tags.get(tag as usize / 64).is_some_and(|bits| bits >> (tag % 64) & 1 == 1)
    }

    /// The tag whose history a node speaks of: the tag's own node, or one that was made for it.
    pub fn historical_tag(&self, node: NodeIx) -> Option<TagId> {
        if node.0 & MADE != 0 {
            return Some(parse(node).0);
        }
        match self.variable(node)?.source {
            Source::Tag(tag) if self.has_history(tag) => Some(tag),
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

    /// The made node of an id that no table has.
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
            Source::Tag(tag) if self.has_history(tag) => Some(at(tag, made.part)),
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
        if made.part == Part::AggregateFunctions {
            let kind = kind(kinds::ORGANIZES);
            all.extend(self.historical.aggregates.iter().map(|target| Reference {
                kind,
                target: *target,
                forward: true,
            }));
        }
        all
    }

    fn made_below(&self, tag: TagId, parent: Option<Part>) -> Vec<Reference> {
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
    fn the_table_of_parts_stands_in_the_order_of_the_enum() {
        for (n, made) in PARTS.iter().enumerate() {
            assert_eq!(made.part as usize, n);
            let of_parent = made.parent.map_or("", |parent| PARTS[parent as usize].suffix);
            assert_eq!(made.suffix, format!("{of_parent}.{}", made.name()));
            assert_eq!(parse(at(TagId(0x07ff_ffff), made.part)).0, TagId(0x07ff_ffff), "a hundred million tags fit");
        }
    }
}
