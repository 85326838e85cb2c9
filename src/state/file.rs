//! Reads JSON files, and replaces them so that a cut power leaves the old one or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{StateError, io_error};

/// `None` when there is no file yet.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::Io { path: path.to_owned(), source }),
    };
    let damaged = |error: serde_json::Error| StateError::Damaged { path: path.to_owned(), what: error.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

pub(crate) fn replace<T: Serialize>(path: &Path, content: &T) -> Result<(), StateError> {
    let bytes = serde_json::to_vec_pretty(content).expect("our own structs have text keys and plain values");
    replace_bytes(path, &bytes).map_err(io_error(path))
}

/// The same for content of any form.
pub(crate) fn replace_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
