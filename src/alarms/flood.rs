//! The rate limit of one condition's events: a contact that chatters must not fill the queues of all clients.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Events in `WINDOW` that make a flood.
const MOST: usize = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// In a flood the newest state is sent this often.
const PACE: Duration = Duration::from_secs(1);

/// The fate of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Sent,
    /// It is sent, and is the last one for now.
    Begins,
    /// A newer state will be sent.
    Held,
}

#[derive(Debug, Default)]
pub(super) struct Flood {
    recent: VecDeque<Instant>,
    present: Option<Present>,
}

#[derive(Debug)]
struct Present {
    last: Instant,
    sent: Instant,
    /// A state that was not sent.
    is_held: bool,
}

impl Flood {
    /// Notes an event; whether it goes out now.
    pub(super) fn note(&mut self, now: Instant) -> Flow {
        if let Some(present) = &mut self.present {
            present.last = now;
            present.is_held = true;
            return Flow::Held;
        }
        if self.recent.len() == MOST {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let is_flood = self.recent.len() == MOST && self.recent.front().is_some_and(|first| now < *first + WINDOW);
        if !is_flood {
            return Flow::Sent;
        }
        self.present = Some(Present { last: now, sent: now, is_held: false });
        Flow::Begins
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let present = self.present.as_ref()?;
        let quiet = present.last + WINDOW;
        Some(if present.is_held { quiet.min(present.sent + PACE) } else { quiet })
    }

    /// Whether the newest state goes out now. The flood ends when it was quiet for long enough.
    pub(super) fn pass(&mut self, now: Instant) -> bool {
        let Some(present) = &mut self.present else { return false };
        let is_sent = present.is_held && present.sent + PACE <= now;
        if is_sent {
            (present.sent, present.is_held) = (now, false);
        }
        if present.last + WINDOW <= now {
            self.present = None;
            self.recent.clear();
        }
        is_sent
    }
}
