//! The identity of a session's user, and the roles that follow from it.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::{Accounts, Endpoint, Role, RoleRule, Roles, Subject};
use crate::stack::crypto::thumbprint;

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

/// Proved facts about a session, in addition to its identity, that decide its roles.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// The channel is signed or encrypted, so the application's certificate is trusted and its ApplicationUri checked.
    pub is_secured: bool,
    pub application_uri: String,
    /// The application's certificate (DER); empty without one.
    pub certificate: Arc<[u8]>,
    /// The server's end of the connection.
    pub near: Option<SocketAddr>,
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
    /// endpoints narrow that down where they are given (Part 18 §4.4.1, 1.05).
    fn meets(&self, identity: &Identity, rule: &RoleRule) -> bool {
        let has = |list: &[String], text: &str| !text.is_empty() && list.iter().any(|entry| entry == text);
        let is_application = self.is_secured && has(&rule.applications, &self.application_uri);
        let names_holders = !rule.users.is_empty() || !rule.certificates.is_empty();
        let is_meant = match names_holders {
            true => has(&rule.users, identity.name()) || self.has_certificate(identity, &rule.certificates),
            false => is_application,
        };
        let is_at =
            |url: &String| Endpoint::parse(url).zip(self.near).is_some_and(|(endpoint, near)| endpoint.is_at(near));
        is_meant
            && (rule.applications.is_empty() || is_application)
            && (rule.endpoints.is_empty() || rule.endpoints.iter().any(is_at))
    }

    /// Whether one of these is the certificate of the user, or of the application on a secured channel.
    fn has_certificate(&self, identity: &Identity, entries: &[String]) -> bool {
        let user = match identity {
            Identity::Certificate { der, .. } => Some(&**der),
            Identity::Anonymous | Identity::User(_) => None,
        };
        let application = Some(&*self.certificate).filter(|der| self.is_secured && !der.is_empty());
        let mut held = user.into_iter().chain(application);
        !entries.is_empty() && held.any(|der| entries.iter().any(|entry| is_certificate(entry, der)))
    }
}

/// By thumbprint or whole subject.
fn is_certificate(entry: &str, der: &[u8]) -> bool {
    let digits: String = thumbprint(der).iter().map(|byte| format!("{byte:02x}")).collect();
    let has_subject = || Subject::parse(entry).is_some_and(|subject| subject == crate::pki::subject(der));
    entry.eq_ignore_ascii_case(&digits) || has_subject()
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

    /// A certificate of a plant's PC, and its subject as `pki show` prints it.
    fn certificate() -> (Arc<[u8]>, String) {
        let request = crate::pki::OwnRequest {
            application_uri: "urn:hmi".to_owned(),
            application_name: "HMI 1".to_owned(),
            names: Vec::new(),
            auto_names: false,
            key_bits: 2048,
            valid_for: std::time::Duration::from_hours(24),
            renew_before: std::time::Duration::ZERO,
        };
        let dir = tempfile::tempdir().expect("a folder");
        let made = crate::pki::OwnCertificate::load_or_make(dir.path(), &request).expect("a certificate");
        let der = made.identity.leaf();
        (der.into(), crate::pki::Certificate::parse(der).expect("a certificate").subject)
    }

    #[test]
    fn a_rule_gives_its_role_to_whom_it_means_only() {
        let opal = Identity::User("opal".to_owned());
        let (certificate, subject) = certificate();
        let digits: String = thumbprint(&certificate).iter().map(|byte| format!("{byte:02X}")).collect();
        let near = Some("10.0.0.1:4840".parse().expect("an address"));
        let standing = Standing {
            is_secured: true,
            application_uri: "urn:hmi".to_owned(),
            certificate: certificate.clone(),
            near,
        };
        let open = Standing { is_secured: false, ..standing.clone() };
        for (rule, secured, unsecured) in [
            (rule(&["opal"], &[], &[], &[]), true, true),
            (rule(&["eva"], &[], &[], &[]), false, false),
            (rule(&[], &[&digits], &[], &[]), true, false),
            (rule(&[], &[&subject], &[], &[]), true, false),
            (rule(&[], &[&format!("{subject}, C=DE")], &[], &[]), false, false),
            (rule(&[], &[], &["urn:hmi"], &[]), true, false),
            (rule(&["opal"], &[], &["urn:other"], &[]), false, false),
            (rule(&["opal"], &[], &["urn:hmi"], &[]), true, false),
            (rule(&["opal"], &[], &[], &["opc.tcp://10.0.0.1:4840"]), true, true),
            (rule(&["opal"], &[], &[], &["opc.tcp://10.0.0.2:4840"]), false, false),
            (rule(&[], &[], &[], &["opc.tcp://10.0.0.1:4840"]), false, false),
        ] {
            assert_eq!((standing.meets(&opal, &rule), open.meets(&opal, &rule)), (secured, unsecured), "{rule:?}");
        }
        let erika = Identity::Certificate { name: "erika".to_owned(), der: certificate };
        let bare = Standing::default();
        assert!(bare.meets(&erika, &rule(&[], &[&digits], &[], &[])), "a user's own certificate needs no channel's");
        assert!(
            !bare.meets(&erika, &rule(&["erika"], &[], &[], &["opc.tcp://10.0.0.1"])),
            "nothing proves the endpoint"
        );
    }
}
