//! The files: records appended in batches, each batch synced and then confirmed by the head; a new file when one is
//! full; the oldest go when they are too old or too many.
//!
//! A batch that could not be written whole is cut off again, so that it can be written once more.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use opcua::StatusCode;

use super::AuditError;
use super::head::{Gap, Head, Places, Start, sync_folder};
use super::line::{Fields, Hash, Line, MOST, push_chained, time_of};
use super::queue::Item;
use super::record::{Kind, Record, Who};
use crate::logging;
use crate::stack::crypto::MacKey;
use crate::value::UaTime;

/// Bounds of the files of one chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub keep: Duration,
    pub max_size: u64,
    pub max_file: u64,
}

#[derive(Debug)]
pub(crate) struct Trail {
    pub(super) places: Places,
    pub(super) key: MacKey,
    /// As far as the files are durable.
    pub(super) head: Head,
    pub(super) file: File,
    /// Durable bytes of the file that is written.
    pub(super) length: u64,
    /// The head on disk is older than `head`.
    pub(super) is_unconfirmed: bool,
    pub(super) bounds: Bounds,
    /// A file was begun since `take_rotated`.
    pub(super) is_rotated: bool,
    /// A record on the end of the previous file, until it is written into the new one.
    pub(super) told: Option<Record>,
}

/// The last record of a file.
#[derive(Debug, Clone, Copy)]
struct Last {
    number: u64,
    chain: Hash,
    /// Seconds since 1970.
    time: i64,
}

/// A file that may go.
#[derive(Debug)]
struct Old {
    number: u32,
    bytes: u64,
    /// Seconds since 1970: of its last record or, where that can't be read, of its last change.
    time: i64,
    /// Where the next one starts; `None`: nobody knows.
    next: Option<Start>,
}

impl Trail {
    /// Appends the records and makes them durable. On an error nothing of them is there.
    pub(crate) fn append(&mut self, items: &[Item]) -> io::Result<()> {
        self.look_after()?;
        let mut text = String::with_capacity(items.len() * 400);
        let (mut number, mut chain) = (self.head.number, self.head.chain);
        let mut push = |fields: &dyn Fields| {
            number += 1;
            chain = push_chained(&mut text, number, &chain, fields);
        };
        if let Some(record) = &self.told {
            push(record);
        }
        items.iter().for_each(|item| item.each(&mut push));
        if self.length > 0 && self.length + text.len() as u64 > self.bounds.max_file {
            self.rotate()?;
        }
        if self.length == 0 {
            // No record is written to a file that the head on disk does not name.
            self.confirm()?;
        }
        self.write(text.as_bytes())?;
        self.length += text.len() as u64;
        (self.head.number, self.head.chain) = (number, chain);
        self.is_unconfirmed = true;
        self.told = None;
        Ok(())
    }

    /// Whether the file that is written is still the one of its name, with all that was written; otherwise the
    /// remains are left as they are, and the next file begins after a gap.
    fn look_after(&mut self) -> io::Result<()> {
        let Some(what) = self.what_became_of_it()? else { return Ok(()) };
        create_folder(&self.places).map_err(io::Error::other)?;
        let expected = self.head.number;
        self.rotate()?;
        self.head.add_gap(Gap { start: self.head.current, expected });
        let line = format_args!("audit: the evidence was touched: {what}; a new file begins; see: opcell audit verify");
        logging::limited(log::Level::Error, "audit file touched", None, line);
        self.told = Some(Record::new(Kind::AuditGap, StatusCode::BadDataLost, Who::default()).with(what));
        Ok(())
    }

    fn what_became_of_it(&self) -> io::Result<Option<String>> {
        let (path, ours) = (self.places.file(self.head.current.file), self.file.metadata()?);
        let name = path.display();
        if ours.len() < self.length {
            return Ok(Some(format!("{name} has {} bytes of {} that were written", ours.len(), self.length)));
        }
        match fs::metadata(&path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Ok(None),
            Ok(_) => Ok(Some(format!("{name} is another file than the one that was written"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(format!("{name} is gone"))),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut write = || {
            // After a failed attempt the file may have more: durable bytes stay, the rest is written again.
            if self.file.metadata()?.len() != self.length {
                self.file.set_len(self.length)?;
            }
            self.file.seek(SeekFrom::Start(self.length))?;
            self.file.write_all(bytes)?;
            self.file.sync_data()
        };
        let written = write();
        if written.is_err()
            && let Err(error) = self.file.set_len(self.length)
        {
            log::debug!("the audit's file keeps a part of a batch until the next attempt: {error}");
        }
        written
    }

    /// Writes the head, when it is older than the file.
    pub(crate) fn confirm(&mut self) -> io::Result<()> {
        if self.is_unconfirmed {
            self.head.replace(&self.places.head, &self.key)?;
            self.is_unconfirmed = false;
        }
        Ok(())
    }

    /// Begins the next file.
    fn rotate(&mut self) -> io::Result<()> {
        let number = self.head.current.file + 1;
        let file = create(&self.places, number)?;
        self.head.current = Start { file: number, number: self.head.number + 1, chain: self.head.chain };
        (self.file, self.length) = (file, 0);
        (self.is_unconfirmed, self.is_rotated) = (true, true);
        Ok(())
    }

    /// Whether a file was begun since it was last asked.
    pub(crate) fn take_rotated(&mut self) -> bool {
        std::mem::take(&mut self.is_rotated)
    }

    /// Lets the oldest files go that are too old or too many. The head forgets them first: so a crash leaves a file
    /// too many, never one too few, and the next time it goes.
    pub(crate) fn retain(&mut self, now: UaTime) -> io::Result<()> {
        let oldest_kept = now.unix_seconds().saturating_sub_unsigned(self.bounds.keep.as_secs());
        let files: Vec<u32> = self.places.files().map_err(io::Error::other)?;
        let mut kept = Vec::new();
        for number in files.iter().filter(|number| (self.head.oldest.file..self.head.current.file).contains(number)) {
            kept.push(self.old(*number)?);
        }
        let mut total: u64 = kept.iter().map(|old| old.bytes).sum::<u64>() + self.length;
        for old in kept {
            if total <= self.bounds.max_size && old.time >= oldest_kept {
                break;
            }
            let Some(next) = old.next else {
                let name = self.places.file_name(old.number);
                let line = format_args!(
                    "audit: {name} is damaged, so it and all newer files stay; when you have looked, move it away"
                );
                logging::limited(log::Level::Warn, "audit file damaged", None, line);
                break;
            };
            total -= old.bytes;
            let dropped = &mut self.head.dropped;
            dropped.files += 1;
            dropped.records += next.number.saturating_sub(self.head.oldest.number);
            dropped.newest = dropped.newest.max(old.time);
            self.head.oldest = next;
            self.is_unconfirmed = true;
        }
        let oldest = self.head.oldest.file;
        self.head.gaps.retain(|gap| gap.start.file > oldest);
        self.confirm()?;
        let gone: Vec<u32> = files.into_iter().filter(|number| *number < oldest).collect();
        for number in &gone {
            fs::remove_file(self.places.file(*number))?;
            let line = format_args!("audit: {} was the oldest and is removed", self.places.file_name(*number));
            logging::limited(log::Level::Info, "audit file removed", None, line);
        }
        if gone.is_empty() { Ok(()) } else { sync_folder(&self.places.file(0)) }
    }

    fn old(&self, number: u32) -> io::Result<Old> {
        let path = self.places.file(number);
        let data = fs::metadata(&path)?;
        let last = if data.is_file() { last_of(&path)? } else { None };
        let next = self.start_after(number, last);
        Ok(Old { number, bytes: data.len(), time: last.map_or(data.mtime(), |last| last.time), next })
    }

    /// Where the file after this one starts; after a gap the head has this place.
    fn start_after(&self, number: u32, last: Option<Last>) -> Option<Start> {
        let file = number + 1;
        let known = self.head.gaps.iter().map(|gap| gap.start).chain([self.head.current]);
        let known = known.into_iter().find(|start| start.file == file);
        known.or_else(|| last.map(|last| Start { file, number: last.number + 1, chain: last.chain }))
    }
}

/// The folder, for us alone.
pub(super) fn create_folder(places: &Places) -> Result<(), AuditError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&places.folder);
    let closed = made.and_then(|()| fs::set_permissions(&places.folder, fs::Permissions::from_mode(0o700)));
    closed.map_err(AuditError::io(&places.folder))
}

/// A new file; there must be none of this number.
pub(super) fn create(places: &Places, number: u32) -> io::Result<File> {
    let path = places.file(number);
    let made = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
    let file = match made {
        // Left by an attempt that ended before the head named it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::metadata(&path)?.len() == 0 => {
            File::options().read(true).write(true).open(&path)?
        }
        made => made.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?,
    };
    sync_folder(&path)?;
    Ok(file)
}

/// The last whole line of a file; `None` when that is no line of ours.
fn last_of(path: &Path) -> io::Result<Option<Last>> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let tail = bytes.min(2 * MOST as u64);
    file.seek(SeekFrom::End(-i64::try_from(tail).expect("64 KiB")))?;
    let mut text = Vec::new();
    file.take(tail).read_to_end(&mut text)?;
    let Some(text) = text.strip_suffix(b"\n") else { return Ok(None) };
    let start = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let Some(line) = Line::parse(&text[start..]) else { return Ok(None) };
    let time = time_of(&text[start..]);
    Ok(time.map(|time| Last { number: line.number, chain: line.chain, time }))
}
