//! `journal.db`: commits that are not yet in blocks, one row a commit.
//!
//! A commit is durable when its transaction's sync has returned. Rows go when their samples are in blocks; the newest
//! always stays, so that commits never count from 1 again and the time of the last one is known after a crash.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::batch::{Content, EditRecord, decode_edit, decode_samples};
use super::bytes::crc;
use super::files;
use super::mark::{self, Mark};
use super::trouble::{Damage, Intact, io_fault, is_damage, sql_fault};
use super::wal;
use crate::history::{Fault, Row};
use crate::value::UaTime;

pub(crate) const FILE: &str = "journal.db";
const SCHEMA: &str = "CREATE TABLE journal(seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind INTEGER NOT NULL, \
                      crc INTEGER NOT NULL, batch BLOB NOT NULL);";

pub(crate) struct Journal {
    path: PathBuf,
    connection: Connection,
    mark: Option<Mark>,
    /// Damage of its write-ahead log, found before it was opened.
    log_damage: Option<String>,
    /// The last commit that was synced, as far as it is known.
    synced: Option<u64>,
}

/// One row, on its way in.
pub(crate) struct Entry {
    pub seq: u64,
    pub content: Content,
    pub batch: Vec<u8>,
}

/// One row, on its way out.
#[derive(Debug)]
pub(crate) enum Replayed {
    Samples(Vec<Row>),
    Edit(EditRecord),
    Damaged(&'static str),
}

/// The outcome of a replay.
#[derive(Debug, Default, Clone)]
pub(crate) struct Replay {
    pub last: u64,
    pub last_commit: Option<UaTime>,
    /// Rows that could not be read, and why.
    pub damaged: Vec<(u64, String)>,
}

impl Journal {
    /// Opens it for writing.
    pub(crate) fn open(folder: &Path) -> Result<Journal, Fault> {
        let path = folder.join(FILE);
        let log_damage = wal::keep_damaged(&path, UaTime::now().unix_seconds()).map_err(io_fault(&path))?;
        let connection = files::open_to_write(&path, SCHEMA)?;
        let mark =
            Mark::open(folder).inspect_err(|error| log::warn!("{}: journal.mark: {error}", folder.display())).ok();
        Ok(Journal { connection, mark, log_damage, synced: mark::read(folder), path })
    }

    pub(crate) fn open_to_read(folder: &Path) -> Result<Journal, Fault> {
        let path = folder.join(FILE);
        // Read before the rows: a server that writes meanwhile only adds to them.
        let synced = mark::read(folder);
        let log_damage = wal::damage_for_sure(&path).map_err(io_fault(&path))?;
        Ok(Journal { connection: files::open_to_read(&path)?, mark: None, log_damage, synced, path })
    }

    /// A write has failed: nothing more may be written to this file.
    pub(crate) fn distrust(&self) {
        files::distrust(&self.connection);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Writes rows and takes away those up to `trim`, in one transaction; returns when it is on disk.
    pub(crate) fn write(&mut self, time: UaTime, entries: &[Entry], trim: u64) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO journal VALUES(?,?,?,?,?)")?;
            for entry in entries {
                let seq = entry.seq.cast_signed();
                let sum = crc(&[seq, time.0, entry.content as i64], &[&entry.batch]);
                insert.execute(params![seq, time.0, entry.content as i64, sum, entry.batch])?;
            }
            if trim > 0 {
                let delete = "DELETE FROM journal WHERE seq <= ? AND seq < (SELECT max(seq) FROM journal)";
                transaction.prepare_cached(delete)?.execute([trim.cast_signed()])?;
            }
        }
        transaction.commit()?;
        if let (Some(mark), Some(last)) = (&self.mark, entries.last())
            && let Err(error) = mark.set(last.seq)
        {
            log::debug!("journal.mark: {error}");
        }
        Ok(())
    }

    /// Adds losses that the rows do not show: damage of the write-ahead log, and missing commits. `last` is the
    /// last commit that is in the journal or in a block.
    pub(crate) fn find_lost(&self, last: u64, replay: &mut Replay) {
        let gone = self.synced.filter(|synced| *synced > last);
        let what = match (&self.log_damage, gone) {
            (None, None) => return,
            (Some(damage), None) => format!("its write-ahead log: {damage}"),
            (damage, Some(synced)) => {
                let why = damage.as_deref().unwrap_or("it was cut, or its last frames are damaged");
                format!("commits up to {synced} were on disk and are lost; its write-ahead log: {why}")
            }
        };
        replay.damaged.push((last + 1, what));
        replay.last = replay.last.max(gone.unwrap_or(0));
    }

    /// Hands over every row in the order of commits. Damaged rows are reported and left out; the rest is read
    /// even if a part of the file is lost.
    pub(crate) fn replay(&self, take: &mut dyn FnMut(u64, Replayed)) -> Result<Replay, Fault> {
        let mut replay = Replay::default();
        let mut after = -1i64;
        loop {
            match self.next(after) {
                Ok(Some((seq, time, replayed))) => {
                    after = seq;
                    let seq = seq.cast_unsigned();
                    replay.last = replay.last.max(seq);
                    if let Replayed::Damaged(what) = &replayed {
                        replay.damaged.push((seq, (*what).to_owned()));
                    } else {
                        replay.last_commit = Some(time);
                    }
                    take(seq, replayed);
                }
                Ok(None) => return Ok(replay),
                Err(error) if is_damage(&error) => {
                    // A page is lost: continue after it.
                    replay.damaged.push((after.wrapping_add(1).cast_unsigned(), error.to_string()));
                    match self.beyond(after) {
                        Some(next) => after = next - 1,
                        None => return Ok(replay),
                    }
                }
                Err(error) => return Err(sql_fault(&self.path)(error)),
            }
        }
    }

    fn next(&self, after: i64) -> Result<Option<(i64, UaTime, Replayed)>, rusqlite::Error> {
        let query = "SELECT seq, time, kind, crc, batch FROM journal WHERE seq > ? ORDER BY seq LIMIT 1";
        let mut statement = self.connection.prepare_cached(query)?;
        let mut rows = statement.query([after])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let (seq, time, kind): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let sum: i64 = row.get(3)?;
        let batch = row.get_ref(4)?.as_blob().unwrap_or_default();
        let intact = sum == i64::from(crc(&[seq, time, kind], &[batch]));
        let replayed = if intact { read(kind, batch) } else { Err(Damage("its checksum is wrong")) };
        Ok(Some((seq, UaTime(time), replayed.unwrap_or_else(|damage| Replayed::Damaged(damage.0)))))
    }

    /// The next row that can be read, when the one after `after` cannot.
    fn beyond(&self, after: i64) -> Option<i64> {
        let mut step = 1i64;
        while step < 1 << 40 {
            let query = "SELECT seq FROM journal WHERE seq >= ? ORDER BY seq LIMIT 1";
            let found = self.connection.prepare_cached(query).and_then(|mut statement| {
                let mut rows = statement.query([after + 1 + step])?;
                rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()
            });
            match found {
                Ok(found) => return found.filter(|seq| *seq > after),
                Err(_) => step *= 2,
            }
        }
        None
    }
}

fn read(kind: i64, batch: &[u8]) -> Intact<Replayed> {
    match kind {
        0 => {
            let mut rows = Vec::new();
            decode_samples(batch, &mut |row| rows.push(row))?;
            Ok(Replayed::Samples(rows))
        }
        1 => Ok(Replayed::Edit(decode_edit(batch)?)),
        _ => Err(Damage("an unknown kind of row")),
    }
}
