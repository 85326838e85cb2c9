//! Certificates: the server's own, those of clients, issuers and users, and why one was refused.
//!
//! ```text
//! pki/own/certificate.der key.pem   the server's own; the folder is 0700, the key 0600
//!     trusted/                      clients that may connect, and the issuers whose clients may
//!     issuers/                      issuers that only complete a chain
//!     revoked/                      refused by the operator, even if an authority vouches for them
//!     rejected/                     refused clients, with a .txt that says why
//!     users/                        certificates of people
//! ```
//! A certificate is known by its SHA-1 thumbprint alone; the names of files mean nothing.

mod certificate;
mod check;
mod constraints;
mod crl;
mod folders;
mod own;
mod path;
mod rejected;
mod server;
mod subject;
mod text;
mod verbs;
mod watch;
mod window;

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

pub use certificate::Certificate;
pub(crate) use certificate::application_uri;
pub(crate) use own::Wanted;
pub use own::{Form, Keeper, OwnCertificate, OwnRequest, host_name, install, request};
pub(crate) use server::Sought;
pub(crate) use subject::subject;
pub(crate) use verbs::{add_user, export, reject, show};
pub use verbs::{list, revoke, trust};
pub(crate) use window::LONGEST_WINDOW;

use folders::Store;
pub(crate) use path::Step;
pub use path::Suppressed;
use path::{Demand, Role};
use rejected::{Rejection, Waiting};
use window::Window;

/// A fault of a file or folder, and its remedy.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {what}", path.display())]
    Refused { path: PathBuf, what: String },
    #[error("{0}")]
    Selection(String),
}

impl PkiError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> PkiError {
        move |source| PkiError::Io { path: path.to_owned(), source }
    }

    fn refused(path: &Path, what: impl Into<String>) -> PkiError {
        PkiError::Refused { path: path.to_owned(), what: what.into() }
    }
}

/// A folder as an argument that can be copied into any shell, whatever its working directory.
fn quoted(dir: &Path) -> String {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()).display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@,".contains(letter);
    if dir.chars().all(is_plain) { dir } else { format!("'{}'", dir.replace('\'', r"'\''")) }
}

/// The folders as they were last read. Checks look only at that; `watch` keeps it fresh.
pub struct Pki {
    dir: PathBuf,
    store: ArcSwap<Store>,
    /// Refused certificates that `watch` writes down. Full: the newest are dropped and counted, the log has them.
    rejections: tokio::sync::mpsc::Sender<Rejection>,
    waiting: Mutex<Option<Waiting>>,
    lost_rejections: AtomicU64,
    suppressed: Mutex<Suppressed>,
    window: Mutex<Option<Window>>,
    /// Counts the changes of the folders.
    changes: tokio::sync::watch::Sender<u64>,
    /// Certificates that were accepted with a suppressed step, and reported.
    told: Mutex<HashSet<([u8; 20], Step)>>,
}

impl Pki {
    /// Makes the folders that are missing and reads them. Starts nothing.
    pub fn open(dir: &Path, suppressed: Suppressed) -> Result<Arc<Pki>, PkiError> {
        folders::create(dir)?;
        let (rejections, waiting) = rejected::queue();
        let store = Store::read(dir)?;
        store.warn_of_lists(&Store::default());
        Ok(Arc::new(Pki {
            dir: dir.to_owned(),
            store: ArcSwap::from_pointee(store),
            rejections,
            waiting: Mutex::new(Some(waiting)),
            lost_rejections: AtomicU64::new(0),
            suppressed: Mutex::new(suppressed),
            window: Mutex::default(),
            changes: tokio::sync::watch::Sender::new(0),
            told: Mutex::default(),
        }))
    }

    /// The command line for a verb in this folder, valid in any working directory.
    fn command(&self, verb: &str, which: &str) -> String {
        format!("opcell pki {verb} {which} --pki-dir {}", quoted(&self.dir))
    }

    /// Holds from the next check of a certificate on.
    pub fn suppress(&self, suppressed: Suppressed) {
        *self.suppressed.lock() = suppressed;
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads the folders again.
    pub fn reload(&self) -> Result<(), PkiError> {
        let store = Store::read(&self.dir)?;
        store.warn_of_lists(&self.store.load());
        self.store.store(Arc::new(store));
        self.changes.send_modify(|count| *count += 1);
        Ok(())
    }

    /// The certificates that decide, as they were last read.
    pub fn holdings(&self) -> BTreeSet<Holding> {
        let store = self.store.load();
        let holding = |folder, thumbprint: &[u8; 20], name: &str| Holding {
            folder,
            thumbprint: text::hex(thumbprint),
            name: text::printable(name),
        };
        let named = [("trusted", &store.trusted), ("issuers", &store.issuers)];
        let named = named.into_iter().flat_map(|(folder, all)| {
            all.iter().map(move |(thumbprint, certificate)| holding(folder, thumbprint, certificate.name()))
        });
        let revoked = store.revoked.iter().map(|thumbprint| holding("revoked", thumbprint, ""));
        let users = store.users.iter().map(|(thumbprint, files)| holding("users", thumbprint, &files.join(", ")));
        named.chain(revoked).chain(users).collect()
    }

    /// Wakes when the folders have changed: who came in before must be looked at again.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// A certificate in one of the folders.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holding {
    pub folder: &'static str,
    /// Hex digits.
    pub thumbprint: String,
    /// Its subject's name; of a user's, its files.
    pub name: String,
}

/// Feeds any bytes to everything that reads certificates, CRLs and PEM.
pub fn fuzz_certificate(bytes: &[u8]) {
    let store = Store::from_file(bytes);
    for role in [Role::Client, Role::Server] {
        drop(path::validate(&store, bytes, Demand { now: 0, suppressed: Suppressed::default(), role }));
    }
    drop(application_uri(bytes));
    if let Some(certificate) = Certificate::parse(bytes) {
        drop(certificate.describe());
        certificate.is_signed_by(&certificate);
    }
    drop(crate::stack::crypto::certificate::split_chain(bytes, 10));
    drop(crate::stack::crypto::certificate::leaf(bytes).and_then(crate::stack::crypto::PublicKey::of_certificate));
}

#[cfg(test)]
mod tests;
