//! All sessions of the server, by token, and the choice of the session that is evicted when there are too many.

use std::sync::Arc;

use hashbrown::HashMap;
use opcua::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Session, State, Token};
use crate::stack::channel::neighbourhood;
use crate::ua::limits::Limits;

#[derive(Debug, Default)]
pub struct Registry {
    sessions: Mutex<HashMap<Token, Arc<Session>>>,
}

impl Registry {
    pub fn get(&self, token: &Token) -> Option<Arc<Session>> {
        self.sessions.lock().get(token).cloned()
    }

    pub fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn all(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<_> = self.sessions.lock().values().cloned().collect();
        all.sort_by_key(|session| session.id);
        all
    }

    /// Adds a session if there is room, and returns the one that was evicted for it. The number of sessions that were
    /// never activated is limited for each address and for each certificate. When all places are taken, an abandoned
    /// session of the same client is evicted first, then the oldest session that was never activated, then the one that
    /// has been without a connection for the longest time. A session whose login is being checked is kept while there is
    /// another: otherwise the clients of a site that reconnects at once would evict each other.
    pub fn add(&self, session: Arc<Session>, limits: &Limits) -> Result<Option<Arc<Session>>, StatusCode> {
        let mut sessions = self.sessions.lock();
        let is_full = sessions.len() >= limits.configured.max_sessions as usize;
        let pending: Vec<_> = sessions.values().filter(|other| is_pending(other)).collect();
        let too_many = |is_like: &dyn Fn(&Session) -> bool| {
            pending.iter().filter(|other| is_like(other)).count() >= limits.pending_sessions
        };
        let from = neighbourhood(session.peer);
        let is_near = |other: &Session| neighbourhood(other.peer) == from;
        let certificate = session.client.thumbprint;
        let is_same = |other: &Session| certificate.is_some() && other.client.thumbprint == certificate;
        let must_go = if too_many(&is_same) {
            oldest(&pending, &is_same)
        } else if too_many(&is_near) {
            oldest(&pending, &is_near)
        } else if is_full {
            let place = alone(&sessions, &|other, _| is_of_one_client(other, &session))
                .or_else(|| oldest(&pending, &|_| true))
                .or_else(|| alone_of_most(&sessions, &|_| true))
                .or_else(|| busiest(&sessions));
            Some(place.ok_or(StatusCode::BadTooManySessions)?)
        } else {
            None
        };
        let evicted = must_go.and_then(|token| sessions.remove(&token));
        sessions.insert(session.token, session);
        Ok(evicted)
    }

    /// Takes out a session without a connection and without a login, for another one without a login: first an abandoned
    /// session of the same client, then the oldest of the client that abandoned most.
    pub fn take_alone_anonymous(&self, of: &Session) -> Option<Arc<Session>> {
        let mut sessions = self.sessions.lock();
        let is_anonymous = |state: &State| state.is_activated && state.identity.is_anonymous();
        let own = alone(&sessions, &|other, state| is_anonymous(state) && is_of_one_client(other, of));
        let token = own.or_else(|| alone_of_most(&sessions, &is_anonymous))?;
        sessions.remove(&token)
    }

    pub fn remove(&self, token: &Token) -> Option<Arc<Session>> {
        self.sessions.lock().remove(token)
    }

    /// Takes out the sessions that were silent for too long.
    pub fn take_overdue(&self, limits: &Limits, now: Instant) -> Vec<Arc<Session>> {
        let mut sessions = self.sessions.lock();
        let overdue: Vec<Token> = sessions
            .values()
            .filter(|session| session.lock().is_overdue(session.timeout, limits.activation_timeout, now))
            .map(|session| session.token)
            .collect();
        overdue.iter().filter_map(|token| sessions.remove(token)).collect()
    }
}

fn is_pending(session: &Session) -> bool {
    session.lock().is_pending()
}

fn oldest(pending: &[&Arc<Session>], is_like: &dyn Fn(&Session) -> bool) -> Option<Token> {
    let like = pending.iter().filter(|session| is_like(session));
    like.min_by_key(|session| session.lock().last_contact).map(|session| session.token)
}

/// Of the sessions whose login is looked at one of the address that has most of them.
fn busiest(sessions: &HashMap<Token, Arc<Session>>) -> Option<Token> {
    let mut of_address: HashMap<_, (usize, Token)> = HashMap::new();
    for session in sessions.values().filter(|session| !session.lock().is_activated) {
        of_address.entry(neighbourhood(session.peer)).or_insert((0, session.token)).0 += 1;
    }
    of_address.into_values().max_by_key(|(count, _)| *count).map(|(_, token)| token)
}

fn is_of_one_client(one: &Session, other: &Session) -> bool {
    one.client.application_uri == other.client.application_uri
        && one.client.thumbprint == other.client.thumbprint
        && neighbourhood(one.peer) == neighbourhood(other.peer)
}

/// Of the sessions that match, the session that has been without a connection for the longest time.
fn alone(sessions: &HashMap<Token, Arc<Session>>, is_like: &dyn Fn(&Session, &State) -> bool) -> Option<Token> {
    let since = |session: &&Arc<Session>| {
        let state = session.lock();
        state.alone_since.filter(|_| is_like(session, &state))
    };
    let found = sessions.values().filter_map(|session| Some((since(&session)?, session.token)));
    found.min_by_key(|(since, _)| *since).map(|(_, token)| token)
}

/// The same of the client, by user, application and address, that has most of them.
fn alone_of_most(sessions: &HashMap<Token, Arc<Session>>, is_like: &dyn Fn(&State) -> bool) -> Option<Token> {
    let mut of_client: HashMap<_, (usize, Instant, Token)> = HashMap::new();
    for session in sessions.values() {
        let state = session.lock();
        let Some(since) = state.alone_since.filter(|_| is_like(&state)) else { continue };
        let client = (state.identity.name().to_owned(), &session.client.application_uri, neighbourhood(session.peer));
        let (count, oldest, token) = of_client.entry(client).or_insert((0, since, session.token));
        *count += 1;
        if since < *oldest {
            (*oldest, *token) = (since, session.token);
        }
    }
    let of_most = of_client.into_values().max_by_key(|(count, since, _)| (*count, std::cmp::Reverse(*since)));
    of_most.map(|(_, _, token)| token)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model;
    use crate::stack::crypto::{MessageSecurityMode, Policy};
    use crate::ua::budget::Budget;
    use crate::ua::session::{ClientDescription, NewSession, SessionSecurity};
    use crate::value::{Hidden, Moment};

    fn session(number: u8, peer: &str, certificate: Option<u8>) -> Arc<Session> {
        let client =
            ClientDescription { thumbprint: certificate.map(|byte| [byte; 20]), ..ClientDescription::default() };
        let new = NewSession {
            id: u32::from(number),
            token: Hidden([number; 32]),
            name: String::new(),
            client,
            timeout: Duration::from_secs(60),
            max_response: 0,
            peer: peer.parse().expect("an address"),
            channel: u32::from(number),
            security: SessionSecurity { mode: MessageSecurityMode::None, policy: Policy::None },
            server_nonce: Hidden::default(),
            continuation_points: 1,
            history_points: 1,
            memory: Budget::new(1),
        };
        Arc::new(Session::new(new, Moment::now()))
    }

    #[test]
    fn a_session_whose_login_is_checked_is_not_evicted() {
        let mut limits = Limits::new(model::Limits::default());
        limits.pending_sessions = 2;
        let registry = Registry::default();
        let first = session(1, "10.0.0.1", None);
        first.lock().activations = 1;
        registry.add(Arc::clone(&first), &limits).expect("there is room");
        let add = |number| {
            let added = registry.add(session(number, "10.0.0.1", None), &limits).expect("there is room");
            added.map(|old| old.id)
        };
        assert_eq!([add(2), add(3), add(4)], [None, None, Some(2)]);
        let late = Instant::now() + limits.activation_timeout + Duration::from_secs(1);
        let overdue = |registry: &Registry| registry.take_overdue(&limits, late).iter().map(|old| old.id).max();
        assert_eq!((overdue(&registry), registry.len()), (Some(4), 1));
        first.lock().activations = 0;
        assert_eq!(overdue(&registry), Some(1), "its login was refused");
    }

    #[test]
    fn the_session_without_a_connection_for_the_longest_time_is_evicted() {
        let mut limits = Limits::new(model::Limits::default());
        limits.configured.max_sessions = 6;
        let registry = Registry::default();
        let start = Instant::now();
        // Number, address, seconds since it lost its connection; 0: it has one.
        for (number, peer, seconds) in
            [(1, "10.0.0.1", 0), (2, "10.0.0.2", 50), (3, "10.0.0.3", 9), (4, "10.0.0.3", 8), (5, "10.0.0.4", 7)]
        {
            let session = session(number, peer, None);
            session.lock().is_activated = true;
            session.lock().alone_since = (seconds > 0).then(|| start - Duration::from_secs(seconds));
            registry.add(session, &limits).expect("there is room");
        }
        let add = |number: u8, peer: &str| {
            let new = session(number, peer, None);
            let gone = registry.add(Arc::clone(&new), &limits).expect("there is room").map(|old| old.id);
            new.lock().is_activated = true;
            gone
        };
        // The last place; then an abandoned session of the same client; then of the client that left most, the oldest; then
        // the oldest.
        let gone =
            [add(6, "10.0.0.9"), add(7, "10.0.0.4"), add(8, "10.0.0.9"), add(9, "10.0.0.9"), add(10, "10.0.0.9")];
        assert_eq!(gone, [None, Some(5), Some(3), Some(2), Some(4)]);
        let full = registry.add(session(11, "10.0.0.9", None), &limits);
        assert_eq!(full.map(|_| ()), Err(StatusCode::BadTooManySessions), "no session in use is evicted");
    }

    #[test]
    fn a_client_that_fills_the_server_with_logins_loses_one_to_another_client() {
        let mut limits = Limits::new(model::Limits::default());
        limits.configured.max_sessions = 4;
        let registry = Registry::default();
        for (number, peer) in [(1, "10.0.0.1"), (2, "10.0.0.2"), (3, "10.0.0.2"), (4, "10.0.0.3")] {
            let new = session(number, peer, None);
            new.lock().activations = 1;
            new.lock().is_activated = number == 4;
            registry.add(new, &limits).expect("there is room");
        }
        let out = registry.add(session(5, "10.0.0.9", None), &limits).expect("one is evicted");
        assert!(matches!(out.map(|old| old.id), Some(2 | 3)));
    }

    #[test]
    fn one_address_and_one_certificate_have_only_so_many_sessions_that_wait_to_be_activated() {
        let mut limits = Limits::new(model::Limits::default());
        limits.pending_sessions = 2;
        let registry = Registry::default();
        let add = |number, peer: &str, certificate| {
            let added = registry.add(session(number, peer, certificate), &limits).expect("there is room");
            added.map(|old| old.id)
        };
        for (number, peer, certificate, out) in [
            (1, "10.0.0.1", Some(1), None),
            (2, "10.0.0.2", Some(1), None),
            (3, "10.0.0.3", Some(1), Some(1)), // the certificate's third, from a third address
            (4, "10.0.0.9", None, None),
            (5, "10.0.0.9", None, None),
            (6, "10.0.0.9", None, Some(4)),
            (7, "10.0.0.9", Some(2), Some(5)), // a certificate makes no other host of it
            (8, "2001:db8::1", None, None),
            (9, "2001:db8::2", None, None),
            (10, "2001:db8::3", None, Some(8)), // three addresses of one network
            (11, "2001:db8:0:1::3", None, None),
        ] {
            assert_eq!(add(number, peer, certificate), out, "session {number}");
        }
    }
}
