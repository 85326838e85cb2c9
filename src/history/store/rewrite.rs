//! Partition files that are replaced as a whole: compacted, renewed after a failed change, put aside or removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files;
use super::partition::{Key, Name, PartitionWriter};
use super::partitions::PartitionFile;
use super::shared::Shared;
use super::trouble::{io_fault, sql_fault};
use super::writers::Lease;
use crate::history::Fault;
use crate::logging;

/// Writes partitions from scratch to which a change has failed: after a failed sync nobody knows what of a file is on
/// the disk. To be called before anything else is written.
pub(crate) fn renew_suspects(shared: &Shared) -> Result<(), Fault> {
    for name in shared.writers.suspects() {
        let path = shared.partitions.path(name);
        match shared.partitions.all().into_iter().find(|partition| partition.name == name) {
            Some(partition) if path.exists() => {
                let line = format_args!("{}: a change to it has failed; it is written again", path.display());
                logging::limited(log::Level::Warn, "history file written again", None, line);
                replace(shared, &partition, shared.lease(name)?)?;
            }
            // The change that was to make the file has failed: nothing in it was ever acknowledged.
            Some(_) | None => remove(&path)?,
        }
        shared.writers.forget(name);
    }
    Ok(())
}

/// Writes a partition without its free pages under the next name, then removes the old file.
pub(crate) fn compact(shared: &Shared, partition: &Arc<PartitionFile>, is_closed: bool) -> Result<(), Fault> {
    let mut writer = shared.lease(partition.name)?;
    let mut change = writer.change()?;
    change.mark.is_closed = is_closed;
    change.commit()?;
    replace(shared, partition, writer)
}

fn replace(shared: &Shared, partition: &Arc<PartitionFile>, writer: Lease<'_>) -> Result<(), Fault> {
    let name = Name { generation: partition.name.generation + 1, ..partition.name };
    let path = shared.partitions.path(name);
    let copied = copy(&writer, &path)?;
    drop(writer);
    fs::rename(&copied, &path).map_err(io_fault(&path))?;
    files::sync_folder(&shared.settings.path)?;
    shared.partitions.replace(partition, Some(name));
    shared.writers.forget(partition.name);
    remove(&partition.path)
}

fn copy(writer: &PartitionWriter, path: &Path) -> Result<PathBuf, Fault> {
    let target = path.with_extension("db.new");
    if target.exists() {
        fs::remove_file(&target).map_err(io_fault(&target))?;
    }
    let at = sql_fault(&writer.path);
    writer.connection.execute("VACUUM INTO ?", [target.to_string_lossy()]).map_err(&at)?;
    // A program that only reads cannot roll back a journal that a crash leaves; a write-ahead log needs no rollback.
    let copy = files::open_to_write(&target, "")?;
    copy.execute_batch("PRAGMA journal_mode=WAL").map_err(sql_fault(&target))?;
    drop(copy);
    let synced = fs::File::open(&target).and_then(|file| file.sync_all());
    synced.map_err(io_fault(&target))?;
    Ok(target)
}

/// Renames a partition's damaged file: it is still read, and no longer written.
pub(crate) fn set_aside(shared: &Shared, key: Key) -> Result<(), Fault> {
    let Ok(partition) = shared.partitions.current(key) else { return Ok(()) };
    shared.writers.forget(partition.name);
    shared.condition.count_damage(1);
    let name = Name { is_damaged: true, ..partition.name };
    files::rename(&partition.path, &shared.partitions.path(name))?;
    shared.partitions.replace(&partition, Some(name));
    Ok(())
}

/// Removes a partition with SQLite's files of it.
pub(crate) fn remove(path: &Path) -> Result<(), Fault> {
    ["", "-wal", "-shm", "-journal"].into_iter().try_for_each(|suffix| files::remove(&files::beside(path, suffix)))
}

/// Removes the remains of an interrupted replacement: files that were not finished, and files that have a successor.
pub(crate) fn clear_up(shared: &Shared) -> Result<(), Fault> {
    let folder = &shared.settings.path;
    for entry in fs::read_dir(folder).map_err(io_fault(folder))? {
        let path = entry.map_err(io_fault(folder))?.path();
        if path.to_string_lossy().contains(".db.new") {
            fs::remove_file(&path).map_err(io_fault(&path))?;
        }
    }
    for partition in shared.partitions.all() {
        let current = shared.partitions.current(partition.key());
        let is_replaced = current.is_ok_and(|current| current.name != partition.name);
        if is_replaced && !partition.name.is_damaged {
            shared.partitions.replace(&partition, None);
            remove(&partition.path)?;
            continue;
        }
        // A file that is damaged is reported when its mark is read.
        if files::settle(&partition.path).unwrap_or(false) {
            shared.partitions.replace(&partition, None);
            remove(&partition.path)?;
        }
    }
    Ok(())
}
