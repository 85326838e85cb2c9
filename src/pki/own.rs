//! The server's own certificate: made at the first start, kept over restarts, renewed with the same key.
//!
//! Only what we signed ourselves is ever renewed here; a certificate of the plant's CA is the CA's to renew.

mod files;
mod install;
mod keeper;
mod request;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SanType,
};
use time::OffsetDateTime;

use self::files::Loaded;
use super::PkiError;
use super::certificate::Certificate;
use super::folders;
use super::text::{printable, when};
use crate::stack::crypto::{Identity, PrivateKey};
use crate::value::UaTime;

pub(super) use files::close;
pub use install::install;
pub use keeper::Keeper;
pub(crate) use keeper::Wanted;
pub use request::{Form, request};

/// Clocks of clients may be slow.
const BEFORE: Duration = Duration::from_secs(24 * 3600);

/// Content of the certificate when the server makes it.
#[derive(Debug, Clone)]
pub struct OwnRequest {
    pub application_uri: String,
    pub application_name: String,
    /// Host names and addresses, in addition to those of this host (`auto_names`).
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
    /// Earlier ones of the same key that have not ended: clients may know the server by them.
    pub older: Vec<Arc<Identity>>,
    pub certificate: Certificate,
    /// Made or renewed just now.
    pub is_new: bool,
}

/// When the certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// Makes missing files, and adds names that are new in the configuration or the host.
    Start,
    Running,
    /// The server runs, and its file wants another certificate.
    Changed(Change),
}

/// How a wanted certificate differs from the one that was wanted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    has_other_key: bool,
    /// Names, lifetime or key.
    has_other_content: bool,
}

impl Change {
    fn and(self, other: Change) -> Change {
        Change {
            has_other_key: self.has_other_key || other.has_other_key,
            has_other_content: self.has_other_content || other.has_other_content,
        }
    }
}

impl OwnCertificate {
    /// Loads `own/certificate.der` and `own/key.pem`, or makes what is missing. A key that others can read is refused.
    /// Making a key takes up to a second.
    pub fn load_or_make(dir: &Path, request: &OwnRequest) -> Result<OwnCertificate, PkiError> {
        OwnCertificate::at(dir, request, UaTime::now().unix_seconds(), Occasion::Start)
    }

    fn at(dir: &Path, request: &OwnRequest, now: i64, occasion: Occasion) -> Result<OwnCertificate, PkiError> {
        folders::create(dir)?;
        let _folder = files::lock(dir);
        let (certificate_path, key_path) = (files::certificate_path(dir), files::key_path(dir));
        let has_certificate = certificate_path.exists();
        if occasion != Occasion::Start && !has_certificate {
            return Err(PkiError::refused(&certificate_path, "is gone; put one there, or a restart makes a new one"));
        }
        let key = match files::load_key(&key_path)? {
            Some(key) => key,
            None if has_certificate => {
                let what = "is missing although certificate.der next to it exists; put the key back or remove both";
                return Err(PkiError::refused(&key_path, what));
            }
            None => files::make_key(&key_path, request.key_bits)?,
        };
        let loaded = if has_certificate { Some(load(&certificate_path, request)?) } else { None };
        if let Some(Loaded { certificate, .. }) = &loaded
            && certificate.spki != key.subject_public_key_info()
        {
            let what = "is of another key than key.pem next to it: the key does not belong to the certificate; put the pair back, or remove the certificate to have a new one made";
            return Err(PkiError::refused(&certificate_path, what));
        }
        let loaded = loaded.map(|loaded| before_its_time(dir, loaded, now)).transpose()?;
        let kept = loaded.filter(|loaded| match why_renew(&loaded.certificate, request, now, occasion) {
            Some(why) => {
                let is_other = matches!(occasion, Occasion::Changed(change) if change.has_other_key);
                let key = if is_other { "another" } else { "the same" };
                log::warn!("{} is renewed with {key} key: {why}", certificate_path.display());
                false
            }
            None => true,
        });
        let is_new = kept.is_none();
        let key = match occasion {
            Occasion::Changed(Change { has_other_key: true, .. }) if is_new => {
                files::forget_certificate(dir)?;
                files::make_key(&key_path, request.key_bits)?
            }
            _ => key,
        };
        let Loaded { chain, certificate } = match kept {
            Some(kept) => kept,
            None => make(dir, &key, request, now)?,
        };
        let identity = identity_of(&key, chain, dir)?;
        let older = files::previous(dir).into_iter().filter(|older| {
            let older = &older.certificate;
            older.is_valid_at(now) && older.spki == certificate.spki && older.thumbprint != certificate.thumbprint
        });
        let older = older.map(|older| identity_of(&key, older.chain, dir)).collect::<Result<_, _>>()?;
        Ok(OwnCertificate { identity, older, certificate, is_new })
    }

    /// All that the server answers to, the newest first.
    pub fn identities(&self) -> Vec<Arc<Identity>> {
        [Arc::clone(&self.identity)].into_iter().chain(self.older.iter().cloned()).collect()
    }
}

/// A clock that was ahead and is set right leaves a certificate that begins in years, which every client refuses: the
/// previous one is used again, if it is good. Without one it is kept, since the clock may be slow now.
fn before_its_time(dir: &Path, loaded: Loaded, now: i64) -> Result<Loaded, PkiError> {
    let certificate = &loaded.certificate;
    if certificate.not_before <= now || !certificate.is_self_signed() {
        return Ok(loaded);
    }
    let (path, begin) = (files::certificate_path(dir), when(certificate.not_before));
    let is_good = |older: &Loaded| {
        let older = &older.certificate;
        older.is_valid_at(now) && older.spki == certificate.spki && older.uris.first() == certificate.uris.first()
    };
    let Some(older) = files::previous(dir).into_iter().find(is_good) else {
        log::warn!(
            "certificate {} is valid only from {begin}, and clients refuse it until then: check the clock",
            path.display()
        );
        return Ok(loaded);
    };
    log::warn!(
        "certificate {} is valid only from {begin}: the clock was fast; the previous certificate is used",
        path.display()
    );
    files::replace_certificate(dir, &older.chain)?;
    Ok(older)
}

/// Only a certificate that we signed ourselves can be renewed here.
fn why_renew(certificate: &Certificate, request: &OwnRequest, now: i64, occasion: Occasion) -> Option<String> {
    if !certificate.is_self_signed() {
        if matches!(occasion, Occasion::Changed(change) if change.has_other_content) {
            log::warn!(
                "the server file wants another certificate, but {} is of an authority: run opcell pki request, then opcell pki install",
                certificate.short()
            );
        }
        return None;
    }
    let before = i64::try_from(request.renew_before.as_secs()).unwrap_or(i64::MAX);
    if certificate.not_after.saturating_sub(now) <= before {
        return Some(format!("it ends at {}", when(certificate.not_after)));
    }
    if let Occasion::Changed(Change { has_other_content: true, .. }) = occasion {
        return Some("the server file wants another one".to_owned());
    }
    let missing = missing_names(certificate, request);
    (occasion == Occasion::Start && !missing.is_empty()).then(|| format!("it lacks {}", missing.join(", ")))
}

/// Names that the server is dialled by and that do not stand in the certificate. The host's addresses are not asked
/// for: they come and go, and a new certificate is a burden on every client that pinned the old one.
fn missing_names(certificate: &Certificate, request: &OwnRequest) -> Vec<String> {
    let is_missing = |name: &String| match name.parse::<IpAddr>() {
        Ok(address) => !certificate.addresses.contains(&address),
        Err(_) => !certificate.dns_names.iter().any(|known| known.eq_ignore_ascii_case(name)),
    };
    let host = request.auto_names.then(host_name);
    request.names.iter().cloned().chain(host).filter(is_missing).map(|name| printable(&name)).collect()
}

fn identity_of(key: &KeyPair, chain: Vec<u8>, dir: &Path) -> Result<Arc<Identity>, PkiError> {
    let key_path = files::key_path(dir);
    let private = PrivateKey::from_pkcs8(&key.serialize_der())
        .ok_or_else(|| PkiError::refused(&key_path, "is not an RSA key of 2048 to 4096 bits in PKCS#8"))?;
    let identity = Identity::new(chain, private);
    Ok(Arc::new(identity.map_err(|what| PkiError::refused(&files::certificate_path(dir), what))?))
}

fn load(path: &Path, request: &OwnRequest) -> Result<Loaded, PkiError> {
    let chain = std::fs::read(path).map_err(PkiError::io(path))?;
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
    Ok(Loaded { chain, certificate })
}

fn make(dir: &Path, key: &KeyPair, request: &OwnRequest, now: i64) -> Result<Loaded, PkiError> {
    let path = files::certificate_path(dir);
    let refused = |error: rcgen::Error| PkiError::refused(&path, format!("no certificate could be made: {error}"));
    let mut params = params(request).map_err(refused)?;
    // Clients that check the signature of a self-signed certificate require that its key may sign certificates.
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    params.use_authority_key_identifier_extension = true;
    let now = OffsetDateTime::from_unix_timestamp(now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now - BEFORE;
    params.not_after = now + request.valid_for;
    let der = params.self_signed(key).map_err(refused)?.der().to_vec();
    let certificate =
        Certificate::parse(&der).ok_or_else(|| PkiError::refused(&path, "the certificate made is unreadable"))?;
    files::replace_certificate(dir, &der)?;
    Ok(Loaded { chain: der, certificate })
}

/// The fields of Part 6 §6.2.2 (1.05): the ApplicationUri as first alternative name, then host names and addresses.
fn params(request: &OwnRequest) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, request.application_name.as_str());
    subject.push(DnType::OrganizationName, "opcell");
    params.distinguished_name = subject;
    params.subject_alt_names.push(SanType::URI(request.application_uri.as_str().try_into()?));
    for name in host_names(request) {
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
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
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
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" | "(none)" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
