//! Folders that mirror edge nodes: what their births list. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::address::NodeId;
use super::births::{Birth, Scope};
use super::part::{Effects, Listed};
use super::proto::Payload;
use crate::drivers::listing::{BrowsePlan, Folder, Listing, Start};

/// Births that come within this time are one listing.
const TOGETHER: Duration = Duration::from_millis(300);
/// Under a steady stream of births a listing waits no longer.
const LATEST: Duration = Duration::from_secs(2);

/// One folder.
#[derive(Debug)]
pub(super) struct Mirror {
    folder: Folder,
    start: Start,
    pub scope: Scope,
    waiting: Option<Waiting>,
}

/// Births that are not handed on yet.
#[derive(Debug)]
struct Waiting {
    listing: Listing,
    first: Instant,
    last: Instant,
}

impl Waiting {
    fn due(&self) -> Instant {
        (self.last + TOGETHER).min(self.first + LATEST)
    }
}

impl Mirror {
    /// `None`: `check` refuses the place where it begins.
    pub(super) fn new(plan: &BrowsePlan) -> Option<Mirror> {
        let scope = Scope::of(&plan.start).ok()?;
        Some(Mirror { folder: plan.folder.clone(), start: plan.start.clone(), scope, waiting: None })
    }

    pub(super) fn is_same(&self, other: &Mirror) -> bool {
        self.folder == other.folder && self.start == other.start
    }

    /// Takes what waits at a mirror before a reload.
    pub(super) fn follow(&mut self, old: &mut Mirror) {
        self.waiting = old.waiting.take();
    }

    /// Takes a birth of an edge node or a device.
    pub(super) fn bear(&mut self, id: &NodeId, device: Option<&str>, payload: &Payload<'_>, now: Instant) {
        if !self.scope.has(id, device) {
            return;
        }
        let mut listing = Listing::default();
        Birth { id, device, payload }.list(&self.scope, &self.start, &mut listing);
        match &mut self.waiting {
            Some(waiting) => {
                waiting.listing.absorb(listing);
                waiting.last = now;
            }
            None => self.waiting = Some(Waiting { listing, first: now, last: now }),
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.as_ref().map(Waiting::due)
    }

    /// Hands on what is due.
    pub(super) fn tick(&mut self, now: Instant, effects: &mut Effects) {
        if let Some(Waiting { listing, .. }) = self.waiting.take_if(|waiting| waiting.due() <= now) {
            effects.listings.push(Listed { folder: self.folder.clone(), listing });
        }
    }
}
