//! Once a second: sessions that were silent for too long end, and Publish requests whose time is over are refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::ua::server::Server;

pub async fn run(server: Arc<Server>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let now = Instant::now();
        for session in server.sessions.take_overdue(&server.limits, now) {
            log::info!("session {} `{}` of {} ends: silent for too long", session.id, session.name, session.peer);
            server.totals.session_timeouts.fetch_add(1, Ordering::Relaxed);
            // Its subscriptions wait for a transfer until their lifetime is over.
            server.close_session(&session, false);
        }
        for session in server.sessions.all() {
            let is_overdue = {
                let state = session.lock();
                state.publish.iter().any(|request| request.expires.is_some_and(|expires| expires <= now))
            };
            if is_overdue {
                session.wake();
            }
        }
    }
}
