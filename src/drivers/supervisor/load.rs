//! Whether a link keeps its poll plan, measured: planned requests a second times the time that one takes.

use std::time::Duration;

use tokio::time::Instant;

/// The load is measured over this time.
const WINDOW: Duration = Duration::from_secs(5);
/// Fewer answers are no measure of the link's speed.
const FEWEST: u32 = 3;
/// Above this share of the link's time scans are skipped; below the other one the plan is kept again.
const TOO_MUCH: f64 = 1.02;
const ENOUGH: f64 = 0.95;

#[derive(Debug)]
pub(crate) struct Load {
    began: Instant,
    busy: Duration,
    answers: u32,
    is_too_much: bool,
}

/// The load of one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    /// Share of the link's time that the plan needs; 1 is all of it.
    pub share: f64,
    pub planned: f64,
    /// Time that a request takes.
    pub each: Duration,
    pub news: Option<News>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    TooMuch,
    Kept,
}

impl Load {
    pub(crate) fn new(now: Instant) -> Load {
        Load { began: now, busy: Duration::ZERO, answers: 0, is_too_much: false }
    }

    /// A request was answered after this time.
    pub(crate) fn answered(&mut self, took: Duration) {
        self.busy += took;
        self.answers += 1;
    }

    /// The load, once a window; `planned` is the rate of the plan, in requests a second.
    pub(crate) fn measure(&mut self, now: Instant, planned: impl FnOnce() -> f64) -> Option<Measured> {
        if now.saturating_duration_since(self.began) < WINDOW || self.answers < FEWEST {
            return None;
        }
        let (planned, each) = (planned(), self.busy / self.answers);
        let share = planned * each.as_secs_f64();
        (self.began, self.busy, self.answers) = (now, Duration::ZERO, 0);
        let news = match self.is_too_much {
            false if share > TOO_MUCH => Some(News::TooMuch),
            true if share < ENOUGH => Some(News::Kept),
            _ => None,
        };
        self.is_too_much ^= news.is_some();
        Some(Measured { share, planned, each, news })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_news_once_in_each_direction() {
        let mut now = Instant::now();
        let mut load = Load::new(now);
        for (each, share, news) in [
            (40, 0.8, None),
            (150, 3.0, Some(News::TooMuch)),
            (150, 3.0, None),
            (49, 0.98, None),
            (40, 0.8, Some(News::Kept)),
            (40, 0.8, None),
        ] {
            for _ in 0..FEWEST {
                assert_eq!(load.measure(now, || 20.0), None, "not before the window ends");
                load.answered(Duration::from_millis(each));
            }
            now += WINDOW;
            let measured = load.measure(now, || 20.0).expect("a window ended");
            assert!((measured.share - share).abs() < 1e-9, "{measured:?}");
            assert_eq!(measured.news, news, "{measured:?}");
        }
    }
}
