//! An address space in the making: nodes and references in any order; `finish` lays them out.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use hashbrown::{HashMap, HashTable};

use super::kinds;
use super::{Class, Detail, Id, Label, Node, NodeIx, Reference, Source, Space, Texts, VariableShape};
use crate::model::{AccessIx, Role, Text};
use crate::stack::codec::NodeIdRef;
use crate::value::Value;

#[derive(Debug)]
pub(crate) struct Draft {
    space: Space,
    drawn: Vec<(NodeIx, Reference)>,
    /// Nodes whose events the Object above them reports.
    reported: std::collections::HashSet<NodeIx>,
}

/// A node that is about to be added; every other attribute has the usual value.
#[derive(Debug)]
pub(crate) struct NewNode<'a> {
    pub class: Class,
    pub namespace: u16,
    pub browse_namespace: u16,
    pub id: NewId<'a>,
    pub browse: &'a str,
    pub display: Label,
    pub description: Label,
    pub access: Option<AccessIx>,
    pub detail: Detail,
}

#[cfg(test)]
impl<'a> NewNode<'a> {
    /// A node of the first cell, whose id is its name.
    pub(crate) fn of_cell(class: Class, name: &'a str, detail: Detail) -> NewNode<'a> {
        NewNode {
            class,
            namespace: 2,
            browse_namespace: 2,
            id: NewId::Text(name),
            browse: name,
            display: Label::Browse,
            description: Label::None,
            access: None,
            detail,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum NewId<'a> {
    Numeric(u32),
    Text(&'a str),
}

impl Draft {
    /// An empty space with the namespaces 0 and 1.
    pub(crate) fn new(application_uri: &str) -> Draft {
        let hasher = foldhash::fast::FixedState::with_seed(0x6f70_6365_6c6c);
        let space = Space {
            texts: Texts::default(),
            nodes: Vec::new(),
            first_reference: Vec::new(),
            references: Vec::new(),
            variables: Vec::new(),
            dimensions: Vec::new(),
            values: Vec::new(),
            labels: Vec::new(),
            namespaces: vec!["http://opcfoundation.org/UA/".to_owned(), application_uri.to_owned()],
            standard: Vec::new(),
            numeric: HashMap::with_hasher(hasher.clone()),
            textual: HashTable::new(),
            hasher: hasher.clone(),
            tag_nodes: Vec::new(),
            supertype: HashMap::with_hasher(hasher),
            historical: super::historical::Historical::default(),
            roles: BTreeMap::new(),
            restrictions: super::restriction::SESSION_REQUIRED,
            by_name: Default::default(),
            event_types: Default::default(),
            notifiers: Default::default(),
            conditions: Default::default(),
        };
        Draft { space, drawn: Vec::new(), reported: Default::default() }
    }

    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    /// Gives the namespace its pinned index; a gap has an empty name.
    pub(crate) fn namespace(&mut self, index: u16, uri: &str) {
        let at = usize::from(index);
        if self.space.namespaces.len() <= at {
            self.space.namespaces.resize(at + 1, String::new());
        }
        uri.clone_into(&mut self.space.namespaces[at]);
    }

    pub(crate) fn add(&mut self, new: NewNode<'_>) -> NodeIx {
        let at = NodeIx(u32::try_from(self.space.nodes.len()).expect("fewer than 2^32 nodes"));
        let id = match new.id {
            NewId::Numeric(number) => Id::Numeric(number),
            NewId::Text(text) => Id::Text(self.space.texts.add(text)),
        };
        let browse = match id {
            // A path ends with the name: the arena keeps it once.
            Id::Text(span) if matches!(new.id, NewId::Text(text) if text.ends_with(new.browse)) => {
                let length = u32::try_from(new.browse.len()).expect("a name stays below 4 GiB");
                super::Span { start: span.start + span.length - length, length }
            }
            _ => self.space.texts.add(new.browse),
        };
        self.space.nodes.push(Node {
            class: new.class,
            namespace: new.namespace,
            browse_namespace: new.browse_namespace,
            browse,
            id,
            display: new.display,
            description: new.description,
            access: new.access,
            type_definition: at,
            detail: new.detail,
        });
        self.index(at, new.namespace, new.id);
        at
    }

    fn index(&mut self, at: NodeIx, namespace: u16, id: NewId<'_>) {
        match id {
            NewId::Numeric(number) if namespace == 0 => {
                let slot = number as usize;
                if self.space.standard.len() <= slot {
                    self.space.standard.resize(slot + 1, u32::MAX);
                }
                self.space.standard[slot] = at.0;
            }
            NewId::Numeric(number) => {
                self.space.numeric.insert((namespace, number), at);
            }
            NewId::Text(text) => {
                let Space { hasher, textual, nodes, texts, .. } = &mut self.space;
                let hash = hasher.hash_one((namespace, text));
                textual.insert_unique(hash, at.0, |other| {
                    let node = &nodes[*other as usize];
                    match node.id {
                        Id::Text(span) => hasher.hash_one((node.namespace, texts.get(span))),
                        Id::Numeric(_) => 0,
                    }
                });
            }
        }
    }

    pub(crate) fn plain(&mut self, text: &str) -> Label {
        if text.is_empty() { Label::None } else { Label::Plain(self.space.texts.add(text)) }
    }

    pub(crate) fn label(&mut self, text: &Text) -> Label {
        match text.0.as_slice() {
            [] => Label::None,
            [(locale, plain)] if locale.is_empty() => self.plain(plain),
            _ => {
                self.space.labels.push(text.clone());
                Label::Local(u32::try_from(self.space.labels.len() - 1).expect("fewer than 2^32 texts"))
            }
        }
    }

    pub(crate) fn text(&mut self, text: &str) -> super::Span {
        self.space.texts.add(text)
    }

    pub(crate) fn value(&mut self, value: Value) -> u32 {
        self.space.values.push(value);
        u32::try_from(self.space.values.len() - 1).expect("fewer than 2^32 values")
    }

    pub(crate) fn constant(&mut self, value: Value) -> Source {
        Source::Constant(self.value(value))
    }

    pub(crate) fn shape(&mut self, data_type: NodeIx, value_rank: i32, dimensions: &[u32], source: Source) -> u32 {
        let first = u32::try_from(self.space.dimensions.len()).expect("fewer than 2^32 dimensions");
        self.space.dimensions.extend_from_slice(dimensions);
        let dimensions = (first, u32::try_from(dimensions.len()).expect("few dimensions"));
        self.space.variables.push(VariableShape { data_type, value_rank, dimensions, source });
        u32::try_from(self.space.variables.len() - 1).expect("fewer than 2^32 variables")
    }

    /// Gives a Variable of namespace 0 its value.
    pub(crate) fn fill(&mut self, number: u32, source: Source) {
        let Some(at) = self.space.standard_node(number) else { return };
        if let Detail::Variable(shape) = self.space.node(at).detail {
            self.space.variables[shape as usize].source = source;
        }
    }

    pub(crate) fn set_data_type(&mut self, shape: u32, data_type: NodeIx) {
        self.space.variables[shape as usize].data_type = data_type;
    }

    pub(crate) fn set_event_notifier(&mut self, at: NodeIx, bits: u8) {
        if let Detail::Object { event_notifier } = &mut self.space.nodes[at.0 as usize].detail {
            *event_notifier = bits;
        }
    }

    /// Makes a node of namespace 0 readable over encrypted channels only.
    pub(crate) fn encrypt(&mut self, number: u32) {
        self.set_access(self.standard(number), AccessIx::ENCRYPTED);
    }

    pub(super) fn set_access(&mut self, at: NodeIx, access: AccessIx) {
        self.space.nodes[at.0 as usize].access = Some(access);
    }

    pub(super) fn add_role(&mut self, role: Role, at: NodeIx) {
        self.space.roles.insert(role, at);
    }

    /// Restrictions of every node, in addition to its own rules.
    pub(crate) fn restrict(&mut self, bits: u16) {
        self.space.restrictions |= bits;
    }

    pub(crate) fn tag_node(&mut self, tag: crate::model::TagId, at: NodeIx) {
        let slot = tag.0 as usize;
        if self.space.tag_nodes.len() <= slot {
            self.space.tag_nodes.resize(slot + 1, NodeIx(u32::MAX));
        }
        self.space.tag_nodes[slot] = at;
    }

    pub(crate) fn standard(&self, number: u32) -> NodeIx {
        self.space.standard_node(number).expect("the composer names nodes that namespace 0 has")
    }

    /// Puts nodes of namespace 0 into a folder of it.
    pub(crate) fn organize(&mut self, folder: u32, targets: &[u32]) {
        let folder = self.standard(folder);
        for target in targets {
            let target = self.standard(*target);
            self.refer(folder, kinds::ORGANIZES, target);
        }
    }

    pub(super) fn historical_mut(&mut self) -> &mut super::historical::Historical {
        &mut self.space.historical
    }

    pub(super) fn conditions_mut(&mut self) -> &mut super::condition_table::Conditions {
        &mut self.space.conditions
    }

    pub(super) fn has_notifier(&self, at: NodeIx) -> bool {
        self.reported.contains(&at)
    }

    pub(super) fn note_notifier(&mut self, at: NodeIx) {
        self.reported.insert(at);
    }

    pub(crate) fn find(&self, id: NodeIdRef<'_>) -> Option<NodeIx> {
        self.space.find(id)
    }

    /// A reference in both directions; a type definition is only at the instance.
    pub(crate) fn refer(&mut self, source: NodeIx, kind: u32, target: NodeIx) {
        let kind_ix = self.standard(kind).0;
        self.drawn.push((source, Reference { kind: kind_ix, target, forward: true }));
        if kind == kinds::HAS_TYPE_DEFINITION {
            self.space.nodes[source.0 as usize].type_definition = target;
        }
        if !matches!(kind, kinds::HAS_TYPE_DEFINITION | kinds::HAS_MODELLING_RULE) {
            self.drawn.push((target, Reference { kind: kind_ix, target: source, forward: false }));
        }
        if kind == kinds::HAS_SUBTYPE {
            self.space.supertype.insert(target.0, source.0);
        }
    }

    /// Lays the references out by node, in the order in which they were drawn, and walks those of events.
    pub(crate) fn finish(mut self) -> Space {
        let count = self.space.nodes.len();
        let mut first = vec![0u32; count + 1];
        for (source, _) in &self.drawn {
            first[source.0 as usize + 1] += 1;
        }
        for n in 0..count {
            first[n + 1] += first[n];
        }
        let mut next = first.clone();
        let mut laid = vec![Reference { kind: 0, target: NodeIx(0), forward: true }; self.drawn.len()];
        for (source, reference) in &self.drawn {
            let slot = &mut next[source.0 as usize];
            laid[*slot as usize] = *reference;
            *slot += 1;
        }
        self.space.first_reference = first;
        self.space.references = laid;
        self.space.texts.shrink();
        self.space.nodes.shrink_to_fit();
        self.space.variables.shrink_to_fit();
        self.space.values.shrink_to_fit();
        self.space.list_event_types();
        self.space.list_notifiers();
        self.space
    }
}
