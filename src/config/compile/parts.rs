//! Child variables of structure tags: a tag a field, down through structures in structures.

use super::Compiler;
use super::scope::{Entry, Scope, Walk};
use crate::config::at::At;
use crate::config::spec::NodeSpec;
use crate::model::{
    DataType, HistoryIx, Node, NodeIx, NodeKind, NodeName, Origin, Shape, StructField, StructIx, Tag, TagId,
};

/// A field below a structure.
struct Part {
    name: std::sync::Arc<str>,
    field: StructField,
    /// Number of fields above it.
    level: usize,
}

impl Compiler<'_> {
    /// Whether a tag has a variable for each of its fields.
    pub(super) fn shows_parts(&mut self, spec: &NodeSpec, shape: Option<&Shape>) -> bool {
        let is_structure = shape.is_none_or(|shape| matches!(shape.data_type, DataType::Struct(_)));
        if let Some(fields) = spec.fields.as_ref().filter(|_| !is_structure) {
            let finding = self.findings.error(&self.source, fields.ix, "only a structure has `fields`");
            finding.help("delete it");
        }
        let is_wanted = spec.fields.as_ref().is_none_or(|fields| fields.value);
        is_wanted && shape.is_some_and(|shape| shape.is_scalar() && matches!(shape.data_type, DataType::Struct(_)))
    }

    /// History is kept by field.
    pub(super) fn check_structure_history(&mut self, own: Option<&At<String>>, shows_parts: bool, scope: &mut Scope) {
        let Some(own) = own else { return };
        if self.history_named(own, scope).is_some() && !shows_parts {
            let message = "the history of a structure is that of its fields, and this tag shows none";
            let finding = self.findings.error(&self.source, own.ix, message);
            finding.help("write `history: none`, or let the tag have its fields as variables");
        }
    }

    /// The instance declarations of the parts of a structure in an object type.
    pub(super) fn declare_parts(&mut self, shape: &Shape, node: NodeIx, below: &Walk<'_>, scope: &mut Scope) {
        let DataType::Struct(ix) = shape.data_type else { return };
        let mut way = vec![node];
        for part in self.parts_below(ix, scope) {
            let kind = NodeKind::Declaration(Box::new(part.field.shape.clone()));
            self.part_node(&part, kind, &mut way, below, scope);
        }
    }

    /// The tags and nodes of the parts of a structure tag.
    pub(super) fn parts(&mut self, of: TagId, entry: Entry<'_>, below: &Walk<'_>, scope: &mut Scope) {
        let structure = self.plant.tag(of).clone();
        let DataType::Struct(ix) = structure.shape.data_type else { return };
        let own_history = entry.spec.history.as_ref();
        // A structure that is only written has no present value to put a field into.
        let write = match structure.origin {
            Origin::Device { connection, read, write, .. } => {
                read && write && self.drivers[connection.0 as usize].settings.writes_fields()
            }
            Origin::Memory { write, .. } | Origin::Part { write, .. } => write,
            Origin::Derived(_) => false,
        };
        let mut way = vec![structure.node];
        let mut tags = Vec::new();
        for (at, part) in (0..).zip(self.parts_below(ix, scope)) {
            let history = self.history_of_part(&part, own_history, &structure, below, scope);
            let id = self.plant.tags.next();
            let node = self.part_node(&part, NodeKind::Variable(id), &mut way, below, scope);
            self.plant.tags.push(Tag {
                cell: scope.index,
                node,
                shape: part.field.shape,
                origin: Origin::Part { of, part: at, write },
                // Of a write to a device; the structure is read as a whole.
                scale: part.field.scale,
                deadband: 0.0,
                wraps: false,
                poll: structure.poll_period(),
                stale_after: structure.stale_after,
                enabled: structure.enabled,
                access: structure.access,
                history,
            });
            tags.push(id);
        }
        self.field_points(of, &structure, &tags);
        self.plant.parts.insert(of, tags.into());
    }

    /// The class of a field that a store can keep.
    fn history_of_part(
        &mut self,
        part: &Part,
        own: Option<&At<String>>,
        structure: &Tag,
        below: &Walk<'_>,
        scope: &mut Scope,
    ) -> Option<HistoryIx> {
        if matches!(part.field.shape.data_type, DataType::Struct(_)) {
            return None;
        }
        let at = own.map(|own| own.ix).or_else(|| self.source.key_of(below.hang.0)).unwrap_or(below.hang.0);
        self.history_of_tag(own, &part.field.shape, &structure.origin, &below.inherited, at, scope)
    }

    fn part_node(
        &mut self,
        part: &Part,
        kind: NodeKind,
        way: &mut Vec<NodeIx>,
        below: &Walk<'_>,
        scope: &Scope,
    ) -> NodeIx {
        way.truncate(part.level + 1);
        let access = self.access_ix(below.inherited.access);
        let node = Node {
            name: std::sync::Arc::clone(&part.name),
            id: NodeName::Path,
            parent: way.last().copied(),
            kind,
            display_name: None,
            description: part.field.description.clone(),
            access,
        };
        self.node_count += 1;
        let node = self.push_node(node, below.into, scope);
        way.push(node);
        node
    }

    /// The parts in the order of the layout's.
    fn parts_below(&self, ix: StructIx, scope: &Scope) -> Vec<Part> {
        let mut found = Vec::new();
        self.add_parts(ix, 0, scope, &mut found);
        found
    }

    fn add_parts(&self, ix: StructIx, level: usize, scope: &Scope, found: &mut Vec<Part>) {
        let of = self.plant.cells[usize::from(scope.index)].structure(ix);
        for (kind, field) in of.kind.fields.iter().zip(&of.fields) {
            found.push(Part { name: std::sync::Arc::clone(&kind.name), field: field.clone(), level });
            if let (DataType::Struct(inner), true) = (field.shape.data_type, field.shape.is_scalar()) {
                self.add_parts(inner, level + 1, scope, found);
            }
        }
    }
}
