//! Out of memory into blocks: the head is frozen, its blocks are written in one transaction a partition, and its rows
//! of the journal may go.
//!
//! A crash in between costs nothing: each partition says up to which commit it has everything.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::block::{MOST_BYTES, encode, encode_times, weight};
use super::head::Head;
use super::partition::{Change, Key};
use super::rewrite;
use super::rows::{Cells, Rows};
use super::settings::{BLOCK, Partition};
use super::shared::Shared;
use super::trouble::{fault, tells_of_damage};
use crate::history::{ArchiveId, Fault, Span};
use crate::logging;
use crate::value::UaTime;

/// How long a flush waits for an edit to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Columns of times that one transaction remembers.
const MOST_SHARED: usize = 4096;

/// Columns of times that were written, by what is in them: tags of a poll group share theirs.
#[derive(Default)]
pub(crate) struct Columns {
    known: HashMap<(Vec<i64>, Vec<u64>), i64, foldhash::fast::FixedState>,
}

impl Columns {
    /// The row that holds these times, written when there is none yet.
    pub(crate) fn place(
        &mut self,
        change: &mut Change<'_>,
        times: &[i64],
        seqs: &[u64],
    ) -> Result<i64, rusqlite::Error> {
        let key = (times.to_vec(), seqs.to_vec());
        if let Some(id) = self.known.get(&key) {
            return Ok(*id);
        }
        let id = change.put_times(&encode_times(times, seqs))?;
        if self.known.len() >= MOST_SHARED {
            self.known.clear();
        }
        self.known.insert(key, id);
        Ok(id)
    }
}

/// The archives that go into each partition.
type Parcels = BTreeMap<Key, Vec<ArchiveId>>;

/// Writes all that is in the head into blocks.
pub(crate) fn flush(shared: &Shared) -> Result<(), Fault> {
    rewrite::renew_suspects(shared)?;
    // An edit that is committed is also in the log of modified values before its journal row may go. It may wait for
    // the writer, which may wait for this flush: so the wait has a limit.
    let Some(_no_edit) = shared.edits.try_lock_for(PATIENCE) else {
        return Err(fault(&shared.settings.path, "an edit does not end", "the next flush tries again"));
    };
    flush_alone(shared)
}

/// The same where no edit can be under way.
pub(crate) fn flush_alone(shared: &Shared) -> Result<(), Fault> {
    // A head whose flush failed comes first, then what came since.
    let rounds = if shared.heads.read().frozen.is_some() { 2 } else { 1 };
    (0..rounds).try_for_each(|_| flush_head(shared))
}

fn flush_head(shared: &Shared) -> Result<(), Fault> {
    // Here and nowhere else, so that all rows of a head go into one kind of file.
    shared.archives.set_partition(shared.bounds().partition);
    let Some(head) = shared.heads.write().freeze() else { return Ok(()) };
    for (key, archives) in parcels(shared, &head) {
        match write(shared, &head, key, &archives) {
            Err(fault) if tells_of_damage(&fault) => {
                let line = format_args!("{fault}; it is set aside, and its partition goes on in a new file");
                logging::limited(log::Level::Error, "history file set aside", None, line);
                rewrite::set_aside(shared, key)?;
                write(shared, &head, key, &archives)?;
            }
            written => written?,
        }
    }
    shared.heads.write().frozen = None;
    shared.measure();
    shared.commits.note_flush(head.last);
    Ok(())
}

fn parcels(shared: &Shared, head: &Head) -> Parcels {
    let mut parcels = Parcels::new();
    for archive in head.archives() {
        let family = shared.archives.family(archive);
        for key in head.keys(archive, family) {
            parcels.entry(key).or_default().push(archive);
        }
        // What is cleared is cleared in every file that is there.
        for stone in head.tombstones(archive) {
            for partition in shared.partitions.within(stone.first, stone.last) {
                let archives = parcels.entry(partition.key()).or_default();
                if archives.last() != Some(&archive) {
                    archives.push(archive);
                }
            }
        }
    }
    parcels
}

fn write(shared: &Shared, head: &Head, key: Key, archives: &[ArchiveId]) -> Result<(), Fault> {
    let (name, is_new) = match shared.partitions.current(key) {
        Ok(partition) => (partition.name, false),
        Err(name) => (name, true),
    };
    let mut writer = shared.lease(name)?;
    let mut change = writer.change()?;
    let mut columns = Columns::default();
    for archive in archives {
        let target = Target { key, family: shared.archives.family(*archive) };
        let written = write_archive(&mut change, &mut columns, head, *archive, target);
        written.map_err(|error| change.fault(error))?;
    }
    change.mark.seq = change.mark.seq.max(head.last);
    change.commit()?;
    writer.keep();
    if is_new {
        shared.partitions.add(name);
    }
    Ok(())
}

/// A partition, and the kind of partition that takes the archive's samples.
#[derive(Clone, Copy)]
struct Target {
    key: Key,
    family: Partition,
}

fn write_archive(
    change: &mut Change<'_>,
    columns: &mut Columns,
    head: &Head,
    archive: ArchiveId,
    target: Target,
) -> Result<(), rusqlite::Error> {
    let (first, last) = (target.key.start(), target.key.end());
    if target.key.family == target.family {
        let rows = head.rows(archive, Span { first: UaTime(first), last: UaTime(last) });
        put_all(change, columns, archive, &rows)?;
    }
    for stone in head.tombstones(archive).iter().filter(|stone| stone.first <= last && first <= stone.last) {
        change.put_tombstone(archive, *stone)?;
    }
    Ok(())
}

/// Writes rows as blocks of an archive.
pub(crate) fn put_all(
    change: &mut Change<'_>,
    columns: &mut Columns,
    archive: ArchiveId,
    rows: &Rows,
) -> Result<(), rusqlite::Error> {
    for (from, to) in pieces(rows) {
        let part = if to - from == rows.len() { Cow::Borrowed(rows) } else { Cow::Owned(rows.part(from, to)) };
        let times = columns.place(change, &part.times, &part.seqs)?;
        change.put_block(archive, &encode(&part), times)?;
    }
    Ok(())
}

/// Where rows are cut into blocks: at the most samples and bytes of one, and never within an instant.
fn pieces(rows: &Rows) -> Vec<(usize, usize)> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while from < rows.len() {
        let most = rows.len().min(from + BLOCK);
        let mut to = light_until(rows, from, most);
        while to < rows.len() && to > from + 1 && rows.times[to] == rows.times[to - 1] {
            to -= 1;
        }
        if to < rows.len() && rows.times[to] == rows.times[from] {
            // More versions of one instant than a block takes: the oldest are of no use to anybody.
            let time = rows.times[from];
            to = from + rows.times[from..].partition_point(|other| *other <= time);
            from = to.saturating_sub(BLOCK).max(from);
        }
        pieces.push((from, to));
        from = to;
    }
    pieces
}

/// Up to where the values fit into one block; at least one does.
fn light_until(rows: &Rows, from: usize, most: usize) -> usize {
    let Cells::Values(values) = &rows.cells else { return most };
    let mut bytes = 0;
    for (at, value) in (from..most).zip(&values[from..most]) {
        bytes += weight(value);
        if bytes > MOST_BYTES && at > from {
            return at;
        }
    }
    most
}
