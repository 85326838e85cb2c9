//! The holders of a role (Part 18 §4.4, 1.05): identities, applications and endpoints, from the current accounts.

use crate::model::{Accounts, Role, RoleRule};
use crate::stack::codec::Writer;
use crate::ua::space::RolePart;
use crate::value::{BuiltIn, Elements, Value};

/// Default Binary encodings (Part 6 annex A, 1.05).
mod encoding {
    pub(crate) const IDENTITY_MAPPING_RULE_TYPE: u32 =
        opcua::ObjectId::IdentityMappingRuleType_Encoding_DefaultBinary as u32;
    pub(crate) const ENDPOINT_TYPE: u32 = opcua::ObjectId::EndpointType_Encoding_DefaultBinary as u32;
}

/// IdentityCriteriaType (Part 18 §4.4.4, 1.05), as far as something here is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Criteria {
    UserName = 1,
    Thumbprint = 2,
    Anonymous = 5,
    AuthenticatedUser = 6,
    Application = 7,
    X509Subject = 8,
    TrustedApplication = 9,
}

pub(crate) fn value(accounts: &Accounts, role: Role, part: RolePart) -> Value {
    let rules = || accounts.role_rules.iter().filter(move |rule| rule.role == role);
    match part {
        RolePart::Identities => identities_value(&identities(accounts, role)),
        // Lists name the holders; an empty list that excludes leaves no client out.
        RolePart::ApplicationsExclude => Value::Boolean(rules().all(|rule| rule.applications.is_empty())),
        RolePart::EndpointsExclude => Value::Boolean(rules().all(|rule| rule.endpoints.is_empty())),
        RolePart::Applications => {
            let applications = rules().flat_map(|rule| &rule.applications);
            Value::array(Elements::String(applications.map(|uri| uri.as_str().into()).collect()))
        }
        RolePart::Endpoints => endpoints_value(rules().flat_map(|rule| &rule.endpoints)),
        RolePart::CustomConfiguration => Value::Boolean(!is_standard(accounts, role)),
    }
}

/// Whether the properties say all: certificates of applications are no criteria of Part 18, and what `users` and
/// `anonymous` give is bound to no application and endpoint.
fn is_standard(accounts: &Accounts, role: Role) -> bool {
    let narrows = |rule: &RoleRule| !rule.applications.is_empty() || !rule.endpoints.is_empty();
    let mut rules = accounts.role_rules.iter().filter(|rule| rule.role == role).peekable();
    if rules.peek().is_none() {
        return true;
    }
    let is_given = accounts.anonymous.contains(role) || accounts.users.values().any(|user| user.roles.contains(role));
    rules.all(|rule| rule.certificates.is_empty() && !(is_given && narrows(rule)))
}

fn identities(accounts: &Accounts, role: Role) -> Vec<(Criteria, String)> {
    let mut all = match role {
        Role::ANONYMOUS => vec![(Criteria::Anonymous, String::new()), (Criteria::AuthenticatedUser, String::new())],
        Role::AUTHENTICATED_USER => vec![(Criteria::AuthenticatedUser, String::new())],
        Role::TRUSTED_APPLICATION => vec![(Criteria::TrustedApplication, String::new())],
        _ => Vec::new(),
    };
    if accounts.anonymous.contains(role) {
        all.push((Criteria::Anonymous, String::new()));
    }
    let holders = accounts.users.iter().filter(|(_, user)| user.roles.contains(role));
    all.extend(holders.map(|(name, _)| (Criteria::UserName, name.clone())));
    for rule in accounts.role_rules.iter().filter(|rule| rule.role == role) {
        all.extend(rule.users.iter().map(|name| (Criteria::UserName, name.clone())));
        all.extend(rule.certificates.iter().map(|entry| certificate(entry)));
        if rule.users.is_empty() && rule.certificates.is_empty() {
            all.extend(rule.applications.iter().map(|uri| (Criteria::Application, uri.clone())));
        }
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|(criteria, text)| seen.insert((*criteria as i32, text.clone())));
    all
}

/// A thumbprint is shown in upper case (Part 18 §4.4.3, 1.05).
fn certificate(entry: &str) -> (Criteria, String) {
    match crate::model::Subject::parse(entry) {
        Some(subject) => (Criteria::X509Subject, subject.to_string()),
        None => (Criteria::Thumbprint, entry.to_ascii_uppercase()),
    }
}

fn identities_value(identities: &[(Criteria, String)]) -> Value {
    let mut w = Writer::new();
    w.variant_array_head(BuiltIn::ExtensionObject);
    w.count(identities.len());
    for (criteria, text) in identities {
        w.extension_object(encoding::IDENTITY_MAPPING_RULE_TYPE, |w| {
            w.i32(*criteria as i32);
            w.text(text);
        });
    }
    Value::Wire(w.buf.into())
}

/// Mode, policy and transport are not compared: the default of each says so (Part 18 §4.4.2, 1.05).
fn endpoints_value<'e>(endpoints: impl Iterator<Item = &'e String>) -> Value {
    let mut w = Writer::new();
    w.variant_array_head(BuiltIn::ExtensionObject);
    let count_at = w.reserve_count();
    let mut count = 0;
    for url in endpoints {
        count += 1;
        w.extension_object(encoding::ENDPOINT_TYPE, |w| {
            w.text(url);
            w.i32(0);
            w.string(None);
            w.string(None);
        });
    }
    w.set_count(count_at, count);
    Value::Wire(w.buf.into())
}
