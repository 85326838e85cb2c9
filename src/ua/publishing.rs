//! The timer's task: it ticks every subscription at its publishing interval and wakes the session when a message waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;

use crate::ua::diagnostics;
use crate::ua::server::Server;
use crate::ua::space::Live;
use crate::ua::subscription::{LastStatusChange, Subscription, Tick};
use crate::value::{Moment, Sample};

/// Without a subscription the timer only waits for the first one.
const IDLE: Duration = Duration::from_hours(1);

/// Ends when it is dropped.
pub async fn run(server: Arc<Server>) {
    loop {
        let next = server.timer.next().unwrap_or_else(|| Moment::now().mono + IDLE);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = server.timer.sooner() => continue,
        }
        let now = Moment::now();
        while let Some(subscription) = server.timer.pop_due(now.mono) {
            let Some(subscription) = subscription.upgrade() else { continue };
            if subscription.is_heavy() {
                // In its own thread: no other cycle waits for it. It is scheduled again when it has ended.
                let server = Arc::clone(&server);
                drop(tokio::task::spawn_blocking(move || tick(&server, &subscription, now)));
            } else {
                tick(&server, &subscription, now);
            }
        }
    }
}

/// One cycle of one subscription, and what follows from it for its session.
pub(crate) fn tick(server: &Arc<Server>, subscription: &Arc<Subscription>, now: Moment) {
    let mut live = Vec::new();
    subscription.due_live(now.mono, &mut live);
    // Many items may look at the same variable: it is made once.
    let mut made: HashMap<Live, Sample> = HashMap::new();
    for (key, live) in live {
        let sample = made.entry(live).or_insert_with(|| diagnostics::live_sample(server, live, now)).clone();
        subscription.lock().accept(key, sample, now);
    }
    let owner = {
        let state = subscription.lock();
        if state.is_closed() {
            return;
        }
        state.owner.upgrade()
    };
    let asked = owner.as_ref().is_some_and(|owner| owner.has_publish_requests());
    match subscription.tick(now, asked) {
        Tick::Idle => {}
        Tick::Ready => {
            if let Some(owner) = &owner {
                owner.wake();
            }
        }
        Tick::Expired => {
            log::debug!("subscription {} ends: no client asked for its messages in its lifetime", subscription.id);
            if let Some(owner) = &owner {
                let sequence = subscription.lock().next_sequence();
                // The client gets it with its next Publish (Part 4 §5.14.1.1, 1.05: Bad_Timeout).
                let last = LastStatusChange { subscription: subscription.id, sequence, status: StatusCode::BadTimeout };
                owner.lose(subscription.id, Some(last), &server.world().limits);
            }
            server.remove_subscription(subscription);
            return;
        }
    }
    server.timer.schedule(subscription);
}
