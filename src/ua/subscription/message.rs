//! NotificationMessages, written straight into a PublishResponse and kept for Republish.

use std::sync::Arc;

use opcua::StatusCode;

use super::item::{Item, Watched};
use super::{Mode, State};
use crate::stack::codec::{Timestamps, Writer};
use crate::value::UaTime;

/// Encoding ids of the notifications (Part 6 annex A, 1.05).
const DATA_CHANGE_NOTIFICATION: u32 = opcua::ObjectId::DataChangeNotification_Encoding_DefaultBinary as u32;
const EVENT_NOTIFICATION_LIST: u32 = opcua::ObjectId::EventNotificationList_Encoding_DefaultBinary as u32;
const STATUS_CHANGE_NOTIFICATION: u32 = opcua::ObjectId::StatusChangeNotification_Encoding_DefaultBinary as u32;
/// A message is cut here, or earlier for a client that takes less, and the rest follows in the next one.
pub const MESSAGE_BYTES: usize = 1024 * 1024;
/// Of one subscription, kept for Republish; above this the oldest messages are removed.
const RETRANSMISSION_BYTES: usize = 4 * MESSAGE_BYTES;

/// Facts of a message that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    pub sequence: u32,
    pub more: bool,
    pub is_keep_alive: bool,
    /// The subscription has reported its end and is to be deleted.
    pub is_last: bool,
}

/// Room in a message.
#[derive(Debug, Clone, Copy)]
struct Room {
    notifications: usize,
    bytes: usize,
}

impl State {
    /// Writes subscription id, available sequence numbers, MoreNotifications and the message: the middle of a
    /// PublishResponse (Part 4 §5.14.5.2, 1.05).
    pub fn write_message(&mut self, id: u32, now: UaTime, most_bytes: usize, w: &mut Writer) -> Published {
        self.drop_stale();
        w.u32(id);
        let is_keep_alive = self.status_change.is_none() && (self.dirty.is_empty() || !self.publishing_enabled);
        if !is_keep_alive {
            while self.sent.len() >= self.retransmission_queue
                || self.sent_bytes > RETRANSMISSION_BYTES
                || !self.memory.has(0)
            {
                let Some((_, oldest)) = self.sent.pop_front() else { break };
                self.free_sent(oldest.len());
                self.counters.discarded_message += 1;
            }
        }
        let sequence = self.next_sequence;
        w.count(self.sent.len() + usize::from(!is_keep_alive));
        for (number, _) in &self.sent {
            w.u32(*number);
        }
        if !is_keep_alive {
            w.u32(sequence);
        }
        let more = w.mark();
        w.bool(false);
        let start = w.mark();
        w.u32(sequence);
        w.time(now);
        let mut has_more = false;
        let mut is_last = false;
        if is_keep_alive {
            w.null_array();
        } else if let Some(status) = self.status_change.take() {
            w.count(1);
            write_status_change(status, w);
            is_last = true;
        } else {
            has_more = self.write_notifications(most_bytes, w);
        }
        w.buf[more] = u8::from(has_more);
        if !is_keep_alive {
            let bytes = w.mark() - start;
            self.sent_bytes += bytes;
            self.memory.spend(bytes);
            self.sent.push_back((sequence, w.buf[start..].into()));
            self.next_sequence = if sequence == u32::MAX { 1 } else { sequence + 1 };
        }
        self.has_sent = true;
        self.is_ready = has_more;
        self.keep_alive_counter = 0;
        self.lifetime_counter = 0;
        Published { sequence, more: has_more, is_keep_alive, is_last }
    }

    /// The dirty items in the order in which they turned dirty: data first, then events.
    fn write_notifications(&mut self, most_bytes: usize, w: &mut Writer) -> bool {
        let limit = match self.parameters.max_notifications {
            0 => usize::MAX,
            limit => limit as usize,
        };
        self.pull_triggered();
        let parts = w.reserve_count();
        let mut written = 0usize;
        let mut part_count = 0;
        let data =
            self.write_part(w, DATA_CHANGE_NOTIFICATION, Room { notifications: limit, bytes: most_bytes }, false);
        if data > 0 {
            part_count += 1;
            written += data;
            self.counters.data_change += u32::try_from(data).unwrap_or(u32::MAX);
        }
        if written < limit {
            let events = self.write_part(
                w,
                EVENT_NOTIFICATION_LIST,
                Room { notifications: limit - written, bytes: most_bytes },
                true,
            );
            if events > 0 {
                part_count += 1;
                self.counters.event += u32::try_from(events).unwrap_or(u32::MAX);
            }
        }
        w.set_count(parts, part_count);
        // What was deleted or silenced meanwhile is not "more".
        self.drop_stale();
        !self.dirty.is_empty()
    }

    fn write_part(&mut self, w: &mut Writer, encoding: u32, room: Room, events: bool) -> usize {
        let start = w.mark();
        let mut written = 0;
        w.extension_object(encoding, |w| {
            let count = w.reserve_count();
            for _ in 0..self.dirty.len() {
                let Some(key) = self.dirty.pop_front() else { break };
                let Some(Some(item)) = self.items.get_mut(key as usize) else { continue };
                if !item.is_dirty {
                    continue;
                }
                if matches!(item.watched, Watched::Events(..)) != events {
                    self.dirty.push_back(key);
                    continue;
                }
                written += write_item(item, room.notifications - written, w);
                if item.has_news() {
                    self.dirty.push_front(key);
                    break;
                }
                item.is_dirty = false;
                if written >= room.notifications || w.mark() - start > room.bytes {
                    break;
                }
            }
            w.set_count(count, written);
            if !events {
                w.null_array();
            }
        });
        if written == 0 {
            w.rewind(start);
        }
        written
    }

    /// Items in Sampling mode report together with the item that triggers them (Part 4 §5.13.1.6, 1.05).
    fn pull_triggered(&mut self) {
        if self.links.is_empty() {
            return;
        }
        let mut pulled = Vec::new();
        for key in &self.dirty {
            let Some(Some(item)) = self.items.get(*key as usize) else { continue };
            pulled.extend(self.links.of(item.id).iter().filter_map(|id| self.by_id.get(id).copied()));
        }
        for key in pulled {
            let Some(Some(item)) = self.items.get_mut(key as usize) else { continue };
            if item.mode == Mode::Sampling && !item.is_dirty && item.has_news() {
                item.is_dirty = true;
                self.dirty.push_back(key);
            }
        }
    }
}

impl State {
    /// The NotificationMessage of that number, if it was not acknowledged yet.
    pub fn resend(&mut self, sequence: u32) -> Option<Arc<[u8]>> {
        self.counters.republish_message_request += 1;
        let message = self.sent.iter().find(|(number, _)| *number == sequence).map(|(_, bytes)| bytes.clone());
        if message.is_some() {
            self.counters.republish_message += 1;
        }
        message
    }

    pub fn acknowledge(&mut self, sequence: u32) -> StatusCode {
        match self.sent.iter().position(|(number, _)| *number == sequence) {
            Some(at) => {
                let bytes = self.sent.remove(at).map_or(0, |(_, bytes)| bytes.len());
                self.free_sent(bytes);
                StatusCode::Good
            }
            None => StatusCode::BadSequenceNumberUnknown,
        }
    }

    pub(super) fn free_sent(&mut self, bytes: usize) {
        self.sent_bytes -= bytes;
        self.memory.give_back(bytes);
    }

    pub fn available(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.sent.iter().map(|(number, _)| *number)
    }
}

/// The last message of a subscription that a session lost (Part 4 §5.14.7.1, 1.05). It has the number that the
/// client expects next: a client that looks for gaps would see one otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastStatusChange {
    pub subscription: u32,
    pub sequence: u32,
    pub status: StatusCode,
}

impl LastStatusChange {
    pub fn write(&self, now: UaTime, w: &mut Writer) {
        w.u32(self.subscription);
        w.count(0);
        w.bool(false);
        w.u32(self.sequence);
        w.time(now);
        w.count(1);
        write_status_change(self.status, w);
    }
}

fn write_status_change(status: StatusCode, w: &mut Writer) {
    w.extension_object(STATUS_CHANGE_NOTIFICATION, |w| {
        w.status(status);
        w.u8(0); // no DiagnosticInfo
    });
}

/// At most `limit` notifications of one item; returns how many.
fn write_item(item: &mut Item, limit: usize, w: &mut Writer) -> usize {
    let mut written = 0;
    if let Watched::Events(_, queue) = &mut item.watched {
        while written < limit {
            let Some(fields) = queue.pop() else { break };
            w.u32(item.client_handle);
            w.count(fields.len());
            fields.iter().for_each(|field| w.variant(field));
            written += 1;
        }
        return written;
    }
    while written < limit {
        let Some(sample) = item.queue.pop() else { break };
        w.u32(item.client_handle);
        let source = item.timestamps.source().then_some(sample.source_time);
        let server = match item.timestamps {
            Timestamps::Server | Timestamps::Both => Some(sample.server_time),
            Timestamps::Source | Timestamps::Neither => None,
        };
        w.data_value(&sample.value, sample.status, source, server);
        written += 1;
    }
    written
}
