//! Requests under way: what each was for, and until when an answer is awaited.

use std::collections::HashMap;
use std::time::Instant;

use super::resolve::Ask;

/// Purpose of a request.
#[derive(Debug)]
pub(super) enum Purpose {
    /// A caller waits for the response itself.
    Asked,
    /// `generation`: of the subscriptions that were there.
    Publish {
        generation: u32,
    },
    Republish {
        subscription: u32,
        sequence: u32,
    },
    /// To see that the server is alive.
    Alive,
    /// Namespaces, limits and start of the server.
    Facts,
    /// Places of the subscriptions.
    Transfer(Vec<usize>),
    Translate(Vec<Ask>),
    /// The place of the subscription.
    Subscription(usize),
    /// Handles of the items.
    Items(Vec<u32>),
    DeleteItems(usize),
    DeleteSubscriptions(usize),
    /// Handles of the items that are read.
    Values(Vec<u32>),
}

impl Purpose {
    /// Requests of the setup are sent one after the other.
    fn is_setup(&self) -> bool {
        !matches!(self, Purpose::Asked | Purpose::Publish { .. } | Purpose::Republish { .. } | Purpose::Alive)
    }
}

#[derive(Debug)]
pub(super) struct Pending {
    pub purpose: Purpose,
    /// `None`: it is answered when there is something to say.
    pub until: Option<Instant>,
}

/// All requests under way on one channel.
#[derive(Debug, Default)]
pub(super) struct Requests {
    all: HashMap<u32, Pending>,
    /// Of Publish.
    pub publishes: usize,
}

impl Requests {
    pub(super) fn sent(&mut self, id: u32, pending: Pending) {
        self.publishes += usize::from(matches!(pending.purpose, Purpose::Publish { .. }));
        self.all.insert(id, pending);
    }

    /// `None` for a response that nobody waits for.
    pub(super) fn answered(&mut self, id: u32) -> Option<Purpose> {
        let purpose = self.all.remove(&id)?.purpose;
        self.publishes -= usize::from(matches!(purpose, Purpose::Publish { .. }));
        Some(purpose)
    }

    pub(super) fn is_setting_up(&self) -> bool {
        self.all.values().any(|pending| pending.purpose.is_setup())
    }

    /// An answer is awaited that comes at once from a server that is alive.
    pub(super) fn has_question(&self) -> bool {
        self.all.len() > self.publishes
    }

    /// When the first answer is overdue.
    pub(super) fn first_end(&self) -> Option<Instant> {
        self.all.values().filter_map(|pending| pending.until).min()
    }
}
