//! One certificate, taken apart once.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::OnceLock;

use aws_lc_rs::signature as aws;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};
use x509_parser::x509::{AlgorithmIdentifier, X509Name};

use super::constraints::{self, Constraints, Name};
use super::text::{self, address, hex, printable, when};
use crate::stack::crypto::{PublicKey, thumbprint};

#[derive(Debug, Clone)]
pub struct Certificate {
    pub der: Vec<u8>,
    pub thumbprint: [u8; 20],
    pub subject: String,
    pub issuer: String,
    pub common_name: String,
    /// Seconds since 1970-01-01.
    pub not_before: i64,
    pub not_after: i64,
    /// ApplicationUri is the first.
    pub uris: Vec<String>,
    pub dns_names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub is_ca: bool,
    pub(super) signs_certificates: bool,
    pub(super) signs_data: bool,
    pub(super) enciphers: bool,
    pub(super) signs_lists: bool,
    /// pathLenConstraint.
    pub(super) most_issuers_below: Option<u32>,
    /// OID of a critical extension that nothing here looks at.
    pub(super) not_understood: Option<String>,
    /// Names that certificates below it may have.
    pub(super) constraints: Option<Constraints>,
    /// Every name that it states, for the constraints of issuers above it.
    pub(super) names: Vec<Name>,
    /// Distribution points at which its issuer says whether it is revoked (RFC 5280 §4.2.1.13).
    pub(super) list_points: Vec<String>,
    /// OID of the algorithm that it is signed with.
    pub(super) signed_with: String,
    /// Bits of the RSA key; `None`: of another kind.
    pub(super) rsa_bits: Option<usize>,
    pub(super) may_be_client: bool,
    pub(super) may_be_server: bool,
    pub(super) subject_raw: Vec<u8>,
    pub(super) issuer_raw: Vec<u8>,
    pub(super) serial: Vec<u8>,
    /// `None`: not RSA, or under 2048 bits.
    pub key: Option<PublicKey>,
    pub(super) spki: Vec<u8>,
    pub(super) signature: Signature,
    is_self_signed: OnceLock<bool>,
}

/// A signature over DER bytes, of a certificate or a CRL.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    algorithm: &'static [Algorithm],
    signed: Vec<u8>,
    value: Vec<u8>,
}

type Algorithm = &'static dyn aws::VerificationAlgorithm;

/// SHA-1 and MD5 are not here: a signature with them proves nothing any more.
static ALGORITHMS: [(&str, &[Algorithm]); 6] = [
    (
        "1.2.840.113549.1.1.10",
        &[&aws::RSA_PSS_2048_8192_SHA256, &aws::RSA_PSS_2048_8192_SHA384, &aws::RSA_PSS_2048_8192_SHA512],
    ),
    ("1.2.840.113549.1.1.11", &[&aws::RSA_PKCS1_2048_8192_SHA256]),
    ("1.2.840.113549.1.1.12", &[&aws::RSA_PKCS1_2048_8192_SHA384]),
    ("1.2.840.113549.1.1.13", &[&aws::RSA_PKCS1_2048_8192_SHA512]),
    ("1.2.840.10045.4.3.2", &[&aws::ECDSA_P256_SHA256_ASN1, &aws::ECDSA_P384_SHA256_ASN1]),
    ("1.2.840.10045.4.3.3", &[&aws::ECDSA_P384_SHA384_ASN1]),
];

impl Signature {
    /// With an algorithm that is not in the table it never verifies.
    pub(crate) fn new(algorithm: &AlgorithmIdentifier<'_>, signed: &[u8], value: &[u8]) -> Signature {
        let id = algorithm.algorithm.to_id_string();
        let algorithm = ALGORITHMS.iter().find(|(known, _)| *known == id).map_or(&[][..], |(_, list)| *list);
        Signature { algorithm, signed: signed.to_vec(), value: value.to_vec() }
    }

    pub(crate) fn is_by(&self, spki: &[u8]) -> bool {
        self.algorithm
            .iter()
            .any(|algorithm| aws::UnparsedPublicKey::new(*algorithm, spki).verify(&self.signed, &self.value).is_ok())
    }
}

impl Certificate {
    /// `None` when the bytes are not exactly one X.509 certificate.
    pub fn parse(der: &[u8]) -> Option<Certificate> {
        let (rest, x509) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let usage = x509.key_usage().ok()?;
        let extended = x509.extended_key_usage().ok()?;
        let constraints = Constraints::of(&x509);
        let is_unreadable = matches!(constraints, Some(None));
        let mut certificate = Certificate {
            thumbprint: thumbprint(der),
            subject: x509.subject().to_string(),
            issuer: x509.issuer().to_string(),
            common_name: common_name(x509.subject()),
            not_before: x509.validity().not_before.timestamp(),
            not_after: x509.validity().not_after.timestamp(),
            uris: Vec::new(),
            dns_names: Vec::new(),
            addresses: Vec::new(),
            is_ca: x509.basic_constraints().ok()?.is_some_and(|constraints| constraints.value.ca),
            signs_certificates: usage.as_ref().is_none_or(|usage| usage.value.key_cert_sign()),
            signs_data: usage.as_ref().is_none_or(|usage| usage.value.digital_signature()),
            enciphers: usage
                .as_ref()
                .is_none_or(|usage| usage.value.key_encipherment() || usage.value.data_encipherment()),
            signs_lists: usage.as_ref().is_none_or(|usage| usage.value.crl_sign()),
            most_issuers_below: x509.basic_constraints().ok()?.and_then(|at| at.value.path_len_constraint),
            not_understood: not_understood(&x509).or_else(|| is_unreadable.then(|| constraints::OID.to_owned())),
            constraints: constraints.flatten(),
            names: Name::all(&x509),
            list_points: list_points(&x509),
            signed_with: x509.signature_algorithm.algorithm.to_id_string(),
            rsa_bits: rsa_bits(&x509),
            may_be_client: extended.as_ref().is_none_or(|usage| usage.value.any || usage.value.client_auth),
            may_be_server: extended.is_none_or(|usage| usage.value.any || usage.value.server_auth),
            subject_raw: x509.subject().as_raw().to_vec(),
            issuer_raw: x509.issuer().as_raw().to_vec(),
            serial: x509.raw_serial().to_vec(),
            key: PublicKey::from_spki(x509.public_key().raw),
            spki: x509.public_key().raw.to_vec(),
            signature: Signature::new(
                &x509.signature_algorithm,
                x509.tbs_certificate.as_ref(),
                &x509.signature_value.data,
            ),
            der: der.to_vec(),
            is_self_signed: OnceLock::new(),
        };
        if let Some(names) = x509.subject_alternative_name().ok()? {
            names.value.general_names.iter().for_each(|name| certificate.add_name(name));
        }
        Some(certificate)
    }

    fn add_name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => self.addresses.extend(address(bytes)),
            _ => {}
        }
    }

    /// Why it is too weak to be believed.
    pub(super) fn weakness(&self) -> Option<String> {
        let broken = BROKEN.iter().find(|(oid, _)| *oid == self.signed_with).map(|(_, name)| *name);
        broken.map(|name| format!("is signed with {name}, which proves nothing any more")).or_else(|| self.weak_key())
    }

    pub(super) fn weak_key(&self) -> Option<String> {
        let bits = self.rsa_bits.filter(|bits| *bits < LEAST_RSA_BITS)?;
        Some(format!("has a key of {bits} bits; at least {LEAST_RSA_BITS} are wanted"))
    }

    /// Verified once: the bytes don't change.
    pub fn is_self_signed(&self) -> bool {
        *self.is_self_signed.get_or_init(|| self.subject_raw == self.issuer_raw && self.signature.is_by(&self.spki))
    }

    pub(super) fn is_signed_by(&self, issuer: &Certificate) -> bool {
        self.issuer_raw == issuer.subject_raw && self.signature.is_by(&issuer.spki)
    }

    pub fn is_valid_at(&self, unix: i64) -> bool {
        (self.not_before..=self.not_after).contains(&unix)
    }

    /// Name for people: the common name, else the whole subject.
    pub fn name(&self) -> &str {
        if self.common_name.is_empty() { &self.subject } else { &self.common_name }
    }

    /// The first eight digits of the thumbprint.
    pub fn short(&self) -> String {
        hex(&self.thumbprint[..4])
    }

    /// All of it that an operator wants to see, a line each.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let bits = self.key.as_ref().map_or("not RSA of 2048 bits or more".into(), |key| format!("RSA {}", key.bits()));
        for (title, value) in [
            ("thumbprint", hex(&self.thumbprint)),
            ("subject", printable(&self.subject)),
            ("issuer", if self.is_self_signed() { "itself".into() } else { printable(&self.issuer) }),
            ("application uri", printable(&self.uris.join(", "))),
            ("host names", printable(&self.dns_names.join(", "))),
            ("addresses", self.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")),
            ("key", bits),
            ("issues others", if self.is_ca { "yes".into() } else { "no".into() }),
            ("valid from", when(self.not_before)),
            ("valid until", when(self.not_after)),
        ] {
            writeln!(text, "{title:16} {value}").expect("text takes every write");
        }
        text
    }
}

/// Algorithms whose signatures can be forged.
const BROKEN: [(&str, &str); 5] = [
    ("1.2.840.113549.1.1.2", "MD2"),
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.3.14.3.2.29", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
];

const LEAST_RSA_BITS: usize = 2048;

/// Extensions that the checks look at, or that restrict nothing here (RFC 5280 §4.2).
const UNDERSTOOD: [&str; 9] = [
    "2.5.29.14",
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.18",
    "2.5.29.19",
    constraints::OID,
    "2.5.29.31",
    "2.5.29.35",
    "2.5.29.37",
];

fn not_understood(x509: &X509Certificate<'_>) -> Option<String> {
    let critical = x509.extensions().iter().filter(|extension| extension.critical);
    critical.map(|extension| extension.oid.to_id_string()).find(|oid| !UNDERSTOOD.contains(&oid.as_str()))
}

fn list_points(x509: &X509Certificate<'_>) -> Vec<String> {
    let found = x509.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::CRLDistributionPoints(points) => Some(points),
        _ => None,
    });
    let points = found.into_iter().flat_map(|points| points.iter());
    points.filter_map(|point| point.distribution_point.as_ref()).flat_map(text::names).collect()
}

fn rsa_bits(x509: &X509Certificate<'_>) -> Option<usize> {
    match x509.public_key().parsed().ok()? {
        x509_parser::public_key::PublicKey::RSA(key) => Some(key.key_size()),
        _ => None,
    }
}

fn common_name(name: &X509Name<'_>) -> String {
    name.iter_common_name().next().and_then(|part| part.as_str().ok()).unwrap_or_default().to_owned()
}

/// The ApplicationUri that a client's certificate states, for comparison with CreateSession's (Part 4 §5.7.2, 1.05).
pub(crate) fn application_uri(chain: &[u8]) -> Option<String> {
    let leaf = crate::stack::crypto::certificate::leaf(chain)?;
    Certificate::parse(leaf)?.uris.into_iter().next()
}
