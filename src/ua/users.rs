//! The user list: names, Argon2id hashes, certificates, and the roles that follow.

mod lockout;

use std::sync::Arc;

use arc_swap::ArcSwap;
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use parking_lot::Mutex;
use tokio::time::Instant;

pub use lockout::Origin;
pub(crate) use lockout::{Turn, Wait};

use crate::model::{Accounts, User};
use crate::value::Hidden;
use lockout::Lockout;

/// The file names of a certificate (DER) in `pki_dir/users`; none when it may not log in.
pub(crate) type PinnedNames = Box<dyn Fn(&[u8]) -> Vec<String> + Send + Sync>;

/// The accounts of the server and the check of logins. The accounts may be exchanged while a login is checked.
pub struct Users {
    accounts: ArcSwap<Accounts>,
    pinned_names: PinnedNames,
    /// Verified for unknown names, so that a stranger can't tell them from known ones by time.
    decoy: String,
    lockout: Mutex<Lockout>,
}

/// Why a login is refused: for the log and the audit; the client learns nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoLogin {
    #[error("no user has this name, or not with a password")]
    UnknownUser,
    #[error("the password is wrong")]
    WrongPassword,
    #[error("the password was not encrypted for this server and this session")]
    Undecipherable,
    #[error("{}; no login is checked for another {} s", if .0.is_origin { "too many wrong passwords from this address" } else { "too many wrong passwords" }, .0.left.as_secs() + 1)]
    Wait(Wait),
    #[error("no user has this certificate")]
    UnknownCertificate,
    #[error("sessions without login are not admitted")]
    Anonymous,
}

/// A password that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    pub outcome: Result<(), NoLogin>,
    pub turn: Option<Turn>,
}

impl Users {
    pub fn new(accounts: Accounts, pinned_names: PinnedNames) -> Users {
        let decoy = hash_password(b"no user has this password").unwrap_or_default();
        Users { accounts: ArcSwap::from_pointee(accounts), pinned_names, decoy, lockout: Mutex::default() }
    }

    pub fn accounts(&self) -> Arc<Accounts> {
        self.accounts.load_full()
    }

    /// From here on these count, and those before them are returned. Sessions that are there already are for the
    /// caller to look at.
    pub fn replace(&self, accounts: Accounts) -> Arc<Accounts> {
        let old = self.accounts.swap(Arc::new(accounts));
        let new = self.accounts();
        let mut lockout = self.lockout.lock();
        new.users
            .iter()
            .filter(|(name, user)| old.users.get(*name).map(login) != Some(login(user)))
            .for_each(|(name, _)| lockout.forget(name));
        old
    }

    /// `password` is `None` where it could not be decrypted. Takes tens of milliseconds on purpose, and the same time
    /// for all that may be wrong: call it in the crypto pool. Says as well whether a lockout begins or ends with it.
    pub fn check_password(&self, name: &str, password: Option<&[u8]>, origin: Origin) -> Checked {
        if let Err(wait) = self.lockout.lock().check(name, origin, Instant::now()) {
            return Checked { outcome: Err(NoLogin::Wait(wait)), turn: None };
        }
        let accounts = self.accounts();
        let known = accounts.users.get(name).and_then(|user| user.password_hash.as_ref());
        let is_right = verify(password.unwrap_or_default(), known.map_or(&self.decoy, |hash| &hash.0));
        let outcome = match (known, password) {
            (_, None) => Err(NoLogin::Undecipherable),
            (None, _) => Err(NoLogin::UnknownUser),
            (Some(_), _) if !is_right => Err(NoLogin::WrongPassword),
            _ => Ok(()),
        };
        let mut lockout = self.lockout.lock();
        let turn = match outcome {
            Ok(()) => lockout.right(name, origin, Instant::now()),
            Err(_) => lockout.wrong(name, origin, Instant::now()),
        };
        Checked { outcome, turn }
    }

    /// The user whose certificate this is (DER).
    pub fn user_of_certificate(&self, certificate: &[u8]) -> Result<String, NoLogin> {
        let names = (self.pinned_names)(certificate);
        let has_it = |file: &str| names.iter().any(|name| name == file);
        let accounts = self.accounts();
        let found = accounts.users.iter().find(|(_, user)| user.certificate.as_deref().is_some_and(has_it));
        found.map(|(name, _)| name.clone()).ok_or(NoLogin::UnknownCertificate)
    }
}

/// The parts of a user that a login proves.
fn login(user: &User) -> (Option<&Hidden<String>>, Option<&str>) {
    (user.password_hash.as_ref(), user.certificate.as_deref())
}

fn verify(password: &[u8], hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

/// An Argon2id hash in PHC form, with a fresh salt.
pub fn hash_password(password: &[u8]) -> Result<String, String> {
    let salt = crate::stack::crypto::random::<16>();
    let salt = SaltString::encode_b64(&salt).map_err(|error| error.to_string())?;
    let hash = Argon2::default().hash_password(password, &salt).map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let hash = hash_password(b"correct horse").expect("a hash");
        assert!(hash.starts_with("$argon2id$"));
        assert!(verify(b"correct horse", &hash));
        assert!(!verify(b"correct horsf", &hash));
        assert!(!verify(b"correct horse", "not a hash"));
    }
}
