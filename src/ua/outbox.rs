//! Output that waits for one client. Sent bytes are dropped in steps of `FLUSH`, however slowly the client reads.

use std::time::Duration;

use tokio::time::Instant;

use crate::stack::codec::Writer;

/// Beyond this much unsent output no more requests are taken out of the input.
pub(crate) const FLUSH: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub out: Writer,
    /// Bytes of `out` that are on their way already.
    sent: usize,
    /// Since when the client has taken nothing, while something waits for it.
    waits_since: Option<Instant>,
}

impl Outbox {
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.out.buf[self.sent..]
    }

    pub(crate) fn waiting(&self) -> usize {
        self.out.buf.len() - self.sent
    }

    /// Called after anything may have been written: the time of a stall begins with the first byte that waits.
    pub(crate) fn note_written(&mut self, now: Instant) {
        if self.waiting() == 0 {
            self.waits_since = None;
        } else if self.waits_since.is_none() {
            self.waits_since = Some(now);
        }
    }

    pub(crate) fn note_sent(&mut self, count: usize, now: Instant) {
        self.sent += count;
        self.waits_since = (self.waiting() > 0).then_some(now);
        if self.waiting() == 0 {
            self.out.buf.clear();
            self.sent = 0;
            // One large answer must not keep its memory for ever.
            if self.out.buf.capacity() > 4 * FLUSH {
                self.out.buf.shrink_to(FLUSH);
            }
        } else if self.sent >= FLUSH {
            drop(self.out.buf.drain(..self.sent));
            self.sent = 0;
        }
    }

    /// When a client that takes nothing is to be cut.
    pub(crate) fn stalls_at(&self, most: Duration) -> Option<Instant> {
        self.waits_since.map(|since| since + most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_always_lags_behind_a_little_makes_nothing_grow() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        for _ in 0..1_000 {
            outbox.out.raw(&[7; 10_000]);
            outbox.note_written(now);
            let most = if outbox.waiting() > 50_000 { 10_000 } else { 1_000 };
            outbox.note_sent(most, now);
        }
        assert!(outbox.waiting() > 40_000, "it is late");
        assert!(outbox.out.buf.capacity() < 3 * FLUSH, "{} bytes are held", outbox.out.buf.capacity());
    }

    #[test]
    fn the_time_of_a_stall_begins_with_the_first_byte_that_waits() {
        let start = Instant::now();
        let stall = Duration::from_secs(30);
        let mut outbox = Outbox::default();
        outbox.note_written(start);
        assert_eq!(outbox.stalls_at(stall), None, "nothing waits");
        let later = start + Duration::from_secs(60);
        outbox.out.raw(&[1, 2, 3]);
        outbox.note_written(later);
        outbox.note_written(later + Duration::from_secs(5));
        assert_eq!(outbox.stalls_at(stall), Some(later + stall));
        outbox.note_sent(1, later + Duration::from_secs(9));
        assert_eq!(outbox.stalls_at(stall), Some(later + Duration::from_secs(9) + stall));
        outbox.note_sent(2, later + Duration::from_secs(10));
        assert_eq!((outbox.stalls_at(stall), outbox.waiting()), (None, 0));
    }
}
