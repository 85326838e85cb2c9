//! A signing request (PKCS#10, RFC 2986) for the plant's CA, with the key that the server has or will have.

use std::path::Path;

use super::{OwnRequest, files, params};
use crate::pki::verbs::pem;
use crate::pki::{PkiError, folders};

/// How a signing request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Pem,
    Der,
}

/// The request: subject, ApplicationUri, names and usages as in a certificate that is made here (Part 6 §6.2.2, 1.05).
/// Makes the key when there is none yet.
pub fn request(dir: &Path, request: &OwnRequest, form: Form) -> Result<Vec<u8>, PkiError> {
    folders::create(dir)?;
    let _folder = files::lock(dir);
    let path = files::key_path(dir);
    let key = match files::load_key(&path)? {
        Some(key) => key,
        None => files::make_key(&path, request.key_bits)?,
    };
    let refused = |error| PkiError::refused(&path, format!("no signing request could be made: {error}"));
    let made = params(request).and_then(|params| params.serialize_request(&key)).map_err(refused)?;
    Ok(match form {
        Form::Der => made.der().to_vec(),
        Form::Pem => pem("CERTIFICATE REQUEST", made.der()).into_bytes(),
    })
}
