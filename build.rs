//! Writes namespace 0 as a blob that `ua::space::standard` reads: all types, and those instances that are true here.
//!
//! The namespace crate links 12 MB of code that builds nodes one by one; run once at build time it leaves 300 KB.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use opcua::{
    BinaryEncodable, ContextOwned, DataEncoding, DataTypeDefinition, ExtensionObject, NamespaceMap, NodeId,
    NodeSetNamespaceMapper, NumericRange, TimestampsToReturn, Variant,
};
use opcua_core_namespace::CoreNamespace;
use opcua_nodes::{ImportedItem, NodeSetImport, NodeType, Variable};

/// Instances that nobody answers in this version, each with everything below it.
const CUT: [u32; 16] = [
    12_749, // Server.SetSubscriptionDurable
    12_885, // Server.EstimatedReturnTime
    12_637, // ServerConfiguration
    14_443, // PublishSubscribe
    16_301, // ServerCapabilities.RoleSet.AddRole
    16_304, // ServerCapabilities.RoleSet.RemoveRole
    25_565, // SecurityKeyServerAdmin
    25_584, // SecurityKeyServerPush
    25_603, // SecurityKeyServerAccess
    24_290, // UserManagement
    24_226, // Resources
    23_470, // Aliases
    17_594, // Dictionaries
    31_915, // Locations
    32_530, // Quantities
    32_637, // DefaultHAConfiguration: each tag with history has its own
];
/// The well-known roles that are here: without the methods that would change them.
const ROLES: [u32; 9] = [15_644, 15_656, 18_625, 15_668, 15_680, 16_036, 15_692, 15_716, 15_704];
const HAS_COMPONENT: u32 = 47;
/// Optional instances without a value that would be true: redundancy by id, groups and URIs of a redundant set.
const CUT_REDUNDANCY: [u32; 5] = [11_312, 11_313, 11_314, 14_415, 15_004];
/// The two type dictionaries: clients browse the nodes, their values (half a megabyte) are deprecated since 1.04.
const WITHOUT_VALUE: [u32; 2] = [7_617, 8_252];

const HAS_MODELLING_RULE_PARENT: u32 = 2_996;
const MODELLING_RULES: [u32; 5] = [78, 80, 83, 11_508, 11_510];
const ORGANIZES: u32 = 35;
/// HasComponent, HasProperty, HasOrderedComponent, Organizes.
const OWNING: [u32; 4] = [47, 46, 49, 35];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    let blob = Blob::collect().write();
    std::fs::write(Path::new(&out).join("namespace0.bin"), blob).expect("OUT_DIR can be written");
}

struct Blob {
    items: BTreeMap<u32, ImportedItem>,
    /// (source, type, target), forward only.
    references: BTreeSet<(u32, u32, u32)>,
}

fn number(id: &NodeId) -> u32 {
    id.as_u32().expect("namespace 0 has numeric ids only")
}

impl Blob {
    fn collect() -> Blob {
        let mut namespaces = NamespaceMap::new();
        let mut mapper = NodeSetNamespaceMapper::new(&mut namespaces);
        CoreNamespace.register_namespaces(&mut mapper);
        let items: BTreeMap<u32, ImportedItem> =
            CoreNamespace.load(&mapper).map(|item| (number(item.node.as_node().node_id()), item)).collect();
        let mut references = BTreeSet::new();
        for (id, item) in &items {
            for reference in &item.references {
                let (target, kind) = (number(&reference.target_id), number(&reference.type_id));
                references.insert(if reference.is_forward { (*id, kind, target) } else { (target, kind, *id) });
            }
        }
        references.extend(MODELLING_RULES.map(|rule| (HAS_MODELLING_RULE_PARENT, ORGANIZES, rule)));
        let mut blob = Blob { items, references };
        blob.prune();
        blob
    }

    fn prune(&mut self) {
        let mut gone: BTreeSet<u32> = BTreeSet::new();
        let mut next: Vec<u32> = CUT.iter().chain(&CUT_REDUNDANCY).copied().collect();
        for role in ROLES {
            let methods = self.references.range((role, HAS_COMPONENT, 0)..(role, HAS_COMPONENT + 1, 0));
            next.extend(methods.map(|(_, _, target)| *target));
        }
        while let Some(id) = next.pop() {
            if gone.insert(id) {
                let owned = self.references.range((id, 0, 0)..(id + 1, 0, 0));
                next.extend(owned.filter(|(_, kind, _)| OWNING.contains(kind)).map(|(_, _, target)| *target));
            }
        }
        self.items.retain(|id, _| !gone.contains(id));
        self.references.retain(|(from, _, to)| !gone.contains(from) && !gone.contains(to));
        let items = &self.items;
        self.references.retain(|(from, _, to)| items.contains_key(from) && items.contains_key(to));
    }

    fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(count(self.items.len()));
        for (id, item) in &self.items {
            out.extend(id.to_le_bytes());
            write_node(&mut out, *id, &item.node);
        }
        out.extend(count(self.references.len()));
        for (source, kind, target) in &self.references {
            for id in [source, kind, target] {
                out.extend(id.to_le_bytes());
            }
        }
        out
    }
}

fn count(n: usize) -> [u8; 4] {
    u32::try_from(n).expect("a blob is small").to_le_bytes()
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(count(bytes.len()));
    out.extend(bytes);
}

/// Class, BrowseName, DisplayName, Description, then what the class has: see `ua::space::standard`.
fn write_node(out: &mut Vec<u8>, id: u32, node: &NodeType) {
    let common = node.as_node();
    out.push(u8::try_from(common.node_class() as i32).expect("node classes fit a byte"));
    write_bytes(out, common.browse_name().name.as_ref().as_bytes());
    write_bytes(out, common.display_name().text.as_ref().as_bytes());
    write_bytes(out, common.description().map_or("", |text| text.text.as_ref()).as_bytes());
    match node {
        NodeType::Object(node) => out.push(node.event_notifier().bits()),
        NodeType::ObjectType(node) => out.push(u8::from(node.is_abstract())),
        NodeType::ReferenceType(node) => {
            out.push(u8::from(node.is_abstract()));
            out.push(u8::from(node.symmetric()));
            write_bytes(out, node.inverse_name().unwrap_or_default().text.as_ref().as_bytes());
        }
        NodeType::DataType(node) => {
            out.push(u8::from(node.is_abstract()));
            write_bytes(out, &node.data_type_definition().map(definition).unwrap_or_default());
        }
        NodeType::VariableType(node) => {
            out.push(u8::from(node.is_abstract()));
            write_shape(out, number(node.data_type()), node.value_rank(), node.array_dimensions());
            let value = node.value().and_then(|value| value.value.clone());
            write_bytes(out, &value.as_ref().map(variant).unwrap_or_default());
        }
        NodeType::Variable(node) => {
            write_shape(out, number(&node.data_type()), node.value_rank(), node.array_dimensions());
            let value = if WITHOUT_VALUE.contains(&id) { None } else { value_of(node) };
            write_bytes(out, &value.as_ref().map(variant).unwrap_or_default());
        }
        NodeType::Method(_) | NodeType::View(_) => {}
    }
}

fn write_shape(out: &mut Vec<u8>, data_type: u32, value_rank: i32, dimensions: Option<Vec<u32>>) {
    out.extend(data_type.to_le_bytes());
    out.extend(value_rank.to_le_bytes());
    let dimensions = dimensions.unwrap_or_default();
    out.extend(count(dimensions.len()));
    for size in dimensions {
        out.extend(size.to_le_bytes());
    }
}

fn value_of(node: &Variable) -> Option<Variant> {
    let read = node.value(TimestampsToReturn::Neither, &NumericRange::None, &DataEncoding::Binary, 0.0);
    read.value.filter(|value| !matches!(value, Variant::Empty))
}

fn variant(value: &Variant) -> Vec<u8> {
    let context = ContextOwned::default();
    value.encode_to_vec(&context.context())
}

fn definition(definition: &DataTypeDefinition) -> Vec<u8> {
    let object = match definition {
        DataTypeDefinition::Structure(structure) => ExtensionObject::from_message(structure.clone()),
        DataTypeDefinition::Enum(enumeration) => ExtensionObject::from_message(enumeration.clone()),
    };
    variant(&Variant::from(object))
}
