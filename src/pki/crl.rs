//! Revocation lists (RFC 5280 §5): what one says, and of which certificates it may say so.
//!
//! A serial number on any genuine list revokes its certificate, also on a list that has ended or is a delta. That a
//! certificate is not revoked follows only from a complete, current list whose scope holds it.

use x509_parser::asn1_rs::{Any, FromDer};
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::revocation_list::{CertificateRevocationList, RevokedCertificate};
use x509_parser::x509::ReasonCode;

use super::certificate::{Certificate, Signature};
use super::text::{names, when};

const CRL_NUMBER: &str = "2.5.29.20";
const DELTA: &str = "2.5.29.27";
const SCOPE: &str = "2.5.29.28";
const AUTHORITY_KEY: &str = "2.5.29.35";
const REASON: &str = "2.5.29.21";
const INVALID_SINCE: &str = "2.5.29.24";

/// A list of revoked certificates.
#[derive(Debug, Clone)]
pub(super) struct Crl {
    /// File that holds it, as `issuers/plant.crl`.
    pub file: String,
    pub issuer_raw: Vec<u8>,
    this_update: i64,
    /// Seconds since 1970-01-01; `None`: never ends.
    next_update: Option<i64>,
    serials: Vec<Vec<u8>>,
    signature: Signature,
    /// Why it is no list at all: something critical in it is not understood.
    not_understood: Option<String>,
    is_delta: bool,
    scope: Scope,
}

/// The issuing distribution point (RFC 5280 §5.2.5); empty in a list of everything.
#[derive(Debug, Clone, Default)]
struct Scope {
    only_users: bool,
    only_issuers: bool,
    only_attributes: bool,
    only_some_reasons: bool,
    is_indirect: bool,
    /// Names of the distribution point; the certificate must state one of them.
    points: Option<Vec<String>>,
}

impl Crl {
    pub(crate) fn parse(der: &[u8], file: &str) -> Option<Crl> {
        let (rest, crl) = CertificateRevocationList::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        Some(Crl {
            file: file.to_owned(),
            issuer_raw: crl.issuer().as_raw().to_vec(),
            this_update: crl.last_update().timestamp(),
            next_update: crl.next_update().map(|time| time.timestamp()),
            serials: crl.iter_revoked_certificates().filter(is_revoked).map(|at| at.raw_serial().to_vec()).collect(),
            signature: Signature::new(&crl.signature_algorithm, crl.tbs_cert_list.as_ref(), &crl.signature_value.data),
            not_understood: not_understood(&crl),
            is_delta: crl.extensions().iter().any(|extension| extension.oid.to_id_string() == DELTA),
            scope: crl.extensions().iter().find_map(scope).unwrap_or_default(),
        })
    }

    /// Whether the issuer has made it and may make lists.
    pub(crate) fn is_by(&self, issuer: &Certificate) -> bool {
        self.issuer_raw == issuer.subject_raw && issuer.signs_lists && self.signature.is_by(&issuer.spki)
    }

    pub(crate) fn revokes(&self, issued: &Certificate) -> bool {
        let is_of_others = self.scope.is_indirect || self.scope.only_attributes;
        self.not_understood.is_none() && !is_of_others && self.serials.contains(&issued.serial)
    }

    /// Why this file is no complete list for any certificate, now or later.
    pub(crate) fn fault(&self) -> Option<String> {
        let scope = &self.scope;
        if self.not_understood.is_some() {
            return self.not_understood.clone();
        }
        let fault = if self.is_delta {
            "is a delta list, which counts only next to its base list"
        } else if scope.is_indirect {
            "is an indirect list, which names certificates of several issuers"
        } else if scope.only_attributes {
            "is for attribute certificates only"
        } else if scope.only_some_reasons {
            "names only certificates that are revoked for some of the reasons"
        } else {
            return None;
        };
        Some(fault.to_owned())
    }

    /// Why it doesn't show that this certificate is not revoked, with the time in seconds since 1970-01-01.
    pub(crate) fn objection(&self, issued: &Certificate, now: i64) -> Option<String> {
        if let Some(fault) = self.fault() {
            return Some(fault);
        }
        let scope = &self.scope;
        let is_named = |points: &Vec<String>| points.iter().any(|point| issued.list_points.contains(point));
        if scope.only_users && issued.is_ca {
            Some("is for certificates of clients only, not for those of issuers".to_owned())
        } else if scope.only_issuers && !issued.is_ca {
            Some("is for certificates of issuers only".to_owned())
        } else if scope.points.as_ref().is_some_and(|points| !is_named(points)) {
            Some("is for a distribution point that the certificate doesn't name".to_owned())
        } else if now < self.this_update {
            Some(format!("is not current before {}", when(self.this_update)))
        } else {
            self.next_update.filter(|next| *next < now).map(|next| format!("ended at {}", when(next)))
        }
    }
}

/// An entry of a delta may also say that a certificate is no longer on hold.
fn is_revoked(entry: &&RevokedCertificate<'_>) -> bool {
    entry.reason_code().is_none_or(|(_, reason)| reason != ReasonCode::RemoveFromCRL)
}

/// RFC 5280 §5.2 and §5.3: a list with a critical extension that is not understood says nothing about any certificate.
fn not_understood(crl: &CertificateRevocationList<'_>) -> Option<String> {
    let mut seen = Vec::new();
    for extension in crl.extensions() {
        let oid = extension.oid.to_id_string();
        if seen.contains(&oid) {
            return Some(format!("holds the extension {oid} twice"));
        }
        // Where a list says that it is not whole it must be read, critical or not.
        let is_unread = oid == SCOPE && scope(extension).is_none();
        if is_unread || extension.critical && ![CRL_NUMBER, DELTA, SCOPE, AUTHORITY_KEY].contains(&&*oid) {
            return Some(format!("holds a critical extension that is not understood ({oid})"));
        }
        seen.push(oid);
    }
    let entries = crl.iter_revoked_certificates().flat_map(|entry| entry.extensions());
    let critical = entries.filter(|extension| extension.critical).map(|extension| extension.oid.to_id_string());
    let unknown = critical.into_iter().find(|oid| ![REASON, INVALID_SINCE].contains(&&**oid))?;
    Some(format!("holds an entry with a critical extension that is not understood ({unknown})"))
}

fn scope(extension: &X509Extension<'_>) -> Option<Scope> {
    let ParsedExtension::IssuingDistributionPoint(point) = extension.parsed_extension() else { return None };
    let tags = tags(extension.value)?;
    let has = |tag: u32| tags.contains(&tag);
    Some(Scope {
        only_users: has(1),
        only_issuers: has(2),
        only_some_reasons: has(3),
        is_indirect: has(4),
        only_attributes: has(5),
        points: has(0).then(|| point.distribution_point.as_ref().map(names).unwrap_or_default()),
    })
}

/// Tags of the fields of an issuing distribution point: a field that is there restricts, however it is encoded.
fn tags(value: &[u8]) -> Option<Vec<u32>> {
    let (rest, sequence) = Any::from_der(value).ok()?;
    let mut data = sequence.data;
    let mut tags = Vec::new();
    while !data.is_empty() {
        let (rest, field) = Any::from_der(data).ok()?;
        tags.push(field.tag().0);
        data = rest;
    }
    (rest.is_empty() && tags.iter().all(|tag| *tag <= 5)).then_some(tags)
}
