//! The end of a session, one way for all reasons.

use std::sync::Arc;

use super::server::Server;
use super::session::{Ending, Session};

impl Server {
    /// Ends a session: its subscriptions end too, or wait for a transfer until their lifetime is over.
    pub fn end_session(&self, session: &Arc<Session>, delete_subscriptions: bool, why: &Ending) {
        self.sessions.remove(&session.token);
        let (was_open, subscriptions) = {
            let mut state = session.lock();
            let was_open = !std::mem::replace(&mut state.is_closed, true);
            state.publish.clear();
            if let Some(wake) = state.wake.take() {
                wake.notify_one();
            }
            (was_open, std::mem::take(&mut state.subscriptions))
        };
        for subscription in subscriptions {
            if delete_subscriptions {
                self.remove_subscription(&subscription);
            }
        }
        if was_open {
            self.audit_ended(session, why);
        }
    }

    /// Ends a session that gives its place to another. The subscriptions of one that was in use wait for a transfer.
    pub fn evict(&self, session: &Arc<Session>) {
        let was_used = session.lock().is_activated;
        self.end_session(session, !was_used, if was_used { &Ending::Alone } else { &Ending::Evicted });
    }
}
