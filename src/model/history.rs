//! History: the classes that tags name, and the settings of the store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Plant, TagId};

/// A history class: how much history is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryClass {
    pub name: Arc<str>,
    /// Between two samples the first holds, instead of a straight line; `None`: as the tag's type has it.
    pub stepped: Option<bool>,
    pub deadband: HistoryDeadband,
    /// Longest time between two records, even of an unchanged value.
    pub max_interval: Duration,
    pub keep: Duration,
    /// Bytes on disk of all tags of the class together.
    pub max_size: Option<u64>,
    /// Every sample is recorded, also those in which only the time is new.
    pub every_sample: bool,
}

/// Smallest change that is recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HistoryDeadband {
    /// In the tag's unit.
    Absolute(f64),
    /// Of the tag's range.
    Percent(f64),
}

/// The store of the whole server.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPlan {
    /// `None`: `history` in the state folder.
    pub path: Option<PathBuf>,
    /// Time between group commits.
    pub commit: Duration,
    /// Bytes of disk that remain free.
    pub min_free: u64,
    /// Bytes on disk of everything.
    pub max_size: u64,
    /// Span of one file; `None`: a month for classes that keep more than 90 d, else a day.
    pub partition: Option<HistoryPartition>,
    /// At `max_size` the oldest samples are removed; false: recording stops.
    pub drop_oldest: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryPartition {
    Day,
    Month,
}

impl Default for HistoryPlan {
    fn default() -> HistoryPlan {
        HistoryPlan {
            path: None,
            commit: Duration::from_secs(1),
            min_free: 1 << 30,
            max_size: 20 << 30,
            partition: None,
            drop_oldest: true,
        }
    }
}

impl Plant {
    /// The history class of a tag that has one.
    pub fn history_of(&self, tag: TagId) -> Option<&HistoryClass> {
        Some(&self.history[usize::from(self.tag(tag).history?.0)])
    }

    /// The Stepped property of a tag with history (Part 11 §5.2.2, 1.05).
    pub fn is_stepped(&self, tag: TagId) -> bool {
        let shape = &self.tag(tag).shape;
        let is_line = shape.data_type.is_number();
        self.history_of(tag).and_then(|class| class.stepped).unwrap_or(!is_line)
    }
}
