//! Old data goes: by the age that its class keeps, then by the bytes that the store may take.
//!
//! A clock that jumps ahead must not empty the store: ages count only once it has run steadily for an hour.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::fetch;
use super::partitions::PartitionFile;
use super::rewrite::remove;
use super::settings::OnFull;
use super::shared::Shared;
use super::trouble::sql_fault;
use crate::history::{ArchiveId, Fault};
use crate::logging;
use crate::value::UaTime;

/// Lets go what is too old, when the clock can be trusted, and what is too much.
pub(crate) fn retire(shared: &Shared, now: UaTime, is_steady: bool) -> Result<(), Fault> {
    if is_steady {
        by_age(shared, now)?;
        single_archives(shared, now)?;
        let floors = shared.archives.retention();
        shared.meta.lock().retire(|archive| floors.floor(archive, now))?;
    }
    by_class(shared)?;
    by_size(shared)
}

/// Files of which all is older than anything keeps.
fn by_age(shared: &Shared, now: UaTime) -> Result<(), Fault> {
    let Some(longest) = shared.archives.retention().longest() else { return Ok(()) };
    let floor = now.0.saturating_sub(longest);
    for partition in shared.partitions.all() {
        if partition.key().end() < floor {
            let line = format_args!("{}: older than anything is kept", partition.path.display());
            logging::limited(log::Level::Info, "history removed", None, line);
            let_go(shared, &partition)?;
        }
    }
    Ok(())
}

/// Archives that keep less than others which share their files.
fn single_archives(shared: &Shared, now: UaTime) -> Result<(), Fault> {
    let longest = shared.archives.retention().longest().unwrap_or(0);
    let mut by_keep: BTreeMap<i64, Vec<ArchiveId>> = BTreeMap::new();
    for (archive, keep) in shared.archives.retention().all().filter(|(_, keep)| *keep < longest) {
        by_keep.entry(keep).or_default().push(archive);
    }
    for (keep, archives) in by_keep {
        for partition in shared.partitions.all() {
            let is_over = partition.key().end() < now.0.saturating_sub(keep);
            if is_over && !partition.name.is_damaged && shared.thinned.lock().insert((partition.name, keep)) {
                thin(shared, &partition, &archives)?;
            }
        }
    }
    Ok(())
}

/// Takes archives out of a file.
fn thin(shared: &Shared, partition: &PartitionFile, archives: &[ArchiveId]) -> Result<(), Fault> {
    let at = sql_fault(&partition.path);
    let mut writer = shared.lease(partition.name)?;
    let mut change = writer.change()?;
    for archive in archives {
        let list = fetch::list(change.connection(), partition.key(), *archive).map_err(&at)?;
        for row in &list.blocks {
            change.delete_block(row).map_err(&at)?;
        }
    }
    let orphans = "DELETE FROM times WHERE NOT EXISTS (SELECT 1 FROM block WHERE block.times = times.id)";
    change.connection().execute(orphans, []).map_err(&at)?;
    change.commit()?;
    writer.keep();
    Ok(())
}

/// Classes that take more than they may give up the oldest partitions that they have a part in.
fn by_class(shared: &Shared) -> Result<(), Fault> {
    let archives = shared.archives.specs();
    let mut classes: BTreeMap<&str, (u64, HashSet<ArchiveId>)> = BTreeMap::new();
    for (id, spec) in &archives {
        if let Some(most) = spec.max_size {
            let class = classes.entry(&spec.class).or_insert((most, HashSet::new()));
            class.0 = most;
            class.1.insert(*id);
        }
    }
    if classes.is_empty() {
        return Ok(());
    }
    let mut partitions: Vec<(Arc<PartitionFile>, HashMap<ArchiveId, u64>)> = Vec::new();
    for partition in shared.partitions.all().into_iter().filter(|partition| !partition.name.is_damaged) {
        let bytes = content(shared, &partition)?;
        partitions.push((partition, bytes));
    }
    partitions.sort_by_key(|(partition, _)| partition.key().end());
    for (name, (most, members)) in classes {
        let of_class = |bytes: &HashMap<ArchiveId, u64>| -> u64 {
            bytes.iter().filter(|(id, _)| members.contains(id)).map(|(_, bytes)| bytes).sum()
        };
        let mut total: u64 = partitions.iter().map(|(_, bytes)| of_class(bytes)).sum();
        for (partition, bytes) in &partitions {
            let here = of_class(bytes);
            if total <= most {
                break;
            }
            if here > 0 {
                let path = partition.path.display();
                let line = format_args!("{path}: class `{name}` takes more than it may and gives this up");
                logging::limited(log::Level::Info, "history removed", None, line);
                thin(shared, partition, &members.iter().copied().collect::<Vec<_>>())?;
                total -= here;
            }
        }
    }
    Ok(())
}

/// Bytes of the blocks of each archive in a file.
fn content(shared: &Shared, partition: &PartitionFile) -> Result<HashMap<ArchiveId, u64>, Fault> {
    let at = sql_fault(&partition.path);
    let writer = shared.lease(partition.name)?;
    let query = "SELECT archive, sum(length(frames) + length(data)) FROM block GROUP BY archive";
    let read = || -> Result<HashMap<ArchiveId, u64>, rusqlite::Error> {
        let mut statement = writer.connection.prepare_cached(query)?;
        let mut rows = statement.query([])?;
        let mut bytes = HashMap::new();
        while let Some(row) = rows.next()? {
            let archive = u32::try_from(row.get::<_, i64>(0)?).unwrap_or(u32::MAX);
            bytes.insert(ArchiveId(archive), row.get::<_, i64>(1)?.max(0).cast_unsigned());
        }
        Ok(bytes)
    };
    let bytes = read().map_err(&at)?;
    writer.keep();
    Ok(bytes)
}

/// The oldest files, until the rest fits.
pub(crate) fn by_size(shared: &Shared) -> Result<(), Fault> {
    shared.measure();
    let mut partitions = shared.partitions.all();
    let mut bytes: u64 = partitions.iter().map(|partition| size(&partition.path)).sum();
    let bounds = shared.bounds();
    if bounds.on_full == OnFull::Stop {
        shared.is_full.store(bytes > bounds.max_size, Ordering::Release);
        return Ok(());
    }
    partitions.sort_by_key(|partition| partition.key().end());
    // The newest is being written: letting it go would empty the store.
    partitions.pop();
    for partition in partitions {
        if bytes <= bounds.max_size {
            break;
        }
        let line = format_args!("{}: let go because the history takes more than it may", partition.path.display());
        logging::limited(log::Level::Info, "history removed", None, line);
        bytes -= size(&partition.path);
        let_go(shared, &partition)?;
    }
    Ok(())
}

/// Bytes of a partition with its log. The journal does not count: letting partitions go would not make it smaller.
fn size(path: &Path) -> u64 {
    let log = path.with_extension("db-wal");
    [path, &log].iter().filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum()
}

fn let_go(shared: &Shared, partition: &Arc<PartitionFile>) -> Result<(), Fault> {
    shared.writers.forget(partition.name);
    shared.partitions.replace(partition, None);
    shared.commits.note_removed(partition.key().end());
    remove(&partition.path)
}
