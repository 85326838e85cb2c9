//! A link whose device sends by itself: samples are taken, and writes are sent between.

use std::sync::atomic::Ordering;

use tokio::time::sleep_until;

use super::changing::Followed;
use super::state::LinkState;
use super::{Ended, Stopped, Supervisor};
use crate::drivers::contract::{LinkError, Samples};
use crate::drivers::link::Way;
use crate::tags::{Stamp, WriteRequest};

/// The end of a `run` of the driver.
enum Listened {
    Write(WriteRequest),
    Updated,
    Ended(LinkError),
}

impl Supervisor {
    /// Takes samples and sends writes until the link fails.
    pub(super) async fn listen(&mut self) -> Result<Ended, Stopped> {
        loop {
            if self.state.orders.is_stopped() {
                return Err(Stopped);
            }
            if self.has_update() && self.follow().await? == Followed::Closed {
                return Ok(Ended::Closed);
            }
            if let Some(error) = self.waiting_write().await? {
                return Ok(Ended::Failed(error));
            }
            let Way::Push { push, .. } = &mut self.way else { unreachable!("only pushing drivers are listened to") };
            let feed = self.state.feed.clone();
            let listened = self.state.listen(push.run(&feed)).await?;
            self.state.remark(push.remark());
            match listened {
                Listened::Write(request) => {
                    if let Some(error) = self.write(request).await? {
                        return Ok(Ended::Failed(error));
                    }
                }
                Listened::Updated => {}
                Listened::Ended(error) => {
                    self.state.take_fed();
                    return Ok(Ended::Failed(error));
                }
            }
        }
    }
}

impl LinkState {
    /// Takes samples while the driver runs, until a client writes or the driver ends.
    async fn listen(&mut self, run: impl Future<Output = LinkError>) -> Result<Listened, Stopped> {
        let mut run = std::pin::pin!(run);
        let (mut stop, mut updates) = (self.orders.clone(), self.orders.clone());
        loop {
            let sweep = self.next_sweep();
            tokio::select! {
                biased;
                () = stop.stopped() => return Err(Stopped),
                () = updates.updated() => return Ok(Listened::Updated),
                Some(request) = self.requests.next() => return Ok(Listened::Write(request)),
                // The driver first: samples of its own task that never pause must not hide that it ended.
                error = &mut run => return Ok(Listened::Ended(error)),
                () = self.feed.news() => self.take_fed(),
                () = sleep_until(sweep) => self.sweep(),
            }
        }
    }

    /// Commits the samples that wait in the feed.
    pub(crate) fn take_fed(&mut self) {
        let Some(pushed) = &mut self.pushed else { return };
        let stamp = Stamp::now();
        for text in self.feed.take_remarks() {
            if let Some(line) = self.notes.limited(&text, stamp.now) {
                log::warn!("{}: {line}", self.health.name);
            }
        }
        let mut samples = Samples::new();
        self.feed.drain(|point, sample| {
            let tag = if sample.is_past() { pushed.tag(point) } else { pushed.heard(point, stamp.now) };
            samples.extend(tag.map(|tag| (tag, sample)));
        });
        if samples.is_empty() {
            return;
        }
        self.hear();
        self.tags.commit(&self.plant, &samples, stamp);
        let dropped = self.feed.take_dropped();
        if dropped > 0 {
            self.health.dropped.fetch_add(dropped, Ordering::Relaxed);
            let text = format!("{dropped} samples came faster than they could be taken and were dropped");
            if let Some(line) = self.notes.limited(&text, stamp.now) {
                log::warn!("{}: {line}; the newest of each tag was kept", self.health.name);
            }
        }
    }
}
