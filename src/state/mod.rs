//! The state folder: data that the server keeps from one start to the next. One server at a time may use it.
//!
//! Each file is replaced as a whole: a new file is written, synced and renamed, and the folder synced. Only the new file
//! can be cut off by a crash, and it is never read.

mod file;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use file::replace_bytes;

use crate::alarms::Kept;

/// The first index that a cell may have: 0 is OPC UA's, 1 the application's own.
const FIRST_INDEX: u16 = 2;
const VERSION: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is in use by {owner}; stop that server, or give this one another --state-dir", path.display())]
    InUse { path: PathBuf, owner: String },
    #[error("{} cannot be read ({what}); restore it from a backup, or move it away to start without it", path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("{} was written by a newer opcell (format {found}); this one knows format {VERSION}", path.display())]
    Newer { path: PathBuf, found: u32 },
    #[error("more than 65,000 namespaces were seen in {}", path.display())]
    Full { path: PathBuf },
}

/// The folder, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct State {
    dir: PathBuf,
    _lock: File,
    namespaces: Vec<String>,
}

/// A value of a memory tag as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retained {
    /// An encoded Variant, as hex digits.
    pub value: String,
    /// Ticks of 100 ns since 1601.
    pub source_time: i64,
    /// The start value in the cell file at that time, as `value`.
    pub start: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Namespaces {
    version: u32,
    /// By index, from 2 on, in the order in which they were first seen; a removed cell keeps its place.
    namespaces: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AlarmsFile {
    version: u32,
    alarms: BTreeMap<String, Kept>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RetainedFile {
    version: u32,
    values: BTreeMap<String, Retained>,
}

impl State {
    /// Makes the folder when it is missing, and locks it.
    pub(crate) fn open(dir: &Path) -> Result<State, StateError> {
        fs::create_dir_all(dir).map_err(io_error(dir))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(io_error(dir))?;
        let lock = lock(dir)?;
        let path = dir.join("namespaces.json");
        let namespaces = match file::read::<Namespaces>(&path)? {
            Some(file) if file.version > VERSION => return Err(StateError::Newer { path, found: file.version }),
            Some(file) => file.namespaces,
            None => Vec::new(),
        };
        Ok(State { dir: dir.to_owned(), _lock: lock, namespaces })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The index of each namespace, the same at every start; new ones come last and are written down first.
    pub(crate) fn pin_namespaces<'u>(
        &mut self,
        uris: impl IntoIterator<Item = &'u str>,
    ) -> Result<Vec<u16>, StateError> {
        let before = self.namespaces.len();
        let mut indices = Vec::new();
        for uri in uris {
            let at = match self.namespaces.iter().position(|known| known == uri) {
                Some(at) => at,
                None => {
                    self.namespaces.push(uri.to_owned());
                    self.namespaces.len() - 1
                }
            };
            let index =
                u16::try_from(at).ok().and_then(|at| at.checked_add(FIRST_INDEX)).filter(|index| *index < 65_000);
            indices.push(index.ok_or_else(|| StateError::Full { path: self.dir.clone() })?);
        }
        if self.namespaces.len() != before {
            let file = Namespaces { version: VERSION, namespaces: self.namespaces.clone() };
            file::replace(&self.dir.join("namespaces.json"), &file)?;
        }
        Ok(indices)
    }

    /// Namespaces that were seen once, by index from 2 on.
    pub(crate) fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    /// Values of memory tags, by `NAMESPACE|PATH`.
    pub(crate) fn retained(&self) -> Result<BTreeMap<String, Retained>, StateError> {
        let path = self.dir.join("retained.json");
        match file::read::<RetainedFile>(&path)? {
            Some(file) if file.version > VERSION => Err(StateError::Newer { path, found: file.version }),
            Some(file) => Ok(file.values),
            None => Ok(BTreeMap::new()),
        }
    }

    /// States of alarms, by `NAMESPACE|ID|NAME`.
    pub(crate) fn alarms(&self) -> Result<BTreeMap<String, Kept>, StateError> {
        let path = self.dir.join("alarms.json");
        match file::read::<AlarmsFile>(&path)? {
            Some(file) if file.version > VERSION => Err(StateError::Newer { path, found: file.version }),
            Some(file) => Ok(file.alarms),
            None => Ok(BTreeMap::new()),
        }
    }

    pub(crate) fn save_alarms(&self, alarms: &BTreeMap<String, Kept>) -> Result<(), StateError> {
        let file = AlarmsFile { version: VERSION, alarms: alarms.clone() };
        file::replace(&self.dir.join("alarms.json"), &file)
    }

    pub(crate) fn save_retained(&self, values: &BTreeMap<String, Retained>) -> Result<(), StateError> {
        let file = RetainedFile { version: VERSION, values: values.clone() };
        file::replace(&self.dir.join("retained.json"), &file)
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StateError {
    move |source| StateError::Io { path: path.to_owned(), source }
}

/// The lock goes with the process; its file says who has it.
fn lock(dir: &Path) -> Result<File, StateError> {
    let path = dir.join("lock");
    let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(io_error(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            file.read_to_string(&mut owner).map_err(io_error(&path))?;
            let owner = if owner.trim().is_empty() { "another server".to_owned() } else { owner.trim().to_owned() };
            return Err(StateError::InUse { path: dir.to_owned(), owner });
        }
        Err(TryLockError::Error(source)) => return Err(StateError::Io { path, source }),
    }
    let owner = format!("opcell with process id {}", std::process::id());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(owner.as_bytes()))
        .map_err(io_error(&path))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_keeps_its_index_over_restarts_and_removals() {
        let dir = tempfile::tempdir().expect("a folder");
        let start = |uris: &[&str]| {
            let mut state = State::open(dir.path()).expect("a state folder");
            state.pin_namespaces(uris.iter().copied()).expect("indices")
        };
        assert_eq!(start(&["urn:a", "urn:b"]), [2, 3]);
        assert_eq!(start(&["urn:b"]), [3]);
        assert_eq!(start(&["urn:c", "urn:a"]), [4, 2]);
    }

    #[test]
    fn a_second_server_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = State::open(dir.path()).expect("a state folder");
        let error = State::open(dir.path()).expect_err("it is in use").to_string();
        assert!(error.contains(&format!("process id {}", std::process::id())), "{error}");
        drop(first);
        State::open(dir.path()).expect("free again");
    }

    #[test]
    fn a_damaged_file_is_named_and_not_overwritten() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("namespaces.json");
        fs::write(&path, "{\"version\": 1, \"names").expect("written");
        let error = State::open(dir.path()).expect_err("damaged").to_string();
        assert!(error.contains("namespaces.json cannot be read"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("still there"), "{\"version\": 1, \"names");
    }

    #[test]
    fn what_is_retained_comes_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let value = Retained { value: "0601000000".into(), source_time: 7, start: "0600000000".into() };
        let values = BTreeMap::from([("urn:a|Pump.Setpoint".to_owned(), value)]);
        State::open(dir.path()).expect("a folder").save_retained(&values).expect("saved");
        assert_eq!(State::open(dir.path()).expect("a folder").retained().expect("read"), values);
    }
}
