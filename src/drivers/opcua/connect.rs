//! From nothing to an active session: the endpoint, the channel, and the login.

use std::sync::Arc;
use std::time::Instant;

use opcua::StatusCode;

use super::client::{Client, not_connected};
use super::discovery::{Endpoint, choose, read_get_endpoints, write_get_endpoints};
use super::login::{Created, Login, Opener, User, read_activated, read_created, write_close, write_create};
use super::message::{Fault, Head};
use super::session::{Session, garbage, is_session_gone};
use super::wire::{Came, Line, MOST_MESSAGE, Protection, heavy};
use crate::drivers::application::Dialled;
use crate::drivers::contract::LinkError;
use crate::stack::channel::Peer;
use crate::stack::crypto::{self, MessageSecurityMode, Policy};
use crate::value::Hidden;

const NONCE: usize = 32;

impl Client {
    pub(super) async fn open(&mut self) -> Result<(), LinkError> {
        (self.is_up, self.line, self.server) = (false, None, None);
        self.requests = super::pending::Requests::default();
        self.samples.clear();
        self.arrived.clear();
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => {
                let endpoint = self.discover().await?;
                self.endpoint = Some(endpoint.clone());
                endpoint
            }
        };
        let server = self.trusted(&endpoint)?;
        let protection = self.protection(&endpoint, server.clone())?;
        let line = Line::open(&self.config.url, protection).await?;
        (self.address, self.line, self.server) = (Some(line.address), Some(line), server);
        self.begin().await
    }

    /// The strongest endpoint that may be used.
    async fn discover(&mut self) -> Result<Endpoint, LinkError> {
        let endpoints = self.endpoints().await?;
        choose(endpoints, self.config.wish()).map_err(LinkError::Lost)
    }

    /// All endpoints of the server.
    pub(super) async fn endpoints(&mut self) -> Result<Vec<Endpoint>, LinkError> {
        let mut line = Line::open(&self.config.url, Protection::none()).await?;
        self.address = Some(line.address);
        let url = self.config.url.text.clone();
        let (none, hint) = (Hidden(Vec::new()), self.config.timeout);
        let sent = line.request(Instant::now(), |out| {
            write_get_endpoints(out, Head { token: &none, handle: 1, hint }, &url);
            Ok(())
        });
        let sent = sent.map_err(|code| garbage("Hello", code))?;
        let mut answer = None;
        while answer.is_none() {
            line.exchange().await?;
            line.take(|came| {
                match came {
                    Came::Response { request, body } if request == sent => answer = Some(read_get_endpoints(body)),
                    Came::Aborted { request, status } if request == sent => answer = Some(Err(Fault::Refused(status))),
                    Came::Response { .. } | Came::Aborted { .. } => {}
                }
                Ok(())
            })?;
        }
        // The goodbye only frees the server's place earlier.
        drop(line.close().await);
        answer.ok_or_else(not_connected)?.map_err(|fault| garbage("GetEndpoints", fault.code()))
    }

    /// The server of an endpoint, if its certificate is trusted; `None` without security.
    pub(super) fn trusted(&self, endpoint: &Endpoint) -> Result<Option<Arc<Peer>>, LinkError> {
        self.own_address(endpoint)?;
        if endpoint.policy() == Policy::None {
            return Ok(None);
        }
        self.check(endpoint)?;
        let peer = Peer::from_chain(endpoint.policy(), &endpoint.certificate);
        let peer = peer.ok_or_else(|| {
            LinkError::Lost(format!("the server's certificate has no key for {}", endpoint.policy().name()))
        })?;
        Ok(Some(Arc::new(peer)))
    }

    fn check(&self, endpoint: &Endpoint) -> Result<(), LinkError> {
        let application = self.application.as_ref();
        let application =
            application.ok_or_else(|| LinkError::Lost("there is no certificate to connect with".into()))?;
        let dialled = Dialled {
            host: &self.config.url.host,
            address: self.address,
            policy: endpoint.policy(),
            application_uri: &endpoint.application_uri,
        };
        let checked = application.check_server(&endpoint.certificate, &dialled);
        checked.map(drop).map_err(|refusal| LinkError::Lost(refusal.rule))
    }

    /// A server whose certificate is this server's own would feed itself.
    fn own_address(&self, endpoint: &Endpoint) -> Result<(), LinkError> {
        let application = self.application.as_ref();
        let own = application.and_then(|application| application.identity());
        let leaf = crypto::certificate::leaf(&endpoint.certificate);
        let is_own = own.is_some_and(|own| leaf == Some(own.leaf()))
            && application.is_some_and(|application| application.uri() == endpoint.application_uri);
        if is_own { Err(LinkError::Lost("this is the server's own address".to_owned())) } else { Ok(()) }
    }

    fn protection(&self, endpoint: &Endpoint, server: Option<Arc<Peer>>) -> Result<Protection, LinkError> {
        let (policy, mode) = (endpoint.policy(), endpoint.mode());
        let identity = match policy {
            Policy::None => None,
            _ => {
                let own = self.application.as_ref().and_then(|application| application.identity());
                Some(own.ok_or_else(|| LinkError::Lost("this server has no certificate to connect with".into()))?)
            }
        };
        Ok(Protection { policy, mode, identity, server, most_message: MOST_MESSAGE })
    }

    /// Activates the session of before, or makes a new one.
    async fn begin(&mut self) -> Result<(), LinkError> {
        let now = Instant::now();
        if let Some(session) = &mut self.session {
            session.publishes = usize::MAX;
            let nonce = session.nonce.clone();
            let endpoint = self.endpoint.clone().ok_or_else(not_connected)?;
            let is_trusted = self.is_trusted(&endpoint);
            match self.activate(&nonce, is_trusted).await {
                Ok(Ok(())) => return self.resumed(now),
                Ok(Err(code)) if is_session_gone(code) || self.session_is_unsure(code) => {}
                Ok(Err(code)) => return Err(self.login_refused(code)),
                // What the old session has does not do for a login; a new one may.
                Err(LinkError::Denied(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let old = self.session.take();
        // The server's own answers decide over the old session; its token must not be sent with the new one.
        let created = self.create().await;
        let (created, is_trusted) = match created {
            Ok(created) => created,
            Err(error) => {
                self.session = old;
                return Err(error);
            }
        };
        let Created { token, timeout, server_nonce, .. } = created;
        let nonce = server_nonce.clone();
        self.session = Some(Session::new(token, server_nonce, timeout));
        let activated = self.activate(&nonce, is_trusted).await;
        match activated {
            Ok(Ok(())) => {}
            activated => {
                self.drop_session().await;
                self.session = old;
                return Err(match activated {
                    Ok(Err(code)) => self.login_refused(code),
                    Ok(Ok(())) => not_connected(),
                    Err(error) => error,
                });
            }
        }
        if let (Some(session), Some(old)) = (&mut self.session, old) {
            session.inherit(old);
        }
        self.resumed(now)
    }

    /// Some servers have other words for a session that they no longer have.
    fn session_is_unsure(&self, code: StatusCode) -> bool {
        matches!(
            code,
            StatusCode::BadUnexpectedError
                | StatusCode::BadInternalError
                | StatusCode::BadApplicationSignatureInvalid
                | StatusCode::BadSecurityChecksFailed
                | StatusCode::BadUserSignatureInvalid
                | StatusCode::BadIdentityTokenInvalid
                | StatusCode::BadServiceUnsupported
        )
    }

    /// The name of the user may come from a file or the environment: it is not said.
    pub(super) fn login_refused(&self, code: StatusCode) -> LinkError {
        let text = match self.config.user() {
            User::Name { .. } => format!("the server refuses the user ({code})"),
            User::Certificate(_) => format!("the server refuses the user's certificate ({code})"),
            User::Anonymous => format!("the server refuses an anonymous user ({code}); write `user`"),
        };
        match code {
            StatusCode::BadIdentityTokenRejected
            | StatusCode::BadIdentityTokenInvalid
            | StatusCode::BadUserAccessDenied
            | StatusCode::BadUserSignatureInvalid => LinkError::Denied(text),
            code => LinkError::Lost(format!("the server does not activate the session ({code})")),
        }
    }

    async fn create(&mut self) -> Result<(Created, bool), LinkError> {
        let endpoint = self.endpoint.clone().ok_or_else(not_connected)?;
        let identity = self.own_identity(&endpoint);
        let application = self.application.clone();
        let name = application.as_ref().map_or_else(|| "opcell".to_owned(), |application| application.name());
        let uri = application.as_ref().map_or_else(|| "urn:opcell".to_owned(), |application| application.uri());
        let nonce = crypto::random::<NONCE>();
        let (session_name, url) = (format!("opcell {}", self.config.name), self.config.url.text.clone());
        let opener = Opener {
            application_uri: &uri,
            application_name: &name,
            session_name: &session_name,
            url: &url,
            nonce: Hidden(&nonce),
            identity: identity.as_deref(),
            max_response: MOST_MESSAGE,
        };
        let limit = self.patience();
        let answer = self.ask(limit, |out, head| {
            write_create(out, head, &opener);
            Ok(())
        });
        let body = answer.await?.map_err(|code| LinkError::Lost(format!("the server makes no session ({code})")))?;
        let created = match read_created(&body) {
            Ok(created) => created,
            Err(Fault::Refused(code)) => return Err(LinkError::Lost(format!("the server makes no session ({code})"))),
            Err(Fault::Garbage(code)) => return Err(garbage("CreateSession", code)),
        };
        self.check_created(&endpoint, &created, &nonce, identity.as_deref())?;
        let is_trusted = self.is_trusted(&endpoint);
        Ok((created, is_trusted))
    }

    /// The server's certificate may be used for a password. That of a secured channel was checked when it was opened.
    pub(super) fn is_trusted(&self, endpoint: &Endpoint) -> bool {
        match endpoint.policy() {
            Policy::None => self.needs_trust(endpoint) && self.check(endpoint).is_ok(),
            _ => true,
        }
    }

    /// A password is encrypted although the channel is not.
    fn needs_trust(&self, endpoint: &Endpoint) -> bool {
        let is_encrypted = |uri: &str| Policy::from_uri(uri).is_some_and(|policy| policy != Policy::None);
        self.config.settings.user.is_some() && endpoint.tokens.iter().any(|token| is_encrypted(&token.policy_uri))
    }

    fn own_identity(&self, endpoint: &Endpoint) -> Option<Arc<crypto::Identity>> {
        if endpoint.policy() == Policy::None {
            return None;
        }
        // That of the channel, though a newer one may have come since.
        self.line.as_ref().and_then(Line::identity)
    }

    /// The server of the session is that of the channel, and it offers nothing stronger than what was chosen.
    fn check_created(
        &mut self,
        endpoint: &Endpoint,
        created: &Created,
        nonce: &[u8],
        identity: Option<&crypto::Identity>,
    ) -> Result<(), LinkError> {
        if let (Some(server), Some(identity)) = (&self.server, identity) {
            if crypto::certificate::leaf(&created.certificate) != Some(server.leaf()) {
                return Err(LinkError::Lost("the session has another certificate than the channel".to_owned()));
            }
            let is_signed = |certificate: &[u8]| {
                server.key.verify(endpoint.policy(), &[certificate, nonce], &created.signature).is_ok()
            };
            // Older servers sign the whole chain.
            if !is_signed(identity.leaf()) && !is_signed(identity.chain()) {
                return Err(LinkError::Lost("the server's signature of the session is wrong".to_owned()));
            }
            if created.server_nonce.0.len() < NONCE {
                return Err(LinkError::Lost("the server's nonce is too short".to_owned()));
            }
        }
        // An attacker may have left the stronger ones out of the unsecured list (Part 4 §5.7.2.1, 1.05).
        let best = choose(created.endpoints.clone(), self.config.wish());
        match best {
            Ok(best) if endpoint.is_weaker_than(&best) => {
                self.better = Some(best);
                Err(LinkError::Lost("the server has a stronger endpoint than its list had".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// ActivateSession. `Ok(Err)`: the server's answer.
    async fn activate(
        &mut self,
        nonce: &Hidden<Vec<u8>>,
        is_trusted: bool,
    ) -> Result<Result<(), StatusCode>, LinkError> {
        let endpoint = self.endpoint.clone().ok_or_else(not_connected)?;
        let identity = self.own_identity(&endpoint);
        let config = self.config.clone();
        let server = crypto::certificate::leaf(&endpoint.certificate).unwrap_or_default().to_vec();
        let login = Login {
            policy: endpoint.policy(),
            mode: if self.server.is_some() { endpoint.mode() } else { MessageSecurityMode::None },
            identity: identity.as_deref(),
            server: &server,
            is_trusted,
            server_nonce: nonce,
            tokens: &endpoint.tokens,
            allow_unsecured: config.settings.allow_unsecured,
        };
        let mut refused = None;
        let user = config.user();
        let limit = self.patience();
        let answer = self.ask(limit, |out, head| match heavy(|| login.write(out, head, &user)) {
            Ok(()) => Ok(()),
            Err(why) => {
                refused = Some(why);
                Err(StatusCode::BadIdentityTokenRejected)
            }
        });
        let answer = answer.await?;
        if let Some(why) = refused {
            return Err(LinkError::Denied(why));
        }
        match answer.map_err(Fault::Refused).and_then(|body| read_activated(&body)) {
            Ok(nonce) => {
                if let Some(session) = &mut self.session {
                    session.nonce = nonce;
                }
                Ok(Ok(()))
            }
            Err(Fault::Refused(code)) => Ok(Err(code)),
            Err(Fault::Garbage(code)) => Err(garbage("ActivateSession", code)),
        }
    }

    /// A session that was not activated takes a place of the server until it is closed.
    async fn drop_session(&mut self) {
        let limit = self.config.timeout;
        drop(
            self.ask(limit, |out, head| {
                write_close(out, head);
                Ok(())
            })
            .await,
        );
    }

    pub(super) fn resumed(&mut self, now: Instant) -> Result<(), LinkError> {
        let session = self.session.as_mut().ok_or_else(not_connected)?;
        let is_first = session.items.is_empty();
        session.resume(now);
        self.unread.clear();
        if !is_first {
            self.unread.extend(0..u32::try_from(session.items.len()).unwrap_or(u32::MAX));
        }
        for (at, point) in (0..).zip(&mut self.points) {
            // A session that inherited nothing has no items, whatever the points had before.
            let item =
                point.item.filter(|item| session.items.get(*item as usize).is_some_and(|it| it.point == Some(at)));
            point.forget();
            point.item = item;
        }
        (self.is_up, self.is_settled) = (true, false);
        Ok(())
    }
}
