//! Decides whether the certificate of another server may be believed, when this one is its client.

use std::net::{IpAddr, SocketAddr};

use super::Pki;
use super::certificate::Certificate;
use super::check::{Applicant, seen};
use super::path::{Demand, Finding, Role, Step, validate};
use super::text::printable;
use crate::stack::channel::{Refusal, Seen};
use crate::stack::crypto::Policy;
use crate::value::UaTime;

/// A server as it was dialled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sought<'a> {
    pub host: &'a str,
    pub address: Option<SocketAddr>,
    pub policy: Policy,
    /// The ApplicationUri that it states.
    pub application_uri: &'a str,
}

impl Pki {
    /// The steps for a client's certificate, as a server's. One that the operator trusts by itself may have any name; one that an
    /// issuer vouches for must have the host's name and the ApplicationUri, for the issuer vouches for others too.
    pub(crate) fn check_server(&self, chain: &[u8], sought: &Sought<'_>) -> Result<Seen, Refusal> {
        let store = self.store.load();
        let suppressed = *self.suppressed.lock();
        let demand = Demand { now: UaTime::now().unix_seconds(), suppressed, role: Role::Server };
        let who = Applicant { what: "server", address: sought.address };
        let (leaf, let_through) = match validate(&store, chain, demand) {
            Ok(passed) => passed,
            Err((certificate, finding)) => return Err(self.refuse(certificate, finding, who)),
        };
        let is_pinned = store.trusted.contains_key(&leaf.thumbprint);
        let found =
            check_key(&leaf, sought.policy).and_then(|()| if is_pinned { Ok(()) } else { check_names(&leaf, sought) });
        match found {
            Ok(()) => {
                self.tell_let_through(&leaf, &let_through);
                Ok(seen(&leaf))
            }
            Err(finding) => Err(self.refuse(Some(leaf), finding, who)),
        }
    }
}

fn finding(step: Step, rule: String) -> Finding {
    Finding { step, is_issuer: false, rule }
}

fn check_key(leaf: &Certificate, policy: Policy) -> Result<(), Finding> {
    // A password may be encrypted for a server whose channel is not.
    let fits = |key: &crate::stack::crypto::PublicKey| policy == Policy::None || policy.takes_key(key.bits());
    match leaf.key.as_ref().is_some_and(fits) {
        true => Ok(()),
        false => Err(finding(Step::Policy, format!("its key does not fit the policy {}", policy.name()))),
    }
}

fn check_names(leaf: &Certificate, sought: &Sought<'_>) -> Result<(), Finding> {
    let is_there = match sought.host.parse::<IpAddr>() {
        Ok(address) => leaf.addresses.contains(&address),
        Err(_) => leaf.dns_names.iter().any(|name| name.eq_ignore_ascii_case(sought.host)),
    };
    if !is_there {
        let rule = format!("it does not have the name `{}` by which the server was dialled", printable(sought.host));
        return Err(finding(Step::Host, rule));
    }
    if leaf.uris.first().is_none_or(|uri| uri != sought.application_uri) {
        let rule = format!("the server calls itself `{}`, the certificate does not", printable(sought.application_uri));
        return Err(finding(Step::Uri, rule));
    }
    Ok(())
}
