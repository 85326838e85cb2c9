//! Who a session speaks for, and the roles that follow from it.

use crate::model::{Role, Roles, ServerPlan};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    Anonymous,
    User(String),
    /// A user known by a certificate: the user's name in the server file.
    Certificate(String),
}

/// UserTokenType (Part 4 §7.41, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Anonymous,
    UserName,
    Certificate,
}

impl Identity {
    pub fn name(&self) -> &str {
        match self {
            Identity::Anonymous => "",
            Identity::User(name) | Identity::Certificate(name) => name,
        }
    }

    pub fn is_anonymous(&self) -> bool {
        matches!(self, Identity::Anonymous)
    }

    /// Every session has Anonymous; a login adds AuthenticatedUser and the user's own; a secured channel with a
    /// trusted certificate adds TrustedApplication (Part 3 §4.9.2, 1.05).
    pub fn roles(&self, plan: &ServerPlan, is_secured: bool) -> Roles {
        let mut roles = Roles::NONE.with(Role::ANONYMOUS);
        if is_secured {
            roles = roles.with(Role::TRUSTED_APPLICATION);
        }
        match self {
            Identity::Anonymous => roles.union(plan.anonymous),
            Identity::User(name) | Identity::Certificate(name) => {
                let own = plan.users.get(name).map_or(Roles::NONE, |user| user.roles);
                roles.with(Role::AUTHENTICATED_USER).union(own)
            }
        }
    }
}
