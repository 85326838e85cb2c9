//! The bounded queue of samples from a pushing driver to its supervisor.
//!
//! A feed never blocks its driver, so that a protocol's keep-alive is never late. It holds two samples of each
//! point, and at least 1,024. When it is full, the oldest sample that is followed by a newer one of its point is dropped
//! and counted, and the newer one gets the Overflow bit in its status. The newest sample of a point is never
//! dropped. A driver's remarks about what comes take the same way, since drivers do not log.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::tags::RawSample;
use crate::value::UaTime;

/// Samples that a feed of few points holds.
const FEWEST_PLACES: usize = 1_024;

/// Remarks that wait for the supervisor.
const MOST_REMARKS: usize = 16;

/// InfoType DataValue with Overflow (Part 4 §7.39, 1.05).
const OVERFLOW: u32 = 0x0480;

/// Takes samples of a link's points; clones of it may be used by tasks and threads of the driver.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug)]
struct Waiting {
    samples: VecDeque<(u32, RawSample)>,
    /// Samples that wait, by point.
    counts: Vec<u32>,
    places: usize,
    dropped: u64,
    /// Texts for the log.
    remarks: Vec<String>,
}

impl Feed {
    /// A feed for a link with this many points.
    pub(super) fn new(points: usize) -> Feed {
        let places = FEWEST_PLACES.max(points * 2);
        let waiting =
            Waiting { samples: VecDeque::new(), counts: vec![0; points], places, dropped: 0, remarks: Vec::new() };
        Feed(Arc::new(Shared { waiting: Mutex::new(waiting), news: Notify::new() }))
    }

    /// Takes a sample; without a time of the device its time is now. Never waits.
    ///
    /// A sample that is not Bad needs a value: a null one shows as BadDataEncodingInvalid. A driver gives a Bad status to a
    /// sample whose value is missing.
    pub fn sample(&self, point: u32, sample: RawSample) {
        let sample = if sample.source_time().is_some() { sample } else { sample.at(UaTime::now()) };
        let mut waiting = self.0.waiting.lock();
        if waiting.counts.get(point as usize).is_none() {
            return;
        }
        if waiting.samples.len() >= waiting.places {
            waiting.make_room();
        }
        waiting.counts[point as usize] += 1;
        waiting.samples.push_back((point, sample));
        drop(waiting);
        self.0.news.notify_one();
    }

    /// A text about what came, for the log: one line a kind and minute. While many wait, further ones are left out.
    pub fn remark(&self, text: String) {
        let mut waiting = self.0.waiting.lock();
        if waiting.remarks.len() < MOST_REMARKS {
            waiting.remarks.push(text);
            drop(waiting);
            self.0.news.notify_one();
        }
    }

    /// Remarks since the last call.
    pub(super) fn take_remarks(&self) -> Vec<String> {
        std::mem::take(&mut self.0.waiting.lock().remarks)
    }

    /// Samples that were dropped since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.0.waiting.lock().dropped)
    }

    /// Resolves when samples or remarks wait.
    pub(super) async fn news(&self) {
        loop {
            let notified = self.0.news.notified();
            let is_quiet = {
                let waiting = self.0.waiting.lock();
                waiting.samples.is_empty() && waiting.remarks.is_empty()
            };
            if !is_quiet {
                return;
            }
            notified.await;
        }
    }

    /// Takes out all that waits, in the order in which it came.
    pub(super) fn drain(&self, mut take: impl FnMut(u32, RawSample)) {
        let mut waiting = self.0.waiting.lock();
        let samples = std::mem::take(&mut waiting.samples);
        waiting.counts.fill(0);
        drop(waiting);
        samples.into_iter().for_each(|(point, sample)| take(point, sample));
    }
}

impl Waiting {
    fn make_room(&mut self) {
        let is_outdated = |(point, _): &(u32, RawSample)| self.counts[*point as usize] > 1;
        let oldest = self.samples.iter().position(is_outdated).expect("there are more places than points");
        let Some((point, _)) = self.samples.remove(oldest) else { return };
        self.counts[point as usize] -= 1;
        self.dropped += 1;
        let next = self.samples.iter_mut().skip(oldest).find(|(other, _)| *other == point);
        if let Some((_, sample)) = next {
            sample.add_info_bits(OVERFLOW);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn drained(feed: &Feed) -> Vec<(u32, Value, bool)> {
        let mut all = Vec::new();
        feed.drain(|point, sample| {
            let value = sample.value().expect("a value").clone();
            all.push((point, value, sample.status().bits() & OVERFLOW == OVERFLOW));
        });
        all
    }

    #[test]
    fn a_full_feed_drops_what_is_outdated_and_never_the_newest_of_a_point() {
        let feed = Feed::new(3);
        let one = |n: u32| RawSample::from(Ok(Value::UInt32(n)));
        feed.sample(1, one(7));
        for n in 0..5_000 {
            feed.sample(0, one(n));
        }
        feed.sample(2, one(8));
        feed.sample(3, one(9)); // no such point
        let all = drained(&feed);
        assert_eq!(all.len(), FEWEST_PLACES);
        assert_eq!(all[0], (1, Value::UInt32(7), false));
        // Of 5,002 samples 1,024 are left; the first of point 0 says that some are missing before it.
        assert_eq!(all[1], (0, Value::UInt32(3_978), true));
        assert!(all[2..].iter().all(|(_, _, overflow)| !overflow));
        assert_eq!(all[FEWEST_PLACES - 2..], [(0, Value::UInt32(4_999), false), (2, Value::UInt32(8), false)]);
        assert_eq!((feed.take_dropped(), feed.take_dropped()), (3_978, 0));
        assert!(drained(&feed).is_empty());
    }
}
