//! The order of a subscription's messages: each is taken once, and missing ones are asked for again. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::items::Made;
use super::wire::MOST_MESSAGE;

/// Messages that wait for an earlier one.
const MOST_WAITING: usize = 64;
/// Bytes of these: one of the largest messages.
const MOST_BYTES: usize = MOST_MESSAGE as usize;
/// Missing messages that are asked for one by one.
const MOST_MISSING: i32 = 1_000;

/// One subscription, for all points with one PublishingInterval.
#[derive(Debug)]
pub(super) struct Subscription {
    /// PublishingInterval asked for.
    pub every: Duration,
    /// `None`: the server does not have it yet, or no longer.
    pub made: Option<Made>,
    /// When a message of it came last.
    pub heard: Instant,
    order: Order,
}

/// Which message is next, and those that came before it.
#[derive(Debug, Default)]
struct Order {
    /// `None` before the first message, whose number is the server's choice.
    next: Option<u32>,
    /// Messages that came too early, in their order.
    waiting: VecDeque<Early>,
    /// A keep-alive said that the messages before this number exist.
    until: Option<u32>,
    /// The link was lost: messages may be missing without any sign.
    is_resumed: bool,
    /// The number that was asked for again.
    asked: Option<u32>,
    /// Messages that the server no longer had.
    lost: u64,
}

#[derive(Debug)]
struct Early {
    sequence: u32,
    bytes: Vec<u8>,
}

fn after(number: u32) -> u32 {
    number.checked_add(1).unwrap_or(1)
}

/// The distance from `of` to `number`; below zero for an earlier number.
fn ahead(number: u32, of: u32) -> i32 {
    number.wrapping_sub(of).cast_signed()
}

impl Subscription {
    pub(super) fn new(every: Duration, now: Instant) -> Subscription {
        Subscription { every, made: None, heard: now, order: Order::default() }
    }

    pub(super) fn made(&mut self, made: Made, now: Instant) {
        (self.made, self.heard, self.order) = (Some(made), now, Order::default());
    }

    /// The server no longer has it.
    pub(super) fn forget(&mut self) {
        let lost = self.order.lost;
        self.made = None;
        self.order = Order { lost, ..Order::default() };
    }

    /// The link is open again.
    pub(super) fn resume(&mut self, now: Instant) {
        self.heard = now;
        self.order.asked = None;
        self.order.is_resumed = self.order.next.is_some();
    }

    /// A message with notifications came. Gives each that is due to `take`, with its number.
    pub(super) fn message(&mut self, sequence: u32, bytes: &[u8], take: &mut dyn FnMut(u32, &[u8])) {
        let order = &mut self.order;
        match order.next.map_or(0, |next| ahead(sequence, next)) {
            0 => {
                take(sequence, bytes);
                order.next = Some(after(sequence));
                order.release(take);
            }
            1.. => {
                let at = order.waiting.iter().position(|early| ahead(sequence, early.sequence) <= 0);
                let is_there = at.is_some_and(|at| order.waiting[at].sequence == sequence);
                if !is_there {
                    let at = at.unwrap_or(order.waiting.len());
                    order.waiting.insert(at, Early { sequence, bytes: bytes.to_vec() });
                }
                while order.waiting.len() > MOST_WAITING || order.bytes() > MOST_BYTES {
                    order.skip(take);
                }
            }
            // It was taken before.
            ..0 => {}
        }
    }

    /// A message without notifications came; `sequence` is the number of the next one with some.
    pub(super) fn keep_alive(&mut self, sequence: u32) {
        match self.order.next {
            None => self.order.next = Some(sequence),
            Some(next) if ahead(sequence, next) > 0 => self.order.until = Some(sequence),
            Some(_) => {}
        }
    }

    /// The number of a message to be asked for again. It counts as asked for.
    pub(super) fn missing(&mut self) -> Option<u32> {
        let order = &mut self.order;
        let next = order.next.filter(|_| order.asked.is_none() && self.made.is_some())?;
        let is_missing =
            order.is_resumed || !order.waiting.is_empty() || order.until.is_some_and(|until| ahead(until, next) > 0);
        order.asked = is_missing.then_some(next);
        order.asked
    }

    /// The server gave the message that was asked for again.
    pub(super) fn republished(&mut self, sequence: u32, bytes: &[u8], take: &mut dyn FnMut(u32, &[u8])) {
        self.order.asked = None;
        self.message(sequence, bytes, take);
    }

    /// The server does not have that message.
    pub(super) fn unavailable(&mut self, sequence: u32, take: &mut dyn FnMut(u32, &[u8])) {
        let order = &mut self.order;
        order.asked = None;
        if order.next != Some(sequence) {
            return;
        }
        let is_known = !order.waiting.is_empty() || order.until.is_some_and(|until| ahead(until, sequence) > 0);
        if is_known {
            order.pass(take);
        }
        order.is_resumed = false;
    }

    /// Messages that are lost, since the last call.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.order.lost)
    }

    /// It waits for an earlier message; no other is asked for meanwhile.
    pub(super) fn is_waiting(&self) -> bool {
        !self.order.waiting.is_empty()
    }
}

impl Order {
    /// Bytes that wait.
    fn bytes(&self) -> usize {
        self.waiting.iter().map(|early| early.bytes.len()).sum()
    }

    /// Gives up one message, or all at once where very many are missing.
    fn pass(&mut self, take: &mut dyn FnMut(u32, &[u8])) {
        let Some(next) = self.next else { return };
        let there = self.waiting.front().map(|early| early.sequence).or(self.until).unwrap_or(next);
        if ahead(there, next) > MOST_MISSING {
            return self.skip(take);
        }
        self.lost += 1;
        self.next = Some(after(next));
        self.release(take);
    }

    /// Goes on with the next message that is there.
    fn skip(&mut self, take: &mut dyn FnMut(u32, &[u8])) {
        let Some(next) = self.next else { return };
        let there = self.waiting.front().map(|early| early.sequence).or(self.until).unwrap_or(after(next));
        self.lost += u64::try_from(ahead(there, next)).unwrap_or(1);
        self.next = Some(there);
        self.release(take);
    }

    fn release(&mut self, take: &mut dyn FnMut(u32, &[u8])) {
        while let Some(early) = self.waiting.pop_front_if(|early| Some(early.sequence) == self.next) {
            take(early.sequence, &early.bytes);
            self.next = Some(after(early.sequence));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subscription() -> Subscription {
        let now = Instant::now();
        let mut subscription = Subscription::new(Duration::from_secs(1), now);
        let every = Duration::from_secs(1);
        subscription.made(Made { id: 1, every, keep_alive: every }, now);
        subscription
    }

    #[test]
    fn numbers_begin_anywhere_and_wrap_without_a_zero() {
        let mut one = subscription();
        let mut taken = Vec::new();
        for number in [u32::MAX - 1, u32::MAX, 1, 2, 1] {
            one.message(number, &[], &mut |number, _| taken.push(number));
        }
        assert_eq!(taken, [u32::MAX - 1, u32::MAX, 1, 2]);
        assert_eq!(one.missing(), None);
        one.keep_alive(3);
        assert_eq!(one.missing(), None);
        one.keep_alive(5);
        assert_eq!((one.missing(), one.missing()), (Some(3), None), "asked once");
        one.unavailable(3, &mut |_, _| {});
        assert_eq!(one.missing(), Some(4));
        one.unavailable(4, &mut |_, _| {});
        assert_eq!(one.take_lost(), 2);
        assert_eq!(one.missing(), None);
    }

    #[test]
    fn after_a_lost_link_messages_are_asked_for_until_there_are_no_more() {
        let mut one = subscription();
        let mut taken = Vec::new();
        let mut take = |number: u32, _: &[u8]| taken.push(number);
        one.message(1, &[], &mut take);
        one.resume(Instant::now());
        assert_eq!(one.missing(), Some(2));
        // A later one comes first.
        one.message(4, &[], &mut take);
        one.republished(2, &[], &mut take);
        assert_eq!(one.missing(), Some(3));
        one.republished(3, &[], &mut take);
        assert_eq!(one.missing(), Some(5));
        one.unavailable(5, &mut take);
        assert_eq!((one.missing(), one.take_lost()), (None, 0));
        assert_eq!(taken, [1, 2, 3, 4]);
    }

    #[test]
    fn what_waits_is_bounded_by_its_bytes() {
        let mut one = subscription();
        let mut taken = Vec::new();
        let large = vec![0; MOST_BYTES / 3];
        one.message(1, &[], &mut |number, _| taken.push(number));
        // The second is missing.
        for number in 3..=5 {
            one.message(number, &large, &mut |number, _| taken.push(number));
        }
        assert_eq!((taken.as_slice(), one.take_lost()), (&[1][..], 0));
        one.message(6, &large, &mut |number, _| taken.push(number));
        assert_eq!((taken.as_slice(), one.take_lost()), (&[1, 3, 4, 5, 6][..], 1));
        assert_eq!(one.order.bytes(), 0);
    }

    proptest! {
        /// In any order, with repeats, and with a server that keeps some: each message at most once, in order, and the
        /// count of those that are missing is right.
        #[test]
        fn each_message_is_taken_once_in_its_order(
            order in Just((1u32..30).collect::<Vec<u32>>()).prop_shuffle(),
            kept in proptest::collection::vec(any::<bool>(), 30),
            cut in 0usize..29,
        ) {
            let mut one = subscription();
            let mut taken = Vec::new();
            one.message(0, &[], &mut |_, _| {});
            for (at, number) in order.iter().enumerate() {
                if at >= cut {
                    one.message(*number, &[], &mut |number, _| taken.push(number));
                }
                if at.is_multiple_of(3) && let Some(asked) = one.missing() {
                    match kept[asked as usize % 30] {
                        true => one.republished(asked, &[], &mut |number, _| taken.push(number)),
                        false => one.unavailable(asked, &mut |number, _| taken.push(number)),
                    }
                }
            }
            while let Some(asked) = one.missing() {
                one.unavailable(asked, &mut |number, _| taken.push(number));
            }
            prop_assert!(taken.is_sorted_by(|one, other| one < other), "{:?}", taken);
            let last = taken.last().copied().unwrap_or(0);
            prop_assert_eq!(u64::from(last) - taken.len() as u64, one.take_lost());
        }
    }
}
