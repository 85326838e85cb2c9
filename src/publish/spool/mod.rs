//! The buffer of a publisher: messages on disk while the broker is away, the oldest first.
//!
//! It is a row of files, each much smaller than the whole. Records are added to the last file, and a file is removed when all
//! of its records are acknowledged, or when there is no more room. After a start the old files are read and never written to:
//! a file that was cut by a crash gives its whole records. A record is known by its number, which counts from the oldest one
//! of this run.

mod segment;

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub(crate) use segment::Record;
use segment::{Content, MAGIC};

/// Sizes of one file.
const SMALLEST: u64 = 4 << 10;
const LARGEST: u64 = 1 << 20;
/// Part of the buffer that one file is.
const FILES: u64 = 16;
const ENDING: &str = "spool";

/// A record on its way to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub number: u64,
    pub record: Record,
}

/// One file.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    /// Number of its first record.
    first: u64,
    count: u64,
    bytes: u64,
}

impl Segment {
    fn end(&self) -> u64 {
        self.first + self.count
    }
}

/// The last file, which is being written.
#[derive(Debug)]
struct Tail {
    file: File,
    /// Where the next record begins.
    at: u64,
}

/// The buffer on disk. It blocks: use it off the threads of tasks.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    /// Most bytes of all files.
    limit: u64,
    segments: VecDeque<Segment>,
    /// Bytes of all files.
    total: u64,
    tail: Option<Tail>,
    next_file: u64,
    /// The oldest record that is not acknowledged.
    head: u64,
    /// The next record to be sent.
    cursor: u64,
    /// Acknowledged records after `head`.
    done: BTreeSet<u64>,
    /// The file that the cursor is in, as it was read.
    read: Option<Opened>,
    dropped: u64,
}

/// The records of a file that are to be sent.
#[derive(Debug)]
struct Opened {
    first: u64,
    records: VecDeque<Record>,
}

impl Spool {
    /// Opens a folder with what an earlier run has left. The error says why there is no buffer.
    pub(crate) fn open(folder: &Path, limit: u64) -> io::Result<Spool> {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        let mut spool = Spool {
            folder: folder.to_owned(),
            limit,
            segments: VecDeque::new(),
            total: 0,
            tail: None,
            next_file: 1,
            head: 0,
            cursor: 0,
            done: BTreeSet::new(),
            read: None,
            dropped: 0,
        };
        for number in numbers_in(folder)? {
            spool.next_file = number + 1;
            let path = spool.path_of(number);
            let Content { records, whole, is_damaged } = segment::read(&fs::read(&path)?);
            if is_damaged {
                log::warn!("{}: it ends in the middle of a message, which is lost", path.display());
            }
            match records.len() as u64 {
                0 => fs::remove_file(&path)?,
                count => {
                    let bytes = whole as u64;
                    spool.segments.push_back(Segment { path, first: spool.end(), count, bytes });
                    spool.total += bytes;
                }
            }
        }
        spool.make_room(0);
        Ok(spool)
    }

    fn path_of(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:012}.{ENDING}"))
    }

    /// Changes the limit. The oldest records are dropped where it is smaller than before.
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
        self.make_room(0);
    }

    fn end(&self) -> u64 {
        self.segments.back().map_or(self.head, Segment::end)
    }

    /// Records that are not acknowledged.
    pub(crate) fn len(&self) -> u64 {
        self.end() - self.head - self.done.len() as u64
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.total
    }

    /// Whether every record was sent on this connection.
    pub(crate) fn is_drained(&self) -> bool {
        self.cursor >= self.end()
    }

    /// Records that were dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Adds records. The numbers of those that are on disk are the last ones; those that are not were dropped and counted.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut rest = records;
        while !rest.is_empty() {
            match self.append_some(rest) {
                Ok(taken) => rest = &rest[taken..],
                Err(error) => {
                    self.dropped += rest.len() as u64;
                    // The rest of a record that was not written ends the file.
                    self.tail = None;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Adds as many records as fit into the last file, and at least one.
    fn append_some(&mut self, records: &[Record]) -> io::Result<usize> {
        let file_size = (self.limit / FILES).clamp(SMALLEST, LARGEST);
        let size = records[0].size() as u64 + MAGIC.len() as u64;
        if size > self.limit {
            self.dropped += 1;
            return Ok(1);
        }
        if self.tail.as_ref().is_some_and(|tail| tail.at >= file_size) {
            self.tail = None;
        }
        let room = file_size.saturating_sub(self.tail.as_ref().map_or(MAGIC.len() as u64, |tail| tail.at));
        let (mut bytes, mut count) = (Vec::new(), 0);
        for record in records {
            if count > 0 && (bytes.len() + record.size()) as u64 > room {
                break;
            }
            record.write(&mut bytes);
            count += 1;
        }
        self.make_room(bytes.len() as u64 + MAGIC.len() as u64);
        let mut tail = match self.tail.take() {
            Some(tail) => tail,
            None => self.new_file()?,
        };
        let segment = self.segments.back_mut().ok_or_else(|| io::Error::other("a new file has its place"))?;
        if let Err(error) = tail.file.write_all_at(&bytes, tail.at) {
            // What was written of it is no record, and another file follows.
            drop(tail.file.set_len(tail.at));
            if segment.count == 0
                && let Some(segment) = self.segments.pop_back()
            {
                self.total -= segment.bytes;
                drop(fs::remove_file(segment.path));
            }
            return Err(error);
        }
        tail.at += bytes.len() as u64;
        segment.count += count as u64;
        self.total += bytes.len() as u64;
        segment.bytes = tail.at;
        self.tail = Some(tail);
        Ok(count)
    }

    fn new_file(&mut self) -> io::Result<Tail> {
        let path = self.path_of(self.next_file);
        self.next_file += 1;
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        if let Err(error) = file.write_all(MAGIC) {
            drop(fs::remove_file(&path));
            return Err(error);
        }
        let at = MAGIC.len() as u64;
        self.segments.push_back(Segment { path, first: self.end(), count: 0, bytes: at });
        self.total += at;
        Ok(Tail { file, at })
    }

    /// Removes the oldest files until this number of bytes fits.
    fn make_room(&mut self, bytes: u64) {
        while !self.segments.is_empty() && self.total + bytes > self.limit {
            let from = self.head;
            let Some(end) = self.segments.front().map(Segment::end) else { return };
            let acknowledged = self.done.range(from..end).count() as u64;
            self.dropped += (end - from).saturating_sub(acknowledged);
            self.advance(end);
        }
    }

    /// Goes on with this record as the oldest; files without records that count are removed.
    fn advance(&mut self, head: u64) {
        self.head = self.head.max(head);
        self.cursor = self.cursor.max(self.head);
        self.done = self.done.split_off(&self.head);
        while let Some(segment) = self.segments.front().filter(|segment| segment.end() <= self.head) {
            if self.segments.len() == 1 {
                self.tail = None;
            }
            if let Err(error) = fs::remove_file(&segment.path) {
                log::debug!("{}: {error}", segment.path.display());
            }
            self.total -= segment.bytes;
            self.segments.pop_front();
        }
    }

    /// The next records to be sent, at most `most`. A file that cannot be read any more is dropped and counted.
    pub(crate) fn next(&mut self, most: usize) -> Vec<Numbered> {
        let mut found = Vec::new();
        while found.len() < most && !self.is_drained() {
            let Some(record) = self.read_next() else { break };
            found.extend(record);
        }
        found
    }

    /// The record at the cursor; nothing for one that was acknowledged. `None`: none can be read.
    fn read_next(&mut self) -> Option<Option<Numbered>> {
        let number = self.cursor;
        let is_open = self.read.as_ref().is_some_and(|read| read.first == number && !read.records.is_empty());
        if !is_open {
            let segment = self.segments.iter().find(|segment| segment.end() > number)?;
            let (first, end) = (segment.first, segment.end());
            let records = match fs::read(&segment.path) {
                Ok(bytes) => segment::read(&bytes).records,
                Err(error) => {
                    log::warn!("{}: {error}", segment.path.display());
                    Vec::new()
                }
            };
            let skipped = usize::try_from(number - first).unwrap_or(usize::MAX);
            let most = usize::try_from(end - first).unwrap_or(usize::MAX);
            let records: VecDeque<Record> = records.into_iter().take(most).skip(skipped).collect();
            if records.is_empty() {
                // The file was changed by others.
                self.dropped += end - number;
                self.cursor = end;
                (number..end).for_each(|number| self.acknowledge(number));
                return Some(None);
            }
            self.read = Some(Opened { first: number, records });
        }
        let read = self.read.as_mut()?;
        let record = read.records.pop_front()?;
        read.first += 1;
        self.cursor += 1;
        Some((!self.done.contains(&number)).then_some(Numbered { number, record }))
    }

    /// Notes that the broker has a record.
    pub(crate) fn acknowledge(&mut self, number: u64) {
        if number < self.head {
            return;
        }
        self.done.insert(number);
        let mut head = self.head;
        while self.done.contains(&head) {
            head += 1;
        }
        if head > self.head {
            self.advance(head);
        }
    }

    /// Sends all that is not acknowledged again, on the next connection.
    pub(crate) fn rewind(&mut self) {
        self.cursor = self.head;
        self.read = None;
    }

    /// The last records, which were just added, are on their way already.
    pub(crate) fn skip_to(&mut self, number: u64) {
        self.cursor = self.cursor.max(number.min(self.end()));
        self.read = None;
    }

    /// The number that the next record gets.
    pub(crate) fn next_number(&self) -> u64 {
        self.end()
    }
}

/// Numbers of the files in a folder, the lowest first.
fn numbers_in(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(ENDING)?.strip_suffix('.'));
        let number = digits.and_then(|digits| digits.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads bytes as a file of the buffer; for fuzzing.
pub(crate) fn fuzz(bytes: &[u8]) {
    let content = segment::read(bytes);
    let mut again = MAGIC.to_vec();
    content.records.iter().for_each(|record| record.write(&mut again));
    assert!(content.records.is_empty() || again[..] == bytes[..content.whole], "records are written as they were read");
}

#[cfg(test)]
mod tests;
