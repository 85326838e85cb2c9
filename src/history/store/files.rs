//! Opening SQLite files, all in one way; and the lock on the folder.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::trouble::{fault, io_fault, sql_fault};
use crate::history::Fault;

/// How long a statement waits for another program's lock.
const BUSY: Duration = Duration::from_secs(10);
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 32;
const PAGE_BYTES: u32 = 8192;
/// The format that this program writes; `user_version` of each file.
const FORMAT: i64 = 1;

/// Settings of every connection. Without stable plans this build of SQLite (STAT4) plans a query again whenever a bound
/// of its span changes, which takes longer than the query.
fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Opens a file for writing, makes it when it is missing: write-ahead log, each commit synced.
pub(crate) fn open_to_write(path: &Path, schema: &str) -> Result<Connection, Fault> {
    let at = sql_fault(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(&at)?;
    prepare(&connection).map_err(&at)?;
    let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&at)?;
    check_format(path, format)?;
    if format == 0 {
        let setup = format!("PRAGMA page_size={PAGE_BYTES}; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;");
        connection.execute_batch(&setup).map_err(&at)?;
        let made = format!("BEGIN; {schema} PRAGMA user_version={FORMAT}; COMMIT;");
        connection.execute_batch(&made).map_err(&at)?;
    }
    connection
        .execute_batch("PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=4194304;")
        .map_err(&at)?;
    Ok(connection)
}

/// Opens a file for reading alone, which never writes to it.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, Fault> {
    let at = sql_fault(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(&at)?;
    prepare(&connection).map_err(&at)?;
    let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&at)?;
    check_format(path, format)?;
    Ok(connection)
}

/// Makes the closing of a connection write nothing more: after a failed sync nobody knows which part of the write-ahead
/// log is on the disk, and a checkpoint would mix it into the database.
pub(crate) fn distrust(connection: &Connection) {
    if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
        log::debug!("{error}");
    }
}

/// Writes a database from scratch into a new file, because the sync of the old one failed: pages that a failed sync left
/// in memory only would be taken for written. After a crash in between, `finish_renewal` completes the work.
pub(crate) fn renew(path: &Path) -> Result<(), Fault> {
    let (old, new) = (beside(path, ".old"), beside(path, ".new"));
    remove(&new)?;
    {
        let connection = open_to_write(path, "")?;
        distrust(&connection);
        connection.execute("VACUUM INTO ?", [new.to_string_lossy()]).map_err(sql_fault(path))?;
    }
    open_to_write(&new, "")?.execute_batch("PRAGMA journal_mode=WAL").map_err(sql_fault(&new))?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(io_fault(&new))?;
    fs::rename(path, &old).map_err(io_fault(path))?;
    path.parent().map_or(Ok(()), sync_folder)?;
    finish_renewal(path)
}

/// Completes an interrupted `renew`, or removes its unfinished file. To be called before a file is opened.
pub(crate) fn finish_renewal(path: &Path) -> Result<(), Fault> {
    let (old, new) = (beside(path, ".old"), beside(path, ".new"));
    if !old.exists() {
        return remove(&new);
    }
    // The log belongs to the old file; the new one has all that was in it.
    for suffix in ["-wal", "-shm", "-journal"] {
        remove(&beside(path, suffix))?;
    }
    if !path.exists() {
        fs::rename(&new, path).map_err(io_fault(&new))?;
    }
    path.parent().map_or(Ok(()), sync_folder)?;
    remove(&old)
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_fault(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The name of a file that SQLite, or a renewal, keeps next to a database.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Plays back a change that was interrupted before the file had its write-ahead log, which a reader may not; answers
/// whether the file was begun and never finished.
pub(crate) fn settle(path: &Path) -> Result<bool, rusqlite::Error> {
    let is_small = fs::metadata(path).is_ok_and(|data| data.len() <= u64::from(PAGE_BYTES));
    if !is_small && !beside(path, "-journal").exists() {
        return Ok(false);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    is_unborn(&connection)
}

/// Whether a file was begun and never finished: a power cut came before its tables were durable.
pub(crate) fn is_unborn(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let number = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0));
    Ok(number("PRAGMA user_version")? == 0
        && number("PRAGMA page_count")? <= 1
        && number("SELECT count(*) FROM sqlite_schema")? == 0)
}

fn check_format(path: &Path, format: i64) -> Result<(), Fault> {
    if format > FORMAT {
        let what = format!("it was written by a newer opcell (format {format}; this one knows {FORMAT})");
        return Err(fault(path, what, "start the newer opcell"));
    }
    Ok(())
}

/// The folder's lock; it goes with the process, and its file says who has it.
pub(crate) fn lock(folder: &Path) -> Result<File, Fault> {
    fs::create_dir_all(folder).map_err(io_fault(folder))?;
    let path = folder.join("lock");
    let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(io_fault(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            file.read_to_string(&mut owner).map_err(io_fault(&path))?;
            let owner = if owner.trim().is_empty() { "another server" } else { owner.trim() };
            let remedy = "stop that server, or give this one a history path of its own";
            return Err(fault(folder, format!("it is in use by {owner}"), remedy));
        }
        Err(TryLockError::Error(error)) => return Err(io_fault(&path)(error)),
    }
    let owner = format!("opcell with process id {}", std::process::id());
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(owner.as_bytes()));
    written.map_err(io_fault(&path))?;
    Ok(file)
}

/// Renames a database together with its write-ahead log.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Fault> {
    for suffix in ["-wal", ""] {
        let (from, to) = (beside(from, suffix), beside(to, suffix));
        if from.exists() {
            fs::rename(&from, &to).map_err(io_fault(&from))?;
        }
    }
    let shared = beside(from, "-shm");
    if shared.exists() {
        fs::remove_file(&shared).map_err(io_fault(&shared))?;
    }
    from.parent().map_or(Ok(()), sync_folder)
}

/// Makes the creation, renaming and removal of files in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Fault> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_fault(folder))
}
