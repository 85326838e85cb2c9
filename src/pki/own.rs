//! The server's own certificate: made at the first start, kept over restarts, renewed with the same key.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, RsaKeySize, SanType,
};
use time::OffsetDateTime;

use super::PkiError;
use super::certificate::{Certificate, when};
use super::folders;
use crate::stack::crypto::{Identity, PrivateKey};
use crate::value::UaTime;

/// Clocks of clients may be behind ours.
const BEFORE: Duration = Duration::from_secs(24 * 3600);
/// From so long before the end on, each start warns.
const WARN_BEFORE: i64 = 30 * 24 * 3600;

/// What the certificate says when it is made here.
#[derive(Debug, Clone)]
pub struct OwnRequest {
    pub application_uri: String,
    pub application_name: String,
    /// Host names and addresses inside, beside those of this host (`auto_names`).
    pub names: Vec<String>,
    pub auto_names: bool,
    /// 2048, 3072 or 4096.
    pub key_bits: u32,
    pub valid_for: Duration,
    pub renew_before: Duration,
}

/// The certificate that is in use.
#[derive(Debug)]
pub struct OwnCertificate {
    pub identity: Arc<Identity>,
    pub certificate: Certificate,
    /// Made or renewed at this start.
    pub is_new: bool,
}

impl OwnCertificate {
    /// Loads `own/certificate.der` and `own/key.pem`, or makes what is missing. A key that others can read is refused.
    /// Making a key takes up to a second.
    pub fn load_or_make(dir: &Path, request: &OwnRequest) -> Result<OwnCertificate, PkiError> {
        folders::create(dir)?;
        let (certificate_path, key_path) = (dir.join("own/certificate.der"), dir.join("own/key.pem"));
        let has_certificate = certificate_path.exists();
        let key = if key_path.exists() {
            load_key(&key_path)?
        } else if has_certificate {
            let what = "is missing although certificate.der beside it exists; put the key back or remove both";
            return Err(PkiError::refused(&key_path, what));
        } else {
            make_key(&key_path, request.key_bits)?
        };
        let now = UaTime::now().unix_seconds();
        let loaded = if has_certificate { Some(load(&certificate_path, request)?) } else { None };
        let kept = loaded.filter(|(_, certificate)| !must_renew(certificate, request, now));
        let is_new = kept.is_none();
        let (chain, certificate) = match kept {
            Some(kept) => kept,
            None => make(&certificate_path, &key, request)?,
        };
        warn_of_end(&certificate, &certificate_path, now);
        let private = PrivateKey::from_pkcs8(&key.serialize_der())
            .ok_or_else(|| PkiError::refused(&key_path, "is not an RSA key of 2048 to 4096 bits in PKCS#8"))?;
        let identity = Identity::new(chain, private).map_err(|what| PkiError::refused(&certificate_path, what))?;
        Ok(OwnCertificate { identity: Arc::new(identity), certificate, is_new })
    }
}

/// Only a certificate that we signed ourselves can be renewed here.
fn must_renew(certificate: &Certificate, request: &OwnRequest, now: i64) -> bool {
    let before = i64::try_from(request.renew_before.as_secs()).unwrap_or(i64::MAX);
    certificate.is_self_signed() && certificate.not_after.saturating_sub(now) <= before
}

fn warn_of_end(certificate: &Certificate, path: &Path, now: i64) {
    if certificate.not_after - now <= WARN_BEFORE {
        log::warn!(
            "{} ends at {}; clients refuse it then: put a newer one in its place",
            path.display(),
            when(certificate.not_after)
        );
    }
}

fn load_key(path: &Path) -> Result<KeyPair, PkiError> {
    let mode = fs::metadata(path).map_err(PkiError::io(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        let what =
            format!("others can read this private key (mode {:03o}); run chmod 600 {}", mode & 0o777, path.display());
        return Err(PkiError::refused(path, what));
    }
    let pem = fs::read_to_string(path).map_err(PkiError::io(path))?;
    KeyPair::from_pem_and_sign_algo(&pem, &PKCS_RSA_SHA256)
        .map_err(|error| PkiError::refused(path, format!("is not an RSA key in PKCS#8 PEM ({error})")))
}

fn make_key(path: &Path, bits: u32) -> Result<KeyPair, PkiError> {
    let size = match bits {
        2048 => RsaKeySize::_2048,
        3072 => RsaKeySize::_3072,
        4096 => RsaKeySize::_4096,
        _ => return Err(PkiError::refused(path, format!("a key of {bits} bits is not made; use 2048, 3072 or 4096"))),
    };
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size)
        .map_err(|error| PkiError::refused(path, format!("no key could be made: {error}")))?;
    write_private(path, key.serialize_pem().as_bytes()).map_err(PkiError::io(path))?;
    Ok(key)
}

/// Nobody else can read it at any time, and it is whole or not there.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let part = path.with_extension("part");
    if part.exists() {
        fs::remove_file(&part)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)
}

fn load(path: &Path, request: &OwnRequest) -> Result<(Vec<u8>, Certificate), PkiError> {
    let chain = fs::read(path).map_err(PkiError::io(path))?;
    let certificate = crate::stack::crypto::certificate::leaf(&chain)
        .and_then(Certificate::parse)
        .ok_or_else(|| PkiError::refused(path, "is not a certificate in DER"))?;
    if certificate.uris.first() != Some(&request.application_uri) {
        let what = format!(
            "says ApplicationUri `{}`, but `application.uri` is `{}`; make them the same, or move the certificate away to have a new one made",
            certificate.uris.first().map_or("", String::as_str),
            request.application_uri
        );
        return Err(PkiError::refused(path, what));
    }
    Ok((chain, certificate))
}

fn make(path: &Path, key: &KeyPair, request: &OwnRequest) -> Result<(Vec<u8>, Certificate), PkiError> {
    let refused = |error: rcgen::Error| PkiError::refused(path, format!("no certificate could be made: {error}"));
    let params = params(request, host_names(request)).map_err(refused)?;
    let der = params.self_signed(key).map_err(refused)?.der().to_vec();
    let certificate =
        Certificate::parse(&der).ok_or_else(|| PkiError::refused(path, "the certificate made is unreadable"))?;
    write_private(path, &der).map_err(PkiError::io(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(PkiError::io(path))?;
    Ok((der, certificate))
}

/// The fields of Part 6 §6.2.2 (1.05): the ApplicationUri as first alternative name, then host names and addresses; a
/// self-signed certificate also has keyCertSign.
fn params(request: &OwnRequest, names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, request.application_name.as_str());
    subject.push(DnType::OrganizationName, "opcell");
    params.distinguished_name = subject;
    params.subject_alt_names.push(SanType::URI(request.application_uri.as_str().try_into()?));
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        });
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::ContentCommitment,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::DataEncipherment,
        KeyUsagePurpose::KeyCertSign,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let now = OffsetDateTime::from_unix_timestamp(UaTime::now().unix_seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now - BEFORE;
    params.not_after = now + request.valid_for;
    Ok(params)
}

/// The names asked for and this host's own, each once.
fn host_names(request: &OwnRequest) -> Vec<String> {
    let mut names = request.names.clone();
    if request.auto_names {
        names.extend([host_name(), "localhost".to_owned()]);
        match if_addrs::get_if_addrs() {
            Ok(interfaces) => names.extend(interfaces.iter().map(|interface| interface.ip().to_string())),
            Err(error) => log::warn!("the certificate lacks this host's addresses: {error}"),
        }
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.to_ascii_lowercase()));
    names
}

/// This host's name, as the kernel has it; `localhost` where it has none.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" | "(none)" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
