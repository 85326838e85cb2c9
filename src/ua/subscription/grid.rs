//! The sampling grid of one monitored item: cells of one sampling interval each, which never move.
//!
//! The first sample sets the phase. A cell takes one sample; a later sample of the same cell waits for the next cell,
//! and a newer one replaces it there. So a sample is dropped only when two of them fall into one cell.

use std::time::Duration;

use tokio::time::Instant;

/// A poll that comes this much too early or too late still belongs to the cell that begins there.
const MOST_JITTER: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, Default)]
pub struct Grid {
    /// Start of the next cell; none before the first sample.
    next: Option<Instant>,
}

impl Grid {
    /// A sample of this moment begins a cell.
    pub fn is_due(&self, now: Instant, interval: Duration) -> bool {
        self.next.is_none_or(|next| now + jitter(interval) >= next)
    }

    /// Whether a sample of this moment is too late to be the sample that was due at the start of the next cell.
    pub fn is_late(&self, now: Instant, interval: Duration) -> bool {
        self.next.is_some_and(|next| now > next + jitter(interval))
    }

    /// The next cell is taken.
    pub fn step(&mut self, interval: Duration) {
        self.next = self.next.map(|next| next + interval);
    }

    /// The cell of this moment is taken: the next one begins after it, a whole number of intervals from the first.
    pub fn pass(&mut self, now: Instant, interval: Duration) {
        let Some(next) = self.next.filter(|_| !interval.is_zero()) else {
            self.next = Some(now + interval);
            return;
        };
        let late = (now + jitter(interval)).saturating_duration_since(next);
        let cells = late.as_nanos() / interval.as_nanos() + 1;
        // A pause of more than 2^32 cells costs the phase.
        self.next = Some(u32::try_from(cells).map_or(now + interval, |cells| next + interval * cells));
    }
}

fn jitter(interval: Duration) -> Duration {
    (interval / 8).min(MOST_JITTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_their_phase_however_late_a_sample_is() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let interval = ms(100);
        let mut grid = Grid::default();
        assert!(grid.is_due(start, interval), "the first sample begins a cell");
        grid.pass(start, interval);
        // Moment, begins a cell, is late for the one that was due.
        for (at, due, late) in
            [(10, false, false), (87, false, false), (88, true, false), (112, true, false), (113, true, true)]
        {
            let now = start + ms(at);
            assert_eq!((grid.is_due(now, interval), grid.is_late(now, interval)), (due, late), "at {at} ms");
        }
        for (at, next) in [(95, 200), (205, 300), (499, 600), (100_030, 100_100)] {
            grid.pass(start + ms(at), interval);
            assert_eq!(grid.next, Some(start + ms(next)), "after {at} ms");
        }
    }
}
