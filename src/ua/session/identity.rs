//! Who a session speaks for, and the roles that follow from it.

use std::sync::Arc;

use crate::model::{Accounts, Role, RoleRule, Roles};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    Anonymous,
    User(String),
    /// A user known by a certificate: the user's name in the server file, and the certificate (DER).
    Certificate {
        name: String,
        der: Arc<[u8]>,
    },
}

/// What is proved of a session beside its identity when its roles are settled.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// The channel is signed or encrypted, so the application's certificate is trusted and its ApplicationUri checked.
    pub is_secured: bool,
    pub application_uri: String,
    /// SHA-1 of the application's certificate as hex digits, and its subject; empty without one.
    pub thumbprint: String,
    pub subject: String,
    pub endpoint_url: String,
}

impl Identity {
    pub fn name(&self) -> &str {
        match self {
            Identity::Anonymous => "",
            Identity::User(name) | Identity::Certificate { name, .. } => name,
        }
    }

    /// Whether what it logged in with is the same in both.
    pub fn is_kept(&self, old: &Accounts, new: &Accounts) -> bool {
        let of = |accounts: &Accounts| {
            let user = accounts.users.get(self.name());
            user.map(|user| (user.password_hash.clone(), user.certificate.clone()))
        };
        self.is_in(new) && (self.is_anonymous() || of(old) == of(new))
    }

    /// Whether these accounts let it in.
    pub fn is_in(&self, accounts: &Accounts) -> bool {
        match self {
            Identity::Anonymous => accounts.anonymous != Roles::NONE,
            Identity::User(name) => accounts.users.get(name).is_some_and(|user| user.password_hash.is_some()),
            Identity::Certificate { name, .. } => {
                accounts.users.get(name).is_some_and(|user| user.certificate.is_some())
            }
        }
    }

    pub fn is_anonymous(&self) -> bool {
        matches!(self, Identity::Anonymous)
    }
}

impl Standing {
    /// Every session has Anonymous; a login adds AuthenticatedUser and the user's own; a secured channel with a
    /// trusted certificate adds TrustedApplication (Part 3 §4.9.2, 1.05); `roles:` adds its own.
    pub fn roles(&self, identity: &Identity, accounts: &Accounts) -> Roles {
        let mut roles = Roles::NONE.with(Role::ANONYMOUS);
        if self.is_secured {
            roles = roles.with(Role::TRUSTED_APPLICATION);
        }
        roles = match identity {
            Identity::Anonymous => roles.union(accounts.anonymous),
            Identity::User(name) | Identity::Certificate { name, .. } => {
                let own = accounts.users.get(name).map_or(Roles::NONE, |user| user.roles);
                roles.with(Role::AUTHENTICATED_USER).union(own)
            }
        };
        accounts
            .role_rules
            .iter()
            .filter(|rule| self.meets(identity, rule))
            .map(|rule| rule.role)
            .fold(roles, Roles::with)
    }

    /// One of the users or certificates (or, where the rule names neither, of the applications); applications and
    /// endpoints narrow that down where they are given.
    fn meets(&self, identity: &Identity, rule: &RoleRule) -> bool {
        let has = |list: &[String], text: &str| !text.is_empty() && list.iter().any(|entry| entry == text);
        let is_application = self.is_secured && has(&rule.applications, &self.application_uri);
        let is_certificate = self.is_secured
            && (has(&rule.certificates, &self.subject)
                || rule.certificates.iter().any(|entry| entry.eq_ignore_ascii_case(&self.thumbprint)));
        let is_user = has(&rule.users, identity.name());
        let names_somebody = !rule.users.is_empty() || !rule.certificates.is_empty();
        let is_meant = if names_somebody { is_user || is_certificate } else { is_application };
        is_meant
            && (rule.applications.is_empty() || is_application)
            && (rule.endpoints.is_empty() || has(&rule.endpoints, &self.endpoint_url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(users: &[&str], certificates: &[&str], applications: &[&str], endpoints: &[&str]) -> RoleRule {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        RoleRule {
            role: Role(9),
            users: own(users),
            certificates: own(certificates),
            applications: own(applications),
            endpoints: own(endpoints),
        }
    }

    #[test]
    fn a_rule_gives_its_role_to_whom_it_means_only() {
        let opal = Identity::User("opal".to_owned());
        let standing = Standing {
            is_secured: true,
            application_uri: "urn:hmi".to_owned(),
            thumbprint: "ab12".to_owned(),
            subject: "CN=HMI 1".to_owned(),
            endpoint_url: "opc.tcp://cell:4840".to_owned(),
        };
        let open = Standing { is_secured: false, ..standing.clone() };
        for (rule, secured, unsecured) in [
            (rule(&["opal"], &[], &[], &[]), true, true),
            (rule(&["eva"], &[], &[], &[]), false, false),
            (rule(&[], &["AB12"], &[], &[]), true, false),
            (rule(&[], &["CN=HMI 1"], &[], &[]), true, false),
            (rule(&[], &[], &["urn:hmi"], &[]), true, false),
            (rule(&["opal"], &[], &["urn:other"], &[]), false, false),
            (rule(&["opal"], &[], &[], &["opc.tcp://cell:4840"]), true, true),
            (rule(&["opal"], &[], &[], &["opc.tcp://other:4840"]), false, false),
            (rule(&[], &[], &[], &["opc.tcp://cell:4840"]), false, false),
        ] {
            assert_eq!((standing.meets(&opal, &rule), open.meets(&opal, &rule)), (secured, unsecured), "{rule:?}");
        }
    }
}
