//! Blocks out of a partition, held against their checksums.

use rusqlite::{Connection, OptionalExtension};

use super::bytes::crc;
use super::manifest::{self, Tally};
use super::partition::{BlockRow, Key, tombstones};
use super::tombstone::Tombstone;
use super::trouble::is_damage;
use crate::history::ArchiveId;

/// An archive's blocks in one file.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// In order of their first sample.
    pub blocks: Vec<BlockRow>,
    pub tombstones: Vec<Tombstone>,
    /// Where something is lost that has no row to tell.
    pub losses: Vec<i64>,
}

/// Bytes as they were written, or why they are not.
pub(crate) enum Found {
    Bytes(Vec<u8>),
    Lost(String),
}

/// All that a partition has of an archive.
pub(crate) fn list(connection: &Connection, key: Key, archive: ArchiveId) -> Result<List, rusqlite::Error> {
    let query = "SELECT id, archive, first, last, count, oldest, newest, times, index_crc, data_crc, crc \
                 FROM block WHERE archive = ?";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query([archive.0])?;
    let mut list = List { tombstones: tombstones(connection, archive)?, ..List::default() };
    let mut tally = Tally::default();
    while let Some(row) = rows.next()? {
        let row = BlockRow::read(row)?;
        if row.is_intact() {
            tally.add(row.crc);
            list.blocks.push(row);
        } else {
            list.losses.push(row.first.clamp(key.start(), key.end()));
        }
    }
    let expected = manifest::expected(connection, archive)?;
    if list.losses.is_empty() && expected.is_some_and(|expected| expected != tally) {
        list.losses.push(key.start());
    }
    list.blocks.sort_by_key(|row| (row.first, row.id));
    Ok(list)
}

pub(crate) fn frames(connection: &Connection, row: &BlockRow) -> Result<Found, rusqlite::Error> {
    block_bytes(connection, "SELECT frames FROM block WHERE id = ?", row.id, row.index_crc)
}

pub(crate) fn data(connection: &Connection, row: &BlockRow) -> Result<Found, rusqlite::Error> {
    block_bytes(connection, "SELECT data FROM block WHERE id = ?", row.id, row.data_crc)
}

pub(crate) fn times(connection: &Connection, id: i64) -> Result<Found, rusqlite::Error> {
    let read = || -> Result<Option<(i64, Vec<u8>)>, rusqlite::Error> {
        let mut statement = connection.prepare_cached("SELECT crc, data FROM times WHERE id = ?")?;
        statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    };
    judge(read().map(|found| found.map(|(sum, bytes)| (sum == i64::from(crc(&[id], &[&bytes])), bytes))))
}

fn block_bytes(connection: &Connection, query: &str, id: i64, sum: u32) -> Result<Found, rusqlite::Error> {
    let read = || -> Result<Option<Vec<u8>>, rusqlite::Error> {
        connection.prepare_cached(query)?.query_row([id], |row| row.get(0)).optional()
    };
    judge(read().map(|found| found.map(|bytes| (crc(&[id], &[&bytes]) == sum, bytes))))
}

/// Damage is an answer, any other failure is one.
fn judge(found: Result<Option<(bool, Vec<u8>)>, rusqlite::Error>) -> Result<Found, rusqlite::Error> {
    match found {
        Ok(Some((true, bytes))) => Ok(Found::Bytes(bytes)),
        Ok(Some((false, _))) => Ok(Found::Lost("its checksum is wrong".to_owned())),
        Ok(None) => Ok(Found::Lost("it is not there".to_owned())),
        Err(error) if is_damage(&error) => Ok(Found::Lost(error.to_string())),
        Err(error) => Err(error),
    }
}
