//! Raw samples: values as devices give them, before scale and type.
//!
//! A protocol that carries a status or a time of its own passes both on here; a polled register carries neither, and
//! gets Good and the time of its reply.

use std::sync::Arc;

use opcua::StatusCode;
use tokio::time::Instant;

use crate::value::{Moment, UaTime, Value};

/// The moment of a batch: its source time, the server's time and the same on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    pub source: UaTime,
    pub server: UaTime,
    pub now: Instant,
}

impl Stamp {
    /// This moment, for a device that gives no time of its own.
    pub fn now() -> Stamp {
        let time = UaTime::now();
        Stamp { source: time, server: time, now: Instant::now() }
    }

    pub(super) fn moment(self) -> Moment {
        Moment { mono: self.now, wall: self.server }
    }
}

/// A device's clock that is ahead of the server by more than this, in ticks of 100 ns, is not believed (1 h).
const MOST_AHEAD: i64 = 36_000_000_000;

/// A value as the device gave it, with its status; or a Bad status without a value.
#[derive(Debug, Clone, PartialEq)]
pub struct RawSample {
    content: Content,
    status: StatusCode,
    /// Power of ten from the point's `exponent` register.
    exponent: Option<i8>,
    /// The device's own time of the value.
    source_time: Option<UaTime>,
    /// A value that the device kept while nobody heard it: for the history alone.
    is_past: bool,
}

/// A value, or what is known about its absence. It takes no more room than a value.
#[derive(Debug, Clone, PartialEq)]
enum Content {
    Value(Value),
    /// The status is Bad; the sentence says why.
    Absent(Option<Arc<str>>),
}

impl From<Result<Value, StatusCode>> for RawSample {
    /// A Good value, or the code that says why there is none.
    fn from(value: Result<Value, StatusCode>) -> RawSample {
        let (content, status) = match value {
            Ok(value) => (Content::Value(value), StatusCode::Good),
            Err(code) => (Content::Absent(None), code),
        };
        RawSample { content, status, exponent: None, source_time: None, is_past: false }
    }
}

impl RawSample {
    /// A value with the status that the device gives it. A Bad status drops the value (Part 4 §7.11.1, 1.05).
    pub fn new(value: Value, status: StatusCode) -> RawSample {
        let content = if status.is_bad() { Content::Absent(None) } else { Content::Value(value) };
        RawSample { content, status, exponent: None, source_time: None, is_past: false }
    }

    /// The sample with the reason why it is Bad: the device's answer in words, as one sentence without a full stop that names
    /// the address. A sample that is not Bad has no reason.
    #[must_use]
    pub fn because(self, why: &str) -> RawSample {
        match self.content {
            Content::Value(_) => self,
            Content::Absent(_) => RawSample { content: Content::Absent(Some(why.into())), ..self },
        }
    }

    /// The sample with the device's own time of it.
    #[must_use]
    pub fn at(self, source_time: UaTime) -> RawSample {
        RawSample { source_time: Some(source_time), ..self }
    }

    /// The sample as one of the past, at the device's time: the history takes it, and the live tag does not change.
    #[must_use]
    pub fn of_the_past(self, source_time: UaTime) -> RawSample {
        RawSample { source_time: Some(source_time), is_past: true, ..self }
    }

    /// The sample with the power of ten that the device scales it by.
    #[must_use]
    pub fn scaled(self, exponent: Option<i8>) -> RawSample {
        RawSample { exponent, ..self }
    }

    /// The value, or the Bad status.
    pub fn value(&self) -> Result<&Value, StatusCode> {
        match &self.content {
            Content::Value(value) => Ok(value),
            Content::Absent(_) => Err(self.status),
        }
    }

    /// Why the sample is Bad, if its driver says it.
    pub(crate) fn reason(&self) -> Option<&Arc<str>> {
        match &self.content {
            Content::Value(_) => None,
            Content::Absent(why) => why.as_ref(),
        }
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Adds info bits to the status; the severity remains.
    pub fn add_info_bits(&mut self, bits: u32) {
        self.status = StatusCode::from(self.status.bits() | bits & 0xffff);
    }

    pub fn exponent(&self) -> Option<i8> {
        self.exponent
    }

    pub fn source_time(&self) -> Option<UaTime> {
        self.source_time
    }

    /// Whether it is a value of the past.
    pub(crate) fn is_past(&self) -> bool {
        self.is_past
    }

    /// Whether the device's time is too far ahead to be believed.
    pub(super) fn is_ahead(&self, server: UaTime) -> bool {
        self.source_time.is_some_and(|time| time.0.saturating_sub(server.0) > MOST_AHEAD)
    }
}
