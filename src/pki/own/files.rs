//! The folder `own`: who may look into it, and how its files are written.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};

use crate::pki::PkiError;
use crate::pki::certificate::Certificate;
use crate::pki::text::hex;
use crate::stack::crypto::certificate::leaf;

/// A key file that is larger is none.
const MOST_KEY: u64 = 64 << 10;
/// Earlier certificates that are kept.
const MOST_PREVIOUS: usize = 8;

pub(super) fn certificate_path(dir: &Path) -> PathBuf {
    dir.join("own/certificate.der")
}

pub(super) fn key_path(dir: &Path) -> PathBuf {
    dir.join("own/key.pem")
}

/// A folder that others could write to may hold anybody's key; one that they could only look into is closed to them.
pub(in crate::pki) fn close(own: &Path) -> Result<(), PkiError> {
    let mode = fs::metadata(own).map_err(PkiError::io(own))?.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        let what = format!(
            "others can write to this folder (mode {mode:03o}), so its key may be anybody's; look at what is in it, then run chmod 700 {}",
            own.display()
        );
        return Err(PkiError::refused(own, what));
    }
    if mode & 0o077 != 0 {
        fs::set_permissions(own, fs::Permissions::from_mode(0o700)).map_err(PkiError::io(own))?;
        log::warn!("{} was open to others (mode {mode:03o}) and is 700 from now on", own.display());
    }
    Ok(())
}

/// Locks `own`: no other process makes a key or a certificate meanwhile, so key and certificate always belong together.
/// `None` where the file system has no locks.
pub(super) fn lock(dir: &Path) -> Option<fs::File> {
    let own = dir.join("own");
    let locked = fs::File::open(&own).and_then(|folder| folder.lock().map(|()| folder));
    locked.inspect_err(|error| log::debug!("{} is not locked: {error}", own.display())).ok()
}

/// Links are followed, as where secrets are mounted; what counts is the file at their end. `None`: there is no file.
pub(super) fn load_key(path: &Path) -> Result<Option<KeyPair>, PkiError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(PkiError::io(path))?,
    };
    if !fs::metadata(path).map_err(PkiError::io(path))?.is_file() {
        return Err(PkiError::refused(path, "is not a file"));
    }
    let file = fs::File::open(path).map_err(PkiError::io(path))?;
    let mode = file.metadata().map_err(PkiError::io(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        let what =
            format!("others can read this private key (mode {:03o}); run chmod 600 {}", mode & 0o777, path.display());
        return Err(PkiError::refused(path, what));
    }
    let mut pem = String::new();
    file.take(MOST_KEY).read_to_string(&mut pem).map_err(PkiError::io(path))?;
    KeyPair::from_pem_and_sign_algo(&pem, &PKCS_RSA_SHA256)
        .map(Some)
        .map_err(|error| PkiError::refused(path, format!("is not an RSA key in PKCS#8 PEM ({error})")))
}

pub(super) fn make_key(path: &Path, bits: u32) -> Result<KeyPair, PkiError> {
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

/// Takes the certificate away before its key goes, so that a crash in between leaves a key without a certificate: the
/// next start makes one.
pub(super) fn forget_certificate(dir: &Path) -> Result<(), PkiError> {
    let path = certificate_path(dir);
    keep_previous(dir, &[])?;
    fs::remove_file(&path).map_err(PkiError::io(&path))
}

/// Puts a certificate with its issuers in the place of the one that was; that one goes to `own/previous`.
pub(super) fn replace_certificate(dir: &Path, chain: &[u8]) -> Result<(), PkiError> {
    let path = certificate_path(dir);
    keep_previous(dir, chain)?;
    write_private(&path, chain).map_err(PkiError::io(&path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).map_err(PkiError::io(&path))
}

/// Copies the certificate to `own/previous`, unless it is this one.
fn keep_previous(dir: &Path, chain: &[u8]) -> Result<(), PkiError> {
    if let Ok(old) = fs::read(certificate_path(dir))
        && old != chain
        && let Some(thumbprint) = leaf(&old).map(crate::stack::crypto::thumbprint)
    {
        let previous = dir.join("own/previous");
        fs::create_dir_all(&previous).map_err(PkiError::io(&previous))?;
        let file = previous.join(format!("{}.der", hex(&thumbprint)));
        write_private(&file, &old).map_err(PkiError::io(&file))?;
        tidy(&previous).map_err(PkiError::io(&previous))?;
    }
    Ok(())
}

/// A certificate that was read: the chain's bytes and its leaf.
pub(super) struct Loaded {
    pub chain: Vec<u8>,
    pub certificate: Certificate,
}

/// Earlier certificates, the newest file first.
pub(super) fn previous(dir: &Path) -> Vec<Loaded> {
    let files = by_age(&dir.join("own/previous")).unwrap_or_default();
    let chains = files.iter().take(MOST_PREVIOUS).filter_map(|file| fs::read(file).ok());
    chains
        .filter_map(|chain| Certificate::parse(leaf(&chain)?).map(|certificate| Loaded { chain, certificate }))
        .collect()
}

fn by_age(previous: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(previous)? {
        let path = entry?.path();
        files.push((fs::metadata(&path)?.modified()?, path));
    }
    files.sort_by(|a, b| b.cmp(a));
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

fn tidy(previous: &Path) -> io::Result<()> {
    by_age(previous)?.iter().skip(MOST_PREVIOUS).try_for_each(fs::remove_file)
}

/// Nobody else can read it at any time, and it is whole or not there. It belongs to whom the folder belongs: a command
/// that root runs leaves nothing that the service can't read.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let folder = fs::metadata(path.parent().unwrap_or(path))?;
    if file.metadata()?.uid() != folder.uid() {
        chown(&part, Some(folder.uid()), Some(folder.gid()))?;
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)
}
