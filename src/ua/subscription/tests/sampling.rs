//! No sample is lost, unless the sampling interval or the queue says so: a counter that changes with each poll, on a
//! clock with jitter, for each poll period, sampling interval, publishing interval and queue size.

use std::time::Duration;

use super::*;

const INTERVALS: [u64; 5] = [50, 100, 250, 500, 1000];
const LENGTH: Duration = Duration::from_secs(12);

/// Periods of one run.
#[derive(Debug, Clone, Copy)]
struct Case {
    poll: Duration,
    sampling: Duration,
    publishing: Duration,
    queue: u32,
    /// Between the first poll and the first publishing cycle.
    phase: Duration,
}

/// A notification: the number of the poll, whether the queue overflowed before it, and when it was published.
#[derive(Debug, Clone, Copy)]
struct Seen {
    number: u32,
    overflow: bool,
    at: Duration,
}

/// A moment of a periodic task: late or early by up to a tenth of its period, never by more than 20 ms.
fn moment(period: Duration, number: u32) -> Duration {
    let most = (period / 10).min(Duration::from_millis(20));
    period * number + most.mul_f64(fastrand::f64()) + Duration::from_millis(20) - most / 2
}

impl Case {
    fn run(&self) -> Vec<Seen> {
        let start = Instant::now();
        let subscription = subscription();
        let mut state = subscription.lock();
        state.parameters.publishing_interval = self.publishing;
        let mut item = item(self.sampling);
        item.period = self.poll;
        item.queue = Queue::new(self.queue, true, &Budget::new(1 << 20));
        item.queue_size = self.queue;
        let (_, key) = state.insert(item);
        let mut seen = Vec::new();
        let (mut polls, mut cycles) = (0, 0);
        loop {
            let poll = moment(self.poll, polls);
            let cycle = moment(self.publishing, cycles) + self.phase;
            if poll.min(cycle) > LENGTH {
                return seen;
            }
            if poll < cycle {
                state.offer(key, &number(i32::try_from(polls).expect("few")), at(start + poll));
                polls += 1;
                continue;
            }
            let waiting = std::mem::take(&mut state.waiting);
            state.flush_waiting(&waiting, at(start + cycle));
            let item = state.item_mut(key).expect("it is there");
            while let Some(sample) = item.queue.pop() {
                let Value::Int32(number) = sample.value else { panic!("{sample:?}") };
                let number = u32::try_from(number).expect("counted from 0");
                seen.push(Seen { number, overflow: sample.status.bits() & 0x480 == 0x480, at: cycle });
            }
            cycles += 1;
        }
    }

    /// Polls that one notification may stand for.
    fn polls_a_notification(&self) -> u32 {
        let newest_only = if self.queue == 1 { self.publishing } else { Duration::ZERO };
        let longest = self.sampling.max(newest_only).max(self.poll);
        let polls = longest.as_millis().div_ceil(self.poll.as_millis());
        // A period that is no multiple of the other holds one poll more now and then, and so does one with jitter.
        u32::try_from(polls).expect("few") + u32::from(longest > self.poll || self.queue == 1)
    }

    fn check(&self, seen: &[Seen]) {
        let last = seen.last().unwrap_or_else(|| panic!("{self:?}: nothing came"));
        for (earlier, later) in seen.iter().zip(&seen[1..]) {
            let step = later.number.checked_sub(earlier.number).filter(|step| *step > 0);
            let step = step.unwrap_or_else(|| panic!("{self:?}: {earlier:?} then {later:?}"));
            assert!(later.overflow || step <= self.polls_a_notification(), "{self:?}: {earlier:?} then {later:?}");
        }
        let fits = self.publishing.as_millis() / self.sampling.max(self.poll).as_millis() + 2 <= self.queue.into();
        let overflows = seen.iter().filter(|seen| seen.overflow).count();
        assert!(self.queue > 1 || overflows == 0, "{self:?}: a queue of one value says nothing of an overflow");
        assert!(!fits || overflows == 0, "{self:?}: {overflows} overflows of a queue that is long enough");
        // Not more often than asked for.
        let period = self.sampling.max(self.poll).max(if self.queue == 1 { self.publishing } else { Duration::ZERO });
        let most = LENGTH.as_millis() / period.as_millis() + 3;
        assert!(seen.len() as u128 <= most, "{self:?}: {} notifications, at most {most}", seen.len());
        // What is sampled is published in the next cycle.
        let wait = self.sampling.max(self.poll) + self.publishing + Duration::from_millis(60);
        for seen in seen {
            let age = seen.at.saturating_sub(self.poll * seen.number);
            assert!(age <= wait, "{self:?}: {seen:?} is {age:?} old");
        }
        assert!(self.poll * (last.number + 1) + wait >= LENGTH, "{self:?}: {last:?} is the last");
    }
}

#[tokio::test(start_paused = true)]
async fn a_counter_loses_nothing_that_sampling_and_queue_do_not_say() {
    fastrand::seed(7);
    for (poll, sampling) in INTERVALS.iter().flat_map(|poll| INTERVALS.map(|sampling| (*poll, sampling))) {
        for (publishing, queue) in INTERVALS.iter().flat_map(|publishing| [(*publishing, 1), (*publishing, 10)]) {
            let ms = Duration::from_millis;
            let case = Case {
                poll: ms(poll),
                sampling: ms(sampling),
                publishing: ms(publishing),
                queue,
                phase: ms(fastrand::u64(0..publishing)),
            };
            case.check(&case.run());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sample_waits_half_a_publishing_interval_on_average() {
    fastrand::seed(11);
    for publishing in INTERVALS.map(Duration::from_millis) {
        let mut ages = Vec::new();
        for phase in (0..20).map(|n| publishing * n / 20) {
            let case = Case { poll: publishing, sampling: publishing, publishing, queue: 10, phase };
            ages.extend(case.run().iter().map(|seen| seen.at.saturating_sub(publishing * seen.number)));
        }
        ages.sort();
        // The clock of this test is 20 ms later than that of the polls.
        let median = ages[ages.len() / 2].saturating_sub(Duration::from_millis(20));
        assert!(median <= publishing / 2 + Duration::from_millis(5), "publishing {publishing:?}: {median:?}");
    }
}
