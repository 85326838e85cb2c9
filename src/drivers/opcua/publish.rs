//! Publish and Republish (Part 4 §5.14.5 and §5.14.6, 1.05): the messages in which values come.

use opcua::StatusCode;

use super::attributes::read_value;
use super::message::{Fault, Head, PUBLISH, REPUBLISH, Response};
use crate::stack::codec::{DataValue, Decode, NodeIdRef, Reader, Writer};

/// Encodings of the notifications.
const DATA_CHANGE: u32 = 811;
const STATUS_CHANGE: u32 = 820;
/// Kinds of notifications in one message: there are three, so more than a few are no server's.
const MOST_PARTS: usize = 1_000;

/// A message of a subscription that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acknowledgement {
    pub subscription: u32,
    pub sequence: u32,
}

pub(super) fn write_publish(out: &mut Writer, head: Head<'_>, received: &[Acknowledgement]) {
    head.write(PUBLISH, out);
    out.count(received.len());
    for one in received {
        out.u32(one.subscription);
        out.u32(one.sequence);
    }
}

pub(super) fn write_republish(out: &mut Writer, head: Head<'_>, message: Acknowledgement) {
    head.write(REPUBLISH, out);
    out.u32(message.subscription);
    out.u32(message.sequence);
}

/// The body of a Publish response, its notifications unread.
#[derive(Debug)]
pub(super) struct Published<'a> {
    pub subscription: u32,
    pub has_more: bool,
    pub message: Message<'a>,
}

/// A NotificationMessage; the number of one without notifications is that of the next one with some.
#[derive(Debug, Clone)]
pub(super) struct Message<'a> {
    pub sequence: u32,
    pub is_keep_alive: bool,
    /// The notifications, as they lie there.
    pub bytes: &'a [u8],
}

pub(super) fn read_published(body: &[u8]) -> Result<Published<'_>, Fault> {
    let mut reader = Response::read(body)?.body(PUBLISH)?;
    let subscription = reader.u32()?;
    for _ in 0..reader.count(4)? {
        reader.u32()?;
    }
    let has_more = reader.bool()?;
    Ok(Published { subscription, has_more, message: read_message(&mut reader)? })
}

pub(super) fn read_republished(body: &[u8]) -> Result<Message<'_>, Fault> {
    Ok(read_message(&mut Response::read(body)?.body(REPUBLISH)?)?)
}

fn read_message<'a>(reader: &mut Reader<'a>) -> Decode<Message<'a>> {
    let sequence = reader.u32()?;
    reader.time()?;
    let start = reader.position();
    let count = reader.count(3)?;
    if count > MOST_PARTS {
        return Err(StatusCode::BadEncodingLimitsExceeded);
    }
    for _ in 0..count {
        reader.extension_object()?;
    }
    Ok(Message { sequence, is_keep_alive: count == 0, bytes: reader.since(start) })
}

/// A thing that a message says.
#[derive(Debug)]
pub(super) enum Said {
    Value {
        handle: u32,
        value: DataValue,
    },
    /// The subscription ended, or another session has it.
    Ended(StatusCode),
}

/// The notifications of a message in their order, read one by one: all at once may be many times as large.
#[derive(Debug)]
pub(super) struct Notifications {
    bytes: Vec<u8>,
    at: usize,
    /// Kinds of notifications that follow; `None`: unread.
    parts: Option<usize>,
    /// Values that follow in the present one.
    values: usize,
    /// Where the present one ends.
    end: usize,
}

impl Notifications {
    pub(super) fn new(bytes: &[u8]) -> Notifications {
        Notifications { bytes: bytes.to_vec(), at: 0, parts: None, values: 0, end: 0 }
    }

    /// Bytes that were read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// `None` after the last. A fault ends them.
    pub(super) fn next(&mut self) -> Decode<Option<Said>> {
        loop {
            if self.values > 0 {
                let mut reader = Reader::new(&self.bytes[self.at..self.end]);
                reader.forgive_texts();
                let said = Said::Value { handle: reader.u32()?, value: read_value(&mut reader)? };
                self.at += reader.position();
                self.values -= 1;
                if self.values == 0 {
                    self.at = self.end;
                }
                return Ok(Some(said));
            }
            let mut reader = Reader::new(&self.bytes[self.at..]);
            let parts = match self.parts {
                Some(parts) => parts,
                None => reader.count(3)?,
            };
            self.parts = Some(parts.saturating_sub(1));
            if parts == 0 {
                return Ok(None);
            }
            let part = reader.extension_object()?;
            let end = self.at + reader.position();
            self.at = end;
            let Some(body) = part.body else { continue };
            let is = |id| part.type_id == NodeIdRef::numeric(0, id);
            let mut reader = reader.nested(body);
            if is(DATA_CHANGE) {
                let values = reader.count(5)?;
                if values > 0 {
                    (self.values, self.at, self.end) = (values, end - reader.remaining(), end);
                }
            } else if is(STATUS_CHANGE) {
                return Ok(Some(Said::Ended(reader.status()?)));
            }
        }
    }
}

/// Values that a server sent, in its order.
#[derive(Debug)]
pub(super) enum Arrived {
    /// Of the subscription at this place.
    Message { place: usize, notifications: Notifications },
    /// A message that no other follows at once.
    End { place: usize },
    /// A value of the item at this place that was read.
    Read { place: u32, value: DataValue },
}

impl Arrived {
    pub(super) fn of(place: usize, bytes: &[u8]) -> Arrived {
        Arrived::Message { place, notifications: Notifications::new(bytes) }
    }
}
