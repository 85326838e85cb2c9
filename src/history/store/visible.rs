//! Chooses the sample that a reader sees when several have the same instant.

use super::rows::Rows;
use super::tombstone::Tombstone;

/// The commits that a reader sees: up to `as_of`, less the spans that edits cleared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub as_of: u64,
    pub tombstones: &'a [Tombstone],
}

impl Sight<'_> {
    fn sees(&self, time: i64, seq: u64) -> bool {
        let is_cleared = |stone: &Tombstone| stone.seq <= self.as_of && stone.covers(time, seq);
        seq <= self.as_of && !self.tombstones.iter().any(is_cleared)
    }

    /// Something is cleared between these times.
    pub(crate) fn is_touched(&self, first: i64, last: i64) -> bool {
        self.tombstones.iter().any(|stone| stone.seq <= self.as_of && stone.first <= last && first <= stone.last)
    }

    /// Leaves of rows in time order what is to be seen, each instant once: the sample that came last.
    pub(crate) fn settle(&self, rows: &mut Rows) {
        let count = rows.len();
        let newest = rows.seqs.iter().copied().max().unwrap_or(rows.seq);
        let is_strict = rows.times.windows(2).all(|pair| pair[0] < pair[1]);
        let (Some(first), Some(last)) = (rows.times.first(), rows.times.last()) else { return };
        if is_strict && newest <= self.as_of && !self.is_touched(*first, *last) {
            return;
        }
        let mut keep: Vec<bool> = (0..count).map(|at| self.sees(rows.times[at], rows.seq(at))).collect();
        let mut best: Option<usize> = None;
        for at in 0..count {
            if !keep[at] {
                continue;
            }
            match best.filter(|best| rows.times[*best] == rows.times[at]) {
                // Of one commit the later one wins.
                Some(other) if rows.seq(other) > rows.seq(at) => keep[at] = false,
                Some(other) => {
                    keep[other] = false;
                    best = Some(at);
                }
                None => best = Some(at),
            }
        }
        rows.retain(&keep);
    }
}
