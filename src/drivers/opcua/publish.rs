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

/// Reads the notifications of a message in their order. Those before a fault were said.
pub(super) fn read_notifications(bytes: &[u8], mut say: impl FnMut(Said)) -> Decode<()> {
    let mut reader = Reader::new(bytes);
    for _ in 0..reader.count(3)? {
        let part = reader.extension_object()?;
        let Some(body) = part.body else { continue };
        let is = |id| part.type_id == NodeIdRef::numeric(0, id);
        let mut body = reader.nested(body);
        body.forgive_texts();
        if is(DATA_CHANGE) {
            for _ in 0..body.count(5)? {
                let handle = body.u32()?;
                say(Said::Value { handle, value: read_value(&mut body)? });
            }
        } else if is(STATUS_CHANGE) {
            say(Said::Ended(body.status()?));
        }
    }
    Ok(())
}
