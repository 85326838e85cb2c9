//! `roles:` of the server file: the server's own roles, and further holders of a role than those under `users`.

use std::net::SocketAddr;

use super::Compiler;
use crate::config::at::At;
use crate::config::de::{Keys, decode_entry};
use crate::config::source::Ix;
use crate::config::spec;
use crate::model::{Endpoint, MOST_ROLES, ROLES, Role, RoleRule, Roles, ServerPlan, Subject};

/// Roles that a session gets by the way it logs in.
const GIVEN: [Role; 3] = [Role::ANONYMOUS, Role::AUTHENTICATED_USER, Role::TRUSTED_APPLICATION];
/// Hex digits of a SHA-1 thumbprint.
const THUMBPRINT: usize = 40;

impl Compiler<'_> {
    pub(super) fn own_roles(&mut self, roles: Option<Ix>, plan: &mut ServerPlan) {
        let Some(at) = roles.filter(|at| self.expect_mapping(*at, "roles")) else { return };
        let listen = self.options.listen.clone().unwrap_or_else(|| plan.listen.clone());
        let entries: Vec<_> = self.source.entries(at).collect();
        for (key, value) in entries {
            let name = self.source.text(key).to_owned();
            let role = Role::well_known(&name).or_else(|| {
                let role =
                    u8::try_from(ROLES.len() + self.own_roles.len()).ok().filter(|bit| usize::from(*bit) < MOST_ROLES);
                self.own_roles.push(name.clone());
                role.map(Role)
            });
            let Some(role) = role else {
                self.findings.error(&self.source, key, "a server has at most 64 roles");
                return;
            };
            if GIVEN.contains(&role) {
                let finding = self.findings.error(&self.source, key, format!("role `{name}` cannot be assigned"));
                finding.help("the server gives it by the way a session logs in; write another role");
            }
            let spec = decode_entry::<spec::OwnRole>(&mut self.source, value, Keys::OWN, self.findings).0;
            let Some(spec) = spec else { continue };
            self.check_rule(key, &name, &spec, &listen);
            let texts = |list: Option<Vec<At<String>>>| list.into_iter().flatten().map(|entry| entry.value).collect();
            plan.accounts.role_rules.push(RoleRule {
                role,
                users: texts(spec.users),
                certificates: texts(spec.certificates),
                applications: texts(spec.applications),
                endpoints: texts(spec.endpoints),
            });
        }
        plan.own_roles = (0..).map(Role).skip(ROLES.len()).zip(self.own_roles.iter().cloned()).collect();
    }

    /// The roles of `anonymous` or of a user. The three roles that follow from the login cannot be assigned (Part 18 §4.3,
    /// 1.05: they can't be changed); naming one that the session has anyway does no harm.
    pub(super) fn given_roles(&mut self, names: &[At<String>], has_anyway: &[Role]) -> Roles {
        for name in names {
            let role = Role::well_known(&name.value);
            if role.is_some_and(|role| GIVEN.contains(&role) && !has_anyway.contains(&role)) {
                let message = format!("role `{}` cannot be assigned", name.value);
                let finding = self.findings.error(&self.source, name.ix, message);
                finding.help("the server gives it by the way a session logs in; write another role");
            }
        }
        self.roles(names)
    }

    /// Finds what can never be met.
    fn check_rule(&mut self, key: Ix, name: &str, rule: &spec::OwnRole, listen: &[SocketAddr]) {
        let is_empty = |list: &Option<Vec<At<String>>>| list.as_ref().is_none_or(Vec::is_empty);
        if is_empty(&rule.users)
            && is_empty(&rule.certificates)
            && is_empty(&rule.applications)
            && !is_empty(&rule.endpoints)
        {
            let finding = self.findings.error(
                &self.source,
                key,
                format!("role `{name}` has only `endpoints`, so nobody gets it"),
            );
            finding.help("add `users`, `certificates` or `applications`");
        }
        for entry in rule.certificates.iter().flatten() {
            let is_thumbprint = entry.value.len() == THUMBPRINT && entry.value.chars().all(|c| c.is_ascii_hexdigit());
            if !is_thumbprint && Subject::parse(&entry.value).is_none() {
                let message = format!("`{}` is neither a thumbprint nor a subject", entry.value);
                let finding = self.findings.error(&self.source, entry.ix, message);
                finding.help(
                    "write the 40 digits or the subject that `opcell pki show` prints, such as \"CN=HMI 1, O=Plant\"",
                );
            }
        }
        for entry in rule.applications.iter().flatten() {
            let is_uri =
                entry.value.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
            if !is_uri || entry.value.contains(char::is_whitespace) {
                let message = format!("`{}` is not an ApplicationUri", entry.value);
                let finding = self.findings.error(&self.source, entry.ix, message);
                finding.help("write the application uri that `opcell pki show` prints, such as urn:plant:hmi1");
            }
        }
        for entry in rule.endpoints.iter().flatten() {
            self.check_endpoint(entry, listen);
        }
    }

    fn check_endpoint(&mut self, entry: &At<String>, listen: &[SocketAddr]) {
        let Some(endpoint) = Endpoint::parse(&entry.value) else {
            let message = format!("`{}` is not the URL of an endpoint", entry.value);
            self.findings.error(&self.source, entry.ix, message).help("write opc.tcp://10.1.0.5:4840");
            return;
        };
        if !listen.iter().any(|listen| endpoint.may_be(*listen)) {
            let message = format!("`{}` is not an address of `listen`", entry.value);
            self.findings.error(&self.source, entry.ix, message).help("write an address and port of `listen`");
        } else if endpoint.address.is_none() {
            let message = "a host name means every address of this host, so only the port limits the role";
            let finding = self.findings.warning(&self.source, entry.ix, message);
            finding.help("write the address of this host at which these clients connect");
        }
    }

    pub(super) fn check_role_users(&mut self, plan: &ServerPlan, roles: Option<Ix>) {
        let Some(roles) = roles else { return };
        let named: Vec<Ix> = self
            .source
            .entries(roles)
            .filter_map(|(_, role)| self.source.get(role, "users"))
            .flat_map(|list| self.source.children(list))
            .collect();
        for at in named {
            let name = self.source.text(at).to_owned();
            if !plan.accounts.users.contains_key(&name) {
                let help = crate::config::docs::did_you_mean(&name, plan.accounts.users.keys().map(String::as_str));
                self.findings.error(&self.source, at, format!("no user `{name}`")).help(help);
            }
        }
    }
}
