//! A link whose driver polls: the most urgent request first, with writes between.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::changing::Followed;
use super::{Ended, Opening, Stopped, Supervisor, refresh};
use crate::drivers::contract::LinkError;
use crate::drivers::link::Way;
use crate::drivers::schedule::{At, Step};

impl Supervisor {
    /// Writes and reads until the link fails.
    pub(super) async fn poll(&mut self) -> Result<Ended, Stopped> {
        let mut ended = Vec::new();
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
            let step = self.state.schedule.step(Instant::now(), &mut ended);
            for scan in ended.drain(..) {
                self.state.health.scanned(scan.took);
                self.state.health.overruns.fetch_add(scan.skipped.into(), Ordering::Relaxed);
            }
            self.state.measure_load();
            match step {
                Step::Read(at) => {
                    if let Some(error) = self.read(at).await? {
                        return Ok(Ended::Failed(error));
                    }
                }
                Step::Wait(until) => {
                    if let Some(error) = self.refresh().await? {
                        return Ok(Ended::Failed(error));
                    }
                    let until = self.next_refresh().map_or(until, |due| until.min(due));
                    if let Some(request) = self.state.idle(until).await?
                        && let Some(error) = self.write(request).await?
                    {
                        return Ok(Ended::Failed(error));
                    }
                }
            }
        }
    }

    /// A write request that waits, if there is one; returns the error that ends the link.
    pub(super) async fn waiting_write(&mut self) -> Result<Option<LinkError>, Stopped> {
        match self.state.requests.next_now() {
            Some(request) => self.write(request).await,
            None => Ok(None),
        }
    }

    /// Reads one block, with `retries`; a write waits for one request at most, so it is sent between two. Newer plans end
    /// the attempts: the block is read by them, as far as they have it. Returns the error that ends the link.
    async fn read(&mut self, at: At) -> Result<Option<LinkError>, Stopped> {
        let device = self.state.schedule.item(at).device;
        // A demoted device gets one attempt, so that it delays other devices little.
        let mut left = if self.state.schedule.is_demoted(device) { 0 } else { self.connections[device].retries };
        let mut may_reopen = self.state.answered_since_connect;
        loop {
            self.samples.clear();
            let (request, round) = (self.state.schedule.item(at).request, self.state.schedule.item(at).round);
            let Way::Poll(poll) = &mut self.way else { unreachable!("only polling drivers are read") };
            self.state.ask(device);
            let began = Instant::now();
            let read = poll.read(request, round, &mut self.samples);
            let read = self.state.alongside(read).await?;
            self.state.remark(poll.remark());
            let mut error = match read {
                Ok(answer) => {
                    self.state.load.answered(began.elapsed());
                    self.state.answer(at, answer, &self.samples, &mut |request| poll.split(request));
                    refresh::note(&mut self.refreshes, &self.samples, Instant::now());
                    return self.refresh().await;
                }
                Err(error) => error,
            };
            if matches!(error, LinkError::Closed { .. }) && std::mem::take(&mut may_reopen) {
                match self.reopen().await? {
                    Opening::Done => continue,
                    Opening::Failed(failed) => error = failed,
                }
            }
            self.state.count(device, &error);
            if error.is_usable() && left > 0 {
                left -= 1;
                match self.waiting_write().await? {
                    None if self.has_update() => return Ok(None),
                    None => continue,
                    ended => return Ok(ended),
                }
            }
            let Way::Poll(poll) = &mut self.way else { unreachable!("only polling drivers are read") };
            return Ok(self.state.miss(at, error, &mut |request| poll.split(request)));
        }
    }
}
