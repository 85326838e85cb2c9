//! Spans that edits cleared.

/// All samples from `first` to `last` whose commit is before `seq` are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub first: i64,
    pub last: i64,
    pub seq: u64,
}

impl Tombstone {
    pub(crate) fn covers(&self, time: i64, seq: u64) -> bool {
        self.first <= time && time <= self.last && seq < self.seq
    }
}
