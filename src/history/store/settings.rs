//! Settings of a store, and the sizes of its blocks.

use std::path::PathBuf;
use std::time::Duration;

/// Samples a frame: the smallest part of a block that decodes alone and has a summary.
pub(crate) const FRAME: usize = 256;
/// Samples a block, at most.
pub(crate) const BLOCK: usize = 4096;
/// Samples of one archive in memory, at most, before a flush.
pub(crate) const LANE: usize = 65_536;

/// The span of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Partition {
    /// A UTC day.
    Day,
    /// A UTC month.
    Month,
}

/// Reaction when the store reaches its `max_size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// The oldest partition is removed.
    DropOldest,
    /// Recording stops.
    Stop,
}

/// The settings that may change while a store is open. Another `partition` holds for samples that are written into blocks
/// from the next flush on; files that are there stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub commit: Duration,
    pub min_free: u64,
    pub max_size: u64,
    pub on_full: OnFull,
    pub partition: Option<Partition>,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder; made when it is missing.
    pub path: PathBuf,
    /// Longest time from a sample's arrival to its commit.
    pub commit: Duration,
    /// Bytes that stay free on the disk: with less, recording stops until there is room again.
    pub min_free: u64,
    /// Bytes that the store may take in all.
    pub max_size: u64,
    pub on_full: OnFull,
    /// `None`: months for what is kept longer than 90 days, else days.
    pub partition: Option<Partition>,
    /// Samples in memory that make a flush into blocks due: 32 bytes each, twice that while a flush is under way.
    pub head_samples: usize,
    /// Rows that may wait for a group commit; when there are more, the oldest are dropped.
    pub queue_rows: usize,
    /// Longest time between two flushes.
    pub flush_every: Duration,
    /// Shortest time for which a continuation point stays valid.
    pub pin: Duration,
}

impl Settings {
    pub fn bounds(&self) -> Bounds {
        let Settings { commit, min_free, max_size, on_full, partition, .. } = *self;
        Bounds { commit, min_free, max_size, on_full, partition }
    }

    pub fn new(path: impl Into<PathBuf>) -> Settings {
        Settings {
            path: path.into(),
            commit: Duration::from_secs(1),
            min_free: 512 << 20,
            max_size: u64::MAX,
            on_full: OnFull::DropOldest,
            partition: None,
            head_samples: 2_000_000,
            queue_rows: 1_000_000,
            flush_every: Duration::from_secs(15 * 60),
            pin: Duration::from_secs(10 * 60),
        }
    }
}

/// How thorough maintenance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Only what is due; reads that take several pages stay valid.
    Usual,
    /// Everything, at once; reads that take several pages expire.
    All,
}
