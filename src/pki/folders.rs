//! Reads the folders: certificates and CRLs, DER or PEM, under any file name.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use x509_parser::pem::Pem;

use super::PkiError;
use super::certificate::Certificate;
use super::crl::Crl;
use super::text::printable;

/// A file that is larger is no certificate and no CRL that we would hold in memory.
const MAX_FILE: u64 = 4 << 20;
/// Files of one folder; the rest is not read.
const MAX_FILES: usize = 2_000;

pub(super) const FOLDERS: [&str; 6] = ["own", "trusted", "issuers", "rejected", "revoked", "users"];
/// Folders that say who may come in.
pub(super) const DECISIVE: [&str; 4] = ["trusted", "issuers", "revoked", "users"];

/// Certificates of one file; its CRLs are in the store.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub path: PathBuf,
    pub certificate: Arc<Certificate>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub trusted: HashMap<[u8; 20], Arc<Certificate>>,
    pub issuers: HashMap<[u8; 20], Arc<Certificate>>,
    /// Certificates that the operator refused, even if an authority vouches for them.
    pub revoked: HashSet<[u8; 20]>,
    pub crls: Vec<Crl>,
    /// File names of the `users` folder by thumbprint.
    pub users: HashMap<[u8; 20], Vec<String>>,
}

impl Store {
    pub(crate) fn read(dir: &Path) -> Result<Store, PkiError> {
        let mut store = Store::default();
        for entry in store.entries(&dir.join("trusted"))? {
            store.trusted.insert(entry.certificate.thumbprint, entry.certificate);
        }
        for entry in store.entries(&dir.join("issuers"))? {
            store.issuers.insert(entry.certificate.thumbprint, entry.certificate);
        }
        for entry in certificates(&dir.join("revoked"))? {
            store.revoked.insert(entry.certificate.thumbprint);
        }
        for entry in certificates(&dir.join("users"))? {
            let name = entry.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            store.users.entry(entry.certificate.thumbprint).or_default().push(name);
        }
        Ok(store)
    }

    /// A certificate as it was sent; those that lie in the folders have been taken apart already.
    pub(crate) fn taken_apart(&self, der: &[u8]) -> Option<Arc<Certificate>> {
        let thumbprint = crate::stack::crypto::thumbprint(der);
        let known = self.trusted.get(&thumbprint).or_else(|| self.issuers.get(&thumbprint));
        match known.filter(|known| known.der == der) {
            Some(known) => Some(Arc::clone(known)),
            None => Certificate::parse(der).map(Arc::new),
        }
    }

    /// One file that counts as trusted.
    pub(crate) fn from_file(bytes: &[u8]) -> Store {
        let mut store = Store::default();
        for certificate in store.take(bytes, Path::new("trusted/file")) {
            store.trusted.insert(certificate.thumbprint, certificate);
        }
        store
    }

    /// The certificates of a folder; its CRLs go into the store.
    fn entries(&mut self, folder: &Path) -> Result<Vec<Entry>, PkiError> {
        let mut entries = Vec::new();
        for (path, bytes) in files(folder)? {
            let certificates = self.take(&bytes, &path);
            entries.extend(certificates.into_iter().map(|certificate| Entry { path: path.clone(), certificate }));
        }
        Ok(entries)
    }

    /// Revocation lists that came since `before` and count for no certificate, a line each.
    pub(crate) fn warn_of_lists(&self, before: &Store) {
        for list in &self.crls {
            let known = before.crls.iter().any(|other| other.file == list.file && other.fault() == list.fault());
            if let Some(fault) = list.fault().filter(|_| !known) {
                log::warn!("the revocation list {} doesn't count by itself: it {fault}", list.file);
            }
        }
    }

    fn take(&mut self, bytes: &[u8], path: &Path) -> Vec<Arc<Certificate>> {
        let ders = ders(bytes);
        let file = shown(path);
        self.crls.extend(ders.iter().filter_map(|der| Crl::parse(der, &file)));
        ders.iter().filter_map(|der| Certificate::parse(der)).map(Arc::new).collect()
    }
}

/// A file as the log names it: with its folder, `issuers/plant.crl` or `issuers/crl/plant.crl`.
fn shown(path: &Path) -> String {
    let names: Vec<String> = path.iter().map(|name| printable(&name.to_string_lossy())).collect();
    let is_nested = names.iter().rev().nth(1).is_some_and(|folder| folder == "certs" || folder == "crl");
    names[names.len().saturating_sub(if is_nested { 3 } else { 2 })..].join("/")
}

/// The certificates of a folder, in the order of their file names.
pub(super) fn certificates(folder: &Path) -> Result<Vec<Entry>, PkiError> {
    Store::default().entries(folder)
}

/// The DER parts of a file: each block of a PEM file, or the file itself.
pub(super) fn ders(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.first() == Some(&0x30) {
        return vec![bytes.to_vec()];
    }
    Pem::iter_from_buffer(bytes)
        .map_while(Result::ok)
        .filter(|pem| matches!(pem.label.as_str(), "CERTIFICATE" | "X509 CRL"))
        .map(|pem| pem.contents)
        .collect()
}

/// The files of a folder and of `certs` and `crl` below it, by name, with their content.
fn files(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, PkiError> {
    let mut paths = Vec::new();
    for folder in [folder.to_owned(), folder.join("certs"), folder.join("crl")] {
        list(&folder, &mut paths).map_err(PkiError::io(&folder))?;
    }
    paths.sort();
    if paths.len() > MAX_FILES {
        log::warn!("{} holds {} files; only the first {MAX_FILES} are read", folder.display(), paths.len());
        paths.truncate(MAX_FILES);
    }
    Ok(paths.into_iter().filter_map(|path| read(&path).map(|bytes| (path, bytes))).collect())
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.is_file() && path.extension().is_none_or(|extension| extension != "txt") {
            paths.push(path);
        }
    }
    Ok(())
}

/// A certificate comes whole or not at all, whatever the disk does. Hidden files are not read.
pub(super) fn write(path: &Path, der: &[u8]) -> io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_file_name(format!(".{}.{number}.part", std::process::id()));
    let write = || {
        let mut file = fs::File::create(&beside)?;
        file.write_all(der)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        if let Err(error) = fs::remove_file(&beside) {
            log::debug!("{}: {error}", beside.display());
        }
    })
}

/// A file that vanished or cannot be read is skipped, and said so: the others must still work.
fn read(path: &Path) -> Option<Vec<u8>> {
    let read = fs::metadata(path).and_then(|data| {
        if data.len() > MAX_FILE { Err(io::Error::other("larger than any certificate")) } else { fs::read(path) }
    });
    read.inspect_err(|error| log::warn!("{} is not read: {error}", path.display())).ok()
}

/// Names, sizes and times of all files, to detect changes.
pub(super) fn fingerprint(dir: &Path) -> Vec<(PathBuf, u64, Option<std::time::SystemTime>)> {
    let mut paths = Vec::new();
    for folder in DECISIVE.map(|name| dir.join(name)) {
        for folder in [folder.clone(), folder.join("certs"), folder.join("crl")] {
            if let Err(error) = list(&folder, &mut paths) {
                log::debug!("{}: {error}", folder.display());
            }
        }
    }
    paths.sort();
    let fact = |path: PathBuf| {
        let data = fs::metadata(&path);
        let size = data.as_ref().map_or(0, fs::Metadata::len);
        let time = data.and_then(|data| data.modified());
        (path, size, time.ok())
    };
    paths.into_iter().map(fact).collect()
}

/// Makes the folders; `own` is for us alone, and refused when others can write there.
pub(super) fn create(dir: &Path) -> Result<(), PkiError> {
    for name in FOLDERS {
        let folder = dir.join(name);
        let mode = if name == "own" { 0o700 } else { 0o755 };
        fs::DirBuilder::new().recursive(true).mode(mode).create(&folder).map_err(PkiError::io(&folder))?;
    }
    super::own::close(&dir.join("own"))
}
