//! Sequence numbers (Part 6 §6.7.2.4, 1.05): one counter a direction for the life of the channel, renewals included.

/// Above this a legacy number may wrap; the one after the wrap is below 1024.
const LEGACY_WRAP: u32 = 4_294_966_271;
const LEGACY_LEAST: u32 = 1024;

/// The number of the chunk that came or went last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    last: Option<u32>,
    legacy: bool,
}

/// The counters of both directions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequences {
    pub received: Sequence,
    pub sent: Sequence,
}

impl Sequence {
    pub(crate) fn new(legacy: bool) -> Sequence {
        Sequence { last: None, legacy }
    }

    /// The number of the next chunk that we send.
    pub(crate) fn next(&mut self) -> u32 {
        let next = match self.last {
            None => u32::from(self.legacy),
            Some(last) if self.legacy && last > LEGACY_WRAP => 1,
            Some(last) => last.wrapping_add(1),
        };
        self.last = Some(next);
        next
    }

    /// Takes the number of a chunk that came, if it is the one that must follow.
    pub(crate) fn accept(&mut self, number: u32) -> bool {
        let follows = match self.last {
            None => self.legacy || number == 0,
            Some(last) if self.legacy && last > LEGACY_WRAP => {
                number < LEGACY_LEAST || last.checked_add(1) == Some(number)
            }
            Some(last) => last.wrapping_add(1) == number,
        };
        if follows {
            self.last = Some(number);
        }
        follows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_number_follows_and_each_rule_wraps_at_its_own_place() {
        for (legacy, last, number, follows) in [
            (true, None, 17, true),
            (false, None, 0, true),
            (false, None, 1, false),
            (true, Some(5), 6, true),
            (true, Some(5), 5, false),
            (true, Some(5), 7, false),
            (true, Some(LEGACY_WRAP), 1, false),
            (true, Some(LEGACY_WRAP), LEGACY_WRAP + 1, true),
            (true, Some(LEGACY_WRAP + 1), 1023, true),
            (true, Some(LEGACY_WRAP + 1), 1024, false),
            (true, Some(u32::MAX), 0, true),
            (false, Some(u32::MAX), 0, true),
            (false, Some(u32::MAX), 1, false),
            (false, Some(LEGACY_WRAP + 1), 1, false),
        ] {
            let mut sequence = Sequence { last, legacy };
            assert_eq!(sequence.accept(number), follows, "{last:?} then {number}, legacy {legacy}");
        }
    }

    #[test]
    fn what_we_send_is_what_we_accept() {
        for legacy in [true, false] {
            for start in [None, Some(LEGACY_WRAP - 2), Some(u32::MAX - 3)] {
                let mut sent = Sequence { last: start, legacy };
                let mut received = Sequence { last: start, legacy };
                for _ in 0..10 {
                    assert!(received.accept(sent.next()));
                }
            }
        }
    }
}
