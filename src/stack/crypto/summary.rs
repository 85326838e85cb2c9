//! A certificate in words, for people who look at a peer. Whether it is to be believed is decided elsewhere.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::value::is_plain;

/// Letters of a name, and names.
const MOST_LETTERS: usize = 200;
const MOST_NAMES: usize = 20;

/// Parts of a certificate that people look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub subject: String,
    pub issuer: String,
    /// Names of hosts, addresses and URIs.
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| is_plain(*letter)).take(MOST_LETTERS).collect()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::URI(text) | GeneralName::DNSName(text) => Some(printable(text)),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

impl Summary {
    /// `None` for bytes that are no certificate.
    pub(crate) fn of(der: &[u8]) -> Option<Summary> {
        let (_, x509) = X509Certificate::from_der(der).ok()?;
        let names = x509.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|all| &all.value.general_names).filter_map(name);
        Some(Summary {
            subject: printable(&x509.subject().to_string()),
            issuer: printable(&x509.issuer().to_string()),
            names: names.take(MOST_NAMES).collect(),
            not_before: x509.validity().not_before.timestamp(),
            not_after: x509.validity().not_after.timestamp(),
        })
    }
}
