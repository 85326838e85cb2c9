//! The maintenance thread: flushes the head into blocks, merges small blocks, removes old data.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::flush::flush;
use super::maintenance::maintain;
use super::retention::by_size;
use super::settings::Effort;
use super::shared::Shared;
use crate::history::Fault;
use crate::logging;
use crate::value::UaTime;

/// Longest time between two rounds.
const ROUND: Duration = Duration::from_secs(10);
/// Time between two merges of small blocks.
const TIDY: Duration = Duration::from_secs(3600);
/// Time from the start to the first merge, so that a server that never runs for long merges too.
const FIRST_TIDY: Duration = Duration::from_secs(300);
/// Time between two checks of the size of all files.
const WEIGH: Duration = Duration::from_secs(60);

pub(crate) fn run(shared: &Shared) {
    let (mut flushed, mut weighed) = (Instant::now(), Instant::now());
    let mut tidy_at = flushed + FIRST_TIDY;
    while shared.maintenance.wait(ROUND) {
        if shared.is_flush_due()
            || shared.condition.flush_fault().is_some()
            || flushed.elapsed() >= shared.settings.flush_every
        {
            let _writes = shared.block_writes.lock();
            let outcome = flush(shared);
            shared.condition.note_flush(outcome.as_ref().err().map(ToString::to_string));
            if outcome.is_ok() {
                flushed = Instant::now();
            }
        }
        if shared.is_weighing_due.swap(false, Ordering::AcqRel) || weighed.elapsed() >= WEIGH {
            weighed = Instant::now();
            let _writes = shared.block_writes.lock();
            if let Err(fault) = by_size(shared) {
                logging::limited(log::Level::Error, "history not kept", None, format_args!("{fault}"));
            }
        }
        if Instant::now() >= tidy_at {
            tidy_at = Instant::now() + TIDY;
            let _writes = shared.block_writes.lock();
            match maintain(shared, UaTime::now(), Effort::Usual) {
                Ok(()) | Err(Fault::Closed) => {}
                Err(fault) => logging::limited(log::Level::Error, "history not kept", None, format_args!("{fault}")),
            }
        }
    }
}
