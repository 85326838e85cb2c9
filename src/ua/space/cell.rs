//! Cells into the address space: types first, then the tree, each Variable with its properties.

use super::draft::{Draft, NewId, NewNode};
use super::kinds;
use super::node_version::{NodeVersions, VersionWriter};
use super::{Class, Detail, Label, Live, NodeIx, Source};
use crate::model::{Cell, DataType, Node, NodeKind, NodeName, Origin, Plant, Shape, Tag, TagId, Text};
use crate::stack::codec::{LocalizedTextRef, Writer};
use crate::value::Value;

/// Numbers of types and objects that the composer hangs its nodes on.
mod std_node {
    pub(crate) const STRING: u32 = opcua::DataTypeId::String as u32;
    pub(crate) const BOOLEAN: u32 = opcua::DataTypeId::Boolean as u32;
    pub(crate) const OBJECTS: u32 = opcua::ObjectId::ObjectsFolder as u32;
    pub(crate) const BASE_OBJECT_TYPE: u32 = opcua::ObjectTypeId::BaseObjectType as u32;
    pub(crate) const FOLDER_TYPE: u32 = opcua::ObjectTypeId::FolderType as u32;
    pub(crate) const BASE_DATA_VARIABLE: u32 = opcua::VariableTypeId::BaseDataVariableType as u32;
    pub(crate) const PROPERTY_TYPE: u32 = opcua::VariableTypeId::PropertyType as u32;
    pub(crate) const ANALOG_ITEM: u32 = opcua::VariableTypeId::AnalogItemType as u32;
    pub(crate) const ANALOG_UNIT: u32 = opcua::VariableTypeId::AnalogUnitType as u32;
    pub(crate) const MANDATORY: u32 = opcua::ObjectId::ModellingRule_Mandatory as u32;
    pub(crate) const RANGE: u32 = opcua::DataTypeId::Range as u32;
    pub(crate) const EU_INFORMATION: u32 = opcua::DataTypeId::EUInformation as u32;
    pub(crate) const UINT32: u32 = opcua::DataTypeId::UInt32 as u32;
}
/// Default Binary encodings (Part 6 annex A, 1.05).
mod encoding {
    pub(crate) const RANGE: u32 = opcua::ObjectId::Range_Encoding_DefaultBinary as u32;
    pub(crate) const EU_INFORMATION: u32 = opcua::ObjectId::EUInformation_Encoding_DefaultBinary as u32;
}
const UNECE: &str = "http://www.opcfoundation.org/UA/units/un/cefact";

/// A connection's diagnostics as Variables: name, DataType; the place in the list is `Live::Connection::variable`.
pub const CONNECTION_VARIABLES: [(&str, u32); 12] = [
    ("State", 12),
    ("LastError", 12),
    ("ConnectedSince", 13),
    ("Requests", 9),
    ("Errors", 9),
    ("Timeouts", 9),
    ("Overruns", 9),
    ("ScanTimeLast", 290),
    ("ScanTimeMax", 290),
    ("DemotedUnits", 7),
    ("PlanLoad", 11),
    ("Enabled", 1),
];

/// The one of them that a client may write.
pub(crate) const ENABLED: u8 = 11;

/// The whole address space of a plant. `indices` are the pinned namespace indices, one a cell; `versions` says in which
/// revision each node last changed.
pub(crate) fn compose(plant: &Plant, application_uri: &str, indices: &[u16], versions: &NodeVersions) -> Draft {
    let mut draft = Draft::new(application_uri);
    super::standard::load(&mut draft);
    let mut versions = VersionWriter::new(versions);
    for (number, (cell, index)) in plant.cells.iter().zip(indices).enumerate() {
        draft.namespace(*index, &cell.namespace);
        let (draft, types) = (&mut draft, Types::default());
        let mut composer = CellComposer { draft, versions: &mut versions, plant, cell, namespace: *index, types };
        composer.data_types();
        composer.object_types();
        let nodes = composer.tree();
        composer.simulated();
        let number = u16::try_from(number).expect("fewer than 65,536 cells");
        composer.connections(number);
        super::conditions::compose(draft, plant, number, *index, &nodes);
    }
    super::metadata::describe_namespaces(&mut draft, |uri| {
        let cell = plant.cells.iter().find(|cell| cell.namespace == uri);
        cell.and_then(|cell| cell.nodes.first()).map(|root| root.access)
    });
    draft
}

#[derive(Default)]
pub(super) struct Types {
    pub(super) enums: Vec<NodeIx>,
    pub(super) flags: Vec<NodeIx>,
    pub(super) structs: Vec<NodeIx>,
    objects: Vec<NodeIx>,
}

pub(super) struct CellComposer<'a, 'v> {
    pub(super) draft: &'a mut Draft,
    versions: &'a mut VersionWriter<'v>,
    plant: &'a Plant,
    pub(super) cell: &'a Cell,
    pub(super) namespace: u16,
    pub(super) types: Types,
}

impl CellComposer<'_, '_> {
    /// A node of this cell that is open to every session and shows its own name.
    pub(super) fn node_of<'n>(&self, class: Class, id: NewId<'n>, browse: &'n str, detail: Detail) -> NewNode<'n> {
        NewNode {
            class,
            namespace: self.namespace,
            browse_namespace: self.namespace,
            id,
            browse,
            display: Label::Browse,
            description: Label::None,
            access: None,
            detail,
        }
    }

    /// A Property of namespace 0 with a constant value; `count` makes it an array.
    pub(super) fn property(
        &mut self,
        owner: NodeIx,
        path: &str,
        name: &str,
        data_type: u32,
        count: Option<u32>,
        value: Value,
    ) -> NodeIx {
        let path = format!("{path}.{name}");
        let source = self.draft.constant(value);
        let data_type = self.draft.standard(data_type);
        let (rank, dimensions) = match &count {
            Some(count) => (1, std::slice::from_ref(count)),
            None => (-1, [].as_slice()),
        };
        let shape = self.draft.shape(data_type, rank, dimensions, source);
        let access = self.draft.space().node(owner).access;
        let new = self.node_of(Class::Variable, NewId::Text(&path), name, Detail::Variable(shape));
        let at = self.draft.add(NewNode { browse_namespace: 0, access, ..new });
        let property_type = self.draft.standard(std_node::PROPERTY_TYPE);
        self.draft.refer(at, kinds::HAS_TYPE_DEFINITION, property_type);
        self.draft.refer(owner, kinds::HAS_PROPERTY, at);
        at
    }

    fn object_types(&mut self) {
        let base = self.draft.standard(std_node::BASE_OBJECT_TYPE);
        for kind in &self.cell.object_types {
            let path = format!("@type.{}", kind.name);
            let new = self.node_of(
                Class::ObjectType,
                NewId::Text(&path),
                &kind.name,
                Detail::ObjectType { is_abstract: false },
            );
            let description = self.label(kind.description.as_deref());
            let at = self.draft.add(NewNode { description, ..new });
            self.draft.refer(base, kinds::HAS_SUBTYPE, at);
            self.types.objects.push(at);
        }
        for (n, kind) in self.cell.object_types.iter().enumerate() {
            let owner = self.types.objects[n];
            let mut placed = Vec::with_capacity(kind.children.len());
            for (ix, child) in kind.children.iter().enumerate() {
                let ix = crate::model::NodeIx(u32::try_from(ix).expect("fewer than 2^32 nodes"));
                let path = format!("@type.{}.{}", kind.name, kind.path(ix));
                let parent = child.parent.map_or(Parent { at: owner, is_folder: false }, |at| placed[at.0 as usize]);
                let at = self.node(child, &path, true);
                self.place(parent, at);
                let mandatory = self.draft.standard(std_node::MANDATORY);
                self.draft.refer(at, kinds::HAS_MODELLING_RULE, mandatory);
                placed.push(Parent { at, is_folder: matches!(child.kind, NodeKind::Folder) });
            }
        }
    }

    /// The nodes of the cell in the order of the cell.
    fn tree(&mut self) -> Vec<NodeIx> {
        let objects = self.draft.standard(std_node::OBJECTS);
        let mut placed: Vec<Parent> = Vec::with_capacity(self.cell.nodes.len());
        let mut paths: Vec<String> = Vec::with_capacity(self.cell.nodes.len());
        for node in &self.cell.nodes {
            let path = path_of(node, &paths);
            let id_path = if node.parent.is_none() { "@cell" } else { path.as_str() };
            let at = self.node(node, id_path, false);
            let parent =
                node.parent.map_or(Parent { at: objects, is_folder: true }, |parent| placed[parent.0 as usize]);
            self.place(parent, at);
            placed.push(Parent { at, is_folder: matches!(node.kind, NodeKind::Folder) });
            // Only nodes that can have children are asked for their path again.
            paths.push(if self.is_leaf(node) { String::new() } else { path });
        }
        // After all other nodes, whose ids come first.
        for (node, placed) in self.cell.nodes.iter().zip(&placed) {
            let path = match node.kind {
                NodeKind::Variable(_) if self.versions.is_first() => continue,
                _ if node.parent.is_none() => "@cell".to_owned(),
                _ => path_of(node, &paths),
            };
            self.versions.write(self.draft, placed.at, &path);
        }
        placed.into_iter().map(|placed| placed.at).collect()
    }

    /// Whether nothing can be below a node: a tag that is no structure.
    fn is_leaf(&self, node: &Node) -> bool {
        match &node.kind {
            NodeKind::Variable(tag) => !matches!(self.plant.tag(*tag).shape.data_type, DataType::Struct(_)),
            NodeKind::Folder | NodeKind::Object(_) | NodeKind::Declaration(_) => false,
        }
    }

    /// Folders organise, objects consist of (Part 5 §6.6 and Part 3 §7.7, 1.05).
    fn place(&mut self, parent: Parent, at: NodeIx) {
        self.draft.refer(parent.at, if parent.is_folder { kinds::ORGANIZES } else { kinds::HAS_COMPONENT }, at);
    }

    pub(super) fn label(&mut self, text: Option<&Text>) -> Label {
        text.map_or(Label::None, |text| self.draft.label(text))
    }

    fn node(&mut self, node: &Node, path: &str, in_type: bool) -> NodeIx {
        let (class, detail) = match &node.kind {
            NodeKind::Folder | NodeKind::Object(_) => (Class::Object, Detail::Object { event_notifier: 0 }),
            NodeKind::Variable(id) => {
                let tag = self.plant.tag(*id);
                let is_member = self.plant.parts.contains_key(id) || matches!(tag.origin, Origin::Part { .. });
                let source = if is_member { Source::Member(*id) } else { Source::Tag(*id) };
                (Class::Variable, Detail::Variable(self.variable(&tag.shape, source)))
            }
            NodeKind::Declaration(shape) => (Class::Variable, Detail::Variable(self.variable(shape, Source::None))),
        };
        let id = match &node.id {
            NodeName::Numeric(number) => NewId::Numeric(*number),
            NodeName::Text(text) => NewId::Text(text),
            NodeName::Path => NewId::Text(path),
        };
        let display = match node.display_name.as_deref() {
            Some(text) => self.draft.label(text),
            None => Label::Browse,
        };
        let description = self.label(node.description.as_deref());
        let access = if in_type { None } else { Some(node.access) };
        let new = self.node_of(class, id, &node.name, detail);
        let at = self.draft.add(NewNode { display, description, access, ..new });
        let type_definition = self.type_definition(&node.kind);
        self.draft.refer(at, kinds::HAS_TYPE_DEFINITION, type_definition);
        match &node.kind {
            NodeKind::Variable(tag) => {
                self.draft.tag_node(*tag, at);
                self.properties(at, path, &self.plant.tag(*tag).shape, false);
                if self.plant.tag(*tag).has_reason() {
                    self.status_reason(at, path, *tag);
                }
            }
            NodeKind::Declaration(shape) => self.properties(at, path, shape, true),
            NodeKind::Folder | NodeKind::Object(_) => {}
        }
        at
    }

    fn type_definition(&self, kind: &NodeKind) -> NodeIx {
        let of_shape = |shape: &Shape| match shape {
            Shape { range: Some(_), .. } => std_node::ANALOG_ITEM,
            Shape { unit: Some(_), .. } => std_node::ANALOG_UNIT,
            _ => std_node::BASE_DATA_VARIABLE,
        };
        let number = match kind {
            NodeKind::Folder => std_node::FOLDER_TYPE,
            NodeKind::Object(kind) => return self.types.objects[kind.0 as usize],
            NodeKind::Variable(tag) => match self.plant.tag(*tag) {
                Tag { origin: Origin::Part { .. }, .. } => std_node::BASE_DATA_VARIABLE,
                tag => of_shape(&tag.shape),
            },
            NodeKind::Declaration(shape) => of_shape(shape),
        };
        self.draft.standard(number)
    }

    pub(super) fn data_type(&self, of: DataType) -> NodeIx {
        match of {
            DataType::BuiltIn(kind) => self.draft.standard(u32::from(kind as u8)),
            DataType::Enum(kind) => self.types.enums[kind.0 as usize],
            DataType::Flags(kind, _) => self.types.flags[kind.0 as usize],
            DataType::Struct(kind) => self.types.structs[kind.0 as usize],
        }
    }

    fn variable(&mut self, shape: &Shape, source: Source) -> u32 {
        let data_type = self.data_type(shape.data_type);
        let rank = if shape.is_scalar() { -1 } else { i32::try_from(shape.dimensions.len()).unwrap_or(1) };
        self.draft.shape(data_type, rank, &shape.dimensions, source)
    }

    fn properties(&mut self, owner: NodeIx, path: &str, shape: &Shape, in_type: bool) {
        let mut made = Vec::new();
        if let Some((low, high)) = shape.range {
            let value = extension(encoding::RANGE, |w| {
                w.f64(low);
                w.f64(high);
            });
            made.push(self.property(owner, path, "EURange", std_node::RANGE, None, value));
        }
        if let Some(unit) = &shape.unit {
            let value = extension(encoding::EU_INFORMATION, |w| {
                w.text(if unit.id == -1 { "" } else { UNECE });
                w.i32(unit.id);
                w.localized_text(LocalizedTextRef { locale: None, text: Some(&unit.symbol) });
                w.localized_text(LocalizedTextRef { locale: None, text: Some(&unit.name) });
            });
            made.push(self.property(owner, path, "EngineeringUnits", std_node::EU_INFORMATION, None, value));
        }
        if let Some(length) = shape.length {
            made.push(self.property(owner, path, "MaxStringLength", std_node::UINT32, None, Value::UInt32(length)));
        }
        if in_type {
            let mandatory = self.draft.standard(std_node::MANDATORY);
            made.into_iter().for_each(|at| self.draft.refer(at, kinds::HAS_MODELLING_RULE, mandatory));
        }
    }

    /// A Property of a tag that comes from a device or is calculated: why it has no good value.
    fn status_reason(&mut self, owner: NodeIx, path: &str, tag: TagId) {
        let path = format!("{path}.StatusReason");
        let data_type = self.draft.standard(std_node::STRING);
        let shape = self.draft.shape(data_type, -1, &[], Source::Live(Live::Reason(tag)));
        let access = self.draft.space().node(owner).access;
        let new = self.node_of(Class::Variable, NewId::Text(&path), "StatusReason", Detail::Variable(shape));
        let at = self.draft.add(NewNode { access, ..new });
        let property_type = self.draft.standard(std_node::PROPERTY_TYPE);
        self.draft.refer(at, kinds::HAS_TYPE_DEFINITION, property_type);
        self.draft.refer(owner, kinds::HAS_PROPERTY, at);
    }

    /// `s=@simulated` of the cell: whether a simulator makes all values of its connections.
    fn simulated(&mut self) {
        let cell_id = crate::stack::codec::NodeIdRef::string(self.namespace, "@cell");
        let Some(cell) = self.draft.find(cell_id) else { return };
        let data_type = self.draft.standard(std_node::BOOLEAN);
        let source = self.draft.constant(Value::Boolean(self.plant.simulated));
        let shape = self.draft.shape(data_type, -1, &[], source);
        let access = self.draft.space().node(cell).access;
        let new = self.node_of(Class::Variable, NewId::Text("@simulated"), "@simulated", Detail::Variable(shape));
        let at = self.draft.add(NewNode { access, ..new });
        let property_type = self.draft.standard(std_node::PROPERTY_TYPE);
        self.draft.refer(at, kinds::HAS_TYPE_DEFINITION, property_type);
        self.draft.refer(cell, kinds::HAS_PROPERTY, at);
    }

    /// `s=@connections` below the cell: State, LastError and counters of each link.
    fn connections(&mut self, number: u16) {
        let mine: Vec<_> = self.plant.connections.iter().filter(|(_, connection)| connection.cell == number).collect();
        let Some(root) = self.cell.nodes.first().filter(|_| !mine.is_empty()) else { return };
        let cell_id = crate::stack::codec::NodeIdRef::string(self.namespace, "@cell");
        let Some(cell) = self.draft.find(cell_id) else { return };
        let access = Some(root.access);
        let object = Detail::Object { event_notifier: 0 };
        let new = self.node_of(Class::Object, NewId::Text("@connections"), "@connections", object);
        let folder = self.draft.add(NewNode { access, ..new });
        let folder_type = self.draft.standard(std_node::FOLDER_TYPE);
        self.draft.refer(folder, kinds::HAS_TYPE_DEFINITION, folder_type);
        self.draft.refer(cell, kinds::ORGANIZES, folder);
        self.versions.write(self.draft, folder, "@connections");
        for (ix, connection) in mine {
            let path = format!("@connections.{}", connection.name);
            let description = self.draft.plain(&connection.description);
            let new = self.node_of(Class::Object, NewId::Text(&path), &connection.name, object);
            let owner = self.draft.add(NewNode { description, access, ..new });
            let base = self.draft.standard(std_node::BASE_OBJECT_TYPE);
            self.draft.refer(owner, kinds::HAS_TYPE_DEFINITION, base);
            self.draft.refer(folder, kinds::ORGANIZES, owner);
            self.connection_variables(owner, &path, ix.0);
            self.versions.write(self.draft, owner, &path);
        }
    }

    fn connection_variables(&mut self, owner: NodeIx, path: &str, connection: u32) {
        for (n, (name, data_type)) in CONNECTION_VARIABLES.iter().enumerate() {
            let path = format!("{path}.{name}");
            let live = Live::Connection { connection, variable: u8::try_from(n).expect("few variables") };
            let data_type = self.draft.standard(*data_type);
            let shape = self.draft.shape(data_type, -1, &[], Source::Live(live));
            let access = self.draft.space().node(owner).access;
            let new = self.node_of(Class::Variable, NewId::Text(&path), name, Detail::Variable(shape));
            let at = self.draft.add(NewNode { access, ..new });
            let kind = self.draft.standard(std_node::BASE_DATA_VARIABLE);
            self.draft.refer(at, kinds::HAS_TYPE_DEFINITION, kind);
            self.draft.refer(owner, kinds::HAS_COMPONENT, at);
        }
    }
}

/// The path of a node below the cell's Object; `paths` has those of all Objects before it.
fn path_of(node: &Node, paths: &[String]) -> String {
    match node.parent {
        None => String::new(),
        Some(parent) if parent.0 == 0 => node.name.to_string(),
        Some(parent) => format!("{}.{}", paths[parent.0 as usize], node.name),
    }
}

/// A scalar ExtensionObject as a value.
pub(crate) fn extension(encoding: u32, body: impl FnOnce(&mut Writer)) -> Value {
    let mut bytes = Writer::new();
    bytes.u8(22);
    bytes.extension_object(encoding, body);
    Value::Wire(bytes.buf.into())
}

/// A node that others are placed below.
#[derive(Clone, Copy)]
struct Parent {
    at: NodeIx,
    is_folder: bool,
}
