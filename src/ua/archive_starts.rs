//! The first time of each archive. It is only on the disk, so it is looked up in the disk pool and remembered for a
//! while.

use std::collections::HashMap;
use std::time::Duration;

use opcua::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::history::Archives;
use crate::model::TagId;
use crate::value::UaTime;

/// Archives grow at their start only when old data is dropped.
const FRESH: Duration = Duration::from_secs(10);
/// More than one Read can ask for.
const MOST: usize = 20_000;

/// The time of the first value of an archive; `None` for an empty one.
pub(crate) type Start = Result<Option<UaTime>, StatusCode>;

/// A start, and when it was looked up.
#[derive(Debug, Clone, Copy)]
struct Known {
    start: Start,
    at: Instant,
}

#[derive(Debug, Default)]
pub struct ArchiveStarts {
    known: Mutex<HashMap<TagId, Known>>,
}

impl ArchiveStarts {
    /// Forgets all: a reload gave tags other archives.
    pub(crate) fn clear(&self) {
        self.known.lock().clear();
    }

    pub fn get(&self, tag: TagId, now: Instant) -> Option<Start> {
        let known = self.known.lock();
        let Known { start, at } = *known.get(&tag)?;
        (now.saturating_duration_since(at) < FRESH).then_some(start)
    }

    /// Looks them up. Runs in the disk pool.
    pub fn find(&self, archives: &Archives, tags: &[TagId]) {
        for tag in tags {
            let Some(archive) = archives.of(*tag) else { continue };
            let start = archives.historian.extent(archive).map_err(|fault| super::disk_pool::refused(&fault));
            let start = start.map(|extent| extent.map(|(first, _)| first));
            let mut known = self.known.lock();
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(*tag, Known { start, at: Instant::now() });
        }
    }
}
