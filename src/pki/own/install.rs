//! A certificate that a CA has issued for this server comes into its place, once everything that a client would look
//! at is in order.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::PublicKeyData as _;

use super::{OwnRequest, files, missing_names};
use crate::pki::certificate::Certificate;
use crate::pki::text::{printable, when};
use crate::pki::{PkiError, folders};
use crate::stack::crypto::certificate::split_chain;

/// Certificates of all files together.
const MOST: usize = 10;
/// A file that is larger holds no chain.
const MOST_BYTES: u64 = 256 << 10;
/// The response that opens a channel is one chunk, and a client may take no larger ones than 8192 bytes.
const FITS_SMALL_CLIENTS: usize = 6_000;

/// Checks the certificate and its issuers and puts them into `own/`; a running server takes them within a second.
/// Tells what was done, and what the operator should know.
pub fn install(dir: &Path, request: &OwnRequest, from: &[PathBuf], now: i64) -> Result<String, PkiError> {
    folders::create(dir)?;
    let _folder = files::lock(dir);
    let key_path = files::key_path(dir);
    let Some(key) = files::load_key(&key_path)? else {
        return Err(PkiError::refused(&key_path, "is missing: make it and a request with opcell pki request"));
    };
    let given = read(from)?;
    let spki = key.subject_public_key_info();
    let Some(at) = given.iter().position(|certificate| certificate.spki == spki) else {
        let names = given.iter().map(|certificate| format!("`{}`", printable(certificate.name())));
        let what = format!(
            "none of the certificates is for this key ({}); have the CA sign the request of opcell pki request",
            names.collect::<Vec<_>>().join(", ")
        );
        return Err(PkiError::refused(&key_path, what));
    };
    let mut rest = given;
    let leaf = rest.remove(at);
    let refused = |what: String| PkiError::Selection(format!("`{}` {what}", printable(leaf.name())));
    check(&leaf, request, now).map_err(refused)?;
    let mut chain = vec![&leaf];
    while let Some(issuer) = issuer_of(chain[chain.len() - 1], &rest)
        .filter(|issuer| chain.len() <= rest.len() && !chain.iter().any(|known| known.thumbprint == issuer.thumbprint))
    {
        check_issuer(issuer, now)
            .map_err(|what| refused(format!("has an issuer `{}` that {what}", printable(issuer.name()))))?;
        chain.push(issuer);
    }
    if let Some(stray) = rest.iter().find(|other| !chain.iter().any(|known| known.thumbprint == other.thumbprint)) {
        let name = printable(stray.name());
        return Err(refused(format!(
            "is not issued by way of `{name}`, as the signatures say; give only its own issuers"
        )));
    }
    let bytes: Vec<u8> = chain.iter().flat_map(|certificate| certificate.der.iter().copied()).collect();
    files::replace_certificate(dir, &bytes)?;
    Ok(told(&chain, request, bytes.len(), &files::certificate_path(dir)))
}

fn told(chain: &[&Certificate], request: &OwnRequest, bytes: usize, path: &Path) -> String {
    let leaf = chain[0];
    let (short, name, end) = (leaf.short(), printable(leaf.name()), when(leaf.not_after));
    let issuers = chain.len() - 1;
    let mut text = format!("{short} `{name}` with {issuers} issuers is in use until {end} ({})\n", path.display());
    let last = chain[issuers];
    if !last.is_self_signed() {
        let issuer = printable(&last.issuer);
        text += &format!("note: clients must have its issuer themselves: {issuer}\n");
    }
    let missing = missing_names(leaf, request);
    if !missing.is_empty() {
        text +=
            &format!("note: it does not name {}; clients that compare host names will complain\n", missing.join(", "));
    }
    if bytes > FITS_SMALL_CLIENTS {
        text += &format!("note: {bytes} bytes are more than clients with small buffers take; leave out the root\n");
    }
    text
}

fn read(from: &[PathBuf]) -> Result<Vec<Certificate>, PkiError> {
    let mut certificates: Vec<Certificate> = Vec::new();
    for path in from {
        if fs::metadata(path).map_err(PkiError::io(path))?.len() > MOST_BYTES {
            return Err(PkiError::refused(path, "is larger than any certificate with its issuers"));
        }
        let bytes = fs::read(path).map_err(PkiError::io(path))?;
        // A file may hold several DER certificates in a row, as they are sent.
        let ders: Vec<Vec<u8>> = match split_chain(&bytes, MOST) {
            Some(parts) => parts.into_iter().map(<[u8]>::to_vec).collect(),
            None => folders::ders(&bytes),
        };
        let parsed: Option<Vec<_>> = ders.iter().map(|der| Certificate::parse(der)).collect();
        let parsed = parsed.filter(|parsed| !parsed.is_empty());
        let none = || PkiError::refused(path, "is not a certificate, in DER or PEM");
        for certificate in parsed.ok_or_else(none)? {
            if !certificates.iter().any(|known| known.thumbprint == certificate.thumbprint) {
                certificates.push(certificate);
            }
        }
    }
    match certificates.len() {
        ..=MOST => Ok(certificates),
        count => Err(PkiError::Selection(format!("{count} certificates are too many; {MOST} are the most"))),
    }
}

/// Checks a certificate for use as the server's own (Part 6 §6.2.2, 1.05).
fn check(leaf: &Certificate, request: &OwnRequest, now: i64) -> Result<(), String> {
    if leaf.key.as_ref().is_none_or(|key| !(2048..=4096).contains(&key.bits())) {
        return Err("has no RSA key of 2048 to 4096 bits".to_owned());
    }
    if let Some(weakness) = leaf.weakness() {
        return Err(format!("{weakness}; ask the CA for SHA-256"));
    }
    if leaf.uris.first() != Some(&request.application_uri) {
        let says = leaf.uris.first().map_or_else(|| "no URI".to_owned(), |uri| format!("`{}`", printable(uri)));
        let wanted = &request.application_uri;
        return Err(format!(
            "names {says} as its first alternative name of kind URI, but the server is `{wanted}`: have the CA take the names of the request as they are"
        ));
    }
    check_time(leaf, now)?;
    if !leaf.signs_data || !leaf.enciphers {
        return Err("lacks the key usages digitalSignature and keyEncipherment or dataEncipherment: have the CA take those of the request".to_owned());
    }
    if !leaf.may_be_server {
        return Err("has extended key usages without serverAuth: have the CA take those of the request".to_owned());
    }
    if leaf.is_ca {
        return Err("is an authority's certificate, not an application's".to_owned());
    }
    Ok(())
}

fn check_issuer(issuer: &Certificate, now: i64) -> Result<(), String> {
    if !issuer.is_ca || !issuer.signs_certificates {
        return Err("may not issue certificates".to_owned());
    }
    issuer.weak_key().map_or(Ok(()), Err)?;
    check_time(issuer, now)
}

fn check_time(certificate: &Certificate, now: i64) -> Result<(), String> {
    if certificate.is_valid_at(now) {
        return Ok(());
    }
    let (from, until) = (when(certificate.not_before), when(certificate.not_after));
    Err(format!(
        "is valid from {from} to {until}, and now it is {}: look at the clock, or ask for a newer one",
        when(now)
    ))
}

fn issuer_of<'c>(certificate: &Certificate, among: &'c [Certificate]) -> Option<&'c Certificate> {
    if certificate.is_self_signed() {
        return None;
    }
    among.iter().find(|issuer| certificate.is_signed_by(issuer))
}
