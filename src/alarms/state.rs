//! The state of a condition as clients see it, and how it is kept over a restart.

use std::sync::Arc;

use opcua::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::level::Levels;
use crate::value::UaTime;

/// EventId.
pub(crate) type EventId = [u8; 16];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelving {
    Unshelved,
    /// Until it returns to normal, and at most until then.
    OneShot {
        until: Instant,
    },
    Timed {
        until: Instant,
    },
}

impl Shelving {
    pub(crate) fn until(self) -> Option<Instant> {
        match self {
            Shelving::Unshelved => None,
            Shelving::OneShot { until } | Shelving::Timed { until } => Some(until),
        }
    }
}

/// The present comment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Comment {
    pub locale: Arc<str>,
    pub text: Arc<str>,
    pub time: UaTime,
}

/// Everything that an event of a condition reports.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub enabled: bool,
    pub levels: Levels,
    pub acked: bool,
    pub confirmed: bool,
    pub latched: bool,
    /// Suppressed by the plant, not by an operator.
    pub suppressed: bool,
    pub shelving: Shelving,
    pub quality: StatusCode,
    pub quality_time: UaTime,
    pub severity: u16,
    pub last_severity: u16,
    pub last_severity_time: UaTime,
    pub message: Arc<str>,
    pub comment: Comment,
    pub client_user: Arc<str>,
    pub event_id: EventId,
    /// Of the last event.
    pub time: UaTime,
    pub receive_time: UaTime,
    /// Of the last change of ActiveState.
    pub active_time: UaTime,
}

impl State {
    pub(crate) fn is_active(&self) -> bool {
        !self.levels.is_empty()
    }

    pub(crate) fn is_shelved(&self) -> bool {
        self.shelving != Shelving::Unshelved
    }

    /// Whether a client should see the condition in its list (Part 9 §5.5.2, 1.05).
    pub(crate) fn is_retained(&self) -> bool {
        self.enabled && (self.is_active() || !self.acked || !self.confirmed || self.latched)
    }
}

/// An event of the present activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub id: EventId,
    /// It asked for an acknowledgement that still counts: an operator who saw it has seen what there is to acknowledge.
    pub asks: bool,
}

/// The state of a condition in the state folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub enabled: bool,
    /// Levels as bits: 1 LowLow, 2 Low, 4 High, 8 HighHigh, 16 the whole condition, 32 the loss of its input.
    pub levels: u8,
    pub acked: bool,
    pub confirmed: bool,
    pub latched: bool,
    pub suppressed: bool,
    /// `one-shot` or `timed`.
    pub shelving: Option<String>,
    /// Ticks of 100 ns since 1601.
    pub shelved_until: i64,
    pub severity: u16,
    pub last_severity: u16,
    pub last_severity_time: i64,
    pub message: String,
    pub comment: String,
    pub comment_locale: String,
    pub comment_time: i64,
    pub client_user: String,
    pub event_id: String,
    pub time: i64,
    pub receive_time: i64,
    pub active_time: i64,
    /// EventIds of the activation; those that can be acknowledged begin with `+`.
    pub shown: Vec<String>,
}

pub(super) fn to_hex(id: &EventId) -> String {
    id.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

pub(super) fn from_hex(text: &str) -> Option<EventId> {
    let bytes = crate::value::from_hex(text)?;
    bytes.as_slice().try_into().ok()
}
