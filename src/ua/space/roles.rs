//! The RoleSet (Part 18 §4.3, 1.05): an Object for each role, so that RolePermissions can name it. All sessions see
//! that a role is there; its holders are for SecurityAdmin over an encrypted channel (§4.4.1), others don't find the
//! properties.

use opcua::DataTypeId;

use super::draft::{Draft, NewId, NewNode};
use super::kinds;
use super::{Class, Detail, Label, Live, Source};
use crate::model::{AccessIx, OwnRoles, ROLES, Role};

const ROLE_SET: u32 = opcua::ObjectId::Server_ServerCapabilities_RoleSet as u32;
const ROLE_TYPE: u32 = opcua::ObjectTypeId::RoleType as u32;
const PROPERTY_TYPE: u32 = opcua::VariableTypeId::PropertyType as u32;

/// Properties of RoleType.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RolePart {
    Identities,
    ApplicationsExclude,
    Applications,
    EndpointsExclude,
    Endpoints,
    CustomConfiguration,
}

/// Name, DataType and rank.
const PARTS: [(RolePart, &str, DataTypeId, i32); 6] = [
    (RolePart::Identities, "Identities", DataTypeId::IdentityMappingRuleType, 1),
    (RolePart::ApplicationsExclude, "ApplicationsExclude", DataTypeId::Boolean, -1),
    (RolePart::Applications, "Applications", DataTypeId::String, 1),
    (RolePart::EndpointsExclude, "EndpointsExclude", DataTypeId::Boolean, -1),
    (RolePart::Endpoints, "Endpoints", DataTypeId::EndpointType, 1),
    (RolePart::CustomConfiguration, "CustomConfiguration", DataTypeId::Boolean, -1),
];

/// Numbers of the well-known roles (Part 6 annex A, 1.05), in the order of `model::ROLES`, each with those of its
/// properties in the order of `PARTS`.
const WELL_KNOWN: [(u32, [u32; 6]); ROLES.len()] = [
    (15_644, [16_192, 15_412, 16_193, 15_413, 16_194, 24_140]),
    (15_656, [16_203, 15_414, 16_204, 15_415, 16_205, 24_141]),
    (18_625, [18_626, 18_627, 18_628, 18_629, 18_630, 18_631]),
    (15_668, [16_214, 15_416, 16_215, 15_417, 16_216, 24_142]),
    (15_680, [16_225, 15_418, 16_226, 15_423, 16_227, 24_143]),
    (16_036, [16_236, 15_424, 16_237, 15_425, 16_238, 24_144]),
    (15_692, [16_247, 15_426, 16_248, 15_427, 16_249, 24_145]),
    (15_716, [16_269, 15_428, 16_270, 15_429, 16_271, 24_146]),
    (15_704, [16_258, 15_430, 16_259, 15_527, 16_260, 24_147]),
];

/// The well-known roles and the server's own, in the order of `Role`.
pub(crate) fn describe_roles(draft: &mut Draft, own: &OwnRoles) {
    for (role, (number, properties)) in (0..).zip(WELL_KNOWN) {
        let at = draft.standard(number);
        draft.add_role(Role(role), at);
        for ((part, ..), number) in PARTS.into_iter().zip(properties) {
            // The standard leaves some out where nothing can be configured.
            let Some(property) = draft.space().standard_node(number) else { continue };
            draft.fill(number, Source::Live(Live::Role { role, part }));
            draft.set_access(property, AccessIx::ADMINISTRATORS);
        }
    }
    for (role, name) in own {
        describe(draft, *role, name);
    }
}

fn describe(draft: &mut Draft, role: Role, name: &str) {
    let id = format!("@role.{name}");
    let at = draft.add(node(&id, 1, name, None, Detail::Object { event_notifier: 0 }));
    let (role_set, role_type) = (draft.standard(ROLE_SET), draft.standard(ROLE_TYPE));
    draft.refer(at, kinds::HAS_TYPE_DEFINITION, role_type);
    draft.refer(role_set, kinds::HAS_COMPONENT, at);
    draft.add_role(role, at);
    for (part, name, data_type, rank) in PARTS {
        let data_type = draft.standard(data_type as u32);
        let dimensions = if rank == 1 { &[0][..] } else { &[] };
        let shape = draft.shape(data_type, rank, dimensions, Source::Live(Live::Role { role: role.0, part }));
        let id = format!("{id}.{name}");
        let detail = Detail::Variable(shape);
        let property = draft.add(node(&id, 0, name, Some(AccessIx::ADMINISTRATORS), detail));
        let kind = draft.standard(PROPERTY_TYPE);
        draft.refer(property, kinds::HAS_TYPE_DEFINITION, kind);
        draft.refer(at, kinds::HAS_PROPERTY, property);
    }
}

fn node<'n>(
    id: &'n str,
    browse_namespace: u16,
    browse: &'n str,
    access: Option<AccessIx>,
    detail: Detail,
) -> NewNode<'n> {
    let is_object = matches!(detail, Detail::Object { .. });
    NewNode {
        class: if is_object { Class::Object } else { Class::Variable },
        namespace: 1,
        browse_namespace,
        id: NewId::Text(id),
        browse,
        display: Label::Browse,
        description: Label::None,
        access,
        detail,
    }
}
