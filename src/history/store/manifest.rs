//! The number of blocks that each archive has in a partition, and the sum of their checksums: detects a block that is
//! gone without a trace.
//!
//! 256 archives share a row, so that a flush of 100,000 archives updates 400 rows.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rusqlite::{Connection, OptionalExtension, params};

use super::bytes::crc;
use crate::history::ArchiveId;

const ARCHIVES: usize = 256;
const ENTRY: usize = 8;

/// The blocks that an archive should have, and their checksums xored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub blocks: u32,
    pub sum: u32,
}

impl Tally {
    pub(crate) fn add(&mut self, sum: u32) {
        self.blocks += 1;
        self.sum ^= sum;
    }
}

/// The rows that a transaction has changed.
#[derive(Default)]
pub(crate) struct Manifest {
    buckets: BTreeMap<u32, Vec<u8>>,
}

impl Manifest {
    pub(crate) fn add(&mut self, connection: &Connection, archive: ArchiveId, sum: u32) -> Result<(), rusqlite::Error> {
        self.change(connection, archive, |tally| tally.add(sum))
    }

    pub(crate) fn remove(
        &mut self,
        connection: &Connection,
        archive: ArchiveId,
        sum: u32,
    ) -> Result<(), rusqlite::Error> {
        self.change(connection, archive, |tally| {
            tally.blocks = tally.blocks.saturating_sub(1);
            tally.sum ^= sum;
        })
    }

    fn change(
        &mut self,
        connection: &Connection,
        archive: ArchiveId,
        change: impl FnOnce(&mut Tally),
    ) -> Result<(), rusqlite::Error> {
        let (bucket, at) = place(archive);
        let sums = match self.buckets.entry(bucket) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                free.insert(read(connection, bucket)?.flatten().unwrap_or_else(|| vec![0; ARCHIVES * ENTRY]))
            }
        };
        let mut tally = tally(sums, at);
        change(&mut tally);
        sums[at..at + 4].copy_from_slice(&tally.blocks.to_le_bytes());
        sums[at + 4..at + 8].copy_from_slice(&tally.sum.to_le_bytes());
        Ok(())
    }

    /// Writes what has changed.
    pub(crate) fn store(&mut self, connection: &Connection) -> Result<(), rusqlite::Error> {
        let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO manifest VALUES(?,?,?)")?;
        for (bucket, sums) in std::mem::take(&mut self.buckets) {
            insert.execute(params![bucket, crc(&[i64::from(bucket)], &[&sums]), sums])?;
        }
        Ok(())
    }
}

fn place(archive: ArchiveId) -> (u32, usize) {
    (archive.0 / 256, archive.0 as usize % ARCHIVES * ENTRY)
}

fn tally(sums: &[u8], at: usize) -> Tally {
    let number = |at: usize| u32::from_le_bytes(sums[at..at + 4].try_into().expect("four bytes"));
    Tally { blocks: number(at), sum: number(at + 4) }
}

/// `Some(None)` for a row that is not as it was written.
fn read(connection: &Connection, bucket: u32) -> Result<Option<Option<Vec<u8>>>, rusqlite::Error> {
    let query = "SELECT crc, sums FROM manifest WHERE bucket = ?";
    let found = connection.prepare_cached(query)?.query_row([bucket], |row| {
        let sums: Vec<u8> = row.get(1)?;
        let is_intact = row.get::<_, i64>(0)? == i64::from(crc(&[i64::from(bucket)], &[&sums]));
        Ok(Some(sums).filter(|sums| is_intact && sums.len() == ARCHIVES * ENTRY))
    });
    found.optional()
}

/// The blocks that an archive should have; `None` when the manifest itself is damaged.
pub(crate) fn expected(connection: &Connection, archive: ArchiveId) -> Result<Option<Tally>, rusqlite::Error> {
    let (bucket, at) = place(archive);
    Ok(match read(connection, bucket)? {
        None => Some(Tally::default()),
        Some(sums) => sums.map(|sums| tally(&sums, at)),
    })
}

/// Every row is as it was written.
pub(crate) fn is_intact(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let mut statement = connection.prepare_cached("SELECT bucket FROM manifest")?;
    let buckets = statement.query_map([], |row| row.get::<_, u32>(0))?.collect::<Result<Vec<u32>, _>>()?;
    for bucket in buckets {
        if read(connection, bucket)?.flatten().is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
