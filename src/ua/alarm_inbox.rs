//! Samples of tags with alarms, from the drivers' threads to the task that evaluates them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::AlarmIx;
use crate::tags::Watcher;
use crate::value::{Moment, Sample};

/// Samples of one alarm that may wait; of more the newest takes the place of the last.
const MOST: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
    /// Samples that a newer one replaced before they were evaluated.
    replaced: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By `AlarmIx`.
    of: Vec<VecDeque<Sample>>,
    /// Alarms with samples, in the order of their first one.
    order: Vec<AlarmIx>,
}

impl Inbox {
    pub(crate) async fn some(&self) {
        self.wake.notified().await;
    }

    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Everything that waits, by alarm.
    pub(crate) fn take(&self) -> Vec<(AlarmIx, VecDeque<Sample>)> {
        let mut waiting = self.waiting.lock();
        let order = std::mem::take(&mut waiting.order);
        order.into_iter().map(|alarm| (alarm, std::mem::take(&mut waiting.of[alarm.0 as usize]))).collect()
    }

    pub(crate) fn take_replaced(&self) -> u64 {
        self.replaced.swap(0, Ordering::Relaxed)
    }
}

impl Watcher for Inbox {
    fn offer(&self, key: u32, sample: &Sample, _: Moment) {
        let mut waiting = self.waiting.lock();
        let Waiting { of, order } = &mut *waiting;
        if of.len() <= key as usize {
            of.resize_with(key as usize + 1, VecDeque::new);
        }
        let queue = &mut of[key as usize];
        if queue.is_empty() {
            order.push(AlarmIx(key));
        } else if queue.len() == MOST {
            queue.pop_back();
            self.replaced.fetch_add(1, Ordering::Relaxed);
        }
        queue.push_back(sample.clone());
        drop(waiting);
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use opcua::StatusCode;

    use super::*;
    use crate::value::{UaTime, Value};

    #[test]
    fn a_burst_is_bounded_and_the_newest_sample_is_never_lost() {
        let inbox = Inbox::default();
        for n in 0..100 {
            let (value, time) = (Value::Int32(n), UaTime(n.into()));
            let sample = Sample { value, status: StatusCode::Good, source_time: time, server_time: time };
            inbox.offer(3, &sample, Moment::now());
        }
        let taken = inbox.take();
        let values: Vec<&Value> = taken[0].1.iter().map(|sample| &sample.value).collect();
        assert_eq!((taken.len(), taken[0].0, values.len()), (1, AlarmIx(3), MOST));
        assert_eq!((values[0], values[62], values[63]), (&Value::Int32(0), &Value::Int32(62), &Value::Int32(99)));
        assert_eq!((inbox.take_replaced(), inbox.take().len()), (36, 0));
    }
}
