//! Items that the session may not read: each reports the status once, then nothing until access returns
//! (Part 4 §5.13.2.1, 1.05).

use opcua::StatusCode;

use super::item::{Accepted, Watched};
use super::{Mode, State};
use crate::value::{Moment, Sample, UaTime, Value};

impl State {
    /// Sets the status that an item reports in place of values; with `None` it reports values again. Samples that wait
    /// to be published are dropped in both cases.
    pub fn deny(&mut self, key: u32, why: Option<StatusCode>, now: Moment) {
        let Some(item) = self.item_mut(key) else { return };
        item.denied = why;
        (item.held, item.last, item.is_dirty) = (None, None, false);
        item.begin_grid();
        item.queue.clear();
        if let Watched::Events(_, queue) = &mut item.watched {
            queue.clear();
        }
        if let (None, Some(running)) = (why, &mut item.aggregate) {
            running.begin(now.wall);
        }
        self.tell_denied(key, now);
    }

    /// Whether an item reports a status in place of values.
    pub(crate) fn is_denied(&self, id: u32) -> bool {
        let item = self.key_of(id).and_then(|key| self.items.get(key as usize)?.as_deref());
        item.is_some_and(|item| item.denied.is_some())
    }

    /// Queues the reason why there are no values.
    pub(super) fn tell_denied(&mut self, key: u32, now: Moment) {
        let Some(item) = self.item_mut(key) else { return };
        let Some(status) = item.denied.filter(|_| item.mode != Mode::Disabled) else { return };
        if matches!(item.watched, Watched::Events(..)) {
            return;
        }
        let sample = Sample { value: Value::Null, status, source_time: UaTime::NULL, server_time: now.wall };
        item.last = Some(sample.clone());
        let lost = item.queue.push(sample);
        self.note(key, Accepted::Queued { lost });
    }

    /// No message can be asked for again.
    pub fn forget_sent(&mut self) {
        self.sent.clear();
        self.free_sent(self.sent_bytes);
    }

    /// Messages and events of the previous user are dropped: no other user gets them.
    pub fn forget(&mut self) {
        self.forget_sent();
        for item in self.items.iter_mut().flatten() {
            if let Watched::Events(_, queue) = &mut item.watched {
                queue.clear();
                item.is_dirty = false;
            }
        }
    }
}
