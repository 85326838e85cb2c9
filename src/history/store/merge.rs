//! Merges small blocks into large ones, puts late samples in their place, drops samples that edits replaced or cleared.
//!
//! Only commits up to the horizon are touched: no valid read can still need their old form.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rusqlite::Connection;

use super::block::{Data, Index, Times, frame_counts};
use super::fetch::{self, Found};
use super::flush::{Columns, put_all};
use super::partition::{BlockRow, Change};
use super::partitions::PartitionFile;
use super::rows::Rows;
use super::settings::BLOCK;
use super::shared::Shared;
use super::tombstone::Tombstone;
use super::visible::Sight;
use crate::history::{ArchiveId, Fault};
use crate::value::UaTime;

/// Samples that one transaction rewrites, about.
const AT_ONCE: usize = 1_000_000;
/// Columns of times that are remembered decoded.
const MOST_TIMES: usize = 256;

/// How much is to be merged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    /// Commits up to here.
    pub horizon: u64,
    /// Also where little is won: the partition will not be written any more.
    pub is_thorough: bool,
    pub now: UaTime,
    /// The clock can be trusted to judge ages by.
    pub is_steady: bool,
}

/// Bytes of values from which on a block gains nothing by being merged, however few samples it has: such are cut at the
/// most bytes of a block, and would be written again each time.
const HEAVY: i64 = 64 << 10;
/// Blocks that become one stretch only because they follow one another: their samples are in memory at once.
const MOST_JOINED: usize = 64;

/// Merges what can be merged in a partition; tells how many samples were rewritten.
pub(crate) fn merge(shared: &Shared, partition: &PartitionFile, task: Task) -> Result<usize, Fault> {
    let mut writer = shared.lease(partition.name)?;
    let path = partition.path.clone();
    let at = super::trouble::sql_fault(&path);
    let archives = candidates(&writer.connection, task).map_err(&at)?;
    let mut left = archives.into_iter().peekable();
    let mut total = 0;
    while left.peek().is_some() && !shared.maintenance.is_closing() {
        let mut change = writer.change()?;
        let mut work = Work { task, columns: Columns::default(), times: HashMap::new(), freed: BTreeSet::new() };
        let mut rewritten = 0;
        while rewritten < AT_ONCE
            && let Some(archive) = left.next()
        {
            let floor = if task.is_steady { shared.archives.retention().floor(archive, task.now).0 } else { i64::MIN };
            rewritten += work.merge(&mut change, partition, archive, floor).map_err(&at)?;
        }
        work.drop_orphans(&change).map_err(&at)?;
        change.commit()?;
        total += rewritten;
    }
    writer.keep();
    Ok(total)
}

/// Archives that have several small blocks or something to clear.
fn candidates(connection: &Connection, task: Task) -> Result<BTreeSet<ArchiveId>, rusqlite::Error> {
    let id = |number: i64| u32::try_from(number).map(ArchiveId).ok();
    let mut found = BTreeSet::new();
    let mut small =
        connection.prepare_cached("SELECT archive FROM block INDEXED BY small WHERE count < 4096 ORDER BY archive")?;
    let mut rows = small.query([])?;
    let mut before = None;
    while let Some(row) = rows.next()? {
        let archive = id(row.get(0)?);
        if archive == before {
            found.extend(archive);
        }
        before = archive;
    }
    let mut cleared = connection.prepare_cached("SELECT DISTINCT archive FROM tombstone WHERE seq <= ?")?;
    let mut rows = cleared.query([task.horizon.cast_signed()])?;
    while let Some(row) = rows.next()? {
        found.extend(id(row.get(0)?));
    }
    Ok(found)
}

struct Work {
    task: Task,
    columns: Columns,
    times: HashMap<i64, Arc<Vec<i64>>>,
    /// Columns of times that a removed block used.
    freed: BTreeSet<i64>,
}

/// Blocks that become one stretch.
#[derive(Debug, Default)]
struct Group {
    blocks: Vec<BlockRow>,
    last: i64,
    overlaps: bool,
    is_cleared: bool,
}

impl Group {
    fn is_worth_it(&self, is_thorough: bool) -> bool {
        let total: usize = self.blocks.iter().map(|row| row.count).sum();
        let largest = self.blocks.iter().map(|row| row.count).max().unwrap_or(0);
        let several = self.blocks.len() > 1;
        let wins = is_thorough || self.overlaps || total >= BLOCK || (total - largest) * 4 >= largest;
        self.is_cleared || several && wins
    }
}

impl Work {
    /// Merges one archive; tells how many samples were rewritten.
    fn merge(
        &mut self,
        change: &mut Change<'_>,
        partition: &PartitionFile,
        archive: ArchiveId,
        floor: i64,
    ) -> Result<usize, rusqlite::Error> {
        let list = fetch::list(change.connection(), partition.key(), archive)?;
        let horizon = self.task.horizon;
        let stones: Vec<Tombstone> = list.tombstones.iter().filter(|stone| stone.seq <= horizon).copied().collect();
        let (mut rewritten, mut is_all) = (0, list.losses.is_empty());
        let heavy = heavy(change.connection(), archive)?;
        for group in groups(&list.blocks, &stones, &heavy, horizon) {
            if !group.is_worth_it(self.task.is_thorough) {
                continue;
            }
            // A damaged block stays as it is, and so does what overlaps it.
            let Some(rows) = self.rows(change.connection(), &group, &stones, floor)? else {
                is_all = false;
                continue;
            };
            put_all(change, &mut self.columns, archive, &rows)?;
            for row in &group.blocks {
                change.delete_block(row)?;
                self.freed.insert(row.times);
                rewritten += row.count;
            }
        }
        if is_all && !stones.is_empty() {
            let delete = "DELETE FROM tombstone WHERE archive = ? AND seq <= ?";
            let numbers = [i64::from(archive.0), horizon.cast_signed()];
            change.connection().prepare_cached(delete)?.execute(numbers)?;
        }
        Ok(rewritten)
    }

    /// The remaining samples of a group; `None` when one of its blocks is damaged.
    fn rows(
        &mut self,
        connection: &Connection,
        group: &Group,
        stones: &[Tombstone],
        floor: i64,
    ) -> Result<Option<Rows>, rusqlite::Error> {
        let mut all = Rows::empty();
        let mut newest = stones.iter().map(|stone| stone.seq).max().unwrap_or(0);
        for row in &group.blocks {
            let Some(rows) = self.block(connection, row, group.overlaps || group.is_cleared)? else { return Ok(None) };
            all.append(&rows);
            newest = newest.max(row.newest);
        }
        if group.overlaps {
            let mut order: Vec<usize> = (0..all.len()).collect();
            order.sort_by_key(|at| (all.times[*at], all.seq(*at)));
            all = all.picked(&order);
        }
        Sight { as_of: self.task.horizon, tombstones: stones }.settle(&mut all);
        if all.times.first().is_some_and(|first| *first < floor) {
            let keep: Vec<bool> = all.times.iter().map(|time| *time >= floor).collect();
            all.retain(&keep);
        }
        all.seqs = Vec::new();
        all.seq = newest;
        Ok(Some(all))
    }

    fn block(
        &mut self,
        connection: &Connection,
        row: &BlockRow,
        wants_seqs: bool,
    ) -> Result<Option<Rows>, rusqlite::Error> {
        let (Found::Bytes(data), Found::Bytes(frames)) =
            (fetch::data(connection, row)?, fetch::frames(connection, row)?)
        else {
            return Ok(None);
        };
        let Ok(index) = Index::read(&frames, row.first, row.count) else { return Ok(None) };
        let wants_seqs = wants_seqs || index.has_versions;
        let known = self.times.get(&row.times).filter(|times| !wants_seqs && times.len() == row.count).cloned();
        let (times, seqs) = match known {
            Some(times) => (times, Vec::new()),
            None => {
                let Found::Bytes(bytes) = fetch::times(connection, row.times)? else { return Ok(None) };
                let Some((times, seqs)) = decode_times(&bytes, row.count, wants_seqs) else { return Ok(None) };
                if self.times.len() >= MOST_TIMES {
                    self.times.clear();
                }
                let times = Arc::new(times);
                self.times.insert(row.times, Arc::clone(&times));
                (times, seqs)
            }
        };
        Ok(decode(&data, &times).map(|rows| Rows { seqs, seq: row.newest, ..rows }))
    }

    /// Removes columns of times that no block uses.
    fn drop_orphans(&self, change: &Change<'_>) -> Result<(), rusqlite::Error> {
        let delete = "DELETE FROM times WHERE id = ? AND NOT EXISTS (SELECT 1 FROM block WHERE times = ?)";
        let mut delete = change.connection().prepare_cached(delete)?;
        for id in &self.freed {
            delete.execute([id, id])?;
        }
        Ok(())
    }
}

fn decode_times(bytes: &[u8], count: usize, wants_seqs: bool) -> Option<(Vec<i64>, Vec<u64>)> {
    let mut columns = Times::open(bytes, count).ok()?;
    let (mut times, mut seqs) = (Vec::with_capacity(count), Vec::new());
    for (frame, count) in frame_counts(count).enumerate() {
        columns.frame(bytes, frame, count, &mut times).ok()?;
        if wants_seqs {
            columns.seqs(bytes, frame, count, &mut seqs).ok()?;
        }
    }
    Some((times, seqs))
}

fn decode(bytes: &[u8], times: &[i64]) -> Option<Rows> {
    let mut data = Data::open(bytes, times.len()).ok()?;
    let mut all = Rows::empty();
    let mut start = 0;
    for (frame, count) in frame_counts(times.len()).enumerate() {
        let rows = data.frame(bytes, frame, times[start..start + count].to_vec()).ok()?;
        all.append(&rows);
        start += count;
    }
    Some(all)
}

/// Blocks of an archive that are as large as they get although their samples are few.
fn heavy(connection: &Connection, archive: ArchiveId) -> Result<HashSet<i64>, rusqlite::Error> {
    let query = "SELECT id FROM block WHERE archive = ? AND count < 4096 AND length(data) >= ?";
    let mut statement = connection.prepare_cached(query)?;
    statement.query_map((archive.0, HEAVY), |row| row.get(0))?.collect()
}

/// Stretches of blocks that overlap, or are small and follow one another. The blocks are in order of their first time.
fn groups(blocks: &[BlockRow], stones: &[Tombstone], heavy: &HashSet<i64>, horizon: u64) -> Vec<Group> {
    let is_small = |row: &BlockRow| row.count < BLOCK && !heavy.contains(&row.id);
    let mut groups: Vec<Group> = Vec::new();
    for row in blocks.iter().filter(|row| row.newest <= horizon) {
        let is_cleared = stones.iter().any(|stone| stone.first <= row.last && row.first <= stone.last);
        let overlaps = groups.last().is_some_and(|group| row.first <= group.last);
        let joins = |group: &Group| group.blocks.len() < MOST_JOINED && group.blocks.last().is_some_and(is_small);
        let follows = groups.last().is_some_and(joins);
        if !(overlaps || follows && is_small(row)) {
            groups.push(Group::default());
        }
        let group = groups.last_mut().expect("one was put in when there was none");
        group.last = if group.blocks.is_empty() { row.last } else { group.last.max(row.last) };
        group.overlaps |= overlaps;
        group.is_cleared |= is_cleared;
        group.blocks.push(*row);
    }
    groups
}
