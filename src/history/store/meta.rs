//! `meta.db`: the list of archives, modified values, and annotations.
//!
//! An archive's number is never given to another. Each row carries a checksum: a damaged row is reported and not used.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::bytes::crc;
use super::files;
use super::trouble::sql_fault;
use crate::history::{ArchiveId, ArchiveSpec, Fault};
use crate::value::BuiltIn;

pub(crate) const FILE: &str = "meta.db";
const SCHEMA: &str = "
    CREATE TABLE archive(id INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, identifier TEXT NOT NULL,
        kind INTEGER NOT NULL, is_array INTEGER NOT NULL, class TEXT NOT NULL, keep INTEGER NOT NULL,
        max_size INTEGER, crc INTEGER NOT NULL, UNIQUE(identifier, namespace, kind, is_array));
    CREATE TABLE modified(archive INTEGER NOT NULL, time INTEGER NOT NULL, seq INTEGER NOT NULL, n INTEGER NOT NULL,
        crc INTEGER NOT NULL, entry BLOB NOT NULL, PRIMARY KEY(archive, time, seq, n)) WITHOUT ROWID;
    CREATE TABLE annotation(archive INTEGER NOT NULL, at INTEGER NOT NULL, time INTEGER NOT NULL, user TEXT NOT NULL,
        message TEXT NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY(archive, at, time, user)) WITHOUT ROWID;";

pub(crate) struct Meta {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
}

/// The archives of a file, and how many of its rows are damaged.
pub(crate) struct Archives {
    pub known: Vec<(ArchiveId, ArchiveSpec)>,
    pub damaged: Vec<i64>,
}

impl Meta {
    pub(crate) fn open(folder: &Path) -> Result<Meta, Fault> {
        let path = folder.join(FILE);
        Ok(Meta { connection: files::open_to_write(&path, SCHEMA)?, path })
    }

    pub(crate) fn open_to_read(folder: &Path) -> Result<Meta, Fault> {
        let path = folder.join(FILE);
        Ok(Meta { connection: files::open_to_read(&path)?, path })
    }

    pub(crate) fn archives(&self) -> Result<Archives, Fault> {
        let at = sql_fault(&self.path);
        let query = "SELECT id, namespace, identifier, kind, is_array, class, keep, max_size, crc FROM archive";
        let mut statement = self.connection.prepare(query).map_err(&at)?;
        let mut rows = statement.query([]).map_err(&at)?;
        let mut archives = Archives { known: Vec::new(), damaged: Vec::new() };
        while let Some(row) = rows.next().map_err(&at)? {
            let id: i64 = row.get(0).map_err(&at)?;
            match read_archive(row) {
                Some(archive) => archives.known.push(archive),
                None => archives.damaged.push(id),
            }
        }
        Ok(archives)
    }

    /// Finds archives and makes new ones; class, keep and size are updated.
    pub(crate) fn register(&mut self, specs: &[ArchiveSpec]) -> Result<Vec<ArchiveId>, Fault> {
        let at = sql_fault(&self.path);
        let transaction = self.connection.transaction().map_err(&at)?;
        let ids = specs.iter().map(|spec| register(&transaction, spec)).collect::<Result<Vec<_>, _>>().map_err(&at)?;
        transaction.commit().map_err(&at)?;
        Ok(ids)
    }
}

fn register(connection: &Connection, spec: &ArchiveSpec) -> Result<ArchiveId, rusqlite::Error> {
    let key = params![spec.identifier, spec.namespace, spec.kind as u8, spec.is_array];
    let find = "SELECT id, class, keep, max_size FROM archive \
                WHERE identifier = ? AND namespace = ? AND kind = ? AND is_array = ?";
    let found = connection.prepare_cached(find)?.query_row(key, |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?, row.get::<_, Option<i64>>(3)?))
    });
    let (keep, max_size) = (millis(spec.keep), spec.max_size.map(u64::cast_signed));
    let id = match found.optional()? {
        Some((id, class, old_keep, old_size)) => {
            if class != spec.class || old_keep != keep || old_size != max_size {
                let update = "UPDATE archive SET class = ?, keep = ?, max_size = ?, crc = ? WHERE id = ?";
                connection.prepare_cached(update)?.execute(params![
                    spec.class,
                    keep,
                    max_size,
                    checksum(id, spec),
                    id
                ])?;
            }
            id
        }
        None => {
            let insert = "INSERT INTO archive(namespace, identifier, kind, is_array, class, keep, max_size, crc) \
                          VALUES(?,?,?,?,?,?,?,0)";
            connection.prepare_cached(insert)?.execute(params![
                spec.namespace,
                spec.identifier,
                spec.kind as u8,
                spec.is_array,
                spec.class,
                keep,
                max_size
            ])?;
            let id = connection.last_insert_rowid();
            let sum = checksum(id, spec);
            connection.prepare_cached("UPDATE archive SET crc = ? WHERE id = ?")?.execute(params![sum, id])?;
            id
        }
    };
    u32::try_from(id).map(ArchiveId).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, id))
}

fn millis(keep: Duration) -> i64 {
    i64::try_from(keep.as_millis()).unwrap_or(i64::MAX)
}

fn checksum(id: i64, spec: &ArchiveSpec) -> u32 {
    let max_size = spec.max_size.map_or(-1, u64::cast_signed);
    let numbers = [id, i64::from(spec.kind as u8), i64::from(spec.is_array), millis(spec.keep), max_size];
    let zero: &[u8] = &[0];
    crc(&numbers, &[spec.namespace.as_bytes(), zero, spec.identifier.as_bytes(), zero, spec.class.as_bytes()])
}

/// `None` for a row that is not as it was written.
fn read_archive(row: &rusqlite::Row<'_>) -> Option<(ArchiveId, ArchiveSpec)> {
    let spec = || -> Result<(i64, Option<ArchiveSpec>, i64), rusqlite::Error> {
        let kind = BuiltIn::from_byte(row.get(3)?);
        let keep = Duration::from_millis(row.get::<_, i64>(6)?.max(0).cast_unsigned());
        let spec = ArchiveSpec {
            namespace: row.get(1)?,
            identifier: row.get(2)?,
            kind: kind.unwrap_or(BuiltIn::Variant),
            is_array: row.get(4)?,
            class: row.get(5)?,
            keep,
            max_size: row.get::<_, Option<i64>>(7)?.map(i64::cast_unsigned),
        };
        Ok((row.get(0)?, kind.map(|_| spec), row.get(8)?))
    };
    let (id, spec, sum) = spec().ok()?;
    let spec = spec.filter(|spec| i64::from(checksum(id, spec)) == sum)?;
    Some((ArchiveId(u32::try_from(id).ok()?), spec))
}
