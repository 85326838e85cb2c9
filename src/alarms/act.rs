//! Acts of operators on a condition (Part 9 §5.5 to §5.8, 1.05).

use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;

use super::condition::{Condition, Ids};
use super::state::{Comment, EventId, Shelving};
use crate::value::Moment;

/// Characters of a comment.
pub(crate) const LONGEST_COMMENT: usize = 1_024;

/// An act, with what it needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    Enable,
    Disable,
    AddComment(EventName),
    Acknowledge(EventName),
    Confirm(EventName),
    /// Milliseconds.
    TimedShelve(f64),
    OneShotShelve,
    Unshelve,
    Reset,
}

/// The event that an act is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventName {
    Id(EventId),
    /// The present one: what the plain mirror acknowledges.
    Present,
    /// No id of this server.
    Unknown,
}

/// The text that comes with an act; `None` for acts without one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Words {
    pub locale: Arc<str>,
    pub text: Arc<str>,
}

impl Condition {
    /// Does an act, or says why not.
    pub(super) fn act(
        &mut self,
        act: &Act,
        words: Option<&Words>,
        user: &Arc<str>,
        now: Moment,
        ids: Ids<'_>,
    ) -> Result<(), StatusCode> {
        if words.is_some_and(|words| words.text.chars().count() > LONGEST_COMMENT) {
            return Err(StatusCode::BadOutOfRange);
        }
        self.check(act)?;
        match act {
            Act::Enable => self.set_enabled(true, now),
            Act::Disable => self.set_enabled(false, now),
            Act::AddComment(_) => {}
            Act::Acknowledge(_) => {
                self.state.acked = true;
                self.state.confirmed = !self.rule.needs_confirm;
            }
            Act::Confirm(_) => self.state.confirmed = true,
            Act::TimedShelve(millis) => {
                let until = now.mono + self.shelving_time(*millis)?;
                self.state.shelving = Shelving::Timed { until };
            }
            Act::OneShotShelve => {
                let until = now.mono + self.rule.shelve.ok_or(StatusCode::BadMethodInvalid)?;
                self.state.shelving = Shelving::OneShot { until };
            }
            Act::Unshelve => self.state.shelving = Shelving::Unshelved,
            Act::Reset => self.state.latched = false,
        }
        if let Some(words) = words {
            self.comment(words, user, now);
        }
        self.emit_act(now, ids);
        Ok(())
    }

    fn check(&self, act: &Act) -> Result<(), StatusCode> {
        let (state, rule) = (&self.state, &self.rule);
        match (act, state.enabled) {
            (Act::Enable, true) => return Err(StatusCode::BadConditionAlreadyEnabled),
            (Act::Enable, false) => return Ok(()),
            (Act::Disable, false) => return Err(StatusCode::BadConditionAlreadyDisabled),
            (_, false) => return Err(StatusCode::BadConditionDisabled),
            (_, true) => {}
        }
        match act {
            Act::Enable | Act::Disable => Ok(()),
            Act::AddComment(event) => self.known(*event).map(|_| ()),
            Act::Acknowledge(event) => {
                let asks = self.known(*event)?;
                match (state.acked, asks) {
                    (true, _) => Err(StatusCode::BadConditionBranchAlreadyAcked),
                    (false, true) => Ok(()),
                    // It was seen before the condition became worse.
                    (false, false) => Err(StatusCode::BadEventIdUnknown),
                }
            }
            Act::Confirm(_) if !rule.needs_confirm => Err(StatusCode::BadMethodInvalid),
            Act::Confirm(event) => {
                self.known(*event)?;
                if state.confirmed { Err(StatusCode::BadConditionBranchAlreadyConfirmed) } else { Ok(()) }
            }
            Act::TimedShelve(_) | Act::OneShotShelve | Act::Unshelve if rule.shelve.is_none() => {
                Err(StatusCode::BadMethodInvalid)
            }
            Act::TimedShelve(millis) => {
                self.shelving_time(*millis)?;
                let is_timed = matches!(state.shelving, Shelving::Timed { .. });
                if is_timed { Err(StatusCode::BadConditionAlreadyShelved) } else { Ok(()) }
            }
            Act::OneShotShelve => {
                let is_one_shot = matches!(state.shelving, Shelving::OneShot { .. });
                if is_one_shot { Err(StatusCode::BadConditionAlreadyShelved) } else { Ok(()) }
            }
            Act::Unshelve => {
                if state.is_shelved() {
                    Ok(())
                } else {
                    Err(StatusCode::BadConditionNotShelved)
                }
            }
            Act::Reset if !rule.is_latched => Err(StatusCode::BadMethodInvalid),
            Act::Reset => {
                let is_ready = state.latched && !state.is_active() && state.acked && state.confirmed;
                if is_ready { Ok(()) } else { Err(StatusCode::BadInvalidState) }
            }
        }
    }

    /// Whether an event of the present activation still asks for an acknowledgement.
    fn known(&self, event: EventName) -> Result<bool, StatusCode> {
        match event {
            EventName::Present => Ok(!self.state.acked),
            EventName::Unknown => Err(StatusCode::BadEventIdUnknown),
            EventName::Id(id) => {
                let shown = self.shown.iter().find(|shown| shown.id == id);
                shown.map(|shown| shown.asks).ok_or(StatusCode::BadEventIdUnknown)
            }
        }
    }

    fn shelving_time(&self, millis: f64) -> Result<Duration, StatusCode> {
        let longest = self.rule.shelve.unwrap_or_default();
        let asked = Duration::try_from_secs_f64(millis / 1000.0).ok().filter(|asked| !asked.is_zero());
        asked.filter(|asked| *asked <= longest).ok_or(StatusCode::BadShelvingTimeOutOfRange)
    }

    /// A text and a locale that are both empty leave the present comment; an empty text with a locale clears it (Part 9
    /// §5.5.6, 1.05).
    fn comment(&mut self, words: &Words, user: &Arc<str>, now: Moment) {
        if !(words.text.is_empty() && words.locale.is_empty()) {
            let Words { locale, text } = words.clone();
            self.state.comment = Comment { locale, text, time: now.wall };
        }
        self.state.client_user = Arc::clone(user);
    }
}
