//! Quality of tags whose device sends by itself. Pure: the time is an argument.
//!
//! An unchanged value does not grow old, so silence matters only to tags with a `stale_after`: after this time without a
//! sample they are Uncertain, after twice the time Bad. When the link is lost, all are Uncertain at once, and Bad after
//! `stale_after`, at most 5 s.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::TagId;
use crate::tags::Lapse;

/// Longest time that a tag keeps its last value after the link is lost.
const GRACE: Duration = Duration::from_secs(5);

/// Shortest time between two checks.
const SWEEP_SHORTEST: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Pushed {
    /// One a point; `None` for those that are only written, or refused.
    points: Vec<Option<Heard>>,
    /// Since when the link is lost.
    lost: Option<Instant>,
    /// Time of the next check.
    next: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub tag: TagId,
    /// `Duration::MAX`: silence is no fault.
    pub stale_after: Duration,
    /// The last sample, or the start of the connection.
    pub last: Instant,
}

impl Heard {
    /// Its quality now, and when it becomes worse.
    fn lapse(&self, lost: Option<Instant>, now: Instant) -> (Option<Lapse>, Option<Instant>) {
        let (uncertain, bad) = match lost {
            Some(lost) => (Some(lost), Some(lost + self.stale_after.min(GRACE))),
            None => {
                let first = self.last.checked_add(self.stale_after);
                (first, first.and_then(|first| first.checked_add(self.stale_after)))
            }
        };
        let is_past = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        match (is_past(uncertain), is_past(bad)) {
            (_, true) => (Some(Lapse::Bad), None),
            (true, false) => (Some(Lapse::Uncertain), bad),
            (false, false) => (None, uncertain),
        }
    }
}

impl Pushed {
    pub(crate) fn new(points: Vec<Option<Heard>>) -> Pushed {
        Pushed { points, lost: None, next: None }
    }

    /// Takes over from the points before: the time of the last sample of those that are the same, and the loss of the link.
    pub(crate) fn follow(&mut self, before: &Pushed, same: &HashSet<TagId>, now: Instant) {
        let last: HashMap<TagId, Instant> =
            before.points.iter().flatten().map(|heard| (heard.tag, heard.last)).collect();
        for heard in self.points.iter_mut().flatten().filter(|heard| same.contains(&heard.tag)) {
            heard.last = last.get(&heard.tag).copied().unwrap_or(now);
        }
        (self.lost, self.next) = (before.lost, Some(now));
    }

    /// Takes the limits of a newer plant.
    pub(crate) fn renew(&mut self, stale_after: impl Fn(TagId) -> Duration, now: Instant) {
        self.points.iter_mut().flatten().for_each(|heard| heard.stale_after = stale_after(heard.tag));
        self.next = Some(now);
    }

    /// The link is open: silence counts from now on.
    pub(crate) fn up(&mut self, now: Instant) {
        self.lost = None;
        self.points.iter_mut().flatten().for_each(|heard| heard.last = now);
        self.next = Some(now);
    }

    pub(crate) fn down(&mut self, now: Instant) {
        self.lost.get_or_insert(now);
        self.next = Some(now);
    }

    /// A sample came; `None` for a point that is not read.
    pub(crate) fn heard(&mut self, point: u32, now: Instant) -> Option<TagId> {
        let heard = self.points.get_mut(point as usize)?.as_mut()?;
        heard.last = now;
        let due = now.checked_add(heard.stale_after);
        self.next = [self.next, due].into_iter().flatten().min();
        Some(heard.tag)
    }

    /// The tag of a point that is read, without a sample of the present.
    pub(crate) fn tag(&self, point: u32) -> Option<TagId> {
        Some(self.points.get(point as usize)?.as_ref()?.tag)
    }

    pub(crate) fn next_sweep(&self) -> Option<Instant> {
        self.next
    }

    /// Calls `turn` for each tag whose quality is down.
    pub(crate) fn sweep(&mut self, now: Instant, mut turn: impl FnMut(TagId, Lapse)) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        let mut next: Option<Instant> = None;
        for heard in self.points.iter().flatten() {
            let (lapse, then) = heard.lapse(self.lost, now);
            if let Some(lapse) = lapse {
                turn(heard.tag, lapse);
            }
            next = [next, then].into_iter().flatten().min();
        }
        self.next = next.map(|next| next.max(now + SWEEP_SHORTEST));
    }

    /// The tags of all points that are read.
    pub(crate) fn tags(&self) -> Vec<TagId> {
        self.points.iter().flatten().map(|heard| heard.tag).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_for_tags_with_stale_after_and_a_lost_link_for_all() {
        let (start, s) = (Instant::now(), Duration::from_secs);
        let heard = |tag, stale_after| Some(Heard { tag: TagId(tag), stale_after, last: start });
        let mut pushed = Pushed::new(vec![heard(0, s(2)), None, heard(2, Duration::MAX)]);
        let look = |pushed: &mut Pushed, after: Duration| {
            let mut seen = Vec::new();
            pushed.sweep(start + after, |tag, lapse| seen.push((tag.0, lapse)));
            seen
        };
        pushed.up(start);
        assert_eq!(look(&mut pushed, s(1)), []);
        assert_eq!(pushed.next_sweep(), Some(start + s(2)));
        assert_eq!(look(&mut pushed, s(2)), [(0, Lapse::Uncertain)]);
        assert_eq!(look(&mut pushed, s(4)), [(0, Lapse::Bad)]);
        assert_eq!(pushed.next_sweep(), None, "nothing changes until a sample comes");
        assert_eq!((pushed.heard(0, start + s(5)), pushed.heard(1, start + s(5))), (Some(TagId(0)), None));
        assert_eq!(look(&mut pushed, s(6)), []);
        pushed.down(start + s(6));
        assert_eq!(look(&mut pushed, s(6)), [(0, Lapse::Uncertain), (2, Lapse::Uncertain)]);
        // A failed attempt to connect does not start the time again.
        pushed.down(start + s(8));
        assert_eq!(look(&mut pushed, s(8)), [(0, Lapse::Bad), (2, Lapse::Uncertain)]);
        assert_eq!(look(&mut pushed, s(11)), [(0, Lapse::Bad), (2, Lapse::Bad)]);
    }
}
