//! Identity tokens (Part 4 §7.40, 1.05): the user of a session, once the client's signature and the token's own proof
//! hold.
//!
//! A wrong password and a wrong encryption get the same answer, given after the same work.

use std::sync::Arc;

use opcua::StatusCode;

use super::discovery;
use crate::model::{Accounts, Roles};
use crate::stack::channel::neighbourhood;
use crate::stack::codec::{NodeIdRef, Reader};
use crate::stack::crypto::{self, Lane, Policy, PublicKey};
use crate::ua::server::Server;
use crate::ua::session::{Caller, Identity, LoginRefused};
use crate::ua::users::{NoLogin, Origin};

/// Encoding ids of the identity tokens (Part 6 annex A, 1.05).
const ANONYMOUS_TOKEN: u32 = opcua::ObjectId::AnonymousIdentityToken_Encoding_DefaultBinary as u32;
const USER_NAME_TOKEN: u32 = opcua::ObjectId::UserNameIdentityToken_Encoding_DefaultBinary as u32;
const X509_TOKEN: u32 = opcua::ObjectId::X509IdentityToken_Encoding_DefaultBinary as u32;

#[derive(Debug)]
pub(super) enum IdentityToken {
    Anonymous,
    UserName { name: String, encrypted: Vec<u8>, algorithm: String },
    Certificate(Vec<u8>),
}

/// The proofs of an ActivateSession, unchecked.
pub(super) struct LoginProofs {
    pub token: IdentityToken,
    pub token_signature: Vec<u8>,
    /// The client application's, over our certificate and the nonce.
    pub signature: Vec<u8>,
    pub nonce: Vec<u8>,
    /// The queue in which it waits when there is no password to check.
    pub lane: Lane,
}

impl IdentityToken {
    pub(crate) fn read(kind: NodeIdRef<'_>, body: Option<&[u8]>) -> Result<IdentityToken, StatusCode> {
        if kind.is_null() {
            return Ok(IdentityToken::Anonymous);
        }
        let body = body.ok_or(StatusCode::BadIdentityTokenInvalid)?;
        let mut reader = Reader::new(body);
        let invalid = |_| StatusCode::BadIdentityTokenInvalid;
        match kind.standard() {
            Some(ANONYMOUS_TOKEN) => Ok(IdentityToken::Anonymous),
            Some(USER_NAME_TOKEN) => {
                reader.string().map_err(invalid)?;
                let name = reader.text().map_err(invalid)?.to_owned();
                let encrypted = reader.bytes().map_err(invalid)?.unwrap_or_default().to_vec();
                let algorithm = reader.text().map_err(invalid)?.to_owned();
                Ok(IdentityToken::UserName { name, encrypted, algorithm })
            }
            Some(X509_TOKEN) => {
                reader.string().map_err(invalid)?;
                Ok(IdentityToken::Certificate(reader.bytes().map_err(invalid)?.unwrap_or_default().to_vec()))
            }
            _ => Err(StatusCode::BadIdentityTokenInvalid),
        }
    }
}

/// An identity that was proved, and the accounts that counted when that began.
#[derive(Debug)]
pub(super) struct Proof {
    pub identity: Identity,
    accounts: Arc<Accounts>,
}

impl Proof {
    /// Whether the login is still what was proved: it takes a while, and the accounts may be exchanged meanwhile.
    pub(crate) fn holds_in(&self, now: &Accounts) -> bool {
        self.identity.is_kept(&self.accounts, now)
    }
}

/// Proves the identity that the token claims.
pub(super) async fn identify(
    server: &Arc<Server>,
    caller: &Caller,
    proofs: LoginProofs,
) -> Result<Proof, LoginRefused> {
    let accounts = server.users.accounts();
    Ok(Proof { identity: check(server, caller, proofs).await?, accounts })
}

/// Only an application's signature is verified at once: that takes tens of microseconds, as long as the way to the pool
/// and back.
async fn check(server: &Arc<Server>, caller: &Caller, proofs: LoginProofs) -> Result<Identity, LoginRefused> {
    let check = Check {
        own: caller.security.own.clone(),
        policy: discovery::token_policy(server, caller.security.policy),
        caller: caller.clone(),
        server: Arc::clone(server),
    };
    let lane = match &proofs.token {
        IdentityToken::Anonymous => return check.run(proofs),
        IdentityToken::UserName { .. } => Lane::Password,
        IdentityToken::Certificate(_) => proofs.lane,
    };
    server.crypto.run(lane, neighbourhood(caller.peer.ip()), move || check.run(proofs)).await?
}

/// All that the check needs, so that it can run in the crypto pool.
struct Check {
    own: Option<Arc<crypto::Identity>>,
    /// The policy that protects users' secrets on this endpoint.
    policy: Option<Policy>,
    caller: Caller,
    server: Arc<Server>,
}

impl Check {
    fn run(&self, proofs: LoginProofs) -> Result<Identity, LoginRefused> {
        let security = &self.caller.security;
        if let Some(peer) = &security.peer
            && !self.proves(&proofs.nonce, &peer.key, security.policy, &proofs.signature)
        {
            return Err(StatusCode::BadApplicationSignatureInvalid.into());
        }
        match proofs.token {
            IdentityToken::Anonymous if self.server.users.accounts().anonymous != Roles::NONE => {
                Ok(Identity::Anonymous)
            }
            IdentityToken::Anonymous => Err(LoginRefused::because("", NoLogin::Anonymous)),
            IdentityToken::UserName { name, encrypted, algorithm } => {
                self.password(&name, &encrypted, &algorithm, &proofs.nonce)?;
                Ok(Identity::User(name))
            }
            IdentityToken::Certificate(der) => self.certificate(der, &proofs.nonce, &proofs.token_signature),
        }
    }

    fn proves(&self, nonce: &[u8], key: &PublicKey, policy: Policy, signature: &[u8]) -> bool {
        self.own.as_ref().is_some_and(|own| signs_us(own, nonce, key, policy, signature))
    }

    fn password(&self, name: &str, sent: &[u8], algorithm: &str, nonce: &[u8]) -> Result<(), LoginRefused> {
        let (Some(own), Some(policy)) = (&self.own, self.policy) else {
            return Err(StatusCode::BadIdentityTokenInvalid.into());
        };
        // A password in clear is refused, whatever the channel: no client may learn to send one.
        if policy.encryption_uri() != Some(algorithm) {
            return Err(StatusCode::BadIdentityTokenInvalid.into());
        }
        let password = crypto::decrypt_secret(own.key(), policy, sent, nonce).ok();
        let origin = match &self.caller.security.peer {
            Some(peer) => Origin::Application(peer.thumbprint),
            None => Origin::address(self.caller.peer.ip()),
        };
        let checked = self.server.users.check_password(name, password.as_deref(), origin);
        if let Some(turn) = checked.turn {
            self.server.audit_lockout(&self.caller, name, turn);
        }
        checked.outcome.map_err(|why| LoginRefused::because(name, why))
    }

    fn certificate(&self, der: Vec<u8>, nonce: &[u8], signature: &[u8]) -> Result<Identity, LoginRefused> {
        let policy = self.policy.ok_or(StatusCode::BadIdentityTokenInvalid)?;
        let key = crypto::certificate::leaf(&der).and_then(crypto::PublicKey::of_certificate);
        let key = key.ok_or(StatusCode::BadIdentityTokenInvalid)?;
        if !self.proves(nonce, &key, policy, signature) {
            return Err(StatusCode::BadUserSignatureInvalid.into());
        }
        let name = self.server.users.user_of_certificate(&der).map_err(|why| LoginRefused::because("", why))?;
        Ok(Identity::Certificate { name, der: der.into() })
    }
}

/// Whether the signature is over our certificate and the nonce. A client of an older version signs the whole chain
/// instead of the leaf, and is to be understood (Part 4 §5.7.3.2, 1.05).
fn signs_us(own: &crypto::Identity, nonce: &[u8], key: &PublicKey, policy: Policy, signature: &[u8]) -> bool {
    let signs = |certificate: &[u8]| key.verify(policy, &[certificate, nonce], signature).is_ok();
    signs(own.leaf()) || (own.chain().len() > own.leaf().len() && signs(own.chain()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::User;
    use crate::value::Hidden;

    fn accounts(users: &[(&str, Option<&str>, Option<&str>)], anonymous: Roles) -> Accounts {
        let user = |(name, hash, certificate): &(&str, Option<&str>, Option<&str>)| {
            let password_hash = hash.map(|hash| Hidden(hash.to_owned()));
            (
                (*name).to_owned(),
                User { password_hash, certificate: certificate.map(str::to_owned), roles: Roles::NONE },
            )
        };
        Accounts { users: users.iter().map(user).collect(), role_rules: Vec::new(), anonymous }
    }

    #[test]
    fn a_login_that_became_another_while_it_was_proved_does_not_count() {
        let everyone = Roles(1);
        let before = accounts(&[("opal", Some("old"), None), ("erika", None, Some("erika.der"))], everyone);
        let (opal, erika) = (
            Identity::User("opal".to_owned()),
            Identity::Certificate { name: "erika".to_owned(), der: Arc::default() },
        );
        for (identity, now, holds) in [
            (&opal, accounts(&[("opal", Some("old"), None)], Roles::NONE), true),
            (&opal, accounts(&[("opal", Some("new"), None)], everyone), false),
            (&opal, accounts(&[("opal", None, Some("opal.der"))], everyone), false),
            (&opal, accounts(&[], everyone), false),
            (&erika, accounts(&[("erika", None, Some("erika.der"))], Roles::NONE), true),
            (&erika, accounts(&[("erika", None, Some("other.der"))], everyone), false),
            (&Identity::Anonymous, accounts(&[], everyone), true),
            (&Identity::Anonymous, accounts(&[], Roles::NONE), false),
        ] {
            let proof = Proof { identity: identity.clone(), accounts: Arc::new(before.clone()) };
            assert_eq!(proof.holds_in(&now), holds, "{identity:?} in {now:?}");
        }
    }
}
