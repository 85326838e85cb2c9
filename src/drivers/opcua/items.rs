//! Subscriptions and monitored items (Part 4 §5.13 and §5.14, 1.05): create, delete, transfer.

use std::time::Duration;

use opcua::StatusCode;

use super::attributes::VALUE;
use super::login::millis;
use super::message::{
    CREATE_ITEMS, CREATE_SUBSCRIPTION, DELETE_ITEMS, DELETE_SUBSCRIPTIONS, Fault, Head, Response, Service, TRANSFER,
    exactly, results,
};
use crate::stack::codec::{QualifiedNameRef, Writer};

/// Notifications in one message, so that no message is larger than what this client takes.
const MOST_NOTIFICATIONS: u32 = 20_000;
const SOURCE_TIMES: i32 = 0;
const REPORTING: i32 = 2;
/// Longest time between two messages that is believed; the longest interval that can be asked for is 1 h.
const LONGEST: Duration = Duration::from_secs(2 * 24 * 3600);

/// A subscription to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub every: Duration,
    pub keep_alive: u32,
    pub lifetime: u32,
}

impl Wanted {
    /// Keep-alives come about each `quiet`; the subscription outlives a lost link by `survives`.
    pub(super) fn new(every: Duration, quiet: Duration, survives: Duration) -> Wanted {
        let times = |span: Duration| {
            u32::try_from(span.as_millis() / every.as_millis().max(1)).unwrap_or(u32::MAX / 4).min(u32::MAX / 4)
        };
        let keep_alive = times(quiet).max(1);
        Wanted { every, keep_alive, lifetime: times(survives).max(3 * keep_alive) }
    }
}

pub(super) fn write_subscription(out: &mut Writer, head: Head<'_>, wanted: Wanted) {
    head.write(CREATE_SUBSCRIPTION, out);
    out.f64(wanted.every.as_secs_f64() * 1000.0);
    out.u32(wanted.lifetime);
    out.u32(wanted.keep_alive);
    out.u32(MOST_NOTIFICATIONS);
    out.bool(true);
    out.u8(0);
}

/// A subscription as the server made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    pub id: u32,
    pub every: Duration,
    /// Longest time between two messages.
    pub keep_alive: Duration,
}

pub(super) fn read_subscription(body: &[u8]) -> Result<Made, Fault> {
    let mut reader = Response::read(body)?.body(CREATE_SUBSCRIPTION)?;
    let (id, every) = (reader.u32()?, millis(reader.f64()?));
    reader.u32()?;
    let keep_alive = every.saturating_mul(reader.u32()?.max(1)).min(LONGEST);
    Ok(Made { id, every: every.min(LONGEST), keep_alive })
}

/// An item to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewItem<'a> {
    /// Encoded.
    pub node: &'a [u8],
    pub handle: u32,
    pub sampling: Duration,
    pub queue: u32,
}

pub(super) fn write_items<'a>(
    out: &mut Writer,
    head: Head<'_>,
    subscription: u32,
    items: impl Iterator<Item = NewItem<'a>>,
) {
    head.write(CREATE_ITEMS, out);
    out.u32(subscription);
    out.i32(SOURCE_TIMES);
    let count = out.reserve_count();
    let mut written = 0;
    for item in items {
        out.raw(item.node);
        out.u32(VALUE);
        out.string(None);
        out.qualified_name(QualifiedNameRef { namespace: 0, name: None });
        out.i32(REPORTING);
        out.u32(item.handle);
        out.f64(item.sampling.as_secs_f64() * 1000.0);
        out.null_extension_object();
        out.u32(item.queue);
        out.bool(true);
        written += 1;
    }
    out.set_count(count, written);
}

/// An item as the server made it, or why it did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MadeItem {
    pub status: StatusCode,
    pub id: u32,
    pub sampling: Duration,
    pub queue: u32,
}

pub(super) fn read_items(body: &[u8], expected: usize) -> Result<Vec<MadeItem>, Fault> {
    let mut reader = Response::read(body)?.body(CREATE_ITEMS)?;
    let count = exactly(reader.count(23)?, expected)?;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let (status, id, sampling, queue) = (reader.status()?, reader.u32()?, millis(reader.f64()?), reader.u32()?);
        reader.extension_object()?;
        all.push(MadeItem { status, id, sampling, queue });
    }
    Ok(all)
}

pub(super) fn write_delete_items(out: &mut Writer, head: Head<'_>, subscription: u32, ids: &[u32]) {
    head.write(DELETE_ITEMS, out);
    out.u32(subscription);
    write_ids(out, ids);
}

pub(super) fn write_delete_subscriptions(out: &mut Writer, head: Head<'_>, ids: &[u32]) {
    head.write(DELETE_SUBSCRIPTIONS, out);
    write_ids(out, ids);
}

fn write_ids(out: &mut Writer, ids: &[u32]) {
    out.count(ids.len());
    ids.iter().for_each(|id| out.u32(*id));
}

/// Reads the answer to a deletion. The items are gone, whatever it says; it must only be one.
pub(super) fn read_deleted(body: &[u8], service: Service, expected: usize) -> Result<(), Fault> {
    let mut reader = Response::read(body)?.body(service)?;
    results(&mut reader, expected)?;
    Ok(())
}

/// The server sends the present values of all items again.
pub(super) fn write_transfer(out: &mut Writer, head: Head<'_>, ids: &[u32]) {
    head.write(TRANSFER, out);
    write_ids(out, ids);
    out.bool(true);
}

/// A status for each subscription. The numbers of the messages that Republish still gives are left: it says by itself when
/// there are no more.
pub(super) fn read_transferred(body: &[u8], expected: usize) -> Result<Vec<StatusCode>, Fault> {
    let mut reader = Response::read(body)?.body(TRANSFER)?;
    let count = exactly(reader.count(8)?, expected)?;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let status = reader.status()?;
        for _ in 0..reader.count(4)? {
            reader.u32()?;
        }
        all.push(status);
    }
    Ok(all)
}
