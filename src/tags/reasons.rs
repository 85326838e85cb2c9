//! Why tags are Bad, in words: the answer of a device or of its driver about one tag.
//!
//! A reason stays here when its tag recovers, so that a tag that comes and goes is logged once for each kind of reason.
//! A slot says whether its tag has a reason now.

use std::collections::HashMap;
use std::sync::Arc;

use log::Level;
use opcua::StatusCode;
use parking_lot::Mutex;

use super::slot::Slot;
use super::{Stamp, TagStore};
use crate::logging;
use crate::model::{Plant, TagId};
use crate::value::{UaTime, Value};

/// Characters of a text from a device that a reason shows.
const SHOWN: usize = 60;

/// The last reason of each tag that ever had one.
#[derive(Default)]
pub(super) struct Reasons(Mutex<HashMap<TagId, Reason>>);

/// A sentence about a tag, and since when it is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    pub why: Arc<str>,
    pub since: UaTime,
}

impl Reasons {
    /// Notes the reason of a tag, which it has already or has just got; whether its kind is new to the tag.
    fn note(&self, tag: TagId, is_present: bool, new: Reason) -> bool {
        let mut reasons = self.0.lock();
        let Some(known) = reasons.get_mut(&tag) else {
            reasons.insert(tag, new);
            return true;
        };
        let is_same = is_same_kind(&known.why, &new.why);
        let since = if is_present && is_same { known.since } else { new.since };
        *known = Reason { since, ..new };
        !is_same
    }

    pub(super) fn forget(&self, tag: TagId) {
        self.0.lock().remove(&tag);
    }
}

/// Whether two reasons differ in numbers alone.
fn is_same_kind(one: &str, other: &str) -> bool {
    let letters = |text: &'_ str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    one == other || letters(one) == letters(other)
}

/// A value of a device in words, cut where it is long.
fn shown(value: &Value) -> String {
    let text = value.shown();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The reason for a value that its tag cannot have.
pub(super) fn of_value(value: &Value) -> Arc<str> {
    format!("the device sends {}, which its type cannot hold", shown(value)).into()
}

impl TagStore {
    /// Turns a tag Bad for a reason of its own; returns whether the status is new.
    pub(super) fn turn_bad(&self, plant: &Plant, id: TagId, slot: &mut Slot, bad: Bad<'_>) -> bool {
        let had_reason = slot.has_reason;
        let is_new = slot.turn(bad.value, bad.code, bad.stamp);
        let Some(why) = bad.why else { return is_new };
        slot.has_reason = true;
        if self.reasons.note(id, had_reason, Reason { why: Arc::clone(why), since: bad.stamp.server }) {
            let name = plant.tag_name(id);
            logging::limited(Level::Warn, "a tag is Bad", None, format_args!("{name}: {why} ({})", bad.code));
        }
        is_new
    }

    /// Why the tag is Bad, where the reason is its own and not that of its connection.
    pub fn reason(&self, tag: TagId) -> Option<Arc<str>> {
        self.dated_reason(tag).map(|reason| reason.why)
    }

    /// The same with its time.
    pub(crate) fn dated_reason(&self, tag: TagId) -> Option<Reason> {
        let slot = self.slot(tag).lock();
        if !slot.has_reason {
            return None;
        }
        self.reasons.0.lock().get(&tag).cloned()
    }
}

/// A Bad status with its reason.
pub(super) struct Bad<'a> {
    pub code: StatusCode,
    /// Null, or a structure that is not whole.
    pub value: Value,
    pub why: Option<&'a Arc<str>>,
    pub stamp: Stamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_new_when_more_than_its_numbers_differ() {
        let (reasons, tag) = (Reasons::default(), TagId(3));
        let note = |text: &str| reasons.note(tag, false, Reason { why: text.into(), since: UaTime(0) });
        assert!(note("DB10 is absent"));
        assert!(!note("DB10 is absent") && !note("DB11 is absent"));
        assert!(note("access denied") && note("DB10 is absent"));
        reasons.forget(tag);
        assert!(note("DB10 is absent"));
        let absent = |since| Reason { why: "DB10 is absent".into(), since: UaTime(since) };
        assert!(reasons.note(TagId(4), false, absent(5)), "of another tag");
        reasons.note(TagId(4), true, absent(6));
        assert_eq!(reasons.0.lock()[&TagId(4)], absent(5), "it is so since the first time");
        reasons.note(TagId(4), false, absent(7));
        assert_eq!(reasons.0.lock()[&TagId(4)], absent(7), "it was good in between");
    }

    #[test]
    fn a_long_text_of_a_device_is_cut() {
        let text = of_value(&Value::text(&"ä".repeat(500)));
        assert!(text.chars().count() < 120 && text.contains('…'), "{text}");
    }
}
