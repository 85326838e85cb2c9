//! Reads every row of every file and tells what is not as it was written.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use super::block::{Data, Index, Times, frame_counts};
use super::fetch::{self, Found};
use super::files;
use super::journal::Journal;
use super::manifest;
use super::partition::BlockRow;
use super::partitions::PartitionFile;
use super::shared::Shared;
use super::trouble::{Damage, sql_fault};
use crate::history::{ArchiveId, Fault, Span};
use crate::value::UaTime;

/// Findings of SQLite about one file, at most.
const MOST_LINES: usize = 20;

/// Something that is damaged.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The file's name in the store's folder.
    pub file: String,
    pub archive: Option<ArchiveId>,
    /// Between which times samples are lost.
    pub span: Option<Span>,
    pub what: String,
}

struct Findings {
    file: String,
    found: Vec<Finding>,
}

impl Findings {
    fn of(path: &Path) -> Findings {
        let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Findings { file, found: Vec::new() }
    }

    fn tell(&mut self, archive: Option<ArchiveId>, span: Option<(i64, i64)>, what: impl ToString) {
        let span = span.map(|(first, last)| Span { first: UaTime(first), last: UaTime(last) });
        self.found.push(Finding { file: self.file.clone(), archive, span, what: what.to_string() });
    }

    fn tell_fault(&mut self, fault: &Fault) {
        self.tell(None, None, fault);
    }
}

pub(crate) fn verify(shared: &Shared) -> Vec<Finding> {
    let mut found = verify_meta(shared);
    found.extend(verify_journal(shared));
    found.extend(verify_aside(shared));
    // A file that the server replaces meanwhile is read under its new name.
    let mut read = BTreeSet::new();
    loop {
        if let Err(fault) = shared.partitions.look() {
            let mut findings = Findings::of(&shared.settings.path);
            findings.tell_fault(&fault);
            found.extend(findings.found);
            return found;
        }
        let mut partitions = shared.partitions.all();
        partitions.retain(|partition| read.insert(partition.name));
        if partitions.is_empty() {
            return found;
        }
        partitions.iter().for_each(|partition| found.extend(verify_volume(shared, partition)));
    }
}

/// Files that an earlier start found damaged and set aside: what they held may be lost.
fn verify_aside(shared: &Shared) -> Vec<Finding> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&shared.settings.path).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "damaged") {
            let mut findings = Findings::of(&path);
            findings.tell(
                None,
                None,
                "was damaged and is set aside; what could be read of it was saved, the rest is lost",
            );
            found.extend(findings.found);
        }
    }
    found
}

/// Findings of SQLite about a file's structure.
fn check_structure(connection: &Connection, findings: &mut Findings) {
    let read = || -> Result<Vec<String>, rusqlite::Error> {
        let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
        statement.query_map([], |row| row.get(0))?.take(MOST_LINES).collect()
    };
    match read() {
        Ok(lines) => lines.iter().filter(|line| *line != "ok").for_each(|line| findings.tell(None, None, line)),
        Err(error) => findings.tell(None, None, error),
    }
}

fn verify_meta(shared: &Shared) -> Vec<Finding> {
    let meta = shared.meta.lock();
    let mut findings = Findings::of(&meta.path);
    check_structure(&meta.connection, &mut findings);
    match meta.archives() {
        Ok(archives) => {
            for id in archives.damaged {
                let archive = u32::try_from(id).ok().map(ArchiveId);
                findings.tell(archive, None, "the archive's entry has a wrong checksum");
            }
        }
        Err(fault) => findings.tell_fault(&fault),
    }
    match meta.count_damaged() {
        Ok(0) => {}
        Ok(count) => findings.tell(None, None, format!("{count} modified values or annotations have a wrong checksum")),
        Err(fault) => findings.tell_fault(&fault),
    }
    findings.found
}

fn verify_journal(shared: &Shared) -> Vec<Finding> {
    let mut findings = Findings::of(&shared.settings.path.join(super::journal::FILE));
    let journal = match Journal::open_to_read(&shared.settings.path) {
        Ok(journal) => journal,
        Err(fault) => {
            findings.tell_fault(&fault);
            return findings.found;
        }
    };
    check_structure(journal.connection(), &mut findings);
    match journal.replay(&mut |_, _| {}) {
        Ok(mut replay) => {
            let last = replay.last.max(shared.commits.found());
            journal.find_lost(last, &mut replay);
            replay.damaged.iter().for_each(|(seq, what)| findings.tell(None, None, format!("commit {seq}: {what}")));
        }
        Err(fault) => findings.tell_fault(&fault),
    }
    findings.found
}

fn verify_volume(shared: &Shared, partition: &PartitionFile) -> Vec<Finding> {
    let mut findings = Findings::of(&partition.path);
    let connection = match files::open_to_read(&partition.path) {
        Ok(connection) => connection,
        // It was rewritten meanwhile, and is read under its new name.
        Err(_) if !partition.path.exists() => return Vec::new(),
        Err(fault) => {
            findings.tell(None, Some((partition.key().start(), partition.key().end())), fault);
            return findings.found;
        }
    };
    // All of it as it is now: a block that a merge takes away meanwhile is not damaged. A file that is being made has
    // nothing in it yet.
    match connection.execute_batch("BEGIN").and_then(|()| files::is_unborn(&connection)) {
        Ok(false) => {}
        Ok(true) => return findings.found,
        Err(error) => {
            findings.tell(None, None, error);
            return findings.found;
        }
    }
    check_structure(&connection, &mut findings);
    for (archive, _) in shared.archives.specs() {
        if let Err(error) = verify_archive(&connection, partition, archive, &mut findings) {
            let span = (partition.key().start(), partition.key().end());
            findings.tell(Some(archive), Some(span), sql_fault(&partition.path)(error));
        }
    }
    match manifest::is_intact(&connection) {
        Ok(true) => {}
        Ok(false) => findings.tell(None, None, "the count of blocks has a wrong checksum"),
        Err(error) => findings.tell(None, None, error),
    }
    findings.found
}

fn verify_archive(
    connection: &Connection,
    partition: &PartitionFile,
    archive: ArchiveId,
    findings: &mut Findings,
) -> Result<(), rusqlite::Error> {
    let key = partition.key();
    let list = fetch::list(connection, key, archive)?;
    for _ in &list.losses {
        findings.tell(Some(archive), Some((key.start(), key.end())), "a block is gone or its entry is damaged");
    }
    for row in &list.blocks {
        if let Some(what) = verify_block(connection, row)? {
            findings.tell(Some(archive), Some((row.first, row.last)), what);
        }
    }
    Ok(())
}

/// The fault of a block, if it has one.
fn verify_block(connection: &Connection, row: &BlockRow) -> Result<Option<String>, rusqlite::Error> {
    let parts = (fetch::frames(connection, row)?, fetch::data(connection, row)?, fetch::times(connection, row.times)?);
    let (frames, data, times) = match parts {
        (Found::Bytes(frames), Found::Bytes(data), Found::Bytes(times)) => (frames, data, times),
        (Found::Lost(what), ..) | (_, Found::Lost(what), _) | (.., Found::Lost(what)) => return Ok(Some(what)),
    };
    Ok(decodes(row, &frames, &data, &times).err().map(|damage| damage.0.to_owned()))
}

fn decodes(row: &BlockRow, frames: &[u8], data: &[u8], times: &[u8]) -> Result<(), Damage> {
    let index = Index::read(frames, row.first, row.count)?;
    let mut columns = Times::open(times, row.count)?;
    let mut content = Data::open(data, row.count)?;
    for (frame, count) in frame_counts(row.count).enumerate() {
        let mut column = Vec::with_capacity(count);
        columns.frame(times, frame, count, &mut column)?;
        let edges = (column.first().copied(), column.last().copied());
        if edges != (Some(index.frames[frame].first), Some(index.frames[frame].last)) {
            return Err(Damage("its times are not those of its index"));
        }
        content.frame(data, frame, column)?;
        index.summary(frames, frame)?;
    }
    Ok(())
}
