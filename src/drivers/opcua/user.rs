//! The certificate of a user with its key, from the files that the settings name.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::drivers::file_text::FileText;
use crate::drivers::reading::SettingsError;
use crate::stack::crypto::{Identity, PrivateKey};

const CERTIFICATE: &str = "user_certificate";
const KEY: &str = "user_key";

fn fault(key: &'static str, message: String, help: &str) -> SettingsError {
    SettingsError { key, in_file: None, message, help: help.to_owned() }
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|part| part == b"-----BEGIN ")
}

/// The user of the two files; `Err` with the key that is wrong. No I/O.
pub(super) fn identity(certificate: &FileText, key: &FileText) -> Result<Identity, SettingsError> {
    let bytes = certificate.bytes();
    let chain = match is_pem(bytes) {
        true => CertificateDer::from_pem_slice(bytes).ok().map(|certificate| certificate.to_vec()),
        false => Some(bytes.to_vec()),
    };
    let none = || {
        let message = format!("{} holds no certificate", certificate.path());
        fault(CERTIFICATE, message, "name a file with an X.509 certificate, PEM or DER, with an RSA key")
    };
    let chain = chain.filter(|chain| crate::stack::crypto::certificate::leaf(chain).is_some()).ok_or_else(none)?;
    let key = private_key(key)?;
    Identity::new(chain, key).map_err(|why| {
        let help = "name the two files that were made together";
        fault(CERTIFICATE, format!("{} cannot be used: {why}", certificate.path()), help)
    })
}

/// Reads a private key. The content of the file is never part of an error.
fn private_key(file: &FileText) -> Result<PrivateKey, SettingsError> {
    let bytes = file.bytes();
    if is_pem(bytes) && file.text().contains("ENCRYPTED") {
        let message = format!("the key in {} is encrypted", file.path());
        let help = "store it without a password, readable for the server alone (chmod 600)";
        return Err(fault(KEY, message, help));
    }
    let found = match is_pem(bytes) {
        true => PrivateKeyDer::from_pem_slice(bytes).ok(),
        false => PrivateKeyDer::try_from(bytes.to_vec()).ok(),
    };
    let key = match found {
        Some(PrivateKeyDer::Pkcs8(der)) => PrivateKey::from_pkcs8(der.secret_pkcs8_der()),
        Some(PrivateKeyDer::Pkcs1(der)) => pkcs8(der.secret_pkcs1_der()).and_then(|der| PrivateKey::from_pkcs8(&der)),
        _ => None,
    };
    key.ok_or_else(|| {
        let message = format!("{} holds no RSA key of 2048 bits or more", file.path());
        fault(KEY, message, "name a file with `-----BEGIN PRIVATE KEY-----`, or the same as DER")
    })
}

/// An RSAPrivateKey inside a PrivateKeyInfo (RFC 5208 §5).
fn pkcs8(rsa: &[u8]) -> Option<Vec<u8>> {
    /// Version 0, and rsaEncryption without parameters.
    const HEAD: [u8; 18] = [2, 1, 0, 0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let long = |tag: u8, length: usize| {
        let [high, low] = u16::try_from(length).ok()?.to_be_bytes();
        Some([tag, 0x82, high, low])
    };
    let inner = long(4, rsa.len())?;
    let outer = long(0x30, HEAD.len() + inner.len() + rsa.len())?;
    Some([&outer[..], &HEAD, &inner, rsa].concat())
}
