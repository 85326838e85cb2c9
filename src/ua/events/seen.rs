//! An event as different sessions see it: of one field each gets the part that it may see.

use std::fmt::Debug;
use std::sync::Arc;

use super::Event;
use crate::model::Roles;
use crate::ua::space::{FieldId, Viewer};
use crate::value::Value;

/// The content of a field whose value depends on the session.
pub trait Viewed: Debug + Send + Sync {
    /// `None`: nothing of it is for this session, which gets no event then.
    fn value_for(&self, viewer: &Viewer<'_>) -> Option<Value>;
}

/// A field whose value depends on the session.
#[derive(Debug, Clone)]
pub struct PerViewer {
    pub field: FieldId,
    pub content: Arc<dyn Viewed>,
}

/// An event on its way to its listeners: made once for all sessions with the same rights.
#[derive(Debug)]
pub(crate) struct Seen<'e> {
    event: &'e Event,
    made: Vec<Version>,
}

#[derive(Debug)]
struct Version {
    roles: Roles,
    is_encrypted: bool,
    /// `None`: these sessions get none.
    event: Option<Event>,
}

impl<'e> Seen<'e> {
    pub(crate) fn new(event: &'e Event) -> Seen<'e> {
        Seen { event, made: Vec::new() }
    }

    /// The event of this session; `None` when it gets none.
    pub(crate) fn by(&mut self, viewer: &Viewer<'_>) -> Option<&Event> {
        let Some(per_viewer) = &self.event.per_viewer else { return Some(self.event) };
        let is_it = |made: &Version| made.roles == viewer.roles && made.is_encrypted == viewer.is_encrypted;
        let at = match self.made.iter().position(is_it) {
            Some(at) => at,
            None => {
                let value = per_viewer.content.value_for(viewer);
                let event = value.map(|value| Event {
                    fields: self.event.fields.clone().with(per_viewer.field, value),
                    per_viewer: None,
                    source_name: self.event.source_name.clone(),
                    message: self.event.message.clone(),
                    ..*self.event
                });
                self.made.push(Version { roles: viewer.roles, is_encrypted: viewer.is_encrypted, event });
                self.made.len() - 1
            }
        };
        self.made[at].event.as_ref()
    }
}
