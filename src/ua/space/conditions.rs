//! Conditions into the address space (Part 9 §5.5 to §5.8, 1.05): their nodes, the folders that hold them, and the
//! Objects that report their events.

use std::collections::{BTreeMap, HashMap};

use super::condition_parts::{PARTS, PartKind, condition_type};
use super::condition_table::Conditions;
use super::draft::{Draft, NewId, NewNode};
use super::kinds;
use super::{Class, Detail, Label, Live, NodeIx, Source};
use crate::model::{Alarm, AlarmIx, Cell, NodeKind, Plant};
use crate::stack::codec::NodeIdRef;

const SERVER: u32 = opcua::ObjectId::Server as u32;
const FOLDER_TYPE: u32 = opcua::ObjectTypeId::FolderType as u32;
const DATA_VARIABLE: u32 = opcua::VariableTypeId::BaseDataVariableType as u32;
const HAS_CONDITION: u32 = opcua::ReferenceTypeId::HasCondition as u32;
const SUBSCRIBE_TO_EVENTS: u8 = 1;

/// Counters of a cell's alarms: name and DataType; the place in the list is `Live::AlarmCount::of`.
pub(crate) const COUNTERS: [(&str, opcua::DataTypeId); 4] = [
    ("ActiveCount", opcua::DataTypeId::UInt32),
    ("UnackedCount", opcua::DataTypeId::UInt32),
    ("SuppressedCount", opcua::DataTypeId::UInt32),
    ("WorstSeverity", opcua::DataTypeId::UInt16),
];

/// One cell with alarms.
struct Composer<'a> {
    draft: &'a mut Draft,
    cell: &'a Cell,
    namespace: u16,
    /// Folders by the place of their Object in the cell, each with its path.
    folders: BTreeMap<u32, NodeIx>,
    conditions: Conditions,
}

/// Adds the conditions of a cell; `nodes` are its Objects and Variables, in the order of the cell.
pub(super) fn compose(draft: &mut Draft, plant: &Plant, number: u16, namespace: u16, nodes: &[NodeIx]) {
    let cell = &plant.cells[usize::from(number)];
    let alarms = plant.alarms.iter().filter(|(_, alarm)| plant.tag(alarm.tag).cell == number);
    let alarms: Vec<(AlarmIx, &Alarm)> = alarms.collect();
    if alarms.is_empty() {
        return;
    }
    let conditions = std::mem::take(draft.conditions_mut());
    let mut composer = Composer { draft, cell, namespace, folders: BTreeMap::new(), conditions };
    for (ix, alarm) in alarms {
        let at = plant.tag(alarm.tag).node;
        let Some(above) = cell.node(at).parent else { continue };
        let folder = composer.folder(above.0, nodes);
        composer.condition(ix, alarm, at, nodes, folder);
        composer.report(at.0, nodes);
    }
    composer.counters(nodes[0]);
    let Composer { draft, conditions, .. } = composer;
    *draft.conditions_mut() = conditions;
}

impl Composer<'_> {
    fn add(&mut self, class: Class, id: &str, name: &str, of: NodeIx, detail: Detail, is_standard: bool) -> NodeIx {
        let access = self.draft.space().node(of).access;
        self.draft.add(NewNode {
            class,
            namespace: self.namespace,
            browse_namespace: if is_standard { 0 } else { self.namespace },
            id: NewId::Text(id),
            browse: name,
            display: Label::Browse,
            description: Label::None,
            access,
            detail,
        })
    }

    fn variable(&mut self, data_type: u32, live: Live) -> Detail {
        let data_type = self.draft.standard(data_type);
        Detail::Variable(self.draft.shape(data_type, -1, &[], Source::Live(live)))
    }

    /// The folder `Alarms` of an Object.
    fn folder(&mut self, object: u32, nodes: &[NodeIx]) -> NodeIx {
        if let Some(folder) = self.folders.get(&object) {
            return *folder;
        }
        let id = match object {
            0 => "@alarms".to_owned(),
            _ => format!("{}.@alarms", self.cell.path(crate::model::NodeIx(object))),
        };
        let owner = nodes[object as usize];
        let folder = self.add(Class::Object, &id, "Alarms", owner, Detail::Object { event_notifier: 0 }, false);
        let folder_type = self.draft.standard(FOLDER_TYPE);
        self.draft.refer(folder, kinds::HAS_TYPE_DEFINITION, folder_type);
        let is_folder = matches!(self.cell.node(crate::model::NodeIx(object)).kind, NodeKind::Folder);
        self.draft.refer(owner, if is_folder { kinds::ORGANIZES } else { kinds::HAS_COMPONENT }, folder);
        self.folders.insert(object, folder);
        folder
    }

    fn condition(&mut self, ix: AlarmIx, alarm: &Alarm, at: crate::model::NodeIx, nodes: &[NodeIx], folder: NodeIx) {
        let tag = nodes[at.0 as usize];
        let path = format!("{}.@alarms.{}", self.cell.path(at), alarm.name);
        let name = format!("{}-{}", self.cell.node(at).name, alarm.name);
        let object = Detail::Object { event_notifier: 0 };
        let condition = self.add(Class::Object, &path, &name, tag, object, false);
        let kind = self.draft.standard(condition_type(alarm));
        self.draft.refer(condition, kinds::HAS_TYPE_DEFINITION, kind);
        self.draft.refer(folder, kinds::HAS_COMPONENT, condition);
        self.draft.refer(tag, HAS_CONDITION, condition);
        self.conditions.alarms.insert(condition, ix);
        self.conditions.nodes.insert(ix, condition);
        let mut made: HashMap<&str, NodeIx> = HashMap::new();
        for part in PARTS.iter().filter(|part| part.has.holds(alarm)) {
            let (above, name) = part.path.rsplit_once('.').unwrap_or(("", part.path));
            let owner = made.get(above).copied().unwrap_or(condition);
            let id = format!("{path}.{}", part.path);
            let (class, detail) = match (part.kind, part.value) {
                (PartKind::Object(_), _) => (Class::Object, object),
                (PartKind::Method(_), _) => (Class::Method, Detail::Method { is_executable: true }),
                (_, Some(value)) => {
                    (Class::Variable, self.variable(part.data_type, Live::Condition { alarm: ix, part: value }))
                }
                (_, None) => continue,
            };
            let node = self.add(class, &id, name, tag, detail, part.kind != PartKind::Plain);
            if let Some(kind) = part.kind.type_definition() {
                let kind = self.draft.standard(kind);
                self.draft.refer(node, kinds::HAS_TYPE_DEFINITION, kind);
            }
            let is_property = part.kind == PartKind::Property;
            self.draft.refer(owner, if is_property { kinds::HAS_PROPERTY } else { kinds::HAS_COMPONENT }, node);
            match part.kind {
                PartKind::Object(_) if part.path == "ShelvingState" => {
                    self.conditions.alarms.insert(node, ix);
                }
                PartKind::Method(Some(arguments)) => self.arguments(node, &id, arguments),
                _ => {}
            }
            made.insert(part.path, node);
        }
    }

    /// InputArguments of a method: those of its declaration.
    fn arguments(&mut self, method: NodeIx, id: &str, declared: u32) {
        let declared = self.draft.space().node(self.draft.standard(declared));
        let node =
            self.add(Class::Variable, &format!("{id}.InputArguments"), "InputArguments", method, declared.detail, true);
        let kind = self.draft.standard(opcua::VariableTypeId::PropertyType as u32);
        self.draft.refer(node, kinds::HAS_TYPE_DEFINITION, kind);
        self.draft.refer(method, kinds::HAS_PROPERTY, node);
    }

    /// Lets the Objects above a tag report its events (Part 9 §6.2, 1.05).
    fn report(&mut self, tag: u32, nodes: &[NodeIx]) {
        let (mut below, mut kind) = (tag, kinds::HAS_EVENT_SOURCE);
        while let Some(above) = self.cell.node(crate::model::NodeIx(below)).parent {
            let above = above.0;
            let (parent, child) = (nodes[above as usize], nodes[below as usize]);
            if self.draft.has_notifier(child) {
                return;
            }
            self.draft.refer(parent, kind, child);
            self.draft.note_notifier(child);
            self.draft.set_event_notifier(parent, SUBSCRIBE_TO_EVENTS);
            (below, kind) = (above, kinds::HAS_NOTIFIER);
        }
        let root = nodes[0];
        if !self.draft.has_notifier(root) {
            let server = self.draft.standard(SERVER);
            self.draft.refer(server, kinds::HAS_NOTIFIER, root);
            self.draft.note_notifier(root);
        }
    }

    /// `s=@alarms.ActiveCount` and others, below the folder of the cell's own Object.
    fn counters(&mut self, root: NodeIx) {
        let folder = self.draft.find(NodeIdRef::string(self.namespace, "@alarms"));
        let folder = folder.unwrap_or_else(|| self.folder(0, &[root]));
        for (n, (name, data_type)) in (0..).zip(COUNTERS) {
            let detail = self.variable(data_type as u32, Live::AlarmCount { namespace: self.namespace, of: n });
            let node = self.add(Class::Variable, &format!("@alarms.{name}"), name, root, detail, false);
            let kind = self.draft.standard(DATA_VARIABLE);
            self.draft.refer(node, kinds::HAS_TYPE_DEFINITION, kind);
            self.draft.refer(folder, kinds::HAS_COMPONENT, node);
        }
    }
}
