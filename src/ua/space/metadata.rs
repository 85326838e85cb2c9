//! NamespaceMetadata of our own namespaces, below Server.Namespaces (Part 5 §6.3.13 and §6.3.14, 1.05).

use opcua::{DataTypeId, VariableId};

use super::draft::{Draft, NewId, NewNode};
use super::kinds;
use super::{Class, DefaultOf, Detail, Label, NodeIx, Source};
use crate::model::AccessIx;
use crate::value::{Array, Elements, UaTime, Value};

const NAMESPACES: u32 = opcua::ObjectId::Server_Namespaces as u32;
const NAMESPACE_METADATA_TYPE: u32 = opcua::ObjectTypeId::NamespaceMetadataType as u32;
const PROPERTY_TYPE: u32 = opcua::VariableTypeId::PropertyType as u32;
/// IdType (Part 3 §8.17, 1.05): String identifiers do not change.
const STRING_IDS: i32 = 1;

/// Numbers of the defaults of namespace 0's own metadata, with their DataTypes.
const DEFAULTS: [(&str, VariableId, DataTypeId, i32, DefaultOf); 3] = [
    (
        "DefaultRolePermissions",
        VariableId::OPCUANamespaceMetadata_DefaultRolePermissions,
        DataTypeId::RolePermissionType,
        1,
        DefaultOf::RolePermissions,
    ),
    (
        "DefaultUserRolePermissions",
        VariableId::OPCUANamespaceMetadata_DefaultUserRolePermissions,
        DataTypeId::RolePermissionType,
        1,
        DefaultOf::UserRolePermissions,
    ),
    (
        "DefaultAccessRestrictions",
        VariableId::OPCUANamespaceMetadata_DefaultAccessRestrictions,
        DataTypeId::AccessRestrictionType,
        -1,
        DefaultOf::AccessRestrictions,
    ),
];

/// `access` is the rule of a cell's own Object, from which its nodes inherit; `None` for other namespaces.
pub(crate) fn describe_namespaces(draft: &mut Draft, access: impl Fn(&str) -> Option<AccessIx>) {
    for (_, number, _, _, of) in DEFAULTS {
        draft.fill(number as u32, Source::Default { access: None, of });
    }
    let uris: Vec<String> = draft.space().namespaces().iter().skip(1).filter(|uri| !uri.is_empty()).cloned().collect();
    for uri in uris {
        describe(draft, &uri, access(&uri));
    }
}

fn describe(draft: &mut Draft, uri: &str, access: Option<AccessIx>) {
    let id = format!("@namespace.{uri}");
    let at = draft.add(NewNode {
        class: Class::Object,
        namespace: 1,
        browse_namespace: 1,
        id: NewId::Text(&id),
        browse: uri,
        display: Label::Browse,
        description: Label::None,
        access: None,
        detail: Detail::Object { event_notifier: 0 },
    });
    let (parent, kind) = (draft.standard(NAMESPACES), draft.standard(NAMESPACE_METADATA_TYPE));
    draft.refer(at, kinds::HAS_TYPE_DEFINITION, kind);
    draft.refer(parent, kinds::HAS_COMPONENT, at);
    let none = |elements: Elements| Value::array(elements);
    // Name, DataType, rank, value; nothing is promised about versions, so those are empty.
    let properties: [(&str, DataTypeId, i32, Value); 7] = [
        ("NamespaceUri", DataTypeId::String, -1, Value::text(uri)),
        ("NamespaceVersion", DataTypeId::String, -1, Value::text("")),
        ("NamespacePublicationDate", DataTypeId::DateTime, -1, Value::DateTime(UaTime::NULL)),
        ("IsNamespaceSubset", DataTypeId::Boolean, -1, Value::Boolean(false)),
        ("StaticNodeIdTypes", DataTypeId::IdType, 1, none(Elements::Int32(vec![STRING_IDS]))),
        ("StaticNumericNodeIdRange", DataTypeId::NumericRange, 1, none(Elements::String(Vec::new()))),
        ("StaticStringNodeIdPattern", DataTypeId::String, -1, Value::text("%")),
    ];
    for (name, data_type, rank, value) in properties {
        let dimensions = match &value {
            Value::Array(array) => vec![count(array)],
            _ => Vec::new(),
        };
        let source = draft.constant(value);
        property(draft, at, &format!("{id}.{name}"), name, Shape { data_type, rank, dimensions: &dimensions, source });
    }
    for (name, _, data_type, rank, of) in DEFAULTS {
        let dimensions = if rank == 1 { &[0][..] } else { &[] };
        let source = Source::Default { access, of };
        property(draft, at, &format!("{id}.{name}"), name, Shape { data_type, rank, dimensions, source });
    }
}

/// Type and value of a property.
struct Shape<'a> {
    data_type: DataTypeId,
    rank: i32,
    dimensions: &'a [u32],
    source: Source,
}

fn property(draft: &mut Draft, owner: NodeIx, id: &str, name: &str, of: Shape<'_>) {
    let data_type = draft.standard(of.data_type as u32);
    let shape = draft.shape(data_type, of.rank, of.dimensions, of.source);
    let at = draft.add(NewNode {
        class: Class::Variable,
        namespace: 1,
        browse_namespace: 0,
        id: NewId::Text(id),
        browse: name,
        display: Label::Browse,
        description: Label::None,
        access: None,
        detail: Detail::Variable(shape),
    });
    let kind = draft.standard(PROPERTY_TYPE);
    draft.refer(at, kinds::HAS_TYPE_DEFINITION, kind);
    draft.refer(owner, kinds::HAS_PROPERTY, at);
}

fn count(array: &Array) -> u32 {
    u32::try_from(array.elements.len()).unwrap_or(u32::MAX)
}
