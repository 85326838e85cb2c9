//! `write_every`: present values that are written again and again, for devices with a watchdog.
//!
//! A value that is read is written right after it was read, so that what somebody set at the device meanwhile is not
//! overwritten with an older one. A value that is only written is written again when its time has come.

use std::time::Duration;

use tokio::time::Instant;

use super::{Link, Stopped};
use crate::drivers::{LinkError, PointPlan};
use crate::model::TagId;
use crate::tags::Write;

/// A point that is written again.
pub(super) struct Refresh {
    tag: TagId,
    every: Duration,
    due: Instant,
    /// Only written, never read: its value is the last one written, Uncertain.
    is_only_written: bool,
}

pub(super) fn of(points: &[PointPlan], now: Instant) -> Vec<Refresh> {
    let refresh = |point: &PointPlan| {
        let every = point.write_every.filter(|_| point.write)?;
        Some(Refresh { tag: point.tag, every, due: now + every, is_only_written: !point.read })
    };
    points.iter().filter_map(refresh).collect()
}

impl Link {
    /// When a point that is only written is due; others wait for their next read.
    pub(super) fn next_refresh(&self) -> Option<Instant> {
        self.refreshes.iter().filter(|refresh| refresh.is_only_written).map(|refresh| refresh.due).min()
    }

    /// Writes what is due: of the tags that were just read, and of those that are only written. Gives the error that
    /// ends the link.
    pub(super) async fn refresh(&mut self, read: &[TagId]) -> Result<Option<LinkError>, Stopped> {
        for at in 0..self.refreshes.len() {
            let (refresh, now) = (&mut self.refreshes[at], Instant::now());
            if now < refresh.due || !refresh.is_only_written && !read.contains(&refresh.tag) {
                continue;
            }
            refresh.due = now + refresh.every;
            let (tag, is_only_written) = (refresh.tag, refresh.is_only_written);
            let value = self.beat.tags.with(tag, |sample| {
                let is_present = sample.status.is_good() || is_only_written && sample.status.is_uncertain();
                is_present.then(|| sample.value.clone())
            });
            let Some(value) = value else { continue };
            let (status, error) = self.write_one(&Write { tag, value, first: None }).await?;
            if error.is_some() {
                return Ok(error);
            }
            if !status.is_good() {
                let name = self.beat.tags.plant().tag_name(tag);
                log::debug!("{name}: the write of `write_every` was refused: {status}");
            }
        }
        Ok(None)
    }
}
