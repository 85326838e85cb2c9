//! Maintenance: merges small blocks, compacts partitions whose time is over, removes old data.

use std::sync::Arc;

use super::merge::{Task, merge};
use super::partition::Mark;
use super::partitions::PartitionFile;
use super::retention;
use super::rewrite::{compact, renew_suspects};
use super::settings::Effort;
use super::shared::Shared;
use super::trouble::sql_fault;
use crate::history::Fault;
use crate::logging;
use crate::value::UaTime;

/// A partition is compacted this long after its time is over, in ticks, so that late samples still go into the old file.
const SETTLED: i64 = 3600 * 10_000_000;

/// Merges all partitions, compacts those whose time is over, removes old data.
pub(crate) fn maintain(shared: &Shared, now: UaTime, effort: Effort) -> Result<(), Fault> {
    renew_suspects(shared)?;
    let horizon = shared.commits.horizon(effort);
    let is_steady = shared.trusts_clock(now);
    shared.commits.expire_before(horizon);
    for partition in shared.partitions.all() {
        if partition.name.is_damaged {
            continue;
        }
        match tend(shared, &partition, Task { horizon, is_thorough: false, now, is_steady }, effort) {
            Ok(()) => {}
            Err(Fault::Closed) => return Err(Fault::Closed),
            Err(fault) => logging::limited(log::Level::Error, "history not kept", None, format_args!("{fault}")),
        }
    }
    retention::retire(shared, now, is_steady)
}

fn tend(shared: &Shared, partition: &Arc<PartitionFile>, task: Task, effort: Effort) -> Result<(), Fault> {
    check_open(shared)?;
    let is_over = partition.key().end() < task.now.0.saturating_sub(SETTLED);
    let state = state(shared, partition)?;
    let is_settled = state.newest <= task.horizon;
    let tidy = || if state.is_airy { compact(shared, partition, true) } else { Ok(()) };
    if state.mark.is_closed && !state.has_small {
        return tidy();
    }
    let rewritten = merge(shared, partition, Task { is_thorough: is_over || effort == Effort::All, ..task })?;
    check_open(shared)?;
    if state.mark.is_closed && rewritten == 0 && effort == Effort::Usual {
        tidy()
    } else if is_over && is_settled {
        compact(shared, partition, true)
    } else if effort == Effort::All {
        compact(shared, partition, false)
    } else {
        Ok(())
    }
}

/// `Fault::Closed` once the store closes: closing does not wait for maintenance.
fn check_open(shared: &Shared) -> Result<(), Fault> {
    if shared.maintenance.is_closing() { Err(Fault::Closed) } else { Ok(()) }
}

struct State {
    mark: Mark,
    newest: u64,
    has_small: bool,
    /// More than a quarter of its pages are free.
    is_airy: bool,
}

fn state(shared: &Shared, partition: &Arc<PartitionFile>) -> Result<State, Fault> {
    let writer = shared.lease(partition.name)?;
    let at = sql_fault(&partition.path);
    let number = |query: &str| writer.connection.query_row(query, [], |row| row.get::<_, i64>(0)).map_err(&at);
    let mark = writer.mark()?.unwrap_or_default();
    // The only small block of an archive has nothing to be merged with.
    let small = "SELECT EXISTS(SELECT 1 FROM block INDEXED BY small WHERE count < 4096 GROUP BY archive \
                 HAVING count(*) > 1) OR EXISTS(SELECT 1 FROM tombstone)";
    let state = State {
        mark,
        newest: mark.seq,
        has_small: number(small)? != 0,
        is_airy: number("PRAGMA freelist_count")? * 4 > number("PRAGMA page_count")?,
    };
    writer.keep();
    Ok(state)
}
