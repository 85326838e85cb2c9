//! The user list: names, Argon2id hashes, certificates.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use opcua::StatusCode;

use crate::model::ServerPlan;

/// Decides who a login is. `app` passes it in.
pub trait UserCheck: Send + Sync {
    /// Takes tens of milliseconds on purpose: call it in the crypto pool.
    fn check_password(&self, name: &str, password: &[u8]) -> Result<(), StatusCode>;
    /// The user whose certificate this is (DER).
    fn user_of_certificate(&self, certificate: &[u8]) -> Option<String>;
}

/// The names under which a certificate (DER) lies in `pki_dir/users`; none when it may not log in.
pub type PinnedNames = Box<dyn Fn(&[u8]) -> Vec<String> + Send + Sync>;

pub struct Users {
    plan: std::sync::Arc<ServerPlan>,
    pinned_names: PinnedNames,
    /// Verified for unknown names, so that a stranger can't tell them from known ones by time.
    decoy: String,
}

impl Users {
    pub fn new(plan: std::sync::Arc<ServerPlan>, pinned_names: PinnedNames) -> Users {
        let decoy = hash_password(b"nobody has this password").unwrap_or_default();
        Users { plan, pinned_names, decoy }
    }
}

impl UserCheck for Users {
    fn check_password(&self, name: &str, password: &[u8]) -> Result<(), StatusCode> {
        let known = self.plan.users.get(name).and_then(|user| user.password_hash.as_deref());
        let is_right = verify(password, known.unwrap_or(&self.decoy));
        if known.is_some() && is_right { Ok(()) } else { Err(StatusCode::BadIdentityTokenRejected) }
    }

    fn user_of_certificate(&self, certificate: &[u8]) -> Option<String> {
        let names = (self.pinned_names)(certificate);
        let has_it = |file: &str| names.iter().any(|name| name == file);
        let users = &self.plan.users;
        users.iter().find(|(_, user)| user.certificate.as_deref().is_some_and(has_it)).map(|(name, _)| name.clone())
    }
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
