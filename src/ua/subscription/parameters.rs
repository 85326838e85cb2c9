//! Parameters, counters and owner of a subscription.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Owner;
use crate::model::{Accounts, Roles};
use crate::ua::budget::Budget;
use crate::ua::identity::{Identity, Standing};

/// Parameters of a subscription that a client may change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    pub publishing_interval: Duration,
    pub lifetime_count: u32,
    pub keep_alive_count: u32,
    /// 0: no limit.
    pub max_notifications: u32,
    pub priority: u8,
}

/// For SubscriptionDiagnosticsDataType (Part 5 §12.15, 1.05).
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    pub modify: u32,
    pub enable: u32,
    pub disable: u32,
    pub republish_request: u32,
    pub republish_message_request: u32,
    pub republish_message: u32,
    pub transfer_request: u32,
    pub transferred_to_alt_client: u32,
    pub transferred_to_same_client: u32,
    pub publish_request: u32,
    pub data_change: u32,
    pub event: u32,
    pub late_publish: u32,
    pub discarded_message: u32,
    pub queue_overflow: u32,
}

/// The client that a subscription belongs to, beyond the life of its session.
#[derive(Debug, Clone)]
pub struct Client {
    pub identity: Identity,
    pub application_uri: String,
    pub is_secured: bool,
    pub is_encrypted: bool,
    pub roles: Roles,
    pub standing: Standing,
}

impl Client {
    /// Takes the roles that follow from other accounts: none when the user may no longer log in as before.
    pub fn take_accounts(&mut self, old: &Accounts, new: &Accounts) {
        self.roles = match self.identity.is_kept(old, new) {
            true => self.standing.roles(&self.identity, new),
            false => Roles::NONE,
        };
    }
}

/// Properties of a new subscription.
#[derive(Debug)]
pub struct NewSubscription {
    pub id: u32,
    pub parameters: Parameters,
    pub publishing_enabled: bool,
    pub owner: Weak<dyn Owner>,
    pub client: Client,
    /// Messages and triggering links are booked here.
    pub memory: Arc<Budget>,
    /// Messages that are kept for Republish, at most.
    pub retransmission_queue: usize,
}
