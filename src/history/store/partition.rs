//! One file a UTC day or month, its tables, and its name.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use time::{Date, Month};

use super::block::Encoded;
use super::bytes::crc;
use super::files;
use super::manifest::Manifest;
use super::settings::Partition;
use super::tombstone::Tombstone;
use super::trouble::sql_fault;
use crate::history::{ArchiveId, Fault};

const TICKS_PER_DAY: i64 = 24 * 3600 * 10_000_000;
/// Julian day of 1601-01-01.
const DAY_ZERO: i32 = 2_305_814;
/// Days from 1601-01-01 to 9999-12-31.
const LAST_DAY: i64 = 3_067_670;

const SCHEMA: &str = "
    CREATE TABLE block(id INTEGER PRIMARY KEY, archive INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
        oldest INTEGER NOT NULL, newest INTEGER NOT NULL, times INTEGER NOT NULL, index_crc INTEGER NOT NULL,
        data_crc INTEGER NOT NULL, crc INTEGER NOT NULL, frames BLOB NOT NULL, data BLOB NOT NULL);
    CREATE INDEX places ON block(archive);
    CREATE INDEX small ON block(archive) WHERE count < 4096;
    CREATE INDEX sharers ON block(times);
    CREATE TABLE times(id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, data BLOB NOT NULL);
    CREATE TABLE tombstone(id INTEGER PRIMARY KEY, archive INTEGER NOT NULL, first INTEGER NOT NULL,
        last INTEGER NOT NULL, seq INTEGER NOT NULL, crc INTEGER NOT NULL);
    CREATE INDEX tombstones ON tombstone(archive);
    CREATE TABLE manifest(bucket INTEGER PRIMARY KEY, crc INTEGER NOT NULL, sums BLOB NOT NULL);
    CREATE TABLE mark(id INTEGER PRIMARY KEY CHECK(id = 1), seq INTEGER NOT NULL, version INTEGER NOT NULL,
        is_closed INTEGER NOT NULL, samples INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        crc INTEGER NOT NULL);
    INSERT INTO mark VALUES(1, 0, 0, 0, 0, 0, 0, 0);";

/// Which day or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub family: Partition,
    /// Days since 1601-01-01, or months since January 1601.
    pub number: i32,
}

/// A time that has a day: from 1601 to 9999.
pub(crate) fn has_day(time: i64) -> bool {
    time > 0 && time / TICKS_PER_DAY <= LAST_DAY
}

impl Key {
    /// The partition of a time that `has_day`; others go to the nearest that has.
    pub(crate) fn of(family: Partition, time: i64) -> Key {
        let day = time.div_euclid(TICKS_PER_DAY).clamp(0, LAST_DAY);
        let day = i32::try_from(day).expect("the last day fits");
        let number = match family {
            Partition::Day => day,
            Partition::Month => {
                let date = Date::from_julian_day(DAY_ZERO + day).expect("a day before the year 10000");
                (date.year() - 1601) * 12 + i32::from(u8::from(date.month())) - 1
            }
        };
        Key { family, number }
    }

    /// Its first instant.
    pub(crate) fn start(self) -> i64 {
        match self.family {
            Partition::Day => i64::from(self.number) * TICKS_PER_DAY,
            Partition::Month => {
                self.date().map_or(i64::MAX, |date| i64::from(date.to_julian_day() - DAY_ZERO) * TICKS_PER_DAY)
            }
        }
    }

    /// Its last instant.
    pub(crate) fn end(self) -> i64 {
        Key { number: self.number + 1, ..self }.start().saturating_sub(1)
    }

    fn date(self) -> Option<Date> {
        match self.family {
            Partition::Day => Date::from_julian_day(DAY_ZERO + self.number).ok(),
            Partition::Month => {
                let month = u8::try_from(self.number.rem_euclid(12) + 1).ok()?;
                Date::from_calendar_date(1601 + self.number.div_euclid(12), Month::try_from(month).ok()?, 1).ok()
            }
        }
    }

    /// `2026-11-21` or `2026-11`.
    pub(crate) fn name(self) -> String {
        let date = self.date().unwrap_or(Date::MAX);
        let (year, month) = (date.year(), u8::from(date.month()));
        match self.family {
            Partition::Day => format!("{year:04}-{month:02}-{:02}", date.day()),
            Partition::Month => format!("{year:04}-{month:02}"),
        }
    }

    fn parse(name: &str) -> Option<Key> {
        let mut parts = name.split('-');
        let year: i32 = parts.next()?.parse().ok()?;
        let month: u8 = parts.next()?.parse().ok()?;
        let day = parts.next().map(str::parse::<u8>);
        let family = if day.is_some() { Partition::Day } else { Partition::Month };
        let day = day.unwrap_or(Ok(1)).ok()?;
        let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
        let key = Key::of(family, i64::from(date.to_julian_day() - DAY_ZERO) * TICKS_PER_DAY);
        (key.name() == name).then_some(key)
    }
}

/// The parts of a file's name: `2026-11-21.db`, rewritten `2026-11-21.1.db`, set aside `2026-11-21.1.damaged.db`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    pub key: Key,
    pub generation: u32,
    pub is_damaged: bool,
}

impl Name {
    pub(crate) fn new(key: Key, generation: u32) -> Name {
        Name { key, generation, is_damaged: false }
    }

    pub(crate) fn parse(file: &str) -> Option<Name> {
        let stem = file.strip_suffix(".db")?;
        let (stem, is_damaged) = stem.strip_suffix(".damaged").map_or((stem, false), |stem| (stem, true));
        let (stem, generation) = match stem.split_once('.') {
            Some((stem, generation)) => (stem, generation.parse().ok()?),
            None => (stem, 0),
        };
        let name = Name { key: Key::parse(stem)?, generation, is_damaged };
        (name.file() == file).then_some(name)
    }

    pub(crate) fn file(self) -> String {
        let generation = if self.generation == 0 { String::new() } else { format!(".{}", self.generation) };
        let damaged = if self.is_damaged { ".damaged" } else { "" };
        format!("{}{generation}{damaged}.db", self.key.name())
    }
}

/// The `mark` row of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// Everything up to this commit that belongs here is in blocks.
    pub seq: u64,
    /// Counts the transactions.
    pub version: u64,
    /// It was rewritten after its time had passed.
    pub is_closed: bool,
    /// Samples in all blocks; what was replaced since the last merge counts too.
    pub samples: i64,
    /// Times between which all samples ever written stand; both 0 for none.
    pub first: i64,
    pub last: i64,
}

impl Mark {
    fn numbers(self) -> [i64; 6] {
        let is_closed = i64::from(self.is_closed);
        [self.seq.cast_signed(), self.version.cast_signed(), is_closed, self.samples, self.first, self.last]
    }

    fn checksum(self) -> u32 {
        crc(&self.numbers(), &[])
    }

    /// `None` for a mark that is not as it was written; a new file's is all zeros.
    pub(crate) fn read(connection: &Connection) -> Result<Option<Mark>, rusqlite::Error> {
        let query = "SELECT seq, version, is_closed, samples, first, last, crc FROM mark WHERE id = 1";
        let found = connection.prepare_cached(query)?.query_row([], |row| {
            let mark = Mark {
                seq: row.get::<_, i64>(0)?.cast_unsigned(),
                version: row.get::<_, i64>(1)?.cast_unsigned(),
                is_closed: row.get(2)?,
                samples: row.get(3)?,
                first: row.get(4)?,
                last: row.get(5)?,
            };
            Ok((mark, row.get::<_, i64>(6)?))
        });
        let is_intact = |(mark, sum): &(Mark, i64)| *mark == Mark::default() || *sum == i64::from(mark.checksum());
        Ok(found.optional()?.filter(is_intact).map(|(mark, _)| mark))
    }
}

/// A row of `block` without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockRow {
    /// Counts up: blocks are added at the end of the file, which leaves no page half full.
    pub id: i64,
    pub archive: ArchiveId,
    pub first: i64,
    pub last: i64,
    pub count: usize,
    pub oldest: u64,
    pub newest: u64,
    pub times: i64,
    pub index_crc: u32,
    pub data_crc: u32,
    pub crc: u32,
}

impl BlockRow {
    pub(crate) fn checksum(&self) -> u32 {
        let numbers = [
            self.id,
            i64::from(self.archive.0),
            self.first,
            self.last,
            self.count as u64 as i64,
            self.oldest.cast_signed(),
            self.newest.cast_signed(),
            self.times,
            i64::from(self.index_crc),
            i64::from(self.data_crc),
        ];
        crc(&numbers, &[])
    }

    pub(crate) fn is_intact(&self) -> bool {
        self.checksum() == self.crc && self.first <= self.last
    }

    pub(crate) fn read(row: &rusqlite::Row<'_>) -> Result<BlockRow, rusqlite::Error> {
        Ok(BlockRow {
            id: row.get(0)?,
            archive: ArchiveId(row.get(1)?),
            first: row.get(2)?,
            last: row.get(3)?,
            count: usize::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
            oldest: row.get::<_, i64>(5)?.cast_unsigned(),
            newest: row.get::<_, i64>(6)?.cast_unsigned(),
            times: row.get(7)?,
            index_crc: row.get(8)?,
            data_crc: row.get(9)?,
            crc: row.get(10)?,
        })
    }
}

/// One transaction on a partition.
pub(crate) struct Change<'c> {
    transaction: Transaction<'c>,
    pub mark: Mark,
    manifest: Manifest,
    path: &'c Path,
    next_times: i64,
    next_block: i64,
}

/// A partition opened for writing.
pub(crate) struct PartitionWriter {
    pub path: PathBuf,
    pub connection: Connection,
    /// Every change was made as it should be.
    pub is_sound: bool,
}

impl Drop for PartitionWriter {
    fn drop(&mut self) {
        if !self.is_sound {
            files::distrust(&self.connection);
        }
    }
}

impl PartitionWriter {
    pub(crate) fn open(path: PathBuf) -> Result<PartitionWriter, Fault> {
        Ok(PartitionWriter { connection: files::open_to_write(&path, SCHEMA)?, path, is_sound: false })
    }

    pub(crate) fn mark(&self) -> Result<Option<Mark>, Fault> {
        Mark::read(&self.connection).map_err(sql_fault(&self.path))
    }

    pub(crate) fn change(&mut self) -> Result<Change<'_>, Fault> {
        let at = sql_fault(&self.path);
        let mut mark = Mark::read(&self.connection).map_err(&at)?.unwrap_or_default();
        let next = |query: &str| self.connection.query_row(query, [], |row| row.get::<_, i64>(0)).map_err(&at);
        let next_times = next("SELECT coalesce(max(id), 0) + 1 FROM times")?;
        let next_block = next("SELECT coalesce(max(id), 0) + 1 FROM block")?;
        let transaction = self.connection.transaction().map_err(&at)?;
        mark.version += 1;
        Ok(Change { transaction, mark, manifest: Manifest::default(), path: &self.path, next_times, next_block })
    }
}

impl Change<'_> {
    pub(crate) fn connection(&self) -> &Connection {
        &self.transaction
    }

    pub(crate) fn put_times(&mut self, data: &[u8]) -> Result<i64, rusqlite::Error> {
        let id = self.next_times;
        self.next_times += 1;
        let mut insert = self.transaction.prepare_cached("INSERT INTO times VALUES(?,?,?)")?;
        insert.execute(params![id, crc(&[id], &[data]), data])?;
        Ok(id)
    }

    pub(crate) fn put_block(
        &mut self,
        archive: ArchiveId,
        block: &Encoded,
        times: i64,
    ) -> Result<BlockRow, rusqlite::Error> {
        let id = self.next_block;
        self.next_block += 1;
        let mut row = BlockRow {
            id,
            archive,
            first: block.first,
            last: block.last,
            count: block.count,
            oldest: block.seqs.0,
            newest: block.seqs.1,
            times,
            index_crc: crc(&[id], &[&block.index]),
            data_crc: crc(&[id], &[&block.data]),
            crc: 0,
        };
        row.crc = row.checksum();
        let mut insert = self.transaction.prepare_cached("INSERT INTO block VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)")?;
        insert.execute(params![
            row.id,
            row.archive.0,
            row.first,
            row.last,
            row.count as u64 as i64,
            row.oldest.cast_signed(),
            row.newest.cast_signed(),
            row.times,
            row.index_crc,
            row.data_crc,
            row.crc,
            block.index,
            block.data
        ])?;
        self.manifest.add(&self.transaction, archive, row.crc)?;
        let mark = &mut self.mark;
        mark.first = if mark.last == 0 { row.first } else { mark.first.min(row.first) };
        mark.last = mark.last.max(row.last);
        mark.samples += row.count as u64 as i64;
        Ok(row)
    }

    pub(crate) fn delete_block(&mut self, row: &BlockRow) -> Result<(), rusqlite::Error> {
        self.transaction.prepare_cached("DELETE FROM block WHERE id = ?")?.execute([row.id])?;
        self.mark.samples -= row.count as u64 as i64;
        self.manifest.remove(&self.transaction, row.archive, row.crc)
    }

    pub(crate) fn put_tombstone(&mut self, archive: ArchiveId, stone: Tombstone) -> Result<(), rusqlite::Error> {
        let numbers = [i64::from(archive.0), stone.first, stone.last, stone.seq.cast_signed()];
        let mut insert = self
            .transaction
            .prepare_cached("INSERT INTO tombstone(archive, first, last, seq, crc) VALUES(?,?,?,?,?)")?;
        insert.execute(params![numbers[0], numbers[1], numbers[2], numbers[3], crc(&numbers, &[])])?;
        Ok(())
    }

    /// Makes it durable.
    pub(crate) fn commit(mut self) -> Result<Mark, Fault> {
        let at = sql_fault(self.path);
        self.manifest.store(&self.transaction).map_err(&at)?;
        let mark = self.mark;
        let [seq, version, is_closed, samples, first, last] = mark.numbers();
        let numbers = params![seq, version, is_closed, samples, first, last, mark.checksum()];
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO mark VALUES(1,?,?,?,?,?,?,?)")
            .and_then(|mut update| update.execute(numbers))
            .map_err(&at)?;
        self.transaction.commit().map_err(&at)?;
        Ok(mark)
    }

    pub(crate) fn fault(&self, error: rusqlite::Error) -> Fault {
        sql_fault(self.path)(error)
    }
}

/// Spans of an archive that edits cleared; a damaged row clears nothing.
pub(crate) fn tombstones(connection: &Connection, archive: ArchiveId) -> Result<Vec<Tombstone>, rusqlite::Error> {
    let query = "SELECT first, last, seq, crc FROM tombstone WHERE archive = ?";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query([i64::from(archive.0)])?;
    let mut stones = Vec::new();
    while let Some(row) = rows.next()? {
        let (first, last, seq): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if row.get::<_, i64>(3)? == i64::from(crc(&[i64::from(archive.0), first, last, seq], &[])) {
            stones.push(Tombstone { first, last, seq: seq.cast_unsigned() });
        }
    }
    Ok(stones)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_its_day_and_month_and_both_have_names() {
        for (family, time, name) in [
            (Partition::Day, 1, "1601-01-01"),
            (Partition::Day, 134_081_568_000_000_000, "2025-11-21"),
            (Partition::Month, 134_081_568_000_000_000, "2025-11"),
            (Partition::Month, 116_444_736_000_000_000 - 1, "1969-12"),
            (Partition::Day, LAST_DAY * TICKS_PER_DAY, "9999-12-31"),
            (Partition::Month, LAST_DAY * TICKS_PER_DAY, "9999-12"),
        ] {
            let key = Key::of(family, time);
            assert_eq!(key.name(), name, "{time}");
            assert!(key.start() <= time && time <= key.end(), "{time} in {name}");
            let name = Name { key, generation: 3, is_damaged: true };
            assert_eq!(Name::parse(&name.file()), Some(name));
            assert_eq!(Name::parse(&format!("{}.db", key.name())), Some(Name::new(key, 0)));
        }
        for file in ["meta.db", "journal.db", "2025-13.db", "2025-1-1.db", "2025-01-01.0.db", "2025-01-01.db-wal"] {
            assert_eq!(Name::parse(file), None, "{file}");
        }
    }
}
