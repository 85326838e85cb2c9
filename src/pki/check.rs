//! Whether a certificate may be used: the order of Part 6 §6.7.4 (1.05), trust first, so that a stranger learns
//! nothing but that the checks failed; then the rules of Part 4 §6.1.3 (1.05).

use std::sync::Arc;

use opcua::StatusCode;

use super::Pki;
use super::certificate::{Certificate, printable, when};
use super::folders::Store;
use super::rejected::Rejection;
use crate::stack::channel::{Caller, CertificateCheck, Refusal};
use crate::stack::crypto::certificate::split_chain;
use crate::value::UaTime;

/// Certificates that a client may send.
const MAX_CHAIN: usize = 10;
/// Issuers above a certificate.
const MAX_ISSUERS: usize = 6;

/// What is wrong: what the client is told, and what the operator is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub status: StatusCode,
    pub rule: String,
}

fn finding(status: StatusCode, rule: impl Into<String>) -> Finding {
    Finding { status, rule: rule.into() }
}

/// The certificate is trusted at this time, or the first rule that it breaks.
pub(super) fn judge(
    store: &Store,
    chain: &[u8],
    now: i64,
) -> Result<Arc<Certificate>, (Option<Arc<Certificate>>, Finding)> {
    const HIDDEN: StatusCode = StatusCode::BadSecurityChecksFailed;
    let sent = split_chain(chain, MAX_CHAIN).unwrap_or_default();
    let mut sent = sent.into_iter().map(Certificate::parse);
    let Some(leaf) = sent.next().flatten().map(Arc::new) else {
        return Err((None, finding(HIDDEN, "what was sent is not a certificate chain in DER")));
    };
    let sent: Vec<Arc<Certificate>> = sent.flatten().map(Arc::new).collect();
    let verdict = issuers(store, &leaf, &sent)
        .and_then(|issuers| {
            let is_pinned = store.trusted.contains_key(&leaf.thumbprint);
            let is_vouched_for = issuers.iter().any(|issuer| store.trusted.contains_key(&issuer.thumbprint));
            if !is_pinned && !is_vouched_for {
                return Err(finding(HIDDEN, "it is not trusted, and neither is an issuer of it"));
            }
            check_issuers(store, &leaf, &issuers, (is_pinned, now))
        })
        .and_then(|()| check_leaf(&leaf, now));
    match verdict {
        Ok(()) => Ok(leaf),
        Err(finding) => Err((Some(leaf), finding)),
    }
}

/// The issuers above `leaf`, as far as they are known; each signature is verified.
fn issuers(
    store: &Store,
    leaf: &Arc<Certificate>,
    sent: &[Arc<Certificate>],
) -> Result<Vec<Arc<Certificate>>, Finding> {
    const HIDDEN: StatusCode = StatusCode::BadSecurityChecksFailed;
    let mut issuers: Vec<Arc<Certificate>> = Vec::new();
    let mut last = Arc::clone(leaf);
    while last.subject_raw != last.issuer_raw {
        let mut known = store.trusted.values().chain(store.issuers.values()).chain(sent);
        let Some(issuer) = known.find(|issuer| last.is_signed_by(issuer)).cloned() else { return Ok(issuers) };
        if issuers.len() == MAX_ISSUERS {
            return Err(finding(HIDDEN, format!("it has more than {MAX_ISSUERS} issuers above it")));
        }
        last = Arc::clone(&issuer);
        issuers.push(issuer);
    }
    if !last.is_self_signed() {
        return Err(finding(HIDDEN, "a signature in its chain is not genuine, or made with SHA-1"));
    }
    Ok(issuers)
}

/// Issuers must be valid, allowed to issue, and have a CRL that does not list what they issued. For a pinned leaf a
/// missing CRL is no obstacle: the operator vouched for this very certificate.
fn check_issuers(
    store: &Store,
    leaf: &Arc<Certificate>,
    issuers: &[Arc<Certificate>],
    (is_pinned, now): (bool, i64),
) -> Result<(), Finding> {
    let mut issued = leaf;
    for (depth, issuer) in issuers.iter().enumerate() {
        let name = printable(issuer.name());
        if !issuer.is_ca || !issuer.signs_certificates {
            let rule = format!("its issuer `{name}` may not issue certificates");
            return Err(finding(StatusCode::BadCertificateIssuerUseNotAllowed, rule));
        }
        if !issuer.is_valid_at(now) {
            let rule =
                format!("its issuer `{name}` is valid from {} to {}", when(issuer.not_before), when(issuer.not_after));
            return Err(finding(StatusCode::BadCertificateIssuerTimeInvalid, rule));
        }
        check_revocation(store, issued, issuer, now).or_else(|(is_unknown, rule)| {
            let status = match (is_unknown, depth) {
                (true, _) if is_pinned => return Ok(()),
                (true, 0) => StatusCode::BadCertificateRevocationUnknown,
                (true, _) => StatusCode::BadCertificateIssuerRevocationUnknown,
                // A revoked certificate is not to learn of it.
                (false, _) => StatusCode::BadSecurityChecksFailed,
            };
            Err(finding(status, rule))
        })?;
        issued = issuer;
    }
    Ok(())
}

/// `(true, …)`: no list tells; `(false, …)`: it is revoked.
fn check_revocation(store: &Store, issued: &Certificate, issuer: &Certificate, now: i64) -> Result<(), (bool, String)> {
    let name = printable(issuer.name());
    let mut lists = store
        .crls
        .iter()
        .filter(|crl| crl.issuer_raw == issuer.subject_raw && crl.signature.is_by(&issuer.spki))
        .peekable();
    if lists.peek().is_none() {
        return Err((true, format!("there is no revocation list of `{name}`; put its CRL into issuers/")));
    }
    let mut is_current = false;
    for list in lists {
        if list.serials.contains(&issued.serial) {
            return Err((false, format!("`{name}` has revoked `{}`", printable(issued.name()))));
        }
        is_current |= list.next_update.is_none_or(|next| now <= next);
    }
    match is_current {
        true => Ok(()),
        false => Err((true, format!("the revocation list of `{name}` is outdated; put a newer CRL into issuers/"))),
    }
}

fn check_leaf(leaf: &Certificate, now: i64) -> Result<(), Finding> {
    if !leaf.is_valid_at(now) {
        let rule = format!("it is valid from {} to {}", when(leaf.not_before), when(leaf.not_after));
        return Err(finding(StatusCode::BadCertificateTimeInvalid, rule));
    }
    if !leaf.signs_data || !leaf.may_be_client {
        let rule = "its key usage does not allow a client to sign with it";
        return Err(finding(StatusCode::BadCertificateUseNotAllowed, rule));
    }
    if leaf.uris.is_empty() {
        return Err(finding(StatusCode::BadCertificateUriInvalid, "it states no ApplicationUri"));
    }
    Ok(())
}

impl CertificateCheck for Pki {
    fn check_client(&self, chain: &[u8], caller: &Caller) -> Result<(), Refusal> {
        let store = self.store.load();
        let (certificate, finding) = match judge(&store, chain, UaTime::now().unix_seconds()) {
            Ok(leaf) => match leaf.key.as_ref().is_some_and(|key| caller.policy.takes_key(key.bits())) {
                true => return Ok(()),
                false => {
                    let rule = format!("its key does not fit the policy {}", caller.policy.name());
                    (Some(leaf), finding(StatusCode::BadSecurityChecksFailed, rule))
                }
            },
            Err(refused) => refused,
        };
        let from = caller.address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
        let Some(certificate) = certificate else {
            return Err(Refusal { status: finding.status, rule: format!("client at {from}: {}", finding.rule) });
        };
        let short = certificate.short();
        let remedy = match finding.status {
            StatusCode::BadSecurityChecksFailed if !store.trusted.contains_key(&certificate.thumbprint) => {
                format!("; to trust it: opcell pki trust {short}")
            }
            _ => format!("; see: opcell pki show {short}"),
        };
        let name = printable(certificate.name());
        let rule = format!("certificate {short} `{name}` of the client at {from} is refused: {}{remedy}", finding.rule);
        let rejection = Rejection { certificate, from, rule: finding.rule };
        if self.rejections.try_send(rejection).is_err() {
            log::debug!("too many refusals at once; this one is not written to rejected/");
        }
        Err(Refusal { status: finding.status, rule })
    }
}

impl Pki {
    /// The files of `users/` that hold this user certificate. It must be valid now; the caller verifies the signature
    /// that proves possession of its key.
    pub fn check_user(&self, der: &[u8]) -> Result<(Certificate, Vec<String>), Refusal> {
        let refused = |rule: String| Refusal { status: StatusCode::BadIdentityTokenRejected, rule };
        let certificate = Certificate::parse(der)
            .ok_or_else(|| Refusal { status: StatusCode::BadIdentityTokenInvalid, rule: "not a certificate".into() })?;
        let name = format!("user certificate {} `{}`", certificate.short(), printable(certificate.name()));
        if !certificate.is_valid_at(UaTime::now().unix_seconds()) {
            let span = format!("{} to {}", when(certificate.not_before), when(certificate.not_after));
            return Err(refused(format!("{name} is valid from {span}")));
        }
        match self.store.load().users.get(&certificate.thumbprint) {
            Some(files) => Ok((certificate, files.clone())),
            None => Err(refused(format!(
                "{name} is not in {}; put it there and name it in `users.NAME.certificate`",
                self.dir.join("users").display()
            ))),
        }
    }
}
