//! Session service set (Part 4 §5.7, 1.05): CreateSession, ActivateSession, CloseSession, Cancel.
//!
//! Requests are taken apart at once; what needs a private key or Argon2 runs in the crypto pool meanwhile.

mod token;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::FutureExt;
use opcua::StatusCode;

use super::rights::{self, User};
use super::{Context, LoggedIn, Login, Visit, discovery};
use crate::logging;
use crate::stack::channel::neighbourhood;
use crate::stack::codec::{NodeIdRef, Reader, Writer};
use crate::stack::crypto::{self, Lane, MessageSecurityMode, Policy};
use crate::ua::audit;
use crate::ua::budget::Budget;
use crate::ua::limits::TimeoutRange;
use crate::ua::server::Server;
use crate::ua::session::{
    Caller, ClientDescription, Ending, LoginRefused, NewSession, Session, SessionSecurity, Standing, kept,
};
use crate::value::{Hidden, Moment};
use token::{IdentityToken, LoginProofs};

const NONCE: usize = 32;

/// A CreateSession that passed all checks but the signature.
#[derive(Debug)]
struct Creating {
    session: Arc<Session>,
    server_nonce: Hidden<Vec<u8>>,
    endpoint_url: String,
    signature: Option<(Policy, Vec<u8>)>,
    /// The channel's own certificate, which the client compares.
    own: Option<Arc<crypto::Identity>>,
}

pub(crate) fn create<'v>(visit: &'v Visit<'v>, body: &'v [u8]) -> Login<'v> {
    async move {
        let (server, caller) = (visit.server, visit.caller);
        let created = make(server, caller, body).await;
        let application = kept(Reader::new(body).text().unwrap_or_default());
        let outcome = created.as_ref().map(|created| &*created.session).map_err(|status| *status);
        server.audit_created(caller, visit.request.header.audit_entry, &application, outcome);
        let mut w = Writer::new();
        visit.request.head.write(&mut w);
        created?.write_response(server, &mut w);
        Ok(LoggedIn { response: w.buf, activated: None })
    }
    .boxed()
}

async fn make(server: &Arc<Server>, caller: &Caller, body: &[u8]) -> Result<Creating, StatusCode> {
    let mut creating = begin_create(server, caller, body)?;
    if let Some((policy, signed)) = creating.signature.take() {
        let identity = creating.own.clone().ok_or(StatusCode::BadSecurityPolicyRejected)?;
        let from = neighbourhood(caller.peer.ip());
        let sign = move || identity.key().sign(policy, &[&signed]);
        let signature = server.crypto.run(Lane::Handshake, from, sign).await?;
        creating.signature = Some((policy, signature));
    }
    let evicted = server.sessions.add(Arc::clone(&creating.session), &server.world().limits);
    match evicted {
        Ok(None) => {}
        Ok(Some(old)) => server.evict(&old),
        Err(status) => {
            server.totals.rejected_sessions.fetch_add(1, Ordering::Relaxed);
            return Err(status);
        }
    }
    server.totals.sessions.fetch_add(1, Ordering::Relaxed);
    Ok(creating)
}

fn begin_create(server: &Server, caller: &Caller, body: &[u8]) -> Result<Creating, StatusCode> {
    let reader = &mut Reader::new(body);
    let mut client = ClientDescription { application_uri: kept(reader.text()?), ..ClientDescription::default() };
    client.product_uri = kept(reader.text()?);
    client.application_name = kept(reader.localized_text()?.text.unwrap_or_default());
    reader.i32()?;
    reader.string()?;
    reader.string()?;
    for _ in 0..reader.count(4)? {
        reader.string()?;
    }
    client.server_uri = kept(reader.text()?);
    client.endpoint_url = kept(reader.text()?);
    let name = kept(reader.text()?);
    let client_nonce = reader.bytes()?.unwrap_or_default();
    let certificate = reader.bytes()?.unwrap_or_default();
    let timeout = reader.f64()?;
    let max_response = reader.u32()?;
    let security = &caller.security;
    if security.mode == MessageSecurityMode::None && !server.world().plan.security.allow_unsecured {
        return Err(StatusCode::BadSecurityModeInsufficient);
    }
    check_client(caller, &mut client, client_nonce, certificate)?;
    let server_nonce = Hidden(crypto::random::<NONCE>().to_vec());
    let signature = security.peer.as_ref().map(|peer| (security.policy, [peer.leaf(), client_nonce].concat()));
    let id = server.ids.session();
    let new = NewSession {
        id,
        token: Hidden(crypto::random()),
        name: if name.is_empty() { format!("session {id}") } else { name },
        timeout: revise_timeout(server, timeout),
        max_response,
        peer: caller.peer.ip(),
        channel: caller.channel,
        security: SessionSecurity { mode: security.mode, policy: security.policy },
        server_nonce: server_nonce.clone(),
        continuation_points: server.limits.browse_continuation_points,
        history_points: server.limits.history_continuation_points,
        memory: Budget::share(server.world().limits.queue_bytes, &server.memory),
        client,
    };
    let endpoint_url = new.client.endpoint_url.clone();
    let session = Arc::new(Session::new(new, Moment::now()));
    Ok(Creating { session, server_nonce, endpoint_url, signature, own: security.own.clone() })
}

/// On a secured channel: a fresh nonce, the channel's own certificate, and the ApplicationUri that it names.
fn check_client(
    caller: &Caller,
    client: &mut ClientDescription,
    nonce: &[u8],
    certificate: &[u8],
) -> Result<(), StatusCode> {
    let Some(peer) = &caller.security.peer else { return Ok(()) };
    if nonce.len() < NONCE {
        return Err(StatusCode::BadNonceInvalid);
    }
    let leaf = crypto::certificate::leaf(certificate).ok_or(StatusCode::BadCertificateInvalid)?;
    if leaf != peer.leaf() {
        return Err(StatusCode::BadCertificateInvalid);
    }
    let named = peer.application_uri(crate::pki::application_uri);
    if named.is_none_or(|uri| uri != client.application_uri) {
        let line = format_args!(
            "`{}` says it is {}, but its certificate names {}; the client's certificate must hold its ApplicationUri",
            client.application_name,
            client.application_uri,
            named.unwrap_or("no ApplicationUri"),
        );
        logging::limited(log::Level::Warn, "client refused", Some(caller.peer.ip()), line);
        return Err(StatusCode::BadCertificateUriInvalid);
    }
    client.thumbprint = Some(peer.thumbprint);
    Ok(())
}

/// As asked within wide caps; a client that asks for nothing gets the longest.
fn revise_timeout(server: &Server, asked: f64) -> Duration {
    let TimeoutRange { least, most } = server.limits.session_timeout;
    if asked.is_finite() && asked > 0.0 {
        Duration::from_secs_f64((asked / 1000.0).min(most.as_secs_f64())).max(least)
    } else {
        most
    }
}

impl Creating {
    fn write_response(&self, server: &Server, w: &mut Writer) {
        w.node_id(NodeIdRef::numeric(1, self.session.id));
        w.node_id(NodeIdRef { namespace: 0, id: crate::stack::codec::IdRef::Opaque(&self.session.token.0) });
        w.f64(self.session.timeout.as_secs_f64() * 1000.0);
        w.bytes(Some(&self.server_nonce.0));
        w.bytes(self.own.as_deref().map(crypto::Identity::chain));
        discovery::write_endpoints(server, self.own.as_deref(), &self.endpoint_url, w);
        w.null_array();
        match &self.signature {
            Some((policy, signature)) => {
                w.string(policy.signature_uri());
                w.bytes(Some(signature));
            }
            None => {
                w.string(None);
                w.bytes(None);
            }
        }
        w.u32(server.channels.limits.max_message);
    }
}

/// An ActivateSession request, owned, so that it can be checked off the connection's task.
struct Activation {
    signature: Vec<u8>,
    locales: Vec<String>,
    token: IdentityToken,
    token_signature: Vec<u8>,
}

pub(crate) fn activate<'v>(visit: &'v Visit<'v>, body: &'v [u8]) -> Login<'v> {
    async move {
        let (server, caller, header) = (visit.server, visit.caller, visit.request.header);
        let found = header.token.as_ref().and_then(|token| server.sessions.get(token));
        let result = match &found {
            Some(session) => log_in(server, caller, session, body).await,
            None => Err(StatusCode::BadSessionIdInvalid.into()),
        };
        let (claim, outcome) = (audit::ClaimedIdentity::read(body), result.as_ref().map(|_| ()));
        server.audit_activated(caller, header.audit_entry, &claim, found.as_deref(), outcome);
        let nonce = result.map_err(|refused| refused.status)?;
        let mut w = Writer::new();
        visit.request.head.write(&mut w);
        w.bytes(Some(&nonce));
        w.null_array();
        w.null_array();
        Ok(LoggedIn { response: w.buf, activated: found })
    }
    .boxed()
}

/// Checks signature and identity, then binds the session to the caller's channel. Returns the next server nonce.
async fn log_in(
    server: &Arc<Server>,
    caller: &Caller,
    session: &Arc<Session>,
    body: &[u8],
) -> Result<Vec<u8>, LoginRefused> {
    let mut activation = Activation::read(body)?;
    // A reload may have forbidden it since the session was created.
    if caller.security.mode == MessageSecurityMode::None && !server.world().plan.security.allow_unsecured {
        return Err(StatusCode::BadSecurityModeInsufficient.into());
    }
    let nonce = check_binding(session, caller)?;
    let lane = if session.lock().is_activated { Lane::Known } else { Lane::Handshake };
    let _answer = UnderWay::begin(session);
    let proof = match token::identify(server, caller, activation.proofs(nonce.clone(), lane)).await {
        Ok(proof) => proof,
        Err(refused) => {
            server.totals.security_rejected_sessions.fetch_add(1, Ordering::Relaxed);
            tell_refused(caller, session, &refused);
            return Err(refused);
        }
    };
    let next_nonce = crypto::random::<NONCE>().to_vec();
    let standing = standing(caller, session);
    if proof.identity.is_anonymous() && !session.lock().is_activated {
        check_anonymous_room(server, session)?;
    }
    let mut state = session.lock();
    if state.is_closed {
        return Err(StatusCode::BadSessionIdInvalid.into());
    }
    // Two requests that answer the same nonce: one of them is a copy.
    if state.server_nonce.0 != nonce {
        return Err(StatusCode::BadNonceInvalid.into());
    }
    // Another channel may only take the session over for the same user (Part 4 §5.7.3.1, 1.05).
    if state.is_activated && state.channel != caller.channel && state.identity != proof.identity {
        return Err(StatusCode::BadIdentityTokenRejected.into());
    }
    // Taken inside the lock: an exchange of the accounts looks at all sessions afterwards.
    let accounts = server.users.accounts();
    if !proof.holds_in(&accounts) {
        return Err(StatusCode::BadIdentityTokenRejected.into());
    }
    let identity = proof.identity;
    let roles = standing.roles(&identity, &accounts);
    let mode = caller.security.mode;
    let has_changed = state.is_activated && (state.roles, state.security.mode) != (roles, mode);
    let is_another = state.is_activated && state.identity != identity;
    state.roles = roles;
    state.standing = standing;
    state.security = SessionSecurity { mode, policy: caller.security.policy };
    state.identity = identity;
    state.is_activated = true;
    state.channel = caller.channel;
    if !activation.locales.is_empty() {
        state.locales = activation.locales.into();
    }
    state.server_nonce.0.clone_from(&next_nonce);
    state.last_contact = Moment::now().mono;
    drop(state);
    if has_changed || is_another {
        rights::apply_rights(server, session, if is_another { User::Another } else { User::Same });
    }
    Ok(next_nonce)
}

/// While this exists, the session does not count as abandoned by its client.
struct UnderWay<'s>(&'s Session);

impl UnderWay<'_> {
    fn begin(session: &Session) -> UnderWay<'_> {
        session.lock().activations += 1;
        UnderWay(session)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().activations -= 1;
    }
}

/// Logs why a login was refused; the client gets only the status.
fn tell_refused(caller: &Caller, session: &Session, refused: &LoginRefused) {
    let (id, peer, status) = (session.id, caller.peer, refused.status);
    let name = if refused.name.is_empty() { String::new() } else { format!(" of `{}`", refused.name) };
    let why = refused.why.map_or_else(String::new, |why| format!(": {why}"));
    let line = format_args!("session {id} from {peer}: login{name} refused with {status}{why}");
    logging::limited(log::Level::Warn, "login refused", Some(peer.ip()), line);
}

fn standing(caller: &Caller, session: &Session) -> Standing {
    Standing {
        is_secured: caller.security.mode != MessageSecurityMode::None,
        application_uri: session.client.application_uri.clone(),
        certificate: caller.security.peer.as_ref().map_or_else(Arc::default, |peer| peer.leaf().into()),
        near: caller.near,
    }
}

/// Keeps a twentieth of the sessions for users that log in: clients without a login cannot take the last ones.
fn check_anonymous_room(server: &Server, new: &Session) -> Result<(), StatusCode> {
    if server.users.accounts().users.is_empty() {
        return Ok(());
    }
    let most = server.world().limits.configured.max_sessions as usize;
    let is_anonymous = |session: &&Arc<Session>| {
        let state = session.lock();
        state.is_activated && state.identity.is_anonymous()
    };
    let taken = server.sessions.all().iter().filter(is_anonymous).count();
    if taken >= most - most.div_ceil(20).min(most / 2) {
        if let Some(alone) = server.sessions.take_alone_anonymous(new) {
            server.evict(&alone);
            return Ok(());
        }
        server.totals.rejected_sessions.fetch_add(1, Ordering::Relaxed);
        return Err(StatusCode::BadTooManySessions);
    }
    Ok(())
}

/// The nonce to be signed; refuses a channel that may not have the session.
fn check_binding(session: &Session, caller: &Caller) -> Result<Vec<u8>, StatusCode> {
    let state = session.lock();
    if state.is_closed {
        return Err(StatusCode::BadSessionIdInvalid);
    }
    if state.channel != caller.channel {
        let thumbprint = caller.security.peer.as_ref().map(|peer| peer.thumbprint);
        let is_secured = caller.security.mode != MessageSecurityMode::None;
        if !state.is_activated || thumbprint != session.client.thumbprint || is_secured != state.is_secured() {
            return Err(StatusCode::BadSecureChannelIdInvalid);
        }
    }
    Ok(state.server_nonce.0.clone())
}

impl Activation {
    fn proofs(&mut self, nonce: Vec<u8>, lane: Lane) -> LoginProofs {
        LoginProofs {
            token: std::mem::replace(&mut self.token, IdentityToken::Anonymous),
            token_signature: std::mem::take(&mut self.token_signature),
            signature: std::mem::take(&mut self.signature),
            nonce,
            lane,
        }
    }

    fn read(body: &[u8]) -> Result<Activation, StatusCode> {
        let reader = &mut Reader::new(body);
        reader.string()?;
        let signature = reader.bytes()?.unwrap_or_default().to_vec();
        for _ in 0..reader.count(8)? {
            reader.bytes()?;
            reader.bytes()?;
        }
        let count = reader.count(4)?;
        let mut locales = Vec::new();
        for _ in 0..count {
            let locale = reader.text()?;
            if locales.len() < 16 {
                locales.push(locale.chars().take(32).collect());
            }
        }
        let object = reader.extension_object()?;
        let token = IdentityToken::read(object.type_id, object.body)?;
        reader.string()?;
        let token_signature = reader.bytes()?.unwrap_or_default().to_vec();
        Ok(Activation { signature, locales, token, token_signature })
    }
}

pub(crate) fn close(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let delete_subscriptions = reader.bool()?;
    context.write_head(w);
    let entry = context.header.audit_entry.to_owned();
    context.server.end_session(context.session, delete_subscriptions, &Ending::Client(entry));
    Ok(())
}

/// Cancels the Publish requests of that handle and the requests for history that wait: each is answered by a fault
/// (Part 4 §5.7.5, 1.05).
pub(crate) fn cancel(context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let handle = reader.u32()?;
    let count = {
        let mut state = context.session.lock();
        let mut refused = context.refused.borrow_mut();
        state.publish.retain(|request| {
            let is_meant = request.handle == handle;
            if is_meant {
                refused.push(request.refused(StatusCode::BadRequestCancelledByClient));
            }
            !is_meant
        });
        refused.len() + state.cancel(handle)
    };
    context.write_head(w);
    w.u32(u32::try_from(count).unwrap_or(u32::MAX));
    context.server.audit_cancelled(context.session, context.header.audit_entry, handle);
    Ok(())
}
