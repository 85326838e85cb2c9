//! Permissions on nodes. RolePermissions and the checks of the services are the same functions, computed from the one
//! `Access` of the node when they are needed: no node stores permissions of its own.
//!
//! Nothing is reached without Browse: a session without it gets the answer for a node that does not exist.

use opcua::StatusCode;

use super::attribute::{Attribute, access_level};
use super::{Class, DefaultOf, Live, NodeIx, Source, Space, callable};
use crate::model::{Access, AccessIx, Plant, Role, Roles};
use crate::stack::codec::Writer;
use crate::value::{BuiltIn, Value};

/// PermissionType (Part 3 §8.55, 1.05): the bits that this server grants.
pub(crate) mod permission {
    pub(crate) const BROWSE: u32 = 1;
    pub(crate) const READ_ROLE_PERMISSIONS: u32 = 1 << 1;
    pub(crate) const READ: u32 = 1 << 5;
    pub(crate) const WRITE: u32 = 1 << 6;
    pub(crate) const READ_HISTORY: u32 = 1 << 7;
    pub(crate) const INSERT_HISTORY: u32 = 1 << 8;
    pub(crate) const MODIFY_HISTORY: u32 = 1 << 9;
    pub(crate) const DELETE_HISTORY: u32 = 1 << 10;
    pub(crate) const RECEIVE_EVENTS: u32 = 1 << 11;
    pub(crate) const CALL: u32 = 1 << 12;
}

/// AccessRestrictionType (Part 3 §8.56, 1.05).
pub(crate) mod restriction {
    pub(crate) const SIGNING_REQUIRED: u16 = 1;
    pub(crate) const ENCRYPTION_REQUIRED: u16 = 1 << 1;
    pub(crate) const SESSION_REQUIRED: u16 = 1 << 2;
    pub(crate) const APPLY_TO_BROWSE: u16 = 1 << 3;
}

/// Default Binary encoding (Part 6 annex A, 1.05).
const ROLE_PERMISSION_TYPE: u32 = opcua::ObjectId::RolePermissionType_Encoding_DefaultBinary as u32;
const BASE_EVENT_TYPE: u32 = opcua::ObjectTypeId::BaseEventType as u32;
const AUDIT_EVENT_TYPE: u32 = opcua::ObjectTypeId::AuditEventType as u32;
/// Variables of namespace 0 that only some roles may read.
const SESSION_SECURITY_DIAGNOSTICS: u32 =
    opcua::VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray as u32;
const SESSION_SECURITY: Source = Source::Live(Live::Standard(SESSION_SECURITY_DIAGNOSTICS));
const ENABLED_FLAG: Source = Source::Live(Live::Standard(super::ENABLED_FLAG));

/// The session that looks: its roles and channel decide what it sees, its locales in which language.
#[derive(Debug, Clone, Copy)]
pub struct Viewer<'a> {
    pub roles: Roles,
    /// The channel encrypts.
    pub is_encrypted: bool,
    pub locales: &'a [String],
    pub plant: &'a Plant,
}

/// The sessions that may browse a node: a rule of its own, valid also when the node is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sight {
    /// `None`: every session.
    roles: Option<Roles>,
    encrypted_only: bool,
}

impl Sight {
    pub const ALL: Sight = Sight { roles: None, encrypted_only: false };

    pub fn of(access: Option<AccessIx>, plant: &Plant) -> Sight {
        let roles = access.map(|ix| plant.rule(ix).read);
        Sight { roles, encrypted_only: access == Some(AccessIx::ADMINISTRATORS) }
    }

    /// The same as `Viewer::sees` of a node with this rule.
    pub fn includes(self, viewer: &Viewer<'_>) -> bool {
        let by_role = self.roles.is_none_or(|roles| roles.meets(viewer.roles));
        by_role && (viewer.is_encrypted || !self.encrypted_only)
    }
}

/// Roles that may see the permissions of others, and the users of the server.
fn administrators() -> Roles {
    Roles::NONE.with(Role::CONFIGURE_ADMIN).with(Role::SECURITY_ADMIN)
}

/// Roles that receive events of a type; audit events are for SecurityAdmin.
fn hearers(space: &Space, kind: NodeIx) -> Roles {
    match space.is_standard(kind, AUDIT_EVENT_TYPE) {
        true => Roles::NONE.with(Role::SECURITY_ADMIN),
        false => Access::OPEN.read,
    }
}

/// Permissions on one node.
struct Grants {
    access: Access,
    /// The Value.
    read: Roles,
    write: Roles,
    /// The Method, or methods on the Object.
    call: Roles,
}

impl Grants {
    fn of(space: &Space, plant: &Plant, at: NodeIx) -> Grants {
        let node = space.node(at);
        let access = node.access.map_or(Access::OPEN, |ix| plant.rule(ix));
        let source = space.variable(at).map(|shape| shape.source);
        let read = match source {
            // The users of the server are for administrators (Part 5 §6.3.4 and §7.16, 1.05); as are
            // permissions of others (Part 3 §5.2.9, 1.05).
            Some(SESSION_SECURITY | Source::Default { of: DefaultOf::RolePermissions, .. }) => administrators(),
            _ => access.read,
        };
        let write = match source {
            Some(ENABLED_FLAG) => Roles::NONE.with(Role::CONFIGURE_ADMIN),
            // To write it is to acknowledge.
            Some(Source::Live(Live::Condition { .. })) => access.call,
            _ => access.write,
        };
        let call = match (node.namespace, space.is_node(at, callable::REQUEST_SERVER_STATE_CHANGE)) {
            (0, true) => administrators(),
            (0, false) => access.read,
            _ => access.call,
        };
        Grants { access, read, write, call }
    }
}

impl Viewer<'_> {
    /// Nodes that may not be seen answer like unknown ones.
    #[inline]
    pub fn sees(&self, space: &Space, at: NodeIx) -> bool {
        let Some(ix) = space.node(at).access else { return true };
        self.plant.rule(ix).read.meets(self.roles) && (self.is_encrypted || ix != AccessIx::ADMINISTRATORS)
    }

    /// Whether the channel is good enough for values of the node.
    pub fn check_channel(&self, space: &Space, at: NodeIx) -> Result<(), StatusCode> {
        match space.node(at).access {
            Some(ix) if !self.is_encrypted && self.plant.rule(ix).encrypted => {
                Err(StatusCode::BadSecurityModeInsufficient)
            }
            _ => Ok(()),
        }
    }

    /// Whether this session may have an attribute of a node that it sees: now, or as the value of a monitored item.
    pub fn check_read(&self, space: &Space, at: NodeIx, attribute: Attribute) -> Result<(), StatusCode> {
        if !matches!(attribute, Attribute::Value | Attribute::RolePermissions) {
            return Ok(());
        }
        let grants = Grants::of(space, self.plant, at);
        let allowed = if attribute == Attribute::Value { grants.read } else { administrators() };
        if !allowed.meets(self.roles) {
            return Err(StatusCode::BadUserAccessDenied);
        }
        let is_weak = grants.access.encrypted && !self.is_encrypted;
        if is_weak { Err(StatusCode::BadSecurityModeInsufficient) } else { Ok(()) }
    }

    /// Whether this session receives an event: it must be allowed to at the event's type and at its source (Part 3 §8.55, 1.05: ReceiveEvents).
    pub fn hears(&self, space: &Space, kind: NodeIx, source: NodeIx) -> bool {
        self.sees(space, source) && hearers(space, kind).meets(self.roles)
    }

    /// Whether the roles allow to read the Value, on any channel.
    pub fn may_read(&self, space: &Space, at: NodeIx) -> bool {
        Grants::of(space, self.plant, at).read.meets(self.roles)
    }

    pub fn may_write(&self, space: &Space, at: NodeIx) -> bool {
        Grants::of(space, self.plant, at).write.meets(self.roles)
    }

    /// Whether the roles allow to call the Method, or methods on the Object.
    pub fn may_call(&self, space: &Space, at: NodeIx) -> bool {
        Grants::of(space, self.plant, at).call.meets(self.roles)
    }

    pub fn may_edit_history(&self, space: &Space, at: NodeIx) -> bool {
        Grants::of(space, self.plant, at).access.edit_history.meets(self.roles)
    }
}

impl Space {
    /// The permissions that a role gives on a node.
    pub fn permissions(&self, at: NodeIx, role: Role, plant: &Plant) -> u32 {
        let grants = Grants::of(self, plant, at);
        let node = self.node(at);
        let is_variable = node.class == Class::Variable;
        let level = if is_variable { self.access_level(at, plant) } else { 0 };
        let hearers = match node.class {
            Class::Object | Class::Variable => grants.access.read,
            Class::ObjectType if self.is_standard(at, BASE_EVENT_TYPE) => hearers(self, at),
            _ => Roles::NONE,
        };
        let edit = permission::INSERT_HISTORY | permission::MODIFY_HISTORY | permission::DELETE_HISTORY;
        let mask = [
            (grants.access.read, true, permission::BROWSE),
            (hearers, true, permission::RECEIVE_EVENTS),
            (grants.read, level & access_level::READ != 0, permission::READ),
            (grants.read, level & access_level::HISTORY_READ != 0, permission::READ_HISTORY),
            (grants.write, level & access_level::WRITE != 0, permission::WRITE),
            (grants.access.edit_history, level & access_level::HISTORY_WRITE != 0, edit),
            (grants.call, self.has_calls(at), permission::CALL),
            (administrators(), true, permission::READ_ROLE_PERMISSIONS),
        ];
        mask.iter().filter(|(roles, applies, _)| *applies && roles.contains(role)).fold(0, |all, (_, _, bit)| all | bit)
    }

    /// RolePermissions (Part 3 §5.2.9, 1.05), or with only the viewer's own roles UserRolePermissions (§5.2.10).
    pub(super) fn write_permissions(&self, at: NodeIx, plant: &Plant, among: Roles, w: &mut Writer) {
        self.write_roles(among, |role| self.permissions(at, role, plant), w);
    }

    fn write_roles(&self, among: Roles, mask: impl Fn(Role) -> u32, w: &mut Writer) {
        w.variant_array_head(BuiltIn::ExtensionObject);
        let count_at = w.reserve_count();
        let mut count = 0;
        for (role, node) in &self.roles {
            let mask = if among.contains(*role) { mask(*role) } else { 0 };
            if mask != 0 {
                count += 1;
                w.extension_object(ROLE_PERMISSION_TYPE, |w| {
                    self.write_id(*node, w);
                    w.u32(mask);
                });
            }
        }
        w.set_count(count_at, count);
    }

    /// AccessRestrictions (Part 3 §5.2.11, 1.05). Nothing is served without a session; SigningRequired is reported where no
    /// unsecured session is let in at all.
    pub fn restrictions(&self, access: Option<AccessIx>, plant: &Plant) -> u16 {
        let encrypted = access.is_some_and(|ix| plant.rule(ix).encrypted);
        self.restrictions
            | if encrypted { restriction::ENCRYPTION_REQUIRED } else { 0 }
            | if access == Some(AccessIx::ADMINISTRATORS) { restriction::APPLY_TO_BROWSE } else { 0 }
    }

    /// A default of a namespace (Part 5 §6.3.13, 1.05): the rules of the cell's own Object. Every node also has its
    /// own.
    pub fn default_value(&self, access: Option<AccessIx>, of: DefaultOf, viewer: &Viewer<'_>) -> Value {
        let rule = access.map_or(Access::OPEN, |ix| viewer.plant.rule(ix));
        let among = match of {
            DefaultOf::RolePermissions => Roles(u64::MAX),
            DefaultOf::UserRolePermissions => viewer.roles,
            DefaultOf::AccessRestrictions => return Value::UInt16(self.restrictions(access, viewer.plant)),
        };
        let read = permission::BROWSE | permission::READ | permission::READ_HISTORY | permission::RECEIVE_EVENTS;
        let edit = permission::INSERT_HISTORY | permission::MODIFY_HISTORY | permission::DELETE_HISTORY;
        let grants = [
            (rule.read, read),
            (rule.write, permission::WRITE),
            (rule.edit_history, edit),
            (administrators(), permission::READ_ROLE_PERMISSIONS),
        ];
        let mask =
            |role: Role| grants.iter().filter(|(roles, _)| roles.contains(role)).fold(0, |all, (_, bits)| all | bits);
        let mut w = Writer::new();
        self.write_roles(among, mask, &mut w);
        Value::Wire(w.buf.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ua::space::draft::{Draft, NewId, NewNode};
    use crate::ua::space::{Detail, Label};

    #[test]
    fn the_sight_of_a_rule_is_that_of_a_node_with_it() {
        let rule = |role| Access { read: Roles::NONE.with(role), ..Access::OPEN };
        let plant = Plant { access: vec![rule(Role::OPERATOR), rule(Role::ENGINEER)], ..Plant::default() };
        let rules =
            [None, Some(AccessIx(0)), Some(AccessIx(1)), Some(AccessIx::ENCRYPTED), Some(AccessIx::ADMINISTRATORS)];
        let mut draft = Draft::new("urn:test");
        let nodes = rules.map(|access| {
            draft.add(NewNode {
                class: Class::Object,
                namespace: 2,
                browse_namespace: 2,
                id: NewId::Text("N"),
                browse: "N",
                display: Label::Browse,
                description: Label::None,
                access,
                detail: Detail::Object { event_notifier: 0 },
            })
        });
        let space = draft.finish();
        for bits in 0..1 << 9 {
            for is_encrypted in [false, true] {
                let viewer = Viewer { roles: Roles(bits), is_encrypted, locales: &[], plant: &plant };
                for (access, node) in rules.iter().zip(nodes) {
                    let sight = Sight::of(*access, &plant);
                    assert_eq!(sight.includes(&viewer), viewer.sees(&space, node), "{access:?} {bits} {is_encrypted}");
                }
            }
        }
    }
}
