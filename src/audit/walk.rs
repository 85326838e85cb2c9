//! Follows the chain through files and says the first thing that is wrong.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::line::{Hash, Line, MOST};

/// Faults of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A line says something else than when it was written.
    Changed,
    /// Lines that are not there any more.
    Removed,
    /// Lines stand in another order.
    Moved,
    /// A line that was not there.
    Inserted,
    /// The last lines are not there.
    CutTail,
    MissingFile,
    /// The disk does not give it, or it is no file.
    Unreadable,
    /// All lines follow each other, but are not those that the head knows.
    Rewritten,
    /// The head is not what the key's owner wrote, or is gone.
    ReplacedHead,
    /// The last line has no end.
    Torn,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Changed => "changed line",
            Fault::Removed => "removed line",
            Fault::Moved => "moved line",
            Fault::Inserted => "inserted line",
            Fault::CutTail => "cut tail",
            Fault::MissingFile => "missing file",
            Fault::Unreadable => "unreadable file",
            Fault::Rewritten => "rewritten chain",
            Fault::ReplacedHead => "replaced head",
            Fault::Torn => "torn line",
        })
    }
}

/// How far the chain was followed: the last record that is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub number: u64,
    pub chain: Hash,
}

/// Where the chain broke in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Break {
    /// From 1 on.
    pub line: u64,
    pub fault: Fault,
    pub what: String,
}

/// The content of one file.
#[derive(Debug)]
pub(crate) struct Walked {
    pub last: Link,
    /// Bytes of the whole lines that follow the chain.
    pub good_bytes: u64,
    pub lines: u64,
    pub broken: Option<Break>,
}

/// Lines of a file, each with its length; one that is longer than any of ours is cut there.
struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
}

/// A line without its break, and whether it had one.
struct Raw<'a> {
    bytes: &'a [u8],
    is_whole: bool,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> io::Result<Option<Raw<'_>>> {
        self.buffer.clear();
        let read = (&mut self.from).take(MOST as u64 + 2).read_until(b'\n', &mut self.buffer)?;
        if read == 0 {
            return Ok(None);
        }
        Ok(Some(match self.buffer.strip_suffix(b"\n") {
            Some(bytes) => Raw { bytes, is_whole: true },
            None => Raw { bytes: &self.buffer, is_whole: read > MOST },
        }))
    }
}

/// Follows the chain through a file. `note` hears of every good record and its link.
pub(crate) fn walk(path: &Path, before: Link, note: &mut dyn FnMut(Link, &[u8])) -> io::Result<Walked> {
    let mut lines = Lines { from: BufReader::with_capacity(1 << 16, File::open(path)?), buffer: Vec::new() };
    let mut walked = Walked { last: before, good_bytes: 0, lines: 0, broken: None };
    while let Some(raw) = lines.next()? {
        let at = walked.lines + 1;
        if !raw.is_whole {
            let what = format!("the last {} bytes are a part of a line", raw.bytes.len());
            walked.broken = Some(Break { line: at, fault: Fault::Torn, what });
            break;
        }
        let line = Line::parse(raw.bytes);
        match line.filter(|line| line.number == walked.last.number + 1 && line.follows(&walked.last.chain)) {
            Some(line) => {
                walked.last = Link { number: line.number, chain: line.chain };
                walked.good_bytes += raw.bytes.len() as u64 + 1;
                walked.lines = at;
                note(walked.last, raw.bytes);
            }
            None => {
                let found = line.map(|line| line.number);
                walked.broken = Some(explain(at, found, walked.last, &mut lines)?);
                break;
            }
        }
    }
    Ok(walked)
}

/// Explains the first line that does not follow, by the lines after it.
fn explain<R: BufRead>(at: u64, found: Option<u64>, last: Link, lines: &mut Lines<R>) -> io::Result<Break> {
    let due = last.number + 1;
    let broken = |fault, what| Ok(Break { line: at, fault, what });
    let Some(number) = found else {
        return broken(Fault::Changed, format!("record {due} is due, and this is no record"));
    };
    let (mut has_due, mut is_next, mut first) = (false, false, true);
    while let Some(raw) = lines.next()? {
        if let Some(line) = Line::parse(raw.bytes) {
            has_due |= line.number == due;
            is_next |= first && line.number == due && line.follows(&last.chain);
        }
        first = false;
    }
    match number {
        number if is_next && number <= due => {
            broken(Fault::Inserted, format!("this record {number} was not there: record {due} follows"))
        }
        number if number == due => broken(Fault::Changed, format!("record {due} is not what was written")),
        number if number > due && has_due => broken(
            Fault::Moved,
            format!("record {due} is due; record {number} is here, and record {due} is further down"),
        ),
        number if number > due => broken(Fault::Removed, format!("records {due} to {} are not there", number - 1)),
        number => broken(Fault::Inserted, format!("record {number} is here again; record {due} is due")),
    }
}
