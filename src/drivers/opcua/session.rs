//! A session and its monitored items, which outlive the connection that they were made on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::StatusCode;

use super::publish::Acknowledgement;
use super::resolve::Resolver;
use super::subscription::Subscription;
use crate::drivers::contract::LinkError;
use crate::stack::codec::DataValue;
use crate::value::{Hidden, UaTime, Value};

/// Operations in one request, where the server names no limit or a larger one.
const MOST_OPERATIONS: usize = 1_000;

/// Operations that the server takes in one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub read: usize,
    pub translate: usize,
    pub items: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { read: MOST_OPERATIONS, translate: MOST_OPERATIONS, items: MOST_OPERATIONS }
    }
}

impl Limits {
    /// The server's own limit; 0 is none (Part 5 §6.3.11, 1.05).
    pub(super) fn of(value: &DataValue) -> usize {
        let number = value.value.as_ref().and_then(Value::as_integer).and_then(|number| usize::try_from(number).ok());
        number.filter(|number| *number > 0).map_or(MOST_OPERATIONS, |number| number.min(MOST_OPERATIONS))
    }
}

/// Whether an answer means that a smaller request may do.
pub(super) fn is_too_much(code: StatusCode) -> bool {
    matches!(
        code,
        StatusCode::BadTooManyOperations
            | StatusCode::BadRequestTooLarge
            | StatusCode::BadResponseTooLarge
            | StatusCode::BadEncodingLimitsExceeded
            | StatusCode::BadTcpMessageTooLarge
    )
}

/// Whether an answer means that the server has no such session any more.
pub(super) fn is_session_gone(code: StatusCode) -> bool {
    matches!(
        code,
        StatusCode::BadSessionIdInvalid
            | StatusCode::BadSessionClosed
            | StatusCode::BadSessionNotActivated
            | StatusCode::BadIdentityChangeNotSupported
            | StatusCode::BadSecureChannelIdInvalid
            | StatusCode::BadSecureChannelClosed
    )
}

/// The last sample of an item that was fed.
#[derive(Debug, Clone)]
pub(super) struct Last {
    time: Option<UaTime>,
    status: StatusCode,
    value: Value,
}

impl Last {
    pub(super) fn of(read: &DataValue) -> Last {
        Last {
            time: read.source_time,
            status: read.status.unwrap_or(StatusCode::Good),
            value: read.value.clone().unwrap_or_default(),
        }
    }

    /// The node was deleted. Should it come back, most servers do not monitor it again.
    pub(super) fn has_no_node(&self) -> bool {
        self.status == StatusCode::BadNodeIdUnknown
    }

    pub(super) fn is(&self, read: &DataValue) -> bool {
        self.time == read.source_time
            && self.status == read.status.unwrap_or(StatusCode::Good)
            && self.value.same_bits(read.value.as_ref().unwrap_or(&Value::Null))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemState {
    New,
    /// A request is under way.
    Asked,
    /// The server's id.
    Live(u32),
    /// The same; it is to be deleted and made again.
    Stale(u32),
    Refused,
    Gone,
}

/// A monitored item.
#[derive(Debug)]
pub(super) struct Item {
    /// `None`: no point wants it any longer.
    pub point: Option<u32>,
    /// The encoded NodeId that it monitors.
    pub node: Arc<[u8]>,
    /// Place of its subscription.
    pub subscription: usize,
    pub state: ItemState,
    pub last: Option<Last>,
    /// The epoch in which something was fed last.
    pub fed: u32,
    /// A value that was read, and may be told by a notification yet.
    pub held: Option<Held>,
}

impl Item {
    /// Nothing wants it any longer.
    pub(super) fn leave(&mut self) {
        (self.point, self.held) = (None, None);
        if matches!(self.state, ItemState::New | ItemState::Refused) {
            self.state = ItemState::Gone;
        }
    }

    /// The server's id, if the server has it.
    pub(super) fn id(&self) -> Option<u32> {
        match self.state {
            ItemState::Live(id) | ItemState::Stale(id) => Some(id),
            _ => None,
        }
    }
}

/// A value that differs from the last one: unless a notification brings it within some messages, it is fed.
#[derive(Debug)]
pub(super) struct Held {
    pub value: DataValue,
    pub messages: u8,
}

/// How far the facts about the server are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Facts {
    Unknown,
    Known,
}

pub(super) struct Session {
    pub token: Hidden<Vec<u8>>,
    pub nonce: Hidden<Vec<u8>>,
    pub timeout: Duration,
    pub limits: Limits,
    pub facts: Facts,
    /// When the server started.
    pub started: Option<UaTime>,
    pub resolver: Resolver,
    pub subscriptions: Vec<Subscription>,
    /// Counts the times at which subscriptions were lost.
    pub generation: u32,
    pub items: Vec<Item>,
    /// Handle of the first item: handles of other clients are other numbers.
    pub first_handle: u32,
    pub received: Vec<Acknowledgement>,
    /// The subscriptions were those of an earlier session.
    pub is_heir: bool,
    /// Subscriptions that nobody wants any longer.
    pub useless: Vec<u32>,
    /// Counts connections: what was fed before one may have become Uncertain meanwhile.
    pub epoch: u32,
    /// Publish requests that the server keeps.
    pub publishes: usize,
}

impl Session {
    pub(super) fn new(token: Hidden<Vec<u8>>, nonce: Hidden<Vec<u8>>, timeout: Duration) -> Session {
        Session {
            token,
            nonce,
            timeout,
            limits: Limits::default(),
            facts: Facts::Unknown,
            started: None,
            resolver: Resolver::new(Vec::new()),
            subscriptions: Vec::new(),
            generation: 0,
            items: Vec::new(),
            first_handle: fastrand::u32(..),
            received: Vec::new(),
            is_heir: false,
            useless: Vec::new(),
            epoch: 0,
            publishes: usize::MAX,
        }
    }

    /// Takes over the subscriptions of a session that the server no longer has.
    pub(super) fn inherit(&mut self, old: Session) {
        self.is_heir = old.subscriptions.iter().any(|one| one.made.is_some());
        self.started = old.started;
        self.subscriptions = old.subscriptions;
        self.generation = old.generation;
        self.items = old.items;
        self.first_handle = old.first_handle;
        self.epoch = old.epoch;
    }

    /// A connection was opened for the session.
    pub(super) fn resume(&mut self, now: Instant) {
        self.epoch = self.epoch.wrapping_add(1);
        self.facts = Facts::Unknown;
        self.subscriptions.iter_mut().for_each(|one| one.resume(now));
        // The answer to a request went with the old connection: the server may have made the items or not.
        let asked = self.items.iter().filter(|item| item.state == ItemState::Asked).map(|item| item.subscription);
        let unsure: Vec<usize> = asked.collect();
        for place in unsure {
            if let Some(made) = self.subscriptions[place].made {
                self.useless.push(made.id);
                self.forget(place);
            }
        }
        for item in &mut self.items {
            item.held = None;
            if matches!(item.state, ItemState::Asked | ItemState::Refused) {
                item.state = if item.point.is_some() { ItemState::New } else { ItemState::Gone };
            }
        }
    }

    /// The server has a subscription no longer: its items are made again.
    pub(super) fn forget(&mut self, place: usize) {
        self.generation = self.generation.wrapping_add(1);
        self.subscriptions[place].forget();
        for item in self.items.iter_mut().filter(|item| item.subscription == place) {
            item.state = if item.point.is_some() { ItemState::New } else { ItemState::Gone };
        }
    }

    pub(super) fn forget_all(&mut self) {
        (0..self.subscriptions.len()).for_each(|place| self.forget(place));
    }

    pub(super) fn place_of(&self, id: u32) -> Option<usize> {
        self.subscriptions.iter().position(|one| one.made.is_some_and(|made| made.id == id))
    }

    pub(super) fn place_of_handle(&self, handle: u32) -> Option<usize> {
        let at = handle.wrapping_sub(self.first_handle) as usize;
        (at < self.items.len()).then_some(at)
    }

    pub(super) fn handle(&self, place: u32) -> u32 {
        self.first_handle.wrapping_add(place)
    }
}

/// The link is of no use: the server does something that no server may.
pub(super) fn garbage(what: &str, code: StatusCode) -> LinkError {
    LinkError::Garbage { text: format!("the server's answer to {what} cannot be used ({code})"), usable: false }
}
