//! Logs the raw client in to the secured server of `interop.rs`.

use opcell::testing::stack::crypto::{MessageSecurityMode, Policy, encrypt_secret};

use crate::interop::{Field, Holder, PASSWORD};
use crate::request::{anonymous, user_name};
use crate::ua::{Response, Session, secured, unsecured};

/// A client with its user and the mode of its channel.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// Its ApplicationUri, and its certificate where the channel is secured.
    pub client: &'a Holder,
    /// None: no security at all.
    pub mode: MessageSecurityMode,
    /// None: anonymous.
    pub user: Option<&'a str>,
}

const POLICY: Policy = Policy::Basic256Sha256;

impl Login<'_> {
    /// A session, activated.
    pub fn open(&self, field: &Field) -> Session {
        let mut session = self.connect(field);
        session.create(&self.client.uri, self.client.identity.leaf()).good();
        self.activate(&mut session, field).good();
        session
    }

    /// A channel that an open session may move to.
    pub fn connect(&self, field: &Field) -> Session {
        let settings = match self.mode {
            MessageSecurityMode::None => unsecured(),
            mode => secured(POLICY, mode, &self.client.identity, &field.peer()),
        };
        Session::connect(field.server().address, settings).expect("a channel")
    }

    pub fn activate(&self, session: &mut Session, field: &Field) -> Response {
        self.activate_signing(session, field, field.peer().leaf())
    }

    /// As `activate`, with a signature over what the client takes for the server's certificate.
    pub fn activate_signing(&self, session: &mut Session, field: &Field, certificate: &[u8]) -> Response {
        let server = field.peer();
        let nonce = session.server_nonce.clone();
        let signature = match self.mode {
            MessageSecurityMode::None => None,
            _ => Some(self.client.identity.key().sign(POLICY, &[certificate, &nonce])),
        };
        let signature = signature.as_deref().map(|bytes| (POLICY.signature_uri().expect("it signs"), bytes));
        let Some(user) = self.user else {
            return session.activate(signature, anonymous());
        };
        let secret = encrypt_secret(&server.key, POLICY, PASSWORD.as_bytes(), &nonce).expect("it encrypts");
        session.activate(signature, user_name(user, &secret, POLICY.encryption_uri()))
    }
}
