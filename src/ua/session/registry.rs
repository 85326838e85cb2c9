//! All sessions of the server, by token; who must give way when there are too many.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use opcua::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Session, Token};
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

    /// Adds a session if there is room. A session that was never activated makes room, the oldest first; one
    /// address has only so many of them. Returns the session that had to go.
    pub fn add(&self, session: Arc<Session>, limits: &Limits) -> Result<Option<Arc<Session>>, StatusCode> {
        let mut sessions = self.sessions.lock();
        let pending = sessions.values().filter(|other| is_pending(other) && other.peer == session.peer).count();
        let is_full = sessions.len() >= limits.configured.max_sessions as usize;
        let mut evicted = None;
        if is_full || pending >= limits.pending_sessions {
            let only = (!is_full).then_some(session.peer);
            let Some(token) = oldest_pending(&sessions, only) else { return Err(StatusCode::BadTooManySessions) };
            evicted = sessions.remove(&token);
        }
        sessions.insert(session.token, session);
        Ok(evicted)
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
    !session.lock().is_activated
}

fn oldest_pending(sessions: &HashMap<Token, Arc<Session>>, peer: Option<IpAddr>) -> Option<Token> {
    let of_peer = |session: &&Arc<Session>| peer.is_none_or(|peer| session.peer == peer);
    let pending = sessions.values().filter(|session| is_pending(session)).filter(of_peer);
    pending.min_by_key(|session| session.lock().last_contact).map(|session| session.token)
}
