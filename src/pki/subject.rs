//! The subject of a certificate, name by name: text alone would let a value pose as several.

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::model::Subject;

/// Attribute types (RFC 4519 §2; DC of RFC 4519 §2.4) that a subject is compared by.
const TYPES: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "S"),
    ("2.5.4.6", "C"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.5", "serialNumber"),
];

/// Of a certificate (DER); empty when a value in it can't be read, so that nothing is met by less than the whole.
pub(crate) fn subject(der: &[u8]) -> Subject {
    let Ok((_, x509)) = X509Certificate::from_der(der) else { return Subject::default() };
    let mut names = Vec::new();
    for attribute in x509.subject().iter_attributes() {
        let id = attribute.attr_type().to_id_string();
        let Some((_, name)) = TYPES.iter().find(|(known, _)| *known == id) else { continue };
        let Ok(value) = attribute.as_str() else { return Subject::default() };
        names.push((*name, value));
    }
    Subject::new(names.into_iter())
}
