//! Decides whether a certificate admits a client or a user, and reports refusals to client, log and audit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use opcua::StatusCode;

use super::Pki;
use super::certificate::Certificate;
use super::path::{Demand, Finding, Role, Step, validate};
use super::rejected::{self, Rejection};
use super::text::{printable, when};
use crate::logging;
use crate::stack::channel::{Caller, CertificateCheck, Refusal, Seen};
use crate::value::UaTime;

/// Certificates whose report is remembered, so that each is reported once.
const MOST_TOLD: usize = 1_000;

impl CertificateCheck for Pki {
    fn check_client(&self, chain: &[u8], caller: &Caller) -> Result<Seen, Refusal> {
        let store = self.store.load();
        let demand =
            Demand { now: UaTime::now().unix_seconds(), suppressed: *self.suppressed.lock(), role: Role::Client };
        let (certificate, finding) = match validate(&store, chain, demand) {
            Ok((leaf, let_through)) => match leaf.key.as_ref().is_some_and(|key| caller.policy.takes_key(key.bits())) {
                true => {
                    self.tell_let_through(&leaf, &let_through);
                    return Ok(seen(&leaf));
                }
                false => {
                    let rule = format!("its key does not fit the policy {}", caller.policy.name());
                    (Some(leaf), Finding { step: Step::Policy, is_issuer: false, rule })
                }
            },
            Err((Some(leaf), finding)) if self.admit(chain, caller, &leaf, &finding, demand) => return Ok(seen(&leaf)),
            Err(refused) => refused,
        };
        Err(self.refuse(certificate, finding, Applicant { what: "client", address: caller.address }))
    }
}

/// An application whose certificate is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Applicant {
    pub what: &'static str,
    pub address: Option<SocketAddr>,
}

impl Pki {
    /// Files a refused certificate, and says what would mend it.
    pub(super) fn refuse(&self, certificate: Option<Arc<Certificate>>, finding: Finding, who: Applicant) -> Refusal {
        let status = finding.wire();
        let Applicant { what, address } = who;
        let from = rejected::from(address);
        let Some(certificate) = certificate else {
            let rule = format!("{what} at {from}: {} ({})", finding.rule, finding.code());
            return Refusal { status, code: finding.code(), rule };
        };
        let short = certificate.short();
        let remedy = match finding.step {
            Step::Trust => format!("; to trust it: {}", self.command("trust", &short)),
            _ => format!("; see: {}", self.command("show", &short)),
        };
        let name = printable(certificate.name());
        let (rule, code) = (&finding.rule, finding.code());
        let rule = format!("certificate {short} `{name}` of the {what} at {from} is refused: {rule} ({code}){remedy}");
        let to_trust = self.command("trust", &short);
        let rejection = Rejection { certificate, address, rule: finding.rule, to_trust };
        if self.rejections.try_send(rejection).is_err() {
            self.lost_rejections.fetch_add(1, Ordering::Relaxed);
        }
        Refusal { status, code, rule }
    }
}

pub(super) fn seen(leaf: &Certificate) -> Seen {
    Seen { key: leaf.key.clone(), application_uri: leaf.uris.first().cloned() }
}

impl Pki {
    /// A step that is suppressed is told when it bites, once a certificate.
    pub(super) fn tell_let_through(&self, leaf: &Certificate, findings: &[Finding]) {
        for finding in findings {
            let mut told = self.told.lock();
            if told.len() >= MOST_TOLD {
                told.clear();
            }
            if told.insert((leaf.thumbprint, finding.step)) {
                let (short, name) = (leaf.short(), printable(leaf.name()));
                let line = format_args!(
                    "certificate {short} `{name}` is let in although {} ({})",
                    finding.rule,
                    finding.code()
                );
                logging::limited(log::Level::Warn, "certificate let in", None, line);
            }
        }
    }
}

impl Pki {
    /// The files of `users/` that hold this user certificate. It must be valid now; the caller verifies the signature
    /// that proves possession of its key.
    pub fn check_user(&self, der: &[u8]) -> Result<(Certificate, Vec<String>), Refusal> {
        let refused = |rule: String| Refusal {
            status: StatusCode::BadIdentityTokenRejected,
            code: StatusCode::BadIdentityTokenRejected,
            rule,
        };
        let certificate = Certificate::parse(der).ok_or_else(|| Refusal {
            status: StatusCode::BadIdentityTokenInvalid,
            code: StatusCode::BadCertificateInvalid,
            rule: "not a certificate".into(),
        })?;
        let name = format!("user certificate {} `{}`", certificate.short(), printable(certificate.name()));
        if !certificate.is_valid_at(UaTime::now().unix_seconds()) {
            let span = format!("{} to {}", when(certificate.not_before), when(certificate.not_after));
            return Err(refused(format!("{name} is valid from {span}")));
        }
        let store = self.store.load();
        if store.revoked.contains(&certificate.thumbprint) {
            return Err(refused(format!(
                "{name} is revoked; to take that back: opcell pki trust {}",
                certificate.short()
            )));
        }
        match store.users.get(&certificate.thumbprint) {
            Some(files) => Ok((certificate, files.clone())),
            None => Err(refused(format!(
                "{name} is not in {}; put it there and name it in `users.NAME.certificate`",
                self.dir.join("users").display()
            ))),
        }
    }
}
