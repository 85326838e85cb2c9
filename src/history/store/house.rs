//! What is done from time to time: merges, the rewriting of partitions whose time is over, retention.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::files;
use super::merge::{Task, merge};
use super::partition::{Book, Mark, Name};
use super::shared::Shared;
use super::shelf::Volume;
use super::trouble::{io_fault, sql_fault};
use crate::history::Fault;
use crate::logging;
use crate::value::UaTime;

/// A partition is rewritten so long after its time is over: late samples find it as it was.
const SETTLED: i64 = 3600 * 10_000_000;

/// How thoroughly the house is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// What is due; reads that go on stay valid.
    Usual,
    /// Everything, at once.
    All,
}

/// Merges all partitions, rewrites those whose time is over, lets old data go.
pub fn keep(shared: &Shared, now: UaTime, effort: Effort) -> Result<(), Fault> {
    renew_suspects(shared)?;
    let horizon = shared.horizon(effort);
    let is_steady = shared.trusts_clock(now);
    // Reads that began before see no more what they saw.
    shared.pin_floor.fetch_max(horizon, Ordering::AcqRel);
    for volume in shared.shelf.volumes() {
        if volume.name.is_damaged {
            continue;
        }
        match tend(shared, &volume, Task { horizon, is_thorough: false, now, is_steady }, effort) {
            Ok(()) => {}
            Err(Fault::Closed) => return Err(Fault::Closed),
            Err(fault) => logging::limited(log::Level::Error, "history not kept", None, format_args!("{fault}")),
        }
    }
    super::retention::retire(shared, now, is_steady)
}

fn tend(shared: &Shared, volume: &Arc<Volume>, task: Task, effort: Effort) -> Result<(), Fault> {
    go_on(shared)?;
    let is_over = volume.key().end() < task.now.0.saturating_sub(SETTLED);
    let state = state(shared, volume)?;
    let is_settled = state.newest <= task.horizon;
    let tidy = || if state.is_airy { rewrite(shared, volume, true) } else { Ok(()) };
    if state.mark.is_closed && !state.has_small {
        return tidy();
    }
    let rewritten = merge(shared, volume, Task { is_thorough: is_over || effort == Effort::All, ..task })?;
    go_on(shared)?;
    if state.mark.is_closed && rewritten == 0 && effort == Effort::Usual {
        tidy()
    } else if is_over && is_settled {
        rewrite(shared, volume, true)
    } else if effort == Effort::All {
        rewrite(shared, volume, false)
    } else {
        Ok(())
    }
}

/// A stop does not wait until the house is kept.
fn go_on(shared: &Shared) -> Result<(), Fault> {
    if shared.keeper.is_closing() { Err(Fault::Closed) } else { Ok(()) }
}

struct State {
    mark: Mark,
    newest: u64,
    has_small: bool,
    /// More than a quarter of its pages are free.
    is_airy: bool,
}

fn state(shared: &Shared, volume: &Arc<Volume>) -> Result<State, Fault> {
    let book = shared.book(volume.name)?;
    let at = sql_fault(&volume.path);
    let number = |query: &str| book.connection.query_row(query, [], |row| row.get::<_, i64>(0)).map_err(&at);
    let mark = book.mark()?.unwrap_or_default();
    // A block that is small for good is alone in its archive.
    let small = "SELECT EXISTS(SELECT 1 FROM block INDEXED BY small WHERE count < 4096 GROUP BY archive \
                 HAVING count(*) > 1) OR EXISTS(SELECT 1 FROM tombstone)";
    let state = State {
        mark,
        newest: mark.seq,
        has_small: number(small)? != 0,
        is_airy: number("PRAGMA freelist_count")? * 4 > number("PRAGMA page_count")?,
    };
    shared.keep_book(volume.name, book);
    Ok(state)
}

/// Writes partitions anew to which a change has failed: after a failed sync nobody knows what of a file is on the disk.
/// To be called before anything else is written.
pub fn renew_suspects(shared: &Shared) -> Result<(), Fault> {
    for name in shared.suspects() {
        let path = shared.shelf.path(name);
        match shared.shelf.volumes().into_iter().find(|volume| volume.name == name) {
            Some(volume) if path.exists() => {
                let line = format_args!("{}: a change to it has failed; it is written again", path.display());
                logging::limited(log::Level::Warn, "history file written again", None, line);
                replace(shared, &volume, Book::open(path)?)?;
            }
            // The change that was to make it has failed: nobody counts on anything in it.
            Some(_) | None => remove(&path)?,
        }
        shared.forget_book(name);
    }
    Ok(())
}

/// Writes a partition anew without the free pages, under the next name; then the old file goes.
fn rewrite(shared: &Shared, volume: &Arc<Volume>, is_closed: bool) -> Result<(), Fault> {
    let mut book = shared.book(volume.name)?;
    let mut change = book.change()?;
    change.mark.is_closed = is_closed;
    change.commit()?;
    replace(shared, volume, book)
}

fn replace(shared: &Shared, volume: &Arc<Volume>, book: Book) -> Result<(), Fault> {
    let name = Name { generation: volume.name.generation + 1, ..volume.name };
    let path = shared.shelf.path(name);
    let beside = copy(&book, &path)?;
    drop(book);
    fs::rename(&beside, &path).map_err(io_fault(&path))?;
    files::sync_folder(&shared.settings.path)?;
    shared.shelf.replace(volume, Some(name));
    shared.forget_book(volume.name);
    remove(&volume.path)
}

fn copy(book: &Book, path: &std::path::Path) -> Result<PathBuf, Fault> {
    let beside = path.with_extension("db.new");
    if beside.exists() {
        fs::remove_file(&beside).map_err(io_fault(&beside))?;
    }
    let at = sql_fault(&book.path);
    book.connection.execute("VACUUM INTO ?", [beside.to_string_lossy()]).map_err(&at)?;
    // A rollback journal that a crash leaves could not be undone by who only reads.
    let copy = files::open_to_write(&beside, "")?;
    copy.execute_batch("PRAGMA journal_mode=WAL").map_err(sql_fault(&beside))?;
    drop(copy);
    let synced = fs::File::open(&beside).and_then(|file| file.sync_all());
    synced.map_err(io_fault(&beside))?;
    Ok(beside)
}

/// Removes a partition with what SQLite keeps beside it.
pub fn remove(path: &std::path::Path) -> Result<(), Fault> {
    ["", "-wal", "-shm", "-journal"].into_iter().try_for_each(|suffix| files::remove(&files::beside(path, suffix)))
}

/// Takes away what an interrupted rewriting left: files that were not finished, and those that have a successor.
pub fn clear_up(shared: &Shared) -> Result<(), Fault> {
    let folder = &shared.settings.path;
    for entry in fs::read_dir(folder).map_err(io_fault(folder))? {
        let path = entry.map_err(io_fault(folder))?.path();
        if path.to_string_lossy().contains(".db.new") {
            fs::remove_file(&path).map_err(io_fault(&path))?;
        }
    }
    for volume in shared.shelf.volumes() {
        let is_replaced = shared.shelf.current(volume.key()).is_ok_and(|current| current.name != volume.name);
        if is_replaced && !volume.name.is_damaged {
            shared.shelf.replace(&volume, None);
            remove(&volume.path)?;
            continue;
        }
        // A file that is damaged is told of when its mark is read.
        if files::settle(&volume.path).unwrap_or(false) {
            shared.shelf.replace(&volume, None);
            remove(&volume.path)?;
        }
    }
    Ok(())
}
