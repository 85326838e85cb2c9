//! Whether the wall clock can be trusted: a clock that jumps ahead must not empty the store.

use std::time::{Duration, Instant};

use crate::value::UaTime;

/// The clock must have run steadily for this long.
const STEADY: Duration = Duration::from_secs(3600);
/// Difference between clock and stopwatch, in ticks, that is no jump.
const JUMP: i64 = 60 * 10_000_000;

/// Compares the wall clock with a stopwatch, to tell whether ages can be judged by it.
#[derive(Debug, Default)]
pub(crate) struct ClockWatch {
    began: Option<(Instant, UaTime)>,
    before: Option<(Instant, UaTime)>,
}

impl ClockWatch {
    /// Trusts the clock at once: for a caller that knows the time.
    pub(crate) fn trust(&mut self, at: Instant, now: UaTime) {
        self.began = at.checked_sub(STEADY).map(|then| (then, now));
        self.before = Some((at, now));
    }

    /// The clock has run steadily for an hour.
    pub(crate) fn is_steady(&mut self, at: Instant, now: UaTime) -> bool {
        let jumped = self.before.is_none_or(|(then, clock)| {
            let passed = i64::try_from((at - then).as_nanos() / 100).unwrap_or(i64::MAX);
            (now.0 - clock.0 - passed).abs() > JUMP
        });
        if jumped {
            self.began = Some((at, now));
        }
        self.before = Some((at, now));
        self.began.is_some_and(|(then, _)| at - then >= STEADY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumped_is_trusted_again_after_an_hour() {
        let (start, clock) = (Instant::now(), UaTime(134_081_568_000_000_000));
        let mut watch = ClockWatch::default();
        // Minutes of the stopwatch, minutes that the clock is ahead, trusted.
        for (minute, ahead, trusted) in [
            (0u64, 0i64, false),
            (30, 0, false),
            (61, 0, true),
            (62, 500_000, false),
            (120, 500_000, false),
            (122, 500_000, true),
            (123, 0, false),
        ] {
            let at = start + Duration::from_secs(minute * 60);
            let now = UaTime(clock.0 + (minute.cast_signed() + ahead) * 600_000_000);
            assert_eq!(watch.is_steady(at, now), trusted, "minute {minute}");
        }
    }
}
