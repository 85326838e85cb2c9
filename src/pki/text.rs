//! Parts of certificates as text for people, logs and comparison.

use std::fmt::Write;
use std::net::IpAddr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::extensions::{DistributionPointName, GeneralName};

pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Text of a peer for terminals and logs: without control characters, at most 300 letters.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|letter| crate::value::is_plain(*letter)).take(300).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text takes every write");
        text
    })
}

/// A point in time as text, in UTC.
pub(super) fn when(unix: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{unix} s after 1970"))
}

/// Names of a distribution point, for comparison; empty for a name that is relative to the issuer's.
pub(super) fn names(point: &DistributionPointName<'_>) -> Vec<String> {
    let DistributionPointName::FullName(names) = point else { return Vec::new() };
    let plain = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => format!("uri {uri}"),
        GeneralName::DirectoryName(name) => format!("name {}", hex(name.as_raw())),
        other => format!("{other:?}"),
    };
    names.iter().map(plain).collect()
}
