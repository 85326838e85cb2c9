//! Modified values and annotations: two tables of `meta.db`.

use opcua::StatusCode;
use rusqlite::{Connection, params};

use super::batch::{EditRecord, put_modification, take_modification};
use super::bytes::{Input, crc};
use super::meta::Meta;
use super::trouble::sql_fault;
use crate::history::{
    Annotation, AnnotationEdit, ArchiveId, Cursor, Direction, Fault, Modification, ModifiedPage, Span,
};
use crate::value::UaTime;

/// Does one entry of an edit.
type Act = fn(&Connection, ArchiveId, &Annotation) -> Result<StatusCode, rusqlite::Error>;

/// A page of the log, as it is asked for.
pub(crate) struct LogQuery {
    pub archive: ArchiveId,
    pub span: Span,
    pub direction: Direction,
    pub limit: usize,
    pub as_of: u64,
    pub resume: Option<Cursor>,
}

impl Meta {
    /// Does to the log what an edit says. Doing it again changes nothing.
    pub(crate) fn log_edit(&mut self, edit: &EditRecord, seq: u64) -> Result<(), Fault> {
        if edit.log.is_empty() && edit.forget.is_none() {
            return Ok(());
        }
        let at = sql_fault(&self.path);
        let transaction = self.connection.transaction().map_err(&at)?;
        log_edit(&transaction, edit, seq.cast_signed()).map_err(&at)?;
        transaction.commit().map_err(&at)
    }

    /// Entries in the order of their samples' times; those of one time in the order of the edits.
    pub(crate) fn modified(&self, query: &LogQuery) -> Result<ModifiedPage, Fault> {
        let at = sql_fault(&self.path);
        let (mut span, mut skip) = (query.span, 0);
        if let Some(cursor) = query.resume {
            match query.direction {
                Direction::Forward => span.first = cursor.time,
                Direction::Backward => span.last = cursor.time,
            }
            skip = cursor.same;
        }
        let order = match query.direction {
            Direction::Forward => "ASC",
            Direction::Backward => "DESC",
        };
        let text = format!(
            "SELECT time, seq, n, crc, entry FROM modified \
             WHERE archive = ? AND time >= ? AND time <= ? AND seq <= ? ORDER BY time {order}, seq {order}, n {order}"
        );
        let mut statement = self.connection.prepare_cached(&text).map_err(&at)?;
        let as_of = query.as_of.cast_signed();
        let mut rows =
            statement.query(params![i64::from(query.archive.0), span.first.0, span.last.0, as_of]).map_err(&at)?;
        let mut page = ModifiedPage::default();
        // Entries seen at the time of the row, and the last one given.
        let (mut here, mut given) = ((UaTime(i64::MIN), 0), (UaTime(i64::MIN), 0));
        while let Some(row) = rows.next().map_err(&at)? {
            let Some(entry) = read_entry(query.archive, row) else { continue };
            let time = entry.sample.source_time;
            here = if time == here.0 { (time, here.1 + 1) } else { (time, 1) };
            if query.resume.is_some_and(|cursor| cursor.time == time) && here.1 <= skip {
                continue;
            }
            if query.limit > 0 && page.entries.len() == query.limit {
                page.resume = Some(Cursor { time: given.0, as_of: query.as_of, same: given.1 });
                break;
            }
            given = here;
            page.entries.push(entry);
        }
        Ok(page)
    }

    /// Times with an entry of either table, sorted; read from the indices alone.
    pub(crate) fn noted(&self, archive: ArchiveId, span: Span) -> Result<Vec<UaTime>, Fault> {
        let query = "SELECT time FROM modified WHERE archive = ?1 AND time >= ?2 AND time <= ?3 \
                     UNION SELECT at FROM annotation WHERE archive = ?1 AND at >= ?2 AND at <= ?3 ORDER BY 1";
        let found = self.connection.prepare_cached(query).and_then(|mut statement| {
            let times =
                statement.query_map(params![i64::from(archive.0), span.first.0, span.last.0], |row| row.get(0))?;
            times.map(|time| time.map(UaTime)).collect()
        });
        found.map_err(sql_fault(&self.path))
    }

    pub(crate) fn has_modified(&self, archive: ArchiveId, span: Span) -> Result<bool, Fault> {
        let query = "SELECT EXISTS(SELECT 1 FROM modified WHERE archive = ? AND time >= ? AND time <= ?)";
        let found = self.connection.prepare_cached(query).and_then(|mut statement| {
            statement.query_row(params![i64::from(archive.0), span.first.0, span.last.0], |row| row.get(0))
        });
        found.map_err(sql_fault(&self.path))
    }

    /// Takes away what belongs to samples that are too old, by the oldest time that each archive keeps.
    pub(crate) fn retire(&mut self, floor: impl Fn(ArchiveId) -> UaTime) -> Result<(), Fault> {
        let at = sql_fault(&self.path);
        let query = "SELECT DISTINCT archive FROM modified UNION SELECT DISTINCT archive FROM annotation";
        let read = |mut statement: rusqlite::CachedStatement<'_>| {
            statement.query_map([], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<i64>, _>>()
        };
        let archives = self.connection.prepare_cached(query).and_then(read).map_err(&at)?;
        let transaction = self.connection.transaction().map_err(&at)?;
        for id in archives {
            let Ok(archive) = u32::try_from(id) else { continue };
            let oldest = floor(ArchiveId(archive)).0;
            for delete in [
                "DELETE FROM modified WHERE archive = ? AND time < ?",
                "DELETE FROM annotation WHERE archive = ? AND at < ?",
            ] {
                let done = transaction.prepare_cached(delete).and_then(|mut delete| delete.execute([id, oldest]));
                done.map_err(&at)?;
            }
        }
        transaction.commit().map_err(&at)
    }

    /// Entries of both tables that are not as they were written.
    pub(crate) fn count_damaged(&self) -> Result<usize, Fault> {
        let at = sql_fault(&self.path);
        let count = |query: &str, is_intact: &dyn Fn(&rusqlite::Row<'_>) -> Option<bool>| {
            let mut statement = self.connection.prepare_cached(query)?;
            let mut rows = statement.query([])?;
            let mut damaged = 0;
            while let Some(row) = rows.next()? {
                damaged += usize::from(is_intact(row) != Some(true));
            }
            Ok::<usize, rusqlite::Error>(damaged)
        };
        let modified = count("SELECT time, seq, n, crc, entry, archive FROM modified", &|row| {
            let archive = u32::try_from(row.get::<_, i64>(5).ok()?).ok()?;
            Some(read_entry(ArchiveId(archive), row).is_some())
        });
        let remarks = count("SELECT at, time, user, message, crc, archive FROM annotation", &|row| {
            let archive = ArchiveId(u32::try_from(row.get::<_, i64>(5).ok()?).ok()?);
            let annotation = Annotation {
                at: UaTime(row.get(0).ok()?),
                time: UaTime(row.get(1).ok()?),
                user: row.get(2).ok()?,
                message: row.get(3).ok()?,
            };
            Some(row.get::<_, i64>(4).ok()? == i64::from(checksum(archive, &annotation)))
        });
        Ok(modified.map_err(&at)? + remarks.map_err(&at)?)
    }

    pub(crate) fn annotations(&self, archive: ArchiveId, span: Span) -> Result<Vec<Annotation>, Fault> {
        let at = sql_fault(&self.path);
        let query = "SELECT at, time, user, message, crc FROM annotation \
                     WHERE archive = ? AND at >= ? AND at <= ? ORDER BY at, time, user";
        let mut statement = self.connection.prepare_cached(query).map_err(&at)?;
        let mut rows = statement.query(params![i64::from(archive.0), span.first.0, span.last.0]).map_err(&at)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(&at)? {
            let annotation = Annotation {
                at: UaTime(row.get(0).map_err(&at)?),
                time: UaTime(row.get(1).map_err(&at)?),
                user: row.get(2).map_err(&at)?,
                message: row.get(3).map_err(&at)?,
            };
            let sum: i64 = row.get(4).map_err(&at)?;
            // A damaged remark is no remark.
            if sum == i64::from(checksum(archive, &annotation)) {
                found.push(annotation);
            }
        }
        Ok(found)
    }

    pub(crate) fn annotate(&mut self, archive: ArchiveId, edit: &AnnotationEdit) -> Result<Vec<StatusCode>, Fault> {
        let at = sql_fault(&self.path);
        let transaction = self.connection.transaction().map_err(&at)?;
        let (entries, act): (_, Act) = match edit {
            AnnotationEdit::Insert(entries) => (entries, insert),
            AnnotationEdit::Replace(entries) => (entries, replace),
            AnnotationEdit::Update(entries) => (entries, update),
            AnnotationEdit::Remove(entries) => (entries, remove),
        };
        let statuses = entries.iter().map(|entry| act(&transaction, archive, entry)).collect::<Result<_, _>>();
        let statuses = statuses.map_err(&at)?;
        transaction.commit().map_err(&at)?;
        Ok(statuses)
    }
}

fn log_edit(connection: &Connection, edit: &EditRecord, seq: i64) -> Result<(), rusqlite::Error> {
    let archive = i64::from(edit.archive.0);
    if let Some(span) = edit.forget {
        let delete = "DELETE FROM modified WHERE archive = ? AND time >= ? AND time <= ? AND seq < ?";
        connection.prepare_cached(delete)?.execute(params![archive, span.first.0, span.last.0, seq])?;
    }
    let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO modified VALUES(?,?,?,?,?,?)")?;
    for (entry, n) in edit.log.iter().zip(0i64..) {
        let mut bytes = Vec::new();
        put_modification(&mut bytes, entry);
        let time = entry.sample.source_time.0;
        let sum = crc(&[archive, time, seq, n], &[&bytes]);
        insert.execute(params![archive, time, seq, n, sum, bytes])?;
    }
    Ok(())
}

/// `None` for an entry that is not as it was written.
fn read_entry(archive: ArchiveId, row: &rusqlite::Row<'_>) -> Option<Modification> {
    let read = || -> Result<([i64; 4], i64, Vec<u8>), rusqlite::Error> {
        Ok(([i64::from(archive.0), row.get(0)?, row.get(1)?, row.get(2)?], row.get(3)?, row.get(4)?))
    };
    let (numbers, sum, bytes) = read().ok()?;
    if sum != i64::from(crc(&numbers, &[&bytes])) {
        return None;
    }
    take_modification(&mut Input::new(&bytes)).ok()
}

fn checksum(archive: ArchiveId, annotation: &Annotation) -> u32 {
    let numbers = [i64::from(archive.0), annotation.at.0, annotation.time.0];
    crc(&numbers, &[annotation.user.as_bytes(), &[0], annotation.message.as_bytes()])
}

fn insert(connection: &Connection, archive: ArchiveId, entry: &Annotation) -> Result<StatusCode, rusqlite::Error> {
    let put = write(connection, "INSERT OR IGNORE INTO annotation VALUES(?,?,?,?,?,?)", archive, entry)?;
    Ok(if put > 0 { StatusCode::GoodEntryInserted } else { StatusCode::BadEntryExists })
}

fn replace(connection: &Connection, archive: ArchiveId, entry: &Annotation) -> Result<StatusCode, rusqlite::Error> {
    if remove(connection, archive, entry)?.is_bad() {
        return Ok(StatusCode::BadNoEntryExists);
    }
    insert(connection, archive, entry)?;
    Ok(StatusCode::GoodEntryReplaced)
}

fn update(connection: &Connection, archive: ArchiveId, entry: &Annotation) -> Result<StatusCode, rusqlite::Error> {
    let replaced = replace(connection, archive, entry)?;
    if replaced.is_good() { Ok(replaced) } else { insert(connection, archive, entry) }
}

fn remove(connection: &Connection, archive: ArchiveId, entry: &Annotation) -> Result<StatusCode, rusqlite::Error> {
    let delete = "DELETE FROM annotation WHERE archive = ? AND at = ? AND time = ? AND user = ?";
    let key = params![i64::from(archive.0), entry.at.0, entry.time.0, entry.user];
    let gone = connection.prepare_cached(delete)?.execute(key)?;
    Ok(if gone > 0 { StatusCode::Good } else { StatusCode::BadNoEntryExists })
}

fn write(
    connection: &Connection,
    statement: &str,
    archive: ArchiveId,
    entry: &Annotation,
) -> Result<usize, rusqlite::Error> {
    let sum = checksum(archive, entry);
    connection.prepare_cached(statement)?.execute(params![
        i64::from(archive.0),
        entry.at.0,
        entry.time.0,
        entry.user,
        entry.message,
        sum
    ])
}
