//! Rights: sets of roles, as bits.
//!
//! The first nine roles are the well-known ones of Part 3 §4.9.2 (1.05), in that order; a server's own follow.

use std::collections::BTreeMap;

/// A role by its index in `ROLES`; the server's own roles follow after those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role(pub u8);

/// The well-known roles by name; `Role(i)` is `ROLES[i]`.
pub(crate) const ROLES: [&str; 9] = [
    "Anonymous",
    "AuthenticatedUser",
    "TrustedApplication",
    "Observer",
    "Operator",
    "Engineer",
    "Supervisor",
    "ConfigureAdmin",
    "SecurityAdmin",
];

impl Role {
    pub const ANONYMOUS: Role = Role(0);
    pub const AUTHENTICATED_USER: Role = Role(1);
    pub const TRUSTED_APPLICATION: Role = Role(2);
    pub const OBSERVER: Role = Role(3);
    pub const OPERATOR: Role = Role(4);
    pub const ENGINEER: Role = Role(5);
    pub const SUPERVISOR: Role = Role(6);
    pub const CONFIGURE_ADMIN: Role = Role(7);
    pub const SECURITY_ADMIN: Role = Role(8);

    pub fn well_known(name: &str) -> Option<Role> {
        let at = ROLES.iter().position(|role| *role == name)?;
        u8::try_from(at).ok().map(Role)
    }

    pub(crate) fn is_well_known(self) -> bool {
        usize::from(self.0) < ROLES.len()
    }
}

/// Names of own roles by number.
pub(crate) type OwnRoles = BTreeMap<Role, String>;

/// Roles of a server, the well-known ones among them: the bits of `Roles`.
pub(crate) const MOST_ROLES: usize = u64::BITS as usize;

/// A set of at most 64 roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Roles(pub u64);

impl Roles {
    pub const NONE: Roles = Roles(0);

    pub fn with(self, role: Role) -> Roles {
        Roles(self.0 | 1 << role.0)
    }

    pub fn contains(self, role: Role) -> bool {
        self.0 >> role.0 & 1 == 1
    }

    pub fn meets(self, other: Roles) -> bool {
        self.0 & other.0 != 0
    }

    /// Those of them that every server has.
    pub(crate) fn well_known(self) -> Roles {
        Roles(self.0 & ((1 << ROLES.len()) - 1))
    }

    pub fn union(self, other: Roles) -> Roles {
        Roles(self.0 | other.0)
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Roles {
        roles.into_iter().fold(Roles::NONE, Roles::with)
    }
}

/// The roles that may browse and read, write, call, and edit history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access {
    pub read: Roles,
    pub write: Roles,
    pub call: Roles,
    pub edit_history: Roles,
    /// Values are read, written and edited over encrypted channels only; browsing remains open to `read`.
    pub encrypted: bool,
}

impl Access {
    /// Access to nodes that every session may read and no session may change: the Server object and the types.
    pub const OPEN: Access = Access { read: Roles(1 << Role::ANONYMOUS.0), ..Access::CLOSED };
    /// Settings of security.
    pub const ADMINISTRATORS: Access =
        Access { read: Roles(1 << Role::SECURITY_ADMIN.0), encrypted: true, ..Access::CLOSED };
    const CLOSED: Access = Access {
        read: Roles::NONE,
        write: Roles::NONE,
        call: Roles::NONE,
        edit_history: Roles::NONE,
        encrypted: false,
    };
}

impl Default for Access {
    fn default() -> Access {
        let roles = |list: &[Role]| list.iter().copied().collect();
        Access {
            read: roles(&[Role::AUTHENTICATED_USER, Role::OBSERVER]),
            write: roles(&[Role::OPERATOR, Role::ENGINEER]),
            call: roles(&[Role::OPERATOR, Role::ENGINEER, Role::SUPERVISOR]),
            edit_history: roles(&[Role::ENGINEER]),
            encrypted: false,
        }
    }
}
