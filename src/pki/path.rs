//! Path validation: the steps of Part 4 §6.1.3 (1.05), each with its code.
//!
//! A certificate may have several paths to a root (cross-signed issuers); one that passes is enough, else the failure
//! that came furthest is told. What a client is told is less than what the operator is: see `Step::wire`.

use std::sync::Arc;

use opcua::StatusCode;

use super::certificate::Certificate;
use super::folders::Store;
use super::text::{printable, when};
use crate::stack::crypto::certificate::split_chain;

/// Certificates that a client may send.
const MAX_CHAIN: usize = 10;
/// Issuers above a certificate.
const MAX_ISSUERS: usize = 6;
/// Signatures that are verified for one client, so that many issuers of one name cost nothing.
const MAX_SIGNATURES: usize = 48;

/// Revocation lists that a refusal names with the reason why they don't count.
const MAX_OBJECTIONS: usize = 3;

/// The steps in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// It is one certificate, whole, with nothing critical that is not understood.
    Structure,
    /// Every issuer up to a root is known.
    Chain,
    /// Every signature is genuine.
    Signature,
    /// Keys and algorithms are as strong as the policy wants them.
    Policy,
    /// It, or an issuer above it, is trusted.
    Trust,
    Validity,
    /// The ApplicationUri is there.
    Uri,
    /// A server has the host name by which it was dialled.
    Host,
    Usage,
    /// There is a current revocation list.
    FindList,
    /// It is not on the list.
    Revocation,
}

impl Step {
    /// The code for logs and audit: of the certificate itself, or of an issuer above it.
    pub(crate) fn code(self, is_issuer: bool) -> StatusCode {
        match (self, is_issuer) {
            (Step::Structure | Step::Signature, _) => StatusCode::BadCertificateInvalid,
            (Step::Chain, _) => StatusCode::BadCertificateChainIncomplete,
            (Step::Policy, _) => StatusCode::BadCertificatePolicyCheckFailed,
            (Step::Trust, _) => StatusCode::BadCertificateUntrusted,
            (Step::Validity, false) => StatusCode::BadCertificateTimeInvalid,
            (Step::Validity, true) => StatusCode::BadCertificateIssuerTimeInvalid,
            (Step::Uri, _) => StatusCode::BadCertificateUriInvalid,
            (Step::Host, _) => StatusCode::BadCertificateHostNameInvalid,
            (Step::Usage, false) => StatusCode::BadCertificateUseNotAllowed,
            (Step::Usage, true) => StatusCode::BadCertificateIssuerUseNotAllowed,
            (Step::FindList, false) => StatusCode::BadCertificateRevocationUnknown,
            (Step::FindList, true) => StatusCode::BadCertificateIssuerRevocationUnknown,
            (Step::Revocation, false) => StatusCode::BadCertificateRevoked,
            (Step::Revocation, true) => StatusCode::BadCertificateIssuerRevoked,
        }
    }

    /// The code for the client: as long as the certificate is not trusted, only that the checks failed.
    pub(crate) fn wire(self, is_issuer: bool) -> StatusCode {
        match self {
            Step::Structure | Step::Chain | Step::Signature | Step::Policy | Step::Trust | Step::Revocation => {
                StatusCode::BadSecurityChecksFailed
            }
            Step::Validity | Step::Uri | Step::Host | Step::Usage | Step::FindList => self.code(is_issuer),
        }
    }
}

/// Steps that the specification lets an administrator suppress; what one let through is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Suppressed {
    /// Of the certificate itself.
    pub time: bool,
    pub issuer_time: bool,
    pub usage: bool,
    /// A missing or outdated list for the certificate.
    pub revocation_unknown: bool,
    /// The same for its issuers.
    pub issuer_revocation_unknown: bool,
}

impl Suppressed {
    fn covers(&self, finding: &Finding) -> bool {
        match (finding.step, finding.is_issuer) {
            (Step::Validity, false) => self.time,
            (Step::Validity, true) => self.issuer_time,
            (Step::Usage, false) => self.usage,
            (Step::FindList, false) => self.revocation_unknown,
            (Step::FindList, true) => self.issuer_revocation_unknown,
            _ => false,
        }
    }
}

/// The first step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub step: Step,
    /// It is an issuer's fault.
    pub is_issuer: bool,
    /// For the operator, with what mends it.
    pub rule: String,
}

impl Finding {
    fn new(step: Step, depth: usize, rule: impl Into<String>) -> Finding {
        Finding { step, is_issuer: depth > 0, rule: rule.into() }
    }

    /// For logs and audit.
    pub(crate) fn code(&self) -> StatusCode {
        self.step.code(self.is_issuer)
    }

    /// For the client.
    pub(crate) fn wire(&self) -> StatusCode {
        self.step.wire(self.is_issuer)
    }
}

/// The use of a certificate, and the time of the check (seconds since 1970).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    pub now: i64,
    pub suppressed: Suppressed,
    pub role: Role,
}

/// Role in which an application presents its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Role {
    #[default]
    Client,
    Server,
}

/// A certificate that may be used, and what was let through because its step is suppressed.
pub(crate) type Passed = (Arc<Certificate>, Vec<Finding>);
/// The certificate, as far as it could be read, and why it may not be used.
pub(crate) type Refused = (Option<Arc<Certificate>>, Finding);

/// Takes the steps for what a client sent: its own certificate first, then issuers.
pub(super) fn validate(store: &Store, chain: &[u8], demand: Demand) -> Result<Passed, Refused> {
    let structure = |rule: &str| Finding::new(Step::Structure, 0, rule);
    let Some(sent) = split_chain(chain, MAX_CHAIN) else {
        let leaf = crate::stack::crypto::certificate::leaf(chain).and_then(Certificate::parse).map(Arc::new);
        return Err((leaf, structure("what was sent is no chain of at most 10 certificates in DER")));
    };
    let mut sent = sent.into_iter().map(|der| store.taken_apart(der));
    let Some(leaf) = sent.next().flatten() else {
        return Err((None, structure("what was sent is not a certificate in DER")));
    };
    if store.revoked.contains(&leaf.thumbprint) {
        let rule = "its trust was taken away; to give it back: opcell pki trust";
        return Err((Some(leaf), Finding::new(Step::Revocation, 0, rule)));
    }
    let sent: Vec<Arc<Certificate>> = sent.flatten().collect();
    let mut search = Search { store, sent, demand, signatures: 0, worst: None };
    match search.from(&mut vec![Arc::clone(&leaf)]) {
        Some(let_through) => Ok((leaf, let_through)),
        None => {
            let finding = search.worst.unwrap_or_else(|| structure("it has no path to a root"));
            Err((Some(leaf), finding))
        }
    }
}

struct Search<'a> {
    store: &'a Store,
    sent: Vec<Arc<Certificate>>,
    demand: Demand,
    signatures: usize,
    /// The failure that came furthest.
    worst: Option<Finding>,
}

impl Search<'_> {
    fn fail(&mut self, finding: Finding) -> Option<Vec<Finding>> {
        if self.worst.as_ref().is_none_or(|worst| worst.step < finding.step) {
            self.worst = Some(finding);
        }
        None
    }

    /// Tries every path on from the last certificate of `path`; what was let through on the first that passes.
    fn from(&mut self, path: &mut Vec<Arc<Certificate>>) -> Option<Vec<Finding>> {
        let depth = path.len() - 1;
        let last = Arc::clone(&path[depth]);
        if let Some(what) = &last.not_understood {
            let rule = format!("{} has a critical extension that is not understood ({what})", subject(&last, depth));
            return self.fail(Finding::new(Step::Structure, depth, rule));
        }
        if let Some(what) = last.weakness() {
            return self.fail(Finding::new(Step::Policy, depth, format!("{} {what}", subject(&last, depth))));
        }
        if last.subject_raw == last.issuer_raw {
            self.signatures += 1;
            if !last.is_self_signed() {
                let rule = format!("the signature of {} is not genuine", subject(&last, depth));
                return self.fail(Finding::new(Step::Signature, depth, rule));
            }
            return match self.judge(path) {
                Ok(let_through) => Some(let_through),
                Err(finding) => self.fail(finding),
            };
        }
        if depth == MAX_ISSUERS {
            let rule = format!("it has more than {MAX_ISSUERS} issuers above it");
            return self.fail(Finding::new(Step::Chain, depth, rule));
        }
        self.through_issuers(path, &last)
    }

    fn through_issuers(&mut self, path: &mut Vec<Arc<Certificate>>, last: &Certificate) -> Option<Vec<Finding>> {
        let depth = path.len() - 1;
        let candidates = self.named(&last.issuer_raw);
        if candidates.is_empty() {
            let name = printable(&last.issuer);
            let rule = format!("its issuer `{name}` is not known; put that certificate into issuers/ or trusted/");
            return self.fail(Finding::new(Step::Chain, depth, rule));
        }
        for issuer in candidates {
            if path.iter().any(|known| known.thumbprint == issuer.thumbprint) {
                continue;
            }
            if self.signatures >= MAX_SIGNATURES {
                return self.fail(Finding::new(Step::Chain, depth, "it has too many possible issuers"));
            }
            self.signatures += 1;
            if let Some(what) = issuer.weak_key() {
                let rule = format!("{} {what}", subject(&issuer, depth + 1));
                self.fail(Finding::new(Step::Policy, depth + 1, rule));
                continue;
            }
            if !last.is_signed_by(&issuer) {
                let rule = format!("the signature of `{}` on it is not genuine", printable(issuer.name()));
                self.fail(Finding::new(Step::Signature, depth, rule));
                continue;
            }
            path.push(issuer);
            let passed = self.from(path);
            path.pop();
            if passed.is_some() {
                return passed;
            }
        }
        // Issuers that lead round in a circle leave no other word.
        if self.worst.is_none() {
            self.fail(Finding::new(Step::Chain, depth, "its issuers vouch for each other and for no root"));
        }
        None
    }

    /// Certificates of that name: trusted ones first, each once.
    fn named(&self, subject: &[u8]) -> Vec<Arc<Certificate>> {
        let known = self.store.trusted.values().chain(self.store.issuers.values()).chain(&self.sent);
        let mut found: Vec<Arc<Certificate>> = Vec::new();
        for certificate in known.filter(|certificate| certificate.subject_raw == subject) {
            if found.iter().all(|other| other.thumbprint != certificate.thumbprint) {
                found.push(Arc::clone(certificate));
            }
        }
        found
    }

    /// The steps after the signatures, for a path that ends in a root.
    fn judge(&self, path: &[Arc<Certificate>]) -> Result<Vec<Finding>, Finding> {
        if let Some(depth) = path.iter().position(|certificate| self.store.revoked.contains(&certificate.thumbprint)) {
            let rule = format!("the trust of {} was taken away", subject(&path[depth], depth));
            return Err(Finding::new(Step::Revocation, depth, rule));
        }
        let is_trusted = |certificate: &Arc<Certificate>| self.store.trusted.contains_key(&certificate.thumbprint);
        if !path.iter().any(is_trusted) {
            return Err(Finding::new(Step::Trust, 0, "it is not trusted, and neither is an issuer of it"));
        }
        check_names(path)?;
        let mut let_through = Vec::new();
        let mut weigh = |checked: Result<(), Finding>| match checked {
            Err(finding) if self.demand.suppressed.covers(&finding) => {
                let_through.push(finding);
                Ok(())
            }
            checked => checked,
        };
        for (depth, certificate) in path.iter().enumerate() {
            weigh(check_time(certificate, depth, self.demand.now))?;
        }
        if path[0].uris.is_empty() {
            return Err(Finding::new(Step::Uri, 0, "it states no ApplicationUri in its alternative names"));
        }
        weigh(check_leaf_usage(&path[0], self.demand.role))?;
        for (depth, issuer) in path.iter().enumerate().skip(1) {
            weigh(check_issuer_usage(issuer, depth))?;
        }
        for (depth, pair) in path.windows(2).enumerate() {
            // The operator vouched for a pinned certificate itself: a missing list is no obstacle.
            let is_pinned = depth == 0 && is_trusted(&pair[0]);
            match self.check_revocation(&pair[0], &pair[1], depth) {
                Err(finding) if is_pinned && finding.step == Step::FindList => {}
                checked => weigh(checked)?,
            }
        }
        Ok(let_through)
    }

    fn check_revocation(&self, issued: &Certificate, issuer: &Certificate, depth: usize) -> Result<(), Finding> {
        let name = printable(issuer.name());
        let lists: Vec<_> = self.store.crls.iter().filter(|list| list.is_by(issuer)).collect();
        if lists.iter().any(|list| list.revokes(issued)) {
            let rule = format!("`{name}` has revoked `{}`", printable(issued.name()));
            return Err(Finding::new(Step::Revocation, depth, rule));
        }
        let mut objections = Vec::new();
        for list in lists {
            match list.objection(issued, self.demand.now) {
                None => return Ok(()),
                Some(objection) => objections.push(format!("{} {objection}", list.file)),
            }
        }
        objections.sort();
        objections.dedup();
        let rule = match objections.len() {
            0 => format!("there is no revocation list of `{name}`; put its CRL into issuers/"),
            count => {
                let more = if count > MAX_OBJECTIONS { ", and more" } else { "" };
                let told = objections[..count.min(MAX_OBJECTIONS)].join(", ");
                format!("no revocation list of `{name}` counts for it ({told}{more}); put a current CRL into issuers/")
            }
        };
        Err(Finding::new(Step::FindList, depth, rule))
    }
}

fn subject(certificate: &Certificate, depth: usize) -> String {
    if depth == 0 { "it".to_owned() } else { format!("its issuer `{}`", printable(certificate.name())) }
}

fn check_time(certificate: &Certificate, depth: usize, now: i64) -> Result<(), Finding> {
    if certificate.is_valid_at(now) {
        return Ok(());
    }
    let (from, to) = (when(certificate.not_before), when(certificate.not_after));
    let rule = format!("{} is valid from {from} to {to}", subject(certificate, depth));
    Err(Finding::new(Step::Validity, depth, rule))
}

/// RFC 5280 §6.1.3: every certificate has names that each issuer above it permits; one that an issuer has made for itself, as
/// in a change of keys, is exempt.
fn check_names(path: &[Arc<Certificate>]) -> Result<(), Finding> {
    for (above, issuer) in path.iter().enumerate().skip(1) {
        let Some(constraints) = &issuer.constraints else { continue };
        for (depth, certificate) in path[..above].iter().enumerate() {
            let is_own = depth > 0 && certificate.subject_raw == certificate.issuer_raw;
            if let Some(name) = constraints.refused(&certificate.names).filter(|_| !is_own) {
                let (below, issuer) = (subject(certificate, depth), printable(issuer.name()));
                let rule = format!("{below} has {name}, which the name constraints of `{issuer}` forbid");
                return Err(Finding::new(Step::Structure, depth, rule));
            }
        }
    }
    Ok(())
}

fn check_leaf_usage(leaf: &Certificate, role: Role) -> Result<(), Finding> {
    let what = if !leaf.signs_data {
        "its key usage lacks digitalSignature"
    } else if !leaf.enciphers {
        "its key usage lacks keyEncipherment and dataEncipherment"
    } else if role == Role::Client && !leaf.may_be_client {
        "its extended key usage lacks clientAuth"
    } else if role == Role::Server && !leaf.may_be_server {
        "its extended key usage lacks serverAuth"
    } else {
        return Ok(());
    };
    Err(Finding::new(Step::Usage, 0, what))
}

/// `depth`: issuers between it and the certificate itself, plus one.
fn check_issuer_usage(issuer: &Certificate, depth: usize) -> Result<(), Finding> {
    let name = printable(issuer.name());
    let rule = if !issuer.is_ca {
        format!("its issuer `{name}` is no certificate authority")
    } else if !issuer.signs_certificates {
        format!("the key usage of its issuer `{name}` lacks keyCertSign")
    } else if issuer.most_issuers_below.is_some_and(|most| depth > most as usize + 1) {
        format!("its issuer `{name}` may not have {} issuers below it", depth - 1)
    } else {
        return Ok(());
    };
    Err(Finding::new(Step::Usage, depth, rule))
}
