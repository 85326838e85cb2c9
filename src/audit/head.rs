//! The head: how far the files go, authenticated with a key that only the service's user can read.
//!
//! `audit.head` and `audit-writes.head`, next to the folder of the files, hold the number and hash of the last record,
//! where the oldest kept file starts, what retention removed, and where a gap was. A head is replaced as a whole after
//! each batch.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::AuditError;
use super::line::{BEGINNING, Hash, from_hex};
use super::text::hex;
use crate::stack::crypto::{MacKey, fill_random};

const VERSION: u32 = 1;
const KEY: usize = 32;
/// Gaps that are remembered; the oldest are forgotten first.
const MOST_GAPS: usize = 100;

/// Where a file starts: its first record's number, and the hash before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    pub file: u32,
    pub number: u64,
    #[serde(with = "digits")]
    pub chain: Hash,
}

/// Where evidence is missing or damaged, and a new file was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gap {
    pub start: Start,
    /// The last record that the head knew before; 0 when there was no head.
    pub expected: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    pub version: u32,
    /// The last record; 0 before the first.
    pub number: u64,
    #[serde(with = "digits")]
    pub chain: Hash,
    /// The file that is written.
    pub current: Start,
    pub oldest: Start,
    pub gaps: Vec<Gap>,
    /// Records and files that retention has removed so far.
    #[serde(default, skip_serializing_if = "Dropped::is_nothing")]
    pub dropped: Dropped,
    /// There is a chain of writes next to this one of security: without it, taking its files and its head away would
    /// look like a first start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_writes: bool,
}

/// Files that retention removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dropped {
    pub files: u64,
    pub records: u64,
    /// Time of the newest record in them, in seconds since 1970.
    pub newest: i64,
}

impl Dropped {
    pub(crate) fn is_nothing(&self) -> bool {
        self.files == 0
    }
}

mod digits {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::{Hash, from_hex, hex};

    pub(crate) fn serialize<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex(hash))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(from)?;
        from_hex(text.as_bytes()).ok_or_else(|| de::Error::custom("not 64 hex digits"))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    head: Head,
    mac: String,
}

/// The content of a head's file, after its checks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    None,
    Good(Head),
    /// Not what the key's owner wrote.
    Wrong(String),
}

impl Head {
    /// Before the first record of all.
    pub(crate) fn new() -> Head {
        let start = Start { file: 1, number: 1, chain: BEGINNING };
        Head {
            version: VERSION,
            number: 0,
            chain: BEGINNING,
            current: start,
            oldest: start,
            gaps: Vec::new(),
            dropped: Dropped::default(),
            has_writes: false,
        }
    }

    pub(crate) fn add_gap(&mut self, gap: Gap) {
        if self.gaps.len() >= MOST_GAPS {
            self.gaps.remove(0);
        }
        self.gaps.push(gap);
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("our own struct has text keys and plain values")
    }

    pub(crate) fn read(path: &Path, key: &MacKey) -> Result<Found, AuditError> {
        match fs::read(path) {
            Ok(bytes) => Ok(Head::parse(&bytes, key)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::None),
            Err(source) => Err(AuditError::io(path)(source)),
        }
    }

    pub(crate) fn parse(bytes: &[u8], key: &MacKey) -> Found {
        let signed: Signed = match serde_json::from_slice(bytes) {
            Ok(signed) => signed,
            Err(error) => return Found::Wrong(format!("the head cannot be read: {error}")),
        };
        let mac = from_hex(signed.mac.as_bytes()).unwrap_or_default();
        if !key.verifies(&signed.head.bytes(), &mac) {
            return Found::Wrong("the head was not written with this key".to_owned());
        }
        match signed.head.version {
            VERSION => Found::Good(signed.head),
            other => Found::Wrong(format!("the head has format {other}, this opcell knows {VERSION}")),
        }
    }

    /// The bytes of the file.
    pub(crate) fn signed(&self, key: &MacKey) -> Vec<u8> {
        let signed = Signed { mac: hex(&key.sign(&self.bytes())), head: self.clone() };
        serde_json::to_vec(&signed).expect("our own struct has text keys and plain values")
    }

    /// Replaces the file: writes a new one, syncs it, renames it and syncs the folder.
    pub(crate) fn replace(&self, path: &Path, key: &MacKey) -> io::Result<()> {
        let bytes = self.signed(key);
        let beside = path.with_extension("head.new");
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder(path)
    }
}

/// Makes what was done to a file's name durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The chains of the audit. Each has its own files, its own head and its own share of the disk, so that a flood of
/// writes removes no record of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// All records but those of `Writes`; in folders of earlier versions those as well.
    Security,
    /// Writes of clients, and what clients change in the history.
    Writes,
}

impl Class {
    pub(crate) const ALL: [Class; 2] = [Class::Security, Class::Writes];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Class::Security => "security",
            Class::Writes => "writes",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Class::Security => "audit-",
            Class::Writes => "writes-",
        }
    }

    fn file_number(self, name: &str) -> Option<u32> {
        let digits = name.strip_prefix(self.prefix())?.strip_suffix(".jsonl")?;
        let is_number = digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { digits.parse().ok() } else { None }
    }

    /// The key of this chain's head, so that the head of one chain is never good for the other.
    fn key(self, secret: &[u8]) -> MacKey {
        let key = MacKey::new(secret);
        match self {
            Class::Security => key,
            Class::Writes => MacKey::new(&key.sign(b"opcell audit head of writes")),
        }
    }
}

/// The places of one chain below a state folder. Both chains share folder and key.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub class: Class,
    pub folder: PathBuf,
    pub head: PathBuf,
    pub key: PathBuf,
}

impl Places {
    pub(crate) fn of(state_dir: &Path, class: Class) -> Places {
        let head = match class {
            Class::Security => "audit.head",
            Class::Writes => "audit-writes.head",
        };
        let (folder, key) = (state_dir.join("audit"), state_dir.join("audit.key"));
        Places { class, folder, head: state_dir.join(head), key }
    }

    pub(crate) fn file_name(&self, number: u32) -> String {
        format!("{}{number:06}.jsonl", self.class.prefix())
    }

    pub(crate) fn file(&self, number: u32) -> PathBuf {
        self.folder.join(self.file_name(number))
    }

    /// The numbers of the files that are there, in order.
    pub(crate) fn files(&self) -> Result<Vec<u32>, AuditError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(AuditError::io(&self.folder)(source)),
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(AuditError::io(&self.folder))?.file_name();
            numbers.extend(name.to_str().and_then(|name| self.class.file_number(name)));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads the key of this chain; refuses a file that others can read.
    pub(crate) fn read_key(&self) -> Result<Option<MacKey>, AuditError> {
        let data = match fs::metadata(&self.key) {
            Ok(data) => data,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(AuditError::io(&self.key)(source)),
        };
        let mode = data.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(AuditError::OpenKey { path: self.key.clone(), mode });
        }
        let bytes = fs::read(&self.key).map_err(AuditError::io(&self.key))?;
        if bytes.len() != KEY {
            return Err(AuditError::DamagedKey { path: self.key.clone() });
        }
        Ok(Some(self.class.key(&bytes)))
    }

    /// Makes a new key and, where there is no head, the first head under it. The key gets its name last: so a key
    /// without a head was made by hand; a crash never leaves one.
    pub(crate) fn make_key(&self) -> Result<MacKey, AuditError> {
        let mut secret = [0; KEY];
        fill_random(&mut secret);
        let (key, beside) = (self.class.key(&secret), self.new_key());
        let write = || -> io::Result<()> {
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(&secret)?;
            file.sync_all()?;
            if !self.head.try_exists()? {
                Head::new().replace(&self.head, &key)?;
            }
            fs::rename(&beside, &self.key)?;
            sync_folder(&self.key)
        };
        write().map_err(AuditError::io(&self.key))?;
        Ok(key)
    }

    /// A first start that ended before the key had its name.
    pub(crate) fn is_half_made(&self) -> bool {
        self.new_key().exists()
    }

    /// Removes the head that such a start wrote, under a key that was never stored.
    pub(crate) fn forget_head(&self) -> Result<(), AuditError> {
        match fs::remove_file(&self.head) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(AuditError::io(&self.head)(error)),
            _ => Ok(()),
        }
    }

    fn new_key(&self) -> PathBuf {
        self.key.with_extension("key.new")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_and_any_change_of_it_is_noticed() {
        let dir = tempfile::tempdir().expect("a folder");
        let places = Places::of(dir.path(), Class::Security);
        let key = places.make_key().expect("a key");
        let mut head = Head { number: 7, ..Head::new() };
        head.add_gap(Gap { start: head.current, expected: 3 });
        assert_eq!(Head::read(&places.head, &key).expect("read"), Found::Good(Head::new()));
        head.replace(&places.head, &key).expect("written");
        let bytes = fs::read(&places.head).expect("the head");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(matches!(Head::parse(&changed, &key), Found::Wrong(_)), "byte {at}");
        }
        assert!(matches!(Head::parse(&bytes, &MacKey::new(b"another")), Found::Wrong(_)));
        assert_eq!(Head::parse(&bytes, &places.read_key().expect("a key").expect("a key")), Found::Good(head));
        let other = Places::of(dir.path(), Class::Writes).read_key().expect("a key").expect("the same file");
        assert!(matches!(Head::parse(&bytes, &other), Found::Wrong(_)), "a head is good for its own chain only");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().expect("a folder");
        let places = Places::of(dir.path(), Class::Security);
        assert!(places.read_key().expect("no error").is_none());
        places.make_key().expect("a key");
        fs::set_permissions(&places.key, fs::Permissions::from_mode(0o640)).expect("changed");
        let error = places.read_key().expect_err("it is open").to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }
}
